"""Turn benchmark records into a Markdown table and, with matplotlib, plots.

python -m benchmarks.report results.json [--markdown table.md] [--plots FOLDER]

The plots: kernel.png by feature, size.png, tile.png and threads.png; each only where the file has
its records.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TITLES = {
    "kernel": "Kernel alone, by feature",
    "size": "Kernel alone, by detector size",
    "tile": "Kernel alone, by tile and threads",
    "precision": "Mixed precision against float64: processor time of one thread, in turn",
    "command": "Whole command, start-up and store included",
}


def spread(values: list[float]) -> str:
    """Return the range of repeats above the best, in percent."""
    return f"{100 * (max(values) / min(values) - 1):.0f} %" if len(values) > 1 else ""


def row(record: dict[str, Any]) -> str:
    """Return one table row."""
    ns = f"{record['ns_per_evaluation']:.3f}" if "ns_per_evaluation" in record else ""
    c = f"{record['c_seconds']:.3f}" if "c_seconds" in record else ""
    ratio = f"{record['ratio']:.1f}" if "ratio" in record else ""
    target = f"{record['target']:g}" if record.get("target") else ""
    bound = f"{record['deviation']:.0e}" if "deviation" in record else ""
    cells = [
        record["name"],
        record.get("precision", ""),
        f"{record['seconds']:.3f}",
        spread(record["all_seconds"]),
        ns,
        c,
        ratio,
        target,
        bound,
    ]
    return "| " + " | ".join(cells) + " |"


def markdown(result: dict[str, Any]) -> str:
    """Return all tables as Markdown."""
    machine = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; Python"
        f" {machine['python']}, {versions}; nbdask {machine['nbdask']} at"
        f" {(machine['commit'] or 'no commit')[:12]}; {machine['date']}. Compiled loops:"
        f" {machine['library']}.",
    ]
    for group, title in TITLES.items():
        records = [r for r in result["records"] if r["group"] == group]
        if records:
            lines += ["", f"### {title}", ""]
            lines.append(
                "| what | precision | seconds | spread | ns/evaluation | C seconds | ratio |"
                " target | deviation |"
            )
            lines.append("|---" * 9 + "|")
            lines += [row(r) for r in records]
    return "\n".join(lines) + "\n"


def by_feature(axes: Any, result: dict[str, Any]) -> None:
    """Draw nanoseconds per evaluation, ours and C's, by feature."""
    records = [r for r in result["records"] if r["group"] == "kernel"]
    names = list(dict.fromkeys(r["name"] for r in records))
    bars: dict[str, dict[str, float]] = {"nanoBragg C": {}, "float64": {}, "mixed": {}}
    for r in records:
        bars[r["precision"]][r["name"]] = r["ns_per_evaluation"]
        if "c_seconds" in r:
            bars["nanoBragg C"][r["name"]] = r["c_seconds"] / r["evaluations"] * 1e9
    for number, (label, values) in enumerate(bars.items()):
        places = [i + 0.27 * (number - 1) for i, n in enumerate(names) if n in values]
        axes.barh(places, [values[n] for n in names if n in values], 0.25, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(f"ns per evaluation, {result['machine']['cores']} cores")
    axes.legend()


def by_size(axes: Any, result: dict[str, Any]) -> None:
    """Draw evaluations per second, ours and C's, over the detector's edge."""
    records = [r for r in result["records"] if r["group"] == "size"]
    lines: dict[str, list[tuple[int, float]]] = {}
    for r in records:
        edge = r["pixels"][0]
        lines.setdefault(r["precision"], []).append((edge, 1.0 / r["ns_per_evaluation"]))
        if "c_seconds" in r:
            rate = 1e-9 * r["evaluations"] / r["c_seconds"]
            lines.setdefault("nanoBragg C", []).append((edge, rate))
    draw(axes, lines, "detector edge [pixels]")
    axes.set_yscale("log")


def by_tile(axes: Any, result: dict[str, Any]) -> None:
    """Draw evaluations per second over the tile's edge, for every number of threads."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for r in (r for r in result["records"] if r["group"] == "tile"):
        label = f"{r['precision']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}"
        lines.setdefault(label, []).append((r["tile"], 1.0 / r["ns_per_evaluation"]))
    draw(axes, lines, "tile edge [pixels]")
    axes.set_ylim(bottom=0.0)


def by_threads(axes: Any, result: dict[str, Any]) -> None:
    """Draw evaluations per second over the number of threads, at the best tile."""
    best: dict[str, dict[int, float]] = {}
    for r in (r for r in result["records"] if r["group"] == "tile"):
        found = best.setdefault(r["precision"], {})
        found[r["threads"]] = max(found.get(r["threads"], 0.0), 1.0 / r["ns_per_evaluation"])
    draw(axes, {name: sorted(values.items()) for name, values in best.items()}, "threads")
    axes.set_ylim(bottom=0.0)
    axes.set_xticks(sorted({threads for values in best.values() for threads in values}))


def draw(axes: Any, lines: dict[str, list[tuple[int, float]]], across: str) -> None:
    """Draw lines with their legend."""
    for label, points in lines.items():
        points = sorted(points)
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", label=label)
    if across != "threads":
        axes.set_xscale("log", base=2)
        ticks = sorted({x for points in lines.values() for x, _ in points})
        axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.set_xlabel(across)
    axes.set_ylabel("thousand million evaluations per second")
    axes.grid(alpha=0.3)
    axes.legend()


#: File name -> group whose records it needs, drawing.
PLOTS = {
    "kernel": ("kernel", by_feature),
    "size": ("size", by_size),
    "tile": ("tile", by_tile),
    "threads": ("tile", by_threads),
}


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write the plots whose records are there; return their files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (group, fill) in PLOTS.items():
        count = len({r["name"] for r in result["records"] if r["group"] == group})
        if not count:
            continue
        size = (9, 0.45 * count + 1.5) if name == "kernel" else (7, 4.5)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure.subplots(), result)
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        written.append(path)
    return written


def main() -> None:
    """Read records; write table and plots."""
    parser = argparse.ArgumentParser(description="Benchmark records to a table and plots.")
    parser.add_argument("json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    result = json.loads(options.json.read_text())
    text = markdown(result)
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text)
    if options.plots:
        for path in plots(result, options.plots):
            print(path)


if __name__ == "__main__":
    main()

"""Turn benchmark records into a Markdown table and, with matplotlib, plots.

python -m benchmarks.report results.json [--markdown table.md] [--plot plot.png]
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
        f" {(machine['commit'] or 'no commit')[:12]}; {machine['date']}.",
    ]
    for group, title in TITLES.items():
        records = [r for r in result["records"] if r["group"] == group]
        if records:
            lines += ["", f"### {title}", ""]
            lines.append(
                "| what | precision | seconds | spread | ns/evaluation | C seconds | ratio | target"
                " | deviation |"
            )
            lines.append("|---|---|---|---|---|---|---|---|---|")
            lines += [row(r) for r in records]
    return "\n".join(lines) + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw nanoseconds per evaluation, ours and C's, by feature."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = [r for r in result["records"] if r["group"] == "kernel"]
    names = list(dict.fromkeys(r["name"] for r in records))
    figure = Figure(figsize=(9, 0.45 * len(names) + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
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
    figure.savefig(path, dpi=120)


def main() -> None:
    """Read records; write table and plot."""
    parser = argparse.ArgumentParser(description="Benchmark records to a table and a plot.")
    parser.add_argument("json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    result = json.loads(options.json.read_text())
    text = markdown(result)
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text)
    if options.plot:
        plot(result, options.plot)


if __name__ == "__main__":
    main()

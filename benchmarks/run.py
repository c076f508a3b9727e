"""Time nbdask, beside the nanoBragg C program where NB_C_BIN names one.

    python -m benchmarks.run --json results.json [--groups kernel,size,tile,command]
        [--repeats 5] [--threads 2] [--golden GOLDEN] [--only NAME]

Each record holds the best and all repeats in seconds, evaluations, nanoseconds per evaluation,
a checksum of the image, and with the C program its seconds, the ratio and the worst deviation of
the two images.  Ratios are of best times of runs that alternate: ours, C, ours, C.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, timing
from benchmarks.cases import Case, kernel_cases, size_cases
from nbdask.example.write import write_example
from nbdask.experiment.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.registry import get_kernel

C_BINARY = os.environ.get("NB_C_BIN")


def worst_deviation(ours: NDArray[np.float32], c: NDArray[np.float32]) -> float:
    """Return the worst pointwise relative deviation, with a floor of 1e-6 of the maximum."""
    c = c.reshape(ours.shape).astype(np.float64)
    return float(np.max(np.abs(ours - c) / np.maximum(np.abs(c), 1e-6 * np.abs(c).max())))


def model_of(words: list[str]) -> Model:
    """Return the model of a command line, as C would see it."""
    return build_model(parse_args(words, semantics="c").experiment)


def time_kernel(
    case: Case, precision: str, options: argparse.Namespace, tile: int = 256
) -> dict[str, Any]:
    """Time one case with the kernel alone and with C's pixel loop."""
    model = model_of(case.arguments)
    kernel = get_kernel(options.backend, precision)
    evaluations = model.n_slow * model.n_fast * model.n_steps
    ours, c, image = [], [], None
    timing.kernel_image(model, kernel, options.threads, tile)  # compiled and warm
    for _ in range(options.repeats):
        seconds, image = timing.kernel_image(model, kernel, options.threads, tile)
        ours.append(seconds)
        if C_BINARY and precision == "float64" and not options.no_c:
            c.append(timing.c_kernel_seconds(C_BINARY, case.arguments, options.threads))
    assert image is not None
    record: dict[str, Any] = {
        "name": case.name,
        "precision": precision,
        "tile": tile,
        "threads": options.threads,
        "flags": case.flags,
        "pixels": [model.n_slow, model.n_fast],
        "steps": model.n_steps,
        "evaluations": evaluations,
        "seconds": min(ours),
        "all_seconds": ours,
        "ns_per_evaluation": min(ours) / evaluations * 1e9,
        "image_sha256": timing.checksum(image),
        "target": case.target if precision == "float64" else None,
    }
    if c:
        assert C_BINARY is not None
        _, c_image = timing.c_seconds(C_BINARY, case.arguments, 1)
        record |= {
            "c_seconds": min(c),
            "all_c_seconds": c,
            "ratio": min(c) / min(ours),
            "deviation": worst_deviation(image, c_image),
        }
    return record


def wanted(cases: list[Case], options: argparse.Namespace) -> list[Case]:
    """Return the cases whose name holds what ``--only`` says."""
    return [c for c in cases if not options.only or options.only in c.name]


def kernel_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Every feature, in both precisions."""
    for case in wanted(kernel_cases(amplitudes), options):
        for precision in ("float64", "mixed"):
            yield time_kernel(case, precision, options)


def size_group(options: argparse.Namespace, _: Path) -> Iterator[dict[str, Any]]:
    """One feature over detector sizes."""
    for case in wanted(size_cases(), options):
        yield time_kernel(case, "float64", options)


def tile_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """One feature over tile sizes and thread counts, without C."""
    case = kernel_cases(amplitudes)[0]
    for tile in (64, 128, 256, 512):
        for threads in (1, 2):
            settings = argparse.Namespace(**{**vars(options), "threads": threads, "no_c": True})
            record = time_kernel(case, "float64", settings, tile)
            yield {**record, "name": f"tile {tile}, {threads} thread(s)", "target": None}


def command_group(options: argparse.Namespace, _: Path) -> Iterator[dict[str, Any]]:
    """Whole commands, start-up and writing included."""
    small = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -oversample 1 -detpixels 1024"
    large = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -oversample 1 -detpixels 16384"
    large += " -pixel 0.01 -phi 1 -osc 1 -phisteps 10"
    commands = {"1024 x 1024, 1 step": (small.split(), options.repeats, None)}
    if options.golden is not None:
        folder = options.golden.resolve()
        cases = {c["name"]: c for c in json.loads((folder / "cases.json").read_text())}
        text = cases["lysozyme_full"]["args"]
        for name in ("lysozyme_A.mat", "lysozyme_F.hkl"):
            text = text.replace(name, str(folder / "inputs" / name))
        commands["lysozyme 2463 x 2527, 10 steps"] = (text.split(), options.repeats, 2.0)
    commands["16384 x 16384, 10 steps"] = (large.split(), min(2, options.repeats), 6.0)
    for name, (words, repeats, target) in commands.items():
        if options.only and options.only not in name:
            continue
        timing.command_seconds([*words, "--semantics", "c"])
        ours, c = [], []
        for _ in range(repeats):
            ours.append(timing.command_seconds([*words, "--semantics", "c"]))
            if C_BINARY:
                c.append(timing.c_seconds(C_BINARY, words, options.threads)[0])
        record = {
            "name": name,
            "flags": " ".join(words),
            "seconds": min(ours),
            "all_seconds": ours,
            "target": target,
        }
        if c:
            record |= {"c_seconds": min(c), "all_c_seconds": c, "ratio": min(c) / min(ours)}
        yield record
    if options.only:
        return
    with tempfile.TemporaryDirectory() as empty:
        seconds = timing.command_seconds(small.split(), Path(empty))
        yield {"name": "1024 x 1024, first run ever", "seconds": seconds, "all_seconds": [seconds]}


GROUPS = {
    "kernel": kernel_group,
    "size": size_group,
    "tile": tile_group,
    "command": command_group,
}


def main() -> None:
    """Run the groups asked for and write the records."""
    parser = argparse.ArgumentParser(description="Time nbdask, beside C where NB_C_BIN is set.")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--golden", type=Path, help="folder of C images, for the lysozyme command")
    parser.add_argument("--only", help="run the records whose name holds this text")
    parser.add_argument("--no-c", action="store_true", help="do not run the C program")
    options = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as folder:
        amplitudes = Path(folder) / "pyrope.hkl"
        write_example("pyrope", folder)
        if options.golden is not None:
            amplitudes = options.golden.resolve() / "inputs" / "lysozyme_F.hkl"
        for group in options.groups.split(","):
            for record in GROUPS[group](options, amplitudes):
                records.append({"group": group, **record})
                show(records[-1])
    result = {"machine": machine.facts(), "c_program": bool(C_BINARY), "records": records}
    options.json.write_text(json.dumps(result, indent=1) + "\n")


def show(record: dict[str, Any]) -> None:
    """Print one record as a line."""
    text = f"{record['group']:8s} {record['name']:34s} {record.get('precision', ''):8s}"
    text += f" {record['seconds']:8.3f} s"
    if "ns_per_evaluation" in record:
        text += f" {record['ns_per_evaluation']:7.3f} ns"
    if "ratio" in record:
        text += f"  C {record['c_seconds']:8.3f} s  ratio {record['ratio']:6.2f}"
    if record.get("target"):
        text += f"  (target {record['target']:g})"
    if "deviation" in record:
        text += f"  deviation {record['deviation']:.1e}"
    print(text, flush=True)


if __name__ == "__main__":
    main()

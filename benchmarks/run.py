"""Time nbdask, beside the nanoBragg C program where NB_C_BIN names one.

    python -m benchmarks.run --json results.json [--groups kernel,size,tile,precision,command]
        [--repeats 5] [--threads 2] [--golden GOLDEN] [--only NAME] [--again]

Each record holds the best and all repeats in seconds, evaluations, nanoseconds per evaluation,
a checksum of the image, and with the C program its seconds, the ratio and the worst deviation of
the two images.  Ratios are of best times of runs that alternate: ours, C, ours, C.  C is run as
often as ours, but no more once it has taken ``--c-seconds`` in a case; ``all_c_seconds`` shows it.

The file is written after every case.  Run again, it keeps the records of the same machine,
versions and commit and measures what is missing, unless ``--again`` says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, timing
from benchmarks.cases import Case, kernel_cases, size_cases
from nbdask.example.write import write_example
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.registry import get_kernel

C_BINARY = os.environ.get("NB_C_BIN")
PRECISIONS = ("float64", "mixed")
#: Beyond so many evaluations the image is not compared with C's: that needs a run on one thread.
_COMPARED = 3e7


@dataclass(frozen=True)
class Job:
    """A record that is still to be measured.

    Parameters
    ----------
    group, name : str
    measure : callable
        Returns the record.
    label : dict
        What tells it from other records of its name.
    """

    group: str
    name: str
    measure: Callable[[], dict[str, Any]]
    label: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """What a record is known by."""
        return key_of({"group": self.group, "name": self.name, **self.label})


def key_of(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record is known by."""
    return tuple(record.get(k) for k in ("group", "name", "precision"))


def worst_deviation(ours: NDArray[np.float32], c: NDArray[np.float32]) -> float:
    """Return the worst pointwise relative deviation, with a floor of 1e-6 of the maximum."""
    c = c.reshape(ours.shape).astype(np.float64)
    return float(np.max(np.abs(ours - c) / np.maximum(np.abs(c), 1e-6 * np.abs(c).max())))


def model_of(argv: list[str]) -> Model:
    """Return the model of a command line, as C would see it."""
    return build_model(parse_args(argv, semantics="c").experiment)


def alternate(
    ours: Callable[[], float], c: Callable[[], float] | None, options: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Run ours and C in turn; return the seconds of each."""
    seconds: list[float] = []
    c_seconds: list[float] = []
    for _ in range(options.repeats):
        seconds.append(ours())
        if c is not None and sum(c_seconds) < options.c_seconds:
            c_seconds.append(c())
    return seconds, c_seconds


def time_kernel(
    case: Case, precision: str, options: argparse.Namespace, tile: int = 256
) -> dict[str, Any]:
    """Time one case with the kernel alone and with C's pixel loop."""
    model = model_of(case.arguments)
    kernel = get_kernel(options.backend, precision)
    evaluations = model.n_slow * model.n_fast * model.n_steps
    images: list[NDArray[np.float32]] = []

    def ours() -> float:
        seconds, image = timing.kernel_image(model, kernel, options.threads, tile)
        images[:] = [image]
        return seconds

    def c() -> float:
        assert C_BINARY is not None
        return timing.c_kernel_seconds(C_BINARY, case.arguments, options.threads)

    ours()  # compiled and warm
    beside = C_BINARY is not None and precision == "float64" and not options.no_c
    seconds, c_seconds = alternate(ours, c if beside else None, options)
    record: dict[str, Any] = {
        "precision": precision,
        "tile": tile,
        "threads": options.threads,
        "flags": case.flags,
        "pixels": [model.n_slow, model.n_fast],
        "steps": model.n_steps,
        "evaluations": evaluations,
        "seconds": min(seconds),
        "all_seconds": seconds,
        "ns_per_evaluation": min(seconds) / evaluations * 1e9,
        "image_sha256": timing.checksum(images[0]),
        "target": case.target if precision == "float64" else None,
    }
    if c_seconds:
        record |= compared(seconds, c_seconds)
        if evaluations < _COMPARED:
            assert C_BINARY is not None
            _, image = timing.c_seconds(C_BINARY, case.arguments, 1)
            record["deviation"] = worst_deviation(images[0], image)
    return record


def compared(seconds: list[float], c_seconds: list[float]) -> dict[str, Any]:
    """Return the part of a record that is about C."""
    return {
        "c_seconds": min(c_seconds),
        "all_c_seconds": c_seconds,
        "ratio": min(c_seconds) / min(seconds),
    }


def kernel_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[Job]:
    """Every feature, in both precisions."""
    for case in kernel_cases(amplitudes):
        for precision in PRECISIONS:
            yield Job(
                "kernel",
                case.name,
                partial(time_kernel, case, precision, options),
                {"precision": precision},
            )


def size_group(options: argparse.Namespace, _: Path) -> Iterator[Job]:
    """One feature over detector sizes, in both precisions."""
    for case in size_cases():
        for precision in PRECISIONS:
            yield Job(
                "size",
                case.name,
                partial(time_kernel, case, precision, options),
                {"precision": precision},
            )


def tile_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[Job]:
    """One feature over tile sizes and thread counts, in both precisions, without C."""
    aimless = replace(kernel_cases(amplitudes)[0], target=None)
    most = len(os.sched_getaffinity(0))
    for precision in PRECISIONS:
        for tile in (32, 64, 128, 256, 512):
            for threads in sorted({1, 2, most}):
                if threads > most:
                    continue
                settings = argparse.Namespace(**{**vars(options), "threads": threads, "no_c": True})
                yield Job(
                    "tile",
                    f"tile {tile}, {threads} thread(s)",
                    partial(time_kernel, aimless, precision, settings, tile),
                    {"precision": precision},
                )


def precision_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[Job]:
    """Every feature: mixed precision against float64."""
    for case in kernel_cases(amplitudes):
        yield Job("precision", case.name, partial(time_precisions, case, options))


def time_precisions(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Time both precisions in turn on one thread, by the time of the processor.

    The ratio is that of float64 to mixed; the deviation that of their images.
    """
    model = model_of(case.arguments)
    images: dict[str, NDArray[np.float32]] = {}

    def one(precision: str) -> float:
        kernel = get_kernel(options.backend, precision)
        start = time.process_time()
        images[precision] = timing.kernel_image(model, kernel, 1)[1]
        return time.process_time() - start

    for precision in PRECISIONS:
        one(precision)  # compiled and warm
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(2 * options.repeats):
        for precision in PRECISIONS:
            seconds[precision].append(one(precision))
    best = {precision: min(found) for precision, found in seconds.items()}
    evaluations = model.n_slow * model.n_fast * model.n_steps
    return {
        "precision": "mixed",
        "flags": case.flags,
        "evaluations": evaluations,
        "seconds": best["mixed"],
        "all_seconds": seconds["mixed"],
        "all_float64_seconds": seconds["float64"],
        "ns_per_evaluation": best["mixed"] / evaluations * 1e9,
        "float64_ns": best["float64"] / evaluations * 1e9,
        "ratio": best["float64"] / best["mixed"],
        "target": 1.6,
        "deviation": worst_deviation(images["mixed"], images["float64"]),
    }


def command_group(options: argparse.Namespace, _: Path) -> Iterator[Job]:
    """Whole commands, start-up and writing included."""
    small = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -oversample 1 -detpixels 1024"
    large = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -oversample 1 -detpixels 16384"
    large += " -pixel 0.01 -phi 1 -osc 1 -phisteps 10"
    commands: dict[str, tuple[list[str], int, float | None]] = {
        "1024 x 1024, 1 step": (small.split(), options.repeats, None)
    }
    if options.golden is not None:
        folder = options.golden.resolve()
        cases = {c["name"]: c for c in json.loads((folder / "cases.json").read_text())}
        text = cases["lysozyme_full"]["args"]
        for name in ("lysozyme_A.mat", "lysozyme_F.hkl"):
            text = text.replace(name, str(folder / "inputs" / name))
        commands["lysozyme 2463 x 2527, 10 steps"] = (text.split(), options.repeats, 2.0)
    commands["16384 x 16384, 10 steps"] = (large.split(), min(2, options.repeats), 6.0)
    for name, (argv, repeats, target) in commands.items():
        settings = argparse.Namespace(**{**vars(options), "repeats": repeats})
        yield Job(
            "command",
            name,
            partial(time_command, argv, settings, target),
        )
    imports = partial(time_imports, small.split(), options.repeats)
    yield Job("command", "1024 x 1024, 1 step: imports", imports)


def time_command(
    argv: list[str], options: argparse.Namespace, target: float | None
) -> dict[str, Any]:
    """Time a whole command, ours and C's, as processes of their own."""
    ours_argv = [*argv, "--semantics", "c", "--threads", str(options.threads)]

    def c() -> float:
        assert C_BINARY is not None
        return timing.c_seconds(C_BINARY, argv, options.threads)[0]

    timing.command_seconds(ours_argv)
    beside = C_BINARY is not None and not options.no_c
    seconds, c_seconds = alternate(
        lambda: timing.command_seconds(ours_argv), c if beside else None, options
    )
    record = {
        "threads": options.threads,
        "flags": " ".join(argv),
        "seconds": min(seconds),
        "all_seconds": seconds,
        "target": target,
    }
    return record | (compared(seconds, c_seconds) if c_seconds else {})


def time_imports(argv: list[str], repeats: int) -> dict[str, Any]:
    """Time the imports of a command."""
    seconds = [timing.import_seconds(argv) for _ in range(repeats)]
    return {"flags": " ".join(argv), "seconds": min(seconds), "all_seconds": seconds}


GROUPS = {
    "kernel": kernel_group,
    "size": size_group,
    "tile": tile_group,
    "precision": precision_group,
    "command": command_group,
}


def measure_all(options: argparse.Namespace, amplitudes: Path) -> None:
    """Measure what the file lacks, writing it after every record."""
    result: dict[str, Any] = {"machine": machine.facts(), "c_program": bool(C_BINARY)}
    records = [] if options.again else kept(options.json, result["machine"])
    known = {key_of(record) for record in records}
    for group in options.groups.split(","):
        for job in GROUPS[group](options, amplitudes):
            if (options.only and options.only not in job.name) or job.key in known:
                continue
            record = {"group": group, "name": job.name, **job.measure()}
            records.append(record)
            show(record)
            write(options.json, {**result, "records": records})


def kept(path: Path, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a file that were measured here, with the same code."""
    if not path.exists():
        return []
    found: dict[str, Any] = json.loads(path.read_text())
    now = {name: value for name, value in facts.items() if name != "date"}
    if {name: value for name, value in found["machine"].items() if name != "date"} != now:
        print(f"{path}: of another machine, version or commit; everything is measured again")
        return []
    records: list[dict[str, Any]] = found["records"]
    return records


def write(path: Path, result: dict[str, Any]) -> None:
    """Replace the file as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(path)


def main() -> None:
    """Run the groups asked for and write the records."""
    parser = argparse.ArgumentParser(description="Time nbdask, beside C where NB_C_BIN is set.")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--c-seconds", type=float, default=20.0, help="of C, per case")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--golden", type=Path, help="folder of C images, for the lysozyme command")
    parser.add_argument("--only", help="run the records whose name holds this text")
    parser.add_argument("--no-c", action="store_true", help="do not run the C program")
    parser.add_argument("--again", action="store_true", help="measure what is there already too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        amplitudes = Path(folder) / "pyrope.hkl"
        write_example("pyrope", folder)
        if options.golden is not None:
            amplitudes = options.golden.resolve() / "inputs" / "lysozyme_F.hkl"
        measure_all(options, amplitudes)


def show(record: dict[str, Any]) -> None:
    """Print one record as a line."""
    text = f"{record['group']:8s} {record['name']:34s} {record.get('precision', ''):8s}"
    text += f" {record['seconds']:8.3f} s"
    if "ns_per_evaluation" in record:
        text += f" {record['ns_per_evaluation']:7.3f} ns"
    if "c_seconds" in record:
        text += f"  C {record['c_seconds']:8.3f} s"
    if "float64_ns" in record:
        text += f"  float64 {record['float64_ns']:7.3f} ns"
    if "ratio" in record:
        text += f"  ratio {record['ratio']:6.2f}"
    if record.get("target"):
        text += f"  (target {record['target']:g})"
    if "deviation" in record:
        text += f"  deviation {record['deviation']:.1e}"
    print(text, flush=True)


if __name__ == "__main__":
    main()

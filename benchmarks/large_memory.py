"""Peak memory of every process of a run, for detectors of growing size and tiles of one size.

    python -m benchmarks.large_memory [--sizes 4096 16384] [--layouts threads local]
        [--commands pyramid verify] [--tile 1024] [--folder DIR] [--keep] [--json FILE]

Each run is the command line in processes of its own; pyramid and verify follow the simulation.
The high-water mark that the kernel keeps of each one's resident memory (``VmHWM``) is read until it
ends.  Exit status 1: some process of a layout is more than 10 % away from the same process of
another size, or above 1.5 GiB; pyramid and verify, which need less for few tiles: above 300 MiB.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import facts

#: One evaluation per pixel: what counts is the number of pixels that pass through.
FLAGS = (
    "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -lambda 1 -distance 1000 -oversample 1"
    " -fdet_vector 0 0 1 -sdet_vector 0 -1 0 -odet_vector 1 0 0 -beam_vector 1 0 0"
)
PIXEL_MM = 0.01
LAYOUTS = {
    "threads": ["--cluster", "threads", "--threads", "2"],
    "local": ["--cluster", "local", "--workers", "2", "--threads", "1"],
}
SPREAD, MOST, MOST_READING = 0.10, 1.5 * 2**30, 300 * 2**20
#: A detector of this size is simulated first, so that no measured run compiles kernels.
_WARM = 64


@dataclass(slots=True)
class Run:
    """One run as it was measured.

    Parameters
    ----------
    size : int
        Pixels along each edge of the detector.
    layout : str
    seconds : float
    stored : int
        Bytes of the store on disk.
    peaks : dict of str to int
        Process -> peak resident bytes.
    command : str
        Of nbdask.
    """

    size: int
    layout: str
    seconds: float = 0.0
    stored: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    command: str = "simulate"


def flags(size: int) -> list[str]:
    """Return the nanoBragg words of a detector of ``size`` pixels along each edge."""
    middle = f"{size * PIXEL_MM / 2:.6g}"
    text = f"{FLAGS} -pixel {PIXEL_MM} -detpixels {size} -Xbeam {middle} -Ybeam {middle}"
    return text.split()


def descendants(pid: int) -> list[int]:
    """Return a process and all that it started, in the order of their numbers."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for task in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                waiting += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return sorted(found)


def peak(pid: int) -> int:
    """Return the peak resident bytes of a process, 0 when it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def role(pid: int, leader: int) -> str:
    """Return what a process is in a run."""
    if pid == leader:
        return "leader"
    try:
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
    if "spawn_main" in command_line or "forkserver" in command_line:
        return "worker"
    # Between fork and exec, and once it has ended, a process does not say what it is.
    return "helper" if "resource_tracker" in command_line else ""


def watch(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Follow a run to its end; return the peak of its leader, each worker and the helpers."""
    roles: dict[int, str] = {}
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in descendants(process.pid):
            roles[pid] = role(pid, process.pid) or roles.get(pid, "helper")
            peaks[pid] = max(peaks.get(pid, 0), peak(pid))
        time.sleep(0.05)
    named: dict[str, int] = {}
    for pid in sorted(peaks):
        name = roles[pid]
        if name == "worker":
            name = f"worker {1 + sum(key.startswith('worker') for key in named)}"
        named[name] = max(named.get(name, 0), peaks[pid])
    return named


def measure(size: int, layout: str, tile: int, store: Path, command: str = "simulate") -> Run:
    """Simulate one detector, or go through its store, and follow the processes."""
    argv = [command, str(store)]
    if command == "simulate":
        argv = [command, *flags(size), "--tile", str(tile), "--out", str(store), "--overwrite"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "nbdask", *argv, *LAYOUTS[layout], "--quiet"])
    try:
        peaks = watch(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        raise SystemExit(f"{command}, {size} x {size} on {layout}: status {process.returncode}")
    seconds = time.perf_counter() - start
    return Run(size, layout, seconds, stored_bytes(store), peaks, command)


def stored_bytes(store: Path) -> int:
    """Return the bytes of all files of a store."""
    return sum(
        os.path.getsize(os.path.join(root, name))
        for root, _, names in os.walk(store)
        for name in names
    )


def verdict(runs: list[Run]) -> list[str]:
    """Return what is not flat: processes whose peaks differ too much, or are too high."""
    faults = []
    for command, layout in dict.fromkeys((run.command, run.layout) for run in runs):
        rows = [run.peaks for run in runs if (run.command, run.layout) == (command, layout)]
        for name in set.intersection(*(set(row) for row in rows)):
            values = [row[name] for row in rows]
            most = MOST if command == "simulate" else MOST_READING
            if command == "simulate" and max(values) > (1 + SPREAD) * min(values):
                faults.append(f"{command}, {layout}, {name}: {min(values)} to {max(values)} bytes")
            if max(values) > most:
                faults.append(
                    f"{command}, {layout}, {name}: {max(values)} bytes is above {most:.0f}"
                )
    return faults


def show(run: Run) -> None:
    """Print one line of the table."""
    peaks = ", ".join(f"{name} {count / 2**20:.0f}" for name, count in run.peaks.items())
    print(
        f"{run.command:9s} {run.size:6d} x {run.size:<6d} {run.layout:8s} {run.seconds:8.1f} s"
        f" {run.stored / 1e9:7.2f} GB   {peaks}",
        flush=True,
    )


def main() -> int:
    """Measure everything that was asked for."""
    parser = argparse.ArgumentParser(description="Peak memory by detector size.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS))
    parser.add_argument("--commands", nargs="+", choices=["pyramid", "verify"], default=[])
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="for the stores [default: a temporary one]")
    parser.add_argument("--keep", action="store_true", help="leave the last store there")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nbdask-memory-"))
    store = folder / "large.zarr"
    measure(_WARM, "threads", _WARM, store)
    print("command   size              layout    wall time    stored   peak resident memory [MiB]")
    runs: list[Run] = []
    try:
        for layout in options.layouts:
            for size in options.sizes:
                for command in ("simulate", *options.commands):
                    runs.append(measure(size, layout, options.tile, store, command))
                    show(runs[-1])
    finally:
        if not options.keep:
            shutil.rmtree(store, ignore_errors=True)
        if options.folder is None and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    faults = verdict(runs)
    if options.json is not None:
        record: dict[str, Any] = {"machine": facts(), "tile": options.tile, "faults": faults}
        record["runs"] = [asdict(run) for run in runs]
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    print("\n".join(faults) if faults else "flat")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

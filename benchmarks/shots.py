"""Series of images: killed and resumed, planned for a million shots, and against the C program.

    python -m benchmarks.shots kills [--shots 1000] [--panel 32,64] [--kills 10] [--seed 1]
    python -m benchmarks.shots planned [--counts 100 10000 1000000] [--seconds 30]
    python -m benchmarks.shots speed [--shots 4] [--rows 4] [--c-binary nanoBragg]

Each takes ``--json FILE``, where its figures are written beside those of the others.

kills: a series on eight panels and two worker processes; all its processes are killed with SIGKILL
at random moments, each time it is resumed; pixels, records and statistics must be those of an
unbroken run on threads, and one shot those of its experiment alone.  planned: shots a second, bytes
of a shot and the peak of memory of series that are cut short.  speed: processor time of a still of
100 energies x 25 domains on 3000 x 3000 pixels, of a series, of a process for each image, and of C,
which computes some rows.  Exit status 1: bits differ.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import nbdask
from benchmarks.culling import STILL
from benchmarks.large_memory import descendants, peak, stored_bytes
from benchmarks.machine import facts
from nbdask.errors import NbdaskError
from nbdask.store.reader import StoreReader
from tests.helpers import all_records

_CRYSTAL = "-cell 60 70 80 90 90 90 -default_F 100 -N 8 -gauss_xtal -oversample 1 -fluence 1e26"
_SHOTS = "--orientations random --shot-seed 1 --quiet"
#: Images of which the costs of planned series are measured.
_PLANNED = {
    "256 x 256": f"{_CRYSTAL} -lambda 1.3 -distance 60 -pixel 0.4 -detpixels 256",
    "1024 x 1024, nothing to compute": (
        f"{_CRYSTAL} -lambda 1.3 -distance 60 -pixel 0.1 -detpixels 1024 -roi 0 0 0 0"
    ),
    "8 x 128 x 1024, all beyond -dmin": f"{_CRYSTAL} -dmin 50 --geometry eight.geom",
}
#: Longest time that anything is waited for [s].
_SECONDS = 1800.0


def begin(words: str | list[str], out: Path) -> subprocess.Popen[bytes]:
    """Start ``nbdask simulate``; what it says is in ``log`` beside the store."""
    words = words.split() if isinstance(words, str) else words
    root = str(Path(__file__).parents[1])
    argv = [sys.executable, "-m", "nbdask", "simulate", *words, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(out.parent)}
    with (out.parent / "log").open("ab") as log:
        return subprocess.Popen(argv, cwd=out.parent, env=environment, stdout=log, stderr=log)


def ended(process: subprocess.Popen[bytes], allowed: tuple[int, ...] = (0,)) -> Any:
    """Wait for the end of a process; return what it and its children used.

    Raises
    ------
    RuntimeError
        It ends with another status than those allowed.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
    return usage


def done(store: Path) -> int:
    """Return how many tiles are on record; 0: there is no store yet."""
    with suppress(NbdaskError, OSError):
        return int(StoreReader(store).done().sum())
    return 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run with all its processes, and wait until they are gone."""
    family = descendants(process.pid)
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + _SECONDS
    while any(_alive(pid) for pid in family):
        if time.monotonic() > end:
            raise TimeoutError("killed processes are still there")
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """Return whether a process runs (one that has ended may still be on the kernel's list)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eight_panels(path: Path, slow: int, fast: int) -> None:
    """Write a CrystFEL geometry of two columns of four panels, 80 mm high, around the beam."""
    pixel, gap = 0.08 / (4 * slow), 4
    lines = ["photon_energy = 9500", "clen = 0.06", f"res = {1 / pixel!r}", "data = /data"]
    for panel in range(8):
        row, column = divmod(panel, 2)
        corner = (column * (fast + gap) - fast - gap / 2, row * (slow + gap) - 2 * slow - gap)
        name = f"p{panel}"
        lines += [f"{name}/dim0 = {panel}", f"{name}/dim1 = ss", f"{name}/dim2 = fs"]
        lines += [f"{name}/min_ss = 0", f"{name}/max_ss = {slow - 1}"]
        lines += [f"{name}/min_fs = 0", f"{name}/max_fs = {fast - 1}"]
        lines += [f"{name}/fs = +1.0x +0.0y", f"{name}/ss = +0.0x +1.0y"]
        lines += [f"{name}/corner_x = {corner[0]}", f"{name}/corner_y = {corner[1]}"]
    path.write_text("\n".join(lines) + "\n")


def kills(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Break a run so many times, finish it, and compare it with an unbroken one."""
    draw, (slow, fast) = random.Random(asked.seed), asked.panel
    eight_panels(folder / "eight.geom", slow, fast)
    words = f"--geometry eight.geom {_CRYSTAL} --shots {asked.shots} {_SHOTS} --tile {slow},{fast}"
    start = time.perf_counter()
    ended(begin(f"{words} --threads 2", folder / "whole.zarr"))
    unbroken = time.perf_counter() - start
    store, total = folder / "broken.zarr", 8 * asked.shots
    words += " --cluster local --workers 2 --threads 1"
    start, moments = time.perf_counter(), []
    for moment in sorted(draw.sample(range(1, int(0.9 * total)), asked.kills)):
        process = begin(f"{words} --resume" if store.exists() else words, store)
        least = max(moment, done(store) + 1)
        while done(store) < least:
            if process.poll() is not None:
                raise RuntimeError(f"a run ended by itself: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(draw.uniform(0.0, 0.2))
        kill(process)
        moments.append(done(store))
        print(f"killed with {moments[-1]} of {total} tiles on record", flush=True)
    ended(begin(f"{words} --resume", store))
    broken = time.perf_counter() - start
    found = {
        "shots": asked.shots,
        "panels": [8, slow, fast],
        "killed with tiles on record": moments,
        "tiles": total,
        "unbroken [s]": unbroken,
        "broken [s]": broken,
        "differs": differences(store, folder / "whole.zarr"),
    }
    number = min(777, asked.shots - 1)
    return found | {"shot": number, "shot alone equal": alone(store, number, folder)}


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two stores of a series, timing aside."""
    one, two = StoreReader(first), StoreReader(second)
    found = [
        f"shot {shot}"
        for shot in range(one.grid.shots)
        if one.image[shot : shot + 1].tobytes() != two.image[shot : shot + 1].tobytes()
    ]
    column = one.fields.index("seconds")
    tables = [np.delete(all_records(reader), column, axis=1) for reader in (one, two)]
    if np.isnan(tables[0]).any() or tables[0].tobytes() != tables[1].tobytes():
        found.append("records")
    for name in ("statistics", "status", "fingerprint"):
        if one.attributes[name] != two.attributes[name]:
            found.append(name)
    return found if nbdask.verify(first).ok else [*found, "verify"]


def alone(store: Path, number: int, folder: Path) -> bool:
    """Whether a shot has the bits of a run of its experiment alone, and is not empty."""
    reader, out = StoreReader(store), folder / "alone.zarr"
    assert reader.series is not None
    nbdask.simulate(reader.series.shot(number), out, tile=reader.grid.tile, progress=False)
    pixels = reader.image[number : number + 1][0]
    one = np.asarray(StoreReader(out).image[...])
    return bool(np.nanmax(pixels) > 0.0 and pixels.tobytes() == one.tobytes())


def planned(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure series of many planned shots, each for a while."""
    rows = []
    eight_panels(folder / "eight.geom", 128, 1024)
    for title, image in _PLANNED.items():
        for count in asked.counts:
            words, store = f"{image} --shots {count} {_SHOTS} --threads 1", folder / f"{count}.zarr"
            begun = time.perf_counter()
            most = followed(begin(f"{words} --dry-run", store), _SECONDS)
            planning = time.perf_counter() - begun
            row = {"image": title, "planned": count, "plan [s]": planning}
            row |= {"plan peak [MB]": most / 1e6, **cut_short(words, store, asked)}
            rows.append(row)
            print(row, flush=True)
            subprocess.run(["rm", "-rf", str(store)], check=True)
    return {"seconds": asked.seconds, "rows": rows}


def cut_short(words: str, store: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run a series for a while once its store is there; return rate, bytes and peak of memory."""
    begun = time.perf_counter()
    process = begin(words, store)
    while not (store / "tiles").exists() and _alive(process.pid):
        time.sleep(0.01)
    first, spent = time.perf_counter(), used(process.pid)
    most = followed(process, asked.seconds)
    # A run that is asked to stop keeps its records.
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)  # not by Popen, which would take its usage
    usage = ended(process, (0, 130, 143, -signal.SIGTERM))
    seconds, shots = time.perf_counter() - first, done(store) / StoreReader(store).grid.per_shot
    size = stored_bytes(store / "image") + stored_bytes(store / "tiles")
    return {
        "start [s]": first - begun,
        "computed": shots,
        "shots per second": shots / seconds,
        "processor [ms per shot]": 1e3 * (_processor(usage) - spent) / shots,
        "bytes per shot": size / shots,
        "peak [MB]": most / 1e6,
    }


def followed(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the end of a process, so long at most; return its peak of resident bytes.

    That which the system gives of an ended process is never below that of its parent.
    """
    most, end = 0, time.perf_counter() + seconds
    while _alive(process.pid) and time.perf_counter() < end:
        most = max(most, peak(process.pid))
        time.sleep(0.02)
    return most


def used(pid: int) -> float:
    """Return the processor time of a process so far [s]; 0 when it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def speed(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure processor time of an image in a series, in a process of its own, and in C."""
    still, side = f"{STILL} -default_F 100", 3000
    words = f"{still} {_SHOTS} --threads 1 --shots"
    series = _processor(ended(begin(f"{words} {asked.shots}", folder / "series.zarr")))
    single = _processor(ended(begin(f"{words} 1", folder / "single.zarr")))
    found: dict[str, Any] = {
        "shots": asked.shots,
        "series [s per image]": series / asked.shots,
        "process per image [s]": single,
    }
    if asked.c_binary:
        first = (side - asked.rows) // 2
        spent = []
        for roi in (f"0 {side - 1} {first} {first + asked.rows - 1}", "0 0 0 0"):
            argv = [asked.c_binary, *still.split(), "-roi", *roi.split()]
            argv += ["-floatfile", "c.bin", "-nonoise", "-nopgm", "-noprogress"]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=quiet)
            spent.append(_processor(ended(process)))
        found |= {
            "C rows": asked.rows,
            "C [s per image]": spent[1] + (spent[0] - spent[1]) * side / asked.rows,
        }
        found["C over series"] = found["C [s per image]"] / found["series [s per image]"]
    found["process over series"] = single / found["series [s per image]"]
    found["predicted images per second of 1000 cores"] = 1e3 / found["series [s per image]"]
    return found


def _processor(usage: Any) -> float:
    """Return the processor time of a process."""
    return float(usage.ru_utime + usage.ru_stime)


def _pair(text: str) -> tuple[int, int]:
    """Return two numbers with a comma between them."""
    slow, fast = map(int, text.split(","))
    return slow, fast


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["kills", "planned", "speed"])
    parser.add_argument("--shots", type=int, help="[default: 1000; speed: 4]")
    parser.add_argument("--panel", type=_pair, default=(32, 64), help="Pixels: SLOW,FAST.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 10_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=30.0, help="Of each planned series.")
    parser.add_argument("--rows", type=int, default=4, help="That C computes.")
    parser.add_argument("--c-binary", default=os.environ.get("NB_C_BIN"))
    parser.add_argument("--folder", type=Path, help="Where the stores are made.")
    parser.add_argument("--json", type=Path, help="Where the figures are written.")
    asked = parser.parse_args()
    asked.shots = asked.shots or (4 if asked.what == "speed" else 1000)
    work = {"kills": kills, "planned": planned, "speed": speed}[asked.what]
    with tempfile.TemporaryDirectory(prefix="nbdask-shots-", dir=asked.folder) as name:
        found = work(Path(name), asked)
    print(json.dumps(found, indent=1))
    if asked.json:
        record = json.loads(asked.json.read_text()) if asked.json.exists() else {}
        record[asked.what] = {"machine": facts(), "load": os.getloadavg()[0], **found}
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(bool(found.get("differs")) or found.get("shot alone equal") is False)


if __name__ == "__main__":
    sys.exit(main())

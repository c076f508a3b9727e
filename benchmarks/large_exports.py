"""Peak memory and time of every exporter on one store, each file checked and then deleted.

    python -m benchmarks.large_exports STORE [--folder DIR] [--formats smv ...] [--json FILE]

Each export is ``nbdask export`` in a process of its own, whose high-water mark of resident memory
(``VmHWM``) is read from the kernel until it ends, and the processor time of the process with its
threads when it has ended.  Afterwards some rows of the file are read back
and compared with the store.  One file is on disk at a time.  Exit status 1: a process above 1 GiB,
or pixels that differ.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from nbdask.derive.noise_c import CNoise
from nbdask.export.picture import Picture
from nbdask.export.smv import automatic_scale
from nbdask.export.values import counts16, counts32, grey8, noise16
from nbdask.store.reader import StoreReader

MOST = 1 << 30
#: So that integers are not all 0 in a faint image.
_FACTOR = 1e6
_ROWS = 3


@dataclass(slots=True)
class Export:
    """One export as it was measured."""

    name: str
    seconds: float
    cpu_seconds: float
    bytes: int
    peak: int
    said: str
    equal: bool
    rows: int
    date: str


def _float_rows(path: Path, columns: int, row: int) -> Any:
    return np.fromfile(path, "<f4", _ROWS * columns, offset=4 * row * columns)


def _smv_rows(path: Path, columns: int, row: int) -> Any:
    with open(path, "rb") as handle:
        head = int(handle.read(64).split(b"HEADER_BYTES=")[1].split(b";")[0])
    return np.fromfile(path, "<u2", _ROWS * columns, offset=head + 2 * row * columns)


def _pgm_rows(path: Path, columns: int, row: int) -> Any:
    with open(path, "rb") as handle:
        head = sum(len(handle.readline()) for _ in range(4))
    return np.fromfile(path, "u1", _ROWS * columns, offset=head + row * columns)


def _nexus_rows(path: Path, columns: int, row: int) -> Any:
    import h5py
    import hdf5plugin  # noqa: F401  (registers the codec)

    with h5py.File(path) as file:
        return file["entry/data/data"][0, row : row + _ROWS].reshape(-1)


def _tiff_rows(path: Path, columns: int, row: int) -> Any:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        side, across = page.tilelength, -(-columns // page.tilewidth)
        parts = []
        for index in range(row // side * across, (row // side + 1) * across):
            file.filehandle.seek(page.dataoffsets[index])
            data = file.filehandle.read(page.databytecounts[index])
            tile = np.frombuffer(data, page.dtype).reshape(side, page.tilewidth)
            parts.append(tile[row % side : row % side + _ROWS])
        return np.concatenate(parts, axis=1)[:, :columns].reshape(-1)


def _cbf_rows(path: Path, columns: int, row: int) -> Any:
    """Unpack from the start: the first rows only, since each pixel needs the one before."""
    from fabio.compression import decByteOffset

    with open(path, "rb") as handle:
        head = handle.read(1 << 16)
        handle.seek(head.index(b"\x0c\x1a\x04\xd5") + 4)
        packed = handle.read(7 * _ROWS * columns)
    return np.asarray(decByteOffset(packed, size=_ROWS * columns, dtype="int32"))


Reader = Callable[[Path, int, int], Any]
EXPORTS: dict[str, tuple[str, list[str], Reader]] = {
    "float": ("a.bin", [], _float_rows),
    "smv": ("a.img", [], _smv_rows),
    "smv-noise": ("a.img", ["--format", "smv-noise", "--seed", "1"], _smv_rows),
    "pgm": ("a.pgm", [], _pgm_rows),
    "nxmx float32": ("a.h5", [], _nexus_rows),
    "nxmx int32": ("a.h5", ["--dtype", "int32", "--scale", f"{_FACTOR:g}"], _nexus_rows),
    "cbf": ("a.cbf", ["--scale", f"{_FACTOR:g}"], _cbf_rows),
    "tiff": ("a.tif", [], _tiff_rows),
}


def expected(picture: Picture, name: str, pixels: Any) -> Any:
    """Return what a file must hold for some pixels of the store."""
    if name == "smv-noise":
        return noise16(CNoise(1).image_rows(pixels), 40.0)[0]
    if name == "smv":
        return counts16(pixels, automatic_scale(picture), 40.0)[0]
    if name == "pgm":
        return grey8(pixels, 250.0 / (5.0 * picture.scales.rmsd))[0]
    if name in ("cbf", "nxmx int32"):
        return counts32(pixels, _FACTOR, 0.0)[0]
    return pixels


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(argv: list[str]) -> tuple[float, float, int, str]:
    """Run a command; return wall and processor seconds, peak resident bytes, what it printed."""
    begin, cpu = time.monotonic(), _cpu_of_children()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.02)
    said = process.communicate()[0].strip()
    if process.returncode:
        sys.exit(f"{' '.join(argv)}: exit status {process.returncode}")
    return time.monotonic() - begin, _cpu_of_children() - cpu, peak, said


def export(store: str, folder: Path, name: str, rows: int | None) -> Export:
    """Export in one format, compare some rows, delete the file.

    ``rows``: only so many in the middle of the image; None: all.
    """
    file, options, rows_of = EXPORTS[name]
    path = folder / file
    n_slow, n_fast = StoreReader(store).grid.shape
    first = 0 if rows is None else (n_slow - rows) // 2
    last = n_slow - 1 if rows is None else first + rows - 1
    command = [sys.executable, "-m", "nbdask", "export", store, str(path), *options]
    command += ["--roi", str(first), str(last), "0", str(n_fast - 1)]
    seconds, cpu, peak, said = measure(command)
    try:
        size, equal = path.stat().st_size, True
        picture = Picture(store, (first, last, 0, n_fast - 1))
        n_rows, columns = picture.shape
        # The middle, where the beam is, unless the format can only be read from its start, or
        # what is written there hangs on all rows before.
        row = 0 if name in ("cbf", "smv-noise") else n_rows // 2
        # The noise of a part's first row hangs on rows of the image above the part.
        if name != "smv-noise" or first == 0:
            pixels = np.asarray(picture.reader.image[first + row : first + row + _ROWS], np.float32)
            wanted = expected(picture, name, pixels).reshape(-1)
            equal = bool(np.array_equal(rows_of(path, columns, row), wanted))
    finally:
        path.unlink(missing_ok=True)
    said, day = said.split(": ", 1)[-1], datetime.now(UTC).date().isoformat()
    times = (round(seconds, 1), round(cpu, 1))
    return Export(name, *times, size, peak, said, equal, n_rows, day)


def _record(path: Path, shape: tuple[int, int], done: list[Export]) -> None:
    """Write the figures; those of other formats that the file holds already stay."""
    new = {each.name: asdict(each) for each in done}
    old = json.loads(path.read_text())["exports"] if path.is_file() else []
    merged = {**{each["name"]: each for each in old}, **new}
    exports = [merged[name] for name in EXPORTS if name in merged]
    record = {"machine": facts(), "shape": list(shape), "exports": exports}
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Export in every format and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("store")
    parser.add_argument("--folder", help="for the files [default: a temporary folder]")
    parser.add_argument("--formats", nargs="+", choices=list(EXPORTS), default=list(EXPORTS))
    parser.add_argument("--rows", type=int, help="only so many in the middle [default: all]")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by so much")
    parser.add_argument("--json", help="write the figures to this file")
    given = parser.parse_args()
    os.nice(given.nice)
    shape = StoreReader(given.store).grid.shape
    done: list[Export] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for name in given.formats:
            done.append(export(given.store, Path(folder), name, given.rows))
            one = done[-1]
            print(
                f"{one.name:13s} {one.seconds:7.1f} s, processor {one.cpu_seconds:7.1f} s"
                f" {one.bytes / 1e9:7.2f} GB"
                f" peak {one.peak / 2**20:6.0f} MiB {'equal' if one.equal else 'DIFFERENT'}",
                flush=True,
            )
            if given.json:
                _record(Path(given.json), shape, done)
    sys.exit(any(not one.equal or one.peak > MOST for one in done))


if __name__ == "__main__":
    main()

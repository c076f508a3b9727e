"""Running the user's nanoBragg C program: one region, in a fresh directory.

A used directory may hold an ``Fdump.bin``, which C reads unasked when
there is no list of amplitudes; so every run gets its own, empty.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import Experiment
from nbdask.flags import to_args
from nbdask.inputs.checksum import sha256_of
from nbdask.parity.errors import ParityUsageError, RunnerError, ShapeError
from nbdask.parity.inputs import link, place_inputs
from nbdask.parity.window import for_c, shifted
from nbdask.plan.tiles import Tile

#: The variable that names the program by default.
VARIABLE = "NB_C_BIN"
#: Characters of C's standard output and error that are kept, of each the last.
KEPT = 20_000
#: Characters of each of its last lines that go into an error.
_LINE = 200
_SIZE = re.compile(r"\((\d+)x(\d+) pixels\)")
_IMAGE = "image.bin"
_QUIET = ("-nonoise", "-nopgm", "-noprogress")


@dataclass(frozen=True, slots=True)
class Binary:
    """The C program.

    Attributes
    ----------
    path : str
        Absolute.
    sha256 : str
    threads : int
        OpenMP threads of each run.
    limit : float
        Seconds after which a run is ended.
    """

    path: str
    sha256: str
    threads: int = 1
    limit: float = 3600.0


@dataclass(frozen=True, slots=True)
class UsersArgv:
    """What C is given instead of arguments written from the experiment: the user's own.

    Attributes
    ----------
    argv : tuple of str
        With input files under the names of ``files``.
    files : tuple of (str, str)
        Name in C's directory, path.
    """

    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class CRun:
    """What one run of C gave.

    Attributes
    ----------
    image : (n_slow, n_fast) float32 array
        The region.
    argv : tuple of str
        Its arguments.
    seconds : float
        Wall time.
    stdout, stderr : str
        The last part of what it printed.
    notes : tuple of str
    """

    image: NDArray[np.float32]
    argv: tuple[str, ...]
    seconds: float
    stdout: str
    stderr: str
    notes: tuple[str, ...] = ()


def find_binary(path: str | None, threads: int = 1, limit: float = 3600.0) -> Binary:
    """Return the C program that a path, or else ``NB_C_BIN``, names.

    Raises
    ------
    ParityUsageError
        Neither is given, or it is not an executable file.
    """
    name = path or os.environ.get(VARIABLE)
    origin = "--c-bin" if path else VARIABLE
    if not name:
        raise ParityUsageError(
            f"no C program: give --c-bin PATH, or set {VARIABLE} to the path of a nanoBragg binary"
        )
    if not os.path.isfile(name) or not os.access(name, os.X_OK):
        what = "is not executable" if os.path.isfile(name) else "is not a file"
        raise ParityUsageError(f"{origin} {name}: {what}; give the path of a nanoBragg binary")
    full = os.path.realpath(name)
    return Binary(full, sha256_of(full), threads, limit)


def run_c(
    binary: Binary,
    experiment: Experiment,
    region: Tile,
    mode: str,
    *,
    users: UsersArgv | None = None,
    keep: str | None = None,
) -> CRun:
    """Run C for one region of an image.

    Parameters
    ----------
    binary : Binary
    experiment : Experiment
        Of the whole detector.
    region : Tile
    mode : str
        ``"roi"``: the whole detector with ``-roi``; ``"window"``: a small detector that is the
        region.
    users : UsersArgv, optional
        Arguments to use (``"roi"`` only) instead of those written from the experiment.
    keep : str, optional
        Folder that the run's directory is kept in; it gets the region's name.

    Raises
    ------
    RunnerError
        C cannot be started, failed, took too long, or wrote no image of the right size.
    """
    panel = f"panel{region.panel}_" if region.panel else ""
    name = f"{panel}slow{region.slow0}-{region.slow1 - 1}_fast{region.fast0}-{region.fast1 - 1}"
    with tempfile.TemporaryDirectory(prefix="nbdask-parity-") as temporary:
        folder = Path(temporary)
        args, shape, notes = _arguments(experiment, region, mode, users, folder)
        start = time.perf_counter()
        _start(binary, args, folder, name)
        seconds = time.perf_counter() - start
        stdout, stderr = (_tail(folder / f"{stream}.txt") for stream in ("stdout", "stderr"))
        image = _read(folder / _IMAGE, shape, name, stdout, stderr)
        whole = mode == "window"
        slow = slice(None) if whole else slice(region.slow0, region.slow1)
        fast = slice(None) if whole else slice(region.fast0, region.fast1)
        pixels = np.array(image[slow, fast], dtype=np.float32)
        if keep is not None:
            (folder / "arguments.txt").write_text("\n".join(args) + "\n")
            shutil.copytree(folder, Path(keep) / name, symlinks=True, dirs_exist_ok=True)
        return CRun(pixels, tuple(args), seconds, stdout, stderr, notes)


def _arguments(
    experiment: Experiment, region: Tile, mode: str, users: UsersArgv | None, folder: Path
) -> tuple[list[str], tuple[int, int], tuple[str, ...]]:
    """Put the inputs in place; return C's arguments, the shape of its image, and notes."""
    notes: tuple[str, ...] = ()
    if users is not None and mode == "roi":
        for name, path in users.files:
            link(path, folder / name)
        args, shape = list(users.argv), experiment.shape
    else:
        plain, notes = for_c(experiment)
        if mode == "window":
            small = shifted(plain, region)
            args = to_args(place_inputs(small, folder, region))
            return [*args, "-floatfile", _IMAGE, *_QUIET], region.shape, notes
        args, shape = to_args(place_inputs(plain, folder)), experiment.shape
    whole = Tile(0, shape[0], 0, shape[1])
    roi = experiment.sampling.roi or (0, shape[0] - 1, 0, shape[1] - 1)
    part = region.intersect(Tile.within(roi))
    assert part is not None, "the region holds nothing of the region of interest"
    if part != whole:
        bounds = (part.fast0, part.fast1 - 1, part.slow0, part.slow1 - 1)
        args += ["-roi", *(str(n) for n in bounds)]
    return [*args, "-floatfile", _IMAGE, *_QUIET], shape, notes


def _start(binary: Binary, args: Sequence[str], folder: Path, name: str) -> None:
    """Run the program to its end."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(binary.threads),
        "OMP_DYNAMIC": "false",
    }
    with (
        open(folder / "stdout.txt", "wb") as out,
        open(folder / "stderr.txt", "wb") as err,
    ):
        try:
            process = subprocess.Popen(
                [binary.path, *args],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        except OSError as error:
            raise RunnerError(f"{binary.path}: cannot be run: {error.strerror}") from error
        try:
            code = process.wait(binary.limit)
        except subprocess.TimeoutExpired:
            raise RunnerError(
                f"C took more than {binary.limit:g} s for the region {name}: give more with"
                " --time-limit, or smaller regions with --edge"
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        said = _tail(folder / "stderr.txt") or _tail(folder / "stdout.txt")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        raise RunnerError(f"C ended with {how} for the region {name}: {_last_lines(said)}")


def _tail(path: Path) -> str:
    """Return the end of a text file."""
    size = path.stat().st_size
    with open(path, "rb") as handle:
        handle.seek(max(0, size - KEPT))
        return handle.read().decode("utf-8", "replace")


def _last_lines(text: str) -> str:
    """Return the last lines of what a program printed, cut and fit for a terminal."""
    lines = [line[-_LINE:] for line in text.strip().splitlines()[-3:]]
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in " / ".join(lines)
    )
    return shown or "it printed nothing"


def _read(
    path: Path, shape: tuple[int, int], name: str, stdout: str, stderr: str
) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
    """Map the image that C wrote."""
    wanted = 4 * shape[0] * shape[1]
    found = path.stat().st_size if path.is_file() else None
    size = _SIZE.search(stdout)
    if size is not None and (int(size[2]), int(size[1])) != shape:
        raise ShapeError(
            f"C made an image of {size[2]} x {size[1]} pixels (slow x fast), nbdask one of"
            f" {shape[0]} x {shape[1]}"
        )
    if found != wanted:
        what = "no image" if found is None else f"an image of {found} bytes instead of {wanted}"
        raise RunnerError(f"C wrote {what} for the region {name}: {_last_lines(stderr or stdout)}")
    return np.memmap(path, dtype="<f4", mode="r", shape=shape)

"""``verify()`` and ``repair()``: a store read again, compared with its records, and repaired."""

from __future__ import annotations

import errno
import math
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.noise import derivation_of
from nbdask.errors import StoreError
from nbdask.fill.filler import Filler, mapped
from nbdask.fill.listen import Progress
from nbdask.fill.work import Work
from nbdask.graph.context import RunContext
from nbdask.graph.tasks import compute_tile
from nbdask.plan.machine import available_cores, cpu_name
from nbdask.plan.tiles import Tile
from nbdask.run import simulation_of
from nbdask.statistics import Statistics, TileSummary, combine, summarise
from nbdask.store import manifest, schema
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.earlier import bound_of
from nbdask.store.lock import Lock
from nbdask.store.place import reason
from nbdask.store.provenance import end_attributes, now, versions
from nbdask.store.reader import StoreReader
from nbdask.store.write import checksum

#: Kinds of faults.
MISSING, CORRUPT, DIFFERENT = "missing", "corrupt", "different"
_UNCOVERED = (
    "made by an earlier version, without a manifest: attributes and metadata have no checksums, and"
    " were compared with each other only"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A tile that is not as it should be.

    Attributes
    ----------
    index : int
        Number of the tile.
    tile : Tile
    kind : str
        ``"missing"`` (not computed yet), ``"corrupt"`` (pixels or record are damaged) or
        ``"different"`` (recomputing gives other bits).
    reason : str
    """

    index: int
    tile: Tile
    kind: str
    reason: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"tile {self.index} ({self.tile}): {self.kind}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` found.

    Attributes
    ----------
    path : Path or str
    tiles : int
        Tiles of the image; each was read.
    recomputed : int
        Tiles that were computed again.
    faults : tuple of Fault
        In the order of the tiles.
    remarks : tuple of str
        What is wrong with the store as a whole, and :func:`repair` mends.
    altered : tuple of str
        What beside tiles is not as it was written, or does not follow from the experiment: a copy
        of the store has to take its place.
    notes : tuple of str
        What could not be checked.
    """

    path: Path | str
    tiles: int
    recomputed: int
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]
    altered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        return not (self.faults or self.remarks or self.altered)

    def count(self, kind: str) -> int:
        """Return the number of faults of a kind."""
        return sum(fault.kind == kind for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Repair:
    """What :func:`repair` did.

    Attributes
    ----------
    path : Path or str
    faults : tuple of Fault
        The tiles that were computed again.
    statistics : Statistics
        Of the repaired image.
    """

    path: Path | str
    faults: tuple[Fault, ...]
    statistics: Statistics


def verify(
    path: str | os.PathLike[str],
    recompute: int = 0,
    *,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Read every tile of a store and compare it with its record.

    Parameters
    ----------
    path : path or str
        The store, or its address.
    recompute : int
        This many tiles, drawn at random, are also computed again from the stored experiment, and
        compared bit by bit; with a store whose kernel is discontinued, to rounding.
    seed : int
        Of the draw.
    threads : int, optional
        None: one per core.
    progress : callable, optional
        Called with (tiles read, tiles in all).

    Raises
    ------
    StoreError
        There is no store, or (for ``recompute``) this nbdask or the input files are not those
        that the store was made with.
    """
    if recompute < 0:
        raise StoreError(f"--recompute {recompute}: must be a whole number of at least 0")
    reader, count = StoreReader(path), threads or available_cores()
    total = len(reader.grid)
    faults: dict[int, Fault] = {}
    for done, fault in enumerate(mapped(lambda i: _check(reader, i), range(total), count), 1):
        if fault is not None:
            faults[fault.index] = fault
        if progress is not None:
            progress(done, total)
    remarks = _whole(reader) if not faults else ()
    altered = manifest.alterations(reader)
    sound = [index for index in range(total) if index not in faults] if recompute else []
    drawn = sorted(random.Random(seed).sample(sound, min(recompute, len(sound))))
    if drawn:
        context = simulation_of(reader, "verify", count).context
        again = mapped(lambda i: _compare(reader, context, i), drawn, count)
        faults |= {fault.index: fault for fault in again if fault is not None}
    found = tuple(faults[index] for index in sorted(faults))
    notes = () if manifest.NAME in reader.attributes else (_UNCOVERED,)
    return Verification(reader.path, total, len(drawn), found, remarks, altered, notes)


def repair(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Compute the missing and corrupt tiles of a store again.

    Records, statistics and status are brought up to date; sound tiles are not touched.

    Parameters
    ----------
    path : path or str
        The store, or its address.
    threads : int, optional
        None: one per core.
    progress : callable, optional
        Called with (tiles repaired, tiles to repair).

    Raises
    ------
    StoreError
        There is no store, another run writes to it, or this nbdask, the input files or the source
        are not those that the store was made with.
    """
    place = place_of(path)
    StoreReader(place)  # A missing store is named as such, not as a lock that cannot be written.
    with Lock(place) as lock:
        place.sweep()
        faults = verify(place.name, threads=threads).faults
        reader, count = StoreReader(place), threads or available_cores()
        notes: tuple[str, ...] = ()
        if faults:
            work = _work(reader, count)
            notes = work.notes
            Filler(work, place, lock).repair([fault.index for fault in faults], count, progress)
        statistics = combine(reader.summaries(), reader.grid.apart)
        if faults or _whole(reader):
            changed = {
                **end_attributes(statistics),
                "repaired": [*reader.attributes.get("repaired", []), now()],
                "notes": list(dict.fromkeys([*reader.attributes.get("notes", []), *notes])),
            }
            update_attributes(place, changed)
    return Repair(place.name, faults, statistics)


def _work(reader: StoreReader, threads: int) -> Work:
    """Return the work that a store was made by."""
    if "derived" in reader.attributes:
        return derivation_of(reader)
    return simulation_of(reader, "repair", threads)


def _check(reader: StoreReader, index: int) -> Fault | None:
    """Compare a tile with its record."""
    tile = reader.grid[index]
    try:
        record = reader.record(index)
    except Exception as error:  # zarr and its codecs raise many kinds for a damaged file
        _pass_on(error, reader)
        return Fault(index, tile, CORRUPT, f"its record cannot be read ({_line(error)})")
    if record is None:
        return Fault(index, tile, MISSING, "it has no record")
    try:
        pixels = reader.tile(index)
    except Exception as error:
        _pass_on(error, reader)
        return Fault(index, tile, CORRUPT, f"its pixels cannot be read ({_line(error)})")
    size = reader.place.size(schema.chunk_key(reader.image, reader.grid.place(index)))
    if size is not None and size != record.get("bytes", size):
        text = f"its file has {size} bytes instead of the recorded {int(record['bytes'])}"
        return Fault(index, tile, CORRUPT, text)
    found = checksum(pixels)
    if found != record["crc32c"]:
        lost = " (no pixels are there)" if np.isnan(pixels).all() else ""
        text = f"CRC-32C {found:08x} instead of the recorded {int(record['crc32c']):08x}{lost}"
        return Fault(index, tile, CORRUPT, text)
    wrong = _misfit(tile, pixels, schema.summary_of(list(record.values())))
    return None if wrong is None else Fault(index, tile, CORRUPT, wrong)


def _pass_on(error: Exception, reader: StoreReader) -> None:
    """Raise what is not a fault of a file: no connection, no permission."""
    if isinstance(error, OSError) and error.errno != errno.EIO:
        raise StoreError(f"{reader.path}: cannot read: {reason(error)}") from error


def _misfit(tile: Tile, pixels: NDArray[np.float32], summary: TileSummary) -> str | None:
    """Return what of a record does not fit the pixels, whose checksum is right."""
    if not np.isfinite(pixels).all():
        return None
    # Pixels that were not evaluated are zeros: they change neither the sums nor the maximum.
    found = summarise(pixels, (tile.slow0, tile.fast0), None)
    if summary.max != found.max:
        return f"its record gives the maximum {summary.max:.9g}, the pixels {found.max:.9g}"
    if (summary.max_slow, summary.max_fast) != (found.max_slow, found.max_fast):
        return "its record gives another place of the maximum than the pixels"
    if not 0 <= summary.n_evaluated <= summary.n_evaluated + summary.n_masked <= pixels.size:
        return "its record counts more pixels than there are"
    sums = [
        (s.mean * s.n_evaluated, s.m2 + s.n_evaluated * s.mean * s.mean) for s in (summary, found)
    ]
    same = all(
        math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-300)
        for one, other in zip(*sums, strict=True)
    )
    return None if same else "its record gives another mean or deviation than the pixels"


def _compare(reader: StoreReader, context: RunContext, index: int) -> Fault | None:
    """Compare a tile with what computing it again gives."""
    image = compute_tile(context, index).image
    assert image is not None
    stored = reader.tile(index)
    if image.tobytes() == stored.tobytes():
        return None
    other = int((image.view(np.uint32) != stored.view(np.uint32)).sum())
    scale = max(float(np.nanmax(np.abs(image))), 1e-300)
    worst = float(np.nanmax(np.abs(image.astype(np.float64) - stored))) / scale
    if worst <= bound_of(reader.attributes):
        return None
    text = f"{other} of {image.size} pixels differ, by up to {worst:.2g} of the tile's maximum"
    if reader.attributes.get("cpu") != cpu_name():
        text += f"; the store was started on another processor ({reader.attributes.get('cpu')})"
    level = reader.attributes.get("versions", {}).get("native")
    if level and level != versions().get("native"):
        text += f"; the store was made with the library for {level}"
    return Fault(index, reader.grid[index], DIFFERENT, text)


def _whole(reader: StoreReader) -> tuple[str, ...]:
    """Return what is wrong with the root of a store whose tiles are all sound."""
    if reader.attributes["status"] != schema.COMPLETE:
        return ("all tiles are there, but the status is not complete: finish with --resume",)
    expected = end_attributes(combine(reader.summaries(), reader.grid.apart))["statistics"]
    if reader.attributes.get("statistics") != expected:
        return ("the statistics of the image are not those of its tiles",)
    return ()


def _line(error: BaseException) -> str:
    """Return an error in one short line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 120 else text[:117] + "..."

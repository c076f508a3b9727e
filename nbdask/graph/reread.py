"""The tasks that read a store again, tile by tile: plain functions, free of dask."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.graph.build import Graph
from nbdask.graph.context import RunContext, Shared, context_of
from nbdask.graph.tasks import compute_tile
from nbdask.plan.machine import cpu_name
from nbdask.plan.tiles import Tile
from nbdask.statistics import TileSummary, summarise
from nbdask.store import schema
from nbdask.store.earlier import bound_of
from nbdask.store.place import Place, reason
from nbdask.store.provenance import versions
from nbdask.store.reader import StoreReader
from nbdask.store.write import checksum

#: Kinds of faults.
MISSING, CORRUPT, DIFFERENT = "missing", "corrupt", "different"


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
class Checked:
    """What reading a tile again gave: its number, and what is wrong with it, if anything is."""

    index: int
    fault: Fault | None


@dataclass(frozen=True, slots=True, eq=False)
class Rereading(Shared):
    """What the tasks that read a store share.  Picklable; each process opens the store once.

    Parameters
    ----------
    place : Place
    again : RunContext, optional
        Tiles are computed again, by this; None: they are compared with their records.
    reader : StoreReader, optional
        Where the store is open.
    """

    place: Place
    again: RunContext | None = None
    reader: StoreReader | None = None

    @property
    def requires(self) -> tuple[str, str, str] | None:
        """Kernel that every process must have, if any."""
        return None if self.again is None else self.again.requires

    def enter(self, run: str) -> Self:
        """Open the store."""
        again = None if self.again is None else self.again.enter(run)
        return replace(self, again=again, reader=StoreReader(self.place))

    def leave(self, run: str) -> None:
        """Undo what computing needs."""
        if self.again is not None:
            self.again.leave(run)


def reread(run: str, index: int) -> Checked:
    """Compare one tile with its record, or with what computing it again gives."""
    context: Rereading = context_of(run)
    assert context.reader is not None
    if context.again is None:
        return Checked(index, check_tile(context.reader, index))
    return Checked(index, compare_tile(context.reader, context.again, index))


def reread_graphs(run: str, indices: Iterable[int]) -> Iterator[Graph]:
    """Yield one graph of a single task for each tile."""
    for index in indices:
        key = (f"reread-{run}", index)
        yield Graph(key, {key: (reread, run, index)})


def check_tile(reader: StoreReader, index: int) -> Fault | None:
    """Compare a tile with its record."""
    tile = reader.grid[index]
    try:
        record = reader.record(index)
    except Exception as error:  # zarr and its codecs raise many kinds for a damaged file
        _pass_on(error, reader)
        return Fault(index, tile, CORRUPT, f"its record cannot be read ({_line(error)})")
    if record is None:
        return Fault(index, tile, MISSING, "it has no record")
    wrong = None
    for name in reader.arrays:
        try:
            pixels = reader.tile(index, name)
        except Exception as error:
            _pass_on(error, reader)
            what = "pixels" if name == schema.IMAGE else name
            return Fault(index, tile, CORRUPT, f"its {what} cannot be read ({_line(error)})")
        wrong = wrong or _damage(reader, index, (name, pixels), record)
        if wrong is None and name == schema.IMAGE:
            wrong = _misfit(tile, pixels, schema.summary_of(list(record.values())))
    return None if wrong is None else Fault(index, tile, CORRUPT, wrong)


def _damage(
    reader: StoreReader,
    index: int,
    read: tuple[str, NDArray[Any]],
    record: Mapping[str, float],
) -> str | None:
    """Return how a tile of the image or a plane differs from its record; ``read``: name, pixels."""
    name, pixels = read
    of = "" if name == schema.IMAGE else f"{name}: "
    size = reader.place.size(schema.chunk_key(reader.arrays[name], reader.grid.place(index)))
    known = record.get(schema.field_of("bytes", name), size)
    if size is not None and size != known:
        return f"{of}its file has {size} bytes instead of the recorded {int(known or 0)}"
    found, known = checksum(pixels), record[schema.field_of("crc32c", name)]
    if found == known:
        return None
    # Planes may well be all NaN.
    lost = " (no pixels are there)" if np.isnan(pixels).all() and not of else ""
    return f"{of}CRC-32C {found:08x} instead of the recorded {int(known):08x}{lost}"


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


def compare_tile(reader: StoreReader, context: RunContext, index: int) -> Fault | None:
    """Compare a tile with what computing it again gives."""
    again = compute_tile(context, index)
    image = again.image
    assert image is not None
    for name, plane in again.planes.items():
        whole = f"u{plane.itemsize}"
        bits = plane.view(whole) != reader.tile(index, name).view(whole)
        if bits.any():
            text = f"{name}: {int(bits.sum())} of {bits.size} pixels differ"
            return Fault(index, reader.grid[index], DIFFERENT, text)
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


def _line(error: BaseException) -> str:
    """Return an error in one short line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 120 else text[:117] + "..."

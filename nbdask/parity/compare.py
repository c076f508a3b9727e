"""``compare()``: two results, pixel by pixel, block by block."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.fill.filler import mapped
from nbdask.fill.listen import Progress
from nbdask.inputs.npy import open_npy
from nbdask.inputs.text import check_regular
from nbdask.parity.equal import same_bits, same_bytes
from nbdask.parity.errors import FileError, ParityUsageError, ShapeError
from nbdask.parity.measures import PEAKS, measure
from nbdask.parity.outcome import Outcome, RegionResult, Thresholds
from nbdask.parity.pictures import region_pictures
from nbdask.plan.machine import available_cores
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import CheckedImage, overlapping
from nbdask.store.place import SCHEME
from nbdask.store.provenance import now
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE, chunk_key, pixels_of
from nbdask.version import __version__

#: Edge of the blocks of images without tiles [pixels].
BLOCK = 1024
#: Most blocks; larger images are cut into larger ones.
MOST_BLOCKS = 4096
#: Most blocks that are drawn; beyond, the map and the numbers serve.
MOST_PICTURES = 64


@dataclass(frozen=True, slots=True)
class Source:
    """An image that is read piece by piece.

    Attributes
    ----------
    name : str
        Path or address.
    pixels : array-like
        ([shot,] [panel,] n_slow, n_fast) float32, sliced when a part is needed.
    tile : tuple of int or None
        Its own tiles (slow, fast).
    facts : dict
        What is known of it: fingerprint, versions.
    checked : CheckedImage or None
        Of a store: reads its tiles against their checksums.
    panels : tuple of str
        Names of the panels of a store of several.
    reader : StoreReader or None
        Of a store.
    """

    name: str
    pixels: Any
    tile: tuple[int, int] | None
    facts: dict[str, Any]
    checked: CheckedImage | None = None
    panels: tuple[str, ...] = ()
    reader: StoreReader | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a panel (slow, fast)."""
        return (int(self.pixels.shape[-2]), int(self.pixels.shape[-1]))

    @property
    def is_series(self) -> bool:
        """Whether its first dimension counts shots."""
        return self.reader is not None and self.reader.grid.shots > 0

    @property
    def size(self) -> str:
        """The shape as text."""
        before = list(self.pixels.shape[:-2])
        shots = f"{before.pop(0)} shots of " if self.is_series else ""
        panels = f"{before[0]} panels of " if before and before[0] > 1 else ""
        return f"{shots}{panels}{self.shape[0]} x {self.shape[1]}"


def compare(
    image: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    thresholds: Thresholds | None = None,
    by_precision: bool = True,
    shot: int | None = None,
    peaks: int = PEAKS,
    threads: int | None = None,
    pictures: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Compare two images that are stores, ``.npy`` files or bare float32 files, or two series.

    Parameters
    ----------
    image, reference : path or address
        Deviations are relative to ``reference``.
    shape : tuple of int, optional
        Pixels (slow, fast) of bare float files; None: those of the other image.
    thresholds : Thresholds, optional
    shot : int, optional
        Shot of each store of a series that is compared; None: all.
    by_precision : bool
        Take the largest allowed deviation from the lower of both precisions.
    peaks : int
        Brightest local maxima to match in each block.
    threads : int, optional
        None: one per core.
    pictures : bool
        Draw the blocks.
    progress : callable, optional
        Called with (blocks done, blocks in all).

    Returns
    -------
    Outcome
        One region for each block: a tile, or several where there are very many.

    Raises
    ------
    StoreError, FileError
        An image that is missing, unreadable or not complete.
    ShapeError
        The images have different shapes.
    ParityUsageError
        A bare float file without a shape.
    """
    a, b = _open_both(image, reference, shape, shot)
    bounds = thresholds or Thresholds()
    if by_precision:
        bounds = bounds.for_precisions(a.facts.get("precision"), b.facts.get("precision"))
    regions = _measured(a, b, peaks, threads or available_cores(), pictures, progress)
    facts = {
        "date": now(),
        "nbdask_version": __version__,
        "image_facts": a.facts,
        "reference_facts": b.facts,
    }
    return Outcome("compare", a.name, b.name, a.shape, bounds, regions, facts, _notes(a, b))


def _measured(
    a: Source, b: Source, peaks: int, threads: int, pictures: bool, progress: Progress | None
) -> tuple[RegionResult, ...]:
    """Compare two images of the same shape, block by block."""
    series = a.is_series or b.is_series
    grid = _blocks(a.pixels.shape, a.tile or b.tile or (BLOCK, BLOCK), series)
    names = a.panels or b.panels or tuple(map(str, range(grid.panels)))
    drawn = pictures and len(grid) <= MOST_PICTURES

    def one(index: int) -> RegionResult:
        """Compare one block."""
        tile = grid[index]
        where: dict[str, Any] = {"panel": names[tile.panel]} if grid.panels > 1 else {}
        where |= {"shot": tile.shot} if series else {}
        if not drawn:
            theirs_too = None if _same_files(a, b, tile) else partial(_rows, b)
            equal = same_bits(partial(_rows, a), theirs_too, tile)
            if equal is not None:
                return RegionResult(tile, "all", equal, **where)
        ours, theirs = _part(a, tile), _part(b, tile)
        found = measure(ours, theirs, (tile.slow0, tile.fast0), peaks)
        shown = region_pictures(ours, theirs) if drawn else None
        return RegionResult(tile, "all", found, pictures=shown, **where)

    results = []
    for result in mapped(one, range(len(grid)), threads):
        results.append(result)
        if progress is not None:
            progress(len(results), len(grid))
    return tuple(results)


def _notes(a: Source, b: Source) -> tuple[str, ...]:
    """Say where the two were made from different experiments."""
    one, other = (s.facts.get("fingerprint") for s in (a, b))
    if one is None or other is None or one == other:
        return ()
    return ("the two stores were made from different experiments (nbdask info shows them)",)


def _open_both(
    image: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    shape: tuple[int, int] | None,
    shot: int | None,
) -> tuple[Source, Source]:
    """Open both images, of equal shape; a bare float file takes the other's."""
    names = (os.fspath(image), os.fspath(reference))
    for name in names:
        if not (name.startswith(SCHEME) or os.path.exists(name)):
            raise FileError(
                f"{name}: no such file or directory: must be a store, a NumPy file or a bare float"
                " file"
            )
    bare = [_is_bare(name) for name in names]
    if not any(bare) and shape is not None:
        raise ParityUsageError(
            f"--shape {shape[0]} {shape[1]}: only for a bare float file; leave it out"
        )
    if all(bare) and shape is None:
        raise ParityUsageError(
            f"{names[0]}: a bare float file has no shape: give --shape SLOW FAST"
        )
    opened: dict[int, Source] = {}
    for number in sorted((0, 1), key=lambda i: bare[i]):
        if bare[number]:
            wanted = shape or opened[1 - number].shape
            opened[number] = _bare(names[number], wanted)
        else:
            opened[number] = _known(names[number], shot)
    a, b = opened[0], opened[1]
    if shot is not None and not any(s.reader and s.reader.image.prefix for s in (a, b)):
        raise ParityUsageError(f"--shot {shot}: neither is a store of a series; leave it out")
    if a.pixels.shape != b.pixels.shape:
        raise ShapeError(f"{a.name} has {a.size} pixels (slow x fast), {b.name} has {b.size}")
    return a, b


def _is_bare(name: str) -> bool:
    """Whether a name is that of a file which may hold nothing but numbers."""
    return not (name.startswith(SCHEME) or name.endswith(".npy") or os.path.isdir(name))


def _known(name: str, shot: int | None) -> Source:
    """Open a store, of a series one shot if it is asked for, or a NumPy file."""
    if not name.endswith(".npy") or os.path.isdir(name):
        reader = StoreReader(name)
        if reader.attributes["status"] != COMPLETE:
            raise FileError(f"{reader.path} is not complete: finish it with --resume first")
        kept = ("fingerprint", "semantics", "backend", "precision", "kernel_version")
        if shot is not None and reader.grid.shots:
            reader = reader.at(shot)
        facts = {key: reader.attributes.get(key) for key in (*kept, "nbdask_version")}
        checked = CheckedImage(reader)
        names = tuple(panel.name for panel in reader.panels) if reader.grid.panels > 1 else ()
        return Source(
            str(reader.path), reader.image, reader.grid.tile, facts, checked, names, reader
        )
    try:
        pixels = open_npy(name, "floats (slow, fast)", "f", (2, 3))
    except InputFileError as error:
        raise FileError(str(error)) from None
    return Source(name, pixels, None, {})


def _bare(name: str, shape: tuple[int, int]) -> Source:
    """Open a bare file of little-endian float32, slow-major."""
    try:
        check_regular(name, "float32 values")
    except InputFileError as error:
        raise FileError(str(error)) from None
    wanted, found = 4 * shape[0] * shape[1], os.path.getsize(name)
    if found != wanted:
        raise ShapeError(
            f"{name}: has {found} bytes; {shape[0]} x {shape[1]} pixels (slow x fast) of float32"
            f" are {wanted}"
        )
    try:
        pixels = np.memmap(name, dtype="<f4", mode="r", shape=shape)
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
    return Source(name, pixels, None, {})


def _blocks(shape: Sequence[int], tile: tuple[int, int], series: bool = False) -> TileGrid:
    """Return blocks that are tiles, or squares of tiles where these are too many."""
    grid, factor = TileGrid.of(shape, tile, series=series), 1
    while len(grid) > MOST_BLOCKS and grid.per_panel > 1:
        factor *= 2
        grid = TileGrid.of(shape, (tile[0] * factor, tile[1] * factor), series=series)
    return grid


def _part(source: Source, tile: Tile) -> NDArray[np.float32]:
    """Read a rectangle; of a store, against the checksums of its tiles."""
    return _pixels(source, tile) if source.checked is None else source.checked.read(tile)


def _rows(source: Source, tile: Tile) -> NDArray[np.float32]:
    """Read the next rows of a block, the checksum of a tile being compared after its last."""
    return _pixels(source, tile) if source.checked is None else source.checked.read_next(tile)


def _same_files(a: Source, b: Source, block: Tile) -> bool:
    """Whether two stores hold a block in files of equal bytes: then one need not be decoded."""
    if a.reader is None or b.reader is None or a.tile != b.tile:
        return False
    one, other = (reader.image.metadata.to_dict() for reader in (a.reader, b.reader))
    if one | {"attributes": None} != other | {"attributes": None}:
        return False
    grid = a.reader.grid
    keys = [chunk_key(a.reader.image, grid.place(index)) for index in overlapping(grid, block)]
    return all(same_bytes(Path(a.name, key), Path(b.name, key)) for key in keys)


def _pixels(source: Source, tile: Tile) -> NDArray[np.float32]:
    try:
        part = source.pixels[pixels_of(source.pixels, tile)]
        return np.asarray(part, dtype=np.float32)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileError(
            f"{source.name}: slow {tile.slow0} to {tile.slow1 - 1}, fast {tile.fast0} to"
            f" {tile.fast1 - 1} cannot be read: {what}"
        ) from error

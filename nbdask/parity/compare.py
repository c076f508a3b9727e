"""``compare()``: two results, pixel by pixel, block by block."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.fill.filler import mapped
from nbdask.fill.listen import Progress
from nbdask.inputs.npy import open_npy
from nbdask.inputs.text import check_regular
from nbdask.parity.errors import FileError, ParityUsageError, ShapeError
from nbdask.parity.measures import PEAKS, measure
from nbdask.parity.outcome import Outcome, RegionResult, Thresholds
from nbdask.parity.pictures import region_pictures
from nbdask.plan.machine import available_cores
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import CheckedImage
from nbdask.store.place import SCHEME
from nbdask.store.provenance import now
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE, pixels_of
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
        (n_slow, n_fast) or (panel, n_slow, n_fast) float32, sliced when a part is needed.
    tile : tuple of int or None
        Its own tiles (slow, fast).
    facts : dict
        What is known of it: fingerprint, versions.
    checked : CheckedImage or None
        Of a store: reads its tiles against their checksums.
    panels : tuple of str
        Names of the panels of a store of several.
    """

    name: str
    pixels: Any
    tile: tuple[int, int] | None
    facts: dict[str, Any]
    checked: CheckedImage | None = None
    panels: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a panel (slow, fast)."""
        return (int(self.pixels.shape[-2]), int(self.pixels.shape[-1]))

    @property
    def n_panels(self) -> int:
        """Number of panels."""
        return int(self.pixels.shape[0]) if self.pixels.ndim > 2 else 1

    @property
    def size(self) -> str:
        """The shape as text."""
        panels = f"{self.n_panels} panels of " if self.n_panels > 1 else ""
        return f"{panels}{self.shape[0]} x {self.shape[1]}"


def compare(
    image: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    thresholds: Thresholds | None = None,
    by_precision: bool = True,
    peaks: int = PEAKS,
    threads: int | None = None,
    pictures: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Compare two images that are stores, ``.npy`` files or bare float32 files.

    Parameters
    ----------
    image, reference : path or address
        Deviations are relative to ``reference``.
    shape : tuple of int, optional
        Pixels (slow, fast) of bare float files; None: those of the other image.
    thresholds : Thresholds, optional
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
    a, b = _open_both(image, reference, shape)
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
    grid = _blocks(a.shape, a.tile or b.tile or (BLOCK, BLOCK), a.n_panels)
    names = a.panels or b.panels or tuple(map(str, range(a.n_panels)))
    drawn = pictures and len(grid) <= MOST_PICTURES

    def one(index: int) -> RegionResult:
        tile = grid[index]
        ours, theirs = _part(a, tile), _part(b, tile)
        found = measure(ours, theirs, (tile.slow0, tile.fast0), peaks)
        shown = region_pictures(ours, theirs) if drawn else None
        panel = names[tile.panel] if grid.panels > 1 else None
        return RegionResult(tile, "all", found, pictures=shown, panel=panel)

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
) -> tuple[Source, Source]:
    """Open both images, of equal shape; a bare float file takes the other's."""
    names = (os.fspath(image), os.fspath(reference))
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
            opened[number] = _known(names[number])
    a, b = opened[0], opened[1]
    if (a.n_panels, a.shape) != (b.n_panels, b.shape):
        raise ShapeError(f"{a.name} has {a.size} pixels (slow x fast), {b.name} has {b.size}")
    return a, b


def _is_bare(name: str) -> bool:
    """Whether a name is that of a file which may hold nothing but numbers."""
    return not (name.startswith(SCHEME) or name.endswith(".npy") or os.path.isdir(name))


def _known(name: str) -> Source:
    """Open a store or a NumPy file."""
    if not name.endswith(".npy") or os.path.isdir(name):
        reader = StoreReader(name)
        if reader.attributes["status"] != COMPLETE:
            raise FileError(f"{reader.path} is not complete: finish it with --resume first")
        kept = ("fingerprint", "semantics", "backend", "precision", "kernel_version")
        facts = {key: reader.attributes.get(key) for key in (*kept, "nbdask_version")}
        checked = CheckedImage(reader)
        names = tuple(panel.name for panel in reader.panels) if reader.grid.panels > 1 else ()
        return Source(str(reader.path), reader.image, reader.grid.tile, facts, checked, names)
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


def _blocks(shape: tuple[int, int], tile: tuple[int, int], panels: int = 1) -> TileGrid:
    """Return blocks that are tiles, or squares of tiles where these are too many."""
    grid, factor = TileGrid(shape, tile, panels), 1
    while len(grid) > MOST_BLOCKS and grid.per_panel > 1:
        factor *= 2
        grid = TileGrid(shape, (tile[0] * factor, tile[1] * factor), panels)
    return grid


def _part(source: Source, tile: Tile) -> NDArray[np.float32]:
    """Read a rectangle; of a store, against the checksums of its tiles."""
    if source.checked is not None:
        return source.checked.read(tile)
    try:
        part = source.pixels[pixels_of(source.pixels, tile)]
        return np.asarray(part, dtype=np.float32)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileError(
            f"{source.name}: slow {tile.slow0} to {tile.slow1 - 1}, fast {tile.fast0} to"
            f" {tile.fast1 - 1} cannot be read: {what}"
        ) from error

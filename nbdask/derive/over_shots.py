"""Pictures of several shots of a series: their sum, their maximum, and which shots are meant."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.assembly import Plane, open_levels
from nbdask.errors import InputError
from nbdask.plan.tiles import Tile
from nbdask.store.checked import CheckedImage, overlapping
from nbdask.store.levels import Flags, Levels
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader

#: How shots are put on top of one another.
Over = Literal["sum", "max"]


class OverShots(CheckedImage):
    """The sum, or the brightest value, of each pixel over shots; one shot is held at a time.

    Parameters
    ----------
    reader : StoreReader
        Of the whole series.
    shots : range
    over : str
        ``"sum"`` or ``"max"``.
    """

    def __init__(self, reader: StoreReader, shots: range, over: Over) -> None:
        super().__init__(reader, missing=True)
        self._shots, self._over = shots, over
        self._there = reader.done()

    def read(self, part: Tile) -> NDArray[np.float32]:
        """Return pixels of the part's panel, of the shots that are computed; NaN where none is.

        Sums are made in float64, in the order of the shots.

        Raises
        ------
        StoreError
            A tile is damaged or cannot be read; it is named.
        """
        result = np.full(part.shape, np.nan)
        for shot in self._shots:
            here = part._replace(shot=shot)
            if not self._there[overlapping(self._reader.grid, here)].any():
                continue
            pixels = super().read(here)
            if self._over == "max":
                result = np.fmax(result, pixels)
            else:
                unknown = np.isnan(result)
                more = np.where(np.isnan(pixels), np.where(unknown, np.nan, 0.0), pixels)
                result = np.where(unknown, 0.0, result) + more
        return result.astype(np.float32)

    def done(self) -> Flags:
        """Return which tiles are computed for each shot, (shots, panels, rows, columns)."""
        grid = self._reader.grid
        flags: Flags = self._there.reshape(grid.shots, grid.panels, *grid.counts)
        return flags[self._shots.start : self._shots.stop : self._shots.step]


def levels_over(
    store: str | os.PathLike[str] | Place, shots: range, over: Over, plane: Plane | None = None
) -> tuple[Levels, Flags]:
    """Return shots on top of one another as the image of a store, and what of them is computed.

    Parameters
    ----------
    store : path, address or Place
        Of a series.
    shots : range
    over : str
    plane : Plane, optional
        As for :func:`~nbdask.derive.assembly.open_levels`.

    Returns
    -------
    levels : Levels
        Without coarser ones; its geometry is that of the first of the shots.
    done : bool array
        (shots, panels, rows, columns) of tiles.
    """
    levels = open_levels(store, shots[0], plane)
    image = OverShots(StoreReader(levels.place), shots, over)
    levels.replace_image(image)
    return levels, image.done()


def parse_shots(text: str | None, reader: StoreReader) -> range:
    """Return the shots that FIRST:END[:STEP] names; END is not among them, either may be left out.

    Raises
    ------
    InputError
        The store is none of a series, the text is no range, or shots are outside.
    """
    count = reader.grid.shots
    if not count:
        given = "" if text is None else f" {text}"
        raise InputError(f"--shots{given}: {reader.path} holds one image: leave --shots out")
    if text is None:
        return range(count)
    wrong = InputError(
        f"--shots {text}: {reader.path} holds {count} shots: must be FIRST:END or FIRST:END:STEP"
        f" within 0:{count}, END not included"
    )
    words = text.split(":")
    if not 2 <= len(words) <= 3 or not all(w.isascii() and (not w or w.isdigit()) for w in words):
        raise wrong
    first, end = int(words[0] or 0), int(words[1] or count)
    step = int(words[2] or 1) if len(words) > 2 else 1
    if not (0 <= first < end <= count and step > 0):
        raise wrong
    return range(first, end, step)

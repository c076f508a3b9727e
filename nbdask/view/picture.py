"""Pictures of a store's image: any size of image, bounded memory, unfinished tiles in grey."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nbdask.derive.assembly import AssembledLevels, geometry_of, open_levels
from nbdask.derive.canvas import factor_for, reduce_image
from nbdask.errors import InputError
from nbdask.files import check_target, whole_file
from nbdask.plan.tiles import Tile
from nbdask.store.levels import MAX, Levels
from nbdask.view.contrast import Contrast, choose
from nbdask.view.figure import DPI, check_style, draw, spot_text
from nbdask.view.spots import Spot, brightest
from nbdask.view.style import Style

#: Kinds of pictures.
SUFFIXES = (".png", ".svg", ".pdf")
#: Of zlib: the usual 6 takes three times as long for files that are a little smaller.
_COMPRESSION = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """What :func:`preview` drew.

    Attributes
    ----------
    path : Path
    region : Tile
        Pixels of the image that are shown.
    factor : int
        Pixels of the image along each side of a pixel of the picture.
    contrast : Contrast
        Photons at the ends of the colour scale.
    missing : float
        Part of the region that is not computed yet, 0 to 1.
    spots : tuple of Spot
    labels : tuple of str
        Nearest Miller indices and resolution of each spot.
    unit : str
        What a pixel counts.
    """

    path: Path
    region: Tile
    factor: int
    contrast: Contrast
    missing: float
    spots: tuple[Spot, ...]
    labels: tuple[str, ...]
    unit: str


def preview(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    roi: tuple[int, int, int, int] | None = None,
    style: Style | None = None,
    overwrite: bool = False,
) -> Preview:
    """Draw a picture of a store's image.

    Parameters
    ----------
    store : path or str
        The store, or its address; it may be unfinished.
    path : path or str
        File to write: .png, .svg or .pdf.
    roi : slow0, slow1, fast0, fast1, optional
        First and last pixels to show, both included; None: the whole image.
    style : Style, optional
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        A style, region or file name that cannot be used.
    StoreError
        There is no store, or a file of it is damaged.
    """
    style, target = style or Style(), Path(path)
    check_style(style)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"-o {path}: the name must end in {', '.join(SUFFIXES)}")
    check_target(target, "-o", InputError, overwrite=overwrite)
    levels = open_levels(store)
    region = region_of(roi, levels.grid.shape)
    factor = factor_for(region, style.size)
    assembled = isinstance(levels, AssembledLevels)
    # A part of a picture of panels is drawn as far as it is there.
    done = [np.ones(levels.grid.counts, dtype=np.bool_)] if assembled else None
    canvas = reduce_image(levels, region, factor, style.downsample, done)
    found: list[Spot] = []
    if style.spots:
        highest = canvas
        if style.downsample != MAX:
            highest = reduce_image(levels, region, factor, MAX, done)
        found = brightest(levels, highest, region, style.spots)
    contrast = choose(canvas.values(), log=style.log, percentile=style.percentile)
    figure = draw(levels, canvas, region, style, contrast, found)
    # Of images, the smallest file takes longest by far.
    is_png = target.suffix.lower() == ".png"
    options: Any = {"pil_kwargs": {"compress_level": _COMPRESSION}} if is_png else {}
    with whole_file(target, "-o", InputError) as fresh:
        figure.savefig(fresh, dpi=DPI, **options)
    # Between panels there is nothing to be computed: of several, tiles are counted.
    lacking = ~levels.reader.done() if assembled else np.isnan(canvas.values())
    missing = float(lacking.mean())
    labels = _labels(levels, found)
    unit = levels.reader.unit
    return Preview(target, region, factor, contrast, missing, tuple(found), labels, unit)


def _labels(levels: Levels, spots: list[Spot]) -> tuple[str, ...]:
    """Return what spots are: nearest Miller indices, resolution."""
    if not spots:
        return ()
    geometry = geometry_of(levels)
    return tuple(
        f"{_place(levels, spot)}h k l {spot_text(geometry, spot)},"
        f" {float(geometry.resolution(spot.slow, spot.fast)) * 1e10:.4g} Angstrom"
        for spot in spots
    )


def _place(levels: Levels, spot: Spot) -> str:
    """Return panel and pixel of a spot on a picture of several panels."""
    if not isinstance(levels, AssembledLevels):
        return ""
    found = levels.plane.find(spot.slow, spot.fast)
    if found is None:
        return ""
    name = levels.reader.panels[found[0]].name
    return f"panel {name} slow {round(found[1])} fast {round(found[2])}, "


def region_of(roi: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> Tile:
    """Return the region that first and last pixels name.

    Parameters
    ----------
    roi : slow0, slow1, fast0, fast1, or None
        Both ends included; None: all.
    shape : tuple of int
        Pixels of the image, (slow, fast).

    Raises
    ------
    InputError
        Outside the image, or with swapped ends.
    """
    if roi is None:
        return Tile(0, shape[0], 0, shape[1])
    slow0, slow1, fast0, fast1 = roi
    if not (0 <= slow0 <= slow1 < shape[0] and 0 <= fast0 <= fast1 < shape[1]):
        raise InputError(
            f"--roi {slow0} {slow1} {fast0} {fast1}: first and last pixel, slow then fast, must be"
            f" within 0 to {shape[0] - 1} and 0 to {shape[1] - 1}, the first not after the last"
        )
    return Tile.within(roi)

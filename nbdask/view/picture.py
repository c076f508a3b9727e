"""Pictures of a store's image: any size of image, bounded memory, unfinished tiles in grey."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nbdask.derive.assembly import AssembledLevels, geometry_of, open_levels
from nbdask.derive.canvas import Canvas, factor_for, reduce_image
from nbdask.derive.masked import masked_pixels
from nbdask.derive.over_shots import Over, levels_over
from nbdask.errors import InputError
from nbdask.files import check_target, whole_file
from nbdask.plan.tiles import Tile
from nbdask.store.levels import MAX, Flags, Levels
from nbdask.store.reader import StoreReader
from nbdask.view.contrast import Contrast, centre_of, choose
from nbdask.view.figure import DPI, check_style, draw, spot_text
from nbdask.view.sheet import MOST_SHOTS, draw_sheet, layout
from nbdask.view.spots import Spot, brightest
from nbdask.view.style import Style

#: Kinds of pictures.
SUFFIXES = (".png", ".svg", ".pdf")
#: What the picture of shots on top of one another is called.
_OVER = {"sum": "sum", "max": "brightest"}
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
    bright : bool
        Whether a pixel of the region is above 0.
    """

    path: Path
    region: Tile
    factor: int
    contrast: Contrast
    missing: float
    spots: tuple[Spot, ...]
    labels: tuple[str, ...]
    unit: str
    bright: bool = True


def preview(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    roi: tuple[int, int, int, int] | None = None,
    style: Style | None = None,
    overwrite: bool = False,
    shots: range | None = None,
    over: Over | None = None,
) -> Preview:
    """Draw a picture of a store's image, or of shots of a series.

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
    shots : range, optional
        Of a series: one is drawn as any image, several as a contact sheet.  None: the first, or
        all with ``over``.
    over : str, optional
        Draw the ``"sum"`` of the shots, or their ``"max"``, as one image.

    Raises
    ------
    InputError
        A style, region or file name that cannot be used, shots of a store of one image.
    StoreError
        There is no store, or a file of it is damaged.
    """
    style, target = style or Style(), Path(path)
    check_style(style)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"-o {path}: the name must end in {', '.join(SUFFIXES)}")
    check_target(target, "-o", InputError, overwrite=overwrite)
    reader = StoreReader(store)
    chosen = _chosen(reader, shots, over, style)
    if chosen is not None and over is None and len(chosen) > 1:
        drawn, figure = _sheet(reader, chosen, roi, style)
    else:
        drawn, figure = _one(reader, chosen, over, roi, style)
    # Of images, the smallest file takes longest by far.
    is_png = target.suffix.lower() == ".png"
    options: Any = {"pil_kwargs": {"compress_level": _COMPRESSION}} if is_png else {}
    with whole_file(target, "-o", InputError) as fresh:
        figure.savefig(fresh, dpi=DPI, **options)
    return replace(drawn, path=target)


def _chosen(
    reader: StoreReader, shots: range | None, over: Over | None, style: Style
) -> range | None:
    """Return the shots that are drawn; None: the store is none of a series."""
    count = reader.grid.shots
    if not count:
        if shots is not None or over is not None:
            word = "--shots" if over is None else f"--{over}"
            raise InputError(f"{word}: {reader.path} holds one image: leave {word} out")
        return None
    if shots is None:
        shots = range(count if over else 1)
    if not shots:
        raise InputError(f"--shots: {shots} holds no shot")
    for shot in (shots[0], shots[-1]):
        reader.checked_shot(shot)
    if over is None and len(shots) == 1:
        return shots
    if over is None and len(shots) > MOST_SHOTS:
        raise InputError(
            f"--shots: a sheet of {len(shots)} shots: must be at most {MOST_SHOTS}; --shots"
            f" {shots.start}:{shots.stop}:{-(-len(shots) // MOST_SHOTS) * shots.step} takes fewer"
        )
    refused = {"--spots": bool(style.spots)}
    if over is None:
        refused |= {"--resolution-rings": style.rings, "--axes mm": style.axes == "mm"}
    for word, given in refused.items():
        if given:
            raise InputError(f"{word}: is for the picture of one shot: give --shot N, or leave it")
    return shots


def _sheet(
    reader: StoreReader,
    shots: range,
    roi: tuple[int, int, int, int] | None,
    style: Style,
) -> tuple[Preview, Figure]:
    """Draw a contact sheet; shots are read one after another, reduced to what is drawn."""
    levels = open_levels(reader.place, shots[0])
    plane = levels.plane if isinstance(levels, AssembledLevels) else None
    region = region_of(roi, levels.grid.shape)
    _, _, box = layout(len(shots), region.shape, style.size)
    factor = factor_for(region, max(box))
    canvases, missing = [], 0.0
    for shot in shots:
        levels = open_levels(reader.place, shot, plane)
        done = _all_there(levels) if plane is not None else None
        canvas = _reduced(levels, region, factor, style.downsample, done)
        lacking = (~levels.reader.done()).mean() if plane is not None else canvas.lacking()
        missing += float(lacking) / len(shots)
        canvases.append(canvas)
    values = np.concatenate([canvas.values().ravel() for canvas in canvases])
    contrast = _contrast(style, values)
    figure = draw_sheet(levels, shots, canvases, region, style, contrast)
    unit, bright = levels.reader.unit, bool((values > 0.0).any())
    return Preview(Path(), region, factor, contrast, missing, (), (), unit, bright), figure


def _contrast(
    style: Style, values: NDArray[np.float32], centre: tuple[float, float] | None = None
) -> Contrast:
    """Return the ends of the colours: those of the style, or chosen."""
    if style.ends is not None:
        return Contrast(*style.ends)
    return choose(values, log=style.log, percentile=style.percentile, centre=centre)


def _reduced(
    levels: Levels, region: Tile, factor: int, kind: str, done: list[Flags] | None
) -> Canvas:
    """Read a region, reduced; masked pixels are NaN, and grey like the space between panels."""
    canvas = reduce_image(levels, region, factor, kind, done)
    canvas.hidden = masked_pixels(levels, canvas.region, factor)
    return canvas


def _all_there(levels: Levels) -> list[Flags]:
    """Let a part of a picture of panels be drawn as far as it is there."""
    return [np.ones(levels.grid.counts, dtype=np.bool_)]


def _one(
    reader: StoreReader,
    shots: range | None,
    over: Over | None,
    roi: tuple[int, int, int, int] | None,
    style: Style,
) -> tuple[Preview, Figure]:
    """Draw one image, or shots on top of one another."""
    flags, title = None, ""
    if shots is None:
        levels = open_levels(reader.place)
    elif over is None:
        levels = open_levels(reader.place, shots[0])
        title = f"shot {shots[0]} of {reader.grid.shots}"
    else:
        levels, flags = levels_over(reader.place, shots, over)
        title = f"{_OVER[over]} of {len(shots)} shots"
    region = region_of(roi, levels.grid.shape)
    factor = factor_for(region, style.size)
    assembled = isinstance(levels, AssembledLevels)
    done = _all_there(levels) if assembled else None
    if flags is not None and not assembled:
        done = [np.asarray(flags.any(axis=(0, 1)))]
    canvas = _reduced(levels, region, factor, style.downsample, done)
    found: list[Spot] = []
    if style.spots:
        highest = canvas
        if style.downsample != MAX:
            highest = _reduced(levels, region, factor, MAX, done)
        found = brightest(levels, highest, region, style.spots)
    centre = centre_of(canvas.region, factor, geometry_of(levels).beam_centre)
    contrast = _contrast(style, canvas.values(), centre)
    figure = draw(levels, canvas, region, style, contrast, found, title)
    # Between panels there is nothing to be computed: of several, tiles are counted.
    tiles = flags if flags is not None else levels.reader.done() if assembled else None
    missing = canvas.lacking() if tiles is None else float((~tiles).mean())
    labels = _labels(levels, found)
    unit, bright = levels.reader.unit, bool((canvas.values() > 0.0).any())
    spots = tuple(found)
    drawn = Preview(Path(), region, factor, contrast, missing, spots, labels, unit, bright)
    return drawn, figure


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

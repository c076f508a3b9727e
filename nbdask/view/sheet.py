"""Contact sheets: many shots of a series side by side, in one scale of colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nbdask.derive.canvas import Canvas
from nbdask.plan.tiles import Tile
from nbdask.store.levels import Levels
from nbdask.view.contrast import Contrast
from nbdask.view.figure import DPI, add_bar, scale_of
from nbdask.view.style import MISSING, Style

#: Most shots of a sheet, and the least side of one [pixels of the picture].
MOST_SHOTS, LEAST_SIDE = 400, 40
#: Height of a title, space between shots, and around all of them [pixels].
_TITLE, _GAP, _MARGIN = 18, 6, 12
#: Space for the name of the store above, and for the colour bar on the right [pixels].
_TOP, _RIGHT = 30, 110


def layout(count: int, shape: tuple[int, int], size: int) -> tuple[int, int, tuple[int, int]]:
    """Return rows and columns of a sheet about as wide as high, and the pixels of one shot.

    Parameters
    ----------
    count : int
    shape : tuple of int
        Pixels of what is shown of a shot, (slow, fast).
    size : int
        Longer side of the sheet [pixels].
    """
    columns = min(count, max(1, math.ceil(math.sqrt(count * shape[0] / shape[1]))))
    rows = -(-count // columns)
    scale = min(size / (columns * shape[1]), size / (rows * shape[0]))
    slow, fast = (max(LEAST_SIDE, round(side * scale)) for side in shape)
    return rows, columns, (slow, fast)


def draw_sheet(
    levels: Levels,
    shots: range,
    canvases: Sequence[Canvas],
    region: Tile,
    style: Style,
    contrast: Contrast,
) -> Figure:
    """Draw shots row by row, each below its number.

    Parameters
    ----------
    levels : Levels
        Of one of the shots.
    shots : range
    canvases : sequence of Canvas
        One for each shot.
    region : Tile
        What is shown of each.
    style : Style
    contrast : Contrast
        Of all shots.
    """
    rows, columns, (slow, fast) = layout(len(shots), region.shape, style.size)
    width = 2 * _MARGIN + columns * (fast + _GAP) + _RIGHT
    height = 2 * _MARGIN + rows * (slow + _TITLE + _GAP) + _TOP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    colours = matplotlib.colormaps[style.colormap].with_extremes(bad=MISSING)
    norm = scale_of(style, contrast)
    shown = None
    for number, (shot, canvas) in enumerate(zip(shots, canvases, strict=True)):
        row, column = divmod(number, columns)
        left = _MARGIN + column * (fast + _GAP)
        below = height - _MARGIN - _TOP - (row + 1) * (slow + _TITLE + _GAP) + _GAP
        axes = figure.add_axes((left / width, below / height, fast / width, slow / height))
        values = canvas.values()
        if style.log:
            values = np.where(values < contrast.low, np.float32(contrast.low), values)
        edges = [edge - 0.5 for edge in canvas.region]
        shown = axes.imshow(
            np.ma.masked_invalid(values),
            norm=norm,
            cmap=colours,
            extent=(edges[2], edges[3], edges[1], edges[0]),
            aspect="auto",
        )
        axes.set_xlim(region.fast0 - 0.5, region.fast1 - 0.5)
        axes.set_ylim(region.slow1 - 0.5, region.slow0 - 0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{shot}", fontsize=8, pad=3)
    assert shown is not None
    name = Path(str(levels.place.name)).name
    text = f"{name}   shots {shots[0]} to {shots[-1]}"
    text += f" in steps of {shots.step}" if shots.step > 1 and len(shots) > 1 else ""
    at = 1.0 - (_MARGIN + 0.4 * _TOP) / height
    figure.text(_MARGIN / width, at, text, fontsize=9, va="center")
    bar = figure.add_axes(
        (
            (_MARGIN + columns * (fast + _GAP) + 6) / width,
            _MARGIN / height,
            16 / width,
            max(60, height - 2 * _MARGIN - _TOP - _TITLE) / height,
        )
    )
    add_bar(figure, bar, shown, (levels.reader.unit, style.log), contrast, canvases)
    return figure

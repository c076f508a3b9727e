"""A store's image drawn by matplotlib, with scale, rings and spots."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from nbdask.derive.assembly import geometry_of
from nbdask.derive.canvas import Canvas
from nbdask.derive.directions import Directions
from nbdask.errors import InputError
from nbdask.plan.tiles import Tile
from nbdask.store import schema
from nbdask.store.levels import KINDS, Levels
from nbdask.view.contrast import Contrast
from nbdask.view.labels import label_positions
from nbdask.view.spots import Spot
from nbdask.view.style import MISSING, RINGS, SPOTS, Style

DPI = 100
#: Space around the image for titles, numbers and the colour bar [pixels].
_MARGIN = (90, 150, 70, 60)  # left, right, bottom, top
LEAST, MOST = 64, 16384
#: Height and width of the name of a ring or spot [pixels of the picture].
_NAME = (22.0, 56.0)
#: Where the numbers of a logarithmic bar are plain ones.
_PLAIN = (0.01, 1e5)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def check_style(style: Style) -> None:
    """Refuse a style that cannot be drawn.

    Raises
    ------
    InputError
        Naming the option.
    """
    if style.colormap not in matplotlib.colormaps:
        close = difflib.get_close_matches(style.colormap, list(matplotlib.colormaps), n=1)
        hint = f"did you mean {close[0]}?" if close else "such as inferno, viridis, gray_r"
        raise InputError(f"--colormap {style.colormap}: unknown to matplotlib ({hint})")
    if style.percentile is not None and not 0.0 < style.percentile <= 100.0:
        raise InputError(f"--percentile {style.percentile:g}: must be above 0 and at most 100")
    if style.ends is not None:
        low, high = style.ends
        if not (math.isfinite(low) and low < high < math.inf and (low > 0.0 or not style.log)):
            allowed = "LOW < HIGH, with logarithmic colours LOW above 0 (or use --linear)"
            raise InputError(f"--range {low:g} {high:g}: must be {allowed}")
        if style.percentile is not None:
            raise InputError("--range: leave out --percentile, which is about the last colour too")
    if not LEAST <= style.size <= MOST:
        raise InputError(f"--size {style.size}: must be {LEAST} to {MOST} pixels")
    if style.downsample not in KINDS:
        raise InputError(f"--downsample {style.downsample}: must be {' or '.join(KINDS)}")
    if style.spots < 0:
        raise InputError(f"--spots {style.spots}: must be at least 0")


def draw(
    levels: Levels,
    canvas: Canvas,
    region: Tile,
    style: Style,
    contrast: Contrast,
    spots: list[Spot],
    shots: str = "",
) -> Figure:
    """Draw everything; ``shots`` is said in the title."""
    scale = levels.pixel_size * 1e3 if style.axes == "mm" else 1.0
    box = _box(region, style.size)
    left, right, bottom, top = _MARGIN
    width, height = box[1] + left + right, box[0] + bottom + top
    # Agg without pyplot: no display is needed, and no figure is kept alive.
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((left / width, bottom / height, box[1] / width, box[0] / height))
    shown = _draw_image(axes, canvas, style, contrast, scale)
    # The edge of the first pixel is half a pixel before its centre.
    offset = 0.0 if style.axes == "mm" else -0.5
    axes.set_xlim(region.fast0 * scale + offset, region.fast1 * scale + offset)
    axes.set_ylim(region.slow1 * scale + offset, region.slow0 * scale + offset)
    unit = "mm" if style.axes == "mm" else "pixels"
    axes.set_xlabel(f"fast [{unit}]")
    axes.set_ylabel(f"slow [{unit}]")
    axes.set_title(_title(levels, canvas, style, shots), fontsize=9, loc="left")
    bar = figure.add_axes(
        ((left + box[1] + 15) / width, bottom / height, 18 / width, box[0] / height)
    )
    add_bar(figure, bar, shown, (levels.reader.unit, style.log), contrast, [canvas])
    if style.rings or spots:
        geometry = geometry_of(levels)
        to_axis = _PixelScale(scale, 0.5 if style.axes == "mm" else 0.0)
        if style.rings:
            pixel = max(region.shape) / max(box)
            _draw_rings(axes, geometry, region, to_axis, (canvas, contrast, pixel), spots)
        _draw_spots(axes, geometry, spots, to_axis)
    return figure


def add_bar(
    figure: Figure,
    where: Axes,
    shown: Any,
    scale: tuple[str, bool],
    contrast: Contrast,
    canvases: Sequence[Canvas],
) -> None:
    """Draw the colour bar: unit and whether it is logarithmic, with tips where pixels exceed it."""
    unit, log = scale
    ends = {(True, True): "both", (True, False): "max", (False, True): "min"}
    over = any(bool((canvas.values() > contrast.high).any()) for canvas in canvases)
    under = any(bool((canvas.values() < contrast.low).any()) for canvas in canvases)
    numbers = FuncFormatter(write_alike(contrast)) if log else None
    bar = figure.colorbar(
        shown,
        cax=where,
        label=f"{unit} per pixel",
        extend=ends.get((over, under), "neither"),
        format=numbers,
    )
    if numbers is not None:
        # There may be no power of ten on it, and the numbers between are told instead.
        few = contrast.high < 10.0 * contrast.low
        bar.ax.yaxis.set_minor_formatter(numbers if few else NullFormatter())


def scale_of(style: Style, contrast: Contrast) -> Normalize:
    """Return the scale of the colours."""
    return (LogNorm if style.log else Normalize)(contrast.low, contrast.high)


def write_alike(contrast: Contrast) -> Callable[..., str]:
    """Return what writes the numbers of a bar: all of them as powers of ten, or none."""
    plain = contrast.low >= _PLAIN[0] and contrast.high < _PLAIN[1]

    def text(value: float, _: object = None) -> str:
        return f"{value:.6g}" if plain else power_text(value, plain=False)

    return text


def power_text(value: float, plain: bool = True) -> str:
    """Return a number on a logarithmic scale; typesetting it as mathematics takes far longer.

    Parameters
    ----------
    value : float
    plain : bool
        Write 0.1 to 9999 as they are.
    """
    if not value > 0.0:
        return ""
    exponent = math.floor(math.log10(value) + 1e-9)
    digits = value / 10.0**exponent
    if plain and -1 <= exponent <= 3:
        return f"{value:g}"
    power = "10" + str(exponent).translate(_SUPERSCRIPTS)
    return power if abs(digits - 1.0) < 1e-6 else f"{digits:.3g}×{power}"


def _box(region: Tile, size: int) -> tuple[int, int]:
    """Return height and width of the image in the picture [pixels]."""
    longest = max(region.shape)
    # Small images are enlarged, so that a picture is never tiny; long ones keep some width.
    height, width = (max(40, round(side * size / longest)) for side in region.shape)
    return height, width


def _draw_image(axes: Axes, canvas: Canvas, style: Style, contrast: Contrast, scale: float) -> Any:
    """Draw the image itself."""
    colours = matplotlib.colormaps[style.colormap].with_extremes(bad=MISSING)
    values = canvas.values()
    if style.log:
        # Zeros and fainter pixels get the first colour.
        values = np.where(values < contrast.low, np.float32(contrast.low), values)
    offset = 0.0 if style.axes == "mm" else -0.5
    edges = [edge * scale + offset for edge in canvas.region]
    return axes.imshow(
        np.ma.masked_invalid(values),
        norm=scale_of(style, contrast),
        cmap=colours,
        extent=(edges[2], edges[3], edges[1], edges[0]),
        interpolation="nearest" if canvas.factor == 1 else "auto",
        aspect="auto",
    )


def _title(levels: Levels, canvas: Canvas, style: Style, shots: str) -> str:
    """Return what is written above the image."""
    slow, fast = levels.grid.shape
    name = Path(str(levels.place.name)).name
    text = f"{name}   {shots}   " if shots else f"{name}   "
    text += f"{slow} × {fast} pixels"
    if levels.reader.grid.panels > 1:
        text += f", {levels.reader.grid.panels} panels"
    if canvas.factor > 1:
        text += f"   ({style.downsample} of {canvas.factor} × {canvas.factor})"
    if levels.reader.attributes["status"] != schema.COMPLETE:
        text += "   unfinished: grey is not computed yet"
    return text


@dataclass(frozen=True, slots=True)
class _PixelScale:
    """Turns pixel coordinates into those of the axes."""

    scale: float
    shift: float

    def __call__(self, value: Any) -> Any:
        """Return where a pixel coordinate is."""
        return (value + self.shift) * self.scale


def _box_behind() -> dict[str, Any]:
    """Return a dark box for letters, which stand on any colour."""
    return {"boxstyle": "round,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.75}


def _draw_rings(
    axes: Axes,
    geometry: Directions,
    region: Tile,
    to_axis: _PixelScale,
    drawn: tuple[Canvas, Contrast, float],
    spots: list[Spot],
) -> None:
    """Draw beam centre and rings, each with its resolution where the image is dark."""
    slow, fast = geometry.beam_centre
    casing = [withStroke(linewidth=2.5, foreground="black", alpha=0.5), Normal()]
    axes.plot(
        to_axis(fast), to_axis(slow), marker="+", markersize=12, color=RINGS, path_effects=casing
    )
    rings = [(d, geometry.ring(d, region)) for d in geometry.rings(region)]
    rings = [(d, lines) for d, lines in rings if lines]
    for _, lines in rings:
        for line in lines:
            axes.plot(
                to_axis(line[:, 1]),
                to_axis(line[:, 0]),
                linestyle="--",
                linewidth=1.0,
                color=RINGS,
                path_effects=casing,
            )
    canvas, contrast, pixel = drawn
    points = label_positions(
        [lines for _, lines in rings],
        canvas.values(),
        canvas.region,
        contrast,
        (_NAME[0] * pixel, _NAME[1] * pixel),
        [(spot.slow, spot.fast + _NAME[1] * pixel / 2.0) for spot in spots],
    )
    for (d, _), at in zip(rings, points, strict=True):
        axes.annotate(
            f"{d * 1e10:.3g} Å",
            (to_axis(at[1]), to_axis(at[0])),
            color=RINGS,
            fontsize=9,
            ha="center",
            va="center",
            annotation_clip=True,
            bbox=_box_behind(),
        )


def _draw_spots(axes: Axes, geometry: Directions, spots: list[Spot], to_axis: _PixelScale) -> None:
    """Mark spots, each with its Miller indices."""
    for spot in spots:
        at = (to_axis(spot.fast), to_axis(spot.slow))
        axes.plot(*at, marker="o", markersize=12, fillstyle="none", color=SPOTS)
        axes.annotate(
            spot_text(geometry, spot),
            at,
            textcoords="offset points",
            xytext=(8, 5),
            color=SPOTS,
            fontsize=9,
            annotation_clip=True,
            bbox=_box_behind(),
        )


def spot_text(geometry: Directions, spot: Spot) -> str:
    """Return the Miller indices that most likely make a spot."""
    return " ".join(f"{n}" for n in geometry.spot_index(spot.slow, spot.fast))

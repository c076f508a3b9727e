"""Pictures of a store's image: any size of image, bounded memory, unfinished tiles in grey."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nbdask.derive.canvas import Canvas, factor_for, reduce_image
from nbdask.derive.directions import Directions
from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.files import whole_file
from nbdask.plan.tiles import Tile
from nbdask.store import schema
from nbdask.store.levels import KINDS, MAX, Levels
from nbdask.view.contrast import Contrast, choose
from nbdask.view.files import check_picture
from nbdask.view.labels import label_places
from nbdask.view.spots import Spot, brightest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour of pixels that are not computed yet.
MISSING = "#808080"
#: Colours of rings and of marked spots, which inferno does not have.
RINGS, SPOTS = "#7fd4ff", "#9cff7f"
_DPI = 100
#: Space around the image for titles, numbers and the colour bar [pixels].
_MARGIN = (90, 150, 70, 60)  # left, right, bottom, top
LEAST, MOST = 64, 16384
#: Height and width of the name of a ring or spot [pixels of the picture].
_NAME = (22.0, 56.0)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Of zlib: the usual 6 takes three times as long for files that are a little smaller.
_COMPRESSION = 3


@dataclass(frozen=True, slots=True)
class Style:
    """How a picture is drawn.

    Parameters
    ----------
    log : bool
        Logarithmic colours; else linear from 0.
    percentile : float, optional
        Percentile of the pixels above 0 that gets the last colour; None: chosen.
    colormap : str
        Name of one of matplotlib's colour maps.
    rings : bool
        Rings of equal resolution, and the beam centre.
    spots : int
        Mark so many of the brightest spots, with their Miller indices.
    downsample : str
        ``"max"`` (no spot is lost) or ``"mean"`` (photons per pixel are kept).
    size : int
        Most pixels of the image along its longer side.
    axes : str
        ``"pixels"`` or ``"mm"`` from the corner of the detector.
    """

    log: bool = True
    percentile: float | None = None
    colormap: str = "inferno"
    rings: bool = False
    spots: int = 0
    downsample: str = MAX
    size: int = 1000
    axes: Literal["pixels", "mm"] = "pixels"


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
        Replace a file that is there already.

    Returns
    -------
    Preview

    Raises
    ------
    InputError
        A style, region or file name that cannot be used.
    StoreError
        There is no store, or a file of it is damaged.
    """
    style, target = style or Style(), Path(path)
    check_style(style)
    check_picture(target, overwrite, store)
    levels = Levels(store)
    region = region_of(roi, levels.grid.shape)
    factor = factor_for(region, style.size)
    canvas = reduce_image(levels, region, factor, style.downsample)
    found: list[Spot] = []
    if style.spots:
        highest = canvas
        if style.downsample != MAX:
            highest = reduce_image(levels, region, factor, MAX)
        found = brightest(levels, highest, region, style.spots)
    contrast = choose(canvas.values(), log=style.log, percentile=style.percentile)
    figure = _figure(levels, canvas, region, style, contrast, found)
    # Of images, the smallest file takes longest by far.
    options: dict[str, Any] = (
        {"pil_kwargs": {"compress_level": _COMPRESSION}} if _is_png(target) else {}
    )
    with whole_file(target, "-o", InputError) as fresh:
        figure.savefig(fresh, dpi=_DPI, **options)
    missing = float(np.isnan(canvas.values()).mean())
    labels = _labels(levels, found)
    unit = levels.reader.unit
    return Preview(target, region, factor, contrast, missing, tuple(found), labels, unit)


def _is_png(path: Path) -> bool:
    """Whether the picture's suffix is that of PNG."""
    return path.suffix.lower() == ".png"


def _labels(levels: Levels, spots: list[Spot]) -> tuple[str, ...]:
    """Return what spots are: nearest Miller indices, resolution."""
    if not spots:
        return ()
    geometry = Directions.of(Experiment.from_dict(levels.reader.attributes["experiment"]))
    return tuple(
        f"h k l {_index(geometry, spot)},"
        f" {float(geometry.resolution(spot.slow, spot.fast)) * 1e10:.4g} Angstrom"
        for spot in spots
    )


def _index(geometry: Directions, spot: Spot) -> str:
    """Return the Miller indices that most likely make a spot."""
    return " ".join(f"{n}" for n in geometry.spot_index(spot.slow, spot.fast))


def check_style(style: Style) -> None:
    """Refuse a style that cannot be drawn.

    Raises
    ------
    InputError
        Naming the option.
    """
    import matplotlib

    if style.colormap not in matplotlib.colormaps:
        import difflib

        close = difflib.get_close_matches(style.colormap, list(matplotlib.colormaps), n=1)
        hint = f"did you mean {close[0]}?" if close else "such as inferno, viridis, gray_r"
        raise InputError(f"--colormap {style.colormap}: matplotlib has no such colour map ({hint})")
    if style.percentile is not None and not 0.0 < style.percentile <= 100.0:
        raise InputError(f"--percentile {style.percentile:g}: must be above 0 and at most 100")
    if not LEAST <= style.size <= MOST:
        raise InputError(f"--size {style.size}: must be {LEAST} to {MOST} pixels")
    if style.downsample not in KINDS:
        raise InputError(f"--downsample {style.downsample}: must be {' or '.join(KINDS)}")
    if style.spots < 0:
        raise InputError(f"--spots {style.spots}: must be at least 0")


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
        It is outside the image, or has its ends the wrong way round.
    """
    if roi is None:
        return Tile(0, shape[0], 0, shape[1])
    slow0, slow1, fast0, fast1 = roi
    if not (0 <= slow0 <= slow1 < shape[0] and 0 <= fast0 <= fast1 < shape[1]):
        raise InputError(
            f"--roi {slow0} {slow1} {fast0} {fast1}: first and last pixel, slow then fast, must be"
            f" within 0 to {shape[0] - 1} and 0 to {shape[1] - 1}, the first not after the last"
        )
    return Tile(slow0, slow1 + 1, fast0, fast1 + 1)


def _figure(
    levels: Levels,
    canvas: Canvas,
    region: Tile,
    style: Style,
    contrast: Contrast,
    spots: list[Spot],
) -> Figure:
    """Draw everything."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    scale = levels.pixel_size * 1e3 if style.axes == "mm" else 1.0
    box = _box(region, style.size)
    left, right, bottom, top = _MARGIN
    width, height = box[1] + left + right, box[0] + bottom + top
    # Agg without pyplot: no display is looked for, and no figure is kept alive.
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((left / width, bottom / height, box[1] / width, box[0] / height))
    shown = _draw_image(axes, canvas, style, contrast, scale)
    # The edge of the first pixel is half a pixel before its centre.
    offset = 0.0 if style.axes == "mm" else -0.5
    axes.set_xlim(region.fast0 * scale + offset, region.fast1 * scale + offset)
    axes.set_ylim(region.slow1 * scale + offset, region.slow0 * scale + offset)
    unit = "mm" if style.axes == "mm" else "pixels"
    axes.set_xlabel(f"fast [{unit}]")
    axes.set_ylabel(f"slow [{unit}]")
    axes.set_title(_title(levels, canvas, style), fontsize=9, loc="left")
    bar = figure.add_axes(
        ((left + box[1] + 15) / width, bottom / height, 18 / width, box[0] / height)
    )
    ends = {(True, True): "both", (True, False): "max", (False, True): "min"}
    values = canvas.values()
    over, under = bool((values > contrast.high).any()), bool((values < contrast.low).any())
    figure.colorbar(
        shown,
        cax=bar,
        label=f"{levels.reader.unit} per pixel",
        extend=ends.get((over, under), "neither"),
        format=FuncFormatter(lambda value, _: power_text(value)) if style.log else None,
    )
    if style.rings or spots:
        geometry = Directions.of(Experiment.from_dict(levels.reader.attributes["experiment"]))
        place = _Place(scale, 0.5 if style.axes == "mm" else 0.0)
        if style.rings:
            pixel = max(region.shape) / max(box)
            _draw_rings(axes, geometry, region, place, (canvas, contrast, pixel), spots)
        _draw_spots(axes, geometry, spots, place)
    return figure


def power_text(value: float) -> str:
    """Return a number on a logarithmic scale; typesetting it as mathematics takes far longer."""
    if not value > 0.0:
        return ""
    exponent = math.floor(math.log10(value) + 1e-9)
    digits = value / 10.0**exponent
    if -1 <= exponent <= 3:
        return f"{value:g}"
    power = "10" + str(exponent).translate(_SUPERSCRIPTS)
    return power if abs(digits - 1.0) < 1e-6 else f"{digits:.3g}×{power}"


def _box(region: Tile, size: int) -> tuple[int, int]:
    """Return height and width of the image in the picture [pixels]."""
    longest = max(region.shape)
    # Small images are enlarged, so that a picture is never a stamp; long ones keep some width.
    height, width = (max(40, round(side * size / longest)) for side in region.shape)
    return height, width


def _draw_image(axes: Axes, canvas: Canvas, style: Style, contrast: Contrast, scale: float) -> Any:
    """Draw the image itself."""
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    colours = matplotlib.colormaps[style.colormap].with_extremes(bad=MISSING)
    values = canvas.values()
    if style.log:
        # No colour stands for nothing: zeros and what is fainter get the first one.
        values = np.where(values < contrast.low, np.float32(contrast.low), values)
        norm: Normalize = LogNorm(contrast.low, contrast.high)
    else:
        norm = Normalize(contrast.low, contrast.high)
    offset = 0.0 if style.axes == "mm" else -0.5
    edges = [edge * scale + offset for edge in canvas.region]
    return axes.imshow(
        np.ma.masked_invalid(values),
        norm=norm,
        cmap=colours,
        extent=(edges[2], edges[3], edges[1], edges[0]),
        interpolation="nearest" if canvas.factor == 1 else "auto",
        aspect="auto",
    )


def _title(levels: Levels, canvas: Canvas, style: Style) -> str:
    """Return what is written above the image."""
    slow, fast = levels.grid.shape
    text = f"{Path(str(levels.place.name)).name}   {slow} × {fast} pixels"
    if canvas.factor > 1:
        text += f"   ({style.downsample} of {canvas.factor} × {canvas.factor})"
    if levels.reader.attributes["status"] != schema.COMPLETE:
        text += "   unfinished: grey is not computed yet"
    return text


@dataclass(frozen=True, slots=True)
class _Place:
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
    place: _Place,
    drawn: tuple[Canvas, Contrast, float],
    spots: list[Spot],
) -> None:
    """Draw beam centre and rings, each with its resolution where the image is dark."""
    from matplotlib.patheffects import Normal, withStroke

    slow, fast = geometry.beam_centre
    casing = [withStroke(linewidth=2.5, foreground="black", alpha=0.5), Normal()]
    axes.plot(place(fast), place(slow), marker="+", markersize=12, color=RINGS, path_effects=casing)
    rings = [(d, geometry.ring(d, region)) for d in geometry.rings(region)]
    rings = [(d, lines) for d, lines in rings if lines]
    for _, lines in rings:
        for line in lines:
            axes.plot(
                place(line[:, 1]),
                place(line[:, 0]),
                linestyle="--",
                linewidth=1.0,
                color=RINGS,
                path_effects=casing,
            )
    canvas, contrast, pixel = drawn
    places = label_places(
        [lines for _, lines in rings],
        canvas.values(),
        canvas.region,
        contrast,
        (_NAME[0] * pixel, _NAME[1] * pixel),
        [(spot.slow, spot.fast + _NAME[1] * pixel / 2.0) for spot in spots],
    )
    for (d, _), at in zip(rings, places, strict=True):
        axes.annotate(
            f"{d * 1e10:.3g} Å",
            (place(at[1]), place(at[0])),
            color=RINGS,
            fontsize=9,
            ha="center",
            va="center",
            annotation_clip=True,
            bbox=_box_behind(),
        )


def _draw_spots(axes: Axes, geometry: Directions, spots: list[Spot], place: _Place) -> None:
    """Mark spots, each with its Miller indices."""
    for spot in spots:
        at = (place(spot.fast), place(spot.slow))
        axes.plot(*at, marker="o", markersize=12, fillstyle="none", color=SPOTS)
        axes.annotate(
            _index(geometry, spot),
            at,
            textcoords="offset points",
            xytext=(8, 5),
            color=SPOTS,
            fontsize=9,
            annotation_clip=True,
            bbox=_box_behind(),
        )

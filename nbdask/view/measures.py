"""Numbers of what the viewer shows: statistics of a region, profiles, places to go to."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.directions import Directions
from nbdask.errors import InputError
from nbdask.inputs.text import NUMBER
from nbdask.plan.tiles import Tile
from nbdask.view.scene import Scene, Window

Array = NDArray[np.float64]

#: How a place is written.
PLACES = "slow fast (a pixel), h k l, or a resolution such as 2.5 A"
#: Points along each edge of the grid on which a reflection is looked for, and refinements.
_GRID, _ROUNDS = 65, 30
#: Farthest from whole indices, in indices, at which a reflection counts as being on the detector.
_NEAR = 0.5
#: Most points of a line, and of a radial profile.
_MOST_POINTS, _RINGS = 2000, 200
_RESOLUTION = re.compile(rf"({NUMBER.pattern})\s*(?:A|Å|angstrom)", re.IGNORECASE)


class Goal(NamedTuple):
    """Where somebody wants to go: a pixel, or a resolution.

    Attributes
    ----------
    slow, fast : float
        Pixel; the beam centre for a resolution.
    text : str
        What it is.
    resolution : float or None
        [m]
    """

    slow: float
    fast: float
    text: str
    resolution: float | None = None


def goal_of(scene: Scene, text: str) -> Goal:
    """Return the place that a text names.

    Parameters
    ----------
    scene : Scene
    text : str
        See ``PLACES``.

    Raises
    ------
    InputError
        Another text, or a place that is not on the detector.
    """
    found = _RESOLUTION.fullmatch(text.strip())
    if found is not None and float(found[1]) > 0.0:
        d = float(found[1]) * 1e-10
        return Goal(*scene.geometry.beam_centre, f"{float(found[1]):g} Å", d)
    words = text.replace(",", " ").replace("(", " ").replace(")", " ").split()
    numbers = [float(word) for word in words if NUMBER.fullmatch(word)]
    if len(numbers) != len(words) or len(numbers) not in (2, 3):
        raise InputError(f"go to {text}: must be {PLACES}")
    slow_count, fast_count = scene.shape
    if len(numbers) == 2:
        slow, fast = numbers
        if not (0 <= slow < slow_count and 0 <= fast < fast_count):
            ends = f"0 to {slow_count - 1} (slow) and 0 to {fast_count - 1} (fast)"
            raise InputError(f"go to {text}: must be a pixel, {ends}")
        return Goal(slow, fast, f"pixel {slow:g}, {fast:g}")
    place = place_of_reflection(scene.geometry, numbers, scene.shape)
    name = " ".join(f"{x:g}" for x in numbers)
    if place is None:
        raise InputError(f"go to {text}: the reflection {name} does not reach the detector")
    return Goal(*place, f"h k l {name}")


def place_of_reflection(
    geometry: Directions, hkl: list[float], shape: tuple[int, int]
) -> tuple[float, float] | None:
    """Return where the detector sees indices that are nearest to ``hkl``; None: not near.

    Parameters
    ----------
    geometry : Directions
    hkl : list of 3 floats
    shape : (slow, fast)

    Returns
    -------
    (slow, fast) or None
        The pixel, in the middle of the rotation, whose fractional indices are nearest.
    """
    centre, half = np.array([(n - 1) / 2 for n in shape]), np.array([n / 2 for n in shape])
    best, least = centre, np.inf
    for number in range(_ROUNDS):
        axes = [np.linspace(c - h, c + h, _GRID) for c, h in zip(centre, half, strict=True)]
        slow, fast = np.meshgrid(*axes, indexing="ij")
        off = np.linalg.norm(geometry.miller(slow, fast) - np.array(hkl), axis=-1)
        at = np.unravel_index(int(np.argmin(off)), off.shape)
        best, least = np.array([slow[at], fast[at]]), float(off[at])
        centre, half = best, half / 4.0
        if half.max() < 0.05 and number:
            break
    inside = all(-0.5 <= x <= n - 0.5 for x, n in zip(best, shape, strict=True))
    return (float(best[0]), float(best[1])) if inside and least < _NEAR else None


def region_text(window: Window, region: Tile, unit: str) -> list[tuple[str, str]]:
    """Return the statistics of a region as rows of a table.

    Parameters
    ----------
    window : Window
        Of that region, of mean values; from which factor on pixels are combined it says.
    region : Tile
    unit : str
    """
    # A window may cover more.
    f, at = window.factor, window.region
    values = window.values[
        max(0, (region.slow0 - at.slow0) // f) : -(-(region.slow1 - at.slow0) // f),
        max(0, (region.fast0 - at.fast0) // f) : -(-(region.fast1 - at.fast0) // f),
    ]
    sound = values[np.isfinite(values)].astype(np.float64)
    size = f"{region.shape[0]} x {region.shape[1]} pixels"
    rows = [
        ("slow", f"{region.slow0} to {region.slow1 - 1}"),
        ("fast", f"{region.fast0} to {region.fast1 - 1}, {size}"),
    ]
    if sound.size == 0:
        return [*rows, ("intensity", "not computed yet, or masked")]
    sum_name = "sum" if f == 1 else f"sum, from means of {f} x {f}"
    return [
        *rows,
        (sum_name, f"{sound.sum() * f * f:.6g} {unit}"),
        ("mean, median", f"{sound.mean():.6g}, {np.median(sound):.6g}"),
        ("standard deviation", f"{sound.std():.6g}"),
        ("least, greatest", f"{sound.min():.6g}, {sound.max():.6g}"),
    ]


def line_profile(
    window: Window, start: tuple[float, float], end: tuple[float, float]
) -> tuple[Array, Array]:
    """Return distances from the start [pixels] and the values of the nearest pixels along a line.

    Parameters
    ----------
    window : Window
        That the line lies in.
    start, end : (slow, fast)
        In pixels of the image.
    """
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    count = int(min(_MOST_POINTS, max(2, np.ceil(length / window.factor) + 1)))
    part = np.linspace(0.0, 1.0, count)
    index = [
        np.floor((s + part * (e - s) + 0.5 - corner) / window.factor).astype(np.intp)
        for s, e, corner in zip(start, end, (window.region.slow0, window.region.fast0), strict=True)
    ]
    rows, columns = window.values.shape
    inside = (index[0] >= 0) & (index[0] < rows) & (index[1] >= 0) & (index[1] < columns)
    values = np.full(count, np.nan)
    values[inside] = window.values[index[0][inside], index[1][inside]]
    return part * length, values


def radial_profile(window: Window, geometry: Directions) -> tuple[Array, Array]:
    """Return 1/d [1/Angstrom] and the mean of the pixels in sight with that resolution.

    Parameters
    ----------
    window : Window
    geometry : Directions
    """
    region, f = window.region, window.factor
    rows, columns = window.values.shape
    slow = region.slow0 + (np.arange(rows) + 0.5) * f - 0.5
    fast = region.fast0 + (np.arange(columns) + 0.5) * f - 0.5
    with np.errstate(divide="ignore"):
        s = 1e-10 / np.asarray(geometry.resolution(slow[:, None], fast[None, :]))
    good = np.isfinite(window.values) & np.isfinite(s)
    if not good.any():
        return np.zeros(0), np.zeros(0)
    edges = np.linspace(s[good].min(), s[good].max() * (1.0 + 1e-9) + 1e-12, _RINGS + 1)
    bins = np.clip(np.searchsorted(edges, s[good], side="right") - 1, 0, _RINGS - 1)
    counts = np.bincount(bins, minlength=_RINGS)
    sums = np.bincount(bins, weights=window.values[good].astype(np.float64), minlength=_RINGS)
    filled = counts > 0
    return ((edges[:-1] + edges[1:]) / 2)[filled], sums[filled] / counts[filled]

"""Small pictures of regions and of the detector, as PNG."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from nbdask.parity.measures import FLOOR
from nbdask.parity.outcome import Outcome, Pictures, Thresholds

#: Longest side of a region's picture, and of the map [pixels].
SIDE, MAP_SIDE = 160, 640
#: Decades that pictures of intensities and of deviations show; the top of the latter.
_DECADES, _SPAN, _WORST = 4.0, 3.0, 1e-6
#: Colours from faint to bright.
_HEAT = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    dtype=np.float64,
)
#: From no deviation (blue) over the middle of what is allowed (green) to the bound (yellow).
_ALLOWED = np.array([(49, 84, 140), (38, 130, 142), (53, 183, 121), (253, 231, 37)], np.float64)
_BAD, _PAPER, _INK = (214, 39, 40), (245, 245, 245), (60, 60, 60)

Image = NDArray[np.float32]
Colours = NDArray[np.uint8]


def region_pictures(image: Image, reference: Image) -> Pictures:
    """Draw a region: the image, the reference on the same scale, and their deviation.

    Parameters
    ----------
    image, reference : (n_slow, n_fast) float32 arrays
    """
    with np.errstate(invalid="ignore", over="ignore"):
        b = np.nan_to_num(reference.astype(np.float64), posinf=0.0, neginf=0.0)
        a = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
        top = float(np.abs(b).max(initial=0.0))
        relative = np.abs(a - b) / np.maximum(np.abs(b), max(FLOOR * top, 1e-300))
    relative[np.isfinite(image) != np.isfinite(reference)] = 1.0
    floor = _WORST * 10.0**-_SPAN
    level = np.log10(np.maximum(_pooled(relative, SIDE), floor) / floor) / _SPAN
    return Pictures(
        _uri(_coloured(_log(_pooled(a, SIDE), top), _HEAT)),
        _uri(_coloured(_log(_pooled(b, SIDE), top), _HEAT)),
        _uri(_coloured(level.clip(0.0, 1.0), _HEAT)),
    )


def _log(values: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Map intensities to 0..1 on a logarithmic scale."""
    if top <= 0.0:
        return np.zeros_like(values)
    floor = top * 10.0**-_DECADES
    level: NDArray[np.float64] = np.log10(np.maximum(values, floor) / floor) / _DECADES
    return level.clip(0.0, 1.0)


def _pooled(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Shrink to at most ``side`` pixels along each edge, keeping the largest of each block."""
    for axis in (0, 1):
        count = values.shape[axis]
        if count > side:
            edges = np.linspace(0, count, side, endpoint=False).astype(np.intp)
            values = np.maximum.reduceat(values, edges, axis=axis)
    return values


def _coloured(level: NDArray[np.float64], colours: NDArray[np.float64]) -> Colours:
    position, grid = level * (len(colours) - 1), np.arange(len(colours), dtype=np.float64)
    channels = [np.interp(position, grid, colours[:, i]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _png(pixels: Colours | Any) -> bytes:
    picture = Pillow.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _uri(pixels: Colours) -> str:
    return data_uri(_png(pixels))


def data_uri(png: bytes) -> str:
    """Return a PNG as the address of an image inside a page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def region_colour(max_rel: float, thresholds: Thresholds, ok: bool) -> tuple[int, int, int]:
    """Return the colour of a region on the map: of its worst deviation, red beyond a threshold."""
    if not ok:
        return _BAD
    level = np.array([min(1.0, max_rel / thresholds.max_rel if thresholds.max_rel else 0.0)])
    red, green, blue = _coloured(level, _ALLOWED)[0].tolist()
    return red, green, blue


def detector_map(outcome: Outcome, title: str | None = None) -> bytes:
    """Draw the detector with its regions, coloured by their worst deviation.

    Returns
    -------
    bytes
        PNG, the fast axis to the right, the slow axis downwards.
    """
    n_slow, n_fast = outcome.shape
    scale = MAP_SIDE / max(n_slow, n_fast)
    width, height = max(1, round(n_fast * scale)), max(1, round(n_slow * scale))
    left, above, below = 56, 34, 74
    picture = Pillow.new("RGB", (max(width + left + 24, 420), height + above + below), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, above, left + width, above + height), _PAPER, _INK)
    for region in sorted(outcome.regions, key=lambda r: r.measures.max_rel):
        t, found = region.tile, region.measures
        x0, y0 = left + t.fast0 * scale, above + t.slow0 * scale
        x1, y1 = left + t.fast1 * scale, above + t.slow1 * scale
        colour = region_colour(found.max_rel, outcome.thresholds, region not in outcome.failed)
        # Never too small to be seen.
        wide, high = max(x1 - x0, 5.0), max(y1 - y0, 5.0)
        draw.rectangle((x0, y0, x0 + wide, y0 + high), colour, _INK if wide > 8 else None)
    draw.text((left, 8), title or f"{n_slow} x {n_fast} pixels", _INK)
    draw.text((left, above - 12), "0", _INK)
    draw.text((left + width - 40, above - 12), f"{n_fast - 1}", _INK)
    draw.text((left + width // 2 - 20, above - 12), "fast", _INK)
    draw.text((8, above + height // 2), "slow", _INK)
    draw.text((8, above + height - 12), f"{n_slow - 1}", _INK)
    _legend(draw, left, above + height + 18, outcome)
    return _png(picture)


def _legend(draw: Any, left: int, top: int, outcome: Outcome) -> None:
    """Draw the scale of colours."""
    bound = outcome.thresholds.max_rel
    for i in range(200):
        colour = region_colour(bound * i / 199, outcome.thresholds, True)
        draw.line((left + i, top, left + i, top + 12), colour)
    draw.text((left, top + 16), "0", _INK)
    draw.text((left + 180, top + 16), f"{bound:g}", _INK)
    draw.rectangle((left + 240, top, left + 252, top + 12), _BAD)
    draw.text((left + 258, top), "beyond", _INK)
    worst = outcome.total.max_rel
    draw.text(
        (left, top + 34),
        f"worst relative deviation of {len(outcome.regions)} regions: {worst:.2e}",
        _INK,
    )

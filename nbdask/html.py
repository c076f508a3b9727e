"""Small pieces of HTML for what notebooks show of nbdask's objects."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CELL = "text-align:left;padding:0 1em 0 0;vertical-align:top"


def table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a titled table of names and values.

    Parameters
    ----------
    title : str
    rows : iterable of (str, object)
        Values are shown as ``str`` gives them.  All text is escaped.

    Returns
    -------
    str
        HTML without scripts or outside references.
    """
    body = "".join(
        f'<tr><th style="{_CELL}">{escape(name)}</th>'
        f'<td style="{_CELL}">{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f"<div><strong>{escape(title)}</strong><table>{body}</table></div>"


def details(summary: str, content: Mapping[str, Any]) -> str:
    """Return a nested mapping as a list that unfolds on a click."""
    return f"<details><summary>{escape(summary)}</summary>{_tree(content)}</details>"


def _tree(content: Mapping[str, Any]) -> str:
    items = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            items.append(f"<li>{escape(name)}{_tree(value)}</li>")
        else:
            text = str(value)
            shown = text if len(text) <= 200 else text[:200] + " ..."
            items.append(f"<li>{escape(name)}: <code>{escape(shown)}</code></li>")
    return "<ul>" + "".join(items) + "</ul>"


def picture(image: NDArray[np.floating], side: int = 256) -> str:
    """Return a small grey picture of an image as an ``<img>`` that holds its own data.

    Parameters
    ----------
    image : (n_slow, n_fast) float array
        Photons; NaN counts as 0.  The slow axis points down, the fast axis to the right.
    side : int
        Most pixels along an edge; groups of pixels are shown by their greatest.

    Returns
    -------
    str
        HTML.  The scale is that of :func:`log_scaled`.
    """
    step = max(1, -(-max(image.shape) // side))
    values = np.nan_to_num(image, nan=0.0, posinf=0.0)
    slow = np.arange(0, values.shape[0], step)
    fast = np.arange(0, values.shape[1], step)
    small = np.maximum.reduceat(np.maximum.reduceat(values, slow, axis=0), fast, axis=1)
    grey = np.rint(255.0 * (1.0 - log_scaled(small))).astype(np.uint8)
    return f'<img alt="the image, dark: many photons" src="{data_uri(png(grey))}"/>'


def log_scaled(
    image: NDArray[np.floating], decades: float = 3.0, percentile: float = 99.9
) -> NDArray[np.float64]:
    """Map photons to 0..1 on a logarithmic scale.

    Parameters
    ----------
    image : (slow, fast) float array
        Photons; NaN (not computed) counts as 0.
    decades : float
        Width of the scale in powers of ten.
    percentile : float
        The value that becomes 1, as a percentile of the pixels above 0.

    Returns
    -------
    (slow, fast) float64 array
        0 where the image is ``decades`` powers of ten below the top, or less.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0)
    bright = values[values > 0.0]
    if bright.size == 0:
        return np.zeros_like(values)
    top = float(np.percentile(bright, percentile))
    floor = top * 10.0**-decades
    level: NDArray[np.float64] = np.log10(np.maximum(values, floor) / floor) / decades
    return level.clip(0.0, 1.0)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG of grey pixels, (rows, columns), or coloured ones, (rows, columns, 3)."""
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(pixels).save(held, format="PNG", optimize=True)
    return held.getvalue()


def data_uri(content: bytes) -> str:
    """Return a PNG as the address of an image inside a page."""
    return "data:image/png;base64," + base64.b64encode(content).decode()

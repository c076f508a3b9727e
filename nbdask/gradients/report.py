"""Pictures of a fit: data, model, residuals and pulls, and the tables beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.geometry.model import Array
from nbdask.gradients.normal import LEAST_VARIANCE, counted
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.reduce import over_tiles
from nbdask.gradients.search import Shot, labels_of
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient
from nbdask.html import data_uri, log_scaled, png

#: Most pixels along an edge of a picture, and shots that are shown.
_SIDE = 512
_SHOTS = 8
#: Edge that small pictures are magnified to, and what is left white between them.
_SMALL, _GAP = 256, 8
#: Pulls are shown up to so many standard deviations.
_PULLS = 5.0
_TITLES = ("data", "model and background", "residual", "pulls, -5 (blue) to 5 (red)")
_STYLE = (
    "body{font-family:sans-serif;margin:2em}figure{display:inline-block;margin:0 1em 1em 0}"
    "img{image-rendering:pixelated;min-width:256px}td,th{padding:0 .8em 0 0;text-align:right}"
)


class Shown(Protocol):
    """What is shown: a :class:`~.found.FitResult`."""

    @property
    def experiment(self) -> Experiment:
        """What was found."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What was fitted."""

    @property
    def shot(self) -> Shot:
        """To what."""

    @property
    def chi2_per_pixel(self) -> float:
        """How well they agree."""

    @property
    def correlation(self) -> Array:
        """Of all pairs of parameters."""

    def table(self) -> str:
        """Return the values."""


def write_report(
    path: str | os.PathLike[str],
    results: Sequence[Shown],
    tables: Sequence[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write the report of a fit.

    Parameters
    ----------
    path : path
        ``.html``: one page without scripts and outside references; ``.png``: the pictures alone.
    results : sequence of Shown
        The eight that agree least are shown.
    tables : sequence of str
        Of the fit as a whole.
    overwrite : bool

    Raises
    ------
    InputError
        Another ending, or a file that cannot be written.
    """
    check_report(path, overwrite=overwrite)
    worst = sorted(range(len(results)), key=lambda n: -results[n].chi2_per_pixel)[:_SHOTS]
    shown = sorted(worst)
    if Path(path).suffix == ".png":
        content = png(_below([_beside(_pictures(results[n])) for n in shown]))
    else:
        labels = labels_of([result.shot for result in results])
        content = _page([(labels[n], results[n]) for n in shown], tables).encode()
    with whole_file(path, "--report", InputError) as fresh:
        fresh.write_bytes(content)


def check_report(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, or has another ending than .html and .png."""
    if Path(path).suffix not in (".html", ".png"):
        raise InputError(f"--report {path}: must end in .html or .png")
    check_target(path, "--report", InputError, overwrite=overwrite)


def _beside(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures of one size beside each other, small ones magnified, white between them."""
    times = max(1, _SMALL // max(pictures[0].shape[:2]))
    large = [picture.repeat(times, axis=0).repeat(times, axis=1) for picture in pictures]
    edges = ((_GAP, 0), (_GAP, 0), (0, 0))
    return np.concatenate([np.pad(one, edges, constant_values=255) for one in large], axis=1)


def _below(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures of any width below each other, white beside them."""
    width = max(row.shape[1] for row in rows)
    fill = [((0, 0), (0, width - row.shape[1]), (0, 0)) for row in rows]
    parts = [np.pad(row, more, constant_values=255) for row, more in zip(rows, fill, strict=True)]
    return np.concatenate(parts)


def _page(results: Sequence[tuple[int, Shown]], tables: Sequence[str]) -> str:
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>nbdask fit</title><style>{_STYLE}</style>"
    ]
    parts += [f"<pre>{escape(table)}</pre>" for table in tables]
    for number, result in results:
        parts.append(f"<h2>shot {number}</h2>" if tables else "<h1>nbdask fit</h1>")
        for title, picture in zip(_TITLES, _pictures(result), strict=True):
            source = f'<img alt="{escape(title)}" src="{data_uri(png(picture))}">'
            parts.append(f"<figure>{source}<figcaption>{escape(title)}</figcaption></figure>")
        parts.append(f"<pre>{escape(result.table())}</pre>{_correlations(result)}")
    return "\n".join(parts) + "\n"


def _correlations(result: Shown) -> str:
    """Return the correlations of all pairs as a table."""
    names = [escape(parameter.name) for parameter in result.parameters]
    head = "".join(f"<th>{number}</th>" for number in range(1, len(names) + 1))
    rows = []
    for number, (name, values) in enumerate(zip(names, result.correlation, strict=True), 1):
        cells = "".join(f"<td>{value:.3f}</td>" for value in values)
        rows.append(f"<tr><th>{name} {number}</th>{cells}</tr>")
    return f"<table><tr><th>correlation</th>{head}</tr>{''.join(rows)}</table>"


def _pictures(result: Shown) -> list[NDArray[np.uint8]]:
    """Return the four pictures, (rows, columns, 3)."""
    data, model, variance, count = small_images(result)
    residual = np.where(count > 0, data - model, np.nan)
    top = max(1e-30, float(np.nanmax(np.abs(residual), initial=0.0)))
    pull = residual / np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    # Both on the scale of the two together.
    both = log_scaled(np.concatenate([data, model]))
    grey = np.rint(255.0 * (1.0 - both)).astype(np.uint8)[..., None].repeat(3, axis=2)
    return [
        grey[: len(data)],
        grey[len(data) :],
        _coloured(residual / top),
        _coloured(pull / _PULLS),
    ]


def _coloured(values: Array) -> NDArray[np.uint8]:
    """Return -1 to 1 as blue over white to red; NaN as grey."""
    held = np.nan_to_num(values).clip(-1.0, 1.0)
    low, high = 1.0 - np.maximum(-held, 0.0), 1.0 - np.maximum(held, 0.0)
    picture = np.stack([low, np.minimum(low, high), high], axis=-1)
    picture[np.isnan(values)] = 0.7
    return np.rint(255.0 * picture).astype(np.uint8)


def small_images(result: Shown) -> Array:
    """Return sums over groups of pixels that count: data, model with background, variance, number.

    Tile by tile, so images of any size can be shown.

    Returns
    -------
    (4, rows, columns) float64 array
        At most 512 rows and columns.
    """
    shot = result.shot
    work, _ = prepare_gradient(result.experiment, result.parameters[:1])
    step = -(-max(work.grid.panels * work.grid.shape[0], work.grid.shape[1]) // _SIDE)
    task = partial(_small, step=step, background=shot.background, noise=shot.readout**2)
    found: Array = over_tiles(work, [shot.data, shot.mask], task, np.add)
    return found


def _small(
    work: Work, index: int, data: Array, mask: Any, step: int, background: float, noise: float
) -> Array:
    """Return the part of the pictures that one tile makes."""
    tile = work.grid[index]
    counts = np.isfinite(data) & counted(work, tile)
    if mask is not None:
        counts &= np.asarray(mask, dtype=np.bool_)
    model = planes_of_tile(work, tile)[0] + background
    images = np.stack(
        [np.where(counts, data, 0.0), model * counts, (model + noise) * counts, counts]
    )
    rows, columns = (-(-side // step) for side in work.grid.shape)
    # Panels lie below each other.
    result = np.zeros((4, rows * work.grid.panels, columns))
    slow = np.arange(tile.slow0, tile.slow1) // step + rows * tile.panel
    fast = np.arange(tile.fast0, tile.fast1) // step
    first = [np.flatnonzero(np.diff(axis, prepend=-1)) for axis in (slow, fast)]
    sums = np.add.reduceat(np.add.reduceat(images, first[0], axis=1), first[1], axis=2)
    result[:, slow[0] : slow[-1] + 1, fast[0] : fast[-1] + 1] = sums
    return result

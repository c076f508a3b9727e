"""``gradient()``: derivatives of an image as lazy arrays; only the selected tiles are computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray
from dask.array.core import normalize_chunks
from dask.delayed import delayed

from nbdask.errors import in_python
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.asked import shown_value
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient


@in_python
def gradient(
    experiment: Experiment,
    parameters: str | Parameter | Sequence[str | Parameter],
    *,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    precision: str = "float64",
) -> xarray.Dataset:
    """Return the image of an experiment and its derivatives, lazy, backed by dask.

    The derivatives are exact: those of the sampled image as it is computed (S-GRAD in the
    specification).  Computing a region evaluates only the tiles that it touches.

    Parameters
    ----------
    experiment : Experiment
    parameters : str, Parameter or sequence of them
        Names of fields (``nbdask parameters`` lists them), or the beginnings of names:
        ``"crystal.turn"``, ``["crystal.cell.a", "detector.distance"]``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` (a GPU) or ``"numpy"``; None: the processor.
    tile : int or tuple of int, optional
        Pixels of a tile (slow, fast); None: chosen.
    precision : str
        ``"float64"``; ``"mixed"`` (processors): square crystals of more than ten cells in
        float32, to 1e-5 of the largest value of each derivative.

    Returns
    -------
    xarray.Dataset
        ``image`` (slow, fast) float64 [photons]; ``gradient`` (parameter, slow, fast) float64
        [photons per unit of the parameter]; of several panels both have ``panel`` before
        ``slow``.  The coordinate ``parameter`` holds the names,
        ``unit`` and ``value`` each one's unit (SI) and value.

    Raises
    ------
    NbdaskError
        A parameter that cannot be refined here, with the reason.
    """
    work, chosen = prepare_gradient(experiment, parameters, backend, tile, precision)
    name = _name(experiment, chosen, work)
    shared = delayed(work, name=f"gradient-work-{name}", traverse=False)
    shape = work.grid.image_shape
    chunks = normalize_chunks((1, *work.grid.tile)[-len(shape) :], shape)
    planes = da.map_blocks(
        _block,
        shared,
        chunks=((1 + len(chosen),), *chunks),
        dtype=np.float64,
        name=f"gradient-{name}",
        meta=np.empty((0,) * (1 + len(shape))),
    )
    axes: dict[str, Any] = {
        axis: (axis, np.arange(count, dtype=np.int64), {"units": "pixel"})
        for axis, count in zip(("slow", "fast"), work.grid.shape, strict=True)
    }
    dims = ("panel", "slow", "fast")[-len(shape) :]
    if len(shape) > 2:
        axes["panel"] = ("panel", [panel.name for panel in experiment.detector.panels], {})
    coords = {
        **axes,
        "parameter": [p.name for p in chosen],
        "unit": ("parameter", [p.shown_unit for p in chosen]),
        "value": ("parameter", [shown_value(experiment, p) for p in chosen]),
    }
    variables = {
        "image": (dims, planes[0], {"units": "photon"}),
        "gradient": (
            ("parameter", *dims),
            planes[1:],
            {"units": "photon per unit of the parameter"},
        ),
    }
    attributes = {
        "fingerprint": experiment.fingerprint(),
        "experiment": json.dumps(experiment.to_dict()),
        "backend": work.backend,
        "notes": list(work.model.notes),
    }
    return xarray.Dataset(variables, coords, attributes)


def _name(experiment: Experiment, parameters: Sequence[Parameter], work: Work) -> str:
    """Return a name that is the same for the same planes cut in the same way."""
    named = [[p.name, sorted(p.fields.items())] for p in parameters]
    text = json.dumps(
        [experiment.fingerprint(), named, work.grid.tile, work.backend, work.precision]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _block(work: Work, block_id: tuple[int, ...] = (0, 0, 0)) -> Array:
    """Compute the tile at a place in the grid."""
    panel, row, column = (0, *block_id[1:])[-3:]
    grid = work.grid
    planes = planes_of_tile(work, grid[panel * grid.per_panel + row * grid.counts[1] + column])
    return planes if len(block_id) == 3 else planes[:, None]

"""``gradient()``: derivatives of an image as lazy arrays; only the selected tiles are computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import dask.array as da
import numpy as np
import xarray
from dask.array.core import normalize_chunks
from dask.delayed import delayed

from nbdask.errors import in_python
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.parameters import Parameter, value_of
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient


@in_python
def gradient(
    experiment: Experiment,
    parameters: str | Parameter | Sequence[str | Parameter],
    *,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
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
        ``"cpu"`` or ``"numpy"``; None: the best that is there.
    tile : int or tuple of int, optional
        Pixels of a tile (slow, fast); None: chosen.

    Returns
    -------
    xarray.Dataset
        ``image`` (slow, fast) float64 [photons]; ``gradient`` (parameter, slow, fast) float64
        [photons per unit of the parameter].  The coordinate ``parameter`` holds the names,
        ``unit`` and ``value`` each one's unit (SI) and value.

    Raises
    ------
    NbdaskError
        A parameter that cannot be refined here, with the reason.
    """
    work, chosen = prepare_gradient(experiment, parameters, backend, tile)
    name = _name(experiment, chosen, work)
    shared = delayed(work, name=f"gradient-work-{name}", traverse=False)
    chunks = normalize_chunks(work.grid.tile, work.grid.shape)
    planes = da.map_blocks(
        _block,
        shared,
        chunks=((1 + len(chosen),), *chunks),
        dtype=np.float64,
        name=f"gradient-{name}",
        meta=np.empty((0, 0, 0)),
    )
    axes = {
        axis: (axis, np.arange(count, dtype=np.int64), {"units": "pixel"})
        for axis, count in zip(("slow", "fast"), work.grid.shape, strict=True)
    }
    coords = {
        **axes,
        "parameter": [p.name for p in chosen],
        "unit": ("parameter", [p.shown_unit for p in chosen]),
        "value": ("parameter", [_value(experiment, p) for p in chosen]),
    }
    variables = {
        "image": (("slow", "fast"), planes[0], {"units": "photon"}),
        "gradient": (
            ("parameter", "slow", "fast"),
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


def _value(experiment: Experiment, parameter: Parameter) -> float:
    """Return a field's value; of a combination 0, its change."""
    if list(parameter.fields.values()) != [1.0]:
        return 0.0
    return value_of(experiment, next(iter(parameter.fields))) or 0.0


def _name(experiment: Experiment, parameters: Sequence[Parameter], work: Work) -> str:
    """Return a name that is the same for the same planes cut in the same way."""
    named = [[p.name, sorted(p.fields.items())] for p in parameters]
    text = json.dumps([experiment.fingerprint(), named, work.grid.tile, work.backend])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _block(work: Work, block_id: tuple[int, int, int] = (0, 0, 0)) -> Array:
    """Compute the tile at a place in the grid."""
    return planes_of_tile(work, work.grid[block_id[1] * work.grid.counts[1] + block_id[2]])

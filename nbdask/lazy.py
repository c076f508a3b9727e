"""``image()``: an experiment as a lazy array; only the selected tiles are computed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import dask.array as da
import numpy as np
import xarray
from dask.array.core import normalize_chunks
from dask.delayed import delayed
from numpy.typing import NDArray

from nbdask.errors import FieldError, in_python
from nbdask.experiment import Experiment
from nbdask.graph.context import RunContext
from nbdask.graph.tasks import compute_on_device, compute_tile
from nbdask.kernels.cuda_device import to_device
from nbdask.plan.plan import Plan
from nbdask.run import Settings, prepare
from nbdask.store.coordinates import panel_coordinates
from nbdask.store.schema import PHOTONS


@in_python
def image(
    experiment: Experiment,
    *,
    backend: str | None = None,
    precision: str = "float64",
    tile: int | str | tuple[int, int] | None = None,
    steps_per_task: int | None = None,
    array: str = "numpy",
) -> xarray.DataArray:
    """Return the image of an experiment as a lazy array backed by dask.

    Computing a region evaluates only the tiles that it touches.  With the same tiles and steps per
    task the pixels are, bit for bit, those that :func:`nbdask.simulate` writes.

    Parameters
    ----------
    experiment : Experiment
    backend, precision, tile, steps_per_task
        See :class:`nbdask.run.Settings`.
    array : str
        ``"numpy"``, or ``"cupy"``: chunks are on the GPU, whichever backend computes them; they
        never leave it where the backend is ``"cuda"``.

    Returns
    -------
    xarray.DataArray
        (slow, fast) float32 [photons], one chunk per tile; its coordinates are pixel indices.  Of
        several panels (panel, slow, fast), with their names, sizes and pitches.

    Raises
    ------
    NbdaskError
        An experiment or plan that cannot be computed.
    """
    if array not in ARRAYS:
        raise FieldError("array", array, " or ".join(map(repr, ARRAYS)))
    on_device = array == "cupy"
    model, plan, _ = prepare(experiment, Settings(backend, precision, tile, steps_per_task))
    name = _name(experiment.fingerprint(), plan.to_dict())
    shape = plan.grid.image_shape
    meta = np.empty((0,) * len(shape), dtype=np.float32)
    # One node of the graph holds the model; the tasks refer to it by name.
    context = delayed(RunContext.of(model, plan), name=f"model-{name}", traverse=False)
    pixels = da.map_blocks(
        _block,
        context,
        on_device=on_device,
        chunks=normalize_chunks((1, *plan.grid.tile)[-len(shape) :], shape),
        dtype=np.float32,
        name=f"image-{array}-{name}",
        meta=to_device(meta) if on_device else meta,
    )
    coords: dict[str, Any] = {
        axis: (axis, np.arange(count, dtype=np.int64), {"units": "pixel"})
        for axis, count in zip(("slow", "fast"), plan.grid.shape, strict=True)
    }
    if len(shape) > 2:
        places = panel_coordinates(experiment.detector.panels)
        # An array has no coordinates along dimensions of others: vectors are in stores only.
        flat = {name: one for name, one in places.items() if one.dims == ("panel",)}
        coords |= {name: (one.dims, one.values, one.attributes) for name, one in flat.items()}
    attributes = _attributes(experiment, plan, model.notes)
    dims = ("panel", "slow", "fast")[-len(shape) :]
    return xarray.DataArray(pixels, coords, dims, name="image", attrs=attributes)


#: Kinds of arrays that chunks can be.
ARRAYS = ("numpy", "cupy")


def _attributes(experiment: Experiment, plan: Plan, notes: tuple[str, ...]) -> dict[str, object]:
    return {
        **PHOTONS,
        "fingerprint": experiment.fingerprint(),
        "experiment": json.dumps(experiment.to_dict()),
        "semantics": experiment.semantics,
        "backend": plan.backend,
        "precision": plan.precision,
        "kernel_version": plan.kernel_version,
        "notes": list(notes),
    }


def _name(fingerprint: str, plan: dict[str, object]) -> str:
    """Return a name that is the same for the same pixels cut in the same way."""
    names = ("tile", "steps_per_task", "backend", "precision", "kernel_version")
    text = json.dumps([fingerprint, *(plan[name] for name in names)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _block(
    context: RunContext, on_device: bool = False, block_id: tuple[int, ...] = (0, 0)
) -> NDArray[np.float32]:
    """Compute the tile at a place in the grid."""
    panel, row, column = (0, *block_id)[-3:]
    grid = context.grid
    index = panel * grid.per_panel + row * grid.counts[1] + column
    found: NDArray[np.float32] | None = compute_on_device(context, index) if on_device else None
    if found is None:
        pixels = compute_tile(context, index).image
        assert pixels is not None
        found = to_device(pixels) if on_device else pixels
    return found[(None,) * (len(block_id) - 2)]

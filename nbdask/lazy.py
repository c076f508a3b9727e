"""``image()``, ``series()``: lazy arrays of which only the selected tiles are computed."""

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
from nbdask.prepare import Settings, prepare
from nbdask.shots import Series
from nbdask.shots.cutoff import with_cutoff
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
    cutoff: float | str | None = None,
    array: str = "numpy",
) -> xarray.DataArray:
    """Return the image of an experiment as a lazy array backed by dask.

    Computing a region evaluates only the tiles that it touches.  With the same tiles and steps per
    task the pixels are, bit for bit, those that :func:`nbdask.simulate` writes.

    Parameters
    ----------
    experiment : Experiment
    backend, precision, tile, steps_per_task
        See :class:`nbdask.prepare.Settings`.
    cutoff : float or "auto", optional
        Photons that each pixel may lack; it replaces ``sampling.cutoff`` of the experiment.
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
    return _lazy(
        with_cutoff(experiment, cutoff), Settings(backend, precision, tile, steps_per_task), array
    )


@in_python
def series(
    shots: Series,
    *,
    backend: str | None = None,
    precision: str = "float64",
    tile: int | str | tuple[int, int] | None = None,
    steps_per_task: int | None = None,
    cutoff: float | str | None = None,
    array: str = "numpy",
) -> xarray.DataArray:
    """Return all shots of a series as one lazy array; selecting some computes those only.

    Parameters
    ----------
    shots : Series
    backend, precision, tile, steps_per_task, cutoff, array
        As for :func:`image`.

    Returns
    -------
    xarray.DataArray
        (shot, [panel,] slow, fast) float32 [photons], one chunk per tile of a shot; coordinates
        beside those of :func:`image` are what varies from shot to shot.

    Raises
    ------
    NbdaskError
        A series or plan that cannot be computed.
    """
    return _lazy(
        with_cutoff(shots, cutoff), Settings(backend, precision, tile, steps_per_task), array
    )


def _lazy(work: Experiment | Series, settings: Settings, array: str) -> xarray.DataArray:
    """Do the work of :func:`image` and of :func:`series`."""
    if array not in ARRAYS:
        raise FieldError("array", array, " or ".join(map(repr, ARRAYS)))
    on_device = array == "cupy"
    model, plan, _ = prepare(work, settings)
    name = _name(work.fingerprint(), plan.to_dict())
    shots = work if isinstance(work, Series) else None
    shape = plan.grid.image_shape
    meta = np.empty((0,) * len(shape), dtype=np.float32)
    # One node of the graph holds the model; the tasks refer to it by name.
    context = RunContext.of(model, plan, series=shots)
    pixels = da.map_blocks(
        _block,
        delayed(context, name=f"model-{name}", traverse=False),
        on_device=on_device,
        chunks=normalize_chunks((*[1] * len(plan.grid.before), *plan.grid.tile), shape),
        dtype=np.float32,
        name=f"image-{array}-{name}",
        meta=to_device(meta) if on_device else meta,
    )
    attributes = _attributes(work, plan, model.notes)
    return xarray.DataArray(
        pixels, _coordinates(work, plan), plan.grid.dims, name="image", attrs=attributes
    )


def _coordinates(work: Experiment | Series, plan: Plan) -> dict[str, Any]:
    """Return the coordinates of the lazy array."""
    common = work.experiment if isinstance(work, Series) else work
    coords: dict[str, Any] = {
        axis: (axis, np.arange(count, dtype=np.int64), {"units": "pixel"})
        for axis, count in zip(("slow", "fast"), plan.grid.shape, strict=True)
    }
    if plan.grid.panels > 1:
        places = panel_coordinates(common.detector.panels)
        # An array has no coordinates along dimensions of others: vectors are in stores only.
        flat = {name: one for name, one in places.items() if one.dims == ("panel",)}
        coords |= {name: (one.dims, one.values, one.attributes) for name, one in flat.items()}
    if isinstance(work, Series):
        coords["shot"] = ("shot", np.arange(work.n_shots, dtype=np.int64))
        coords |= {name: ("shot", column) for name, column in work.values().items()}
    return coords


#: Kinds of arrays that chunks can be.
ARRAYS = ("numpy", "cupy")


def _attributes(work: Experiment | Series, plan: Plan, notes: tuple[str, ...]) -> dict[str, object]:
    """Return what the array says of itself."""
    shots = isinstance(work, Series)
    common = work.experiment if isinstance(work, Series) else work
    return {
        **PHOTONS,
        "fingerprint": work.fingerprint(),
        "experiment": json.dumps(common.to_dict()),
        **({"series": json.dumps(work.to_dict())} if shots else {}),
        "semantics": common.semantics,
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
    grid = context.grid
    index = grid.number(block_id)
    found: NDArray[np.float32] | None = compute_on_device(context, index) if on_device else None
    if found is None:
        pixels = compute_tile(context, index).image
        assert pixels is not None
        found = to_device(pixels) if on_device else pixels
    return found[(None,) * len(grid.before)]


@in_python
def plan(experiment: Experiment, **settings: Any) -> Plan:
    """Return how a run would be divided, its memory and its time, without running it.

    Parameters
    ----------
    experiment : Experiment
    **settings
        Fields of :class:`nbdask.prepare.Settings`, as :func:`simulate` takes them.

    Returns
    -------
    Plan
        ``print(plan.describe())`` shows it.
    """
    _, made, _ = prepare(experiment, Settings(**settings))
    return made

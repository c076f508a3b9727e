"""The adjoint: from a derivative by every pixel to one by every parameter, amplitude and source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray

from nbdask.errors import BackendError, FieldError, in_python
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array, Model
from nbdask.gradients.compiled import CpuSlopes, Pulled
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.reduce import over_tiles, strips
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient, region_of

_Sums = tuple[Array, Array | None, Array | None]


@dataclass(frozen=True, slots=True, eq=False)
class Adjoint:
    """Sums over all pixels of dL/dI times a derivative of I.

    Attributes
    ----------
    values : dict of str to float
        dL/dp by the parameter's name, per unit of it.
    amplitudes : (h, k, l) DataArray or None
        dL/dF by each amplitude of the list [1/electron].
    source_weights, source_wavelengths : (sources,) float64 arrays or None
        dL/dw and dL/dlambda [1/m] by each source.
    """

    values: dict[str, float]
    amplitudes: xarray.DataArray | None
    source_weights: Array | None
    source_wavelengths: Array | None


@in_python
def adjoint(
    experiment: Experiment,
    cotangent: Any,
    parameters: str | Parameter | Sequence[str | Parameter] = "beam.fluence",
    *,
    amplitudes: bool = False,
    sources: bool = False,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
) -> Adjoint:
    """Return the derivatives of a scalar L from its derivatives by the pixels.

    Parameters
    ----------
    experiment : Experiment
    cotangent : (slow, fast) array
        dL/dI of each pixel [1/photon].
    parameters : str, Parameter or sequence of them
    amplitudes : bool
        By each structure factor amplitude of the list as well.
    sources : bool
        By the weight and wavelength of each source as well.
    backend, tile
        As for :func:`nbdask.gradient`.

    Returns
    -------
    Adjoint

    Raises
    ------
    NbdaskError
        Amplitudes without a list, or without the compiled kernel.
    """
    work, chosen = prepare_gradient(experiment, parameters, backend, tile)
    model = work.model
    if amplitudes and model.f_grid.size == 0:
        raise FieldError("amplitudes", True, "left out without a list of structure factors")
    if (amplitudes or sources) and (work.backend != "cpu" or model.first_axes is not None):
        raise BackendError(
            "derivatives by amplitudes and sources need the compiled kernel (--backend cpu) and no"
            " rotation that is carried over (--semantics spec)"
        )

    def task(work: Work, index: int, pixels: Array) -> _Sums:
        return _tile(work, index, pixels, amplitudes, sources)

    values, table, light = over_tiles(work, [cotangent], task, _add)
    return Adjoint(
        {p.name: float(value) for p, value in zip(chosen, values, strict=True)},
        None if table is None else _by_amplitude(model, table),
        None if light is None else light[:, 0],
        None if light is None else light[:, 1],
    )


def _add(first: _Sums, second: _Sums) -> _Sums:
    def both(a: Array | None, b: Array | None) -> Array | None:
        return b if a is None else a if b is None else a + b

    return first[0] + second[0], both(first[1], second[1]), both(first[2], second[2])


def _tile(work: Work, index: int, pixels: Array, amplitudes: bool, sources: bool) -> _Sums:
    tile, count = work.grid[index], len(work.basis.slopes)
    total: _Sums = (np.zeros(count), None, None)
    kernel = work.kernel()
    for strip in strips(tile, count):
        rows = slice(strip.slow0 - tile.slow0, strip.slow1 - tile.slow0)
        pull = np.asarray(pixels[rows], dtype=np.float64)
        if not amplitudes and not sources:
            planes = planes_of_tile(work, strip).reshape(1 + count, -1)
            total = _add(total, (planes[1:] @ pull.reshape(-1), None, None))
            continue
        found = region_of(work.model, strip)
        if found is None:
            continue
        part, mask = found
        assert isinstance(kernel, CpuSlopes)
        slow, fast = part.slow0 - strip.slow0, part.fast0 - strip.fast0
        inside = pull[slow : slow + part.shape[0], fast : fast + part.shape[1]]
        planes, pulled = kernel.pulled_planes(
            work.model, work.basis, part, mask, inside, amplitudes
        )
        values = planes[1:].reshape(count, -1) @ inside.reshape(-1)
        total = _add(total, (values, pulled.table, _of_sources(work.model, pulled, sources)))
    return total


def _of_sources(model: Model, pulled: Pulled, wanted: bool) -> Array | None:
    if not wanted:
        return None
    light = pulled.sources.copy()
    # The sums hold the weights themselves.
    light[:, 0] /= np.where(model.weight == 0.0, 1.0, model.weight)
    return light


def _by_amplitude(model: Model, table: Array) -> xarray.DataArray:
    """Return dL/dF from the sums over the packed table."""
    if model.interpolate:
        values = table.reshape(model.f_grid.shape)
    else:
        size = tuple(n + 2 for n in model.f_grid.shape)
        values = 2.0 * model.f_grid * table.reshape(size)[1:-1, 1:-1, 1:-1]
    coords = {
        name: np.arange(first, first + count)
        for name, first, count in zip("hkl", model.f_min, model.f_grid.shape, strict=True)
    }
    return xarray.DataArray(values, coords, ("h", "k", "l"), attrs={"units": "1/electron"})

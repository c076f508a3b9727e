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
from nbdask.gradients.card import CardSlopes
from nbdask.gradients.compiled import CpuSlopes, Pull, Pulled
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.reduce import given, inside, over_tiles, strips
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient, region_of
from nbdask.plan.tiles import Tile

#: By parameters; by the table of each crystal; by weights and wavelengths of sources.
_Sums = tuple[Array, tuple[Array, ...], Array | None]
#: The name of the amplitudes that crystals share.
_FIRST = "structure"


@dataclass(frozen=True, slots=True, eq=False)
class Adjoint:
    """Sums over all pixels of dL/dI times a derivative of I.

    Attributes
    ----------
    values : dict of str to float
        dL/dp by the parameter's name, per unit of it.
    amplitudes : (h, k, l) DataArray or None
        dL/dF by each amplitude of the list [1/electron]; of several crystals by those of the
        first one's, which the others share that have none of their own.
    lists : dict of str to DataArray
        The same of lists that further crystals have of their own, by name
        (``lattices.0.structure``).
    source_weights, source_wavelengths : (sources,) float64 arrays or None
        dL/dw and dL/dlambda [1/m] by each source.
    """

    values: dict[str, float]
    amplitudes: xarray.DataArray | None
    lists: dict[str, xarray.DataArray]
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
    precision: str = "float64",
) -> Adjoint:
    """Return the derivatives of a scalar L from its derivatives by the pixels.

    Parameters
    ----------
    experiment : Experiment
    cotangent : ([panel,] slow, fast) array
        dL/dI of each pixel [1/photon].
    parameters : str, Parameter or sequence of them
    amplitudes : bool
        By each structure factor amplitude of the list as well.
    sources : bool
        By the weight and wavelength of each source as well.
    backend, tile, precision
        As for :func:`nbdask.gradient`.

    Returns
    -------
    Adjoint

    Raises
    ------
    NbdaskError
        Amplitudes without a list, or without the compiled kernel.
    """
    work, chosen = prepare_gradient(experiment, parameters, backend, tile, precision)
    given("cotangent", cotangent)
    if amplitudes:
        _check_lists([own for _, own in _crystals(work.model)])
    if (amplitudes or sources) and work.pulling is None:
        raise BackendError(
            "derivatives by amplitudes and sources need a compiled kernel (--backend cpu or cuda),"
            " nothing beside the crystals, and no rotation that is carried over (--semantics spec)"
        )

    def task(work: Work, index: int, pixels: Array) -> _Sums:
        return _tile(work, index, pixels, amplitudes, sources)

    values, tables, light = over_tiles(work, [cotangent], task, _add)
    lists = _by_list(experiment, work.model, tables)
    return Adjoint(
        {p.name: float(value) for p, value in zip(chosen, values, strict=True)},
        lists.pop(_FIRST, None),
        lists,
        None if light is None else light[:, 0],
        None if light is None else light[:, 1],
    )


def _crystals(model: Model) -> list[tuple[float, Model]]:
    """Return what multiplies the photons of each crystal, and its model."""
    if not model.lattices:
        return [(1.0, model)]
    # Factors are relative to the first one's scale.
    return [(factor * model.scale / own.scale, own) for factor, own in model.lattices]


def _check_lists(models: Sequence[Model]) -> None:
    """Refuse amplitudes where no crystal has a list, or one by wavelength."""
    if not any(model.f_grid.size for model in models):
        raise FieldError("amplitudes", True, "left out without a list of structure factors")
    if any(model.n_tables > 1 for model in models):
        raise FieldError("amplitudes", True, "left out with amplitudes for each wavelength")


def _add(first: _Sums, second: _Sums) -> _Sums:
    tables = tuple(a + b for a, b in zip(first[1], second[1], strict=False))
    light = second[2] if first[2] is None else first[2]
    if first[2] is not None and second[2] is not None:
        light = first[2] + second[2]
    return first[0] + second[0], tables or first[1] or second[1], light


def _tile(work: Work, index: int, pixels: Array, amplitudes: bool, sources: bool) -> _Sums:
    tile, count = work.grid[index], len(work.basis.slopes)
    total: _Sums = (np.zeros(count), (), None)
    kernel = work.pulling
    if kernel is not None:
        return _in_one(kernel, work, tile, pixels, amplitudes, sources)
    for strip in strips(tile, count):
        rows = slice(strip.slow0 - tile.slow0, strip.slow1 - tile.slow0)
        pull = np.asarray(pixels[rows], dtype=np.float64)
        planes = planes_of_tile(work, strip).reshape(1 + count, -1)
        total = _add(total, (planes[1:] @ pull.reshape(-1), (), None))
    return total


def _in_one(
    kernel: CpuSlopes | CardSlopes,
    work: Work,
    tile: Tile,
    pixels: Array,
    amplitudes: bool,
    sources: bool,
) -> _Sums:
    """Return the sums of a tile whose planes are never held."""
    found = region_of(work.model, tile)
    if found is None:
        return np.zeros(len(work.basis.slopes)), (), None
    part, mask = found
    cotangent = np.asarray(inside(pixels, tile, part), dtype=np.float64)
    values, tables, light = np.zeros(len(work.basis.slopes)), [], None
    bases = work.basis.lattices or (work.basis,)
    for number, ((share, own), basis) in enumerate(zip(_crystals(work.model), bases, strict=True)):
        pull = Pull(cotangent, amplitudes, sources, share, background=number == 0)
        pulled = kernel.pulled(own, basis, part, mask, pull)
        values += pulled.values
        if pulled.table is not None:
            tables.append(pulled.table)
        more = _of_sources(own, pulled)
        light = more if light is None or more is None else light + more
    return values, tuple(tables), light


def _of_sources(model: Model, pulled: Pulled) -> Array | None:
    if pulled.sources is None:
        return None
    light = pulled.sources.copy()
    # The sums hold the weights themselves.
    light[:, 0] /= np.where(model.weight == 0.0, 1.0, model.weight)
    return light


def _by_list(
    experiment: Experiment, model: Model, tables: tuple[Array, ...]
) -> dict[str, xarray.DataArray]:
    """Return dL/dF of every list by its name, summed over the crystals that take it."""
    names = [_FIRST]
    for number, lattice in enumerate(experiment.lattices):
        names.append(_FIRST if lattice.structure is None else f"lattices.{number}.{_FIRST}")
    found: dict[str, xarray.DataArray] = {}
    for name, (_, own), table in zip(names, _crystals(model), tables, strict=False):
        if own.f_grid.size:
            by = _by_amplitude(own, table)
            found[name] = found[name] + by if name in found else by
    return found


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

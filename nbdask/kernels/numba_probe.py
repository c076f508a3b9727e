"""What the compiled formulas give at one evaluation of one pixel.

The very blocks of the Numba kernel are run on a single pixel, and their scratch rows are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.geometry.model import Model
from nbdask.kernels.compiled import Compiled
from nbdask.kernels.numba_amplitude import place_of
from nbdask.kernels.numba_inputs import inputs_of, lattice_inputs
from nbdask.kernels.numba_jit import chosen_by_type, entry
from nbdask.kernels.numba_lattice import add_orientations
from nbdask.kernels.numba_rays import (
    find_rays,
    multiply_captured,
    multiply_polarization,
    multiply_solid_angle,
    place_pixels,
    scatter,
)
from nbdask.kernels.numba_rows import fill
from nbdask.kernels.numba_tricubic import find_indices, interpolated_squared
from nbdask.kernels.numba_types import ConstantAmplitude, NearestAmplitude, TricubicAmplitude
from nbdask.kernels.numba_work import (
    DX,
    DY,
    DZ,
    PATH,
    QX,
    QY,
    QZ,
    SUM,
    WEIGHT,
    H,
    K,
    L,
    new_work,
)
from nbdask.kernels.probe import Values

_EVALUATE = Compiled("nbdask.kernels.numba_probe", "_evaluate")
#: Places of the results; the first three of a vector are x, y, z.
_D, _PATH, _OMEGA, _CAPTURE, _Q, _POLAR, _HKL, _LATTICE, _AMPLITUDE = 0, 3, 4, 5, 6, 9, 10, 13, 14
_COUNT = 15


def probe(model: Model, slow: int, fast: int, step: int) -> Values:
    """Return what the compiled formulas give at one evaluation.

    Parameters
    ----------
    model : Model
    slow, fast : int
        The pixel.
    step : int
        Flat step index.

    Returns
    -------
    dict
        ``d`` (3), ``R`` [m], ``solid_angle`` [sr], ``capture``, ``q`` (3) [1/m], ``polarization``,
        ``hkl`` (3) and, unless the running sum is multiplied after each term (which other code
        does), ``F_latt^2`` and ``F_cell^2``.
    """
    inputs = inputs_of(model, "float64")
    outer, inner = divmod(step, model.n_inner)
    source, orientation = divmod(inner, model.n_phi * model.n_domains)
    layer, sub = divmod(outer, model.oversample**2)
    found = np.zeros(_COUNT)
    _EVALUATE(
        inputs.place, inputs.light, inputs.lattice, inputs.amplitude, inputs.axes,
        (slow, fast, 1), np.zeros(0, dtype=np.int64), layer, *divmod(sub, model.oversample),
        source, orientation, new_work(), found,
    )  # fmt: skip

    def values(place: int, count: int = 1) -> tuple[float, ...]:
        return tuple(float(x) for x in found[place : place + count])

    result = {
        "d": values(_D, 3),
        "R": values(_PATH),
        "solid_angle": values(_OMEGA),
        "capture": values(_CAPTURE),
        "q": values(_Q, 3),
        "polarization": values(_POLAR),
        "hkl": values(_HKL, 3),
    }
    if not model.running_product:
        # Without the amplitude that a constant one puts into the height.
        _, height = lattice_inputs(model, "float64")
        result["F_latt^2"] = (float(found[_LATTICE] * height),)
        result["F_cell^2"] = values(_AMPLITUDE)
    return result


@entry
def _evaluate(
    place: Any,
    light: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    tile: tuple[int, int, int],
    active: Any,
    layer: int,
    sub_slow: int,
    sub_fast: int,
    source: int,
    orientation: int,
    work: Any,
    found: Any,
) -> None:
    """Run the blocks of one evaluation on one pixel and copy what they leave to ``found``."""
    count = place_pixels(tile, active, 0, 1, work)
    wide = work.wide
    find_rays(place, layer, sub_slow, sub_fast, work, count)
    found[_D], found[_D + 1], found[_D + 2] = wide[DX][0], wide[DY][0], wide[DZ][0]
    found[_PATH] = wide[PATH][0]
    fill(wide[WEIGHT], 1.0, count)
    multiply_solid_angle(place, work, count)
    found[_OMEGA] = wide[WEIGHT][0]
    fill(wide[WEIGHT], 1.0, count)
    if place.depth >= 0.0:
        multiply_captured(place, layer, work, count)
    found[_CAPTURE] = wide[WEIGHT][0]
    scatter(light, source, work, count)
    found[_Q], found[_Q + 1], found[_Q + 2] = wide[QX][0], wide[QY][0], wide[QZ][0]
    fill(wide[WEIGHT], 1.0, count)
    multiply_polarization(light, source, work, count)
    found[_POLAR] = wide[WEIGHT][0]
    find_indices(axes, orientation, work, count)
    h, k, el = wide[H][0], wide[K][0], wide[L][0]
    found[_HKL], found[_HKL + 1], found[_HKL + 2] = h, k, el
    fill(wide[SUM], 0.0, count)
    add_orientations(
        lattice, ConstantAmplitude(1.0), axes, orientation, orientation + 1, work, count
    )
    found[_LATTICE] = wide[SUM][0]
    found[_AMPLITUDE] = _squared_amplitude(amplitude, h, k, el)


def _squared_amplitude(amplitude: Any, h: float, k: float, el: float) -> float:
    """Return F_cell^2 at fractional indices."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(_squared_amplitude)
def _choose_amplitude(amplitude: Any, h: Any, k: Any, el: Any) -> Any:
    kinds = {NearestAmplitude: _nearest, TricubicAmplitude: _interpolated}
    return kinds.get(amplitude.instance_class, _constant)


def _constant(amplitude: Any, h: float, k: float, el: float) -> Any:
    return amplitude.default_squared


def _nearest(amplitude: Any, h: float, k: float, el: float) -> Any:
    place = place_of(amplitude, np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(el - 0.5))
    return amplitude.table[np.uint32(place)]


def _interpolated(amplitude: Any, h: float, k: float, el: float) -> Any:
    squared = interpolated_squared(amplitude, h, k, el)
    return amplitude.default_squared if squared < 0.0 else squared

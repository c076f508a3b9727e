"""How many mosaic domains an image needs, by an estimate.

Intensities are estimated at some pixels with Gaussian spots of the crystal's size: those of the
first n domains of a quasi-random sequence differ from those of the first 2 n by about the error of
the former.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment.crystal import Crystal
from nbdask.geometry.crystal_frame import CrystalFrame
from nbdask.geometry.domains import make_domains
from nbdask.geometry.rotation import turned_axes
from nbdask.geometry.sobol import sobol
from nbdask.geometry.vectors import Array

LEAST, MOST = 8, 2**16
#: Pixels that are looked at, and the brightest of them, which count.
_PIXELS, _BRIGHT = 8192, 512
#: Of the exponent, for a Gaussian as wide at half maximum as the squared grating function.
_SHARPNESS = 4.0 * math.log(2.0) / 0.886**2


def estimated_count(
    given: Crystal,
    crystal: CrystalFrame,
    panels: Sequence[Mapping[str, Any]],
    beam: Array,
    wavelength: float,
) -> int:
    """Return a power of two of domains for the tolerance of ``given.mosaic``.

    Parameters
    ----------
    given : Crystal
    crystal : CrystalFrame
    panels : sequence of mappings
        Each with the fields of a :class:`~.model.PanelFrame` that place it.
    beam : (3,) float64 array
        Unit vector.
    wavelength : float
        [m]

    Raises
    ------
    FieldError
        More than 65536 would be needed.
    """
    tolerance = given.mosaic.tolerance
    assert tolerance is not None
    count = max(_PIXELS // len(panels), 64)
    q = np.concatenate([_scattering_vectors(panel, count, beam, wavelength) for panel in panels])
    first = _sums(crystal, _axes(given, crystal, 64), q)
    q = q[np.argsort(first)[-_BRIGHT:]]
    axes = _axes(given, crystal, 2 * LEAST)
    number, before = LEAST, _sums(crystal, axes[:LEAST], q)
    after = before + _sums(crystal, axes[LEAST:], q)
    while _difference(before / number, after / (2 * number)) > tolerance:
        number *= 2
        if number > MOST:
            raise FieldError(
                "crystal.mosaic.tolerance", tolerance, f"attainable with {MOST} domains: raise it"
            )
        axes = _axes(given, crystal, 2 * number)
        before, after = after, after + _sums(crystal, axes[number:], q)
    return number


def _difference(first: Array, second: Array) -> float:
    scale = float(np.sqrt(np.mean(second**2)))
    return float(np.sqrt(np.mean((first - second) ** 2))) / scale if scale > 0.0 else 0.0


def _axes(given: Crystal, crystal: CrystalFrame, count: int) -> Array:
    rotations = make_domains(given, crystal.axes, count).rotations
    assert rotations is not None
    return turned_axes(crystal.axes, rotations)


def _scattering_vectors(
    panel: Mapping[str, Any], count: int, beam: Array, wavelength: float
) -> Array:
    """Return those of some places of a flat panel, (count, 3) [1/m]."""
    place = sobol(count, 2)
    fast = place[:, :1] * (panel["n_fast"] * panel["pitch_fast"]) * panel["fast"]
    slow = place[:, 1:] * (panel["n_slow"] * panel["pitch_slow"]) * panel["slow"]
    at = panel["origin"] + fast + slow
    at /= np.linalg.norm(at, axis=1)[:, None]
    return np.asarray((at - beam) / wavelength)


def _sums(crystal: CrystalFrame, axes: Array, q: Array) -> Array:
    """Return the sum over domains of Gaussian spots at scattering vectors, (n,)."""
    cells = np.array(crystal.n_cells, dtype=np.float64)
    total = np.zeros(len(q))
    for part in np.array_split(axes, max(1, len(axes) * len(q) // 2**19)):
        index = np.einsum("dki,ni->dnk", part, q)
        away = (index - np.rint(index)) * cells
        total += np.exp(-_SHARPNESS * (away**2).sum(axis=2)).sum(axis=0)
    return total

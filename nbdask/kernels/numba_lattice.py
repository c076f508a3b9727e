"""Sums of squared lattice factors times squared amplitudes over orientations of the crystal.

The orientation is the outer loop and a block of pixels the inner one, which becomes vector code.
"""

from __future__ import annotations

from typing import Any

from nbdask.kernels import numba_narrow as narrow
from nbdask.kernels import numba_shapes as shapes
from nbdask.kernels import numba_square as square
from nbdask.kernels import numba_types as inputs
from nbdask.kernels.numba_jit import chosen_by_type

_LOOPS = {
    inputs.FewOdd: square.add_few_odd,
    inputs.Few: square.add_few,
    inputs.Grating: square.add_grating,
    inputs.NarrowFew: narrow.add_narrow,
    inputs.NarrowMore: narrow.add_narrow,
    inputs.NarrowGrating: narrow.add_narrow,
    inputs.Sphere: shapes.add_sphere,
    inputs.Gauss: shapes.add_gauss,
    inputs.NarrowGauss: narrow.add_narrow,
    inputs.Tophat: shapes.add_tophat,
    inputs.NarrowSphere: narrow.add_narrow,
    inputs.NarrowTophat: narrow.add_narrow,
}


def add_orientations(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add the terms of a range of orientations to row SUM of a block.

    Parameters
    ----------
    lattice, amplitude : named tuples
        From :mod:`~nbdask.kernels.numba_types`; their types choose the loop.
    axes : (n, 3, 3) float64 array
        Cell vectors a, b, c [m] of each orientation; in float32 also the table of orientations
        for each source.
    first, last : int
        Half-open range of orientations.
    work : Work
        Rows QX, QY, QZ hold the scattering vectors [1/m]; with that table DX, DY, DZ the rays.
    count : int
        Pixels of the block, a multiple of ``MULTIPLE``.
    """
    raise TypeError("only compiled code may call this")


@chosen_by_type(add_orientations)
def _choose(
    lattice: Any, amplitude: Any, axes: Any, first: Any, last: Any, work: Any, count: Any
) -> Any:
    return _LOOPS[lattice.instance_class]

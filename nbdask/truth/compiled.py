"""Photons by reflection in loops compiled at installation."""

from __future__ import annotations

import ctypes

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.kernels.cpu import pointers
from nbdask.kernels.interface import Mask
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels, chosen
from nbdask.native import library as native
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.truth import sums


def sums_of(
    model: Model, tile: Tile, mask: Mask | None, factor: Array, phi: Array, level: str | None = None
) -> Array:
    """Return the sums of a tile by reflection; see :func:`.reference.sums_of`.

    Parameters
    ----------
    model, tile, mask, factor, phi
        As there; tiles may have any size.
    level : str or None
        Level of the library, for tests; None: this processor's.
    """
    library = native.load(level or native.level())
    library.nb_reflections.restype = ctypes.c_longlong
    active = active_pixels(tile, mask)
    packed = pack(model)
    told = arguments(packed.values, tile, StepRange(0, 0), active)
    factors, angles = chosen(factor, active), np.ascontiguousarray(phi)
    rows = ctypes.POINTER(ctypes.c_double)()
    count = library.nb_reflections(
        *pointers(told, packed.axes, packed.sources, packed.table, active, angles, factors),
        ctypes.byref(rows),
    )
    if count < 0:
        raise MemoryError("the table of reflections of a block of pixels")
    try:
        found = np.ctypeslib.as_array(rows, (count, sums.COLUMNS)).copy() if count else None
    finally:
        library.nb_free_reflections(rows)
    return sums.merged([] if found is None else [found])

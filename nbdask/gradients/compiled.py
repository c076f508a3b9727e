"""Derivatives in loops compiled at installation."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import Basis
from nbdask.gradients.pack import PackedBasis, pack_basis
from nbdask.kernels.cpu import pointers
from nbdask.kernels.interface import Mask
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels, chosen
from nbdask.native import library as native
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile


class Pulled(NamedTuple):
    """Sums over pixels and terms, each times what pulls its pixel.

    Attributes
    ----------
    table : (n,) float64 array or None
        By each entry of the packed table: squared amplitudes, or amplitudes that are interpolated.
    sources : (n_sources, 2) float64 array
        By the weight and by the wavelength [1/m] of each source.
    """

    table: Array | None
    sources: Array


class CpuSlopes:
    """The derivatives in compiled loops, one thread per call.

    Parameters
    ----------
    level : str or None
        Level of the library, for tests; None: this processor's.
    """

    name = "cpu"

    def __init__(self, level: str | None = None) -> None:
        self._library = native.load(level or native.level())
        self._block = int(self._library.nb_slopes_block())

    def sums(
        self, model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> Array:
        """Return the sums of a range of steps and their derivatives."""
        return self._run(model, basis, tile, steps, mask, None, False, False)[0]

    def planes(self, model: Model, basis: Basis, tile: Tile, mask: Mask | None) -> Array:
        """Return photons and their derivatives: all steps and :meth:`finish`, the same bits."""
        steps = StepRange(0, model.n_steps)
        return self._run(model, basis, tile, steps, mask, None, False, True)[0]

    def pulled_planes(
        self,
        model: Model,
        basis: Basis,
        tile: Tile,
        mask: Mask | None,
        pull: Array,
        amplitudes: bool = False,
    ) -> tuple[Array, Pulled]:
        """Return :meth:`planes`, and sums over all pixels times what pulls each.

        Parameters
        ----------
        model, basis, tile, mask
            As for :func:`~.planes.tile_planes`.
        pull : (n_slow, n_fast) float64 array
            What multiplies the photons of each pixel.
        amplitudes : bool
            Whether sums by amplitudes are wanted.
        """
        steps = StepRange(0, model.n_steps)
        planes, found = self._run(model, basis, tile, steps, mask, pull, amplitudes, True)
        assert found is not None
        return planes, found

    def _run(
        self,
        model: Model,
        basis: Basis,
        tile: Tile,
        steps: StepRange,
        mask: Mask | None,
        pull: Array | None,
        amplitudes: bool,
        finish: bool,
    ) -> tuple[Array, Pulled | None]:
        active = active_pixels(tile, mask)
        packed, slopes = pack(model), pack_basis(model, basis, pull is not None)
        told = arguments(packed.values, tile, steps, active)
        count = tile.pixels if active is None else active.size
        planes = np.empty((1 + len(basis.slopes), count))
        # Kept here: what is called only gets addresses.
        pulls, rows = None if pull is None else chosen(pull, active), self._rows(slopes)
        found = None
        if pull is not None:
            table = np.zeros(packed.table.size) if amplitudes else None
            found = Pulled(table, np.zeros((model.n_sources, 2)))
        self._library.nb_slopes(
            *pointers(
                *(told, slopes.how, slopes.slopes, packed.axes, slopes.frames, slopes.spins),
                *(slopes.waves, packed.sources, packed.table, active, rows),
                *(planes, pulls, None if found is None else found.table),
                *(None if found is None else found.sources,),
            ),
            ctypes.c_int(finish),
        )
        return _scattered(planes, tile, active), found

    def finish(
        self, model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None
    ) -> Array:
        """Turn sums and derivatives into photons."""
        active = active_pixels(tile, mask)
        packed, slopes = pack(model), pack_basis(model, basis)
        told = arguments(packed.values, tile, StepRange(0, 0), active)
        flat = sums.reshape(len(sums), -1)
        planes = np.array(flat if active is None else flat[:, active], order="C")
        rows = self._rows(slopes)
        self._library.nb_finish_slopes(
            *pointers(told, slopes.how, slopes.slopes, packed.sources, active),
            *pointers(rows, planes),
        )
        return _scattered(planes, tile, active)

    def _rows(self, slopes: PackedBasis) -> Array:
        """Return scratch memory."""
        return np.zeros((1 + int(slopes.how["parameters"])) * self._block)


def _scattered(planes: Array, tile: Tile, active: Any) -> Array:
    """Return planes of a tile from the values of the pixels that were evaluated."""
    if active is None:
        return planes.reshape(-1, *tile.shape)
    result = np.zeros((len(planes), tile.pixels))
    result[:, active] = planes
    return result.reshape(-1, *tile.shape)


def sizes() -> tuple[int, int]:
    """Return the bytes of the two structures in the library, for tests."""
    library = native.library()
    for name in ("nb_slope_size", "nb_slopes_size"):
        getattr(library, name).restype = ctypes.c_longlong
    return int(library.nb_slope_size()), int(library.nb_slopes_size())

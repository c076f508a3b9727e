"""Derivatives in loops compiled at installation."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import Basis
from nbdask.gradients.pack import DATA, PackedBasis, pack_basis
from nbdask.kernels.cpu import pointers
from nbdask.kernels.cull import banded, cull_inputs
from nbdask.kernels.interface import Mask
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels, chosen
from nbdask.native import library as native
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Most cells along an axis whose derivatives float32 can hold.
MOST_NARROW = 1000


class Pull(NamedTuple):
    """What pulls the pixels of a tile, and what is summed up.

    Attributes
    ----------
    pixels : (n_slow, n_fast) float64 array
        What multiplies the photons of each pixel.
    amplitudes, sources : bool
        Whether sums by them are wanted.
    share : float
        What multiplies all terms, of one crystal of several.
    background : bool
        Whether the background counts, as it does for one of them.
    """

    pixels: Array
    amplitudes: bool = False
    sources: bool = False
    share: float = 1.0
    background: bool = True


class Pulled(NamedTuple):
    """Sums over pixels and terms, each times what pulls its pixel.

    Attributes
    ----------
    values : (parameters,) float64 array
        By each parameter.
    table : (n,) float64 array or None
        By each entry of the packed table: squared amplitudes, or amplitudes that are interpolated.
    sources : (n_sources, 2) float64 array or None
        By the weight and by the wavelength [1/m] of each source.
    """

    values: Array
    table: Array | None
    sources: Array | None


class CpuSlopes:
    """The derivatives in compiled loops, one thread per call.

    Parameters
    ----------
    level : str or None
        Level of the library, for tests; None: this processor's.
    skips : bool
        Whether groups of pixels are skipped where every term is exactly 0; False for tests.
    precision : str
        ``"float64"``; ``"mixed"``: square crystals of more than ten and at most 1000 cells along
        an axis in float32, but for their indices and sums (S-GRAD-28).
    """

    name = "cpu"

    def __init__(
        self, level: str | None = None, skips: bool = True, precision: str = "float64"
    ) -> None:
        self.skips, self.precision = skips, precision
        self.library = native.load(level or native.level())
        self.library.nb_slopes_room.restype = ctypes.c_longlong

    def sums(
        self, model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> Array:
        """Return the sums of a range of steps and their derivatives."""
        call = _Call(self, model, basis, tile, mask, steps)
        return call.planes(finish=False)

    def planes(self, model: Model, basis: Basis, tile: Tile, mask: Mask | None) -> Array:
        """Return photons and their derivatives: all steps and :meth:`finish`, the same bits."""
        return _Call(self, model, basis, tile, mask).planes()

    def pulled(
        self, model: Model, basis: Basis, tile: Tile, mask: Mask | None, pull: Pull
    ) -> Pulled:
        """Return sums over all pixels of derivatives times what pulls each pixel."""
        call = _Call(self, model, basis, tile, mask, pulled=pull.sources)
        slopes = call.slopes.slopes.copy()
        call.slopes = call.slopes._replace(slopes=slopes)
        weaken(call.told, slopes, pull)
        found = Pulled(
            np.zeros(len(basis.slopes)),
            np.zeros(call.packed.table.size) if pull.amplitudes else None,
            np.zeros((model.n_sources, 2)) if pull.sources else None,
        )
        call.run(pull=chosen(pull.pixels, call.active), values=found.values, table=found.table,
                 sources=found.sources)  # fmt: skip
        return found

    def equations(
        self,
        model: Model,
        basis: Basis,
        tile: Tile,
        mask: Mask | None,
        seen: Array,
        data: Mapping[str, float],
    ) -> tuple[Array, Array, Array]:
        """Return sums of normal equations over the pixels of a tile (S-GRAD-18).

        Parameters
        ----------
        model, basis, tile, mask
            As for :func:`~.planes.tile_planes`.
        seen : (n_slow, n_fast) float64 array
            Photons of the data; not a number where a pixel does not count.
        data : mapping of str to float
            Fields of ``Data`` in ``slope_params.h``.

        Returns
        -------
        sums : (3,) float64 array
            Loss, chi2, number of pixels.
        gradient : (parameters,) float64 array
        hessian : (parameters, parameters) float64 array
        """
        count = len(basis.slopes)
        found = np.zeros(3 + count + count * count)
        call = _Call(self, model, basis, tile, mask)
        told = np.zeros((), DATA)
        for name, value in data.items():
            told[name] = value
        call.run(data=told, seen=chosen(seen, call.active), equations=found)
        return found[:3], found[3 : 3 + count], found[3 + count :].reshape(count, count)

    def finish(
        self, model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None
    ) -> Array:
        """Turn sums and derivatives into photons."""
        active = active_pixels(tile, mask)
        packed, slopes = pack(model), pack_basis(model, basis, tile.panel)
        told = arguments(packed.values, tile, StepRange(0, 0), active)
        flat = sums.reshape(len(sums), -1)
        planes = np.array(flat if active is None else flat[:, active], order="C")
        rows = self.rows(slopes)
        self.library.nb_finish_slopes(
            *pointers(told, slopes.how, slopes.slopes, packed.sources, active),
            *pointers(rows, planes),
        )
        return scattered(planes, tile, active)

    def rows(self, slopes: PackedBasis) -> Array:
        """Return scratch memory."""
        return np.zeros(self.library.nb_slopes_room(int(slopes.how["parameters"])))


class _Call:
    """What one call into the library is told, kept here: what is called only gets addresses."""

    def __init__(
        self,
        kernel: CpuSlopes,
        model: Model,
        basis: Basis,
        tile: Tile,
        mask: Mask | None,
        steps: StepRange | None = None,
        pulled: bool = False,
    ) -> None:
        self.kernel, self.tile, self.active = kernel, tile, active_pixels(tile, mask)
        found = cull_inputs(model, narrow=False) if kernel.skips else None
        # Without groups there are no spots that end.
        self.cull = found if found is not None and found.struct.group else None
        if self.cull is not None:
            # Neighbours along both axes stay together.
            listed = np.arange(tile.pixels, dtype=np.int32) if self.active is None else self.active
            self.active = banded(listed, tile.shape[1], self.cull.struct.rows)
        self.packed, self.slopes = pack(model), pack_basis(model, basis, tile.panel, pulled)
        if kernel.precision == "mixed" and model.n_cells.max() <= MOST_NARROW:
            how = self.slopes.how.copy()
            how["narrow"] = 1
            self.slopes = self.slopes._replace(how=how)
        every = StepRange(0, model.n_steps)
        self.told = arguments(self.packed.values, tile, steps or every, self.active)

    def planes(self, finish: bool = True) -> Array:
        """Return planes of the tile."""
        count = self.tile.pixels if self.active is None else self.active.size
        planes = np.empty((1 + int(self.slopes.how["parameters"]), count))
        self.run(planes=planes, finish=finish)
        return scattered(planes, self.tile, self.active)

    def run(
        self,
        planes: Array | None = None,
        pull: Array | None = None,
        values: Array | None = None,
        table: Array | None = None,
        sources: Array | None = None,
        data: Any = None,
        seen: Array | None = None,
        equations: Array | None = None,
        finish: bool = True,
    ) -> None:
        """Call ``nb_slopes``."""
        packed, slopes = self.packed, self.slopes
        rows = self.kernel.rows(slopes)
        self.kernel.library.nb_slopes(
            *pointers(
                *(self.told, slopes.how, slopes.slopes, packed.axes, slopes.leads, slopes.frames),
                *(slopes.spins, slopes.waves, packed.sources, packed.table, self.active, rows),
                *(
                    self.cull and self.cull.struct,
                    planes,
                    pull,
                    values,
                    table,
                    sources,
                    data,
                    seen,
                    equations,
                ),
            ),
            ctypes.c_int(finish),
        )


def weaken(told: Any, slopes: Any, pull: Pull) -> None:
    """Multiply all terms of a call by its share; leave the background to another one.

    Parameters
    ----------
    told, slopes : structures
        ``Params`` and ``Slope`` of the parameters, changed in place.
    pull : Pull
    """
    told["height"] *= pull.share
    if not pull.background:
        told["background"] = slopes["background"] = 0.0


def scattered(planes: Array, tile: Tile, active: Any) -> Array:
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

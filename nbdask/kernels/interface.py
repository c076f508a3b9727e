"""What a kernel is: its inputs, its result, and how results of step ranges merge.

A kernel evaluates one tile for one range of steps (:meth:`Kernel.partial`), un-normalised, in
float64; and it turns the merged sum of all steps into photons (:meth:`Kernel.finish`).  All
kernels take the same inputs and give the same result to rounding; nothing else in nbdask asks
which one runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.plan.planes import PLANES, check_backend
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

Mask = NDArray[np.bool_]
#: Moments of a pixel: sum of weights, and times wavelength, h, k and l.
MOMENTS = 5
#: Name of a quantity -> its value or values.
Values = dict[str, tuple[float, ...]]


class Partial(NamedTuple):
    """The effect of one range of steps on the running sum I of each pixel: I -> gain * I + total.

    Attributes
    ----------
    total : (n_slow, n_fast) float64 array
        Sum of the terms (F_cell * F_latt)^2, each times its source's weight and, where the model
        says so, its own factors.
    gain : (n_slow, n_fast) float64 array or None
        Product of the factors (``running_product`` models only); None: 1 everywhere.
    outside : int
        Evaluations whose interpolation neighbourhood left the amplitude grid.
    """

    total: NDArray[np.float64]
    gain: NDArray[np.float64] | None
    outside: int


def merge(first: Partial, second: Partial) -> Partial:
    """Return the effect of ``first`` followed by ``second``."""
    outside = first.outside + second.outside
    if second.gain is None:
        return Partial(first.total + second.total, first.gain, outside)
    total = second.gain * first.total + second.total
    gain = second.gain if first.gain is None else first.gain * second.gain
    return Partial(total, gain, outside)


class Moments(NamedTuple):
    """The effect of one range of steps on the moments M of each pixel: M -> gain * M + sums.

    Attributes
    ----------
    sums : (5, n_slow, n_fast) float64 array
        Sum of the weights of the evaluations, and the same times the wavelength [Angstrom] and
        times whole h, k and l.
    gain : (n_slow, n_fast) float64 array or None
        As of :class:`Partial`.
    """

    sums: NDArray[np.float64]
    gain: NDArray[np.float64] | None


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Return the effect of ``first`` followed by ``second``."""
    if second.gain is None:
        return Moments(first.sums + second.sums, first.gain)
    gain = second.gain if first.gain is None else first.gain * second.gain
    return Moments(second.gain * first.sums + second.sums, gain)


class Kernel(Protocol):
    """One implementation of the physics; kernels inherit what it defines here.

    Attributes
    ----------
    name : str
        Name in the registry: ``"cpu"``, ``"numpy"``, ``"cuda"``.
    precision : str
        ``"float64"`` or ``"mixed"``.
    version : str
        Changes whenever the bits of the result may change.
    on_device : bool
        Whether the tasks of a process share a GPU, and its threads only what comes afterwards.
    costs : mapping of str to float
        Nanoseconds by key that this kernel knows better than the registry.
    note : str or None
        Note for the user.
    variant : str
        Which of several compiled forms this process uses: a level of processor, a GPU's name.
    """

    name: str
    precision: str
    version: str
    on_device: bool = False
    costs: Mapping[str, float] = MappingProxyType({})
    note: str | None = None
    variant: str = ""

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``.

        Parameters
        ----------
        model : Model
        tile : Tile
        steps : StepRange
            Flat step indices (layer, sub-pixel slow, sub-pixel fast, source, phi, domain).
        mask : (n_slow, n_fast) bool array or None
            True where the pixel is to be evaluated; None: everywhere.  Pixels that are not
            evaluated have total 0 and gain 1.
        """

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum of all steps into photons per pixel.

        Parameters
        ----------
        model : Model
        tile : Tile
        partial : Partial
            Merged over all steps, in order.
        mask : (n_slow, n_fast) bool array or None
            Pixels where it is False become 0.

        Returns
        -------
        (n_slow, n_fast) float32 array
            Photons.
        """

    def image(self, model: Model, tile: Tile, mask: Mask | None) -> tuple[NDArray[np.float32], int]:
        """Evaluate all steps of a tile and finish it.

        Parameters
        ----------
        model : Model
        tile : Tile
        mask : (n_slow, n_fast) bool array or None

        Returns
        -------
        image : (n_slow, n_fast) float32 array
            Photons, the same bits as from :meth:`partial` over all steps and :meth:`finish`.
        outside : int
            Evaluations whose interpolation neighbourhood left the amplitude grid.
        """
        partial = self.partial(model, tile, StepRange(0, model.n_steps), mask)
        return self.finish(model, tile, partial, mask), partial.outside

    def moments(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Moments:
        """Sum the moments of ``steps`` for every pixel of ``tile``, in float64.

        Parameters
        ----------
        model, tile, steps, mask
            As for :meth:`partial`; of a single crystal.

        Raises
        ------
        BackendError
            This kernel computes none.
        """
        check_backend(tuple(PLANES), self.name)
        raise NotImplementedError

    def share(self, model: Model) -> tuple[float, float]:
        """Return which share of the evaluations is done, and of the time that all would take."""
        return 1.0, 1.0

    def needs_compiling(self, model: Model) -> bool:
        """Return True if this machine must first compile code for this model."""
        return False

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes that evaluating ``pixels`` needs in addition to its result planes."""


@runtime_checkable
class Probing(Protocol):
    """A kernel that can tell its intermediate values; of others only sums and pixels are known."""

    def probe(self, model: Model, slow: int, fast: int, step: int) -> Values:
        """Return what the kernel's formulas give for one pixel at one flat step."""

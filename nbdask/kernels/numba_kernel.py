"""The Numba kernel: the same physics as the NumPy one, compiled for this machine's processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels import numba_warmup
from nbdask.kernels.compiled import Compiled, check_compiler
from nbdask.kernels.interface import Mask, Partial
from nbdask.kernels.machine_code import Packed
from nbdask.kernels.numba_inputs import inputs_of
from nbdask.kernels.numba_types import Each
from nbdask.kernels.numba_work import new_work, work_bytes
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

PRECISIONS = ("float64", "mixed")
_NOTHING = np.zeros(0)
_SUM_STEPS = Compiled("nbdask.kernels.numba_loops", "sum_steps")
_RUN_PRODUCTS = Compiled("nbdask.kernels.numba_products", "run_products")
_FINISH_PIXELS = Compiled("nbdask.kernels.numba_finish", "finish_pixels")
_Plane = NDArray[np.float64]
#: First pixel and width of a tile, and its pixels to be evaluated.
_Where = tuple[tuple[int, int, int], NDArray[np.int64]]
#: A compiled function and its arguments.
_Call = tuple[Compiled, tuple[Any, ...]]


class _Shared(NamedTuple):
    """The arguments that all tiles of a model share."""

    sums: Packed
    finish: Packed


class NumbaKernel:
    """The physics in compiled loops, one thread per call.

    Parameters
    ----------
    precision : str
        ``"float64"``, or ``"mixed"``: lattice factors in float32.

    Raises
    ------
    BackendError
        An unknown precision.
    """

    name = "numba"
    version = "1"

    def __init__(self, precision: str = "float64") -> None:
        if precision not in PRECISIONS:
            raise BackendError(f"--precision = {precision!r}: must be float64 or mixed")
        # The compiled code may be there already, but what is missing is told at once.
        if find_spec("numba") is None:
            raise ModuleNotFoundError("No module named 'numba'", name="numba")
        self.precision = precision

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        total = np.zeros(tile.shape)
        gain = np.ones(tile.shape) if model.running_product else None
        active = _active(mask)
        if active is not None and active.size == 0:
            return Partial(total, gain, 0)
        flat = total.reshape(-1)
        sums = flat if active is None else np.empty(active.size)
        gains = _NOTHING
        if gain is not None:
            gains = gain.reshape(-1) if active is None else np.empty(active.size)
        function, arguments = self._sum(model, _where(tile, active), steps, sums, gains)
        outside = function(*arguments)
        if active is not None:
            flat[active] = sums
            if gain is not None:
                gain.reshape(-1)[active] = gains
        return Partial(total, gain, outside)

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum into photons; see :class:`~.interface.Kernel`."""
        image = np.zeros(tile.shape, dtype=np.float32)
        active = _active(mask)
        if active is not None and active.size == 0:
            return image
        sums = _chosen(partial.total, active)
        gains = _NOTHING if partial.gain is None else _chosen(partial.gain, active)
        flat = image.reshape(-1)
        pixels = flat if active is None else np.empty(active.size, dtype=np.float32)
        function, arguments = self._finish(model, _where(tile, active), sums, gains, pixels)
        function(*arguments)
        if active is not None:
            flat[active] = pixels
        return image

    def _sum(
        self, model: Model, where: _Where, steps: StepRange, sums: _Plane, gains: _Plane
    ) -> _Call:
        """Return what sums the terms, and its arguments."""
        todo = (*where, int(steps.start), int(steps.stop), new_work(), sums)
        shared = _packed(model, self.precision).sums
        if not model.running_product:
            return _SUM_STEPS, (shared, *todo)
        return _RUN_PRODUCTS, (shared, *todo, gains)

    def _finish(
        self,
        model: Model,
        where: _Where,
        sums: _Plane,
        gains: _Plane,
        pixels: NDArray[np.float32],
    ) -> _Call:
        """Return what makes photons of sums, and its arguments."""
        shared = _packed(model, self.precision).finish
        return _FINISH_PIXELS, (shared, *where, new_work(), sums, gains, pixels)

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of scratch memory, and of the list of pixels where some are left out.

        The table of squared amplitudes, as large as the model's grid and shared by all tasks of a
        process, is not counted.
        """
        slow0, slow1, fast0, fast1 = model.roi
        whole = (slow0, slow1, fast0, fast1) == (0, model.n_slow - 1, 0, model.n_fast - 1)
        listed = 0 if whole and model.mask is None else 32 * pixels
        return work_bytes() + listed

    def variant(self, model: Model) -> str:
        """Return the name of the compiled loops that a model needs."""
        if model.running_product:
            return f"Products-{type(inputs_of(model, self.precision).amplitude).__name__}"
        return inputs_of(model, self.precision).variant

    def needs_compiling(self, model: Model) -> bool:
        """Return True if this machine has not yet compiled the loops that a model needs.

        Raises
        ------
        BackendError
            They have to be compiled, and cannot be.
        """
        where, pixels = ((0, 0, 1), np.zeros(0, dtype=np.int64)), np.zeros(0, dtype=np.float32)
        calls = (
            self._sum(model, where, StepRange(0, 1), _NOTHING, _NOTHING),
            self._finish(model, where, _NOTHING, _NOTHING, pixels),
        )
        if all(function.is_ready(*arguments) for function, arguments in calls):
            return False
        check_compiler()
        return True


# As many as inputs_of keeps.
@lru_cache(maxsize=3)
def _packed(model: Model, precision: str) -> _Shared:
    """Return the shared arguments of the compiled functions, in their order."""
    inputs = inputs_of(model, precision)
    place, light, each = inputs.place, inputs.light, inputs.each
    amplitude, axes = inputs.amplitude, inputs.axes
    if model.running_product:
        skip_zero = bool(model.background == 0.0)
        sums = Packed(place, light, each, inputs.crystal, amplitude, axes, skip_zero)
    else:
        sums = Packed(place, light, each, inputs.lattice, amplitude, axes, inputs.height)
    running, background = bool(model.running_product), float(model.background)
    return _Shared(sums, Packed(place, light, Each(*each), running, background, float(model.scale)))


def _active(mask: Mask | None) -> NDArray[np.int64] | None:
    """Return the flat indices of the pixels to be evaluated; None: all of them."""
    if mask is None or mask.all():
        return None
    return np.flatnonzero(mask)


def _where(tile: Tile, active: NDArray[np.int64] | None) -> _Where:
    listed = np.zeros(0, dtype=np.int64) if active is None else active
    return (int(tile.slow0), int(tile.fast0), int(tile.fast1 - tile.fast0)), listed


def _chosen(plane: _Plane, active: NDArray[np.int64] | None) -> _Plane:
    flat = np.require(plane, np.float64, ["C", "A", "W"]).reshape(-1)
    return flat if active is None else flat[active]


def warmup(
    precisions: Sequence[str] = PRECISIONS,
    rare: bool = False,
    say: Callable[[str], None] | None = None,
) -> None:
    """Compile the kernels into the cache, those that it does not hold yet.

    Parameters
    ----------
    precisions : sequence of str
        ``"float64"``, ``"mixed"`` or both.
    rare : bool
        Also the versions for factors that are applied to each term.
    say : callable or None
        Called with the name of each version before it is compiled.
    """
    kernels = [NumbaKernel(precision) for precision in precisions]
    for name in numba_warmup.warmup(kernels, rare):
        if say is not None:
            say(name)

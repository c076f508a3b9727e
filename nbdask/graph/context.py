"""What every task of a run shares: sent once to each process, found there by the run's name.

Tasks carry two or three small numbers only; the model, which may be large, never travels with
one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.graph.shot_models import ShotModels
from nbdask.graph.slopes import TileSlopes
from nbdask.kernels.interface import Kernel
from nbdask.kernels.registry import get_kernel
from nbdask.plan.machine import cpu_name, release_large_blocks
from nbdask.plan.plan import Plan
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.shots import Series

#: Writes one finished tile, then its record: (index, tile, image, summary), and further planes by
#: name where there are any.
WriteTile = Callable[..., Sequence[float]]
#: What is done to a finished tile before it is written: (tile, image) -> the part of the tile that
#: counts in statistics, and its pixels; the others are 0.
After = Callable[[Tile, NDArray[np.float32]], tuple[Tile, NDArray[np.float32]] | None]


class Shared:
    """What all tasks of a run share.  Picklable."""

    __slots__ = ()

    @property
    def requires(self) -> tuple[str, str, str] | None:
        """Kernel that every process must have: (backend, precision, version); None: no matter."""
        return None

    def enter(self, run: str) -> Self:
        """Return what this process's tasks are to find; raise an error where they cannot work."""
        return self

    def leave(self, run: str) -> None:
        """Undo what :meth:`enter` did."""


@dataclass(frozen=True, slots=True, eq=False)
class RunContext(Shared):
    """The shared part of a run.  Picklable.

    Attributes
    ----------
    model : Model
    grid : TileGrid
    steps : tuple of StepRange
    backend, precision, kernel_version : str
        Which kernel; a process whose kernel has another version refuses the run.
    write_tile : callable or None
        None where tiles are returned instead of written.
    planes : tuple of str
        Further planes that are computed.
    shots : ShotModels or None
        Models of the shots of a series; ``model`` is that of shot 0.
    after : callable or None
        What is done to a finished tile before it is written.
    slopes : TileSlopes or None
        Derivatives that are computed.
    per_task : int
        Most steps of a range, for shots of other numbers of steps.
    """

    model: Model
    grid: TileGrid
    steps: tuple[StepRange, ...]
    backend: str
    precision: str
    kernel_version: str
    write_tile: WriteTile | None = None
    planes: tuple[str, ...] = ()
    shots: ShotModels | None = None
    after: After | None = None
    per_task: int = 1
    slopes: TileSlopes | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        plan: Plan,
        write_tile: WriteTile | None = None,
        series: Series | None = None,
        after: After | None = None,
    ) -> RunContext:
        """Build from a model and its plan."""
        return cls(
            model,
            plan.grid,
            plan.steps,
            plan.backend,
            plan.precision,
            plan.kernel_version,
            write_tile,
            plan.planes,
            None if series is None else ShotModels(series, model),
            after,
            plan.per_task,
        )

    def model_of(self, shot: int) -> Model:
        """Return the model of a shot, or of the only image."""
        return self.model if self.shots is None else self.shots[shot]

    def steps_of(self, shot: int) -> tuple[StepRange, ...]:
        """Return the step ranges of a shot, as a run of this shot alone has them."""
        count = self.model_of(shot).n_steps
        if count == self.steps[-1].stop:
            return self.steps
        return tuple(split_steps(count, self.per_task))

    @property
    def requires(self) -> tuple[str, str, str]:
        """Kernel that every process must have: (backend, precision, version)."""
        return self.backend, self.precision, self.kernel_version

    def enter(self, run: str) -> Self:
        """Refuse a kernel that does not match; map a large table from the file of this host."""
        self.kernel()
        model = map_amplitudes(self.model, run)
        if model is self.model:
            return self
        shots = None if self.shots is None else ShotModels(self.shots.series, model)
        return replace(self, model=model, shots=shots)

    def leave(self, run: str) -> None:
        """Remove the file."""
        forget_amplitudes(run)

    def made(self) -> str:
        """Return the kind of this machine and the form of the kernel that it uses."""
        return _kind(self.kernel().variant)

    def kernel(self) -> Kernel:
        """Return this process's kernel.

        Raises
        ------
        BackendError
            It is missing, or another version than the run was planned with.
        """
        kernel = get_kernel(self.backend, self.precision)
        if kernel.version != self.kernel_version:
            raise BackendError(
                f"kernel {self.backend} has version {kernel.version} here, but the run was started"
                f" with version {self.kernel_version}: install the same nbdask everywhere"
            )
        return kernel


@cache
def _kind(variant: str) -> str:
    return f"{cpu_name()}, {variant}" if variant else cpu_name()


S = TypeVar("S", bound=Shared)


@dataclass(slots=True, eq=False)
class Setup(Generic[S]):
    """Brings what tasks share into a process, and takes it out again.

    Parameters
    ----------
    run : str
        Name of the run, unique in the process.
    context : Shared
        Once installed, what the process's tasks find: whoever keeps this setup does not keep a
        large table in memory with it.
    """

    run: str
    context: S

    @property
    def requires(self) -> tuple[str, str, str] | None:
        """Kernel that every process must have."""
        return self.context.requires

    def install(self) -> None:
        """Make the context known to this process's tasks."""
        self.context = self.context.enter(self.run)
        release_large_blocks()
        with _lock:
            _contexts[self.run] = self.context

    def remove(self) -> None:
        """Forget the context."""
        with _lock:
            _contexts.pop(self.run, None)
        self.context.leave(self.run)


_contexts: dict[str, Any] = {}
_lock = Lock()


def context_of(run: str) -> Any:
    """Return the context of a run that was installed in this process."""
    try:
        return _contexts[run]
    except KeyError:
        raise RuntimeError(f"run {run} is not known to this process") from None

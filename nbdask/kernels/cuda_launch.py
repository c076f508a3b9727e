"""What runs the CUDA kernels: one text, several places where it can run.

The kernels are one CUDA C++ text (:mod:`~nbdask.kernels.cuda_source`).  A :class:`Launcher`
compiles it and runs its entries: on a GPU through CuPy (:mod:`~nbdask.kernels.cuda_cupy`), or on
this machine's processor, one thread after another (:mod:`~nbdask.kernels.cuda_host`).  The kernel
class (:mod:`~nbdask.kernels.cuda_kernel`) knows only this protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: An array in the memory of the device; opaque except to its launcher.
Buffer = Any
#: A compiled program; opaque except to its launcher.
Module = Any
#: What an entry is called with: a buffer, or a structure that is passed by value (the scalar of a
#: structured dtype whose layout is that of the C structure).
Argument = Any
#: Releases a resident array that no task reads; False where there is none.
Spare = Callable[[], bool]


class Program(NamedTuple):
    """What is compiled: the text for one version of the kernels.

    Attributes
    ----------
    text : str
        One self-contained CUDA C++17 text, no ``#include``.
    defines : tuple of (str, int)
        Macros, each ``NAME=VALUE``, that choose the version of the loops for a GPU.
    entries : tuple of str
        Names of the ``extern "C" __global__`` functions.
    threads : int
        Threads of a block on a GPU (one of ``defines``, too).
    pixels : int
        Pixels of a thread on a GPU (one of ``defines``, too).
    """

    text: str
    defines: tuple[tuple[str, int], ...]
    entries: tuple[str, ...]
    threads: int
    pixels: int


class Task(Protocol):
    """One tile's work in order: a stream.  Buffers of a task live until the task ends."""

    def upload(self, array: NDArray[Any]) -> Buffer:
        """Copy a C-contiguous array to the device."""

    def zeros(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return ``count`` zeros on the device."""

    def empty(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return room for ``count`` numbers on the device."""

    def blocks(self, module: Module, pixels: int) -> int:
        """Return how many blocks :meth:`launch` starts for so many pixels."""

    def launch(
        self, module: Module, entry: str, pixels: int, arguments: tuple[Argument, ...]
    ) -> None:
        """Start an entry with as many blocks as ``pixels`` need; do not wait for its end.

        On a GPU a block of ``threads`` covers ``threads * pixels`` of the program's.
        """

    def result(self, shape: tuple[int, int]) -> Buffer:
        """Return float32 zeros on the device that can be handed over to the caller."""

    def hand_over(self, buffer: Buffer) -> Any:
        """Return a :meth:`result` as an array of the device's library."""

    def put(self, value: np.float32, array: Any, pixel: tuple[int, int]) -> None:
        """Overwrite one number of what was handed over."""

    def download(self, buffer: Buffer) -> NDArray[Any]:
        """Wait for the buffer's content and return it as a separate flat array.

        Raises
        ------
        BackendError
            The device failed, in one line.
        """


class Launcher(Protocol):
    """A device and its compiler.  All methods may be called from several threads at once.

    Attributes
    ----------
    name : str
        Name of the device, for records and messages.
    slow_float64 : bool
        Whether its float64 rate is a small part of its float32 rate.
    """

    name: str
    slow_float64: bool

    def compile(self, program: Program) -> Module:
        """Return the compiled program, from this process or from disk where it is there."""

    def is_compiled(self, program: Program) -> bool:
        """Return True if :meth:`compile` would return at once."""

    def resident(self, array: NDArray[Any], spare: Spare) -> Buffer:
        """Copy an array to the device, to be read by all tasks until it is released.

        Parameters
        ----------
        array : array
        spare : callable
            Releases something that is not in use, where memory is short.
        """

    def release(self, buffer: Buffer) -> None:
        """Forget a resident array, which no task may be reading."""

    def task(self, device_bytes: int, spare: Spare) -> AbstractContextManager[Task]:
        """Return a new task: its own stream, memory from the pool.

        When the task has ended the device has done all its work.

        Parameters
        ----------
        device_bytes : int
            Most bytes of its buffers; where memory is limited, the task waits for its share.
        spare : callable
            As for :meth:`resident`.

        Raises
        ------
        BackendError
            Not enough memory.
        """

    def working_bytes(self, blocks: Sequence[int]) -> int:
        """Return the bytes of this machine's (not the GPU's) memory for blocks that are copied."""

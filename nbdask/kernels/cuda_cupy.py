"""The CUDA kernels on a card, through CuPy.

Each task has a stream, so that one tile is computed while another is copied and a third is
compressed and written by other threads.  Copies go through page-locked memory.  The card's memory
comes from a pool with a limit; a task waits until its share is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nbdask.errors import BackendError
from nbdask.kernels.cuda_device import load_cupy, this_card
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_launch import Argument, Buffer, Module, Program
from nbdask.kernels.cuda_nvrtc import compiled_file, cubin_path
from nbdask.plan.memory import format_bytes, parse_bytes

#: Share of the card's free memory that is used when nothing else is said.
SHARE = 0.8
#: Environment variable that limits the card's memory of each process, such as ``8GB``.
LIMIT = "NBDASK_GPU_MEMORY"


class _Loaded(NamedTuple):
    """A program on the card: its entries, the threads of a block, the pixels of a thread."""

    entries: dict[str, Any]
    threads: int
    pixels: int


class CupyLauncher:
    """Runs the kernels on the first card that this process sees.

    Raises
    ------
    BackendError
        CuPy, the driver or a card is missing or too old.
    """

    def __init__(self) -> None:
        self._cupy = load_cupy()
        self._card = this_card()
        self.name = self._card.name
        self.slow_float64 = self._card.slow_float64
        self._device = self._cupy.cuda.Device(0)
        self._modules: dict[Program, _Loaded] = {}
        self._streams: list[Any] = []
        self._lock = Lock()
        self._pool = self._cupy.cuda.MemoryPool()
        self._budget = Budget(self._limit())
        self._pool.set_limit(size=self._budget.total)

    def compile(self, program: Program) -> Module:
        """Return the loaded program, compiled if need be; see :class:`~.cuda_launch.Launcher`."""
        with self._lock, self._device:
            if program not in self._modules:
                path = compiled_file(program, self._card.capability)
                with self._clear_errors():
                    module = self._cupy.RawModule(path=str(path))
                    entries = {name: module.get_function(name) for name in program.entries}
                    self._modules[program] = _Loaded(entries, program.threads, program.pixels)
            return self._modules[program]

    def is_compiled(self, program: Program) -> bool:
        """Return True if the program is on disk for this card."""
        return cubin_path(program, self._card.capability).exists()

    def resident(self, array: NDArray[Any]) -> Buffer:
        """Copy an array to the card; it is freed with the returned buffer."""
        with self._device, self._clear_errors(), self._cupy.cuda.using_allocator(self._pool.malloc):
            buffer = self._cupy.asarray(np.ascontiguousarray(array))
            self._cupy.cuda.get_current_stream().synchronize()
        return buffer

    @contextmanager
    def task(self, device_bytes: int) -> Iterator[CupyTask]:
        """Return a task with a stream of its own, once its share of the card's memory is free.

        Parameters
        ----------
        device_bytes : int
            Most bytes of its buffers.
        """
        with self._budget.share(device_bytes), self._device, self._clear_errors():
            stream = self._stream()
            task = CupyTask(self._cupy, stream)
            try:
                with stream, self._cupy.cuda.using_allocator(self._pool.malloc):
                    yield task
            finally:
                # Whatever became of the task: nobody else gets its stream or page-locked memory
                # before the card has done with them.
                stream.synchronize()
                task.close()
                with self._lock:
                    self._streams.append(stream)

    def working_bytes(self, pixels: int, bytes_per_pixel: int) -> int:
        """Return the bytes of page-locked memory of a task: its copies of what goes and comes."""
        return pixels * bytes_per_pixel

    def _stream(self) -> Any:
        with self._lock:
            if self._streams:
                return self._streams.pop()
        return self._cupy.cuda.Stream(non_blocking=True)

    def _limit(self) -> int:
        free, total = self._cupy.cuda.runtime.memGetInfo()
        given = os.environ.get(LIMIT)
        if given is None:
            return int(SHARE * free)
        limit = parse_bytes(given, LIMIT)
        if limit > total:
            raise BackendError(
                f"{LIMIT} = {given}: the card {self.name} has {format_bytes(total)};"
                " give at most that"
            )
        return limit

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn the card's errors into one line."""
        cuda = self._cupy.cuda
        try:
            yield
        except cuda.memory.OutOfMemoryError as error:
            raise BackendError(
                f"--backend cuda: the card {self.name} has no memory left ({error}): give a"
                f" smaller --tile, fewer --threads, or more by {LIMIT}"
            ) from error
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            raise BackendError(
                f"--backend cuda: the card {self.name} failed: {error}; look at nvidia-smi and the"
                " system's log, then go on with --resume"
            ) from error


class CupyTask:
    """The work of one tile in one stream; made by :meth:`CupyLauncher.task`."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        self._cupy, self._stream = cupy, stream
        self._held: list[Any] = []

    def upload(self, array: NDArray[Any]) -> Buffer:
        """Copy an array to the card by way of page-locked memory; do not wait."""
        staged = self._pinned(array.size, array.dtype)
        staged[:] = array.reshape(-1)
        buffer = self.empty(array.size, array.dtype)
        buffer.set(staged, stream=self._stream)
        self._held.append(staged)
        return buffer

    def zeros(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return zeros on the card."""
        return self._keep(self._cupy.zeros(count, dtype))

    def empty(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return room on the card."""
        return self._keep(self._cupy.empty(count, dtype))

    def launch(
        self, module: Module, entry: str, pixels: int, arguments: tuple[Argument, ...]
    ) -> None:
        """Start an entry; see :class:`~.cuda_launch.Task`."""
        blocks = -(-pixels // (module.threads * module.pixels))
        # CuPy passes structures by value as arrays of one element.
        words = tuple(np.array(a) if isinstance(a, np.void) else a for a in arguments)
        module.entries[entry]((blocks,), (module.threads,), words)

    def download(self, buffer: Buffer) -> NDArray[Any]:
        """Wait for the buffer and return its content, in page-locked memory of its own."""
        result = self._pinned(buffer.size, buffer.dtype)
        buffer.get(stream=self._stream, out=result)
        self._stream.synchronize()
        return result

    def close(self) -> None:
        """Give back buffers and page-locked memory."""
        self._held.clear()

    def _keep(self, buffer: Buffer) -> Buffer:
        self._held.append(buffer)
        return buffer

    def _pinned(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        kind = np.dtype(dtype)
        memory = self._cupy.cuda.alloc_pinned_memory(max(1, count * kind.itemsize))
        made: NDArray[Any] = np.ndarray((count,), kind, buffer=memory)
        return made


class CardKernel(CudaKernel):
    """The kernel on the card that this process sees first.

    Parameters
    ----------
    precision : str
        As for :class:`~.cuda_kernel.CudaKernel`.

    Raises
    ------
    BackendError
        There is no card that can be used.
    """

    name = "cuda"

    def __init__(self, precision: str = "float64") -> None:
        super().__init__(precision, CupyLauncher())


class Budget:
    """A number of bytes that is shared out, first come, first served.

    Parameters
    ----------
    total : int
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._turn = Condition()

    @contextmanager
    def share(self, wanted: int) -> Iterator[None]:
        """Wait until ``wanted`` bytes are free, and hold them.

        Raises
        ------
        BackendError
            There will never be so many.
        """
        if wanted > self.total:
            raise BackendError(
                f"--backend cuda: a task needs {format_bytes(wanted)} of the card's memory, but"
                f" {format_bytes(self.total)} may be used: give a smaller --tile, or more by"
                f" {LIMIT}"
            )
        with self._turn:
            self._turn.wait_for(lambda: self._taken + wanted <= self.total)
            self._taken += wanted
        try:
            yield
        finally:
            with self._turn:
                self._taken -= wanted
                self._turn.notify_all()

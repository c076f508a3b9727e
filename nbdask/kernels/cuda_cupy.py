"""The CUDA kernels on a GPU, through CuPy.

Each task has a stream, so that one tile is computed while another is copied and a third is
compressed and written by other threads.  Copies go through page-locked memory.  The GPU's memory
comes from a pool with a limit; a task waits until its share is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nbdask.errors import BackendError
from nbdask.kernels.cuda_budget import LIMIT, Budget
from nbdask.kernels.cuda_costs import USUAL, gpu_costs, keyed
from nbdask.kernels.cuda_device import load_cupy, this_device
from nbdask.kernels.cuda_facts import page_locked_bytes
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_launch import Argument, Buffer, Module, Program, Spare
from nbdask.kernels.cuda_nvrtc import code_path, compiled_file
from nbdask.plan.memory import format_bytes, parse_bytes

#: Share of the GPU's free memory that is used by default.
SHARE = 0.8
#: The GPU's pool rounds every block up to a multiple of this.
_UNIT = 512


class _Loaded(NamedTuple):
    """A program on the GPU: its entries, the threads of a block, the pixels of a thread."""

    entries: dict[str, Any]
    threads: int
    pixels: int


class _Block:
    """An array on the GPU, which can be taken away from whoever still refers to the block."""

    def __init__(self, array: Any) -> None:
        self.array, self.size = array, int(array.size)


class CupyLauncher:
    """Runs the kernels on the first GPU that this process sees.

    Raises
    ------
    BackendError
        CuPy, the driver or a GPU is missing or too old.
    """

    def __init__(self) -> None:
        self._cupy = load_cupy()
        self._facts = this_device()
        self.name = self._facts.name
        self.slow_float64 = self._facts.slow_float64
        self._device = self._cupy.cuda.Device(0)
        self._modules: dict[Program, _Loaded] = {}
        self._streams: list[Any] = []
        self._lock = Lock()
        #: The error that ended all work in this process; None: none.
        self._lost: str | None = None
        self._pool = self._cupy.cuda.MemoryPool()
        self._budget = Budget(self._limit())
        self._pool.set_limit(size=self._budget.total)

    def compile(self, program: Program) -> Module:
        """Return the loaded program, compiled if need be; see :class:`~.cuda_launch.Launcher`."""
        with self._lock, self._device:
            if program not in self._modules:
                path = compiled_file(program, self._facts.capability)
                with self._clear_errors():
                    module = self._cupy.RawModule(path=str(path))
                    entries = {name: module.get_function(name) for name in program.entries}
                    self._modules[program] = _Loaded(entries, program.threads, program.pixels)
            return self._modules[program]

    def is_compiled(self, program: Program) -> bool:
        """Return True if the program is on disk for this GPU."""
        return code_path(program, self._facts.capability).exists()

    def costs(self) -> dict[str, float]:
        """Return the nanoseconds of an evaluation on this GPU by key, estimated."""
        attributes = self._device.attributes
        processors, kilohertz = attributes["MultiProcessorCount"], attributes["ClockRate"]
        hertz = 1e3 * kilohertz or USUAL[2]
        return keyed("cuda", gpu_costs(processors, self._facts.float64_units, hertz))

    def resident(self, array: NDArray[Any], spare: Spare) -> Buffer:
        """Copy an array to the GPU, where its bytes count until it is released."""
        size = _rounded(array.nbytes)
        self._budget.keep(size, spare)
        try:
            with (
                self._device,
                self._clear_errors(),
                self._cupy.cuda.using_allocator(self._pool.malloc),
            ):
                buffer = _Block(self._cupy.asarray(np.ascontiguousarray(array)))
                self._cupy.cuda.get_current_stream().synchronize()
        except BaseException:
            self._budget.let_go(size)
            raise
        return buffer

    def release(self, buffer: Buffer) -> None:
        """Free a resident array."""
        size = _rounded(buffer.array.nbytes)
        buffer.array = None
        self._budget.let_go(size)

    @contextmanager
    def task(self, device_bytes: int, spare: Spare) -> Iterator[CupyTask]:
        """Return a task with its own stream, once its share of the GPU's memory is free.

        Parameters
        ----------
        device_bytes : int
            Most bytes of its buffers.
        spare : callable
            Releases a resident array that no task reads.
        """
        with self._budget.share(device_bytes, spare), self._device, self._clear_errors():
            stream = self._stream()
            task = CupyTask(self._cupy, stream)
            try:
                with stream, self._cupy.cuda.using_allocator(self._pool.malloc):
                    yield task
            finally:
                # However the task ended, nobody else gets its stream or page-locked memory
                # before the GPU has done with them.
                try:
                    task.wait()
                    with self._lock:
                        self._streams.append(stream)
                finally:
                    task.close()

    def working_bytes(self, blocks: Sequence[int]) -> int:
        """Return the bytes of page-locked memory of a task: its copies of what goes and comes."""
        return page_locked_bytes(blocks)

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
                f"{LIMIT} = {given}: the GPU {self.name} has {format_bytes(total)};"
                " give at most that"
            )
        return limit

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn the GPU's errors into one line, and start nothing after one that stays."""
        if self._lost is not None:
            raise BackendError(self._lost)
        cuda = self._cupy.cuda
        try:
            yield
        except cuda.memory.OutOfMemoryError as error:
            raise BackendError(
                f"--backend cuda: the GPU {self.name} has no memory left ({error}): give a"
                f" smaller --tile, fewer --threads, or more by {LIMIT}"
            ) from error
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            self._look_after(error)
            raise BackendError(
                f"--backend cuda: the GPU {self.name} failed: {error}; look at nvidia-smi and the"
                " system's log, then continue with --resume"
            ) from error

    def _look_after(self, error: Exception) -> None:
        """Note an error that every further call of this process would give again."""
        cuda = self._cupy.cuda
        try:
            cuda.runtime.deviceSynchronize()
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError):
            self._lost = (
                f"--backend cuda: the GPU {self.name} failed before ({error}) and cannot be used"
                " by this process any more: start again with --resume"
            )


class CupyTask:
    """The work of one tile in one stream; made by :meth:`CupyLauncher.task`."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        self._cupy, self._stream = cupy, stream
        self._blocks: list[_Block] = []
        self._staged: list[NDArray[Any]] = []

    def upload(self, array: NDArray[Any]) -> Buffer:
        """Copy an array to the GPU by way of page-locked memory; do not wait."""
        staged = self._pinned(array.size, array.dtype)
        staged[:] = array.reshape(-1)
        buffer = self.empty(array.size, array.dtype)
        buffer.array.set(staged, stream=self._stream)
        return buffer

    def zeros(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return zeros on the GPU."""
        return self._keep(self._cupy.zeros(count, dtype))

    def empty(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return room on the GPU."""
        return self._keep(self._cupy.empty(count, dtype))

    def result(self, shape: tuple[int, int]) -> Buffer:
        """Return zeros from CuPy's own pool, not from the memory that is limited here."""
        with self._cupy.cuda.using_allocator(self._cupy.get_default_memory_pool().malloc):
            return self._keep(self._cupy.zeros(shape, np.float32))

    def hand_over(self, buffer: Buffer) -> Any:
        """Return a :meth:`result` as an array of CuPy."""
        return buffer.array

    def put(self, value: np.float32, array: Any, pixel: tuple[int, int]) -> None:
        """Overwrite one number of what was handed over."""
        staged = self._pinned(1, np.float32)
        staged[0] = value
        flat = pixel[0] * array.shape[1] + pixel[1]
        array.reshape(-1)[flat : flat + 1].set(staged, stream=self._stream)

    def blocks(self, module: Module, pixels: int) -> int:
        """Return how many blocks a launch has."""
        return -(-pixels // int(module.threads * module.pixels))

    def launch(
        self, module: Module, entry: str, pixels: int, arguments: tuple[Argument, ...]
    ) -> None:
        """Start an entry; see :class:`~.cuda_launch.Task`."""
        blocks = self.blocks(module, pixels)
        # CuPy passes structures by value as arrays of one element.
        launch_arguments = tuple(
            np.array(a) if isinstance(a, np.void) else a.array for a in arguments
        )
        module.entries[entry]((blocks,), (module.threads,), launch_arguments)

    def download(self, buffer: Buffer) -> NDArray[Any]:
        """Wait for the buffer and return its content, in its own page-locked memory."""
        result = self._pinned(buffer.size, buffer.array.dtype)
        buffer.array.get(stream=self._stream, out=result, blocking=False)
        self.wait()
        return result

    def wait(self) -> None:
        """Sleep until the GPU has done all that was started."""
        # Waiting for a stream keeps a core busy, for such an event it does not.
        event = self._cupy.cuda.Event(block=True, disable_timing=True)
        event.record(self._stream)
        event.synchronize()

    def close(self) -> None:
        """Give back buffers, whoever still refers to them, and page-locked memory."""
        for block in self._blocks:
            block.array = None
        self._blocks.clear()
        self._staged.clear()

    def _keep(self, array: Any) -> _Block:
        self._blocks.append(_Block(array))
        return self._blocks[-1]

    def _pinned(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return room in page-locked memory, or in common memory where the system has none left."""
        kind = np.dtype(dtype)
        size = max(1, count * kind.itemsize)
        cuda = self._cupy.cuda
        memory: Any = None
        try:
            memory = cuda.alloc_pinned_memory(size)
        except (cuda.runtime.CUDARuntimeError, cuda.memory.OutOfMemoryError) as error:
            # cudaErrorMemoryAllocation: the system's limit of locked memory, no fault of the GPU.
            if getattr(error, "status", _NO_MEMORY) != _NO_MEMORY:
                raise
            memory = np.empty(size, np.uint8)
        made: NDArray[Any] = np.ndarray((count,), kind, buffer=memory)
        # Nobody else gets it before the GPU has done with it.
        self._staged.append(made)
        return made


#: cudaErrorMemoryAllocation.
_NO_MEMORY = 2


class GpuKernel(CudaKernel):
    """The kernel on the GPU that this process sees first.

    Parameters
    ----------
    precision : str
        As for :class:`~.cuda_kernel.CudaKernel`.

    Raises
    ------
    BackendError
        No usable GPU.
    """

    name = "cuda"
    on_device = True

    def __init__(self, precision: str = "float64") -> None:
        launcher = CupyLauncher()
        super().__init__(precision, launcher)
        self.variant = launcher.name
        self.costs = launcher.costs()
        if self.precision == "float64" and launcher.slow_float64:
            square = [self.costs[f"cuda/{name}/square/list"] for name in ("float64", "pairs")]
            self.note = (
                f"the GPU {launcher.name} has few float64 units: --precision pairs computes square"
                f" and gauss crystals about {square[0] / square[1]:.0f} times faster, to 1e-5;"
                " --precision auto chooses it on such GPUs"
            )


def _rounded(size: int) -> int:
    return -(-max(size, 1) // _UNIT) * _UNIT

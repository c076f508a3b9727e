"""As much of CuPy as the launcher for GPUs uses, in this machine's memory.

Whatever is put into a stream happens only when that stream is waited for, so that a launcher which
reads too early, or writes into page-locked memory that is still to be copied, gives wrong pixels.
A stream knows addresses only: an array that nobody holds is overwritten, and what still reads it
gets that.  Entries run through the host's launcher.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from nbdask.kernels import cuda_cupy
from nbdask.kernels.cuda_budget import LIMIT
from nbdask.kernels.cuda_host import HostLauncher


class CudaError(RuntimeError):
    """What the stand-in raises for a failing GPU."""


class OutOfMemory(CudaError):
    """No room on the GPU."""


def _no_spare() -> bool:
    return False


class Stream:
    """Work in order, done when it is waited for."""

    current = threading.local()

    def __init__(self, non_blocking: bool = False) -> None:
        self.work: list[Any] = []
        self.spins = 0

    def __enter__(self) -> Stream:
        Stream.current.stream = self
        return self

    def __exit__(self, *rest: object) -> None:
        Stream.current.stream = None

    def synchronize(self) -> None:
        """Do what waits, and note that a core was kept busy meanwhile."""
        self.spins += 1
        self.run()

    def run(self) -> None:
        """Do what waits."""
        for action in self.work:
            action()
        self.work.clear()


class Event:
    """A place in a stream that can be waited for."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.block = block
        self.stream = NULL

    def record(self, stream: Stream | None = None) -> None:
        """Stand behind all work of a stream."""
        self.stream = stream or running()

    def synchronize(self) -> None:
        """Wait for the stream."""
        if self.block:
            self.stream.run()
        else:
            self.stream.synchronize()


NULL = Stream()


def running() -> Stream:
    """Return this thread's current stream."""
    return getattr(Stream.current, "stream", None) or NULL


class Array:
    """An array on the GPU; ``base``: the array whose memory it shares."""

    def __init__(self, held: np.ndarray, base: Array | None = None, pool: Pool | None = None):
        self.held, self.base, self.pool = held, base, pool
        self.size, self.dtype, self.shape = held.size, held.dtype, held.shape
        self.nbytes = held.nbytes

    def __del__(self) -> None:
        if self.base is None and self.held.size:
            self.held.reshape(-1).view(np.uint8)[:] = 0xFF
        if self.pool is not None:
            self.pool.free(self.nbytes)

    def reshape(self, *shape: int) -> Array:
        """Return a view."""
        return Array(self.held.reshape(*shape), self)

    def __getitem__(self, part: slice) -> Array:
        """Return a view."""
        return Array(self.held[part], self)

    def set(self, source: np.ndarray, stream: Stream) -> None:
        """Copy later: from the memory as it will be then."""
        held = self.held
        stream.work.append(lambda: np.copyto(held, source))

    def get(self, stream: Stream, out: np.ndarray, blocking: bool = True) -> None:
        """Copy back in the stream's order."""
        held = self.held
        stream.work.append(lambda: np.copyto(out, held))
        if blocking:
            stream.synchronize()


class Pool:
    """Memory with a limit."""

    def __init__(self) -> None:
        self.limit = 0
        self.used = self.most = 0
        self.lock = threading.Lock()

    def set_limit(self, size: int) -> None:
        """Set the most bytes."""
        self.limit = size

    def malloc(self, size: int) -> Pool:
        """Take bytes, in multiples of 512."""
        with self.lock:
            if self.limit and self.used + self.rounded(size) > self.limit:
                raise OutOfMemory(f"out of memory allocating {size} bytes")
            self.used += self.rounded(size)
            self.most = max(self.most, self.used)
        return self

    def free(self, size: int) -> None:
        """Give bytes back."""
        with self.lock:
            self.used -= self.rounded(size)

    @staticmethod
    def rounded(size: int) -> int:
        """Return the bytes that a block really takes."""
        return -(-max(size, 1) // 512) * 512


class Standin(SimpleNamespace):
    """The module ``cupy``.

    Parameters
    ----------
    memory : int
        Bytes of the GPU.
    """

    def __init__(self, memory: int = 1 << 30) -> None:
        self.host = HostLauncher()
        self.launches: list[tuple[str, tuple[int], tuple[int]]] = []
        self.text: dict[str, Any] = {}
        #: What ended the GPU's work for good.
        self.lost: CudaError | None = None
        self.default_pool = Pool()
        self.allocator = threading.local()
        runtime = SimpleNamespace(
            deviceSynchronize=self._alive,
            CUDARuntimeError=CudaError,
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 13000,
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda n: {
                "name": b"Stand-in",
                "major": 9,
                "minor": 0,
                "totalGlobalMem": memory,
            },
            memGetInfo=lambda: (memory, memory),
        )

        @contextmanager
        def device(number: int):
            yield

        @contextmanager
        def using_allocator(malloc: Any):
            before = getattr(self.allocator, "malloc", None)
            self.allocator.malloc = malloc
            yield
            self.allocator.malloc = before

        class Device:
            """The one GPU."""

            def __init__(self, number: int) -> None:
                assert number == 0
                self.attributes = {"MultiProcessorCount": 132, "ClockRate": 1_755_000}

            def __enter__(self) -> None: ...

            def __exit__(self, *rest: object) -> None: ...

        self.cuda = SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(CUDADriverError=CudaError),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemory),
            Device=Device,
            Stream=Stream,
            Event=Event,
            MemoryPool=Pool,
            using_allocator=using_allocator,
            get_current_stream=running,
            alloc_pinned_memory=lambda size: memoryview(bytearray(size)),
        )

    def _alive(self) -> None:
        if self.lost is not None:
            raise self.lost

    def _made(self, held: np.ndarray) -> Array:
        malloc = getattr(self.allocator, "malloc", None)
        return Array(held, pool=None if malloc is None else malloc(held.nbytes))

    def get_default_memory_pool(self) -> Pool:
        """Return CuPy's own pool."""
        return self.default_pool

    def asarray(self, array: np.ndarray) -> Array:
        """Copy to the GPU."""
        return self._made(np.array(array))

    def empty(self, count: int, dtype: Any) -> Array:
        """Return room."""
        made = np.empty(count, dtype)
        made.view(np.uint8)[:] = 0xFF
        return self._made(made)

    def zeros(self, count: int | tuple[int, int], dtype: Any) -> Array:
        """Return zeros."""
        return self._made(np.zeros(count, dtype))

    def RawModule(self, path: str) -> SimpleNamespace:
        """Load what the launcher compiled: its program, remembered by the file's name."""
        module = self.host.compile(self.text[path])
        return SimpleNamespace(get_function=lambda entry: Function(self, module, entry))


class Function:
    """An entry of a module."""

    def __init__(self, cupy: Standin, module: Any, entry: str) -> None:
        self.cupy, self.module, self.entry = cupy, module, entry

    def __call__(self, grid: tuple[int], block: tuple[int], words: tuple[Any, ...]) -> None:
        """Start the entry in the current stream."""
        values = []
        for word in words:
            if isinstance(word, Array):
                values.append(word.held.reshape(-1))
            else:
                # CuPy passes arrays of one element by value, and refuses others.
                assert isinstance(word, np.ndarray)
                assert word.size == 1
                values.append(word[()])
        self.cupy._alive()
        self.cupy.launches.append((self.entry, grid, block))
        pixels = int(values[0]["count"])
        with self.cupy.host.task(0, _no_spare) as task:
            running().work.append(
                lambda: task.launch(self.module, self.entry, pixels, tuple(values))
            )


def install(monkeypatch: Any, memory: int = 1 << 30) -> Standin:
    """Put a stand-in in the place of CuPy, and of NVIDIA's compiler."""
    made = Standin(memory)
    monkeypatch.setitem(sys.modules, "cupy", made)
    monkeypatch.delenv(LIMIT, raising=False)

    def compiled(program: Any, capability: int) -> Path:
        path = Path(f"{hash(program)}.cubin")
        made.text[str(path)] = program
        return path

    monkeypatch.setattr(cuda_cupy, "compiled_file", compiled)
    return made

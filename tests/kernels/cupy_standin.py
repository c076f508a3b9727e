"""As much of CuPy as the launcher for cards uses, in this machine's memory.

Whatever is put into a stream happens only when that stream is waited for, so that a launcher which
reads too early, or writes into page-locked memory that is still to be copied, gives wrong pixels.
Entries run through the host's launcher.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from nbdask.kernels.cuda_host import HostLauncher


class CudaError(RuntimeError):
    """What the stand-in raises for a failing card."""


class OutOfMemory(CudaError):
    """No room on the card."""


class Stream:
    """Work in order, done when it is waited for."""

    current = threading.local()

    def __init__(self, non_blocking: bool = False) -> None:
        self.work: list[Any] = []

    def __enter__(self) -> Stream:
        Stream.current.stream = self
        return self

    def __exit__(self, *rest: object) -> None:
        Stream.current.stream = None

    def synchronize(self) -> None:
        """Do what waits."""
        for action in self.work:
            action()
        self.work.clear()


NULL = Stream()


def running() -> Stream:
    """Return this thread's current stream."""
    return getattr(Stream.current, "stream", None) or NULL


class Array:
    """An array on the card."""

    def __init__(self, held: np.ndarray) -> None:
        self.held, self.size, self.dtype = held, held.size, held.dtype

    def set(self, source: np.ndarray, stream: Stream) -> None:
        """Copy later: from the memory as it will be then."""
        stream.work.append(lambda: np.copyto(self.held, source))

    def get(self, stream: Stream, out: np.ndarray) -> None:
        """Copy back in the stream's order."""
        stream.work.append(lambda: np.copyto(out, self.held))
        stream.synchronize()


class Pool:
    """Memory with a limit."""

    def __init__(self) -> None:
        self.limit = 0

    def set_limit(self, size: int) -> None:
        """Set the most bytes."""
        self.limit = size

    def malloc(self, size: int) -> None:
        """Count."""


class Standin(SimpleNamespace):
    """The module ``cupy``.

    Parameters
    ----------
    memory : int
        Bytes of the card.
    """

    def __init__(self, memory: int = 1 << 30) -> None:
        self.host = HostLauncher()
        self.launches: list[tuple[str, tuple[int], tuple[int]]] = []
        self.text: dict[str, Any] = {}
        runtime = SimpleNamespace(
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
            yield

        class Device:
            """The one card."""

            def __init__(self, number: int) -> None:
                assert number == 0

            def __enter__(self) -> None: ...

            def __exit__(self, *rest: object) -> None: ...

        self.cuda = SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(CUDADriverError=CudaError),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemory),
            Device=Device,
            Stream=Stream,
            MemoryPool=Pool,
            using_allocator=using_allocator,
            get_current_stream=running,
            alloc_pinned_memory=lambda size: memoryview(bytearray(size)),
        )

    def asarray(self, array: np.ndarray) -> Array:
        """Copy to the card."""
        return Array(np.array(array))

    def empty(self, count: int, dtype: Any) -> Array:
        """Return room."""
        made = np.empty(count, dtype)
        made.view(np.uint8)[:] = 0xFF
        return Array(made)

    def zeros(self, count: int, dtype: Any) -> Array:
        """Return zeros."""
        return Array(np.zeros(count, dtype))

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
                values.append(word.held)
            else:
                # CuPy passes arrays of one element by value, and refuses others.
                assert isinstance(word, np.ndarray)
                assert word.size == 1
                values.append(word[()])
        self.cupy.launches.append((self.entry, grid, block))
        pixels = int(values[0]["count"])
        with self.cupy.host.task(0) as task:
            running().work.append(
                lambda: task.launch(self.module, self.entry, pixels, tuple(values))
            )

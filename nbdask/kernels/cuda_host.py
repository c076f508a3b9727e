"""The CUDA kernels on this machine's processor: the same text, compiled by g++.

It shows what the GPU will compute, on machines without one; it is slow and for tests.  A
small header stands in for CUDA's keywords (``native/src/card_host.h``); every thread is a pass of a
loop.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nbdask.errors import BackendError
from nbdask.files import whole_file
from nbdask.kernels.cache import program_folder
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_launch import Argument, Buffer, Module, Program, Spare
from nbdask.native.sources import SOURCES

#: Environment variable that names another C++ compiler.
COMPILER = "CXX"
_FLAGS = ("-std=c++20", "-O2", "-shared", "-fPIC", "-pthread", "-fno-math-errno")
#: Pixels of a thread; the versions of the loops are chosen when they run, so that one library
#: holds all of them.
_PIXELS = 4


class HostLauncher:
    """Runs the kernels on this machine's processor, one call on one core.

    Parameters
    ----------
    flags : tuple of str
        More flags for the compiler.
    threads : int
        Threads of a block.  Above 1 each is a thread of the system, which is slow and serves to
        test the barriers; only one call at a time may then run.

    Raises
    ------
    BackendError
        No C++ compiler.
    """

    name = "this machine's processor (kernels of the GPU, compiled by g++)"
    slow_float64 = False

    def __init__(self, flags: tuple[str, ...] = ("-ffp-contract=off",), threads: int = 1) -> None:
        self._threads = threads
        found = shutil.which(os.environ.get(COMPILER) or "g++")
        if found is None:
            raise BackendError(
                "--backend cuda-host needs the C++ compiler g++, which is not on the path:"
                " install it, or name another one by CXX"
            )
        self._compiler = found
        several = ("-DNB_HOST_THREADS",) if threads > 1 else ()
        pixels = f"-DNB_PIXELS={_PIXELS}"
        self._flags = (*_FLAGS, pixels, f"-DNB_THREADS={threads}", *several, *flags)
        self._loaded: dict[Program, ctypes.CDLL] = {}
        self._lock = Lock()

    def compile(self, program: Program) -> Module:
        """Return the compiled library, made if need be; see :class:`~.cuda_launch.Launcher`."""
        with self._lock:
            # All versions of the loops are in one library.
            program = program._replace(defines=())
            if program not in self._loaded:
                path = self._library(program)
                if not path.exists():
                    self._build(program, path)
                self._loaded[program] = ctypes.CDLL(str(path))
            return self._loaded[program]

    def is_compiled(self, program: Program) -> bool:
        """Return True if the library is there."""
        return self._library(program).exists()

    def resident(self, array: NDArray[Any], spare: Spare) -> Buffer:
        """Return the array itself: there is but one memory."""
        return np.ascontiguousarray(array)

    def release(self, buffer: Buffer) -> None:
        """Do nothing: whoever still has the array keeps it."""

    @contextmanager
    def task(self, device_bytes: int, spare: Spare) -> Iterator[HostTask]:
        """Return a task whose calls run at once."""
        yield HostTask(self._threads)

    def working_bytes(self, blocks: Sequence[int]) -> int:
        """Return the bytes of a task's buffers."""
        return sum(blocks)

    def _library(self, program: Program) -> Path:
        digest = hashlib.sha256()
        version = _compiler_version(self._compiler)
        for part in (program.text, _header(), *program.entries, *self._flags, version):
            digest.update(part.encode() + b"\0")
        return program_folder("cuda-host") / f"{digest.hexdigest()[:24]}.so"

    def _build(self, program: Program, path: Path) -> None:
        exports = "".join(f"NB_HOST_EXPORT({entry})\n" for entry in program.entries)
        text = f'{_header()}\n#line 1 "card.cu"\n{program.text}\n{exports}'
        with whole_file(path) as made, tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source = Path(folder) / "kernels.cpp"
            source.write_text(text)
            done = subprocess.run(
                [self._compiler, *self._flags, str(source), "-o", str(made)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                lines = [line for line in done.stderr.splitlines() if "error" in line]
                raise BackendError(
                    f"--backend cuda-host: {self._compiler} cannot compile the kernels:"
                    f" {(lines or done.stderr.splitlines() or ['no message'])[0]}"
                )


class HostTask:
    """The work of one tile: buffers are arrays, and a launch is over when it returns."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def upload(self, array: NDArray[Any]) -> Buffer:
        """Return the array itself."""
        return np.ascontiguousarray(array)

    def zeros(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return zeros."""
        return np.zeros(count, dtype)

    def empty(self, count: int, dtype: DTypeLike) -> Buffer:
        """Return numbers that show where one was not written."""
        made = np.empty(count, dtype)
        made.view(np.uint8)[:] = 0xFF
        return made

    def blocks(self, module: Module, pixels: int) -> int:
        """Return how many blocks a launch has."""
        return -(-pixels // (self._threads * _PIXELS))

    def launch(
        self, module: Module, entry: str, pixels: int, arguments: tuple[Argument, ...]
    ) -> None:
        """Run an entry for every block."""
        keep: list[Any] = []
        for value in arguments:
            if isinstance(value, np.ndarray):
                keep.append(ctypes.c_void_p(value.ctypes.data))
            else:
                keep.append(ctypes.create_string_buffer(value.tobytes(), value.nbytes))
        addresses = (ctypes.c_void_p * len(keep))(*(ctypes.addressof(k) for k in keep))
        blocks = self.blocks(module, pixels)
        getattr(module, f"{entry}__host")(
            ctypes.c_uint(blocks), ctypes.c_uint(self._threads), addresses
        )

    def result(self, shape: tuple[int, int]) -> Buffer:
        """Return zeros."""
        return np.zeros(shape, np.float32)

    def hand_over(self, buffer: Buffer) -> Any:
        """Return the array itself."""
        return buffer

    def put(self, value: np.float32, array: Any, pixel: tuple[int, int]) -> None:
        """Overwrite a number."""
        array[pixel] = value

    def download(self, buffer: Buffer) -> NDArray[Any]:
        """Return the array itself."""
        result: NDArray[Any] = buffer
        return result


class CudaHostKernel(CudaKernel):
    """The kernel of the GPU on this machine's processor, for tests.

    Parameters
    ----------
    precision : str
        ``"float64"``, ``"mixed"`` or ``"pairs"``.
    """

    name = "cuda-host"

    def __init__(self, precision: str = "float64") -> None:
        super().__init__(precision, HostLauncher())


@lru_cache(maxsize=1)
def _header() -> str:
    return (SOURCES / "card_host.h").read_text()


@lru_cache(maxsize=4)
def _compiler_version(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return f"{compiler} {done.stdout}"

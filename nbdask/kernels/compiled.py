"""Compiled functions by name: their code from the disk, or made by Numba where it is not there."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from nbdask.kernels.cache import code_folder
from nbdask.kernels.machine_code import (
    Code,
    UnfitCodeError,
    can_run_code,
    code_from_bytes,
    kinds_of,
    load,
    unpacked,
)
from nbdask.kernels.processor import processor

# One compiles at a time; others that want the same function wait for it.
_lock = RLock()


class Compiled:
    """A function marked ``entry`` that is compiled for the kinds of its arguments.

    Numba, and the module that holds the function, are imported only when there is something to
    compile.

    Parameters
    ----------
    module, name : str
        Where the function is.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._ready: dict[str, Callable[[Any], int]] = {}

    def __call__(self, *arguments: Any) -> int:
        """Run the function; return its result, 0 if it has none."""
        kinds = kinds_of(arguments)
        ready = self._ready.get(kinds)
        if ready is None:
            with _lock:
                ready = self._ready.get(kinds) or self._make(kinds, arguments)
                self._ready[kinds] = ready
        return ready(arguments)

    def is_ready(self, *arguments: Any) -> bool:
        """Return True if nothing would have to be compiled for such arguments."""
        kinds = kinds_of(arguments)
        return kinds in self._ready or self._file(kinds).exists()

    def _make(self, kinds: str, arguments: Any) -> Callable[[Any], int]:
        file = self._file(kinds)
        if can_run_code():
            with contextlib.suppress(OSError, UnfitCodeError):
                return load(code_from_bytes(file.read_bytes(), kinds), arguments)
        return self._compile(file, kinds, arguments)

    def _compile(self, file: Path, kinds: str, arguments: Any) -> Callable[[Any], int]:
        function = getattr(importlib.import_module(self.module), self.name)
        from nbdask.kernels.numba_jit import compile_entry, compile_for_numba

        if can_run_code():
            with contextlib.suppress(UnfitCodeError):
                code = compile_entry(function, kinds, arguments)
                ready = load(code, arguments)
                _keep(file, code)
                return ready
        # Numba's own way: code that only it can load, from its own files.
        compile_for_numba(function, arguments)
        _write(file, b"")
        return lambda arguments: int(function(*unpacked(arguments)) or 0)

    def _file(self, kinds: str) -> Path:
        digest = hashlib.sha256(kinds.encode()).hexdigest()[:16]
        return code_folder(processor()) / f"{self.name.strip('_')}-{digest}"


def _keep(file: Path, code: Code) -> None:
    _write(file, code.to_bytes())


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole.  A folder that cannot be written only costs the time later."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)

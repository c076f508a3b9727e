"""Compiled functions by name: their code from the disk, or made by Numba where it is not there."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from nbdask.errors import BackendError
from nbdask.kernels.cache import code_folders
from nbdask.kernels.machine_code import (
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
        return kinds in self._ready or any(file.exists() for file in self._files(kinds))

    def _make(self, kinds: str, arguments: Any) -> Callable[[Any], int]:
        files = self._files(kinds)
        for file in files if can_run_code() else ():
            with contextlib.suppress(OSError, UnfitCodeError):
                return load(code_from_bytes(file.read_bytes(), kinds), arguments)
        return self._compile(files[0], kinds, arguments)

    def _compile(self, file: Path, kinds: str, arguments: Any) -> Callable[[Any], int]:
        check_compiler()
        function = getattr(importlib.import_module(self.module), self.name)
        from nbdask.kernels.numba_jit import compile_entry, compile_for_numba

        if can_run_code():
            with contextlib.suppress(UnfitCodeError):
                code = compile_entry(function, kinds, arguments)
                ready = load(code, arguments)
                _write(file, code.to_bytes())
                return ready
        # Numba's own way: code that only it can load, from its own files.
        compile_for_numba(function, arguments)
        _write(file, b"")
        return lambda arguments: int(function(*unpacked(arguments)) or 0)

    def _files(self, kinds: str) -> list[Path]:
        """Return the file to be written, and others that may hold the same."""
        digest = hashlib.sha256(kinds.encode()).hexdigest()[:16]
        return [folder / f"{self.name.strip('_')}-{digest}" for folder in code_folders(processor())]


def check_compiler() -> None:
    """Refuse to go on where Numba compiles nothing.

    Raises
    ------
    BackendError
        Numba cannot be imported, or was told not to compile.
    """
    try:
        numba = importlib.import_module("numba")
    except ImportError as error:
        raise BackendError(
            f"numba cannot be imported ({error}): install it again, or use --backend numpy (slow)"
        ) from error
    if numba.config.DISABLE_JIT:
        raise BackendError(
            "NUMBA_DISABLE_JIT keeps numba from compiling: unset it, or use --backend numpy (slow)"
        )


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole.  A folder that cannot be written only costs the time later."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}-{secrets.token_hex(6)}")
        temporary.write_bytes(content)
        os.replace(temporary, file)

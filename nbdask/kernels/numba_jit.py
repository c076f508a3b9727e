"""How the Numba kernels are compiled: decorators and two small pieces of LLVM.

Every function is compiled without the interpreter's lock.  The only float flag is contraction
(multiply and add in one instruction); nothing is reassociated, so sums keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import RLock
from typing import Any, TypeVar

import numba
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic, overload

from nbdask.kernels.cache import cache_directory

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Functions that only compiled code calls need no code that takes Python's objects apart, which
# takes long to compile.  Python must not call them: Numba does not check.
_INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_lock = RLock()
#: Numba's types, whose names its modules only make when they are imported.
kinds: Any = types


def formula(function: _Function) -> _Function:
    """Compile a small function that is always put in line where it is called."""
    compiled: _Function = numba.njit(forceinline=True, **_INNER)(function)
    return compiled


def block(function: _Function) -> _Function:
    """Compile a loop over a block of pixels, called from an entry."""
    compiled: _Function = numba.njit(**_INNER)(function)
    return compiled


def entry(function: _Function) -> _Function:
    """Compile a function that Python calls; its machine code is kept on disk."""
    with _lock:
        # Set only while the function is made, so that other users of Numba keep their own place.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache_directory())
        try:
            compiled: _Function = numba.njit(cache=True, **_OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = before
    return compiled


def chosen_by_type(function: _Function) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that returns the implementation of ``function`` for given types."""
    made: Callable[[Callable[..., Any]], Callable[..., Any]] = overload(
        function, jit_options=_INNER, strict=False
    )
    return made


@lru_cache(maxsize=1)
def processor() -> str:
    """Return the name and features of the processor that code is compiled for."""
    features = binding.get_host_cpu_features().flatten()
    return f"{binding.get_host_cpu_name()} {features}"


@lru_cache(maxsize=1)
def has_wide_vectors() -> bool:
    """Return True if code is compiled for a processor with 512 bit vectors (AVX-512)."""
    if numba.config.CPU_NAME is not None or numba.config.CPU_FEATURES is not None:
        return "+avx512f" in str(numba.config.CPU_FEATURES)
    return bool(binding.get_host_cpu_features().get("avx512f", False))


@intrinsic
def full_width_vectors(_context: Any) -> Any:
    """Let LLVM use the widest vectors of the processor in the function that calls this.

    On processors with 512 bit vectors it prefers 256 bits unless told otherwise.  The function is
    also kept out of line: it works on a whole block, and copies of it would only take time to
    compile.
    """

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        # llvmlite only knows attributes without a value; the set behind it takes any text.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return kinds.void(), generate


@intrinsic
def bits_of(_context: Any, _number: Any) -> Any:
    """Return the 64 bits of a float64 as an int64."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return kinds.int64(kinds.float64), generate


@intrinsic
def float_of(_context: Any, _bits: Any) -> Any:
    """Return the float64 whose 64 bits are those of an int64."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return kinds.float64(kinds.int64), generate

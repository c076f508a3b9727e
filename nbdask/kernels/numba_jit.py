"""How the Numba kernels are compiled: decorators and two small pieces of LLVM.

Every function is compiled without the interpreter's lock.  The only float flag is contraction
(multiply and add in one instruction); nothing is reassociated, so sums keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from nbdask.kernels.cache import cache_directory
from nbdask.kernels.machine_code import (
    Code,
    UnfitCodeError,
    letters_of,
    undefined_symbols,
    unpacked,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Functions that only compiled code calls need no code that takes Python's objects apart, which
# takes long to compile.  Python must not call them: Numba does not check.  They make no arrays, so
# that nothing has to count who holds one.
_INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
#: Kinds of numbers that a compiled function takes -> letter, see :mod:`.machine_code`.
_LETTERS = {"i64": "i", "double": "d", "i8": "b"}
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
    """Compile a function that :class:`~.compiled.Compiled` calls.

    Called as it is, Numba keeps its machine code in files of its own.
    """
    with _lock:
        # Set only while the function is made, so that other users of Numba keep their own place.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache_directory())
        try:
            compiled: _Function = numba.njit(cache=True, **_OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = before
    return compiled


def compile_entry(function: Any, kinds: str, arguments: Any) -> Code:
    """Return the machine code of an entry.

    Parameters
    ----------
    function : callable
        Marked with :func:`entry`.
    kinds : str
        Kinds of its arguments.
    arguments : tuple
        Arguments of these kinds.

    Returns
    -------
    Code

    Raises
    ------
    UnfitCodeError
        Numba makes another kind of function than :mod:`.machine_code` can call.
    """
    dispatcher = numba.njit(**_INNER)(function.py_func)
    compile_for_numba(dispatcher, arguments)
    (result,) = dispatcher.overloads.values()
    convention = result.target_context.call_conv
    takes = convention.get_function_type(result.fndesc.restype, result.fndesc.argtypes)
    letters = ["p" if kind.is_pointer else _LETTERS.get(str(kind), "?") for kind in takes.args]
    if "".join(letters) != "pp" + letters_of(arguments):
        raise UnfitCodeError("arguments are handed over in another way")
    if result.fndesc.restype not in (types.int64, types.none):
        raise UnfitCodeError(f"returns {result.fndesc.restype}")
    content = result.library.serialize_using_object_code()[2][0]
    return Code(result.fndesc.mangled_name, kinds, undefined_symbols(content), content)


def compile_for_numba(function: Any, arguments: Any) -> None:
    """Compile a function for the kinds of some arguments, and do not run it."""
    function.compile(tuple(numba.typeof(argument) for argument in unpacked(arguments)))


def chosen_by_type(function: _Function) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that returns the implementation of ``function`` for given types."""
    made: Callable[[Callable[..., Any]], Callable[..., Any]] = overload(
        function, jit_options=_INNER, strict=False
    )
    return made


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

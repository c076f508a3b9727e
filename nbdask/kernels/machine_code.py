"""Machine code of compiled functions: kept as a file, and run without Numba.

Numba is a compiler of nearly a thousand modules that take a second to import, longer than a small
simulation runs.  What it makes of a function is an object file like that of any compiler; LLVM
alone puts it into memory in milliseconds, and :mod:`ctypes` calls it without the interpreter's
lock.

A compiled function takes where to put its result, where to put an error, and then the numbers of
its arguments one by one: named tuples and tuples are taken apart, and an array is handed over as
owner and parent (none here), its count, the size of an item, address, shape and strides.
:mod:`.numba_jit` compares this with what Numba says of the function before any code is kept.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding

#: What a compiled function answers when it ends well, with a result or without one.
_WELL = (0, -2)
_ELF = b"\x7fELF\x02\x01"
_SYMBOL = struct.Struct("<IBBHQQ")
_LETTERS: dict[str, Any] = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "d": ctypes.c_double,
    "b": ctypes.c_bool,
}


class UnfitCodeError(Exception):
    """Code that this process cannot run as it is."""


@dataclass(frozen=True)
class Code:
    """A compiled function.

    Parameters
    ----------
    symbol : str
        Its name in the object file.
    kinds : str
        Kinds of its arguments, see :func:`kinds_of`.
    needed : tuple of str
        Functions of other libraries that it calls, those of mathematics for instance.
    content : bytes
        The object file.
    """

    symbol: str
    kinds: str
    needed: tuple[str, ...]
    content: bytes

    def to_bytes(self) -> bytes:
        """Return the content of a file that holds the function, its checksum first."""
        head = {"symbol": self.symbol, "kinds": self.kinds, "needed": self.needed}
        text = json.dumps(head).encode() + b"\n" + self.content
        return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def code_from_bytes(content: bytes, kinds: str) -> Code:
    """Return the function that a file holds.

    Parameters
    ----------
    content : bytes
        Of the file.
    kinds : str
        The arguments that are wanted.

    Raises
    ------
    UnfitCodeError
        The file is damaged or holds something else.
    """
    checksum, _, text = content.partition(b"\n")
    if checksum != hashlib.sha256(text).hexdigest().encode():
        raise UnfitCodeError("damaged")
    line, _, code = text.partition(b"\n")
    head = json.loads(line)
    if head["kinds"] != kinds:
        raise UnfitCodeError("made for other arguments")
    return Code(str(head["symbol"]), kinds, tuple(head["needed"]), code)


class Packed:
    """Consecutive arguments that many calls share: taken apart once.

    Parameters
    ----------
    *values : bool, int, float, array or tuple
        The arguments; they must not be replaced while this is used, their content may change.
    """

    def __init__(self, *values: Any) -> None:
        self.values = values
        self.kinds = ",".join(_kind(value) for value in values)
        self.numbers = tuple(_numbers(values))


def unpacked(arguments: Any) -> tuple[Any, ...]:
    """Return arguments with the values of packed ones in their places."""
    found: list[Any] = []
    for value in arguments:
        found.extend(value.values if isinstance(value, Packed) else (value,))
    return tuple(found)


def can_run_code() -> bool:
    """Return True where object files have the form that is understood here: 64 bit Linux."""
    return (
        sys.platform == "linux"
        and sys.byteorder == "little"
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and sys.implementation.name == "cpython"
    )


def kinds_of(arguments: Any) -> str:
    """Return what a function is compiled for: the kinds of its arguments.

    Parameters
    ----------
    arguments : tuple
        Of bool, int, float, arrays, tuples of these, and :class:`Packed` ones.

    Raises
    ------
    TypeError
        Another kind of argument, or an array that is not in one piece.
    """
    name = "" if type(arguments) is tuple else type(arguments).__name__
    return f"{name}({','.join(_kind(value) for value in arguments)})"


def _kind(value: Any) -> str:
    if isinstance(value, Packed):
        return value.kinds
    if isinstance(value, tuple):
        return kinds_of(value)
    if isinstance(value, np.ndarray):
        if not (value.flags.c_contiguous and value.flags.aligned and value.dtype.isnative):
            raise TypeError("compiled functions take arrays in one piece only")
        return f"{value.dtype.kind}{value.itemsize}x{value.ndim}"
    return _letter(value)


def _letter(value: Any) -> str:
    # A bool is an int to Python: it comes first.
    for kind, letter in ((bool, "b"), (int, "i"), (float, "d")):
        if isinstance(value, kind):
            return letter
    raise TypeError(f"compiled functions take no {type(value).__name__}")


def letters_of(arguments: Any) -> str:
    """Return one letter for each number that is handed over: p, i, d or b.

    They stand for an address, an int64, a float64 and a byte that is 0 or 1.
    """
    letters = []
    for value in unpacked(arguments):
        if isinstance(value, tuple):
            letters.append(letters_of(value))
        elif isinstance(value, np.ndarray):
            letters.append("ppiip" + "ii" * value.ndim)
        else:
            letters.append(_letter(value))
    return "".join(letters)


def _numbers(arguments: Any) -> list[Any]:
    """Return what is handed over, None for no address."""
    numbers: list[Any] = []
    for value in arguments:
        if isinstance(value, Packed):
            numbers.extend(value.numbers)
        elif isinstance(value, tuple):
            numbers.extend(_numbers(value))
        elif isinstance(value, np.ndarray):
            numbers += (None, None, value.size, value.itemsize, value.ctypes.data)
            numbers += value.shape
            numbers += value.strides
        else:
            numbers.append(value)
    return numbers


def undefined_symbols(content: bytes) -> tuple[str, ...]:
    """Return the functions of other libraries that an object file calls.

    Raises
    ------
    UnfitCodeError
        Not an object file of 64 bit Linux.
    """
    if not content.startswith(_ELF):
        raise UnfitCodeError("not a little-endian 64 bit ELF file")
    sections = {
        section.name(): section.data()
        for section in binding.ObjectFileRef.from_data(content).sections()
    }
    names, found = sections[b".strtab"], []
    for name, _, _, section, _, _ in _SYMBOL.iter_unpack(sections[b".symtab"]):
        if section == 0 and name != 0:
            found.append(names[name : names.index(b"\0", name)].decode())
    return tuple(sorted(found))


def load(code: Code, arguments: Any) -> Callable[[Any], int]:
    """Put a function into memory.

    Parameters
    ----------
    code : Code
    arguments : tuple
        Of the kinds that it takes; their values do not matter.

    Returns
    -------
    callable
        Takes a tuple of arguments of these kinds and returns the function's result, 0 if it has
        none.  It may be called by many threads at once.

    Raises
    ------
    UnfitCodeError
        The code calls a function that this process does not have.
    """
    engine = _new_engine()
    missing = [name for name in code.needed if not binding.address_of_symbol(name)]
    if missing:
        # LLVM would end the process.
        raise UnfitCodeError(f"needs {', '.join(missing)}")
    engine.add_object_file(binding.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    if not address:
        raise UnfitCodeError(f"no function {code.symbol}")
    kinds = [_LETTERS[letter] for letter in "pp" + letters_of(arguments)]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(address)

    def call(arguments: Any, _keep: Any = engine) -> int:
        result, error = ctypes.c_int64(0), ctypes.c_void_p()
        status = function(ctypes.byref(result), ctypes.byref(error), *_numbers(arguments))
        if status not in _WELL:
            raise RuntimeError(f"compiled code failed with status {status}")
        return result.value

    return call


def _new_engine() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        jit=True, codemodel="jitdefault"
    )
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)

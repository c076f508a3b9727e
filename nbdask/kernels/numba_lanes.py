"""Sixteen pixels at once in LLVM's own terms: Miller indices in float64, the rest in float32.

Numba's own loops cannot mix vectors of float64 and float32, nor look numbers up in a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

#: Pixels of one step: two vectors of float64, one of float32.
LANES = 16
DOUBLE, FLOAT, WORD = ir.DoubleType(), ir.FloatType(), ir.IntType(32)
DOUBLES = ir.VectorType(DOUBLE, LANES // 2)
FLOATS = ir.VectorType(FLOAT, LANES)
WORDS = ir.VectorType(WORD, LANES)
_HALF = ir.VectorType(FLOAT, LANES // 2)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_CONTRACT = ("contract",)

#: A float64 index plus this holds, in its lower 32 bits, the index less its nearest whole number
#: in units of 2^-32 (see :meth:`Lanes.distances`), and the whole number in its upper bits.
BIAS = 1572864.0 + 0.5 - 2.0**-32
#: The upper 32 bits of ``BIAS``: those of the whole number 0.
WHOLE_ZERO = 0x41380000
#: The lower 32 bits at a whole number.
_CENTRE = 2**31 - 1

# The two halves of the pixels are interleaved within each 128 bits: that takes one instruction.
_LOW = [word for part in range(0, 16, 4) for word in (part, part + 2, part + 16, part + 18)]
_HIGH = [word + 1 for word in _LOW]
_FIRST = [lane for part in range(0, 16, 4) for lane in (part, part + 1)]
_SECOND = [lane + 2 for lane in _FIRST]


class Lanes:
    """Instructions on vectors of sixteen pixels, emitted one after the other.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    """

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def spread(self, number: Any, kind: Any) -> Any:
        """Return a vector of type ``kind`` with a number in every lane."""
        undefined = ir.Constant(kind, ir.Undefined)
        vector = self.builder.insert_element(undefined, number, WORD(0))
        mask = ir.Constant(ir.VectorType(WORD, kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(vector, undefined, mask)

    def number(self, value: Any) -> Any:
        """Return a float64 number of a compiled function as a vector of float32."""
        return self.spread(self.builder.fptrunc(value, FLOAT), FLOATS)

    def times(self, a: Any, b: Any) -> Any:
        """Return a * b."""
        return self.builder.fmul(a, b, flags=_CONTRACT)

    def plus(self, a: Any, b: Any) -> Any:
        """Return a + b; one instruction with the multiplication that either comes from."""
        return self.builder.fadd(a, b, flags=_CONTRACT)

    def polynomial(self, coefficients: Sequence[Any], x: Any) -> Any:
        """Return a polynomial of x; the coefficients are vectors, the constant first."""
        result = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            result = self.plus(coefficient, self.times(result, x))
        return result

    def load(self, pointer: Any, kind: Any, offset: Any) -> Any:
        """Return the vector that begins ``offset`` numbers behind a pointer."""
        place = self.builder.gep(pointer, [offset])
        align = 4 if kind is not DOUBLES else 8
        return self.builder.load(self.builder.bitcast(place, kind.as_pointer()), align=align)

    def unknown(self, pointer: Any) -> Any:
        """Return a pointer of which LLVM knows nothing, so that it reads nothing ahead of loops."""
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return self.builder.asm(kind, "", "=r,0", [pointer], True)

    def store(self, vector: Any, pointer: Any, offset: Any) -> None:
        """Store a vector of float64 numbers."""
        place = self.builder.gep(pointer, [offset])
        self.builder.store(vector, self.builder.bitcast(place, vector.type.as_pointer()), align=8)

    def indices(
        self, axis: Sequence[Any], q: Sequence[Sequence[Any]], exact: bool
    ) -> tuple[Any, Any]:
        """Return the words of biased Miller indices, lower and upper halves.

        Parameters
        ----------
        axis : three vectors
            Components of a cell vector.
        q : two times three vectors
            Scattering vectors of both halves of the pixels.
        exact : bool
            Whether the bias is added to the finished index and rounds it once, by up to 2^-33;
            else each of three products is added to it, one instruction less.
        """
        bias = ir.Constant(DOUBLES, [BIAS] * DOUBLES.count)
        halves = []
        for part in q:
            total: Any = None if exact else bias
            for component, along in zip(axis, part, strict=True):
                product = self.times(component, along)
                total = product if total is None else self.plus(product, total)
            if exact:
                # Not contracted with the last product, so that all kernels see the same index.
                total = self.builder.fadd(total, bias)
            halves.append(self.builder.bitcast(total, WORDS))
        low, high = (
            self.builder.shuffle_vector(*halves, ir.Constant(WORDS, mask)) for mask in (_LOW, _HIGH)
        )
        return low, high

    def distances(self, low: Any) -> Any:
        """Return the distances of biased indices from their nearest whole numbers, 2^-32 each."""
        return self.builder.sub(low, ir.Constant(WORDS, [_CENTRE] * LANES))

    def widened(self, narrow: Any) -> tuple[Any, Any]:
        """Return the float64 vectors of both halves of the pixels."""
        first, second = (
            self.builder.fpext(
                self.builder.shuffle_vector(
                    narrow, narrow, ir.Constant(ir.VectorType(WORD, len(mask)), mask)
                ),
                DOUBLES,
            )
            for mask in (_FIRST, _SECOND)
        )
        return first, second

    def choose(self, table: tuple[Any, Any], places: Any) -> Any:
        """Return 16 of the 32 numbers in two vectors; AVX-512 only.

        Parameters
        ----------
        table : two vectors
        places : vector of words
            From 0 to 31.
        """
        kind = table[0].type
        name = "ps" if kind == FLOATS else "d"
        function = self._intrinsic(
            f"llvm.x86.avx512.vpermi2var.{name}.512", kind, [kind, WORDS, kind]
        )
        return self.builder.call(function, [table[0], places, table[1]])

    def gather(self, pointer: Any, places: Any, wide: bool) -> Any:
        """Return the float32 numbers at sixteen places behind a pointer.

        Parameters
        ----------
        pointer : pointer to float32
        places : vector of words
        wide : bool
            Whether the processor has AVX-512.
        """
        nothing = ir.Constant(FLOATS, [0.0] * LANES)
        if wide:
            byte = ir.IntType(8).as_pointer()
            function = self._intrinsic(
                "llvm.x86.avx512.mask.gather.dps.512", FLOATS, [FLOATS, byte, WORDS, _BITS, WORD]
            )
            every = ir.Constant(_BITS, [1] * LANES)
            start = self.builder.bitcast(pointer, byte)
            return self.builder.call(function, [nothing, start, places, every, WORD(4)])
        result = nothing
        for lane in range(LANES):
            place = self.builder.extract_element(places, WORD(lane))
            at = self.builder.gep(pointer, [self.builder.zext(place, ir.IntType(64))])
            result = self.builder.insert_element(result, self.builder.load(at), WORD(lane))
        return result

    def larger(self, a: Any, b: Any) -> Any:
        """Return the larger of two vectors of float32, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def clamped(self, words: Any, low: Any, high: Any) -> Any:
        """Return signed words moved into a range."""
        above = self.builder.select(self.builder.icmp_signed(">", words, low), words, low)
        return self.builder.select(self.builder.icmp_signed("<", above, high), above, high)

    def _intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        module = self.builder.module
        known = module.globals.get(name)
        if known is not None:
            return known
        return ir.Function(module, ir.FunctionType(result, arguments), name)


def floats(value: float) -> Any:
    """Return a vector of one float32 constant."""
    return ir.Constant(FLOATS, [value] * LANES)


def words(value: int) -> Any:
    """Return a vector of one 32-bit constant."""
    return ir.Constant(WORDS, [value] * LANES)

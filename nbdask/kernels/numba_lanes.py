"""Sixteen pixels at once in LLVM's own terms: Miller indices in float64, the rest in float32.

Numba's own loops cannot mix vectors of float64 and float32, nor look numbers up in a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from nbdask.kernels.processor import has_reduction

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
#: As ``BIAS``, but the lower 32 bits are those of a signed number; the upper ones are of no use.
SIGNED_BIAS = BIAS - 0.5

# The two halves of the pixels are interleaved within each 128 bits: that takes one instruction.
_LOW = [word for part in range(0, 16, 4) for word in (part, part + 2, part + 16, part + 18)]
_HIGH = [word + 1 for word in _LOW]
_FIRST = [lane for part in range(0, 16, 4) for lane in (part, part + 1)]
_SECOND = [lane + 2 for lane in _FIRST]


class Index(NamedTuple):
    """Biased Miller indices of sixteen pixels along one axis.

    ``numbers`` are the float64 indices of both halves, without the bias if they were asked for
    exactly.
    """

    low: Any
    high: Any
    numbers: Sequence[Any]


class Argument:
    """A value of a compiled function with its Numba type."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self.context, self.builder, self.kind, self.value = context, builder, kind, value

    @property
    def name(self) -> Any:
        """The class of a named tuple."""
        return self.kind.instance_class

    def field(self, name: str) -> Argument:
        """Return a field of a named tuple."""
        place = self.kind.fields.index(name)
        return Argument(
            self.context,
            self.builder,
            self.kind.types[place],
            self.builder.extract_value(self.value, place),
        )

    def items(self) -> list[Any]:
        """Return the numbers of a tuple."""
        return [self.builder.extract_value(self.value, i) for i in range(len(self.kind))]

    @property
    def data(self) -> Any:
        """Pointer to the numbers of an array."""
        return self.context.make_array(self.kind)(self.context, self.builder, self.value).data


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

    def minus(self, a: Any, b: Any) -> Any:
        """Return a - b; one instruction with the multiplication that either comes from."""
        return self.builder.fsub(a, b, flags=_CONTRACT)

    def place(self, number: int) -> Any:
        """Return a number of places as a word of 64 bits."""
        return ir.IntType(64)(number)

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

    def index(
        self, axis: Sequence[Any], start: Any, q: Sequence[Sequence[Any]], exact: bool, bias: float
    ) -> Index:
        """Return the Miller indices along one axis.

        Parameters
        ----------
        axis : three vectors
            Components of a cell vector.
        start : vector or None
            The index where all of ``q`` is 0, None for 0; unless ``exact`` with the bias.
        q : two times three vectors
            Scattering vectors of both halves of the pixels.
        exact : bool
            Whether the bias is added to the finished index and rounds it once, by up to 2^-33;
            else each of three products is added to it, one instruction less.
        bias : float
            ``BIAS`` or ``SIGNED_BIAS``.
        """
        biases = ir.Constant(DOUBLES, [bias] * DOUBLES.count)
        numbers, halves = [], []
        for part in q:
            total: Any = start
            if not exact and total is None:
                total = biases
            for component, along in zip(axis, part, strict=True):
                product = self.times(component, along)
                total = product if total is None else self.plus(product, total)
            numbers.append(total)
            if exact:
                # Not contracted with the last product, so that all kernels see the same index.
                total = self.builder.fadd(total, biases)
            halves.append(total)
        return Index(*self.words_of(halves), numbers)

    def words_of(self, halves: Sequence[Any]) -> tuple[Any, Any]:
        """Return the lower and the upper words of float64 numbers of both halves of the pixels."""
        first, second = (self.builder.bitcast(half, WORDS) for half in halves)
        low, high = (
            self.builder.shuffle_vector(first, second, ir.Constant(WORDS, mask))
            for mask in (_LOW, _HIGH)
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

    def away(self, x: Any) -> Any:
        """Return x less its nearest whole number; x is a vector of float64."""
        if not has_reduction():
            return self.builder.fsub(x, self._unary("llvm.rint.v8f64", x))
        return self._reduced("pd", x, 8)

    def from_nearest(self, x: Any) -> Any:
        """Return x less its nearest whole number, halves down; x is a vector of float64."""
        half = ir.Constant(x.type, [0.5] * x.type.count)
        whole = self._unary("llvm.ceil.v8f64", self.builder.fsub(x, half))
        return self.builder.fsub(x, whole)

    def fraction(self, x: Any) -> Any:
        """Return x less the whole number below; x is a vector of float32."""
        if not has_reduction():
            return self.builder.fsub(x, self._unary("llvm.floor.v16f32", x))
        return self._reduced("ps", x, 9)

    def _reduced(self, name: str, x: Any, way: int) -> Any:
        bits = ir.IntType(x.type.count)
        function = self._intrinsic(
            f"llvm.x86.avx512.mask.reduce.{name}.512", x.type, [x.type, WORD, x.type, bits, WORD]
        )
        nothing = ir.Constant(x.type, [0.0] * x.type.count)
        return self.builder.call(function, [x, WORD(way), nothing, bits(-1), WORD(4)])

    def nearer(self, a: Any, b: Any) -> Any:
        """Return whichever of two vectors of float32 is nearer to 0, without its sign."""
        if not has_reduction():
            a, b = (self._unary("llvm.fabs.v16f32", x) for x in (a, b))
            return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)
        bits = ir.IntType(LANES)
        function = self._intrinsic(
            "llvm.x86.avx512.mask.range.ps.512", FLOATS, [FLOATS, FLOATS, WORD, FLOATS, bits, WORD]
        )
        return self.builder.call(function, [a, b, WORD(10), floats(0.0), bits(-1), WORD(4)])

    def inverse_root(self, x: Any, wide: bool) -> Any:
        """Return 1 / sqrt(x) of a vector of float32, to 2^-14 or better.

        Parameters
        ----------
        x : vector of float32
        wide : bool
            Whether the processor has AVX-512.
        """
        if not wide:
            return self.builder.fdiv(floats(1.0), self._unary("llvm.sqrt.v16f32", x))
        bits = ir.IntType(LANES)
        function = self._intrinsic("llvm.x86.avx512.rsqrt14.ps.512", FLOATS, [FLOATS, FLOATS, bits])
        return self.builder.call(function, [x, floats(0.0), bits(-1)])

    def any(self, bits: Any) -> Any:
        """Return whether one of sixteen comparisons holds."""
        number = self.builder.bitcast(bits, ir.IntType(LANES))
        return self.builder.icmp_unsigned("!=", number, number.type(0))

    def _unary(self, name: str, x: Any) -> Any:
        return self.builder.call(self._intrinsic(name, x.type, [x.type]), [x])

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

"""The loop of the mixed precision: Miller indices in float64, lattice factors in float32.

Of each index, its distance from the nearest whole number is kept in units of 2^-32: exact to
wherever a zero of the lattice factor lies, which a float32 fraction would not be.  Sums of a few
orientations are float32, everything beyond float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from nbdask.kernels.numba_inputs import (
    LEAST_DEGREE,
    ConstantAmplitude,
    NarrowFew,
    NarrowGauss,
    NarrowGrating,
    NarrowMore,
)
from nbdask.kernels.numba_jit import full_width_vectors, kinds
from nbdask.kernels.numba_lanes import (
    DOUBLES,
    FLOAT,
    FLOATS,
    LANES,
    WORD,
    WORDS,
    Lanes,
    floats,
    words,
)
from nbdask.kernels.numba_work import BLOCK, QX, QY, QZ, SUM
from nbdask.kernels.processor import has_wide_vectors

#: Orientations that are summed in float32 before their sum goes to float64.
_FEW = 8
#: Orientations that go over a block before the next: their axes stay in the first cache.
_GROUP = 32 * _FEW
_UNIT = 2.0**-32
#: Added to a distance, so that 0 / 0 becomes N * tiny / tiny.
_TINY = 1e-12
_INDEX = ir.IntType(64)

# Minimax fits, as those of numba_formulas, for float32: sin(pi x) / x by x^2, and 2^x.
_SINE = (3.1415926368961182, -5.167709684842006, 2.55006972693506, -0.5982421293056371,
         0.07756039138971979)  # fmt: skip
_POWER = (1.000000000554256, 0.6931472057362058, 0.24022646889789742, 0.0555032877838501,
          0.009618489047563157, 0.0013399930860573837, 0.00015345789023112974)  # fmt: skip
#: Adding and subtracting this rounds a float32 to a whole number, which is in its lowest bits then.
_ROUND = 1.5 * 2.0**23


def add_narrow(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal whose lattice factor is evaluated in float32."""
    full_width_vectors()
    for start in range(first, last, _GROUP):
        _add_group(lattice, amplitude, axes, start, min(start + _GROUP, last), work.wide, count)


@intrinsic
def _add_group(
    _context: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    first: Any,
    last: Any,
    rows: Any,
    count: Any,
) -> Any:
    """Add a range of orientations to row SUM of a block."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = [
            Argument(context, builder, kind, value)
            for kind, value in zip(signature.args, arguments, strict=True)
        ]
        _emit_loops(builder, *given)
        return context.get_dummy_value()

    index = kinds.int64
    return kinds.void(lattice, amplitude, axes, index, index, rows, index), generate


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


def _emit_loops(
    builder: Any,
    lattice: Argument,
    amplitude: Argument,
    axes: Argument,
    first: Argument,
    last: Argument,
    rows: Argument,
    count: Argument,
) -> None:
    """Emit the loops: sixteen pixels, then groups of orientations, then orientations."""
    lanes = Lanes(builder)
    squared_factor = _LATTICES[lattice.name](lanes, lattice)
    add = _adding(lanes, amplitude)
    # An error of the index is multiplied by the number of cells.
    exact = lattice.name not in (NarrowFew, NarrowMore)
    few = cgutils.alloca_once(builder, FLOATS)
    sums = [cgutils.alloca_once(builder, DOUBLES) for _ in range(2)]
    one, step = _INDEX(1), _INDEX(_FEW)
    with cgutils.for_range_slice(builder, _INDEX(0), count.value, _INDEX(LANES), _INDEX) as (i, _):
        halves = [i, builder.add(i, _INDEX(LANES // 2))]

        def place(row: int, half: int, halves: list[Any] = halves) -> Any:
            return builder.add(halves[half], _INDEX(row * BLOCK))

        q = [
            [lanes.load(rows.data, DOUBLES, place(row, half)) for row in (QX, QY, QZ)]
            for half in range(2)
        ]
        for half in range(2):
            builder.store(lanes.load(rows.data, DOUBLES, place(SUM, half)), sums[half])
        with cgutils.for_range_slice(builder, first.value, last.value, step, _INDEX) as (start, _):
            builder.store(floats(0.0), few)
            end = builder.add(start, step)
            end = builder.select(builder.icmp_signed("<", end, last.value), end, last.value)
            with cgutils.for_range_slice(builder, start, end, one, _INDEX) as (o, _):
                low, high = _indices(lanes, axes.data, o, q, exact)
                builder.store(add(builder.load(few), squared_factor(low), high), few)
            for half, more in enumerate(lanes.widened(builder.load(few))):
                builder.store(builder.fadd(builder.load(sums[half]), more), sums[half])
        for half in range(2):
            lanes.store(builder.load(sums[half]), rows.data, place(SUM, half))


def _indices(lanes: Lanes, axes: Any, o: Any, q: Any, exact: bool) -> tuple[list[Any], list[Any]]:
    """Return the lower and upper words of the three biased indices of an orientation."""
    builder = lanes.builder
    low, high = [], []
    for axis in range(3):
        components = []
        for along in range(3):
            at = builder.add(builder.mul(o, _INDEX(9)), _INDEX(3 * axis + along))
            components.append(lanes.spread(builder.load(builder.gep(axes, [at])), DOUBLES))
        lower, upper = lanes.indices(components, q, exact)
        low.append(lower)
        high.append(upper)
    return low, high


def _adding(lanes: Lanes, amplitude: Argument) -> Callable[[Any, Any, list[Any]], Any]:
    """Return how a squared lattice factor is added to a sum."""
    if amplitude.name is ConstantAmplitude:
        return lambda total, term, _: lanes.plus(total, term)
    builder = lanes.builder

    def vectors(name: str) -> list[Any]:
        return [lanes.spread(builder.trunc(x, WORD), WORDS) for x in amplitude.field(name).items()]

    low, high, strides = vectors("low"), vectors("high"), vectors("strides")
    (offset,) = vectors("offset")
    table = amplitude.field("table").data

    def add(total: Any, term: Any, whole: list[Any]) -> Any:
        h, k, el = (lanes.clamped(whole[i], low[i], high[i]) for i in range(3))
        place = builder.add(builder.add(el, offset), builder.mul(k, strides[1]))
        place = builder.add(place, builder.mul(h, strides[0]))
        found = lanes.gather(table, place, has_wide_vectors())
        return lanes.plus(total, lanes.times(found, term))

    return add


def _from_tables(lanes: Lanes, lattice: Argument, degree: int) -> Callable[[list[Any]], Any]:
    """Few cells: each axis' grating function by polynomials, one for each of 32 ranges."""
    builder, table = lanes.builder, lattice.field("table").data
    rows = degree + 2
    scale = lanes.number(lattice.field("scale").value)

    def row(data: Any, axis: int, number: int, kind: Any = FLOATS) -> tuple[Any, Any]:
        first, second = (
            lanes.load(data, kind, _INDEX(32 * (axis * rows + number) + LANES * half))
            for half in range(2)
        )
        return first, second

    def squared_factor(low: list[Any]) -> Any:
        product = None
        # Far more numbers than registers: they are best read where they are used.
        data = lanes.unknown(table)
        for axis in range(3):
            # 1/2 - |x| from the biased distance x, to the nearest but one unit.
            folded = builder.xor(builder.ashr(low[axis], words(31)), low[axis])
            places = builder.lshr(folded, words(26))
            away = builder.sub(folded, lanes.choose(row(data, axis, 0, WORDS), places))
            coefficients = [
                lanes.choose(row(data, axis, 1 + power), places) for power in range(degree + 1)
            ]
            value = lanes.polynomial(coefficients, builder.sitofp(away, FLOATS))
            if axis == 0 and degree > LEAST_DEGREE:
                value = lanes.times(value, scale)
            product = value if product is None else lanes.times(product, value)
        return lanes.times(product, product)

    return squared_factor


def _grating(lanes: Lanes, lattice: Argument) -> Callable[[list[Any]], Any]:
    """Any number of cells: the quotient of two sines for each axis."""
    builder = lanes.builder
    cells = [builder.sitofp(lattice.field(name).value, FLOAT) for name in "abc"]
    counts = [lanes.spread(builder.trunc(lattice.field(name).value, WORD), WORDS) for name in "abc"]
    tiny = [lanes.times(lanes.spread(n, FLOATS), floats(_TINY)) for n in cells]
    per_cell = lanes.number(lattice.field("per_cell").value)
    coefficients = [floats(c) for c in _SINE]

    def sine(distance: Any, least: Any) -> Any:
        x = lanes.plus(lanes.times(builder.sitofp(distance, FLOATS), floats(_UNIT)), least)
        return lanes.times(x, lanes.polynomial(coefficients, lanes.times(x, x)))

    def squared_factor(low: list[Any]) -> Any:
        above = below = None
        for axis in range(3):
            distance = lanes.distances(low[axis])
            # The product wraps around at whole numbers: N x less the nearest one is left.
            many = sine(builder.mul(distance, counts[axis]), tiny[axis])
            one = sine(distance, floats(_TINY))
            above = many if above is None else lanes.times(above, many)
            below = one if below is None else lanes.times(below, one)
        # In this order no intermediate result falls below the normal numbers.
        factor = lanes.times(builder.fdiv(above, below), per_cell)
        return lanes.times(factor, factor)

    return squared_factor


def _gauss(lanes: Lanes, lattice: Argument) -> Callable[[list[Any]], Any]:
    """Evaluate a Gaussian spot: 2^-|R (dh, dk, dl)|^2."""
    builder = lanes.builder
    aa, ab, ac, bb, bc, cc = (
        lanes.times(lanes.number(r), floats(_UNIT)) for r in lattice.field("triangle").items()
    )
    minus = lanes.number(builder.fneg(lattice.field("sign").value))
    coefficients = [floats(c) for c in _POWER]

    def squared_factor(low: list[Any]) -> Any:
        # One unit less than the distance, so that a half keeps its sign.
        dh, dk, dl = (builder.sitofp(builder.xor(part, words(-(2**31))), FLOATS) for part in low)
        x = lanes.plus(lanes.plus(lanes.times(aa, dh), lanes.times(ab, dk)), lanes.times(ac, dl))
        y = lanes.plus(lanes.times(bb, dk), lanes.times(bc, dl))
        z = lanes.times(cc, dl)
        square = lanes.plus(lanes.plus(lanes.times(x, x), lanes.times(y, y)), lanes.times(z, z))
        exponent = lanes.times(minus, square)
        bounded = lanes.larger(exponent, floats(-126.0))
        shifted = builder.fadd(bounded, floats(_ROUND))
        part = builder.fsub(bounded, builder.fsub(shifted, floats(_ROUND)))
        power = builder.bitcast(lanes.polynomial(coefficients, part), WORDS)
        whole = builder.shl(builder.bitcast(shifted, WORDS), words(23))
        power = builder.bitcast(builder.add(power, whole), FLOATS)
        return builder.select(
            builder.fcmp_ordered(">", exponent, floats(-126.0)), power, floats(0.0)
        )

    return squared_factor


_LATTICES: dict[Any, Callable[[Lanes, Argument], Callable[[list[Any]], Any]]] = {
    NarrowFew: lambda lanes, lattice: _from_tables(lanes, lattice, LEAST_DEGREE),
    NarrowMore: lambda lanes, lattice: _from_tables(lanes, lattice, LEAST_DEGREE + 1),
    NarrowGrating: _grating,
    NarrowGauss: _gauss,
}

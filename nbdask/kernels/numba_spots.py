"""Squared lattice factors of sixteen pixels in float32, for the loop of the mixed precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from nbdask.kernels.numba_lanes import (
    DOUBLE,
    DOUBLES,
    FLOAT,
    FLOATS,
    LANES,
    WORD,
    WORDS,
    Argument,
    Index,
    Lanes,
    floats,
    words,
)
from nbdask.kernels.numba_types import (
    LEAST_DEGREE,
    NarrowFew,
    NarrowGauss,
    NarrowGrating,
    NarrowMore,
    NarrowSphere,
    NarrowTophat,
)
from nbdask.kernels.processor import has_wide_vectors

_UNIT = 2.0**-32
#: Added to a distance, so that 0 / 0 becomes N * tiny / tiny.
_TINY = 1e-12

# Minimax fits, as those of numba_formulas, for float32: sin(pi x) / x by x^2, and 2^x.
_SINE = (3.1415926368961182, -5.167709684842006, 2.55006972693506, -0.5982421293056371,
         0.07756039138971979)  # fmt: skip
_POWER = (1.000000000554256, 0.6931472057362058, 0.24022646889789742, 0.0555032877838501,
          0.009618489047563157, 0.0013399930860573837, 0.00015345789023112974)  # fmt: skip
#: Adding and subtracting this rounds a float32 to a whole number, which is in its lowest bits then.
_ROUND = 1.5 * 2.0**23
# For a sphere: with u = z * z, pi (sin(pi z) / z - pi) / u and (cos(pi z) - 1) / u up to u = 1/4;
# (sin X - X cos X) / (8 x^3) with X = pi x by x^2 up to 1/8.
_SPHERE_SINE = (-16.23484782103168, 8.011488936128504, -1.8808867846128123, 0.24673979166618665)
_SPHERE_COSINE = (-4.934802196986983, 4.0587114146832315, -1.33523996069719, 0.23507436829900416,
                  -0.024627111547897533)  # fmt: skip
_SPHERE_CENTRE = (1.2919281777704175, -1.2750776046515275, 0.44927150118823533,
                  -0.07987243954266887)  # fmt: skip
_CENTRE = 0.125
#: pi^2 as the sum of two float32.
_PI_SQUARED = (9.869604110717773, 2.9037158455480494e-07)
#: Added to a whole number below 2^20 it stands in the upper word of a float64, which is the
#: float32 11 + 2^-20 times that number.
_FIXED = 2.0**20


class Spot(ABC):
    """The squared lattice factor of a kind of crystal.

    Parameters
    ----------
    lanes : Lanes
    lattice : Argument
        What it is made from, a named tuple of :mod:`~nbdask.kernels.numba_types`.
    signed : bool
        Whether lower words are those of signed numbers, rather than biased.
    """

    #: Whether the bias is added to the finished index: an error of the index is multiplied by the
    #: number of cells.
    exact = True
    #: Whether the whole numbers are not needed: without them the lower words may be signed.
    may_be_signed = False

    def __init__(self, lanes: Lanes, lattice: Argument, signed: bool) -> None:
        self.lanes, self.lattice, self.signed = lanes, lattice, signed
        self.prepare()

    def prepare(self) -> None:
        """Emit what is done once, ahead of all loops: nothing, for most."""
        return

    @abstractmethod
    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""

    def _from_nearest(self, index: Index) -> Any:
        """Return the distance from the nearest whole number in units of 2^-32, as float32.

        It is one unit less, so that a half keeps its sign.
        """
        builder = self.lanes.builder
        low = index.low if self.signed else builder.xor(index.low, words(-(2**31)))
        return builder.sitofp(low, FLOATS)

    def _squared_length(self, indices: Sequence[Index], triangle: Sequence[Any], start: Any) -> Any:
        """Return |R (dh, dk, dl)|^2, added to ``start`` if that is not None."""
        lanes = self.lanes
        aa, ab, ac, bb, bc, cc = triangle
        dh, dk, dl = (self._from_nearest(index) for index in indices)
        x = lanes.plus(lanes.plus(lanes.times(aa, dh), lanes.times(ab, dk)), lanes.times(ac, dl))
        y = lanes.plus(lanes.times(bb, dk), lanes.times(bc, dl))
        z = lanes.times(cc, dl)
        square = lanes.times(x, x)
        if start is not None:
            square = lanes.plus(square, start)
        return lanes.plus(lanes.plus(square, lanes.times(y, y)), lanes.times(z, z))

    def _triangle(self) -> list[Any]:
        """Return R for distances in units of 2^-32."""
        lanes = self.lanes
        rows = self.lattice.field("triangle").items()
        return [lanes.times(lanes.number(r), floats(_UNIT)) for r in rows]


class Few(Spot):
    """Few cells: each axis' grating function by polynomials, one for each of 32 ranges."""

    exact = False
    degree = LEAST_DEGREE

    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""
        lanes, builder, degree = self.lanes, self.lanes.builder, self.degree
        rows = degree + 2
        product = None
        # Far more numbers than registers: they are best read where they are used.
        data = lanes.unknown(self.lattice.field("table").data)

        def row(axis: int, number: int, kind: Any = FLOATS) -> tuple[Any, Any]:
            start = 32 * (axis * rows + number)
            first, second = (
                lanes.load(data, kind, lanes.place(start + half)) for half in (0, LANES)
            )
            return first, second

        for axis, index in enumerate(indices):
            # 1/2 - |x| from the biased distance x, to the nearest but one unit.
            folded = builder.xor(builder.ashr(index.low, words(31)), index.low)
            places = builder.lshr(folded, words(26))
            away = builder.sub(folded, lanes.choose(row(axis, 0, WORDS), places))
            coefficients = [
                lanes.choose(row(axis, 1 + power), places) for power in range(degree + 1)
            ]
            value = lanes.polynomial(coefficients, builder.sitofp(away, FLOATS))
            if axis == 0 and degree > LEAST_DEGREE:
                value = lanes.times(value, lanes.number(self.lattice.field("scale").value))
            product = value if product is None else lanes.times(product, value)
        return lanes.times(product, product)


class More(Few):
    """The same with polynomials of one degree more."""

    degree = LEAST_DEGREE + 1


class Grating(Spot):
    """Any number of cells: the quotient of two sines for each axis."""

    def prepare(self) -> None:
        """Emit what is done once, ahead of all loops."""
        lanes, builder = self.lanes, self.lanes.builder
        whole = [self.lattice.field(name).value for name in "abc"]
        cells = [lanes.spread(builder.sitofp(n, FLOAT), FLOATS) for n in whole]
        self.counts = [lanes.spread(builder.trunc(n, WORD), WORDS) for n in whole]
        self.tiny = [lanes.times(n, floats(_TINY)) for n in cells]
        self.per_cell = lanes.number(self.lattice.field("per_cell").value)

    def _sine(self, distance: Any, least: Any) -> Any:
        lanes = self.lanes
        coefficients = [floats(c) for c in _SINE]
        x = lanes.plus(lanes.times(lanes.builder.sitofp(distance, FLOATS), floats(_UNIT)), least)
        return lanes.times(x, lanes.polynomial(coefficients, lanes.times(x, x)))

    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""
        lanes, builder = self.lanes, self.lanes.builder
        above = below = None
        for axis, index in enumerate(indices):
            distance = lanes.distances(index.low)
            # The product wraps around at whole numbers: N x less the nearest one is left.
            many = self._sine(builder.mul(distance, self.counts[axis]), self.tiny[axis])
            one = self._sine(distance, floats(_TINY))
            above = many if above is None else lanes.times(above, many)
            below = one if below is None else lanes.times(below, one)
        # In this order no intermediate result falls below the normal numbers.
        factor = lanes.times(builder.fdiv(above, below), self.per_cell)
        return lanes.times(factor, factor)


class Gauss(Spot):
    """A Gaussian spot: 2^-|R (dh, dk, dl)|^2."""

    may_be_signed = True

    def prepare(self) -> None:
        """Emit what is done once, ahead of all loops."""
        self.triangle = self._triangle()
        sign = self.lattice.field("sign").value
        self.minus = self.lanes.number(self.lanes.builder.fneg(sign))

    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""
        lanes, builder = self.lanes, self.lanes.builder
        coefficients = [floats(c) for c in _POWER]
        exponent = lanes.times(self.minus, self._squared_length(indices, self.triangle, None))
        bounded = lanes.larger(exponent, floats(-126.0))
        shifted = builder.fadd(bounded, floats(_ROUND))
        part = builder.fsub(bounded, builder.fsub(shifted, floats(_ROUND)))
        power = builder.bitcast(lanes.polynomial(coefficients, part), WORDS)
        whole = builder.shl(builder.bitcast(shifted, WORDS), words(23))
        power = builder.bitcast(builder.add(power, whole), FLOATS)
        seen = builder.fcmp_ordered(">", exponent, floats(-126.0))
        return builder.select(seen, power, floats(0.0))


class Tophat(Spot):
    """A spot with an edge: 1 where |R (dh, dk, dl)|^2 is below 1, else 0.

    Sums of orientations in which a pixel is too near an edge for float32 are formed again from
    :meth:`sure`.
    """

    exact = False
    may_be_signed = True

    def prepare(self) -> None:
        """Emit what is done once, ahead of all loops."""
        self.triangle = self._triangle()
        self.doubt = self.lanes.number(self.lattice.field("doubt").value)
        self.nearest = cgutils.alloca_once(self.lanes.builder, FLOATS)

    def start(self) -> None:
        """Begin a sum."""
        self.lanes.builder.store(floats(1.0), self.nearest)

    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""
        lanes, builder = self.lanes, self.lanes.builder
        beyond = self._squared_length(indices, self.triangle, floats(-1.0))
        builder.store(lanes.nearer(beyond, builder.load(self.nearest)), self.nearest)
        inside = builder.fcmp_ordered("<", beyond, floats(0.0))
        return builder.select(inside, floats(1.0), floats(0.0))

    def doubtful(self) -> Any:
        """Return whether a pixel of the sum was too near an edge."""
        builder = self.lanes.builder
        near = builder.fcmp_ordered("<", builder.load(self.nearest), self.doubt)
        return self.lanes.any(near)

    def sure(self, indices: Sequence[Index]) -> Any:
        """Return the factor from exact indices, in float64."""
        lanes, builder = self.lanes, self.lanes.builder
        aa, ab, ac, bb, bc, cc = (
            lanes.spread(r, DOUBLES) for r in self.lattice.field("triangle").items()
        )
        halves = []
        for half in range(2):
            dh, dk, dl = (lanes.from_nearest(index.numbers[half]) for index in indices)
            x = lanes.plus(
                lanes.plus(lanes.times(aa, dh), lanes.times(ab, dk)), lanes.times(ac, dl)
            )
            y = lanes.plus(lanes.times(bb, dk), lanes.times(bc, dl))
            z = lanes.times(cc, dl)
            square = lanes.plus(lanes.plus(lanes.times(x, x), lanes.times(y, y)), lanes.times(z, z))
            # Its upper word is 0 where the pixel is outside.
            ones, zeros = (ir.Constant(DOUBLES, [value] * 8) for value in (1.0, 0.0))
            inside = builder.fcmp_ordered("<", square, ones)
            halves.append(builder.select(inside, ones, zeros))
        _, high = lanes.words_of(halves)
        found = builder.icmp_signed("!=", high, words(0))
        return builder.select(found, floats(1.0), floats(0.0))


class Sphere(Spot):
    """An ellipsoid: (sin X - X cos X) / (8 x^3), X = pi x, x the distance from the spot.

    The zeros lie near whole numbers and a half, so x is needed to many more digits than float32
    has.  Its square is a fixed-point number in the words of a float64; the root of that is the
    sum of two float32, of which the larger drops its whole number.  With x = n + 1/2 + z the
    numerator is cos(pi z) + X sin(pi z), up to its sign.
    """

    def prepare(self) -> None:
        """Emit what is done once, ahead of all loops."""
        lanes, builder = self.lanes, self.lanes.builder
        field = self.lattice.field
        self.scales = [lanes.spread(field(name).value, DOUBLES) for name in "abc"]
        unit = field("unit").value
        self.high_unit = lanes.number(builder.fmul(unit, DOUBLE(_FIXED)))
        self.origin = lanes.number(builder.fmul(unit, DOUBLE(-11.0 * _FIXED)))
        self.low_unit = lanes.number(builder.fmul(unit, DOUBLE(_UNIT)))

    def _squared_radius(self, indices: Sequence[Index]) -> tuple[Any, Any]:
        """Return the squared distance as a multiple of the unit and, in float32, the rest."""
        lanes, builder = self.lanes, self.lanes.builder
        halves = []
        for half in range(2):
            # One unit more, so that there is no 0 / 0.
            total: Any = ir.Constant(DOUBLES, [_FIXED + _UNIT] * DOUBLES.count)
            for index, scale in zip(indices, self.scales, strict=True):
                along = lanes.times(lanes.away(index.numbers[half]), scale)
                total = lanes.plus(total, lanes.times(along, along))
            halves.append(total)
        low, high = lanes.words_of(halves)
        upper = lanes.times(builder.bitcast(high, FLOATS), self.high_unit)
        lower = lanes.times(builder.uitofp(low, FLOATS), self.low_unit)
        return lanes.plus(upper, self.origin), lower

    def term(self, indices: Sequence[Index]) -> Any:
        """Return the squared lattice factor."""
        lanes, builder = self.lanes, self.lanes.builder
        upper, lower = self._squared_radius(indices)
        square = lanes.plus(upper, lower)
        inverse = lanes.inverse_root(square, has_wide_vectors())
        # A step of Newton's for both the root and half its inverse, then the rest of the root.
        root, half = lanes.times(square, inverse), lanes.times(inverse, floats(0.5))
        wrong = lanes.minus(floats(0.5), lanes.times(root, half))
        root = lanes.plus(root, lanes.times(root, wrong))
        half = lanes.plus(half, lanes.times(half, wrong))
        rest = lanes.plus(lanes.minus(upper, lanes.times(root, root)), lower)
        rest = lanes.times(rest, half)
        turn = builder.fsub(lanes.fraction(root), floats(0.5))
        z = builder.fadd(turn, rest)
        lost = builder.fsub(rest, builder.fsub(z, turn))
        u = lanes.times(z, z)
        # Where the numerator is 0, root * z * pi^2 is nearly -1: the digits that float32 loses of
        # it are added last.
        product = builder.fmul(root, z)
        digits = lanes.minus(lanes.times(root, z), product)
        digits = lanes.plus(digits, lanes.times(rest, z))
        digits = lanes.plus(digits, lanes.times(root, lost))
        sine = lanes.polynomial([floats(c) for c in _SPHERE_SINE], u)
        cosine = lanes.polynomial([floats(c) for c in _SPHERE_COSINE], u)
        first, second = (floats(part) for part in _PI_SQUARED)
        above = lanes.plus(lanes.times(product, first), floats(1.0))
        small = lanes.plus(lanes.times(product, sine), cosine)
        small = lanes.plus(lanes.times(product, second), lanes.times(u, small))
        small = lanes.plus(lanes.times(digits, first), small)
        above = lanes.plus(above, small)
        factor = lanes.times(lanes.times(above, half), lanes.times(half, half))
        centre = lanes.polynomial([floats(c) for c in _SPHERE_CENTRE], square)
        inside = builder.fcmp_ordered("<", square, floats(_CENTRE))
        factor = builder.select(inside, centre, factor)
        return lanes.times(factor, factor)


SPOTS: dict[Any, type[Spot]] = {
    NarrowFew: Few,
    NarrowMore: More,
    NarrowGrating: Grating,
    NarrowGauss: Gauss,
    NarrowTophat: Tophat,
    NarrowSphere: Sphere,
}

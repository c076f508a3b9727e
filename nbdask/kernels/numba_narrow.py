"""The loop of the mixed precision: Miller indices in float64, lattice factors in float32.

Of each index, its distance from the nearest whole number is kept in units of 2^-32: exact to
wherever a zero of the lattice factor lies, which a float32 fraction would not be.  Sums of a few
orientations are float32, everything beyond float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from nbdask.kernels.numba_jit import full_width_vectors, kinds
from nbdask.kernels.numba_lanes import (
    BIAS,
    DOUBLES,
    FLOAT,
    FLOATS,
    LANES,
    SIGNED_BIAS,
    WORD,
    WORDS,
    Argument,
    Index,
    Lanes,
    floats,
)
from nbdask.kernels.numba_spots import SPOTS, Tophat
from nbdask.kernels.numba_types import (
    LIT_BIASED,
    LIT_NUMBERS,
    LIT_START,
    LIT_WEIGHT,
    ConstantAmplitude,
)
from nbdask.kernels.numba_work import BLOCK, DX, DY, DZ, QX, QY, QZ, SUM
from nbdask.kernels.processor import has_wide_vectors

#: Orientations that are summed in float32 before their sum goes to float64.
_FEW = 8
#: Orientations that go over a block before the next: their axes stay in the first cache.
_GROUP = 32 * _FEW
_INDEX = ir.IntType(64)


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
        """Emit the loops."""
        given = [
            Argument(context, builder, kind, value)
            for kind, value in zip(signature.args, arguments, strict=True)
        ]
        low, high, scratch, pixels = given[3:]
        loops = _Loops(Lanes(builder), *given[:3])
        loops.emit(low.value, high.value, scratch.data, pixels.value)
        return context.get_dummy_value()

    index = kinds.int64
    return kinds.void(lattice, amplitude, axes, index, index, rows, index), generate


class _Loops:
    """The loops: sixteen pixels, then groups of orientations, then orientations."""

    def __init__(self, lanes: Lanes, lattice: Argument, amplitude: Argument, axes: Argument):
        builder = lanes.builder
        kind = SPOTS[lattice.name]
        self.lanes, self.axes = lanes, axes
        #: Whether there is an orientation for each source, with its own start and weight.
        self.lit = axes.kind.ndim == 2
        constant = amplitude.name is ConstantAmplitude
        self.signed = kind.may_be_signed and constant and not self.lit
        self.spot = kind(lanes, lattice, self.signed)
        self.add = _adding(lanes, amplitude)
        self.few = cgutils.alloca_once(builder, FLOATS)
        self.sums = [cgutils.alloca_once(builder, DOUBLES) for _ in range(2)]

    def emit(self, first: Any, last: Any, rows: Any, count: Any) -> None:
        """Emit all of them; ``rows`` points to a block's scratch memory."""
        lanes, builder, step = self.lanes, self.lanes.builder, _INDEX(_FEW)
        along = (DX, DY, DZ) if self.lit else (QX, QY, QZ)
        zero, width = _INDEX(0), _INDEX(LANES)
        with cgutils.for_range_slice(builder, zero, count, width, _INDEX) as (i, _):

            def place(row: int, half: int, i: Any = i) -> Any:
                return builder.add(i, _INDEX(row * BLOCK + half * LANES // 2))

            q = [[lanes.load(rows, DOUBLES, place(r, half)) for r in along] for half in range(2)]
            for half in range(2):
                builder.store(lanes.load(rows, DOUBLES, place(SUM, half)), self.sums[half])
            with cgutils.for_range_slice(builder, first, last, step, _INDEX) as (start, _):
                end = builder.add(start, step)
                end = builder.select(builder.icmp_signed("<", end, last), end, last)
                self._add_group(start, end, q)
            for half in range(2):
                lanes.store(builder.load(self.sums[half]), rows, place(SUM, half))

    def _add_group(self, start: Any, end: Any, q: Any) -> None:
        """Add a few orientations to the sums."""
        builder, spot = self.lanes.builder, self.spot
        if isinstance(spot, Tophat):
            spot.start()
        self._sum_few(start, end, q, spot.exact, spot.term)
        if isinstance(spot, Tophat):
            with builder.if_then(spot.doubtful(), likely=False):
                self._sum_few(start, end, q, True, spot.sure)
        for half, more in enumerate(self.lanes.widened(builder.load(self.few))):
            builder.store(builder.fadd(builder.load(self.sums[half]), more), self.sums[half])

    def _sum_few(
        self, start: Any, end: Any, q: Any, exact: bool, term: Callable[[Sequence[Index]], Any]
    ) -> None:
        """Form the float32 sum of a few orientations."""
        builder = self.lanes.builder
        builder.store(floats(0.0), self.few)
        with cgutils.for_range_slice(builder, start, end, _INDEX(1), _INDEX) as (o, _):
            indices = self._indices(o, q, exact)
            squared = term(indices)
            if self.lit:
                weight = builder.fptrunc(self._number(o, LIT_WEIGHT), FLOAT)
                squared = self.lanes.times(squared, self.lanes.spread(weight, FLOATS))
            builder.store(self.add(builder.load(self.few), squared, indices), self.few)

    def _indices(self, o: Any, q: Any, exact: bool) -> list[Index]:
        """Return the three biased indices of an orientation."""
        lanes, bias = self.lanes, SIGNED_BIAS if self.signed else BIAS
        found = []
        for axis in range(3):
            components = [
                lanes.spread(self._number(o, 3 * axis + along), DOUBLES) for along in range(3)
            ]
            start = None
            if self.lit:
                place = (LIT_START if exact else LIT_BIASED) + axis
                start = lanes.spread(self._number(o, place), DOUBLES)
            found.append(lanes.index(components, start, q, exact, bias))
        return found

    def _number(self, o: Any, place: int) -> Any:
        """Return one of the numbers of an orientation."""
        builder, size = self.lanes.builder, LIT_NUMBERS if self.lit else 9
        at = builder.add(builder.mul(o, _INDEX(size)), _INDEX(place))
        return builder.load(builder.gep(self.axes.data, [at]))


def _adding(lanes: Lanes, amplitude: Argument) -> Callable[[Any, Any, list[Index]], Any]:
    """Return how a squared lattice factor is added to a sum."""
    if amplitude.name is ConstantAmplitude:
        return lambda total, term, _: lanes.plus(total, term)
    builder = lanes.builder

    def vectors(name: str) -> list[Any]:
        return [lanes.spread(builder.trunc(x, WORD), WORDS) for x in amplitude.field(name).items()]

    low, high, strides = vectors("low"), vectors("high"), vectors("strides")
    (offset,) = vectors("offset")
    table = amplitude.field("table").data

    def add(total: Any, term: Any, indices: list[Index]) -> Any:
        h, k, el = (lanes.clamped(index.high, low[i], high[i]) for i, index in enumerate(indices))
        place = builder.add(builder.add(el, offset), builder.mul(k, strides[1]))
        place = builder.add(place, builder.mul(h, strides[0]))
        found = lanes.gather(table, place, has_wide_vectors())
        return lanes.plus(total, lanes.times(found, term))

    return add

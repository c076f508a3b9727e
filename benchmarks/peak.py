"""How many vector multiply-adds this machine starts: the yardstick of the kernels' loops."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba
from llvmlite import ir
from nbdask.kernels.numba_jit import full_width_vectors
from nbdask.kernels.processor import has_wide_vectors
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Sums that grow independently, more than a multiply-add takes cycles times two.
_CHAINS = 16
_ROUNDS = 4_000_000
kinds: Any = types


def lanes() -> int:
    """Return the float64 numbers in a vector of the width that the kernels use."""
    return 8 if has_wide_vectors() else 4


@intrinsic
def _multiply_add(_context: Any, rounds: Any, factor: Any) -> Any:
    """Run through ``rounds`` times ``_CHAINS`` vector multiply-adds; return a sum of them."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), lanes())
        count, number = arguments
        spread = ir.Constant(vector, ir.Undefined)
        for lane in range(lanes()):
            spread = builder.insert_element(spread, number, ir.IntType(32)(lane))
        sums = [cgutils.alloca_once(builder, vector) for _ in range(_CHAINS)]
        for start, place in enumerate(sums):
            builder.store(ir.Constant(vector, [float(start)] * lanes()), place)
        with cgutils.for_range(builder, count):
            for place in sums:
                product = builder.fmul(builder.load(place), spread, flags=("contract",))
                builder.store(builder.fadd(product, spread, flags=("contract",)), place)
        total = builder.load(sums[0])
        for place in sums[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.IntType(32)(0))

    return kinds.float64(kinds.int64, kinds.float64), generate


@lru_cache(maxsize=1)
def _compiled() -> Any:
    @numba.njit(nogil=True, fastmath={"contract"})
    def loop(rounds: int, factor: float) -> Any:
        full_width_vectors()
        return _multiply_add(rounds, factor)

    loop(1, 0.5)
    return loop


def multiply_adds(threads: int, repeats: int = 5) -> float:
    """Return the vector multiply-adds that all threads together start in a nanosecond.

    Parameters
    ----------
    threads : int
    repeats : int
        The best of so many counts.
    """
    loop = _compiled()
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            for future in [pool.submit(loop, _ROUNDS, 0.5) for _ in range(threads)]:
                future.result()
            seconds = time.perf_counter() - start
            best = max(best, threads * _ROUNDS * _CHAINS / seconds * 1e-9)
    return best

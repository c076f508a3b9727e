"""What a GPU's units do at most: float64 multiply-adds, matrix multiply-adds, both, quotients."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

from nbdask.kernels.cuda_device import this_device
from nbdask.kernels.cuda_launch import Program
from nbdask.kernels.cuda_nvrtc import code_of, compiled_file, target_of
from nbdask.native.sources import SOURCES

THREADS, BLOCKS_EACH, CHAINS = 256, 4, 8
#: Multiply-adds of a thread in one turn of each loop's body, and the number of its entries.
WORK = {
    "dfma": ("float64 multiply-adds", CHAINS),
    "ffma": ("float32 multiply-adds", CHAINS),
    "dmma": ("float64 multiply-adds of matrices", CHAINS * 8),
    "mixture": ("both kinds of float64 at once", CHAINS * 9),
    "divide": ("quotients", CHAINS),
}

_TEXT = r"""
#define LOOP(NAME, NUMBER, BEFORE, BODY)                                                       \
  extern "C" __global__ void __launch_bounds__(256)                                            \
      NAME(double* out, long long* times, NUMBER a, NUMBER b, int rounds) {                    \
    NUMBER x[8];                                                                               \
    for (int i = 0; i < 8; ++i) x[i] = threadIdx.x + i;                                        \
    BEFORE                                                                                     \
    long long t0, t1;                                                                          \
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t0));                                     \
    const long long c0 = clock64();                                                            \
    for (int turn = 0; turn < rounds; ++turn) { BODY }                                         \
    const long long c1 = clock64();                                                            \
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t1));                                     \
    NUMBER sum = 0;                                                                            \
    for (int i = 0; i < 8; ++i) sum += x[i];                                                   \
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;                                          \
    if (threadIdx.x == 0) times[2 * blockIdx.x] = c1 - c0, times[2 * blockIdx.x + 1] = t1 - t0; \
  }
#define EACH _Pragma("unroll") for (int i = 0; i < 8; ++i)

LOOP(dfma, double, , EACH x[i] = fma(x[i], a, b);)
LOOP(ffma, float, , EACH x[i] = fmaf(x[i], a, b);)
LOOP(divide, double, , EACH x[i] = quotient(a, x[i] + b);)
#if __CUDA_ARCH__ >= 800
#define MATRICES                                                                               \
  EACH asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, "    \
                    "{%0,%1};" : "+d"(y[2 * i]), "+d"(y[2 * i + 1]) : "d"(a), "d"(b));
#define START double y[16]; for (int i = 0; i < 16; ++i) y[i] = i;
#define END EACH x[i] = fma(y[2 * i], 1e-30, x[i] + y[2 * i + 1] * 1e-30);
LOOP(dmma, double, START, MATRICES if (turn == rounds - 1) { END })
LOOP(mixture, double, START,
     MATRICES EACH x[i] = fma(x[i], a, b); if (turn == rounds - 1) { END })
#endif
"""


def program(quick: bool, matrices: bool = True) -> Program:
    """Return the loops; ``quick``: quotients as with NB_QUICK_DIVISION."""
    names = tuple(name for name in WORK if matrices or name not in ("dmma", "mixture"))
    numbers = (SOURCES / "numbers.h").read_text().replace("#pragma once", "")
    return Program(numbers + _TEXT, (("NB_QUICK_DIVISION", 1),) if quick else (), names, THREADS, 1)


def compile_only(capability: int) -> dict[str, Any]:
    """Compile the loops without a GPU; return the bytes of code."""
    target = target_of(capability)
    return {
        "quick" if quick else "ieee": len(code_of(program(quick), target))
        for quick in (False, True)
    }


def measure(seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the rate of each loop on the GPU, with the clock that was held meanwhile.

    Parameters
    ----------
    seconds : float
        Of each timed launch.
    """
    import cupy

    device = this_device()
    matrices = device.capability >= 80
    processors = cupy.cuda.Device(0).attributes["MultiProcessorCount"]
    blocks = processors * BLOCKS_EACH
    out = cupy.empty(blocks * THREADS, np.float64)
    times = cupy.empty(2 * blocks, np.int64)
    for quick in (False, True):
        chosen = program(quick, matrices)
        module = cupy.RawModule(path=str(compiled_file(chosen, device.capability)))
        for name in chosen.entries if not quick else ("divide",):
            entry = module.get_function(name)
            number = np.float32 if name == "ffma" else np.float64
            arguments = (out, times, number(0.999), number(1.5))

            def launch(rounds: int, entry: Any = entry, arguments: Any = arguments) -> float:
                start, stop = cupy.cuda.Event(), cupy.cuda.Event()
                start.record()
                entry((blocks,), (THREADS,), (*arguments, np.int32(rounds)))
                stop.record()
                stop.synchronize()
                return 1e-3 * float(cupy.cuda.get_elapsed_time(start, stop))

            launch(100)
            rounds = 20_000
            rounds = max(1000, int(rounds * seconds / launch(rounds)))
            launch(rounds)  # at the clock that such work holds
            taken = [launch(rounds) for _ in range(3)]
            cycles, nanoseconds = times.get().reshape(-1, 2).T
            hertz = float(statistics.median(cycles / np.maximum(nanoseconds, 1) * 1e9))
            what, work = WORK[name]
            rate = blocks * THREADS * rounds * work / min(taken)
            yield {
                "name": f"{name}, quick" if quick else name,
                "what": what,
                "per_second": rate,
                "seconds": taken,
                "held_hertz": hertz,
                "per_multiprocessor_and_cycle": rate / processors / hertz,
            }

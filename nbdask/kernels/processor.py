"""The processor that code is compiled for, and what it can do.  Nothing here imports Numba."""

from __future__ import annotations

import os
from functools import cache, lru_cache

from llvmlite import binding

#: Environment variables of Numba that say where its files are, or how many threads it takes.
_PLACES = frozenset({"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER"})


@lru_cache(maxsize=1)
def processor() -> str:
    """Return the processor that code is compiled for: name, features, what Numba was told."""
    features = binding.get_host_cpu_features().flatten()
    told = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and name not in _PLACES
    ]
    return " ".join([binding.get_host_cpu_name(), features, *told])


def has_wide_vectors() -> bool:
    """Return True if code is compiled for a processor with 512 bit vectors (AVX-512)."""
    return _has("avx512f")


def has_reduction() -> bool:
    """Return True if code is compiled for a processor with AVX-512DQ."""
    return _has("avx512dq")


@cache
def _has(feature: str) -> bool:
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if name is not None or features is not None:
        return f"+{feature}" in str(features)
    return bool(binding.get_host_cpu_features().get(feature, False))

"""The text of the CUDA kernels: the files of ``cuda_src`` as one.

The headers hold scalar formulas and the loops, ``kernels.cu`` the entries.  They are joined to a
single text, so that whatever caches compiled code by its text notices a change in any of them.
The structure of arguments comes from :mod:`~nbdask.kernels.cuda_params`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from nbdask.kernels.cuda_params import c_text

SOURCES = Path(__file__).parent / "cuda_src"
ENTRIES = ("nb_sum", "nb_finish")
_INCLUDE = re.compile(r'^#include "([a-z_]+\.h)"$', re.MULTILINE)
_ONCE = re.compile(r"^#pragma once\n", re.MULTILINE)


@lru_cache(maxsize=1)
def program_text() -> str:
    """Return ``kernels.cu`` with every header of the package in the place of its ``#include``."""
    seen: set[str] = set()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        text = _ONCE.sub("", (SOURCES / name).read_text())
        return _INCLUDE.sub(lambda found: read(found[1]), text)

    return c_text() + read("kernels.cu")

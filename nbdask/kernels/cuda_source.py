"""The texts of the GPU's kernels: images, derivatives, and the headers shared with the processor.

They are joined to a single text, so that caches keyed by it notice a change in any of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from nbdask.native.sources import SOURCES

ENTRIES = ("nb_sum", "nb_finish")
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+\.h)"$', re.MULTILINE)
_ONCE = re.compile(r"^#pragma once\n", re.MULTILINE)


@lru_cache(maxsize=2)
def program_text(name: str = "card.cu") -> str:
    """Return a text with every header of the package in the place of its ``#include``."""
    seen: set[str] = set()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        text = _ONCE.sub("", (SOURCES / name).read_text())
        return _INCLUDE.sub(lambda found: read(found[1]), text)

    return read(name)

"""One evaluation of one pixel, as the formulas of a kernel other than the reference see it.

A kernel that can tell its intermediate values has a line in ``_PROBES``; of any other kernel only
the sums and the pixel are known.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from nbdask.geometry.model import Model

#: Name of a quantity -> its value or values.
Values = dict[str, tuple[float, ...]]
#: (model, slow, fast, flat step) -> what the kernel's formulas give there.
Probe = Callable[[Model, int, int, int], Values]

_PROBES = {"numba": ("nbdask.kernels.numba_probe", "probe")}


def get_probe(name: str) -> Probe | None:
    """Return the probe of a kernel; None where it has none.

    Parameters
    ----------
    name : str
        A name of :data:`nbdask.kernels.registry.NAMES`.
    """
    if name not in _PROBES:
        return None
    module, attribute = _PROBES[name]
    probe: Probe = getattr(importlib.import_module(module), attribute)
    return probe

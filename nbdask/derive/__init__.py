"""Images from images: photon noise and detector effects, the same whatever the tiles.

The functions take NumPy arrays, dask arrays and xarray.DataArrays and give the same kind, lazy
where the image is lazy; the steps can be composed in a :class:`Pipeline`.  The names are loaded
when first used: pictures and pyramids need none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbdask.derive.functions import (
        calibration,
        fibre_psf,
        flicker,
        gain,
        gaussian_psf,
        offset,
        poisson,
        readout,
        rounding,
        saturation,
    )
    from nbdask.derive.gains import Gain
    from nbdask.derive.pipeline import Pipeline
    from nbdask.derive.psf import FibrePSF, GaussianPSF
    from nbdask.derive.steps import (
        Calibration,
        Flicker,
        Offset,
        Poisson,
        PoissonC,
        Readout,
        Rounding,
        Saturation,
        Step,
    )

__all__ = [
    "Calibration", "FibrePSF", "Flicker", "Gain", "GaussianPSF", "Offset", "Pipeline", "Poisson",
    "PoissonC", "Readout", "Rounding", "Saturation", "Step", "calibration", "fibre_psf", "flicker",
    "gain", "gaussian_psf", "offset", "poisson", "readout", "rounding", "saturation",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in __all__:
        raise AttributeError(f"module 'nbdask.derive' has no attribute {name!r}")
    homes = {"Gain": "gains", "Pipeline": "pipeline", "FibrePSF": "psf", "GaussianPSF": "psf"}
    home = homes.get(name, "functions" if name[0].islower() else "steps")
    value = getattr(importlib.import_module(f"nbdask.derive.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)

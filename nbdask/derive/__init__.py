"""Images from images: photon noise and detector effects, the same in whatever tiles.

The functions take NumPy arrays, dask arrays and xarray.DataArrays and give the same kind, lazy
where the image is lazy; the steps can be composed in a :class:`Pipeline`.
"""

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
from nbdask.derive.gain import Gain
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
    "Calibration",
    "FibrePSF",
    "Flicker",
    "Gain",
    "GaussianPSF",
    "Offset",
    "Pipeline",
    "Poisson",
    "PoissonC",
    "Readout",
    "Rounding",
    "Saturation",
    "Step",
    "calibration",
    "fibre_psf",
    "flicker",
    "gain",
    "gaussian_psf",
    "offset",
    "poisson",
    "readout",
    "rounding",
    "saturation",
]

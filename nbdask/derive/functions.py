"""One function for each step, for arrays of any kind.

What is common to all:

image : (slow, fast) array
    NumPy array, dask array or xarray.DataArray.  The result is float32 of the same shape and kind,
    lazy where the image is.
seed : int
    0 to 2**64 - 1; equal seeds give equal noise, whatever the chunks.
frame : int
    Number of the image in a series, 0 to 2**32 - 1.

A value that is refused raises FieldError.  The other parameters are the fields of the step that the
function names, which is what a :class:`~nbdask.derive.Pipeline` takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.derive.gains import Gain, refused_factor
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.psf import FibrePSF, GaussianPSF
from nbdask.derive.steps import (
    Calibration,
    Flicker,
    Offset,
    Poisson,
    Readout,
    Rounding,
    Saturation,
)
from nbdask.errors import FieldError, InputError


def flicker(
    image: Any, *, seed: int, frame: int = 0, frame_rms: float = 0.0, pixel_rms: float = 0.0
) -> Any:
    """Return an image with the flicker of a frame and of its pixels.

    Parameters
    ----------
    image, seed, frame
        As in all of :mod:`nbdask.derive.functions`.
    frame_rms, pixel_rms : float
        Relative standard deviations.

    See Also
    --------
    Flicker : the step
    """
    return Pipeline((Flicker(frame_rms, pixel_rms),), seed, frame).apply(image)


def poisson(image: Any, *, seed: int, frame: int = 0) -> Any:
    """Return an image of photon counts: Poisson deviates whose means are the pixels.

    Parameters
    ----------
    image, seed, frame
        As in all of :mod:`nbdask.derive.functions`.

    See Also
    --------
    Poisson : the step
    """
    return Pipeline((Poisson(),), seed, frame).apply(image)


def gaussian_psf(image: Any, fwhm: float, radius: int | None = None) -> Any:
    """Return an image whose light is spread by a Gaussian.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    fwhm : float
        Full width at half maximum [pixels].
    radius : int, optional
        Reach [pixels]; None: chosen.

    See Also
    --------
    GaussianPSF : the step
    """
    return Pipeline((GaussianPSF(fwhm, radius),)).apply(image)


def fibre_psf(image: Any, fwhm: float, radius: int | None = None) -> Any:
    """Return an image whose light is spread by a fibre-optic taper.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    fwhm : float
        Full width at half maximum [pixels].
    radius : int, optional
        Reach [pixels]; None: chosen.

    See Also
    --------
    FibrePSF : the step
    """
    return Pipeline((FibrePSF(fwhm, radius),)).apply(image)


def calibration(image: Any, rms: float, *, seed: int) -> Any:
    """Return an image with errors of the pixels' calibration, the same in every frame.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    rms : float
        Relative standard deviation.
    seed : int
        That of the detector, 0 to 2**64 - 1.

    See Also
    --------
    Calibration : the step
    """
    return Pipeline((Calibration(rms, seed),)).apply(image)


def readout(image: Any, sigma: float, *, seed: int, frame: int = 0) -> Any:
    """Return an image with the noise of the read-out electronics.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    sigma : float
        Standard deviation [unit of the image].
    seed, frame
        As in all of :mod:`nbdask.derive.functions`.

    See Also
    --------
    Readout : the step
    """
    return Pipeline((Readout(sigma),), seed, frame).apply(image)


def offset(image: Any, value: float) -> Any:
    """Return an image with a constant added.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    value : float
        [unit of the image]

    See Also
    --------
    Offset : the step
    """
    return Pipeline((Offset(value),)).apply(image)


def rounding(image: Any) -> Any:
    """Return an image rounded to whole numbers, floor(value + 1/2).

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.

    See Also
    --------
    Rounding : the step
    """
    return Pipeline((Rounding(),)).apply(image)


def saturation(image: Any, maximum: float, minimum: float | None = None) -> Any:
    """Return an image within the limits of what a pixel holds.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    maximum : float
        Values above it become it.
    minimum : float, optional
        Values below it become it; None: no limit.

    See Also
    --------
    Saturation : the step
    """
    return Pipeline((Saturation(maximum, minimum),)).apply(image)


def gain(image: Any, factor: float = 1.0, *, map: Any = None) -> Any:
    """Return an image times a factor, and times a map with a factor for each pixel.

    Parameters
    ----------
    image
        As in all of :mod:`nbdask.derive.functions`.
    factor : float
        Detector units per photon.
    map : (slow, fast) array, or path of a NumPy file, optional

    Raises
    ------
    NbdaskError
        A value that is refused, or a map of another shape.

    See Also
    --------
    Gain : the step
    """
    if map is None or not hasattr(map, "shape"):
        return Pipeline((Gain(factor, map),)).apply(image)
    if tuple(map.shape) != tuple(image.shape):
        raise FieldError("gain.map", f"shape {tuple(map.shape)}", f"of shape {tuple(image.shape)}")
    if isinstance(map, np.ndarray) and map.ndim == 2:
        wrong = refused_factor(map)
        if wrong is not None:
            raise InputError(f"gain.map: {wrong}")
    product = image.astype(np.float64) * Gain(factor).factor * map
    return product.astype(np.float32)

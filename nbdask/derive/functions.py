"""One function for each step, for arrays of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.derive.gain import Gain
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
from nbdask.errors import FieldError


def flicker(
    image: Any, *, seed: int, frame: int = 0, frame_rms: float = 0.0, pixel_rms: float = 0.0
) -> Any:
    """Return an image with the fluctuation of intensity of a frame and of its pixels.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    seed : int
    frame : int
    frame_rms : float
    pixel_rms : float
        See :class:`~.Flicker` and :class:`~.Pipeline`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Flicker(frame_rms=frame_rms, pixel_rms=pixel_rms),), seed, frame).apply(image)


def poisson(image: Any, *, seed: int, frame: int = 0) -> Any:
    """Return an image with Poisson deviates whose means are the pixels.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    seed : int
    frame : int
        See :class:`~.Poisson` and :class:`~.Pipeline`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Poisson(),), seed, frame).apply(image)


def gaussian_psf(image: Any, *, fwhm: float, radius: int | None = None) -> Any:
    """Return an image with a Gaussian point-spread function.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    fwhm : float
    radius : int | None
        See :class:`~.GaussianPSF`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((GaussianPSF(fwhm, radius),)).apply(image)


def fibre_psf(image: Any, *, fwhm: float, radius: int | None = None) -> Any:
    """Return an image with the point-spread function of a fibre-optic taper.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    fwhm : float
    radius : int | None
        See :class:`~.FibrePSF`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((FibrePSF(fwhm, radius),)).apply(image)


def calibration(image: Any, *, seed: int, rms: float) -> Any:
    """Return an image with an error of calibration that is the same in every frame.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    seed : int
    rms : float
        See :class:`~.Calibration`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Calibration(rms, seed),)).apply(image)


def readout(image: Any, *, seed: int, frame: int = 0, sigma: float) -> Any:
    """Return an image with the noise of the read-out electronics.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    seed : int
    frame : int
    sigma : float
        See :class:`~.Readout` and :class:`~.Pipeline`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Readout(sigma),), seed, frame).apply(image)


def offset(image: Any, *, value: float) -> Any:
    """Return an image with a constant.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    value : float
        See :class:`~.Offset`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Offset(value),)).apply(image)


def saturation(image: Any, *, maximum: float, minimum: float | None = None) -> Any:
    """Return an image with the limits of what a pixel holds.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    maximum : float
    minimum : float | None
        See :class:`~.Saturation`.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    FieldError
        A value that is refused.
    """
    return Pipeline((Saturation(maximum=maximum, minimum=minimum),)).apply(image)


def rounding(image: Any) -> Any:
    """Return an image with rounding to whole numbers, floor(value + 1/2).

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.
    """
    return Pipeline((Rounding(),)).apply(image)


def gain(image: Any, factor: float = 1.0, *, map: Any = None) -> Any:
    """Return an image times a factor, and times a map with a factor for each pixel.

    Parameters
    ----------
    image : (slow, fast) array
        NumPy array, dask array or xarray.DataArray; lazy ones give a lazy result.
    factor : float
        Detector units per photon.
    map : (slow, fast) array, or path of a NumPy file, optional

    Returns
    -------
    (slow, fast) float32 array
        Of the same kind as the image.

    Raises
    ------
    NbdaskError
        A value that is refused, or a map of another shape.
    """
    if map is None or not hasattr(map, "shape"):
        return Pipeline((Gain(factor, map),)).apply(image)
    if tuple(map.shape) != tuple(image.shape):
        raise FieldError("gain.map", f"shape {tuple(map.shape)}", f"of shape {tuple(image.shape)}")
    product = image.astype(np.float64) * Gain(factor).factor * map
    return product.astype(np.float32)

"""One function for each step, for arrays of any kind.

They are made from the steps, whose fields they take:

image : (slow, fast) array
    NumPy array, dask array or xarray.DataArray.  The result is float32 of the same shape and kind,
    lazy where the image is.
seed : int
    0 to 2**64 - 1; equal seeds give equal noise, whatever the chunks.
frame : int
    Number of the image in a series, 0 to 2**32 - 1.

A value that is refused raises FieldError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature, cleandoc
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
    Step,
)
from nbdask.errors import FieldError, InputError


def _function(step: type[Step]) -> Callable[..., Any]:
    """Return the function that does one step to an image."""
    own = {item.name: item.default for item in fields(step)}  # type: ignore[arg-type]
    parameters = [Parameter("image", Parameter.POSITIONAL_OR_KEYWORD)]
    for name, default in own.items():
        if name != "seed":
            kept = Parameter.empty if default is MISSING else default
            parameters.append(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=kept))
    if step.code:
        parameters.append(Parameter("seed", Parameter.KEYWORD_ONLY))
        if "seed" not in own:
            parameters.append(Parameter("frame", Parameter.KEYWORD_ONLY, default=0))
    signature = Signature(parameters)

    def function(*args: Any, **keywords: Any) -> Any:
        values = signature.bind(*args, **keywords).arguments
        image = values.pop("image")
        done = step(**{name: values.pop(name) for name in own if name in values})
        return Pipeline((done,), **values).apply(image)

    function.__name__ = function.__qualname__ = step.kind
    told = cleandoc(step.__doc__ or "")
    function.__doc__ = f"Return an image after the step {step.__name__}.\n\n{told}"
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


flicker = _function(Flicker)
poisson = _function(Poisson)
gaussian_psf = _function(GaussianPSF)
fibre_psf = _function(FibrePSF)
calibration = _function(Calibration)
readout = _function(Readout)
offset = _function(Offset)
rounding = _function(Rounding)
saturation = _function(Saturation)


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

"""Steps that spread the light of a pixel over its neighbours."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.block import Block
from nbdask.derive.convolution import fibre_quadrant, gaussian_weights
from nbdask.derive.steps import Step, set_by
from nbdask.errors import FieldError
from nbdask.experiment.checks import assign, integer, number

#: Longest reach [pixels], and where a reach that is not given ends.
MOST_RADIUS, MOST_CHOSEN = 1024, 64
#: Chosen reach in units of the width: of a Gaussian (10 sigma: 1e-23 of the light is beyond), and
#: of a fibre-optic taper (3 % of the light is beyond).
GAUSS_REACH, FIBRE_REACH = 4.25, 20.0

_gaussian = lru_cache(maxsize=8)(gaussian_weights)
_fibre = lru_cache(maxsize=8)(fibre_quadrant)


@dataclass(frozen=True)
class _Spread(Step):
    """What both functions share: width, reach, and the sum over the neighbours.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixels].
    radius : int, optional
        Reach [pixels]; None: chosen.
    """

    fwhm: float
    radius: int | None = set_by(
        "--psf-radius", "whole", "PIXELS", "Where the spread is cut off.", True, default=None
    )

    def __post_init__(self) -> None:
        """Check the fields."""
        allowed = "from 0.01 to 200 pixels"
        fwhm = number(f"{self.kind}.fwhm", self.fwhm, allowed=allowed)
        if not 0.01 <= fwhm <= 200.0:
            raise FieldError(f"{self.kind}.fwhm", fwhm, allowed)
        radius = self.radius
        if radius is not None:
            radius = integer(f"{self.kind}.radius", radius, low=1, high=MOST_RADIUS)
        assign(self, fwhm=fwhm, radius=radius)

    @abstractmethod
    def weights(self) -> NDArray[np.float64]:
        """Return the weights, of one axis or of a quadrant."""

    @property
    @abstractmethod
    def halo(self) -> int:
        """The reach."""

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Sum over the neighbours; the padded edge is lost."""
        return block.convolve(np.ascontiguousarray(values), self.weights())


@dataclass(frozen=True)
class GaussianPSF(_Spread):
    """A Gaussian point-spread function, integrated over each pixel.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixels], 2.3548 sigma.
    radius : int, optional
        Pixels along each axis beyond which there is no light; None: 10 sigma.
    """

    kind: ClassVar[str] = "gaussian_psf"
    fwhm: float = set_by("--psf-gauss", "width", "FWHM", "Gaussian spread: 1.5px, 80um.")

    @property
    def halo(self) -> int:
        """The reach."""
        return self.radius or min(MOST_RADIUS, max(1, math.ceil(GAUSS_REACH * self.fwhm)))

    def weights(self) -> NDArray[np.float64]:
        """Return the weights of one axis, the middle one first."""
        return _gaussian(self.fwhm, self.halo)


@dataclass(frozen=True)
class FibrePSF(_Spread):
    """The point-spread function of a fibre-optic taper, z / (2 pi (z^2 + r^2)^(3/2)).

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixels], 1.5328 z.
    radius : int, optional
        Distance [pixels] beyond which there is no light; None: 20 widths, at most 64.  The share
        z / sqrt(z^2 + radius^2) of the light that would fall farther is given to the pixels within.
    """

    kind: ClassVar[str] = "fibre_psf"
    fwhm: float = set_by("--psf-fibre", "width", "FWHM", "Spread of a fibre-optic taper: 80um.")

    @property
    def halo(self) -> int:
        """The reach."""
        return self.radius or min(MOST_CHOSEN, max(1, math.ceil(FIBRE_REACH * self.fwhm)))

    def weights(self) -> NDArray[Any]:
        """Return the weights of a quadrant, the middle one first."""
        return _fibre(self.fwhm, self.halo)

"""What the pixels need of a material: its curve, and photons per squared electron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.background.formula import Curve, curve_of, molecules
from nbdask.background.tables import load_table
from nbdask.errors import FieldError
from nbdask.experiment.background import Background, Material
from nbdask.experiment.beam import Beam

Array = NDArray[np.float64]

#: Greatest roughness, relative to the amplitude, that interpolation on a coarse grid allows for.
ROUGH = 2e-9


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A material as it stands in the beam.

    Attributes
    ----------
    name : str
    curve : Curve
    factor : float
        r_e^2 * fluence * molecules [photons per electron^2 and steradian].
    clipped : bool
        Whether negative amplitudes count as 0.
    roughness : (n + 1,) float64 array
        How far the curve is from a smooth one, by interval [electrons].
    """

    name: str
    curve: Curve
    factor: float
    clipped: bool
    roughness: Array

    @property
    def last(self) -> float:
        """Where the table ends: sin(theta)/lambda [1/m]."""
        return float(self.curve.knots[-1])

    @property
    def rough(self) -> bool:
        """Whether most of the curve is too rough to be interpolated on a coarse grid."""
        return bool(
            np.median(self.roughness[1:-1]) > ROUGH * np.median(np.abs(self.curve.amplitude))
        )


def layers_of(background: Background, beam: Beam, clipped: bool) -> tuple[Layer, ...]:
    """Return the materials of a background, their tables read.

    Parameters
    ----------
    background : Background
    beam : Beam
    clipped : bool
        Whether negative amplitudes count as 0.

    Raises
    ------
    InputFileError
        A table that is missing, malformed or has changed.
    FieldError
        A name that no table has; a beam without a size.
    """
    return tuple(_layer(material, beam, clipped) for material in background.materials)


def _layer(material: Material, beam: Beam, clipped: bool) -> Layer:
    if beam.beamsize <= 0.0:
        raise FieldError("beam.beamsize", beam.beamsize, "above 0 with an amorphous background")
    area = min(beam.beamsize, material.width or beam.beamsize) * min(
        beam.beamsize, material.height or beam.beamsize
    )
    count = molecules(material.thickness, area, material.density, material.molar_mass)
    curve = curve_of(load_table(material))
    factor = units.R_E_SQR * beam.effective_fluence * count
    return Layer(material.name, curve, factor, clipped, curve.roughness())

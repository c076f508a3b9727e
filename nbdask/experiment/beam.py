"""The incident beam: wavelength, intensity, polarization."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment import checks


@dataclass(frozen=True, slots=True)
class Beam:
    """The incident X-ray beam (its direction belongs to :class:`LabFrame`).

    Parameters
    ----------
    wavelength : float
        Central wavelength [m].
    fluence : float
        Incident fluence [photons/m^2]; used unless ``flux`` gives it.
    flux : float
        Photons per second.  When it is not 0, and ``exposure`` > 0 and ``beamsize`` >= 0, the
        fluence is ``flux * exposure / beamsize**2``.
    exposure : float
        Exposure time [s].
    beamsize : float
        Edge of the square beam [m]; when >= 0 it also clips the sample's y and z dimensions.
    polarization : float
        Kahn factor K, -1 to 1.  0: unpolarized; 1: fully polarized along the frame's
        polarization vector.
    polarized : bool
        False switches the polarization factor off altogether (it is 1 everywhere).
    energy_keV : float, optional
        Photon energy [keV], instead of ``wavelength``; not kept.
    """

    wavelength: float = 1e-10
    fluence: float = units.DEFAULT_FLUENCE
    flux: float = 0.0
    exposure: float = 1.0
    beamsize: float = 1e-4
    polarization: float = 0.0
    polarized: bool = True
    energy_keV: InitVar[float | None] = None

    __repr__ = checks.brief

    def __post_init__(self, energy_keV: float | None) -> None:
        """Check every field."""
        if energy_keV is not None:
            if self.wavelength != 1e-10:
                raise FieldError("beam.energy_keV", energy_keV, "left out beside a wavelength")
            energy = checks.positive("beam.energy_keV", energy_keV)
            checks.assign(self, wavelength=units.from_ev(1000.0 * energy))
        wavelength = checks.size("beam.wavelength", self.wavelength)
        checks.tell("beam.wavelength", [wavelength], 1e-3, ("metres", "Angstrom", units.angstrom))
        checks.assign(
            self,
            wavelength=wavelength,
            fluence=checks.not_negative("beam.fluence", self.fluence),
            flux=checks.not_negative("beam.flux", self.flux),
            exposure=checks.number("beam.exposure", self.exposure),
            beamsize=checks.number("beam.beamsize", self.beamsize),
            polarization=checks.number("beam.polarization", self.polarization),
            polarized=checks.flag("beam.polarized", self.polarized),
        )
        if not -1.0 <= self.polarization <= 1.0:
            raise FieldError("beam.polarization", self.polarization, "between -1 and 1")
        if self.flux != 0.0 and self.beamsize == 0.0:
            raise FieldError("beam.beamsize", self.beamsize, "above 0 when a flux is given")

    @property
    def is_flux_used(self) -> bool:
        """Whether flux, exposure and beam size give the fluence."""
        return self.flux != 0.0 and self.exposure > 0.0 and self.beamsize >= 0.0

    @property
    def effective_fluence(self) -> float:
        """Fluence [photons/m^2] that the image is scaled by: from the flux where it is given."""
        if self.is_flux_used:
            return self.flux * self.exposure / self.beamsize / self.beamsize
        return self.fluence

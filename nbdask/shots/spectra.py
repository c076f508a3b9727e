"""A spectrum for each shot: SASE, or rows of measured ones."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from nbdask.counter import check_seed
from nbdask.errors import FieldError
from nbdask.experiment import Experiment, Spectrum, checks
from nbdask.experiment.spectrum import MOST_POINTS, Sase
from nbdask.shots.draw import uniforms
from nbdask.shots.names import SPECTRUM
from nbdask.shots.tables import MOST_INLINE, check_stored, stored_array
from nbdask.shots.variation import Array, Columns, Shots, Variation


@dataclass(frozen=True, slots=True)
class SaseSpectra(Variation):
    """The spectrum of each shot of a free-electron laser, about the shot's wavelength.

    Parameters
    ----------
    sase : Sase
        What all shots have in common.
    seed : int or None
        Of the random numbers; None: the series' own.
    """

    sase: Sase
    seed: int | None = None
    kind: ClassVar[str] = "sase"

    def __post_init__(self) -> None:
        """Check the seed."""
        if not isinstance(self.sase, Sase):
            raise FieldError("variations.sase", self.sase, "a Sase")
        if self.seed is not None:
            checks.assign(self, seed=check_seed(self.seed, "spectrum seed"))

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set: the number of the spectrum is that of the shot."""
        return (SPECTRUM,)

    @property
    def is_random(self) -> bool:
        """Whether the seed of the series is used."""
        return self.seed is None

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the numbers of the spectra."""
        return {SPECTRUM: shots.astype(np.float64)}

    def change(self, experiment: Experiment, seed: int, shot: int) -> Experiment:
        """Return the experiment of a shot with its spectrum."""
        own = seed if self.seed is None else self.seed
        wavelength = experiment.beam.wavelength
        return with_spectrum(experiment, self.sase.shot(wavelength, own, shot))

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form."""
        data = {"kind": self.kind, **dataclasses.asdict(self.sase)}
        return data if self.seed is None else {**data, "seed": self.seed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> SaseSpectra:
        """Build from the dict form."""
        return cls(Sase(data["fwhm"], data["spike"], data["count"]), data.get("seed"))


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSpectra(Variation):
    """A row of measured spectra for each shot.

    Parameters
    ----------
    wavelengths : (channels,) array
        [m]; all spectra have the same.
    weights : (spectra, channels) array
        Relative numbers of photons, at least 0.
    drawn : bool
        True: each shot has a row at random; False: shot n has row n.
    """

    wavelengths: Array
    weights: Array
    drawn: bool = False
    sha256: str = field(init=False, default="")
    kind: ClassVar[str] = "spectra"

    def __post_init__(self) -> None:
        """Check both arrays, and take their checksum."""
        waves = np.array(self.wavelengths, dtype=np.float64)
        weights = np.array(self.weights, dtype=np.float64)
        if waves.ndim != 1 or weights.ndim != 2 or weights.shape != (len(weights), len(waves)):
            given = f"{waves.shape} and {weights.shape}"
            raise FieldError(
                SPECTRUM, given, "wavelengths, and a row of as many weights a spectrum"
            )
        if not 1 <= len(waves) <= MOST_POINTS or len(weights) == 0:
            raise FieldError(SPECTRUM, weights.shape, f"1 to {MOST_POINTS} wavelengths, and a row")
        for wave in waves:
            checks.size(f"{SPECTRUM}.wavelengths", wave)
        good = np.isfinite(weights).all(axis=1) & (weights >= 0.0).all(axis=1)
        good &= weights.sum(axis=1) > 0.0
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise FieldError(f"{SPECTRUM} of row {row}", "weights", "at least 0, and not all 0")
        for values in (waves, weights):
            values.setflags(write=False)
        parts = hashlib.sha256(waves.astype("<f8").tobytes())
        parts.update(weights.astype("<f8").tobytes())
        checks.assign(self, wavelengths=waves, weights=weights, sha256=parts.hexdigest())

    def __eq__(self, other: object) -> bool:
        """Compare numbers."""
        if not isinstance(other, MeasuredSpectra):
            return False
        return (self.sha256, self.drawn) == (other.sha256, other.drawn)

    def __hash__(self) -> int:
        """Agree with ``==``."""
        return hash(self.sha256)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set: the number of the row."""
        return (SPECTRUM,)

    @property
    def rows(self) -> int | None:
        """Shots that it is known for."""
        return None if self.drawn else len(self.weights)

    @property
    def is_random(self) -> bool:
        """Whether the seed of the series is used."""
        return self.drawn

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the numbers of the rows."""
        if not self.drawn:
            return {SPECTRUM: shots.astype(np.float64)}
        deviates = uniforms(seed, SPECTRUM, shots, 1)[:, 0]
        return {SPECTRUM: np.floor(deviates * len(self.weights))}

    def change(self, experiment: Experiment, seed: int, shot: int) -> Experiment:
        """Return the experiment of a shot with its spectrum."""
        row = int(self.values(seed, np.array([shot]))[SPECTRUM][0])
        spectrum = Spectrum(tuple(self.wavelengths.tolist()), tuple(self.weights[row].tolist()))
        return with_spectrum(experiment, spectrum)

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form, with the numbers where they are few."""
        data: dict[str, Any] = {"kind": self.kind, **({"drawn": True} if self.drawn else {})}
        if self.weights.size > MOST_INLINE:
            return {**data, "sha256": self.sha256}
        numbers = {"wavelengths": self.wavelengths.tolist(), "weights": self.weights.tolist()}
        return {**data, **numbers}

    def tables(self) -> dict[str, Array]:
        """Return wavelengths and then weights, a row each, where the dict form has them not."""
        if self.weights.size <= MOST_INLINE:
            return {}
        return {self.sha256: np.vstack([self.wavelengths, self.weights])}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> MeasuredSpectra:
        """Build from the dict form and the arrays stored beside it."""
        drawn = data.get("drawn", False)
        if "weights" in data:
            return cls(np.array(data["wavelengths"]), np.array(data["weights"]), drawn)
        rows = stored_array(data["sha256"], tables)
        found = cls(rows[0], rows[1:], drawn)
        check_stored(data["sha256"], found.sha256)
        return found


def with_spectrum(experiment: Experiment, spectrum: Spectrum) -> Experiment:
    """Return an experiment with another spectrum.

    Raises
    ------
    FieldError
        Amplitudes were made for the energies of the experiment's own spectrum, and these differ;
        or sources are listed.
    """
    recipe, own = experiment.structure.recipe, experiment.sources.spectrum
    same = own is not None and own.wavelengths == spectrum.wavelengths
    if recipe is not None and recipe.anomalous and not same:
        allowed = "at the energies of the experiment's own, which its amplitudes are made for"
        raise FieldError(SPECTRUM, f"{len(spectrum.wavelengths)} wavelengths", allowed)
    sources = dataclasses.replace(experiment.sources, spectrum=spectrum)
    return experiment.replace(sources=sources)

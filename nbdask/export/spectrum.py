"""The wavelengths of a picture's beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbdask.export.geometry import geometry_of
from nbdask.export.picture import Picture
from nbdask.export.series import Series
from nbdask.geometry.source_grid import build_sources
from nbdask.geometry.vectors import Array


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Wavelengths [m], each once, and the share of each."""

    wavelengths: Array
    shares: Array

    @property
    def mean(self) -> float:
        """The mean [m], for files and programs that know one."""
        if len(self.wavelengths) == 1:
            return float(self.wavelengths[0])
        return float(self.wavelengths @ self.shares)


def spectrum_of(picture: Picture) -> Spectrum:
    """Return the wavelengths of all sources."""
    experiment, frame = picture.experiment, geometry_of(picture).frame
    wave = experiment.beam.wavelength
    sources = build_sources(experiment.sources, wave, frame.beam, frame.polarization)
    waves, which = np.unique(sources.wavelength, return_inverse=True)
    shares = np.bincount(which, weights=sources.weight)
    return Spectrum(waves, shares / shares.sum())


def wavelengths_of(series: Series) -> Array | None:
    """Return the mean wavelength of each image [m], (images,); None: all have that of the first."""
    if series.of_shots is None or not series.of_shots.colours:
        return None
    return np.array([spectrum_of(one).mean for one in series.settings()])

"""What a place on the detector sees: scattering vector, resolution, Miller indices; rings.

Places are pixel coordinates: a whole number is the centre of the pixel of that index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbdask.experiment import Experiment, Mosaic, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.physics.position import plane_coordinates, rays_to

Array = NDArray[np.float64]

#: Leading digits of the resolutions that rings are drawn at.
_NICE = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
#: Points along each edge of the grid on which rings are traced.
_GRID = 257


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Scattering geometry of an experiment at any place of its detector.

    One wave vector and one orientation stand for the whole: the weighted mean of the sources'
    directions and wavelengths, and the crystal without mosaic spread at the middle of its rotation.

    Attributes
    ----------
    model : Model
        Of one panel, without structure factors and mask.
    incident : (3,) float64 array
        Unit vector in which the photons travel.
    wavelength : float
        [m]
    cell : (3, 3) float64 array
        a, b and c in the laboratory frame [m].
    distance : float
        From the sample to the detector plane, along the beam [m].
    beam_centre : tuple of float
        Where the direct beam meets the detector, pixel coordinates (slow, fast).
    whole : Model
        Of all panels.
    panel : int
        The panel that all this is of.
    """

    model: Model
    incident: Array
    wavelength: float
    cell: Array
    distance: float
    beam_centre: tuple[float, float]
    whole: Model
    panel: int = 0

    @classmethod
    def of(cls, experiment: Experiment, panel: int | None = None) -> Directions:
        """Return the geometry of an experiment; files that it names are not read.

        Parameters
        ----------
        experiment : Experiment
        panel : int, optional
            None: the panel that the beam falls on, or the first.

        Raises
        ------
        InputError
            The experiment is inconsistent.
        """
        bare = replace(
            experiment,
            structure=StructureFactors(default_F=1.0),
            lattices=(),
            weight=1.0,
            crystal=replace(
                experiment.crystal, mosaic_spread=None, mosaic_domains=None, mosaic=Mosaic()
            ),
            sampling=replace(
                experiment.sampling, mask=None, mask_sha256=None, roi=None, oversample=1
            ),
        )
        model = build_model(bare)
        if panel is None:
            panel = next((n for n in range(model.n_panels) if _is_hit(model.at(n))), 0)
        return cls._of_panel(model, panel)

    def on(self, panel: int) -> Directions:
        """Return the same for another panel."""
        return self._of_panel(self.whole, panel)

    @classmethod
    def _of_panel(cls, whole: Model, panel: int) -> Directions:
        """Return the geometry of one panel."""
        model = whole.at(panel)
        weights = model.weight / model.weight.sum()
        incident = weights @ model.incident
        distance, centre = _beam_on(model)
        return cls(
            model=model,
            incident=incident / np.linalg.norm(incident),
            wavelength=float(weights @ model.wavelength),
            cell=model.axes[(model.n_phi - 1) // 2],
            distance=distance,
            beam_centre=centre,
            whole=whole,
            panel=panel,
        )

    def scattering(self, slow: ArrayLike, fast: ArrayLike) -> Array:
        """Return scattering vectors (s - s0) / wavelength.

        Parameters
        ----------
        slow, fast : float or arrays that broadcast
            Pixel coordinates.

        Returns
        -------
        (..., 3) float64 array
            [1/m], laboratory frame; its length is 1/d.
        """
        along_slow = (np.asarray(slow, dtype=np.float64) + 0.5) * self.model.pitch_slow
        along_fast = (np.asarray(fast, dtype=np.float64) + 0.5) * self.model.pitch_fast
        ray = rays_to(self.model, along_slow, along_fast)
        rays = np.stack([ray.x, ray.y, ray.z], axis=-1)
        return np.asarray((rays - self.incident) / self.wavelength)

    def resolution(self, slow: ArrayLike, fast: ArrayLike) -> Array:
        """Return the resolution d [m] at places (pixel coordinates); infinite in the beam."""
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / np.linalg.norm(self.scattering(slow, fast), axis=-1))

    def miller(self, slow: ArrayLike, fast: ArrayLike) -> Array:
        """Return fractional Miller indices h, k, l at places (pixel coordinates), (..., 3)."""
        return np.asarray(self.scattering(slow, fast) @ self.cell.T)

    def spot_index(self, slow: float, fast: float) -> tuple[int, int, int]:
        """Return the Miller indices that most likely make a spot.

        Of all steps of the rotation and all sources it is the one whose fractional indices,
        counted in widths of the spot, are nearest to whole numbers.  Mosaic spread is left out.

        Parameters
        ----------
        slow, fast : float
            Pixel coordinates.
        """
        model = self.model
        ray = self.scattering(slow, fast) * self.wavelength + self.incident
        lit = model.weight > 0.0
        q = (ray - model.incident[lit]) / model.wavelength[lit, None]
        found = np.einsum("tij,sj->sti", model.axes, q).reshape(-1, 3)
        away = (found - np.rint(found)) * model.n_cells
        h, k, el = np.rint(found[np.argmin(np.einsum("ij,ij->i", away, away))])
        return int(h), int(k), int(el)

    def rings(self, region: Sequence[float], count: int = 5) -> list[float]:
        """Return round resolutions [m], about evenly spaced in 1/d over a region.

        Parameters
        ----------
        region : slow0, slow1, fast0, fast1
            Pixel coordinates.
        count : int
            About how many.

        Returns
        -------
        list of float
            Largest first; empty where the region spans next to no resolution.
        """
        found = self._grid(region, 33)[2]
        low, high = float(found.min()), float(found.max())
        wanted = [low + (high - low) * (i + 0.6) / count for i in range(count)]
        result = [_round_resolution(1.0 / q) for q in wanted if q > 0.0]
        return sorted({d for d in result if low < 1.0 / d < high}, reverse=True)

    def ring(self, d: float, region: Sequence[float]) -> list[Array]:
        """Return the lines of one resolution in a region.

        Traced on a grid over the region, so tilted and curved detectors are not special cases.

        Parameters
        ----------
        d : float
            [m]
        region : slow0, slow1, fast0, fast1
            Pixel coordinates.

        Returns
        -------
        list of (n, 2) float64 arrays
            Pixel coordinates (slow, fast) along each line.
        """
        from contourpy import contour_generator

        slow, fast, inverse = self._grid(region, _GRID)
        # Squares are smooth where the beam is, the lengths themselves have a tip there.
        lines: Any = contour_generator(fast, slow, inverse**2).lines(1.0 / d**2)
        return [np.asarray(line)[:, ::-1] for line in lines]

    def _grid(self, region: Sequence[float], points: int) -> tuple[Array, Array, Array]:
        """Return the grid on which rings are traced."""
        slow = np.linspace(region[0], region[1], points)
        fast = np.linspace(region[2], region[3], points)
        inverse = np.linalg.norm(self.scattering(slow[:, None], fast[None, :]), axis=-1)
        return slow, fast, inverse


def _beam_on(model: Model) -> tuple[float, tuple[float, float]]:
    """Return the way along the beam to a panel's plane [m], and where it meets it (slow, fast).

    That is not the centre of nanoBragg's headers, which is another one where the detector swings.
    """
    ahead = float(model.beam @ model.normal) or 1e-300
    distance = float(model.origin @ model.normal) / ahead
    slow, fast = plane_coordinates(model, distance * model.beam - model.origin)
    return distance, (float(slow), float(fast))


def _is_hit(model: Model) -> bool:
    """Whether the beam falls on a panel."""
    distance, (slow, fast) = _beam_on(model)
    inside = -0.5 <= slow <= model.n_slow - 0.5 and -0.5 <= fast <= model.n_fast - 0.5
    return distance > 0.0 and inside


def _round_resolution(d: float) -> float:
    """Return the round number next to a resolution [m]."""
    power = 10.0 ** np.floor(np.log10(d * 1e10))
    steps = [*_NICE, 10.0]
    nearest = min(steps, key=lambda step: abs(step - d * 1e10 / power))
    return float(nearest * power * 1e-10)

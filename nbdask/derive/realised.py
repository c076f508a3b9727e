"""What follows from an experiment: cells, orientation, sources, beam centre, resolution, steps."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbdask import units
from nbdask.derive.directions import Array, Directions
from nbdask.errors import counted
from nbdask.experiment import Experiment
from nbdask.experiment.summary import fluence_from
from nbdask.geometry.build import domain_count, finest_oversample
from nbdask.geometry.crystal_frame import CrystalFrame, orient_crystal
from nbdask.geometry.sensor import settle_thickness
from nbdask.geometry.vectors import length

#: Places along each edge of the detector at which the resolution is computed.
_PLACES = 1025
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Realised:
    """Values that are computed; SI units, angles in radians.

    Attributes
    ----------
    n_cells : tuple of 3 ints or None
        Cells along a, b, c; None where a matrix gives them.
    cell_m, cell_rad : tuple of 3 floats
        Lengths a, b, c [m] and angles alpha, beta, gamma [rad] of the cell as it is simulated.
    reciprocal_per_m : 3 tuples of 3 floats
        a*, b*, c* [1/m] in the laboratory frame at phi = 0, without mosaic spread.
    sources : int
    wavelength_m : tuple of 3 floats
        Mean (with weights where they count), least, greatest [m].
    beam_centre_px, beam_centre_m : tuple of 2 floats
        Where the direct beam meets the detector plane, (slow, fast): in pixels, the centre of the
        first being 0, and from the outer corner of the first pixel [m].
    distance_m, close_distance_m : float
        Along the beam and along the detector's normal [m].
    edge_m, corner_m : float or None
        Resolution d [m]: greatest and least on the border of the detector; None: infinite.
    oversample, layers, phi_steps, domains, steps : int
        Sub-pixels along an edge, sensor layers, rotation steps, mosaic domains; terms of a pixel.
    oversample_chosen : bool
        Whether the number of sub-pixels follows from the crystal's size.
    panels : int
    beam_panel : str or None
        Name of the panel that the beam falls on, or of the first, whose centre and distances are
        given; None where panels have no names.
    further : tuple of str
        What there is to say of each crystal beside the first.
    fluence_per_m2 : float
        Photons on the sample by area.
    fluence_from : str
        What it follows from, in words; empty: it was given.
    oriented : bool
        Whether an orientation of the (first) crystal was given.
    """

    n_cells: tuple[int, int, int] | None
    cell_m: Triple
    cell_rad: Triple
    reciprocal_per_m: tuple[Triple, Triple, Triple]
    sources: int
    wavelength_m: Triple
    beam_centre_px: tuple[float, float]
    beam_centre_m: tuple[float, float]
    distance_m: float
    close_distance_m: float
    edge_m: float | None
    corner_m: float | None
    oversample: int
    oversample_chosen: bool
    layers: int
    phi_steps: int
    domains: int
    steps: int
    panels: int = 1
    beam_panel: str | None = None
    further: tuple[str, ...] = ()
    fluence_per_m2: float = units.DEFAULT_FLUENCE
    fluence_from: str = ""
    oriented: bool = True

    @classmethod
    def of(cls, experiment: Experiment) -> Realised:
        """Return what an experiment comes to; files that it names are not read.

        Raises
        ------
        InputError
            The experiment makes no sense.
        """
        seen = Directions.of(experiment)
        model, detector = seen.model, experiment.detector
        crystal = orient_crystal(experiment.crystal, experiment.beam)
        given = experiment.sampling.oversample
        oversample = given or finest_oversample(experiment, crystal, model.distance)
        layers = settle_thickness(detector)[0]
        domains = domain_count(experiment.singles[0])
        edge, corner = _border(seen)
        slow, fast = seen.beam_centre
        wavelengths = model.wavelength
        return cls(
            n_cells=None if experiment.crystal.cells_matrix is not None else crystal.n_cells,
            **_cell(crystal),
            sources=model.n_sources,
            wavelength_m=(seen.wavelength, float(wavelengths.min()), float(wavelengths.max())),
            beam_centre_px=(slow, fast),
            beam_centre_m=((slow + 0.5) * model.pitch_slow, (fast + 0.5) * model.pitch_fast),
            distance_m=seen.distance,
            close_distance_m=model.close_distance,
            edge_m=edge,
            corner_m=corner,
            oversample=oversample,
            oversample_chosen=given is None,
            layers=layers,
            phi_steps=model.n_phi,
            domains=domains,
            steps=layers * oversample**2 * model.n_sources * model.n_phi * _domains(experiment),
            panels=seen.whole.n_panels,
            beam_panel=detector.panels[seen.panel].name if detector.panels else None,
            further=_further(experiment),
            fluence_per_m2=experiment.beam.effective_fluence,
            fluence_from=fluence_from(experiment.beam),
            oriented=experiment.crystal.matrix is not None or experiment.crystal.misset is not None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a JSON-able dict."""
        return {k: _listed(v) for k, v in dataclasses.asdict(self).items()}

    def rows(self) -> list[tuple[str, str]]:
        """Return names and texts for people: Angstrom, degrees, millimetres."""
        stars = ", ".join(
            f"{name}* " + " ".join(f"{round(x * 1e-10, 9) + 0.0:.6g}" for x in vector)
            for name, vector in zip("abc", self.reciprocal_per_m, strict=True)
        )
        mean, low, high = (units.to_angstrom(x) for x in self.wavelength_m)
        spread = "" if low == high else f" ({low:.6g} to {high:.6g})"
        pixels = ", ".join(f"{x:.2f}" for x in self.beam_centre_px)
        places = ", ".join(f"{x * 1e3:.4g}" for x in self.beam_centre_m)
        panel = "the detector" if self.panels == 1 else f"the plane of panel {self.beam_panel}"
        # Of several panels the edge is that of the gap around the beam, not the detector's.
        near = "at the nearest edge" if self.panels == 1 else "nearest to the beam"
        corner = "corner" if self.panels == 1 else "outermost corner"
        origin = f" ({self.fluence_from})" if self.fluence_from else ""
        straight = "" if self.oriented else " (no orientation given: -misset random turns it)"
        chosen = "chosen" if self.oversample_chosen else "given"
        return [
            ("crystal", _cell_text(self.n_cells, self.cell_m, self.cell_rad)),
            *((f"crystal {number}", text) for number, text in enumerate(self.further, 2)),
            ("axes", f"{stars} 1/Angstrom in the laboratory frame at phi 0{straight}"),
            ("sources", f"{self.sources}, wavelength {mean:.6g} Angstrom{spread}"),
            ("fluence", f"{self.fluence_per_m2:.4g} photons/m^2{origin}"),
            (
                "beam",
                f"meets {panel} at slow, fast {pixels} pixels from the centre of the first"
                f" ({places} mm from its outer corner), {self.distance_m * 1e3:.6g} mm from"
                " the sample",
            ),
            ("edges", f"{_d(self.edge_m)} {near}, {_d(self.corner_m)} in the {corner}"),
            (
                "steps",
                f"{self.steps} per pixel: {self.oversample} x {self.oversample} sub-pixels"
                f" ({chosen}), {counted(self.layers, 'layer')}, {counted(self.sources, 'source')},"
                f" {counted(self.phi_steps, 'rotation step')},"
                f" {counted(self.domains, 'mosaic domain')}",
            ),
        ]


def _further(experiment: Experiment) -> tuple[str, ...]:
    """Return cells and weight of each crystal beside the first."""
    found = []
    for single, lattice in zip(experiment.singles[1:], experiment.lattices, strict=True):
        crystal = orient_crystal(single.crystal, single.beam)
        cells = None if single.crystal.cells_matrix is not None else crystal.n_cells
        made = _cell(crystal)
        text = _cell_text(cells, made["cell_m"], made["cell_rad"])
        found.append(f"{text}, weight {lattice.weight:g}")
    return tuple(found)


def _cell_text(n_cells: tuple[int, int, int] | None, cell: Triple, angles: Triple) -> str:
    """Return number and cell of a crystal's cells for people."""
    cells = "by a matrix" if n_cells is None else " x ".join(map(str, n_cells))
    lengths = " ".join(f"{units.to_angstrom(x):.6g}" for x in cell)
    between = " ".join(f"{units.to_degrees(x):.6g}" for x in angles)
    return f"{cells} cells of {lengths} Angstrom, {between} degrees"


def _cell(crystal: CrystalFrame) -> dict[str, Any]:
    """Return lengths, angles and reciprocal vectors of the cell as it stands."""
    a, b, c = crystal.axes
    angles = (_angle(b, c), _angle(a, c), _angle(a, b))
    return {
        "cell_m": (length(a), length(b), length(c)),
        "cell_rad": angles,
        "reciprocal_per_m": tuple(tuple(float(x) * 1e10 for x in v) for v in crystal.star),
    }


def _angle(one: Array, other: Array) -> float:
    cosine = float(one @ other) / (length(one) * length(other))
    return math.acos(max(-1.0, min(1.0, cosine)))


def _border(seen: Directions) -> tuple[float | None, float | None]:
    """Return the greatest and the least resolution on the borders of all panels."""
    border = np.concatenate([_borders(seen.on(n)) for n in range(seen.whole.n_panels)])
    edge, corner = float(border.max()), float(border.min())
    return (edge if math.isfinite(edge) else None), (corner if math.isfinite(corner) else None)


def _borders(seen: Directions) -> Array:
    """Return the resolution along the border of one panel."""
    last = (seen.model.n_slow - 0.5, seen.model.n_fast - 0.5)
    slow, fast = (np.linspace(-0.5, end, _PLACES) for end in last)
    found = [seen.resolution(end, fast) for end in (-0.5, last[0])]
    found += [seen.resolution(slow, end) for end in (-0.5, last[1])]
    return np.concatenate(found)


def _d(value: float | None) -> str:
    return "infinite" if value is None else f"{units.to_angstrom(value):.4g} Angstrom"


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _domains(experiment: Experiment) -> int:
    """Return the mosaic domains of all crystals."""
    return sum(domain_count(single) for single in experiment.singles)

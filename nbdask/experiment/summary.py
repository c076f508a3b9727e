"""An experiment in a few lines, in the units that crystallographers speak."""

from __future__ import annotations

from nbdask.experiment.background import Background
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.experiment.scan import Scan
from nbdask.experiment.sources import Sources
from nbdask.experiment.structure import StructureFactors
from nbdask.units import DEFAULT_FLUENCE, to_angstrom, to_degrees


def summary_rows(
    crystal: Crystal,
    structure: StructureFactors,
    beam: Beam,
    sources: Sources,
    detector: Detector,
    convention: str,
    scan: Scan,
) -> list[tuple[str, str]]:
    """Return name and text of what is simulated: Angstrom, degrees, millimetres.

    Returns
    -------
    list of (str, str)
    """
    size = detector.pixel_size * 1e3
    distance = detector.distance if detector.close_distance is None else detector.close_distance
    return [
        *_crystal_rows(crystal),
        ("structure factors", _structure(structure)),
        (
            "beam",
            f"{to_angstrom(beam.wavelength):g} Angstrom, {beam.effective_fluence:.4g} photons/m^2",
        ),
        ("sources", _sources(sources)),
        (
            "detector",
            f"{detector.n_slow} x {detector.n_fast} pixels (slow x fast) of {size:g} mm at"
            f" {distance * 1e3:g} mm, convention {convention}",
        ),
        ("scan", _scan(scan)),
    ]


def fluence_from(beam: Beam) -> str:
    """Return what the fluence follows from; nothing where it was given."""
    if beam.is_flux_used:
        size = f"{beam.beamsize * 1e3:g}"
        return f"{beam.flux:g} photons/s for {beam.exposure:g} s on {size} x {size} mm"
    if beam.fluence == DEFAULT_FLUENCE:
        return "nanoBragg's default, more than any real beam has: -fluence or -flux sets it"
    return ""


def background_rows(background: Background) -> list[tuple[str, str]]:
    """Return a row for each amorphous material: millimetres, g/cm^3."""
    return [
        (
            "background",
            f"{material.name}, {material.thickness * 1e3:g} mm, {material.density * 1e-3:g} g/cm^3",
        )
        for material in background.materials
    ]


def _crystal_rows(crystal: Crystal) -> list[tuple[str, str]]:
    rows = []
    if crystal.cell is not None:
        lengths = ", ".join(f"{to_angstrom(x):.6g}" for x in crystal.cell[:3])
        angles = ", ".join(f"{to_degrees(x):.6g}" for x in crystal.cell[3:])
        rows.append(("cell", f"{lengths} Angstrom, {angles} degrees"))
    if crystal.matrix is not None:
        rows.append(("orientation", "by a matrix"))
    rows.append(("crystal", " x ".join(map(str, crystal.n_cells)) + f" cells, {crystal.shape}"))
    if any(crystal.size):
        lengths = " x ".join(f"{x * 1e3:g}" for x in crystal.size)
        rows.append(("sample", f"{lengths} mm"))
    if crystal.diffuse is not None:
        gamma, sigma = (
            " ".join(f"{to_angstrom(x):g}" for x in axis)
            for axis in (crystal.diffuse.gamma, crystal.diffuse.sigma)
        )
        rows.append(("diffuse", f"gamma {gamma}, sigma {sigma} Angstrom"))
    return [*rows, *_mosaic_rows(crystal)]


def _mosaic_rows(crystal: Crystal) -> list[tuple[str, str]]:
    mosaic, spread = crystal.mosaic, crystal.mosaic_spread
    if mosaic.domains:
        return [("mosaic", f"{len(mosaic.domains)} listed domains")]
    if not spread and mosaic.widths is None:
        return []
    domains = f"{10 if crystal.mosaic_domains is None else crystal.mosaic_domains} domains"
    if mosaic.tolerance is not None:
        domains = f"domains for an error of {mosaic.tolerance:g}"
    widths = " ".join(f"{to_degrees(x):.4g}" for x in mosaic.widths or (spread or 0.0,))
    kind = "" if mosaic.model == "cap" else ", Gaussian"
    quasi = "" if mosaic.sampling == "random" else ", Sobol sequence"
    return [("mosaic", f"{domains}, spread {widths} degrees{kind}{quasi}")]


def _structure(structure: StructureFactors) -> str:
    parts = []
    if structure.path is not None:
        parts.append(f"{structure.path} ({structure.format})")
    elif structure.reflections:
        parts.append(f"{len(structure.reflections)} reflections")
    if structure.default_F:
        parts.append(f"default {structure.default_F:g} electrons")
    return ", ".join(parts)


def _sources(sources: Sources) -> str:
    if sources.points:
        return f"{len(sources.points)} listed"
    ranges = (sources.horizontal, sources.vertical, sources.dispersion)
    if sources.spectrum is not None:
        count = len(sources.spectrum.wavelengths)
        return f"{count} wavelengths of {sources.spectrum.origin or 'a spectrum'}"
    spread = any(s.range or s.step or (s.count or 1) > 1 for s in ranges)
    return "grid of divergence and dispersion" if spread else "one"


def _scan(scan: Scan) -> str:
    text = f"phi {to_degrees(scan.phi0):g} degrees"
    if scan.osc:
        text += f", range {to_degrees(scan.osc):g} degrees"
    if scan.step:
        text += f", step {to_degrees(scan.step):g} degrees"
    return text if scan.count is None else f"{text}, {scan.count} steps"

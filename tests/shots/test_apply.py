"""Values of fields: the experiment that has them, and what stays as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError
from nbdask.experiment import Lattice, Material
from nbdask.geometry.build import build_model
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.detector_frame import place_detector
from nbdask.gradients.parameters import FIELDS as OF_DERIVATIVES
from nbdask.shots.apply import with_values
from nbdask.shots.names import FIELDS, QUATERNION, STAR
from nbdask.shots.rotations import turn_matrix
from nbdask.units import EV_ANGSTROM
from tests.helpers import RIGHT, deviation, image_of, small_experiment

LINE = "-cell 50 60 70 80 95 100 -default_F 100 -N 5 -lambda 1.2 -distance 100 -detpixels 64"
FLAGS = LINE.split()
BASE = nbdask.from_args([*FLAGS, "-misset", "10", "20", "30"])
AXES = orient_crystal(BASE.crystal, BASE.beam).axes
#: The same crystal by its matrix.
MATRIX = BASE.replace(
    crystal=dataclasses.replace(
        BASE.crystal,
        cell=None,
        misset=None,
        matrix=tuple((np.linalg.inv(AXES) * BASE.beam.wavelength).reshape(-1).tolist()),
    )
)


def axes_of(experiment: nbdask.Experiment) -> np.ndarray:
    """Cell vectors of the first crystal [m]."""
    return orient_crystal(experiment.crystal, experiment.beam).axes


def test_plain_fields_get_their_values() -> None:
    """As a replacement by hand."""
    shot = with_values(
        BASE,
        {
            "crystal.cell.a": 51e-10,
            "crystal.n_cells.c": 7.0,
            "detector.distance": 0.12,
            "beam.fluence": 2e20,
            "scan.phi0": 0.1,
        },
    )
    wanted = BASE.replace(
        crystal=dataclasses.replace(
            BASE.crystal, cell=(51e-10, *BASE.crystal.cell[1:]), n_cells=(5, 5, 7)
        ),
        detector=dataclasses.replace(BASE.detector, distance=0.12),
        beam=dataclasses.replace(BASE.beam, fluence=2e20),
        scan=dataclasses.replace(BASE.scan, phi0=0.1),
    )
    assert shot == wanted
    assert with_values(BASE, {}) is BASE


def test_names_are_those_of_derivatives() -> None:
    """With the same units; amplitudes are common to all shots."""
    theirs = {name: field for name, field in OF_DERIVATIVES.items() if field.part != "structure"}
    assert {name: FIELDS[name].unit for name in theirs} == {
        name: field.unit for name, field in theirs.items()
    }


def test_a_turn_follows_an_orientation() -> None:
    """Both act in the laboratory, on the crystal as it was."""
    q = (0.5, -0.5, 0.5, 0.5)
    turn = (0.2, -0.1, 0.3)
    names = [f"crystal.turn.{name}" for name in "xyz"]
    shot = with_values(BASE, dict(zip((*QUATERNION, *names), (*q, *turn), strict=True)))
    # The quaternion takes x to -z... as its matrix has it: a third of a turn.
    third = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    wanted = AXES @ (turn_matrix(np.array(turn)) @ third).T
    assert np.abs(axes_of(shot) - wanted).max() < 1e-22


def test_all_crystals_are_turned_alike() -> None:
    """Crystals in one loop."""
    other = Lattice(dataclasses.replace(BASE.crystal, misset=(1.0, 0.5, 0.2)))
    base = BASE.replace(lattices=(other,))
    shot = with_values(base, {"crystal.turn.z": RIGHT, "lattices.0.weight": 0.5})
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for before, after in zip(base.singles, shot.singles, strict=True):
        assert np.abs(axes_of(after) - axes_of(before) @ quarter.T).max() < 1e-22
    assert shot.lattices[0].weight == 0.5


def test_a_random_misset_is_turned_as_any_other() -> None:
    """The rotation acts on what nanoBragg's generator gives."""
    base = nbdask.from_args([*FLAGS, "-misset", "random", "-misset_seed", "5"])
    assert base.crystal.misset == "random"
    shot = with_values(base, {"crystal.turn.z": RIGHT})
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert np.abs(axes_of(shot) - axes_of(base) @ quarter.T).max() < 1e-22
    assert with_values(base, {"beam.fluence": 1.0}).crystal == base.crystal


def test_reciprocal_axes_take_the_place_of_cell_and_misset() -> None:
    """Those of the crystal itself give the crystal itself."""
    star = np.linalg.inv(AXES).T
    shot = with_values(BASE, dict(zip(STAR, star.reshape(-1).tolist(), strict=True)))
    assert shot.crystal.misset is None
    assert np.abs(axes_of(shot) - AXES).max() < 1e-21


def test_another_wavelength_leaves_crystals_as_they_are() -> None:
    """Also where a matrix in units of 1/wavelength gives them; a spectrum moves along."""
    for base in (BASE, MATRIX):
        shot = with_values(base, {"beam.energy": EV_ANGSTROM / 1.3})
        assert shot.beam.wavelength == pytest.approx(1.3e-10, rel=1e-14)
        assert np.abs(axes_of(shot) - AXES).max() < 1e-21
    lines = nbdask.experiment.Spectrum((1.19e-10, 1.21e-10), (1.0, 2.0))
    base = BASE.replace(sources=dataclasses.replace(BASE.sources, spectrum=lines))
    moved = with_values(base, {"beam.wavelength": 1.3e-10}).sources.spectrum
    assert moved is not None
    assert np.allclose(moved.wavelengths, np.array(lines.wavelengths) * 1.3 / 1.2, rtol=1e-14)


def test_a_cell_varies_where_a_matrix_gives_the_crystal() -> None:
    """a* keeps its direction, b* its plane; the cell is the one that is asked for."""
    shot = with_values(MATRIX, {"crystal.cell.a": 52e-10, "crystal.cell.beta": 1.6})
    axes = axes_of(shot)
    lengths = np.linalg.norm(axes, axis=1)
    before = np.linalg.norm(AXES, axis=1)
    assert np.allclose(lengths, [52e-10, before[1], before[2]], rtol=1e-12)
    cosine = axes[0] @ axes[2] / lengths[0] / lengths[2]
    assert np.arccos(cosine) == pytest.approx(1.6, rel=1e-12)
    old, new = np.linalg.inv(AXES).T, np.linalg.inv(axes).T
    assert np.linalg.norm(np.cross(old[0], new[0])) < 1e-9 * np.linalg.norm(old[0]) ** 2
    plane = np.cross(old[0], old[1])
    assert abs(plane @ new[1]) < 1e-9 * np.linalg.norm(plane) * np.linalg.norm(new[1])
    same = with_values(MATRIX, {"crystal.cell.a": float(before[0])})
    assert np.abs(axes_of(same) - AXES).max() < 1e-20


def test_the_detector_moves_as_a_whole() -> None:
    """Along the beam as another distance does; sideways as another beam centre; panels too."""
    farther = with_values(BASE, {"detector.shift.beam": 0.01})
    flag = nbdask.from_args([*FLAGS, "-misset", "10", "20", "30", "-distance", "110"])
    found, wanted = (place_detector(x.frame, x.detector) for x in (farther, flag))
    assert np.abs(found.origin - wanted.origin).max() < 1e-16
    assert deviation(image_of(farther), image_of(flag)) < 1e-5
    aside = with_values(BASE, {"detector.shift.y": 1e-3, "detector.shift.z": -2e-3})
    before, after = (place_detector(x.frame, x.detector) for x in (BASE, aside))
    assert np.allclose(after.origin - before.origin, [0.0, 1e-3, -2e-3], atol=1e-16)
    assert np.array_equal(before.fast, after.fast)
    panel = nbdask.DetectorPanel(
        "p", 8, 8, 1e-4, 1e-4, (0.1, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
    )
    panels = BASE.replace(detector=nbdask.Detector(panels=(panel,)))
    moved = with_values(panels, {"detector.shift.beam": 0.01}).detector.panels[0]
    assert np.allclose(moved.origin, (0.11, 0.0, 0.0), atol=1e-16)
    both = {"detector.turn.z": RIGHT, "detector.shift.x": 0.01}
    swung = with_values(panels, both).detector.panels[0]
    assert np.allclose(swung.origin, (0.01, 0.1, 0.0), atol=1e-15)
    assert np.allclose(swung.fast, (0.0, 0.0, 1.0), atol=1e-15)
    assert np.allclose(swung.slow, (1.0, 0.0, 0.0), atol=1e-15)


@pytest.mark.parametrize("convention", ["", "-xds", "-adxv"])
def test_a_tilted_beam_is_one_of_a_divergent_beam(convention: str) -> None:
    """The same incident direction as that of a source at the same angle; the detector stays."""
    flags = [*FLAGS, *convention.split(), "-polar", "0.9"]
    base = nbdask.from_args(flags)
    angle = 2e-3
    shot = with_values(base, {"beam.tilt.horizontal": angle / 2.0})
    divergent = nbdask.from_args([*flags, "-hdivrange", f"{angle * 1e3}", "-hdivsteps", "2"])
    model, many = build_model(shot), build_model(divergent)
    assert np.abs(model.incident[0] - many.incident[-1]).max() < 1e-12
    before = place_detector(base.frame, base.detector)
    after = place_detector(shot.frame, shot.detector)
    for name in ("fast", "slow", "normal", "origin", "spindle"):
        assert np.abs(getattr(after, name) - getattr(before, name)).max() < 1e-15
    assert abs(after.beam @ after.polarization) < 1e-15
    assert abs(after.beam @ before.beam - np.cos(angle / 2.0)) < 1e-15


def test_a_background_is_scaled() -> None:
    """Photons grow in proportion, of materials and of nanoBragg's water."""
    crystal = dataclasses.replace(BASE.crystal, n_cells=(1, 1, 1))
    detector = nbdask.Detector(pixels_fast=6, pixels_slow=5, pixel_size=4e-3)
    for background in (
        nbdask.Background(water=1e-5),
        nbdask.Background(materials=(Material(thickness=1e-4, table="water"),)),
    ):
        base = small_experiment(
            crystal=crystal,
            background=background,
            detector=detector,
            structure=nbdask.StructureFactors(default_F=1e-9),
        )
        scaled = with_values(base, {"background.scale": 3.0})
        assert deviation(nbdask.image(scaled).values, 3.0 * nbdask.image(base).values) < 1e-6
        none = with_values(base, {"background.scale": 0.0})
        assert none.background.materials == ()
        assert none.background.water == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"background.scale": 2.0}, "no background"),
        ({"crystal.orientation.w": 1.0}, "all of crystal.orientation.w"),
        ({"crystal.a_star.x": 1.0}, "all of crystal.a_star.x"),
        ({name: 0.0 for name in QUATERNION}, "a quaternion that is not 0"),
        ({name: 0.0 for name in STAR}, "crystal.matrix"),
        ({"crystal.cell.a": -1.0}, "crystal.cell"),
        ({"crystal.n_cells.a": 2.5}, "crystal.n_cells"),
        ({"detector.pix0.x": 0.1}, "no such part"),
        ({"lattices.0.weight": 0.5}, "one of the 0"),
        ({"lattices.0.crystal.cell.a": 5e-9}, "below 0"),
        ({"beam.energy": 0.0}, "above 0"),
    ],
)
def test_what_an_experiment_has_not_is_refused(values: dict[str, float], message: str) -> None:
    """By the name of the field."""
    with pytest.raises(FieldError, match=message):
        with_values(BASE, values)

"""specs/geometry.md."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nbdask.experiment import Background, Crystal, Detector, LabFrame, Sampling, Scan
from nbdask.experiment.frame import PIVOTS, VECTOR_NAMES
from nbdask.geometry.build import build_model
from nbdask.geometry.conventions import CONVENTIONS, centres, directions
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.sensor import settle_thickness
from nbdask.geometry.vectors import rotate_about, rotate_xyz, unit
from nbdask.physics.factors import solid_angle
from nbdask.physics.position import sub_pixel_rays
from nbdask.plan.tiles import Tile
from tests.specs.support import experiment, pixels, with_detector

P, DF, DS = 1e-4, 0.0512, 0.0256
BASE = Detector(pixel_size=P, pixels_fast=512, pixels_slow=256, distance=0.1)
TILTS: dict[str, Any] = {"rotx": 0.05, "roty": -0.03, "rotz": 0.2, "twotheta": 0.4}
NAMED = [name for name in CONVENTIONS if name != "CUSTOM"]
AXES = {"+x": (1, 0, 0), "+y": (0, 1, 0), "-y": (0, -1, 0), "+z": (0, 0, 1)}
AXES |= {"-x": (-1, 0, 0), "-z": (0, 0, -1)}
COLUMNS = ("beam", "fast", "slow", "normal", "twotheta_axis", "polarization", "spindle")
TABLE = {
    "ADXV": "+z +x -y +z -x +x +x beam",
    "MOSFLM": "+x +z -y +x -z +z +z beam",
    "DENZO": "+x +z -y +x -z +z +z beam",
    "XDS": "+z +x +y +z +x +x +x sample",
    "DIALS": "+z +x +y +z +y +y +y sample",
    "CUSTOM": "+x +z -y +x +y +z +z beam",
}


@pytest.mark.parametrize("name", TABLE)
def test_convention_table(name: str) -> None:
    """Directions and pivot of each convention."""
    row = directions(LabFrame(name))
    *axes, pivot = TABLE[name].split()
    assert [getattr(row, c) for c in COLUMNS] == [AXES[a] for a in axes]
    assert PIVOTS[name] == pivot


def test_custom_keeps_what_is_not_given() -> None:
    """One given direction leaves the other six at their start values."""
    row = directions(LabFrame("CUSTOM", spindle=(0.0, 1.0, 0.0)))
    assert row == replace(CONVENTIONS["CUSTOM"], spindle=(0.0, 1.0, 0.0))


@pytest.mark.parametrize("name", NAMED)
def test_directions_belong_to_custom(name: str) -> None:
    """A named convention with a direction of its own is a contradiction."""
    with pytest.raises(ValueError, match=r"frame\.beam"):
        LabFrame(name, beam=(1.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("name", "default", "mapped"),
    [
        ("ADXV", ((DF + P) / 2, (DS - P) / 2), (0.01, DS - 0.02)),
        ("MOSFLM", ((DS + P) / 2, (DF + P) / 2), (0.02 + P / 2, 0.01 + P / 2)),
        ("DENZO", ((DS + P) / 2, (DF + P) / 2), (0.02, 0.01)),
        ("XDS", (DF / 2, DS / 2), (0.01, 0.02)),
        ("DIALS", (DF / 2, DS / 2), (0.01, 0.02)),
        ("CUSTOM", (DF / 2, DS / 2), (0.01, 0.02)),
    ],
)
def test_beam_centres(name: str, default: tuple, mapped: tuple) -> None:
    """Default beam centre, and a given one (10 mm, 20 mm) along fast and slow."""
    found = centres(name, BASE)
    assert (found.x_beam, found.y_beam) == pytest.approx(default, rel=1e-12)
    found = centres(name, replace(BASE, beam_x=0.01, beam_y=0.02))
    assert (found.f_beam, found.s_beam) == pytest.approx(mapped, rel=1e-12)


def test_near_point_from_orgx() -> None:
    """ORGX 1 is the centre of the first pixel; without it the middle of the detector."""
    found = centres("XDS", replace(BASE, org_x=1.0))
    assert found.f_close == pytest.approx(P / 2)
    assert found.s_close == pytest.approx(DS / 2)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_xclose_is_only_a_default_of_the_beam_centre(name: str) -> None:
    """Where the convention looks at it at all, and not when a beam centre is given."""
    close = replace(BASE, close_x=0.011, close_y=0.012)
    found = centres(name, close)
    if name in ("XDS", "DIALS", "CUSTOM"):
        assert (found.x_beam, found.y_beam) == (0.011, 0.012)
    else:
        assert found == centres(name, BASE)
    given = replace(close, beam_x=0.02, beam_y=0.03)
    assert (centres(name, given).x_beam, centres(name, given).y_beam) == (0.02, 0.03)


def test_custom_near_point_is_the_beam_centre() -> None:
    """In CUSTOM ORGX acts through the default of the beam centre."""
    found = centres("CUSTOM", replace(BASE, beam_x=0.01, org_y=100.5))
    assert (found.f_close, found.s_close) == pytest.approx((0.01, 100 * P))


@pytest.mark.parametrize(
    ("edge", "count"), [(0.0512, 512), (0.05124, 512), (0.05126, 513), (0.05116, 512)]
)
def test_pixel_counts(edge: float, count: int) -> None:
    """Edges are rounded to whole pixels; counts are taken as they are."""
    assert Detector(pixel_size=P, size_fast=edge).n_fast == count
    assert Detector(pixel_size=P, pixels_fast=count).extent_fast == P * count


def test_directions_are_normalised() -> None:
    """Lengths of given vectors do not matter, except the normal's."""
    frame = LabFrame("CUSTOM", fast=(0.0, 0.0, 3.0), slow=(0.0, -2.0, 0.0), normal=(5.0, 1.0, 0.0))
    found = place_detector(frame, BASE)
    assert found.fast.tolist() == [0.0, 0.0, 1.0]
    assert found.slow.tolist() == [0.0, -1.0, 0.0]
    assert found.normal.tolist() == [1.0, 0.0, 0.0]  # fast x slow, not what was given


def test_normal_of_unit_length_is_kept() -> None:
    """Even where it is not perpendicular to fast and slow."""
    frame = LabFrame("CUSTOM", normal=(0.6, 0.8, 0.0))
    assert place_detector(frame, BASE).normal.tolist() == [0.6, 0.8, 0.0]


@pytest.mark.parametrize("name", NAMED)
def test_distances_of_a_tilted_detector(name: str) -> None:
    """Distance is along the beam, close distance along the normal."""
    detector = replace(BASE, rotx=0.1, roty=0.2)
    row = CONVENTIONS[name]
    ratio = float(np.dot(row.beam, rotate_xyz(np.array(row.normal), 0.1, 0.2, 0.0)))
    found = place_detector(LabFrame(name), replace(detector, pivot="beam"))
    assert found.close_distance == pytest.approx(0.1 * ratio, rel=1e-12)
    assert found.distance == pytest.approx(0.1, rel=1e-12)
    found = place_detector(LabFrame(name), replace(detector, close_distance=0.09))
    assert found.distance == pytest.approx(0.09 / ratio, rel=1e-12)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_sample_pivot_turns_the_flat_detector(name: str) -> None:
    """Pivot SAMPLE: the untilted detector, origin included, turned as a whole."""
    detector = replace(BASE, beam_x=0.01, beam_y=0.012, pivot="sample", close_distance=0.09)
    flat = place_detector(LabFrame(name), detector)
    tilted = place_detector(LabFrame(name), replace(detector, **TILTS))
    axis = np.array(CONVENTIONS[name].twotheta_axis)
    for part in ("fast", "slow", "normal", "origin"):
        turned = rotate_xyz(getattr(flat, part), TILTS["rotx"], TILTS["roty"], TILTS["rotz"])
        turned = rotate_about(turned, axis, TILTS["twotheta"])
        np.testing.assert_allclose(getattr(tilted, part), turned, atol=1e-14)
    assert tilted.close_distance == pytest.approx(flat.close_distance, rel=1e-12)
    near = (flat.f_close, flat.s_close)
    assert (tilted.f_close, tilted.s_close) == pytest.approx(near, rel=1e-9)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_beam_pivot_keeps_the_beam_on_its_place(name: str) -> None:
    """Pivot BEAM: the point hit by the beam has the given coordinates and distance."""
    detector = replace(BASE, beam_x=0.01, beam_y=0.012, pivot="beam", rotx=0.1, rotz=0.3)
    found = place_detector(LabFrame(name), detector)
    centre = centres(name, detector)
    hit = found.origin + centre.f_beam * found.fast + centre.s_beam * found.slow
    np.testing.assert_allclose(hit, 0.1 * found.beam, atol=1e-14)
    assert (found.f_beam, found.s_beam) == pytest.approx((centre.f_beam, centre.s_beam), rel=1e-9)


@pytest.mark.parametrize("pivot", ["beam", "sample"])
def test_near_point_is_measured_again(pivot: str) -> None:
    """After placement near point and distances describe the detector as it stands."""
    found = place_detector(LabFrame("MOSFLM"), replace(BASE, pivot=pivot, **TILTS))
    near = found.origin + found.f_close * found.fast + found.s_close * found.slow
    np.testing.assert_allclose(near, found.close_distance * found.normal, atol=1e-13)
    assert found.close_distance == pytest.approx(float(found.origin @ found.normal), rel=1e-12)


@pytest.mark.parametrize("name", NAMED)
def test_default_pivot_is_the_conventions(name: str) -> None:
    """Without -pivot the table decides."""
    found = place_detector(LabFrame(name), BASE)
    assert found.pivot == PIVOTS[name]


def test_pix0_places_the_origin() -> None:
    """Distance, beam centre and near point do not matter then; tilts turn the axes only."""
    place = (0.1, -0.02, 0.03)
    found = place_detector(
        LabFrame("MOSFLM"), replace(BASE, pix0=place, distance=0.7, beam_x=0.2, **TILTS)
    )
    assert found.origin.tolist() == list(place)
    tilted = place_detector(LabFrame("MOSFLM"), replace(BASE, **TILTS))
    assert found.fast.tolist() == tilted.fast.tolist()


def test_sub_pixel_positions() -> None:
    """Centres of sub-pixels and layers, built from the placed detector by hand."""
    exp = with_detector(experiment(sampling=Sampling(oversample=3)), thickness=4e-4, thick_steps=3)
    model = build_model(exp)
    ray = sub_pixel_rays(model, Tile(2, 3, 5, 6), layer=2, sub_slow=1, sub_fast=2)
    q = 1e-3 / 3
    expected = (
        model.origin
        + (5 * 3 + 2.5) * q * model.fast
        + (2 * 3 + 1.5) * q * model.slow
        + 2 * 2e-4 * model.normal
    )
    found = np.array([ray.x[0, 0], ray.y[0, 0], ray.z[0, 0]])
    assert ray.path[0, 0] == pytest.approx(math.dist(expected, (0, 0, 0)), rel=1e-14)
    np.testing.assert_allclose(found, unit(expected), rtol=1e-13)


@pytest.mark.parametrize("name", NAMED)
def test_curved_detector(name: str) -> None:
    """All pixels at one distance, each turned about slow and fast by its lab y and z."""
    flat = experiment(frame=LabFrame(name))
    tile = Tile(0, 12, 0, 16)
    model = build_model(with_detector(flat, curved=True))
    ray = sub_pixel_rays(model, tile, 0, 0, 0)
    straight = sub_pixel_rays(build_model(flat), tile, 0, 0, 0)
    np.testing.assert_allclose(ray.path, model.distance, rtol=1e-13)
    place = np.array([straight.x[7, 9], straight.y[7, 9], straight.z[7, 9]])
    place = place * straight.path[7, 9] / model.distance
    expected = rotate_about(rotate_about(model.beam, model.slow, place[1]), model.fast, place[2])
    np.testing.assert_allclose([ray.x[7, 9], ray.y[7, 9], ray.z[7, 9]], expected, atol=1e-13)


def test_solid_angle() -> None:
    """The whole pixel's solid angle with obliquity; 1/R^2 for a point pixel."""
    exp = with_detector(experiment(), roty=0.3)
    model = build_model(exp)
    ray = sub_pixel_rays(model, Tile(3, 4, 6, 7), 0, 0, 0)
    cosine = float(np.array([ray.x[0, 0], ray.y[0, 0], ray.z[0, 0]]) @ model.normal)
    path = float(ray.path[0, 0])
    assert solid_angle(model, ray)[0, 0] == pytest.approx(1e-6 / path**2 * cosine, rel=1e-9)
    point = build_model(with_detector(exp, point_pixel=True))
    assert solid_angle(point, ray)[0, 0] == pytest.approx(1.0 / path**2, rel=1e-12)


def test_detector_covers_the_sphere_it_should() -> None:
    """Solid angles of a large flat detector add up to that of a rectangle seen from its axis."""
    side, distance = 0.2, 0.05
    exp = with_detector(
        experiment(), pixels_fast=200, pixels_slow=200, distance=distance, beam_x=None, beam_y=None
    )
    model = build_model(exp)
    total = solid_angle(model, sub_pixel_rays(model, Tile(0, 200, 0, 200), 0, 0, 0)).sum()
    half = side / 2
    expected = 4 * math.asin(half * half / (half * half + distance**2))
    assert total == pytest.approx(expected, rel=1e-4)


def test_turning_everything_changes_nothing() -> None:
    """Crystal, beam, detector, spindle and polarization turned together: the same image."""
    cell = experiment().crystal
    matrix = np.array([[0.03, 0.01, 0.002], [-0.01, 0.02, 0.004], [0.003, -0.005, 0.03]])
    frame = LabFrame("CUSTOM", **{n: getattr(CONVENTIONS["XDS"], n) for n in VECTOR_NAMES})
    axis = unit(np.array([0.3, -0.5, 0.8]))
    turned_matrix = rotate_about(matrix.T, axis, 1.1).T
    turned = LabFrame(
        "CUSTOM",
        **{
            n: tuple(rotate_about(np.array(getattr(frame, n)), axis, 1.1).tolist())
            for n in VECTOR_NAMES
        },
    )
    images = [
        pixels(
            experiment(
                frame=f,
                crystal=Crystal(matrix=tuple(m.ravel().tolist()), n_cells=cell.n_cells),
                scan=Scan(phi0=0.2, osc=0.1, count=2),
                beam=replace(experiment().beam, polarization=0.9),
                background=Background(water=1e-4),
            )
        )
        for f, m in ((frame, matrix), (turned, turned_matrix))
    ]
    assert images[0].max() > 0
    np.testing.assert_allclose(images[1], images[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("thickness", "count", "expected"),
    [
        (0.0, None, (1, 0.0, 0.0)),
        (0.0, 5, (1, 0.0, 0.0)),
        (4e-4, None, (2, 4e-4, 2e-4)),
        (4e-4, 1, (2, 4e-4, 4e-4)),
        (4e-4, 5, (5, 4e-4, 1e-4)),
    ],
)
def test_sensor_layers(thickness: float, count: int | None, expected: tuple) -> None:
    """Number and spacing of layers from what is given."""
    detector = Detector(thickness=thickness, thick_steps=count)
    assert settle_thickness(detector) == pytest.approx(expected)


def test_sensor_without_attenuation() -> None:
    """The attenuation depth is then the thickness, and the user is told."""
    model = build_model(with_detector(experiment(), thickness=5e-4))
    assert model.mu == pytest.approx(1 / 5e-4)
    assert any("attenuation" in note for note in model.notes)

"""The model that an experiment becomes: what is chosen, what is told, what is refused."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask import units
from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.amplitude_fields import load_amplitudes
from nbdask.geometry.build import build_model, domain_count
from nbdask.geometry.sensor import settle_thickness
from nbdask.inputs.amplitudes import AmplitudeGrid
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.fdump import write_fdump
from tests.helpers import RIGHT, reflections, small_experiment

CELL = (7e-9, 8e-9, 9e-9, RIGHT, RIGHT, RIGHT)
DETECTOR: dict[str, Any] = {"pixels_fast": 24, "pixels_slow": 32, "pixel_size": 4e-5}
LISTED = StructureFactors(reflections=reflections(limit=2), default_F=1.0)


def experiment(**parts: Any) -> Experiment:
    """Return a small experiment of a cell that gives no notes of its own."""
    values = {"crystal": Crystal(cell=CELL, n_cells=(5, 5, 5)), "detector": Detector(**DETECTOR)}
    return small_experiment(**{**values, **parts})


def crystal(**fields: Any) -> dict[str, Crystal]:
    """Return the crystal as a part of an experiment."""
    return {"crystal": Crystal(cell=CELL, n_cells=(5, 5, 5), **fields)}


def detector(**fields: Any) -> dict[str, Detector]:
    """Return the detector as a part of an experiment."""
    return {"detector": Detector(**{**DETECTOR, **fields})}


NOTES: list[tuple[dict[str, Any], str]] = [
    (detector(thickness=3.2e-4), "no sensor attenuation given: depth set to the thickness, 320 um"),
    (
        crystal(mosaic_spread=0.01),
        "mosaic spread without a number of domains: 10 are used (-mosaic_domains)",
    ),
    (
        crystal(mosaic_domains=7),
        "mosaic domains without a spread: 1 is used (-mosaic gives the spread)",
    ),
    (
        {"sampling": Sampling(oversample=1, oversample_thick=True)},
        "-oversample_thick without a sensor thickness: nanoBragg C gives an image of zeros, and so"
        " do C semantics; --semantics spec uses a capture fraction of 1",
    ),
    (
        {
            "sampling": Sampling(oversample=1, oversample_polar=True),
            "beam": Beam(polarized=False),
        },
        "-oversample_polar applies the polarization factor although -nopolar is given",
    ),
    (
        {"sampling": Sampling(oversample=1, interpolate=True)},
        "-interpolate has no effect without a list of structure factors",
    ),
    (
        {"sources": Sources(points=(SourcePoint(-1, 0, 0, wavelength=1.2),))},
        "a source has a wavelength of 1.2 m: the fifth column of a source list is in metres, not"
        " Angstrom",
    ),
    (
        detector(thickness=1e-4, attenuation=0.0),
        "a sensor that does not absorb captures nothing: every pixel is 0",
    ),
    (
        crystal(size=(0.0, 2e-4, 0.0)) | {"beam": Beam(beamsize=1e-9)},
        "the sample's y size of 0.2 mm is clipped to the beam size of 1e-06 mm",
    ),
    (
        detector(distance=0.01),
        "-oversample 1 is below the recommended 6: the crystal's finest fringes are smaller than a"
        " sub-pixel",
    ),
    (
        detector(pix0=(-0.1, 0.0, 0.0)),
        "the detector's normal points to the sample (the distance along it is -100 mm): solid"
        " angles and pixels are negative, as in nanoBragg C; reverse -odet_vector or one detector"
        " axis",
    ),
]


@pytest.mark.parametrize(("parts", "note"), NOTES)
def test_what_was_chosen_or_has_no_effect_is_told(parts: dict[str, Any], note: str) -> None:
    """Each in one line of its own, and nothing beside it."""
    assert build_model(experiment(**parts)).notes == (note,)


def test_a_plain_experiment_needs_no_note() -> None:
    """Nor does one in which everything is given."""
    assert build_model(experiment()).notes == ()
    full = experiment(
        **crystal(mosaic_spread=0.01, mosaic_domains=2),
        **detector(thickness=1e-4, attenuation=1e3),
        structure=LISTED,
        sampling=Sampling(oversample=1, interpolate=True),
    )
    assert build_model(full).notes == ()


def test_a_point_pixel_behind_the_sample_is_of_no_concern() -> None:
    """Its solid angle has no sign."""
    behind = experiment(**detector(pix0=(-0.1, 0.0, 0.0), point_pixel=True))
    assert build_model(behind).notes == ()


@pytest.mark.parametrize(
    ("fields", "settled"),
    [
        ({}, (1, 0.0, 0.0)),
        ({"thick_steps": 5}, (1, 0.0, 0.0)),
        ({"thickness": 4e-4}, (2, 4e-4, 2e-4)),
        ({"thickness": 4e-4, "thick_steps": 1}, (2, 4e-4, 4e-4)),
        ({"thickness": 4e-4, "thick_steps": 2}, (2, 4e-4, 4e-4)),
        ({"thickness": 4e-4, "thick_steps": 5}, (5, 4e-4, 1e-4)),
    ],
)
def test_layers_of_the_sensor(fields: dict[str, Any], settled: tuple) -> None:
    """Number, thickness and distance; the model has them, and they multiply the steps."""
    given = Detector(**DETECTOR, **fields)
    assert settle_thickness(given) == pytest.approx(settled)
    model = build_model(experiment(detector=given))
    assert (model.layers, model.thickness, model.layer_step) == pytest.approx(settled)
    assert model.n_steps == settled[0]


@pytest.mark.parametrize(
    ("spread", "domains", "settled"),
    [
        (None, None, (0.0, 1)),
        (0.0, 5, (0.0, 1)),
        (None, 5, (0.0, 1)),
        (0.1, None, (0.1, 10)),
        (0.1, 1, (0.1, 1)),
        (0.1, 3, (0.1, 3)),
    ],
)
def test_spread_and_number_of_domains(
    spread: float | None, domains: int | None, settled: tuple
) -> None:
    """Without a spread there is one."""
    whole = experiment(**crystal(mosaic_spread=spread, mosaic_domains=domains))
    model = build_model(whole)
    assert domain_count(whole) == model.n_domains == settled[1]
    assert len(model.axes) == settled[1]


def test_steps_are_the_product_of_everything() -> None:
    """Layers x sub-pixels x sources x phi steps x domains; the scale has all but the layers."""
    rich = experiment(
        **crystal(mosaic_spread=0.01, mosaic_domains=5),
        **detector(thickness=1e-4, thick_steps=3),
        sources=Sources(dispersion=Spread(0.01, None, 2)),
        scan=Scan(osc=0.1, count=7),
        sampling=Sampling(oversample=4),
        beam=Beam(fluence=1e20),
    )
    model = build_model(rich)
    assert (model.n_sources, model.n_phi, model.n_domains, model.layers) == (2, 7, 5, 3)
    assert model.n_inner == 2 * 7 * 5
    assert model.n_steps == 3 * 16 * 70
    assert model.scale == pytest.approx(units.R_E_SQR * 1e20 / (16 * 70))
    assert model.axes.shape == (35, 3, 3)


@pytest.mark.parametrize(
    ("roi", "clipped"),
    [
        (None, (0, 31, 0, 23)),
        ((0, 31, 0, 23), (0, 31, 0, 23)),
        ((3, 10**6, 4, 5), (3, 31, 4, 5)),
        ((31, 31, 23, 99), (31, 31, 23, 23)),
    ],
)
def test_the_region_of_interest_is_cut_to_the_detector(roi: Any, clipped: tuple) -> None:
    """Both limits are inside."""
    assert build_model(experiment(sampling=Sampling(oversample=1, roi=roi))).roi == clipped


def test_sub_pixels_are_chosen_only_where_none_are_given() -> None:
    """From the longest side of the crystal; more than 1000 are refused with what to do."""
    near = detector(distance=0.01)
    assert build_model(experiment(**near, sampling=Sampling())).oversample == 6
    assert build_model(experiment(**near, sampling=Sampling(oversample=9))).oversample == 9
    huge = {"crystal": Crystal(cell=CELL, n_cells=(1, 1, 10**6))}
    with pytest.raises(FieldError) as caught:
        build_model(experiment(**huge, sampling=Sampling()))
    assert str(caught.value) == (
        'sampling.oversample = "chosen from the crystal\'s size": must be given: more than 1000'
        " sub-pixels along an edge would be needed"
    )
    assert build_model(experiment(**huge)).oversample == 1


def mask_of(path: Path, slow: int, fast: int) -> Path:
    """Write a mask that lets everything through."""
    head = f"{{\nHEADER_BYTES=512;\nSIZE1={fast};\nSIZE2={slow};\n}}".encode().ljust(512)
    path.write_bytes(head + b"\1\0" * (slow * fast))
    return path


def test_a_mask_of_another_size_or_content_is_refused(tmp_path: Path) -> None:
    """Sizes are told as slow x fast; a checksum that is held has to be that of the file."""
    right, wrong = mask_of(tmp_path / "a.img", 32, 24), mask_of(tmp_path / "b.img", 24, 32)

    def model(path: Path, **fields: Any) -> Any:
        return build_model(
            experiment(sampling=Sampling(oversample=1, mask=str(path), **fields))
        ).mask

    assert (model(right).n_slow, model(right).n_fast) == (32, 24)
    assert model(right, mask_sha256=sha256_of(right)) == model(right)
    with pytest.raises(FieldError) as caught:
        model(wrong)
    assert caught.value.field == "sampling.mask"
    assert caught.value.given == f"{wrong} with 24 (slow) x 32 (fast) pixels"
    assert caught.value.allowed == "of the detector's 32 x 24 pixels"
    with pytest.raises(InputFileError) as changed:
        model(right, mask_sha256="0" * 64)
    assert str(changed.value) == (
        f"{right}: the file has changed since the experiment was made (sha256"
        f" {sha256_of(right)[:12]}..., expected 000000000000...)"
    )


@pytest.mark.parametrize("kind", ["hkl", "fdump"])
def test_amplitudes_come_from_a_file_of_either_format(kind: str, tmp_path: Path) -> None:
    """The same grid as from a list in memory."""
    listed = load_amplitudes(LISTED)
    assert isinstance(listed, AmplitudeGrid)
    path = tmp_path / "amplitudes"
    if kind == "fdump":
        write_fdump(path, listed)
    else:
        path.write_text("".join(f"{h} {k} {el} {f!r}\n" for h, k, el, f in LISTED.reflections))
    structure = StructureFactors(default_F=1.0, path=str(path), format=kind, sha256=sha256_of(path))
    grid = load_amplitudes(structure)
    assert grid is not None
    assert grid.minimum == listed.minimum
    assert np.array_equal(grid.values, listed.values)
    path.write_bytes(path.read_bytes().replace(b"\n", b" \n", 1))
    with pytest.raises(InputFileError, match="the file has changed since the experiment was made"):
        load_amplitudes(structure)


def test_without_a_list_there_is_no_grid() -> None:
    """One amplitude for all, and nothing to interpolate."""
    assert load_amplitudes(StructureFactors(default_F=5.0)) is None
    model = build_model(experiment(sampling=Sampling(oversample=1, interpolate=True)))
    assert model.f_grid.shape == (0, 0, 0)
    assert not model.interpolate


@pytest.mark.parametrize(
    ("semantics", "low", "high"), [("spec", -1.0, np.nextafter(1.0, 0.0)), ("c", 0.0, 0.0)]
)
def test_where_interpolation_is_possible(semantics: str, low: float, high: float) -> None:
    """A list of indices from -2 to 2: all four neighbours inside, C wants one more on each side."""
    model = build_model(experiment(structure=LISTED, semantics=semantics))
    assert model.interp_low.tolist() == [low] * 3
    assert model.interp_high.tolist() == [high] * 3
    assert model.f_min.tolist() == [-2, -2, -2]
    assert model.refuse_outside == (semantics == "c")


@pytest.mark.parametrize("flag", ["oversample_thick", "oversample_polar", "oversample_omega"])
def test_c_semantics_multiply_the_running_sum(flag: str) -> None:
    """With any factor of each term, and only then, and only there."""
    each = Sampling(oversample=1, **{flag: True})
    assert build_model(experiment(sampling=each, semantics="c")).running_product
    assert not build_model(experiment(sampling=each)).running_product
    assert not build_model(experiment(semantics="c")).running_product


@pytest.mark.parametrize("water", [0.0, 1e-6, 5e-5])
def test_water_grows_with_its_volume_and_the_fluence(water: float) -> None:
    """Molecules in the cube, each with its forward amplitude."""
    molecules = water**3 * 1e6 * units.AVOGADRO / units.WATER_MW
    model = build_model(experiment(background=Background(water=water), beam=Beam(fluence=1e22)))
    expected = units.WATER_F**2 * units.R_E_SQR * 1e22 * molecules
    assert model.background == pytest.approx(expected)


def test_a_series_that_begins_at_zero_has_an_exception_under_c_only() -> None:
    """The very first evaluation finds nothing to carry over."""
    scan = Scan(phi0=0.0, osc=0.2, count=4)
    spec = build_model(experiment(scan=scan))
    c = build_model(experiment(scan=scan, semantics="c"))
    assert spec.first_axes is None
    assert c.first_axes is not None
    assert np.array_equal(c.first_axes[0], spec.axes[0])
    assert np.array_equal(c.axes[0], spec.axes[3])
    assert np.array_equal(c.axes[1:], spec.axes[1:])
    moved = Scan(phi0=0.1, osc=0.2, count=4)
    assert build_model(experiment(scan=moved, semantics="c")).first_axes is None


def test_the_cells_of_a_matrix_are_its_determinant() -> None:
    """And spots are measured with it instead of the reciprocal cell."""
    numbers = (4.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 5.0)
    gauss = Crystal(cell=CELL, shape="gauss", cells_matrix=numbers)
    model = build_model(experiment(crystal=gauss))
    assert model.n_cells_total == pytest.approx(60.0)
    assert model.spot_form.tolist() == [[4.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 5.0]]
    assert model.n_cells.tolist() == [4.0, math.ceil(math.hypot(1, 3)), 5.0]
    plain = build_model(experiment())
    np.testing.assert_allclose(plain.spot_form, plain.star.T * 125.0)


def test_models_travel_and_hold_plain_arrays() -> None:
    """Pickled and back every field is the same; arrays are contiguous."""
    model = build_model(experiment(structure=LISTED, frame=LabFrame("XDS"), scan=Scan(osc=0.1)))
    again = pickle.loads(pickle.dumps(model))
    for name in model.__slots__:
        if name == "__weakref__":
            continue
        one, other = getattr(model, name), getattr(again, name)
        if isinstance(one, np.ndarray):
            assert one.flags.c_contiguous
            assert np.array_equal(one, other)
        else:
            assert one == other

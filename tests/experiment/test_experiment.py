"""The dataclasses: what they refuse, their dict form, the fingerprint."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from nbdask.errors import FieldError
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
from tests.experiment.strategies import experiments

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
NAN = float("nan")


def small(**parts: Any) -> Experiment:
    """Return a small experiment, some parts replaced."""
    values: dict[str, Any] = {
        "crystal": Crystal(cell=CELL),
        "structure": StructureFactors(default_F=100.0),
    }
    return Experiment(**{**values, **parts})


def _text(value: Any) -> Any:
    """Hide a wrong type from the type checker."""
    return value


REFUSED = [
    (lambda: Crystal(), "crystal.cell", "given, or else crystal.matrix"),
    (lambda: Crystal(cell=(1, 2, 3)), "crystal.cell", "6 finite numbers"),
    (lambda: Crystal(cell=_text("70")), "crystal.cell", "6 finite numbers"),
    (lambda: Crystal(cell=(0, *CELL[1:])), "crystal.cell", "three lengths above 0"),
    (lambda: Crystal(cell=(*CELL[:3], 0.3, 0.4, 1.5)), "crystal.cell", "a possible cell"),
    (lambda: Crystal(cell=(*CELL[:3], 2.2, 2.2, 2.2)), "crystal.cell", "a possible cell"),
    (lambda: Crystal(matrix=(1,) * 9), "crystal.matrix", "a determinant that is not 0"),
    (lambda: Crystal(cell=CELL, misset="any"), "crystal.misset", "one of random"),
    (lambda: Crystal(cell=CELL, misset="random"), "crystal.misset_seed", "given with a random"),
    (lambda: Crystal(cell=CELL, n_cells=(1, 0, 1)), "crystal.n_cells", "of at least 1"),
    (lambda: Crystal(cell=CELL, shape="cube"), "crystal.shape", "one of square, round"),
    (lambda: Crystal(cell=CELL, fudge=NAN), "crystal.fudge", "a number of at least 0"),
    (lambda: Crystal(cell=CELL, fudge=-1), "crystal.fudge", "a number of at least 0"),
    (lambda: Crystal(cell=CELL, mosaic_spread=-1), "crystal.mosaic_spread", "of at least 0"),
    (lambda: Crystal(cell=CELL, mosaic_domains=0), "crystal.mosaic_domains", "of at least 1"),
    (lambda: StructureFactors(), "structure", "a file (path), a list (reflections)"),
    (lambda: StructureFactors(path="a", format="mtz"), "structure.format", "one of hkl, fdump"),
    (
        lambda: StructureFactors(path="a", reflections=((0, 0, 0, 1.0),)),
        "structure.path",
        "left out when reflections are given",
    ),
    (lambda: Beam(wavelength=0), "beam.wavelength", "a number above 0"),
    (lambda: Beam(polarization=1.5), "beam.polarization", "between -1 and 1"),
    (lambda: Beam(flux=1.0, beamsize=0.0), "beam.beamsize", "above 0 when a flux is given"),
    (lambda: LabFrame(convention="mosflm"), "frame.convention", "one of ADXV"),
    (lambda: LabFrame(fast=(1, 0, 0)), "frame.fast", "left out unless frame.convention is CUSTOM"),
    (lambda: LabFrame("CUSTOM", beam=(0, 0, 0)), "frame.beam", "not all 0"),
    (lambda: Detector(pixel_size=-1), "detector.pixel_size", "a number above 0"),
    (lambda: Detector(pixels_fast=2**31), "detector.pixels_fast", "at most 2147483647"),
    (lambda: Detector(size_slow=1e-9), "detector.size_slow", "times the pixel size"),
    (lambda: Detector(pivot="edge"), "detector.pivot", "one of beam, sample"),
    (lambda: Detector(close_distance=0), "detector.close_distance", "a number that is not 0"),
    (lambda: Detector(thick_steps=_text(1.5)), "detector.thick_steps", "a whole number"),
    (lambda: Sources(horizontal=Spread(range=-1)), "sources.horizontal.range", "of at least 0"),
    (lambda: Sources(dispersion=Spread(count=0)), "sources.dispersion.count", "of at least 1"),
    (lambda: Sources(weights="use"), "sources.weights", "one of ignore, apply"),
    (lambda: Sources(points=(SourcePoint(0, 0, 0),)), "sources.points[0]", "not the sample"),
    (
        lambda: Sources(points=(SourcePoint(1, wavelength=0),)),
        "sources.points[0].wavelength",
        "a number above 0",
    ),
    (lambda: Scan(count=-1), "scan.count", "of at least 0"),
    (lambda: Background(water=-1), "background.water", "of at least 0"),
    (lambda: Sampling(roi=(5, 4, 0, 1)), "sampling.roi", "minimum and maximum"),
    (lambda: Sampling(oversample=True), "sampling.oversample", "a whole number"),
    (lambda: small(semantics="C"), "semantics", "one of spec, c"),
    (lambda: small(sampling=Sampling(roi=(1024, 1025, 0, 1))), "sampling.roi", "1024 (slow) x"),
]


@pytest.mark.parametrize(("build", "field", "allowed"), REFUSED)
def test_refused_fields(build: Any, field: str, allowed: str) -> None:
    """Each bad field is refused by its dotted name, with what is allowed, on one line."""
    with pytest.raises(FieldError) as caught:
        build()
    assert caught.value.field == field
    assert allowed in caught.value.allowed
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


REFUSED_DICTS = [
    ({"structure": {"default_F": 1.0}}, "crystal", "given"),
    ({"crystal": {"cell": CELL}, "structure": [1]}, "structure", "a table of fields"),
    ({"crystal": 5, "structure": {}}, "crystal", "a table of fields"),
    (
        {"crystal": {"cell": CELL, "mosaik": 1}},
        "crystal.mosaik",
        "mosaic, or another of the fields cell",
    ),
    ({"detektor": {}}, "detektor", "detector, or another of the fields crystal"),
    ({"sources": {"points": [{"w": 1}]}}, "sources.points.w", "one of the fields x, y, z"),
]


@pytest.mark.parametrize(("data", "field", "allowed"), REFUSED_DICTS)
def test_refused_dicts(data: dict[str, Any], field: str, allowed: str) -> None:
    """Unknown keys, missing parts and things that are no tables are named."""
    with pytest.raises(FieldError) as caught:
        Experiment.from_dict(data)
    assert caught.value.field == field
    assert allowed in caught.value.allowed


@pytest.mark.long
@given(experiments)
@settings(max_examples=60, deadline=None)
def test_dict_form_round_trip(experiment: Experiment) -> None:
    """Through JSON and back the experiment and its fingerprint are the same."""
    data = json.loads(json.dumps(experiment.to_dict()))
    again = Experiment.from_dict(data)
    assert again == experiment
    assert again.to_dict() == experiment.to_dict()
    assert again.fingerprint() == experiment.fingerprint()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Beam(wavelength=True), "beam.wavelength"),
        (lambda: Beam(wavelength="1e-10"), "beam.wavelength"),
        (lambda: Sources(points=5), "sources.points"),
        (lambda: Sources(points=(1, 2)), "sources.points"),
        (lambda: Experiment(crystal=1, structure=StructureFactors(default_F=1.0)), "crystal"),
    ],
)
def test_values_of_the_wrong_type_are_refused_by_name(make, field) -> None:
    """Booleans, text and foreign objects do not pass for numbers or parts."""
    with pytest.raises(FieldError) as caught:
        make()
    assert caught.value.field.startswith(field)


def test_equal_experiments_have_equal_fingerprints_whatever_type_their_counts_came_in() -> None:
    """A pixel count of 9.0 is 9."""
    prints = set()
    for count in (9, 9.0, np.int64(9)):
        detector = Detector(pixels_fast=count, pixels_slow=5)
        crystal = Crystal(cell=(7e-9, 8e-9, 9e-9, 1.3, 1.4, 1.6))
        structure = StructureFactors(default_F=1.0)
        prints.add(Experiment(crystal, structure, detector=detector).fingerprint())
    assert len(prints) == 1


def test_defaults_are_left_out_of_the_dict_form() -> None:
    """Only what differs from the defaults is written."""
    assert small().to_dict() == {"crystal": {"cell": list(CELL)}, "structure": {"default_F": 100.0}}


def test_fingerprint_is_stable() -> None:
    """The fingerprint of a known experiment never changes, or old stores could not be resumed."""
    assert (
        small().fingerprint() == "aaa9a8969ad22f043d7d540d8ae773f0600123d243d42b3b5cd490462336a1aa"
    )


def test_fingerprint_counts_content_and_not_paths() -> None:
    """A path does not count where a checksum is held; any other field does."""
    held = StructureFactors(path="/a/P1.hkl", sha256="0" * 64)
    moved = small(structure=replace(held, path="/b/other.hkl"))
    assert moved.fingerprint() == small(structure=held).fingerprint()
    changed = small(structure=replace(held, sha256="1" * 64))
    assert changed.fingerprint() != moved.fingerprint()
    unheld = [small(structure=StructureFactors(path=p)).fingerprint() for p in ("a", "b")]
    assert unheld[0] != unheld[1]
    mask = [small(sampling=Sampling(mask=p, mask_sha256="2" * 64)).fingerprint() for p in "ab"]
    assert mask[0] == mask[1] != small().fingerprint()
    assert small(semantics="c").fingerprint() != small().fingerprint()


def test_experiments_are_frozen_and_replaceable() -> None:
    """Fields cannot be set; replace gives a checked copy."""
    experiment = small()
    with pytest.raises(AttributeError):
        experiment.semantics = "c"  # type: ignore[misc]
    other = experiment.replace(semantics="c")
    assert (experiment.semantics, other.semantics) == ("spec", "c")
    assert copy.deepcopy(other) == other
    assert pickle.loads(pickle.dumps(other)) == other


def test_pixel_counts_follow_from_sizes() -> None:
    """Counts are rounded as C does: ceil(size / pixel - 0.5)."""
    assert (Detector().n_fast, Detector().n_slow) == (1024, 1024)
    detector = Detector(pixel_size=0.01, size_fast=0.025, size_slow=0.026)
    assert (detector.n_fast, detector.n_slow) == (2, 3)
    assert Detector(pixels_fast=7, size_fast=1.0).n_fast == 7
    assert small(detector=Detector(pixels_fast=7, pixels_slow=5)).shape == (5, 7)


def test_fluence_from_flux() -> None:
    """A flux with exposure and beam size gives the fluence; otherwise the fluence counts."""
    assert Beam(flux=1e12, exposure=0.2, beamsize=5e-5).effective_fluence == pytest.approx(8e19)
    assert Beam(fluence=3e20).effective_fluence == 3e20
    assert Beam(fluence=3e20, flux=1e12, beamsize=-1.0).effective_fluence == 3e20

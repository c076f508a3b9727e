"""A small shifted detector has exactly the pixels of the region that it stands for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.experiment import Detector, Experiment, LabFrame
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.detector_frame import place_detector
from nbdask.inputs.smv import open_mask
from nbdask.parity.binary import find_binary, run_c
from nbdask.parity.inputs import place_inputs
from nbdask.parity.window import for_c, shifted
from nbdask.plan.tiles import Tile
from tests.helpers import GOLDEN, PARITY, deviation, golden_cases, small_experiment, tile_image

INPUTS = GOLDEN / "inputs"
CASES = golden_cases()
#: Neither at a corner nor square.
REGION = Tile(7, 19, 4, 20)


def experiment_of(case: str, semantics: str = "c") -> Experiment:
    """Return the experiment of a golden case."""
    return parse_args(CASES[case].split(), base_dir=INPUTS, semantics=semantics).experiment


def origin_deviation(whole: Experiment, region: Tile) -> float:
    """Distance of a window's first corner from where it should be, over the detector's size."""
    plain, _ = for_c(whole)
    place = place_detector(whole.frame, whole.detector, whole.semantics)
    pixel = whole.detector.pixel_size
    wanted = place.origin + region.fast0 * pixel * place.fast + region.slow0 * pixel * place.slow
    small = shifted(plain, region)
    found = place_detector(small.frame, small.detector, small.semantics)
    assert small.shape == region.shape
    for name in ("fast", "slow", "normal", "beam", "polarization", "spindle"):
        assert np.allclose(getattr(found, name), getattr(place, name), rtol=0, atol=1e-15)
    return float(np.abs(found.origin - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("case", CASES)
def test_window_stands_where_the_region_is(case: str) -> None:
    """All conventions, pivots and tilts: the corner is right to a few units in the last place."""
    assert origin_deviation(experiment_of(case), REGION) < 2e-15


@pytest.mark.parametrize("convention", ["MOSFLM", "XDS", "ADXV", "DENZO", "DIALS"])
@pytest.mark.parametrize("pivot", ["beam", "sample"])
def test_pivots_of_semantics_spec(convention: str, pivot: str) -> None:
    """A pivot that C would override goes to C as a CUSTOM detector, tilts and all."""
    detector = Detector(
        pixels_fast=40, pixels_slow=30, pivot=pivot, rotx=0.1, roty=-0.2, twotheta=0.3, org_x=3.5
    )
    whole = small_experiment(frame=LabFrame(convention), detector=detector)
    assert origin_deviation(whole, REGION) < 2e-15


def test_given_corner_goes_to_c_as_near_point() -> None:
    """``pix0`` has no flag; near point and distance along the normal say the same."""
    detector = Detector(pixels_fast=40, pixels_slow=30, pix0=(0.1, 0.01, -0.02), rotz=0.2)
    whole = small_experiment(frame=LabFrame("XDS"), detector=detector)
    plain, notes = for_c(whole)
    assert plain.detector.pix0 is None
    assert "detector.pix0" in notes[0]
    assert origin_deviation(whole, REGION) < 2e-15


@pytest.mark.parametrize(
    "case", ["curved", "running_product", "custom_beam_pivot", "matrix_misset"]
)
def test_pixels_of_a_window_are_those_of_the_region(case: str) -> None:
    """The reference kernel gives the same for the window as for the region of the whole."""
    whole = experiment_of(case)
    small = shifted(for_c(whole)[0], REGION)
    region = tile_image(build_model(whole), tile=REGION)
    window = tile_image(build_model(small))
    assert deviation(window, region) <= PARITY


def test_region_of_interest_is_shifted_and_clipped() -> None:
    """Pixels outside of it stay outside in the window."""
    whole = small_experiment()
    whole = whole.replace(sampling=replace(whole.sampling, roi=(9, 31, 2, 6)))
    assert shifted(whole, REGION).sampling.roi == (2, 11, 0, 2)
    assert shifted(whole, Tile(10, 12, 3, 5)).sampling.roi is None


def test_mask_is_cut_to_the_window(tmp_path: Path) -> None:
    """The file that C gets holds the region's part of the mask, and no geometry."""
    whole = experiment_of("mask_header")
    small = shifted(whole, REGION)
    placed = place_inputs(small, tmp_path, REGION)
    assert placed.sampling.mask == "mask.img"
    part = open_mask(tmp_path / "mask.img")
    assert (part.n_slow, part.n_fast) == REGION.shape
    assert whole.sampling.mask is not None
    expected = open_mask(whole.sampling.mask).read(*REGION.bounds)
    assert not expected.all()
    assert np.array_equal(part.read(0, 12, 0, 16), expected)
    assert b"DISTANCE" not in (tmp_path / "mask.img").read_bytes()[:512]


def test_inputs_that_were_never_files_are_written(tmp_path: Path) -> None:
    """Amplitudes, matrix and sources of an experiment made in Python become files for C."""
    base = experiment_of("source_list")
    points = (replace(base.sources.points[0], x=None, weight=None, wavelength=None),)
    whole = base.replace(
        structure=replace(base.structure, reflections=((1, -2, 3, 4.5),)),
        crystal=replace(base.crystal, matrix=(0.01, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 1 / 3)),
        sources=replace(base.sources, points=points, file=None),
    )
    placed = place_inputs(whole, tmp_path)
    assert (tmp_path / "amplitudes.hkl").read_text() == "1 -2 3 4.5\n"
    assert (tmp_path / "orientation.mat").read_text().split()[-1] == repr(1 / 3)
    x, _, _, weight, wavelength = (float(w) for w in (tmp_path / "sources.txt").read_text().split())
    assert (x, weight, wavelength) == (-10.0, 1.0, base.beam.wavelength)
    assert placed.structure.path == "amplitudes.hkl"
    assert placed.crystal.matrix_file == "orientation.mat"


@pytest.mark.c_binary
@pytest.mark.parametrize("case", CASES)
def test_c_itself_gives_the_region(case: str) -> None:
    """C's window against C's own golden image of the whole detector, without any of nbdask's."""
    whole = experiment_of(case)
    binary = find_binary(os.environ["NB_C_BIN"])
    window = run_c(binary, whole, REGION, "window").image
    golden = np.load(GOLDEN / "images.npz")[case]
    region = golden[REGION.slow0 : REGION.slow1, REGION.fast0 : REGION.fast1].copy()
    if "carry" in case or case in ("everything", "mask_header", "phi_crossing_zero"):
        # The first evaluation of a run is an exception to the carry-over.
        first = np.argmax(window != region)
        window.flat[first] = region.flat[first]
    assert deviation(window, region) <= PARITY

"""Notes on where nbdask and C are expected to differ; files and programs that C needs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.experiment import (
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    StructureFactors,
)
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.hkl import is_bare
from nbdask.inputs.smv import open_mask
from nbdask.parity.binary import VARIABLE, find_binary
from nbdask.parity.errors import ParityUsageError
from nbdask.parity.inputs import link, place_inputs
from nbdask.parity.regions import Choice
from nbdask.parity.semantics import (
    carries_over,
    expected_differences,
    outside_note,
    thread_notes,
    unique,
)
from nbdask.plan.tiles import Tile
from tests.helpers import GOLDEN, small_experiment

#: Steps at -1, 0 and 1 degree: C keeps the one before at 0.
THROUGH_ZERO = Scan(phi0=math.radians(-1.0), osc=math.radians(3.0), count=3)
AWAY = Scan(phi0=math.radians(5.0), osc=math.radians(3.0), count=3)


@pytest.mark.parametrize(
    ("scan", "carried"),
    [
        (Scan(), False),
        (THROUGH_ZERO, True),
        (AWAY, False),
        (Scan(phi0=0.0, osc=0.1, count=4), True),
    ],
)
def test_rotations_that_c_carries_over(scan: Scan, carried: bool) -> None:
    """A step at exactly 0 has something to keep, unless all of them are there."""
    assert carries_over(small_experiment(scan=scan)) is carried


DIFFERENT: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"scan": AWAY}, []),
    ({"scan": THROUGH_ZERO}, ["a step at exactly phi = 0"]),
    (
        {"sampling": Sampling(oversample=2, oversample_polar=True)},
        ["with -oversample_polar C multiplies its whole running sum"],
    ),
    (
        {
            "sampling": Sampling(
                oversample=2, oversample_thick=True, oversample_polar=True, oversample_omega=True
            ),
            "scan": THROUGH_ZERO,
        },
        ["phi = 0", "with -oversample_thick, -oversample_polar, -oversample_omega C"],
    ),
]


@pytest.mark.parametrize(("parts", "said"), DIFFERENT)
def test_differences_that_are_expected(parts: dict[str, Any], said: list[str]) -> None:
    """One note each, in order, with what computes the same; none under C's semantics."""
    experiment = small_experiment(**parts)
    notes = expected_differences(experiment)
    assert len(notes) == len(said)
    for note, argv in zip(notes, said, strict=True):
        assert argv in note
        assert note.startswith("expected difference: ")
        assert note.endswith("--semantics c computes what C does")
    assert expected_differences(experiment.replace(semantics="c")) == ()


@pytest.mark.parametrize(
    ("convention", "pivot", "noted"),
    [
        ("MOSFLM", "sample", True),
        ("MOSFLM", "beam", False),
        ("MOSFLM", None, False),
        ("XDS", "beam", True),
        ("XDS", "sample", False),
        ("CUSTOM", "sample", False),
    ],
)
def test_pivots_that_c_overrides(convention: str, pivot: str | None, noted: bool) -> None:
    """Only where C gets the user's own words; else the detector is described anew."""
    experiment = small_experiment(
        frame=LabFrame(convention), detector=Detector(pixels_fast=8, pixels_slow=8, pivot=pivot)
    )
    notes = expected_differences(experiment, verbatim=True)
    assert bool(notes) is noted
    if noted:
        assert f"C overrides -pivot {pivot} under the {convention} convention" in notes[0]
    assert expected_differences(experiment) == ()


def test_interpolations_beyond_the_list() -> None:
    """Only where there are any."""
    assert outside_note(0) == ()
    (note,) = outside_note(3)
    assert "C then switches interpolation off for all that follows" in note


LIST = StructureFactors(default_F=1.0, reflections=((0, 0, 0, 1.0), (1, 1, 1, 2.0)))


@pytest.mark.parametrize(
    ("parts", "threads", "count"),
    [
        ({}, 1, 0),
        ({}, 4, 0),
        ({"scan": THROUGH_ZERO}, 1, 0),
        ({"scan": THROUGH_ZERO}, 4, 1),
        ({"structure": LIST}, 4, 1),
        ({"structure": LIST, "sampling": Sampling(oversample=1, interpolate=False)}, 4, 0),
        ({"structure": LIST, "scan": THROUGH_ZERO}, 2, 2),
    ],
)
def test_threads_of_c(parts: dict[str, Any], threads: int, count: int) -> None:
    """What depends on their timing is told, unless there is one only."""
    notes = thread_notes(small_experiment(**parts), threads)
    assert len(notes) == count
    assert all(note.startswith(f"--c-threads {threads}: C's result may depend") for note in notes)


def test_notes_are_told_once() -> None:
    """In the order of their first telling."""
    assert unique(["b", "a", "b", "c", "a"]) == ("b", "a", "c")
    assert unique([]) == ()


def test_a_program_is_found_by_option_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option wins; links are followed; its checksum is taken."""
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_text(f"#!/bin/sh\necho {path.name}\n")
        path.chmod(0o755)
    (tmp_path / "link").symlink_to(one)
    monkeypatch.setenv(VARIABLE, str(other))
    found = find_binary(str(tmp_path / "link"), threads=3, limit=5.0)
    assert (found.path, found.sha256) == (str(one), sha256_of(one))
    assert (found.threads, found.limit) == (3, 5.0)
    assert find_binary(None).path == str(other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none: is not a file; give the path of a nanoBragg binary"),
        ("folder", "folder: is not a file"),
        ("text", "text: is not executable"),
    ],
)
def test_programs_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """What named it is told: the option, or the variable."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("x")
    (tmp_path / "text").chmod(0o644)
    path = str(tmp_path / name)
    with pytest.raises(ParityUsageError, match=r"^--c-bin ") as caught:
        find_binary(path)
    assert message in str(caught.value)
    monkeypatch.setenv(VARIABLE, path)
    with pytest.raises(ParityUsageError, match=f"^{VARIABLE} "):
        find_binary(None)
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(ParityUsageError, match="no C program: give --c-bin PATH, or set"):
        find_binary(None)


def test_links_lead_to_files_that_are_there(tmp_path: Path) -> None:
    """From any folder; a file that is gone is named."""
    (tmp_path / "a.hkl").write_text("1 2 3 4\n")
    (tmp_path / "run").mkdir()
    link(tmp_path / "a.hkl", tmp_path / "run" / "b.hkl")
    assert (tmp_path / "run" / "b.hkl").read_text() == "1 2 3 4\n"
    with pytest.raises(InputFileError, match=r"gone.hkl: the file is no longer there"):
        link(tmp_path / "gone.hkl", tmp_path / "run" / "c.hkl")


@pytest.mark.parametrize(
    ("format_", "wanted"), [("hkl", "amplitudes.hkl"), ("fdump", "amplitudes.bin")]
)
def test_amplitude_files_get_short_names(tmp_path: Path, format_: str, wanted: str) -> None:
    """By what they are; the experiment that is given to C names them so."""
    (tmp_path / "long name.dat").write_text("1 2 3 4\n")
    (tmp_path / "run").mkdir()
    structure = StructureFactors(path=str(tmp_path / "long name.dat"), format=format_)
    placed = place_inputs(small_experiment(structure=structure), tmp_path / "run")
    assert placed.structure.path == wanted
    assert (tmp_path / "run" / wanted).read_text() == "1 2 3 4\n"


def test_a_list_that_c_would_not_read_to_its_end_is_written_anew(tmp_path: Path) -> None:
    """C stops at the first word that is none of h k l F."""
    (tmp_path / "a.hkl").write_text("# h k l F sigma\n1 2 3 4.25 0.5\n\n-1.0 2 3 1e2 7 # far\n")
    (tmp_path / "run").mkdir()
    structure = StructureFactors(path=str(tmp_path / "a.hkl"))
    place_inputs(small_experiment(structure=structure), tmp_path / "run")
    assert (tmp_path / "run" / "amplitudes.hkl").read_text() == "1 2 3 4.25\n-1 2 3 100.0\n"
    for text in ("1 2 3 4\n", " -1\t+2  3 1.5e+02 \r\n0 0 0 -.5\n"):
        (tmp_path / "a.hkl").write_bytes(text.encode())
        assert is_bare(tmp_path / "a.hkl")
    for text in ("1 2 3 4 5\n", "\n1 2 3 4\n", "1 2 3.0 4\n", "1 2 3\n4 5 6 7 8\n"):
        (tmp_path / "a.hkl").write_text(text)
        assert not is_bare(tmp_path / "a.hkl")


def test_sources_are_written_in_full(tmp_path: Path) -> None:
    """Every column, with all digits; what is left open is filled in as C does."""
    points = (
        SourcePoint(x=-1.0, y=1 / 3, z=0.25, weight=2.0, wavelength=1.1e-10),
        SourcePoint(x=None, y=None, z=None, weight=None, wavelength=None),
    )
    experiment = small_experiment(sources=Sources(points=points))
    placed = place_inputs(experiment, tmp_path)
    assert placed.sources.file == "sources.txt"
    rows = [
        tuple(map(float, line.split()))
        for line in (tmp_path / "sources.txt").read_text().splitlines()
    ]
    assert rows[0] == (-1.0, 1 / 3, 0.25, 2.0, 1.1e-10)
    assert np.linalg.norm(rows[1][:3]) == pytest.approx(10.0)
    assert rows[1][3:] == (1.0, experiment.beam.wavelength)


@pytest.mark.parametrize("region", [None, Tile(0, 7, 3, 20), Tile(39, 40, 47, 48)])
def test_masks_are_cut_and_bare(tmp_path: Path, region: Tile | None) -> None:
    """Their part of the pixels, a header with nothing but the size."""
    source = GOLDEN / "inputs" / "mask.img"
    whole = open_mask(source)
    experiment = small_experiment(
        detector=Detector(pixels_fast=48, pixels_slow=40),
        sampling=Sampling(oversample=1, mask=str(source)),
    )
    place_inputs(experiment, tmp_path, region)
    part = open_mask(tmp_path / "mask.img")
    wanted = region or Tile(0, whole.n_slow, 0, whole.n_fast)
    assert (part.n_slow, part.n_fast) == wanted.shape
    assert np.array_equal(
        part.read(0, wanted.shape[0], 0, wanted.shape[1]), whole.read(*wanted.bounds)
    )
    head = (tmp_path / "mask.img").read_bytes()[:512]
    assert b"DISTANCE" not in head
    assert b"BEAM" not in head


@pytest.mark.parametrize(
    ("choice", "empty"),
    [
        (Choice(), True),
        (Choice(seed=5, edge=20), True),
        (Choice(tiles=0), False),
        (Choice(tiles=-1), False),
        (Choice(tile_indices=((0, 0),)), False),
        (Choice(roi=(0, 1, 0, 1)), False),
        (Choice(brightest=1), False),
        (Choice(whole=True), False),
    ],
)
def test_choices_of_nothing(choice: Choice, empty: bool) -> None:
    """Seed and edge alone ask for no region."""
    assert choice.empty is empty


def test_a_choice_that_leaves_nothing() -> None:
    """Is refused when it is made, with what to give; anything asked for will do."""
    with pytest.raises(ParityUsageError, match="leaves nothing to compare: give --tiles N"):
        Choice(tiles=0, only=True)
    assert not Choice(tiles=0, only=True, brightest=1).empty
    assert replace(Choice(whole=True), tiles=0, only=True).whole


def test_experiments_are_left_alone(tmp_path: Path) -> None:
    """What is placed is a copy with relative paths."""
    experiment: Experiment = small_experiment(structure=LIST)
    before = experiment.fingerprint()
    placed = place_inputs(experiment, tmp_path)
    assert experiment.fingerprint() == before
    assert experiment.structure.reflections
    assert placed.structure.reflections == ()

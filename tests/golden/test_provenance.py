"""Recorded numbers of the C program are refused unless it is known where they come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.golden.provenance import DATA, complaints, digest, seeds_of
from tests.golden.regenerate import named, run_case
from tests.helpers import GOLDEN, PARITY, deviation, golden_cases

TESTS = Path(__file__).parents[1]
FOLDERS = (GOLDEN, TESTS / "trace" / "data")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.parent.name)
def test_recorded_numbers_have_their_provenance(folder: Path) -> None:
    """Program, date, and for each file or image its command, seeds and checksum."""
    assert complaints(folder) == []


def names_its_program(folder: Path) -> bool:
    """Return True if a JSON file of a folder holds the checksum of a C program and a date."""
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        if len(record.get("program_sha256", "")) == 64 and record.get("date"):
            return True
    return False


def test_no_recorded_numbers_elsewhere() -> None:
    """Every data file of the tests lies in a folder, or in one below it, with a provenance."""
    files = [p for p in TESTS.rglob("*") if p.suffix in DATA and p.is_file()]
    assert len(files) > 20
    lonely = [
        p.relative_to(TESTS)
        for p in files
        if not any(names_its_program(folder) for folder in list(p.parents)[:2])
    ]
    assert lonely == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the golden folder."""
    copy = tmp_path / "golden"
    shutil.copytree(GOLDEN, copy)
    return copy


def edit(folder: Path, change) -> None:
    """Change the record of a folder."""
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("field", ["command", "seeds", "sha256"])
def test_a_case_without_its_origin_is_refused(folder: Path, field: str) -> None:
    edit(folder, lambda record: record["cases"]["curved"].pop(field))
    assert any("curved" in text for text in complaints(folder))


@pytest.mark.parametrize("field", ["program", "program_sha256", "date"])
def test_a_folder_without_program_or_date_is_refused(folder: Path, field: str) -> None:
    edit(folder, lambda record: record.pop(field))
    assert any(field in text for text in complaints(folder))


def test_changed_numbers_are_refused(folder: Path) -> None:
    """One pixel, in its last bit."""
    with np.load(folder / "images.npz") as archive:
        images = {name: archive[name] for name in archive.files}
    images["curved"][3, 4] = np.nextafter(images["curved"][3, 4], np.float32(np.inf))
    np.savez_compressed(folder / "images.npz", **images)
    assert complaints(folder) == [f"{folder}: curved is not what was recorded"]


def test_numbers_that_nobody_recorded_are_refused(folder: Path) -> None:
    """A further file, a case without its image, a folder without any record, another input."""
    (folder / "new.bin").write_bytes(b"1234")
    assert complaints(folder) == [f"{folder}: new.bin is not on record"]
    (folder / "new.bin").unlink()
    (folder / "inputs" / "few.hkl").write_text("1 0 0 5\n")
    assert complaints(folder) == [f"{folder / 'inputs'}: not the files that the program read"]
    (folder / "provenance.json").unlink()
    assert complaints(folder) == [f"{folder}: no provenance.json"]


@pytest.mark.c_binary
@pytest.mark.parametrize("name", ["curved", "mosaic_seed", "carry_over"])
def test_the_program_gives_the_recorded_numbers_again(name: str) -> None:
    """Bit for bit where it is the very program; another compiler may round another way."""
    binary = named("NB_C_BIN")
    assert binary is not None
    record = json.loads((GOLDEN / "provenance.json").read_text())
    image, facts = run_case(binary, golden_cases()[name])
    with np.load(GOLDEN / "images.npz") as archive:
        assert deviation(image, archive[name]) <= PARITY
    assert facts["mean_rms_rmsd"] == pytest.approx(record["cases"][name]["mean_rms_rmsd"], rel=1e-5)
    if digest(Path(binary).read_bytes()) == record["program_sha256"]:
        assert digest(image.tobytes()) == record["cases"][name]["sha256"]


def test_seeds_are_those_of_the_command() -> None:
    """Given ones, and C's own."""
    assert seeds_of("-cell 1 2 3 -mosaic_seed 5 -seed 9") == {
        "seed": "9",
        "mosaic_seed": "5",
        "misset_seed": "-seed's",
    }

"""Fits of what a detector reads: gain, offset, saturation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from tests.cli.test_fit import FLAGS

NOISE = ["--seed", "3", "--gain", "2", "--readout", "3", "--offset", "40", "--saturation", "4000"]


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """A store of detector units, of bright spots."""
    bright = ["1e28" if word == "1e27" else word for word in FLAGS]
    nbdask.simulate(nbdask.from_args(bright), tmp_path / "a.zarr", progress=False)
    path = tmp_path / "counts.zarr"
    assert main(["noise", str(tmp_path / "a.zarr"), *NOISE, "--out", str(path), "--quiet"]) == 0
    return path


def test_a_store_of_detector_units_is_fitted(
    counts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Refused, with what it was made with; with these options the fluence is found."""
    command = ["fit", str(counts), "--refine", "beam.fluence", "--quiet"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    given = "--gain 2 --offset 40 --saturation 4000 --readout 3"
    assert (
        f"holds detector units, not photons: give --gain and --offset (it was made with {given})"
        in said
    )
    out = tmp_path / "fit.json"
    assert main([*command, *given.split(), "--json", str(out)]) == 0
    row = json.loads(out.read_text())["parameters"][0]
    assert abs(row["value"] - 1e28) < 4.0 * row["sigma"]
    image = nbdask.open(counts)["image"]
    assert json.loads(out.read_text())["pixels"] == int((image < 4000.0).sum())
    # Whoever says what units are is believed.
    assert main([*command, "--gain", "1", "--iterations", "1"]) in (0, 1)


def test_a_file_is_read_alike(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Whatever its numbers are; a gain of nothing is refused."""
    image = nbdask.image(nbdask.from_args(FLAGS)).values
    np.save(tmp_path / "data.npy", 7.0 * image + 5.0)
    command = ["fit", str(tmp_path / "data.npy"), *FLAGS, "--refine", "beam.fluence", "--quiet"]
    assert main([*command, "--gain", "7", "--offset", "5", "--background-photons", "0.5"]) in (0, 1)
    assert main([*command, "--gain", "0"]) == 2
    assert "--gain = 0.0: must be a number above 0" in capsys.readouterr().err

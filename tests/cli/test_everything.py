"""Model, geometry file, spectrum, background and mosaic domains in one short command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.store.reader import StoreReader
from tests.amplitudes.support import pdb
from tests.panels.samples import expt, panel, write_expt

Captured = pytest.CaptureFixture[str]
WORDS = ["simulate", "--model", "m.pdb", "--geometry", "one.expt"]
ALL = ["--spectrum", "gauss:1%:3", "--background", "water:0.1mm", "--mosaic", "0.2"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model and a detector of 100 x 80 pixels in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("m.pdb").write_text(pdb())
    held = panel(origin=[-5.0, 4.0, -15.0], pixel_size=[0.1, 0.1], thickness=0.0)
    write_expt(Path("one.expt"), expt(detector=[{"panels": [held]}]))


def recipe() -> dict[str, Any]:
    """Return how the amplitudes of the store were made."""
    found: dict[str, Any] = StoreReader("x.zarr").attributes["experiment"]["structure"]["recipe"]
    return found


def test_one_command(capsys: Captured) -> None:
    """S-SF-24, S-XTAL-25: no more flags are needed; each part is there, and made known."""
    assert main([*WORDS, *ALL, "--out", "x.zarr"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"--dmin [\d.]+: not given, taken as far as the panels of ", said)
    assert "f', f'' at each of 3 photon energies" in said
    experiment = StoreReader("x.zarr").experiment
    assert experiment.sources.spectrum is not None
    assert len(experiment.sources.spectrum.wavelengths) == 3
    assert experiment.crystal.mosaic_spread == pytest.approx(np.radians(0.2))
    assert experiment.background.materials[0].thickness == pytest.approx(1e-4)
    image = nbdask.open("x.zarr").image.to_numpy()
    assert image.shape == (80, 100)
    assert np.median(image) > 0.0
    assert main(["verify", "x.zarr", "--recompute", "1"]) == 0


def test_how_far_panels_reach() -> None:
    """S-SF-24: the corners' spacing at the shortest wavelength, rounded down; --dmin goes first."""
    assert main([*WORDS, "--out", "x.zarr", "--quiet"]) == 0
    corners = nbdask.open("x.zarr").image.nbdask.resolution().to_numpy()
    finest = recipe()["d_min"] * 1e10
    assert finest <= corners.min() < finest + 0.05
    assert round(100 * finest) == pytest.approx(100 * finest)
    assert main([*WORDS, "--dmin", "4", "--out", "x.zarr", "--quiet", "--overwrite"]) == 0
    assert recipe()["d_min"] == pytest.approx(4e-10)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simulate", "--model", "m.pdb"], "--dmin is missing"),
        ([*WORDS, "--mosaic", "0.1", "-mosaic", "0.2"], "--mosaic 0.1: leave out beside -mosaic"),
        ([*WORDS, "--mosaic", "-1"], "--mosaic -1: must be"),
    ],
)
def test_refusals(words: list[str], said: str, capsys: Captured) -> None:
    """S-SF-24, S-XTAL-25: one line, nothing written."""
    assert main([*words, "--out", "x.zarr"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    assert not Path("x.zarr").exists()

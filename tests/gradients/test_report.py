"""Reports of fits: pictures that show data, model and pulls."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nbdask
from nbdask.errors import InputError
from nbdask.gradients.found import FitResult
from nbdask.gradients.report import small_images
from tests.gradients.support import image64
from tests.gradients.test_fit import NAMES, TRUE, noisy


@pytest.fixture(scope="module")
def found() -> FitResult:
    data = noisy()
    data[5, 7] = np.nan
    return nbdask.fit(TRUE, data, NAMES, background=2.0, readout=1.5, iterations=1, tile=20)


def test_pictures_are_sums_of_pixels_that_count(found: FitResult) -> None:
    """Small images are shown pixel by pixel."""
    data, model, variance, count = small_images(found)
    assert count.sum() == data.size - 1
    assert count[5, 7] == data[5, 7] == 0.0
    right = image64(found.experiment) + 2.0
    right[5, 7] = 0.0
    assert np.allclose(model, right, rtol=1e-9)
    assert np.allclose((variance - model)[count > 0], 2.25)


def test_pages_hold_pictures_and_tables(found: FitResult, tmp_path: Path) -> None:
    """Four pictures, no scripts, no outside references, correlations of all pairs."""
    found.report(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "<script" not in page
    assert not re.search(r"https?:", page)
    assert page.count("<tr>") == 1 + len(found.parameters)
    assert "chi2 per pixel" in page
    with pytest.raises(InputError, match="exists already"):
        found.report(tmp_path / "a.html")


def test_png_files_hold_the_pictures_alone(found: FitResult, tmp_path: Path) -> None:
    """Four beside each other, magnified; pulls are coloured, NaN is grey, gaps are white."""
    found.report(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    edge = 5 * 48
    assert pixels.shape == (8 + edge, 4 * (8 + edge), 3)
    assert (pixels[:8] == 255).all()
    assert (pixels[:, 8 + edge : 16 + edge] == 255).all()
    pulls = pixels[8:, 32 + 3 * edge :]
    assert (pulls[25:30, 35:40] == 178).all()
    assert np.ptp(pulls.astype(int), axis=2).max() > 100


def test_joint_fits_show_the_shots_that_agree_least(tmp_path: Path) -> None:
    """With the table of all."""
    data = noisy()
    bad = data.copy()
    bad[10:20, 10:20] += 50.0
    shots = [
        nbdask.Shot(TRUE, image, background=2.0, readout=1.5, number=number)
        for number, image in ((7, data), (12, bad))
    ]
    joint = nbdask.fit_joint(shots, "beam.fluence", iterations=1)
    joint.report(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.index("<h2>shot 7<") < page.index("<h2>shot 12<")
    assert joint.shots[1].chi2_per_pixel > joint.shots[0].chi2_per_pixel


def test_other_endings_are_refused(found: FitResult, tmp_path: Path) -> None:
    """Before anything is computed."""
    with pytest.raises(InputError, match=r"must end in .html or .png"):
        found.report(tmp_path / "a.pdf")

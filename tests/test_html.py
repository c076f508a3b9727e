"""What notebooks show of an experiment, a plan and a result."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from xml.etree import ElementTree

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import nbdask
from nbdask import html
from nbdask.html import log_scaled
from nbdask.prepare import Settings, prepare
from tests.helpers import small_experiment

EXPERIMENT = small_experiment()


def parsed(text: str) -> ElementTree.Element:
    """Parse HTML that is well-formed XML too."""
    return ElementTree.fromstring(f"<body>{text}</body>")


def cells(text: str) -> dict[str, str]:
    """Return the rows of the first table."""
    rows = parsed(text).iter("tr")
    return {row[0].text or "": row[1].text or "" for row in rows}


def test_experiment_shows_users_units() -> None:
    """Cell in Angstrom, detector in millimetres, and every field that is not a default."""
    text = EXPERIMENT._repr_html_()
    rows = cells(text)
    assert "Angstrom" in rows["cell"]
    assert f"{EXPERIMENT.shape[0]} x {EXPERIMENT.shape[1]} pixels" in rows["detector"]
    assert rows["fingerprint"] == EXPERIMENT.fingerprint()
    unfolded = parsed(text).find("details")
    assert unfolded is not None
    fields = "".join(unfolded.itertext())
    for part in EXPERIMENT.to_dict():
        assert part in fields


def test_text_of_the_user_is_escaped() -> None:
    """A file name cannot become markup."""
    structure = dataclasses.replace(EXPERIMENT.structure, reflections=(), path="<b>&.hkl")
    text = EXPERIMENT.replace(structure=structure)._repr_html_()
    assert "<b>" not in text
    assert "<b>&.hkl" in cells(text)["structure factors"]


def test_plan_shows_its_lines() -> None:
    """The table holds what the plan's description says."""
    plan = prepare(EXPERIMENT, Settings(backend="numpy", tile=8))[1]
    rows = cells(plan._repr_html_())
    assert [f"{name:10s}{value}" for name, value in rows.items()] == plan.describe().splitlines()


def test_result_shows_numbers_and_picture(tmp_path) -> None:
    """The picture has the image's shape and is darkest at its maximum; gone with the store."""
    result = nbdask.simulate(EXPERIMENT, tmp_path / "run.zarr", backend="numpy", tile=8)
    text = result._repr_html_()
    assert str(result.path) in cells(text)["store"]
    data = re.search(r"base64,([^\"]+)", text)
    assert data is not None
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert grey.shape == result.shape
    peak = (result.statistics.max_slow, result.statistics.max_fast)
    assert grey[peak] == grey.min() < 10
    (tmp_path / "run.zarr").rename(tmp_path / "away.zarr")
    assert "<img" not in result._repr_html_()


def test_large_pictures_are_reduced_by_their_greatest_pixels() -> None:
    """A single bright pixel survives the reduction; NaN counts as dark."""
    image = np.zeros((600, 300))
    image[377, 211] = 5.0
    image[0, 0] = np.nan
    data = re.search(r"base64,([^\"]+)", html.picture(image, side=100))
    assert data is not None
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert grey.shape == (100, 50)
    assert np.argwhere(grey < 128).tolist() == [[377 // 6, 211 // 6]]


def test_scale_is_logarithmic() -> None:
    """Equal ratios of photons are equal steps of brightness; faint pixels end at 0."""
    image = np.array([[1000.0, 100.0, 10.0, 1.0, 0.1, 0.0]])
    level = log_scaled(image, decades=3.0, percentile=100.0)
    np.testing.assert_allclose(level, [[1.0, 2 / 3, 1 / 3, 0.0, 0.0, 0.0]], atol=1e-12)


def test_empty_and_missing_pixels_are_dark() -> None:
    """An image of zeros, or of pixels not yet computed, gives a dark picture, no warning."""
    image = np.full((3, 4), np.nan, dtype=np.float32)
    image[0] = 0.0
    assert log_scaled(image).tolist() == np.zeros((3, 4)).tolist()


images = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(0.0, 1e9, allow_subnormal=False),
)


@given(images, st.floats(0.5, 9.0), st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_levels_do_not_depend_on_the_unit_of_intensity(
    image: np.ndarray, decades: float, factor: float
) -> None:
    """Between 0 and 1, in the order of the photons, the same for an image times a number."""
    level = log_scaled(image, decades)
    assert level.shape == image.shape
    assert level.min() >= 0.0
    assert level.max() <= 1.0
    order = np.argsort(image, axis=None)
    assert (np.diff(level.ravel()[order]) >= 0).all()
    if image.max() == 0.0 or image[image > 0].min() > 1e-200:
        np.testing.assert_allclose(log_scaled(image * factor, decades), level, atol=1e-9)


def test_a_percentile_lets_the_brightest_pixels_saturate() -> None:
    """Half of the pixels above 0 are at the top; pixels of 0 and below do not count."""
    image = np.array([[0.0, -5.0, 1.0, 10.0, 100.0, 1000.0, np.inf]])[:, :6]
    level = log_scaled(image, decades=2.0, percentile=50.0)
    top = (10.0 + 100.0) / 2
    expected = np.clip(1 + np.log10(np.maximum(image, 1e-9) / top) / 2, 0, 1)
    np.testing.assert_allclose(level, expected, atol=1e-12)

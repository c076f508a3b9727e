"""What notebooks show of an experiment, a plan and a result."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

import nbdask
from nbdask import html
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

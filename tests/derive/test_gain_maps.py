"""Gain maps: files of every kind of number, corners, and files that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from nbdask import derive
from nbdask.derive.gains import refused_factor
from nbdask.errors import FieldError, InputFileError


@pytest.fixture
def factors() -> np.ndarray:
    """A map of 6 x 9 pixels, one of them dead."""
    made = np.random.default_rng(2).uniform(0.5, 1.5, (6, 9))
    made[4, 7] = 0.0
    return made


@pytest.fixture
def path(tmp_path: Path, factors: np.ndarray) -> Path:
    """Its file."""
    np.save(tmp_path / "map.npy", factors)
    return tmp_path / "map.npy"


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", ">f4", "f2"])
def test_any_kind_of_number(tmp_path: Path, dtype: str) -> None:
    """Whole numbers, other byte orders, half precision."""
    values = np.arange(12).reshape(3, 4).astype(dtype)
    np.save(tmp_path / "map.npy", values)
    image = np.full((3, 4), 2.0, np.float32)
    found = derive.gain(image, map=str(tmp_path / "map.npy"))
    assert np.array_equal(found, 2.0 * np.arange(12).reshape(3, 4))


def test_order_in_memory_does_not_matter(tmp_path: Path, factors: np.ndarray) -> None:
    """A map that was saved column by column."""
    np.save(tmp_path / "map.npy", np.asfortranarray(factors))
    image = np.ones((6, 9), np.float32)
    found = derive.gain(image, map=str(tmp_path / "map.npy"))
    assert np.array_equal(found, factors.astype(np.float32))


def test_a_part_of_the_detector_has_its_part_of_the_map(path: Path, factors: np.ndarray) -> None:
    """By its corner; dask chunks too."""
    step = derive.Pipeline((derive.Gain(3.0, str(path)),))
    image = np.ones((6, 9), np.float32)
    whole = step.apply(image)
    assert np.array_equal(whole, (3.0 * factors).astype(np.float32))
    assert np.array_equal(step.apply(image[2:5, 3:], corner=(2, 3)), whole[2:5, 3:])
    lazy = step.apply(da.from_array(image, chunks=(4, 5)))
    assert np.array_equal(lazy.compute(), whole)


@pytest.mark.parametrize(
    ("shape", "corner", "message"),
    [
        ((6, 8), (0, 0), "has 6 x 9 pixels, the image 6 x 8"),
        ((7, 9), (0, 0), "has 6 x 9 pixels, the image 7 x 9"),
        ((6, 9), (1, 0), "has 6 x 9 pixels, the image 7 x 9"),
        ((2, 2), (5, 8), "has 6 x 9 pixels, the image 7 x 10"),
    ],
)
def test_maps_that_do_not_reach(path: Path, shape: Any, corner: Any, message: str) -> None:
    """Both sizes in one line, the end of a part counted from the detector's first pixel."""
    pipeline = derive.Pipeline((derive.Gain(map=str(path)),))
    with pytest.raises(InputFileError, match=message):
        pipeline.apply(np.ones(shape, np.float32), corner=corner)


def test_dead_pixels_stay_dead(path: Path) -> None:
    """Whatever they would have counted."""
    image = np.full((6, 9), 1e30, np.float32)
    assert derive.gain(image, map=str(path))[4, 7] == 0.0


def test_relative_paths_are_settled_when_the_step_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker in another folder finds the file; the record holds its checksum."""
    monkeypatch.chdir(path.parent)
    step = derive.Gain(map="map.npy")
    monkeypatch.chdir("/")
    assert step.map == str(path)
    again = derive.Pipeline.from_dict(derive.Pipeline((step,)).to_dict())
    assert again.steps == (step,)


def test_a_copy_elsewhere_is_the_same_map(path: Path) -> None:
    """Files count by what they hold: equal fingerprints, and other ones after a change."""
    copy = path.with_name("copy.npy")
    copy.write_bytes(path.read_bytes())
    one, other = (derive.Pipeline((derive.Gain(map=str(p)),)) for p in (path, copy))
    assert one.fingerprint() == other.fingerprint()
    np.save(copy, np.load(path) * 2)
    changed = derive.Pipeline((derive.Gain(map=str(copy)),))
    assert changed.fingerprint() != one.fingerprint()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones(5), "(numpy.save) holding a factor for each pixel"),
        (np.ones((2, 2, 2, 2)), "(numpy.save) holding a factor for each pixel"),
        (np.ones((2, 2), complex), "(numpy.save) holding a factor for each pixel"),
        (np.ones((2, 2), bool), "(numpy.save) holding a factor for each pixel"),
        (np.array([["a"]]), "(numpy.save) holding a factor for each pixel"),
        (np.array([[-0.5]]), "at slow 0, fast 0 is -0.5: must be a finite number"),
        (np.array([[1.0, np.nan]]), "at slow 0, fast 1 is nan: must be a finite number"),
        (b"", "another kind of file, or cut short"),
        (b"PK\x03\x04nothing", "another kind of file, or cut short"),
        (None, "no such file or directory"),
    ],
)
def test_files_that_are_no_maps(tmp_path: Path, content: Any, message: str) -> None:
    """One line that names the file and what is wrong with it."""
    path = tmp_path / "map.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(InputFileError) as caught:
        derive.Gain(map=str(path))
    assert str(caught.value).startswith(f"gain map {path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_map(tmp_path: Path) -> None:
    """The system's own reason is given."""
    with pytest.raises(InputFileError, match=f"gain map {tmp_path}: is a directory: "):
        derive.Gain(map=str(tmp_path))


def test_the_first_bad_factor_is_named() -> None:
    """In raster order, far down a long map too; a good map has none."""
    values = np.ones((4000, 600), np.float32)
    assert refused_factor(values) is None
    values[3000, 7] = np.inf
    values[3999, 0] = -1.0
    assert refused_factor(values) == (
        "the factor at slow 3000, fast 7 is inf: must be a finite number of at least 0 (0: a dead"
        " pixel)"
    )


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), "2x", None, 1e39])
def test_factors_that_are_refused(factor: Any) -> None:
    """Above 0, and small enough for single precision."""
    with pytest.raises(FieldError, match=r"^gain\.factor = "):
        derive.Gain(factor)

"""Detector effects: what each does to the mean and variance, and what it refuses."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest

from nbdask import derive
from nbdask.derive.pipeline import STEPS
from nbdask.errors import FieldError, InputError, InputFileError

FLAT = np.full((300, 300), 100.0, dtype=np.float32)


def test_readout_adds_a_normal_deviate() -> None:
    """Its mean is 0, its deviation sigma; new in every frame."""
    one = derive.readout(FLAT, 3.0, seed=1)
    assert one.mean() == pytest.approx(100.0, abs=0.04)
    assert one.std() == pytest.approx(3.0, rel=0.01)
    other = derive.readout(FLAT, 3.0, seed=1, frame=1)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.long
def test_flicker_of_frames_and_of_pixels() -> None:
    """A frame has one factor; pixels have one each; over many frames the deviations are right."""
    one = derive.flicker(FLAT, seed=1, frame_rms=0.1)
    assert len(np.unique(one)) == 1
    small = FLAT[:1, :1]
    frames = [derive.flicker(small, seed=1, frame=n, frame_rms=0.1)[0, 0] for n in range(2000)]
    assert np.std(frames) == pytest.approx(10.0, rel=0.05)
    assert np.mean(frames) == pytest.approx(100.0, abs=0.8)
    pixels = derive.flicker(FLAT, seed=1, pixel_rms=0.02)
    assert pixels.std() == pytest.approx(2.0, rel=0.01)
    assert not np.array_equal(pixels, derive.flicker(FLAT, seed=1, frame=1, pixel_rms=0.02))
    assert derive.flicker(FLAT, seed=1, pixel_rms=5.0).min() == 0.0


def test_calibration_is_the_same_in_every_frame() -> None:
    """And in images of other seeds where it has a seed of its own."""
    one = derive.calibration(FLAT, 0.03, seed=5)
    assert one.std() == pytest.approx(3.0, rel=0.01)
    step = derive.Calibration(0.03, seed=5)
    for seed, frame in ((1, 0), (1, 7), (2, 0)):
        assert np.array_equal(derive.Pipeline((step,), seed, frame).apply(FLAT), one)
    own = derive.Calibration(0.03)
    assert np.array_equal(derive.Pipeline((own,), 5, 9).apply(FLAT), one)
    assert not np.array_equal(derive.Pipeline((own,), 6).apply(FLAT), one)


def test_gain_offset_rounding_and_saturation() -> None:
    """Plain arithmetic."""
    image = np.array([[-1.0, 0.4, 0.5, 7.0]], dtype=np.float32)
    assert derive.gain(image, 2.0).tolist() == (2 * image).tolist()
    assert derive.offset(image, 10.0).tolist() == (image + 10).tolist()
    assert derive.rounding(image).tolist() == [[-1.0, 0.0, 1.0, 7.0]]
    assert np.array_equal(derive.saturation(image, 5.0), np.minimum(image, 5))
    assert derive.saturation(image, 5.0, minimum=0.0).min() == 0.0


def test_gain_map(tmp_path) -> None:
    """From an array or a file; its checksum is on record, another shape or content refused."""
    image = np.ones((4, 6), dtype=np.float32)
    factors = np.arange(24.0).reshape(4, 6)
    path = str(tmp_path / "map.npy")
    np.save(path, factors)
    assert np.array_equal(derive.gain(image, map=factors), factors)
    assert np.array_equal(derive.gain(image, 2.0, map=path), 2 * factors)
    step = derive.Gain(map=path)
    assert len(step.sha256 or "") == 64
    with pytest.raises(InputFileError, match="has 4 x 6 pixels, the image 3 x 6"):
        derive.gain(image[:3], map=path)
    with pytest.raises(FieldError, match=r"gain\.map"):
        derive.gain(image[:3], map=factors)
    np.save(path, factors + 1)
    with pytest.raises(InputFileError, match="has changed"):
        derive.Gain(map=path, sha256=step.sha256)
    np.save(path, factors[0])
    with pytest.raises(InputFileError, match="holding a factor for each pixel"):
        derive.Gain(map=path)
    (tmp_path / "text.npy").write_text("no numbers")
    with pytest.raises(InputFileError, match="another kind of file"):
        derive.Gain(map=str(tmp_path / "text.npy"))
    with pytest.raises(InputFileError, match="no such file"):
        derive.Gain(map=str(tmp_path / "none.npy"))
    np.save(path, factors)
    whole = (tmp_path / "map.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-8])
    with pytest.raises(InputFileError, match="another kind of file, or cut short"):
        derive.Gain(map=str(tmp_path / "cut.npy"))
    for value in (np.nan, np.inf, -1.0):
        wrong = factors.copy()
        wrong[2, 3] = value
        np.save(path, wrong)
        message = f"at slow 2, fast 3 is {value:g}: must be a finite number of at least 0"
        with pytest.raises(InputFileError, match=message):
            derive.Gain(map=path)
        with pytest.raises(InputError, match=message):
            derive.gain(image, map=wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: derive.Readout(-1), "readout.sigma = -1: must be a number of at least 0"),
        (lambda: derive.Flicker(frame_rms=-1), "flicker.frame_rms"),
        (lambda: derive.Flicker(pixel_rms=float("nan")), "flicker.pixel_rms"),
        (lambda: derive.Calibration(-0.1), "calibration.rms"),
        (lambda: derive.Calibration(0.1, seed=-1), "calibration.seed"),
        (lambda: derive.Gain(float("inf")), "gain.factor = inf: must be a finite number"),
        (lambda: derive.Gain(0), "gain.factor = 0.0: must be a number above 0"),
        (lambda: derive.Gain(1e39), "gain.factor = 1e+39: must be from -3.402823e+38 to"),
        (lambda: derive.Offset(-1e39), "offset.value = -1e+39: must be from -3.402823e+38 to"),
        (lambda: derive.Readout(1e39), "readout.sigma = 1e+39: must be from"),
        (lambda: derive.Saturation(1e39), "saturation.maximum = 1e+39: must be from"),
        (lambda: derive.Offset("much"), "offset.value"),
        (lambda: derive.Saturation(1.0, 2.0), "saturation.minimum = 2.0: must be at most"),
        (lambda: derive.poisson(FLAT, seed=-1), "seed = -1"),
        (lambda: derive.poisson(FLAT, seed=1, frame=2**32), "frame = 4294967296"),
        (lambda: derive.poisson(FLAT[0], seed=1), "must be a 2-D array of numbers"),
        (lambda: derive.poisson(FLAT.astype(str), seed=1), "must be a 2-D array of numbers"),
    ],
)
def test_refused_values(make, message) -> None:
    """Field, value and what is allowed in one line."""
    with pytest.raises(FieldError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_step_is_a_function_and_an_option() -> None:
    """What a step can be set to is stated with its fields; files' own record is not set."""
    unset = {"minimum", "sha256"}
    for step in STEPS:
        stated = {item.name: item.metadata.get("option") for item in fields(step)}
        assert {name for name, option in stated.items() if option is None} <= unset
        assert stated or step.option is not None
        if step is not derive.PoissonC:
            taken = inspect.signature(getattr(derive, step.kind)).parameters
            assert set(stated) - {"sha256"} <= set(taken)
            assert ("seed" in taken) == (step.code > 0)

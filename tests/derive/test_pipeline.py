"""Pipelines: the same bits however the image is cut, on arrays of any kind, dict form."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray

from nbdask import derive
from nbdask.derive import pipeline as module
from nbdask.errors import FieldError, InputError
from nbdask.plan.tiles import TileGrid

EVERYTHING = derive.Pipeline(
    (
        derive.Flicker(0.01, 0.02),
        derive.Poisson(),
        derive.GaussianPSF(1.7),
        derive.FibrePSF(1.1, radius=9),
        derive.Calibration(0.03),
        derive.Gain(1.7),
        derive.Readout(3.0),
        derive.Offset(10.0),
        derive.Rounding(),
        derive.Saturation(65535.0, 0.0),
    ),
    seed=5,
    frame=2,
)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Means from 1e-3 to 1e4."""
    random = np.random.default_rng(1)
    return np.exp(random.uniform(-7, 9, (97, 110))).astype(np.float32)


@pytest.fixture(scope="module")
def whole(image) -> np.ndarray:
    """All steps, in one piece."""
    result = EVERYTHING.apply(image)
    assert isinstance(result, np.ndarray)
    return result


@pytest.mark.parametrize("tile", [(97, 110), (16, 16), (40, 33), (8, 110), (97, 9)])
def test_bits_do_not_depend_on_tiles(image, whole, tile) -> None:
    """Halos included: every tile gets what it depends on and nothing else."""
    grid = TileGrid((97, 110), tile)
    for part in grid:
        need = EVERYTHING.needs(part, grid.shape)
        values = image[need.slow0 : need.slow1, need.fast0 : need.fast1]
        found = EVERYTHING.block(values, part, grid.shape)
        assert np.array_equal(found, whole[part.slow0 : part.slow1, part.fast0 : part.fast1])


def test_bits_do_not_depend_on_blocks_or_backend(image, whole, monkeypatch) -> None:
    """The blocks that bound the memory, and NumPy instead of compiled code."""
    assert np.array_equal(EVERYTHING.apply(image, backend="numpy"), whole)
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(derive.Pipeline, "halo", property(lambda self: 17))
    assert EVERYTHING.halo == derive.GaussianPSF(1.7).halo + 9
    assert np.array_equal(EVERYTHING.apply(image), whole)


@pytest.mark.parametrize("chunks", [(97, 110), 40, (33, 64), (97, 11), 7])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_dask_arrays(image, whole, chunks, scheduler) -> None:
    """Lazy; whole and in part the same bits, also where chunks are shorter than halos."""
    lazy = EVERYTHING.apply(da.from_array(image, chunks=chunks))
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == np.float32
    assert np.array_equal(lazy.compute(scheduler=scheduler), whole)
    assert np.array_equal(lazy[40:50, 60:71].compute(scheduler=scheduler), whole[40:50, 60:71])


def test_only_what_is_looked_at_is_computed(image) -> None:
    """A corner of a dask array draws upon the chunks around it."""
    seen = []

    def look(block, block_id=(0, 0)):
        seen.append(block_id)
        return block

    meta = np.empty((0, 0), dtype=np.float32)
    source = da.from_array(image, chunks=20).map_blocks(look, dtype=np.float32, meta=meta)
    derive.gaussian_psf(source, 1.0)[:10, :10].compute(scheduler="sync")
    assert set(seen) <= {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert seen


def test_equal_work_has_equal_names(image) -> None:
    """dask recognises the same noise of the same image, and tells other seeds apart."""
    source = da.from_array(image, chunks=20)
    one, same = derive.poisson(source, seed=1), derive.poisson(source, seed=1)
    assert one.name == same.name
    assert one.name != derive.poisson(source, seed=2).name


def test_data_arrays(image, whole) -> None:
    """Coordinates stay, the pipeline is on record, and a part of a detector has its own noise."""
    coordinates = {"slow": np.arange(97), "fast": np.arange(110)}
    array = xarray.DataArray(image, dims=("slow", "fast"), coords=coordinates)
    found = EVERYTHING.apply(array)
    assert np.array_equal(found, whole)
    assert found.attrs["pipeline"] == [EVERYTHING.to_dict()]
    assert "pipeline" not in array.attrs
    noisy = derive.poisson(array, seed=3)
    part = derive.poisson(array[20:40, 50:], seed=3)
    assert np.array_equal(part, noisy[20:40, 50:])
    assert np.array_equal(part.fast, np.arange(50, 110))
    lazy = derive.poisson(array.chunk({"slow": 30, "fast": 30}), seed=3)
    assert lazy.chunks is not None
    assert np.array_equal(lazy.compute(), noisy)
    with pytest.raises(FieldError, match="without gaps"):
        derive.poisson(array[::2], seed=3)
    with pytest.raises(FieldError, match="slow, fast"):
        derive.poisson(array.T, seed=3)


def test_corner_of_plain_arrays(image) -> None:
    """Where an array begins on its detector."""
    pipeline = derive.Pipeline((derive.Poisson(), derive.Readout(1.0)), seed=1)
    whole = pipeline.apply(image)
    assert np.array_equal(pipeline.apply(image[30:, 40:], corner=(30, 40)), whole[30:, 40:])
    with pytest.raises(FieldError, match="corner"):
        pipeline.apply(image, corner=(-1, 0))


def test_steps_of_one_kind_have_their_own_numbers() -> None:
    """Read-out noise twice is sqrt 2 as much, not twice."""
    flat = np.zeros((200, 200), dtype=np.float32)
    found = derive.Pipeline((derive.Readout(1.0), derive.Readout(1.0)), seed=1).apply(flat)
    assert found.std() == pytest.approx(2.0**0.5, rel=0.02)
    with pytest.raises(FieldError, match="at most 8 times"):
        derive.Pipeline((derive.Readout(1.0),) * 9)


def test_order_matters(image) -> None:
    """Light that is spread after it was counted leaves neighbours correlated."""
    flat = np.full((200, 200), 100.0, dtype=np.float32)
    after = derive.Pipeline((derive.Poisson(), derive.GaussianPSF(2.0)), seed=1).apply(flat)
    before = derive.Pipeline((derive.GaussianPSF(2.0), derive.Poisson()), seed=1).apply(flat)
    inner = (slice(20, 180), slice(20, 180))
    assert before[inner].var() == pytest.approx(100.0, rel=0.05)
    assert after[inner].var() < 20.0


def test_dict_form() -> None:
    """There and back; equal pipelines have equal fingerprints, others do not."""
    data = EVERYTHING.to_dict()
    assert derive.Pipeline.from_dict(data) == EVERYTHING
    assert derive.Pipeline.from_dict(data).fingerprint() == EVERYTHING.fingerprint()
    assert [step["step"] for step in data["steps"]][:3] == ["flicker", "poisson", "gaussian_psf"]
    other = derive.Pipeline(EVERYTHING.steps, seed=6)
    assert other.fingerprint() != EVERYTHING.fingerprint()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "steps is missing: give a list of steps"),
        ({"steps": None}, "steps = None: must be a list of steps"),
        ({"step": [{"step": "poisson"}]}, "step: unknown entry of a pipeline .did you mean steps"),
        ({"steps": [{"step": ["poisson"]}]}, "step 1: step = .'poisson'.: must be one of flicker"),
        ({"steps": [{"fwhm": 1}]}, "step 1: the entry step is missing: give one of flicker"),
        ({"steps": [{"step": "poisson"}, {"step": "gausian_psf"}]}, "step 2: .*mean gaussian_psf"),
        ({"steps": [{"step": "readout", "sigma": -1}]}, "step 1: readout.sigma = -1: must be"),
        (
            {"steps": [{"step": "readout", "sigam": 1}]},
            r"sigam: unknown field .did you mean sigma",
        ),
        ({"steps": [{"step": "poison"}]}, "one of flicker, poisson"),
        ({"steps": ["poisson"]}, "one of flicker, poisson"),
        ({"steps": [{"step": "poisson", "mean": 1}]}, "the step has no fields"),
        ({"steps": [{"step": "readout", "width": 1}]}, "width: unknown field .it has sigma"),
        ({"steps": [{"step": "gaussian_psf"}]}, "fwhm is missing: it must be given"),
        (
            {"steps": [], "seeed": 1},
            "seeed: unknown entry of a pipeline .did you mean seed",
        ),
        ({"steps": [], "colour": 1}, "known are seed, frame and steps"),
        ({"steps": [], "generator": "mt19937"}, "philox4x32-10"),
    ],
)
def test_dicts_that_are_refused(data, message) -> None:
    """Unknown words are named."""
    with pytest.raises(InputError, match=message):
        derive.Pipeline.from_dict(data)


@pytest.mark.parametrize("steps", [3, "poisson", None, (derive.Poisson(), "poisson")])
def test_what_is_no_tuple_of_steps(steps) -> None:
    """From Python."""
    with pytest.raises(FieldError, match="steps such as Poisson"):
        derive.Pipeline(steps, seed=1)


def test_infinite_pixels_do_not_warn() -> None:
    """Values beyond single precision become infinite."""
    image = np.full((4, 4), 3e38, dtype=np.float32)
    assert np.isinf(derive.gain(image, 10.0)).all()


def test_halos_wider_than_the_image() -> None:
    """Nothing beyond the edges takes part; chunks far shorter than the halo are merged."""
    flat = np.ones((30, 23), dtype=np.float32)
    pipeline = derive.Pipeline((derive.GaussianPSF(9.0),))
    assert pipeline.halo > 30
    whole = pipeline.apply(flat)
    assert np.array_equal(pipeline.apply(da.from_array(flat, chunks=10)).compute(), whole)
    assert whole[15, 11] > whole[0, 0] > 0.0


def test_empty_and_whole_number_arrays() -> None:
    """No pixels give none; whole numbers are means like any others."""
    assert derive.poisson(np.ones((0, 5)), seed=1).shape == (0, 5)
    counts = derive.poisson(np.full((4, 5), 3), seed=1)
    assert np.array_equal(counts, derive.poisson(np.full((4, 5), 3.0), seed=1))

"""The image that exporters read: bands, regions, scales, what holds no measurement."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbdask.errors import InputError, StoreError
from nbdask.experiment import Sampling
from nbdask.export import picture as module
from nbdask.export.picture import Picture
from nbdask.statistics import Statistics
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from tests.export.stores import experiment_of, picture_of, store_of

SHAPE = (37, 41)
QUICK = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """An image that is no multiple of its tiles."""
    return picture_of(SHAPE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Path:
    """A store of it, with a region of interest."""
    experiment = experiment_of(*SHAPE, sampling=Sampling(oversample=1, roi=(5, 30, 4, 33)))
    image = np.zeros_like(pixels)
    image[5:31, 4:34] = pixels[5:31, 4:34]
    return store_of(tmp_path_factory.mktemp("p") / "a.zarr", experiment, image, tile=(16, 16))


def read(picture: Picture, multiple: int = 1) -> np.ndarray:
    """All bands in one array; each begins where the one before ended."""
    parts, row = [], 0
    for start, part in picture.bands(multiple):
        assert start == row
        parts.append(part)
        row += len(part)
    return np.concatenate(parts)


@QUICK
@given(st.data())
def test_bands_are_the_region_whatever_their_height(
    small: Path, monkeypatch: pytest.MonkeyPatch, data: Any
) -> None:
    """Every row once, in order, for any region, limit and multiple; all multiples are kept."""
    slow = sorted(data.draw(st.tuples(*[st.integers(0, SHAPE[0] - 1)] * 2)))
    fast = sorted(data.draw(st.tuples(*[st.integers(0, SHAPE[1] - 1)] * 2)))
    multiple = data.draw(st.sampled_from([1, 1, 3, 16, 20]))
    with monkeypatch.context() as patch:
        patch.setattr(module, "BAND_BYTES", data.draw(st.sampled_from([1, 2000, 1 << 20])))
        patch.setattr(module, "PIECE_BYTES", data.draw(st.sampled_from([1, 500, 1 << 20])))
        roi = (slow[0], slow[1], fast[0], fast[1])
        picture = Picture(small, roi)
        found = read(picture, multiple)
        heights = [len(part) for _, part in Picture(small, roi).bands(multiple)]
    whole = read(Picture(small))
    assert np.array_equal(found, whole[slow[0] : slow[1] + 1, fast[0] : fast[1] + 1])
    assert picture.corner == (slow[0], fast[0])
    assert all(height % multiple == 0 for height in heights[:-1])


@pytest.mark.parametrize("roi", [None, (0, 36, 0, 40), (10, 20, 0, 40), (33, 36, 0, 3)])
def test_progress_grows_to_the_end(small: Path, roi: Any) -> None:
    """Rows done never become fewer; the last call says all."""
    seen: list[tuple[int, int]] = []
    picture = Picture(small, roi, progress=lambda *rows: seen.append(rows))
    read(picture)
    assert seen == sorted(seen)
    assert seen[-1] == (picture.shape[0], picture.shape[0])


@pytest.mark.parametrize(
    ("roi", "active"),
    [
        (None, (slice(5, 31), slice(4, 34))),
        ((5, 30, 4, 33), (slice(0, 26), slice(0, 30))),
        ((0, 9, 0, 9), (slice(5, 10), slice(4, 10))),
        ((20, 36, 20, 40), (slice(0, 11), slice(0, 14))),
        ((0, 3, 0, 40), (slice(4, 4), slice(4, 34))),
        ((31, 36, 34, 40), (slice(0, 0), slice(0, 0))),
    ],
)
def test_what_lies_in_the_region_of_interest(small: Path, roi: Any, active: Any) -> None:
    """In the picture's own rows and columns; an empty part has no length."""
    found = Picture(small, roi).active
    for got, wanted in zip(found, active, strict=True):
        assert (got.stop - got.start) == (wanted.stop - wanted.start)
        if wanted.start != wanted.stop:
            assert got == wanted


@QUICK
@given(st.integers(0, 36), st.integers(1, 37))
def test_rows_of_a_band_inside(small: Path, start: int, rows: int) -> None:
    """As the same rows of the whole's active part."""
    rows = min(rows, SHAPE[0] - start)
    inside, columns = Picture(small).inside(start, rows)
    wanted = [row for row in range(start, start + rows) if 5 <= row <= 30]
    assert [row + start for row in range(inside.start, inside.stop)] == wanted
    assert columns == slice(4, 34)


def test_pixels_without_a_measurement(small: Path) -> None:
    """Those outside the region of interest, and NaN within."""
    picture = Picture(small)
    values = np.zeros(SHAPE, np.float32)
    values[10, 10] = math.nan
    values[0, 0] = math.nan
    unused = picture.unused(0, values)
    wanted = np.ones(SHAPE, np.bool_)
    wanted[5:31, 4:34] = False
    wanted[10, 10] = True
    assert np.array_equal(unused, wanted)
    assert np.array_equal(picture.unused(7, values[7:20]), wanted[7:20])


def test_scales_are_those_on_record(small: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Of a finished run; of an unfinished one what the tiles say so far."""
    inside = pixels[5:31, 4:34].astype(np.float64)
    scales = Picture(small).scales
    assert scales.max == pytest.approx(inside.max())
    assert scales.rmsd == pytest.approx(inside.std(ddof=1))
    part = store_of(tmp_path / "b.zarr", experiment_of(*SHAPE), pixels, (16, 16), missing=(0,))
    there = np.ones(SHAPE, np.bool_)
    there[:16, :16] = False
    assert Picture(part, incomplete=True).scales.max == pytest.approx(pixels[there].max())


def test_statistics_that_were_no_numbers(tmp_path: Path, pixels: np.ndarray) -> None:
    """JSON has no NaN: null stands for it, and is read as NaN."""
    store = store_of(tmp_path / "a.zarr", experiment_of(*SHAPE), pixels, (16, 16))
    none = {**dict.fromkeys(Statistics._fields), "max_slow": -1, "max_fast": -1, "pixels": 0}
    del none["max_panel"], none["max_shot"]
    update_attributes(place_of(store), {"statistics": none})
    assert all(math.isnan(value) for value in Picture(store).scales)


def test_a_record_that_cannot_be_read(tmp_path: Path, pixels: np.ndarray) -> None:
    """One line that says so, whatever is wrong with it."""
    store = store_of(tmp_path / "a.zarr", experiment_of(*SHAPE), pixels, (16, 16))
    for record in ({"crystal": {"sell": 3}}, {"beam": {"wavelength": -1.0}}):
        update_attributes(place_of(store), {"experiment": record})
        with pytest.raises(StoreError, match="the experiment on record cannot be read") as caught:
            _ = Picture(store).experiment
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("derived", "unit", "counts"),
    [
        ([], "photons", False),
        ([["gaussian_psf"]], "photons", False),
        ([["poisson"]], "photons", True),
        ([["poisson_c"]], "photons", True),
        ([["gaussian_psf"], ["poisson"]], "photons", True),
        ([["gaussian_psf"], ["flicker"]], "photons", False),
        ([["offset"]], "adu", True),
    ],
)
def test_what_are_counts(
    tmp_path: Path, pixels: np.ndarray, derived: Any, unit: str, counts: bool
) -> None:
    """Photons that were drawn, at this step or an earlier one, and what a detector read."""
    store = store_of(tmp_path / "a.zarr", experiment_of(*SHAPE), pixels, (16, 16))
    record: dict[str, Any] | None = None
    for steps in reversed(derived):
        source = {} if record is None else {"derived": record}
        record = {"pipeline": {"steps": [{"step": name} for name in steps]}, "source": source}
    node = store / "image" / "zarr.json"
    data = json.loads(node.read_text())
    data["attributes"]["units"] = unit
    node.write_text(json.dumps(data))
    picture = Picture(store)
    if record is not None:
        picture.reader.attributes["derived"] = record
    assert picture.counts is counts


SATURATED = [
    ([], None),
    ([{"step": "rounding"}], None),
    ([{"step": "saturation", "maximum": 100.4}], float(np.float32(100.4))),
    ([{"step": "saturation", "maximum": 100.4}, {"step": "rounding"}], 100),
    ([{"step": "saturation", "maximum": 100.5}, {"step": "rounding"}], 101),
    ([{"step": "rounding"}, {"step": "saturation", "maximum": 9.0}], 9.0),
    ([{"step": "saturation", "maximum": 9.0}, {"step": "offset", "value": 1.0}], None),
]


@pytest.mark.parametrize(("steps", "value"), SATURATED)
def test_value_of_saturated_pixels(small: Path, steps: Any, value: Any) -> None:
    """Known where nothing but rounding came after; else it cannot be told."""
    picture = Picture(small)
    picture.reader.attributes["derived"] = {"pipeline": {"steps": steps}, "source": {}}
    assert picture.saturation == value


@pytest.mark.parametrize(("scale", "adc"), [(1.0, 0.0), (2.0, 0.0), (1.0, 40.0), (0.5, -3.0)])
def test_greatest_valid_number_is_just_below(small: Path, scale: float, adc: float) -> None:
    """A whole number less one, or the next smaller float32."""
    picture = Picture(small)
    assert picture.greatest_valid(scale, adc, whole=True) is None
    step = {"step": "saturation", "maximum": 500.0}
    picture.reader.attributes["derived"] = {"pipeline": {"steps": [step]}, "source": {}}
    del picture.__dict__["saturation"]
    reached = 500.0 * scale + adc
    assert picture.greatest_valid(scale, adc, whole=True) == round(reached) - 1
    near = picture.greatest_valid(scale, adc, whole=False)
    assert near is not None
    assert near < reached
    assert np.nextafter(np.float32(near), np.float32(np.inf)) == np.float32(reached)


@pytest.mark.parametrize(
    "roi", [(3, 2, 0, 1), (-1, 2, 0, 1), (0, 1, -4, 1), (37, 40, 0, 1), (0, 1, 41, 50)]
)
def test_regions_without_a_pixel(small: Path, roi: Any) -> None:
    """Refused with the detector's size."""
    with pytest.raises(InputError, match=r"detector of 37 \(slow\) x 41 \(fast\)"):
        Picture(small, roi)


def test_a_region_over_the_edge_is_cut(small: Path) -> None:
    """Here; the command refuses it before."""
    assert Picture(small, (30, 100, 35, 41)).shape == (7, 6)

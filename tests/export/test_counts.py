"""Stores whose pixels are counts already: their files hold the same numbers."""

from __future__ import annotations

from pathlib import Path

import fabio
import h5py
import numpy as np
import pytest
import tifffile

from nbdask import derive
from nbdask.cli.main import main
from nbdask.derive.noise import noise
from nbdask.experiment import Detector
from nbdask.export.formats import export
from nbdask.store.reader import StoreReader
from tests.export.stores import store_of
from tests.helpers import small_experiment

DETECTOR = "entry/instrument/detector"
COUNTS = (derive.Poisson(), derive.Gain(1.5), derive.Readout(2.0), derive.Offset(30.0))


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    return np.asarray(StoreReader(path).image[:])


def greys(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """The pixels of a greymap; fabio stumbles over the comment that C's have."""
    return np.fromfile(path, "u1")[-shape[0] * shape[1] :].reshape(shape)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Expected photons: weak ones, and some beyond 8 bits."""
    image = np.random.default_rng(5).gamma(0.5, 20.0, (40, 30)).astype(np.float32)
    image[3:9, 7] = 900.0
    experiment = small_experiment(detector=Detector(pixels_slow=40, pixels_fast=30))
    return store_of(tmp_path / "run.zarr", experiment, image, tile=(16, 16))


def noisy(run: Path, *steps: derive.Step, seed: int = 3) -> Path:
    """A store with noise beside it."""
    out = run.with_name(f"noisy{seed}.zarr")
    noise(run, out, derive.Pipeline(steps, seed=seed), backend="numpy")
    return out


@pytest.mark.parametrize(
    "steps", [(derive.Poisson(),), (derive.PoissonC(),), (*COUNTS, derive.Rounding())]
)
def test_files_hold_the_counts_of_the_store(run: Path, steps: tuple, tmp_path: Path) -> None:
    """No scale and no second offset; read back by fabio, h5py and tifffile."""
    store = noisy(run, *steps)
    image = pixels(store)
    assert np.array_equal(image, np.rint(image))
    assert image.max() > 255
    said = export(store, tmp_path / "a.img").describe()
    assert said.endswith("scale 1, offset 0")
    assert np.array_equal(fabio.open(str(tmp_path / "a.img")).data, image)
    export(store, tmp_path / "a.cbf")
    assert np.array_equal(fabio.open(str(tmp_path / "a.cbf")).data, image)
    for dtype in (None, "int32", "float32"):
        export(store, tmp_path / "a.tif", dtype=dtype, overwrite=True)
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), image)
        export(store, tmp_path / "a.h5", dtype=dtype, overwrite=True)
        with h5py.File(tmp_path / "a.h5") as file:
            assert np.array_equal(file["entry/data/data"][0], image)
    grey = export(store, tmp_path / "a.pgm")
    over = int((image > 255).sum())
    assert grey.remarks == ("scale 1", f"{over} pixels above 255 set to 255")
    assert np.array_equal(greys(tmp_path / "a.pgm", image.shape), np.minimum(image, 255))


@pytest.mark.parametrize(
    ("steps", "choices", "kind"),
    [
        ((derive.Poisson(),), {}, "int32"),
        ((derive.PoissonC(),), {}, "int32"),
        ((derive.Poisson(), derive.GaussianPSF(1.5), derive.Rounding()), {}, "int32"),
        ((derive.Poisson(), derive.Offset(30.0), derive.Saturation(500.0)), {}, "int32"),
        ((derive.Poisson(),), {"scale": 2.0, "adc": 40.0}, "int32"),
        ((derive.Poisson(),), {"scale": 1.5}, "float32"),
        ((derive.Poisson(),), {"adc": -1.0}, "float32"),
        ((derive.Poisson(),), {"scale": 1e9}, "float32"),
        ((derive.Poisson(),), {"dtype": "float32"}, "float32"),
        ((derive.Poisson(), derive.GaussianPSF(1.5)), {}, "float32"),
        ((derive.Poisson(), derive.Offset(-3.0)), {}, "float32"),
        ((derive.Poisson(), derive.Readout(2.0), derive.Rounding()), {}, "float32"),
        ((), {}, "float32"),
    ],
)
def test_counts_are_int32_where_nothing_is_lost(
    run: Path, steps: tuple, choices: dict, kind: str, tmp_path: Path
) -> None:
    """Expected photons, fractions, and what may be below 0 or beyond int32 stay float32."""
    store = noisy(run, *steps) if steps else run
    export(store, tmp_path / "a.h5", **choices)
    wanted = pixels(store) * np.float32(choices.get("scale", 1)) + np.float32(choices.get("adc", 0))
    with h5py.File(tmp_path / "a.h5") as file:
        data = file["entry/data/data"]
        assert data.dtype == kind
        assert np.array_equal(data[0], wanted)


def test_fractions_are_rounded_everywhere(run: Path, tmp_path: Path) -> None:
    """A reading that was not made whole: the nearest number, what is below 0 counted."""
    store = noisy(run, *COUNTS[:3])
    image = pixels(store)
    assert (image != np.rint(image)).any()
    near = np.maximum(np.rint(image), 0)
    low = int((np.rint(image) < 0).sum())
    assert low > 0
    for name in ("a.img", "a.cbf", "a.pgm"):
        said = export(store, tmp_path / name).describe()
        if name == "a.pgm":
            assert np.array_equal(greys(tmp_path / name, image.shape), np.minimum(near, 255))
            continue
        assert np.array_equal(fabio.open(str(tmp_path / name)).data, near), name
        assert "below 0 set to 0" in said
    assert f"{low} pixels below 0 set to 0" in export(store, tmp_path / "b.cbf").remarks


def test_scale_and_offset_are_taken_when_given(run: Path, tmp_path: Path) -> None:
    """Each for itself."""
    store = noisy(run, derive.Poisson())
    image = pixels(store)
    for options, wanted in (({"scale": 2.0}, 2 * image), ({"adc": 40.0}, image + 40)):
        export(store, tmp_path / "a.img", overwrite=True, **options)
        assert np.array_equal(fabio.open(str(tmp_path / "a.img")).data, wanted)


def test_light_that_is_spread_stays_an_expectation(run: Path, tmp_path: Path) -> None:
    """A derived store without noise is scaled as a simulated one; noise further back counts."""
    spread = noisy(run, derive.GaussianPSF(1.5), seed=1)
    assert "offset 40" in export(spread, tmp_path / "a.img").describe()
    counted = noisy(run, *COUNTS[:2], seed=2)
    again = noisy(counted, derive.GaussianPSF(1.5), seed=4)
    assert StoreReader(again).unit == "adu"
    assert "scale 1, offset 0" in export(again, tmp_path / "b.img").describe()


def test_saturated_pixels_are_counted_and_marked(run: Path, tmp_path: Path) -> None:
    """The file's greatest valid number is below the value that they have."""
    store = noisy(run, *COUNTS, derive.Rounding(), derive.Saturation(500.0))
    image = pixels(store)
    many = int((image == 500).sum())
    assert many > 0
    for name, dtype in (("a.img", None), ("a.cbf", None), ("a.h5", "int32"), ("b.h5", None)):
        assert (
            f"{many} pixels saturated at 500" in export(store, tmp_path / name, dtype=dtype).remarks
        )
    header = fabio.open(str(tmp_path / "a.cbf")).header["_array_data.header_contents"]
    assert "# Count_cutoff 499 counts" in header
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name) as file:
            valid = file[f"{DETECTOR}/saturation_value"][()]
            assert np.array_equal(file["entry/data/data"][0] > valid, image == 500), name


def test_noise_is_not_added_twice(run: Path, tmp_path: Path, capsys) -> None:
    """nanoBragg's noise image needs expected photons; one line says what to do."""
    store = noisy(run, derive.Poisson())
    assert main(["export", str(store), str(tmp_path / "a.img"), "--format", "smv-noise"]) == 2
    said = capsys.readouterr().err
    assert "already holds counts with noise; export it as smv" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a.img").exists()

"""``noise()``: from store to store, in whatever tiles, processes and attempts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask import derive
from nbdask.derive.noise import noise
from nbdask.derive.noise_c import CNoise
from nbdask.derive.tasks import Context
from nbdask.errors import BackendError, FieldError, InputError, NbdaskError, StoreError
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from nbdask.verification import repair, verify
from tests.helpers import lose_records

FLAGS = "-cell 70 80 90 75 85 95 -default_F 300 -N 5 -detpixels 60 -pixel 0.3 -oversample 1"
REALISTIC = derive.Pipeline(
    (derive.Poisson(), derive.GaussianPSF(1.2), derive.Gain(1.5), derive.Readout(2.0)), seed=8
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated store of 9 tiles."""
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    experiment = nbdask.from_args(FLAGS.split())
    nbdask.simulate(experiment, path, backend="numpy", tile=20)
    return path


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    return np.asarray(StoreReader(path).image[:])


@pytest.fixture(scope="module")
def noisy(run: Path) -> Path:
    """The realistic copy, in the source's tiles."""
    path = run.with_name("noisy.zarr")
    noise(run, path, REALISTIC)
    return path


def test_pixels_are_those_of_the_pipeline(run, noisy) -> None:
    """As on the whole image in memory; sound, with statistics, opened as any store."""
    assert np.array_equal(pixels(noisy), REALISTIC.apply(pixels(run)))
    assert verify(noisy).ok
    dataset = nbdask.open(noisy)
    assert dataset.image.dtype == np.float32
    assert dataset.image.attrs["units"] == "adu"
    statistics = StoreReader(noisy).attributes["statistics"]
    assert statistics["mean"] == pytest.approx(float(pixels(noisy).mean(dtype=np.float64)))
    assert statistics["pixels"] == 3600


@pytest.mark.parametrize(
    "options",
    [
        {"tile": 13},
        {"tile": (60, 8), "threads": 1},
        {"tile": 60, "backend": "numpy"},
        pytest.param({"cluster": "local", "workers": 1, "threads": 2}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_bits_do_not_depend_on_how_it_is_done(run, noisy, tmp_path, options) -> None:
    """Other tiles, threads or processes, compiled or NumPy."""
    noise(run, tmp_path / "other.zarr", REALISTIC, **options)
    assert np.array_equal(pixels(tmp_path / "other.zarr"), pixels(noisy))


def test_provenance(run, noisy, tmp_path) -> None:
    """Every step back to the simulation, with what is needed to do it again."""
    attributes, source = StoreReader(noisy).attributes, StoreReader(run).attributes
    assert attributes["experiment"] == source["experiment"]
    assert attributes["fingerprint"] != source["fingerprint"]
    derived = attributes["derived"]
    assert derive.Pipeline.from_dict(derived["pipeline"]) == REALISTIC
    assert derived["source"]["path"] == str(run)
    assert derived["source"]["fingerprint"] == source["fingerprint"]
    assert attributes["seeds"]["noise"] == 8
    json.dumps(attributes)
    np.save(tmp_path / "map.npy", np.ones((60, 60)))
    third = derive.Pipeline((derive.Gain(map=str(tmp_path / "map.npy")),))
    noise(noisy, tmp_path / "third.zarr", third)
    chain = StoreReader(tmp_path / "third.zarr").attributes
    assert chain["derived"]["source"]["derived"] == derived
    assert chain["inputs"][-1]["role"] == "gain map"


def test_without_a_library(run, noisy, tmp_path, monkeypatch) -> None:
    """The same bits, with a note; nanoBragg's own noise is refused before anything is written."""

    def missing() -> None:
        raise BackendError("no compiled kernel: install a compiler")

    for module in ("derive.compiled", "derive.noise_c", "native.library"):
        monkeypatch.setattr(f"nbdask.{module}.library", missing)
    made = noise(run, tmp_path / "plain.zarr", REALISTIC, threads=1)
    assert np.array_equal(pixels(tmp_path / "plain.zarr"), pixels(noisy))
    assert "no compiled kernel: install a compiler" in made.notes
    assert noise(run, tmp_path / "asked.zarr", REALISTIC, backend="numpy").notes == ()
    with pytest.raises(BackendError, match="own noise needs compiled code"):
        noise(run, tmp_path / "c.zarr", derive.Pipeline((derive.PoissonC(),)))
    assert not (tmp_path / "c.zarr").exists()


def test_noise_that_is_there_already_is_not_added_again(noisy, tmp_path) -> None:
    """The same seed for the same kind of step would not be independent."""
    again = derive.Pipeline((derive.Readout(1.0),), seed=8)
    with pytest.raises(FieldError, match="another one than that of the readout noise"):
        noise(noisy, tmp_path / "again.zarr", again)
    noise(noisy, tmp_path / "again.zarr", derive.Pipeline((derive.Readout(1.0),), seed=9))


@pytest.mark.long
def test_a_run_that_was_cut_off_is_resumed(run, noisy, tmp_path, monkeypatch) -> None:
    """The missing tiles only, the same bits; another pipeline is refused."""
    out = tmp_path / "cut.zarr"
    compute = Context.compute
    calls = []

    def failing(self, index):
        calls.append(index)
        if len(calls) > 4:
            raise ValueError("power cut")
        return compute(self, index)

    monkeypatch.setattr(Context, "compute", failing)
    with pytest.raises(NbdaskError, match="power cut"):
        noise(run, out, REALISTIC, threads=1)
    monkeypatch.setattr(Context, "compute", compute)
    assert StoreReader(out).attributes["status"] == "running"
    left = 9 - int(StoreReader(out).done().sum())
    other = derive.Pipeline(REALISTIC.steps, seed=10)
    with pytest.raises(StoreError, match=r"pipeline\.seed: 8 -> 10"):
        noise(run, out, other, resume=True)
    with pytest.raises(StoreError, match="not complete"):
        noise(out, tmp_path / "of-it.zarr", other)
    told = []
    noise(run, out, REALISTIC, resume=True, progress=lambda done, total: told.append(done))
    assert len(told) == left
    assert np.array_equal(pixels(out), pixels(noisy))
    assert verify(out).ok


def test_damage_is_mended(run, noisy, tmp_path) -> None:
    """Derived again from the source, on threads; refused where that has changed."""
    out = tmp_path / "damaged.zarr"
    noise(run, out, REALISTIC, tile=30)
    lose_records(out, 1)
    file = out / "image" / "c" / "1" / "0"
    file.write_bytes(file.read_bytes()[:-1])
    assert len(verify(out).faults) == 2
    assert len(repair(out).faults) == 2
    assert verify(out).ok
    assert np.array_equal(pixels(out), pixels(noisy))
    with pytest.raises(StoreError, match="was derived from"):
        verify(out, recompute=1)
    file.unlink()
    data = StoreReader(out).attributes["derived"]
    data["source"]["pixels_sha256"] = "0" * 64
    update_attributes(out, {"derived": data})
    with pytest.raises(StoreError, match="has other pixels"):
        repair(out)


@pytest.mark.long
def test_own_sequence_of_nanobragg(run, tmp_path) -> None:
    """The whole image in raster order, also when a run is resumed; other steps may follow."""
    pipeline = derive.Pipeline((derive.PoissonC(), derive.Offset(40.0)), seed=123)
    expected = CNoise(123).image_rows(pixels(run)) + 40
    for number, tile in enumerate((None, 8, (60, 17))):
        out = tmp_path / f"c{number}.zarr"
        noise(run, out, pipeline, tile=tile)
        assert np.array_equal(pixels(out), expected)
        assert verify(out).ok
    lose_records(out, 1)
    update_attributes(out, {"status": "running"})
    noise(run, out, pipeline, resume=True)
    assert np.array_equal(pixels(out), expected)
    lose_records(out, 1)
    with pytest.raises(StoreError, match="made as a whole"):
        repair(out)


def test_own_sequence_draws_only_inside_the_region_of_interest(tmp_path) -> None:
    """As C does."""
    argv = [*FLAGS.split(), "-roi", "10", "49", "5", "44"]
    nbdask.simulate(nbdask.from_args(argv), tmp_path / "a", backend="numpy", tile=20)
    noise(tmp_path / "a", tmp_path / "b", derive.Pipeline((derive.PoissonC(),), seed=123), tile=16)
    bare, found = pixels(tmp_path / "a"), pixels(tmp_path / "b")
    inside = (slice(5, 45), slice(10, 50))
    assert np.array_equal(found[inside], CNoise(123).image_rows(bare[inside]))
    found[inside] = 0
    assert not found.any()


def test_places_that_are_refused(run, noisy, tmp_path) -> None:
    """One line each, nothing written."""
    with pytest.raises(InputError, match="must be a Pipeline"):
        noise(run, tmp_path / "new.zarr", None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="None is not a path"):
        noise(None, tmp_path / "new.zarr", REALISTIC)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="is the store that is read"):
        noise(run, run, REALISTIC, overwrite=True)
    with pytest.raises(StoreError, match="exists already"):
        noise(run, noisy, REALISTIC)
    with pytest.raises(StoreError, match="exclude each other"):
        noise(run, noisy, REALISTIC, overwrite=True, resume=True)
    with pytest.raises(StoreError, match="leave --resume out"):
        noise(run, tmp_path / "new.zarr", REALISTIC, resume=True)
    with pytest.raises(StoreError, match="does not exist"):
        noise(tmp_path / "none.zarr", tmp_path / "new.zarr", REALISTIC)
    with pytest.raises(StoreError, match="not made by nbdask noise"):
        noise(noisy, run, derive.Pipeline((derive.Offset(1.0),)), resume=True)
    assert list(tmp_path.iterdir()) == []
    noise(run, noisy, REALISTIC, overwrite=True)

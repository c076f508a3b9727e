"""Noise and detector effects of several panels: each ends at its edges, and has its own numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.derive import FibrePSF, Gain, GaussianPSF, Offset, Pipeline, Poisson, Readout
from nbdask.derive.noise import noise, stacked
from nbdask.errors import InputError, InputFileError
from nbdask.experiment import Beam
from nbdask.run import simulate
from nbdask.store.reader import StoreReader
from nbdask.verification import repair, verify
from tests.panels.samples import GEOM
from tests.panels.several import PANELS, several

EXPERIMENT = several(beam=Beam(fluence=1e30))
PIPELINE = Pipeline((Poisson(), GaussianPSF(1.5), Readout(3.0), Offset(10.0)), seed=5)


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    return np.asarray(StoreReader(path).image[...])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("run") / "a.zarr"
    simulate(EXPERIMENT, path, tile=8, threads=1)
    return path


@pytest.fixture(scope="module")
def noisy(source: Path) -> Path:
    """The same with noise."""
    path = source.parent / "b.zarr"
    noise(source, path, PIPELINE, threads=1)
    return path


def test_each_panel_is_a_detector_of_its_own(source: Path, noisy: Path) -> None:
    """Written out with arrays: rows count on from panel to panel, light ends at the edges."""
    whole, found = pixels(source), pixels(noisy)
    for number, panel in enumerate(PANELS):
        own = whole[number, : panel.n_slow, : panel.n_fast]
        expected = PIPELINE.apply(own, corner=(number * 11, 0))
        assert np.array_equal(found[number, : panel.n_slow, : panel.n_fast], expected)
        rest = found[number].copy()
        rest[: panel.n_slow, : panel.n_fast] = 0.0
        assert not rest.any()
    statistics = StoreReader(noisy).attributes["statistics"]
    assert statistics["pixels"] == sum(panel.n_slow * panel.n_fast for panel in PANELS)
    first = whole[0, :10, :12]
    assert np.array_equal(found[0, :10, :12], PIPELINE.apply(first))


def test_cutting_does_not_matter(source: Path, noisy: Path, tmp_path: Path) -> None:
    """Bit for bit, whatever the tiles."""
    noise(source, tmp_path / "c.zarr", PIPELINE, tile=16, threads=2)
    assert np.array_equal(pixels(tmp_path / "c.zarr"), pixels(noisy))


def test_it_is_a_store_of_several_panels(noisy: Path, tmp_path: Path) -> None:
    """With coordinates and version; verified, repaired and resumed."""
    store = Path(shutil.copytree(noisy, tmp_path / "b.zarr"))
    reader = StoreReader(store)
    assert reader.attributes["format_version"] == 3
    assert len(reader.panels) == 3
    assert verify(store).ok
    (store / "image" / "c" / "1" / "1" / "0").unlink()
    assert [fault.index for fault in verify(store).faults] == [6]
    repair(store)
    assert verify(store).ok
    assert np.array_equal(pixels(store), pixels(noisy))


def test_gain_maps(source: Path, tmp_path: Path) -> None:
    """Of the image's shape, (panel, slow, fast), or panels below one another."""
    factors = np.random.default_rng(1).uniform(0.5, 2.0, (3, 11, 14))
    np.save(tmp_path / "map.npy", factors)
    np.save(tmp_path / "stacked.npy", factors.reshape(33, 14))
    np.save(tmp_path / "one.npy", factors[0])
    steps = (FibrePSF(1.0), Gain(map=str(tmp_path / "map.npy")))
    noise(source, tmp_path / "c.zarr", Pipeline(steps), threads=1)
    plain = tmp_path / "d.zarr"
    noise(source, plain, Pipeline(steps[:1]), threads=1)
    expected = pixels(plain).astype(float) * factors
    assert pixels(tmp_path / "c.zarr") == pytest.approx(expected, rel=1e-6)
    below = Gain(map=str(tmp_path / "stacked.npy"))
    noise(source, tmp_path / "e.zarr", Pipeline((steps[0], below)), threads=1)
    assert np.array_equal(pixels(tmp_path / "e.zarr"), pixels(tmp_path / "c.zarr"))
    with pytest.raises(InputFileError, match="has 11 x 14 pixels, the image 33 x 14"):
        noise(source, tmp_path / "f.zarr", Pipeline((Gain(map=str(tmp_path / "one.npy")),)))
    with pytest.raises(InputError, match="are 2199023255552 rows: noise can be added to at most"):
        stacked(2**20, (2**21, 5))


def test_with_the_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--noise of a simulation gives what the command noise does."""
    monkeypatch.chdir(tmp_path)
    Path("in.geom").write_text(GEOM)
    flags = ["-cell", "70", "80", "90", "80", "90", "100", "-default_F", "100", "-N", "5"]
    words = [*flags, "--geometry", "in.geom", "--out", "a.zarr", "--threads", "1", "--quiet"]
    added = ["--noise", "b.zarr", "--seed", "3", "--readout", "2"]
    assert main(["simulate", *words, *added]) == 0
    assert main(["noise", "a.zarr", "--out", "c.zarr", "--seed", "3", "--readout", "2"]) == 0
    assert np.array_equal(pixels(Path("b.zarr")), pixels(Path("c.zarr")))

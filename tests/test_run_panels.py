"""Runs on several panels: the pixels, the store, and what reads, checks and finishes it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

import nbdask
from nbdask.derive.directions import Directions
from nbdask.derive.noise import noise
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.realised import Realised
from nbdask.derive.steps import PoissonC
from nbdask.errors import FlagError, InputError, StoreError
from nbdask.experiment import Background, Material, Scan
from nbdask.export.formats import export
from nbdask.flags import from_toml, to_args, to_toml
from nbdask.lazy import image
from nbdask.prepare import Settings
from nbdask.run import simulate
from nbdask.shards import simulate_shard
from nbdask.store import schema
from nbdask.store.checked import CheckedImage
from nbdask.store.create import update_attributes
from nbdask.store.open import open_store
from nbdask.store.reader import StoreReader
from nbdask.verification import repair, verify
from tests.helpers import lose_records, ulps
from tests.panels.several import PANELS, alone, several

EXPERIMENT = several()


def run(path: Path, **options: Any) -> Any:
    """A run on the three panels."""
    return simulate(EXPERIMENT, path, **{"tile": 8, "threads": 2, **options})


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    return np.asarray(StoreReader(path).image[...])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it."""
    path = tmp_path_factory.mktemp("run") / "a.zarr"
    run(path)
    return path


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "a.zarr"))


def test_each_panel_has_the_bits_of_a_run_alone(finished: Path, tmp_path: Path) -> None:
    """In the first corner of the box; the rest, and bad pixels, are 0."""
    whole = pixels(finished)
    assert whole.shape == (3, 11, 14)
    for number, panel in enumerate(PANELS):
        one = tmp_path / f"{number}.zarr"
        simulate(alone(EXPERIMENT, number), one, tile=8, threads=1)
        ours = whole[number, : panel.n_slow, : panel.n_fast]
        assert np.array_equal(ours, pixels(one))
        assert ours.max() > 0.0
        rest = whole[number].copy()
        rest[: panel.n_slow, : panel.n_fast] = 0.0
        assert not rest.any()
        assert StoreReader(one).attributes["format_version"] == schema.FORMAT_VERSION
    assert not whole[1, :, 2:4].any()
    assert (whole[2, :8] == 0.0).sum() > 5


def test_statistics_count_the_pixels_of_panels(finished: Path) -> None:
    """Neither the rest of the box nor bad pixels; the place of the maximum has its panel."""
    whole = pixels(finished)
    statistics = StoreReader(finished).attributes["statistics"]
    place = np.unravel_index(np.argmax(whole), whole.shape)
    found = [statistics[f"max_{name}"] for name in ("panel", "slow", "fast")]
    assert found == [int(index) for index in place]
    good = 12 * 10 + 7 * 11 + 14 * 8 - 15
    assert statistics["pixels"] == pytest.approx(good, abs=10)
    total = float(whole.astype(float).sum())
    assert statistics["mean"] == pytest.approx(total / statistics["pixels"])


@pytest.mark.parametrize("options", [{"tile": 16}, {"tile": "8,14"}, {"steps_per_task": 1}])
def test_cutting_does_not_matter(finished: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """To one unit in the last place."""
    run(tmp_path / "b.zarr", **options)
    assert ulps(pixels(tmp_path / "b.zarr"), pixels(finished)) <= 1


@pytest.mark.long
def test_processes_give_the_bits_of_threads(finished: Path, tmp_path: Path) -> None:
    """Two worker processes with the same plan."""
    run(tmp_path / "b.zarr", cluster="local", workers=2, threads=1)
    assert np.array_equal(pixels(tmp_path / "b.zarr"), pixels(finished))


def test_layout(finished: Path) -> None:
    """Dimensions, chunks, coordinates with units in the common frame; the version."""
    root: Any = zarr.open_group(finished, mode="r")
    assert root.attrs["format_version"] == schema.FORMAT_VERSION
    assert root["image"].metadata.dimension_names == ("panel", "slow", "fast")
    assert root["image"].chunks == (1, 8, 8)
    assert root["tiles"].shape == (3, 2, 2, len(schema.FIELDS))
    assert root["panel"][:].tolist() == ["left", "tilted", "skew 2"]
    assert root["n_fast"][:].tolist() == [12, 9, 14]
    assert root["pitch_slow"][:].tolist() == [4e-4, 5e-4, 6e-4]
    # (x, y, z) of the common frame is (-z, y, x) of the lab.
    assert root["origin"][0].tolist() == [0.006, 0.006, 0.1]
    assert root["fast_axis"][0].tolist() == [-1.0, 0.0, 0.0]
    for name in schema.PANEL_COORDINATES[1:]:
        assert root[name].attrs["units"] in ("pixel", "m", "1")
    assert {path.name for path in finished.iterdir()} == schema.ENTRIES - schema.SOME


def test_xarray_opens_it(finished: Path) -> None:
    """By name of the panel, with coordinates, without warnings; as a tree too."""
    dataset = xarray.open_zarr(finished)
    part = dataset["image"].sel(panel="tilted")
    assert np.array_equal(part.values, pixels(finished)[1])
    assert float(part["pitch_slow"]) == 5e-4
    assert set(schema.PANEL_COORDINATES) <= set(dataset.coords)
    assert dataset["image"].dims == ("panel", "slow", "fast")
    tree = xarray.open_datatree(finished, engine="zarr")
    assert tree["image"].shape == (3, 11, 14)


def test_lazy_images_have_the_same_bits(finished: Path) -> None:
    """Of the experiment, and of the store with its checksums."""
    lazy = image(EXPERIMENT, tile=8)
    assert lazy.dims == ("panel", "slow", "fast")
    assert lazy.chunks == ((1, 1, 1), (8, 3), (8, 6))
    assert np.array_equal(lazy.values, pixels(finished))
    chosen = lazy.sel(panel="skew 2")[2:9, 3:13]
    assert np.array_equal(chosen.values, pixels(finished)[2, 2:9, 3:13])
    checked = open_store(finished, check=True)["image"]
    assert np.array_equal(checked.values, pixels(finished))
    assert np.array_equal(checked[1, 4:, 2:].values, pixels(finished)[1, 4:, 2:])


def test_a_reader_gives_panels(finished: Path) -> None:
    """Of their own size, checked or not."""
    reader = StoreReader(finished)
    assert [panel.name for panel in reader.panels] == ["left", "tilted", "skew 2"]
    whole = pixels(finished)
    for number, panel in enumerate(reader.panels):
        one = reader.image_of(number)
        assert one.shape == (panel.n_slow, panel.n_fast)
        expected = whole[number, : panel.n_slow, : panel.n_fast]
        assert np.array_equal(one[:, :], expected)
        assert np.array_equal(one[2:7, 3:], expected[2:7, 3:])
        tile = reader.grid[number * 4]._replace(slow0=1, fast1=7)
        found = CheckedImage(reader).read(tile)
        assert np.array_equal(found, expected[1:8, :7])


def test_resolution_by_panel(finished: Path) -> None:
    """What .nbdask gives is of the panel that was chosen, which has to be one."""
    dataset = nbdask.open(finished)
    seen = Directions.of(EXPERIMENT, 1)
    one = dataset["image"].isel(panel=1)
    found = one.nbdask.resolution()[3, 5].values
    assert float(found) == pytest.approx(float(seen.resolution(3, 5)) * 1e10, rel=1e-6)
    line = one.nbdask.rings([5.0])[5.0]
    inside = line[~np.isnan(line).any(axis=1)][0]
    assert float(seen.resolution(*inside)) == pytest.approx(5e-10, rel=1e-6)
    with pytest.raises(InputError, match="an image of 3 panels: choose one of them first"):
        dataset["image"].nbdask.resolution()
    with pytest.raises(InputError, match="the coordinate panel is gone"):
        one.drop_vars("panel").nbdask.resolution()


def test_verify_finds_damage_and_repair_mends_it(store: Path, finished: Path) -> None:
    """In the tile and panel where it is; what is recomputed has the same bits."""
    assert verify(store, recompute=4).ok
    key = store / "image" / "c" / "2" / "1" / "0"
    key.write_bytes(key.read_bytes()[:-3])
    found = verify(store)
    assert [fault.index for fault in found.faults] == [10]
    assert "tile 10 (panel 2, slow 8 to 11, fast 0 to 8): corrupt" in str(found.faults[0])
    with pytest.raises(StoreError, match=r"tile 10 \(panel 2, slow 8 to 11"):
        open_store(store, check=True)["image"].compute()
    repair(store)
    assert verify(store).ok
    assert np.array_equal(pixels(store), pixels(finished))


def test_altered_coordinates_are_found(store: Path) -> None:
    """They follow from the experiment."""
    origin: Any = zarr.open_array(store, path="origin", mode="r+")
    origin[1, 2] = 0.5
    (line,) = verify(store).altered
    assert line == "the coordinates origin are not those of the experiment's panels"
    shutil.rmtree(store / "n_slow")
    assert any("n_slow" in line for line in verify(store).remarks)


def test_resume_computes_what_is_missing(store: Path, finished: Path) -> None:
    """Tiles whose files are gone, in the last panel too; another geometry is refused."""
    shutil.rmtree(store / "image" / "c" / "1")
    lose_records(store, 11)
    changes = {"status": "running", "ended": None, "statistics": None}
    update_attributes(store, changes)
    result = run(store, resume=True)
    assert np.array_equal(pixels(store), pixels(finished))
    assert any("computed again: 4" in note for note in result.notes)
    moved = several((*PANELS[:2], replace(PANELS[2], pitch_fast=3.1e-4)))
    with pytest.raises(StoreError, match=r"detector.panels 3.pitch_fast: 0.0003 -> 0.00031"):
        simulate(moved, store, tile=8, resume=True)


def test_c_semantics_by_panel(tmp_path: Path) -> None:
    """The first evaluation of each panel is spared, as in runs of C for one panel after another."""
    turning = several(scan=Scan(phi0=0.0, osc=0.02, count=2), semantics="c")
    simulate(turning, tmp_path / "a.zarr", tile=8)
    for number, panel in enumerate(PANELS):
        simulate(alone(turning, number), tmp_path / f"{number}.zarr", tile=8)
        ours = pixels(tmp_path / "a.zarr")[number, : panel.n_slow, : panel.n_fast]
        assert np.array_equal(ours, pixels(tmp_path / f"{number}.zarr"))


def test_what_follows_from_the_experiment() -> None:
    """The panel in the beam, or the first; resolutions over all borders."""
    values = Realised.of(EXPERIMENT)
    assert (values.panels, values.beam_panel) == (3, "skew 2")
    slow, fast = values.beam_centre_px
    assert 0.0 < slow < 8.0
    assert 0.0 < fast < 14.0
    assert Realised.of(several(PANELS[:2])).beam_panel == "left"
    finest = min(Realised.of(alone(EXPERIMENT, n)).corner_m or 1.0 for n in range(3))
    assert values.corner_m == pytest.approx(finest)
    rows = dict(values.rows())
    assert "meets the plane of panel skew 2" in rows["beam"]
    assert "nearest to the beam" in rows["edges"]
    assert "outermost corner" in rows["edges"]


def test_toml_holds_panels(tmp_path: Path) -> None:
    """Written and read again they are the same; nanoBragg's flags cannot say them."""
    path = tmp_path / "a.toml"
    path.write_text(to_toml(EXPERIMENT))
    assert from_toml(path) == EXPERIMENT
    with pytest.raises(FlagError, match=r"detector\.panels"):
        to_args(EXPERIMENT)


def test_what_takes_one_panel_only(finished: Path, tmp_path: Path) -> None:
    """Refused in one line that says how many there are."""
    words = f"{finished} holds 3 panels: must be a store of one"
    for work in (
        lambda: export(finished, tmp_path / "a.img"),
        lambda: noise(finished, tmp_path / "b.zarr", Pipeline((PoissonC(),), 1)),
    ):
        with pytest.raises(StoreError, match=words):
            work()
    assert list(tmp_path.iterdir()) == []


def test_shards_give_the_bits_of_one_run(finished: Path, tmp_path: Path) -> None:
    """A tile's number says its panel, so shards know of no panels."""
    store = tmp_path / "a.zarr"
    for shard in ("2/2", "1/2"):
        simulate_shard(EXPERIMENT, store, shard, Settings(tile=8, threads=1))
    assert np.array_equal(pixels(store), pixels(finished))
    one, two = StoreReader(store).attributes, StoreReader(finished).attributes
    assert one["statistics"] == two["statistics"]
    assert one["status"] == "complete"


def test_a_background_of_each_panel() -> None:
    """Scattering of water has the bits that it has on the panel alone."""
    wet = several(background=Background(materials=(Material(thickness=1e-4, table="water"),)))
    whole = image(wet, tile=8).values
    for number, panel in enumerate(PANELS):
        own = image(alone(wet, number), tile=8).values
        assert np.array_equal(whole[number, : panel.n_slow, : panel.n_fast], own)
        assert own.max() > image(alone(EXPERIMENT, number), tile=8).values.max()

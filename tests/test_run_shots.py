"""Runs of a series: the pixels of shots, the store, and what reads, checks and finishes it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import nbdask
from nbdask.cli.main import main
from nbdask.derive.assembly import open_levels
from nbdask.derive.at_once import Noise
from nbdask.derive.noise import noise
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.psf import GaussianPSF
from nbdask.derive.pyramid import build_pyramid
from nbdask.derive.steps import Poisson, PoissonC, Saturation
from nbdask.errors import FieldError, InputError, PlanError, StoreError, UnfinishedError
from nbdask.graph import tasks
from nbdask.lazy import image
from nbdask.parity.compare import compare
from nbdask.parity.errors import ParityUsageError, ShapeError
from nbdask.prepare import Settings, prepare
from nbdask.run import simulate
from nbdask.shards import simulate_shard
from nbdask.shots import Orientations, Series, Table
from nbdask.store import schema
from nbdask.store.create import update_attributes
from nbdask.store.open import open_store, read_summary
from nbdask.store.reader import StoreReader
from nbdask.verification import repair, verify
from tests.helpers import lose_records
from tests.panels.several import several

FLAGS = (
    "-lambda 1 -distance 20 -pixel 1 -detpixels_x 20 -detpixels_y 14 -cell 40 50 60 90 90 90"
    " -N 3 -default_F 100 -fluence 1e28 -oversample 1"
)
COMMON = nbdask.from_args(FLAGS.split())
VARIATIONS = (Orientations(1), Table({"beam.fluence": np.array([1e28, 2e28, 3e28, 1e28])}))
SERIES = Series(COMMON, 4, VARIATIONS, 3)
SHOTS = Series(several(), 3, (Orientations(1),), 3)


def run(path: Path, series: Series = SERIES, **options: Any) -> Any:
    """A run of the series."""
    return simulate(series, path, **{"tile": 8, "threads": 2, "progress": False, **options})


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


def test_each_shot_has_the_bits_of_a_run_alone(finished: Path, tmp_path: Path) -> None:
    """S-STORE-62: a shot is the image of its experiment; all differ."""
    whole = pixels(finished)
    assert whole.shape == (4, 14, 20)
    for number in range(4):
        one = tmp_path / f"{number}.zarr"
        simulate(SERIES.shot(number), one, tile=8, progress=False)
        assert np.array_equal(whole[number], pixels(one))
        assert whole[number].max() > 0.0
    assert len({shot.tobytes() for shot in whole}) == 4


def test_panels_of_each_shot(tmp_path: Path) -> None:
    """S-STORE-62: shots come before panels, and each has the bits of the image alone."""
    run(tmp_path / "a.zarr", SHOTS)
    whole = pixels(tmp_path / "a.zarr")
    assert whole.shape == (3, 3, 11, 14)
    for number in range(3):
        assert np.array_equal(whole[number], image(SHOTS.shot(number), tile=8).values)
    statistics = StoreReader(tmp_path / "a.zarr").attributes["statistics"]
    place = np.unravel_index(np.argmax(whole), whole.shape)
    names = ("shot", "panel", "slow", "fast")
    assert [statistics[f"max_{name}"] for name in names] == [int(index) for index in place]
    assert verify(tmp_path / "a.zarr", 5).ok


def test_a_shot_does_not_depend_on_how_many_there_are(finished: Path, tmp_path: Path) -> None:
    """S-STORE-62: a series of one has the dimension too, and the first shot's bits."""
    run(tmp_path / "b.zarr", replace(SERIES, n_shots=1))
    one = pixels(tmp_path / "b.zarr")
    assert one.shape == (1, 14, 20)
    assert np.array_equal(one[0], pixels(finished)[0])


@pytest.mark.parametrize("steps", [None, 1, 2])
def test_shots_of_different_numbers_of_steps(tmp_path: Path, steps: int | None) -> None:
    """S-STORE-63: each is cut as it is in a run alone, to the same bits."""
    spread = nbdask.from_args([*FLAGS.split(), "-mosaic_spread", "1", "-mosaic_domains", "2"])
    counts = Table({"crystal.mosaic_domains": np.array([2.0, 1.0, 5.0])})
    series = Series(spread, 3, (counts,))
    if [series.shot(n).crystal.mosaic_domains for n in range(3)] != [2, 1, 5]:
        pytest.fail("the table does not set the number of domains")
    run(tmp_path / "a.zarr", series, steps_per_task=steps)
    for number in range(3):
        alone = image(series.shot(number), tile=8, steps_per_task=steps).values
        assert np.array_equal(pixels(tmp_path / "a.zarr")[number], alone)


def test_layout(finished: Path) -> None:
    """S-STORE-62, S-STORE-64: dimensions, chunks, records, what varies; the version."""
    root: Any = zarr.open_group(finished, mode="r")
    assert root.attrs["format_version"] == schema.NEWEST_VERSION
    assert root["image"].metadata.dimension_names == ("shot", "slow", "fast")
    assert root["image"].chunks == (1, 8, 8)
    assert root["tiles"].shape == (4, 2, 3, len(schema.FIELDS))
    assert root["shot"][:].tolist() == [0, 1, 2, 3]
    assert root["shots/values/beam.fluence"][:].tolist() == [1e28, 2e28, 3e28, 1e28]
    assert {path.name for path in finished.iterdir()} == {
        *("zarr.json", "image", "tiles", "slow", "fast", "shot", "shots")
    }


def test_the_store_says_what_varies(finished: Path) -> None:
    """S-STORE-64: as coordinates along shot, and as the series itself."""
    data = open_store(finished)
    assert data["image"].dims == ("shot", "slow", "fast")
    assert data["beam.fluence"].sel(shot=2) == 3e28
    assert data["image"].sel(shot=1).shape == (14, 20)
    assert StoreReader(finished).series == SERIES
    checked = open_store(finished, check=True)["image"]
    assert np.array_equal(checked.sel(shot=[3, 1]).values, pixels(finished)[[3, 1]])


def test_large_tables_are_arrays_beside_the_image(tmp_path: Path) -> None:
    """S-STORE-64: the store alone gives the series back, and verify sees a changed table."""
    table = Table({"beam.fluence": np.linspace(1e28, 2e28, 20_000)})
    series = Series(COMMON, 2, (table,))
    run(tmp_path / "a.zarr", series)
    assert "data" not in StoreReader(tmp_path / "a.zarr").attributes["series"]["variations"][0]
    assert StoreReader(tmp_path / "a.zarr").series == series
    root: Any = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    root[f"shots/tables/{table.sha256}"][0, 5] = 1.0
    with pytest.raises(StoreError, match="the series on record cannot be read"):
        verify(tmp_path / "a.zarr")


def test_one_shot_is_read_as_an_image(finished: Path) -> None:
    """S-STORE-65: its pixels, records, experiment and statistics."""
    reader = StoreReader(finished).at(2)
    assert reader.grid.shots == 0
    assert reader.experiment == SERIES.shot(2)
    assert np.array_equal(np.asarray(reader.image[...]), pixels(finished)[2])
    alone = image(SERIES.shot(2), tile=8).values
    assert reader.attributes["statistics"]["max"] == alone.max()
    assert reader.done().tolist() == [True] * 6
    for number in (-1, 4):
        with pytest.raises(StoreError, match=f"--shot {number}: .* from 0 to 3"):
            StoreReader(finished).at(number)


def test_resuming_finishes_it(store: Path, finished: Path) -> None:
    """S-STORE-18: only what is missing is computed; other shots are refused."""
    lose_records(store, 3, 20)
    done: list[int] = []
    run(store, resume=True, progress=lambda now, total: done.append(now))
    assert done == [23, 24]
    assert np.array_equal(pixels(store), pixels(finished))
    with pytest.raises(StoreError, match="seed: 3 -> 4"):
        run(store, replace(SERIES, seed=4), resume=True)
    with pytest.raises(StoreError, match=r"shape: \[4, 14, 20\] -> \[3, 14, 20\]"):
        run(store, replace(SERIES, n_shots=3), resume=True)


def test_verify_and_repair(store: Path, finished: Path) -> None:
    """S-STORE-30, S-STORE-31, S-STORE-32: a damaged tile is named with its shot, and mended."""
    assert verify(store, 6, seed=1).ok
    (store / "image" / "c" / "2" / "1" / "0").write_bytes(b"nonsense")
    found = verify(store)
    assert [(fault.index, fault.tile.shot) for fault in found.faults] == [(15, 2)]
    assert "shot 2, slow 8 to 14" in str(found.faults[0])
    repair(store)
    assert verify(store).ok
    assert np.array_equal(pixels(store), pixels(finished))


def test_verify_compares_what_varies(store: Path) -> None:
    """S-STORE-64: with the series on record."""
    root: Any = zarr.open_group(store, mode="r+")
    root["shots/values/beam.fluence"][1] = 7.0
    assert verify(store).altered == (
        "the values of beam.fluence are not those of the series' shots",
    )
    update_attributes(store, {"series": {**StoreReader(store).attributes["series"], "seed": 9}})
    assert "the fingerprint is not that of the experiment" in verify(store).altered


def test_shards_give_the_bits_of_one_run(finished: Path, tmp_path: Path) -> None:
    """S-STORE-55: a tile's number says its shot, so shards know of none."""
    for shard in ("2/3", "3/3", "1/3"):
        simulate_shard(SERIES, tmp_path / "a.zarr", shard, Settings(tile=8, threads=1))
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(finished))
    one, two = (StoreReader(path).attributes for path in (tmp_path / "a.zarr", finished))
    assert one["statistics"] == two["statistics"]
    assert one["status"] == "complete"


@pytest.mark.long
def test_processes_give_the_bits_of_threads(finished: Path, tmp_path: Path) -> None:
    """Two worker processes with the same plan."""
    run(tmp_path / "b.zarr", cluster="local", workers=2, threads=1)
    assert np.array_equal(pixels(tmp_path / "b.zarr"), pixels(finished))


def test_noise_of_a_shot_is_that_of_a_frame(finished: Path, tmp_path: Path) -> None:
    """S-NOISE-24: random numbers depend on seed, shot, panel and pixel alone."""
    pipeline = Pipeline((Poisson(),), 5, 10)
    noise(finished, tmp_path / "n.zarr", pipeline)
    noisy = pixels(tmp_path / "n.zarr")
    for number in range(4):
        simulate(SERIES.shot(number), tmp_path / f"{number}.zarr", tile=8, progress=False)
        one = tmp_path / f"noisy-{number}.zarr"
        noise(tmp_path / f"{number}.zarr", one, Pipeline((Poisson(),), 5, 10 + number), tile=10)
        assert np.array_equal(noisy[number], pixels(one))
    assert StoreReader(tmp_path / "n.zarr").series == SERIES
    assert verify(tmp_path / "n.zarr").ok
    with pytest.raises(FieldError, match="another one than that of the poisson noise"):
        noise(tmp_path / "n.zarr", tmp_path / "m.zarr", Pipeline((Poisson(),), 5, 13))
    with pytest.raises(FieldError, match=r"frame .* at most 4294967292 with 4 shots"):
        noise(finished, tmp_path / "m.zarr", Pipeline((Poisson(),), 5, 2**32 - 1))
    with pytest.raises(StoreError, match=r"--noise-rng c: .* holds 4 shot"):
        noise(finished, tmp_path / "m.zarr", Pipeline((PoissonC(),), 1))


def test_pyramids_of_shots(store: Path) -> None:
    """S-PYR-15: every shot has its own, also one by one."""
    build_pyramid(store, smallest=4, shots=(2,))
    root: Any = zarr.open_group(store, mode="r")
    level = root["pyramid/max/1/image"]
    assert level.shape == (4, 7, 10)
    assert np.isnan(level[[0, 1, 3]]).all()
    whole = pixels(store)
    expected = whole.reshape(4, 7, 2, 10, 2).max(axis=(2, 4))
    assert np.array_equal(level[2], expected[2])
    assert build_pyramid(store, smallest=4).missing == 0
    assert np.array_equal(level[:], expected)
    assert verify(store).ok


def test_a_shot_that_cannot_be_simulated_is_named(tmp_path: Path) -> None:
    """At the start where a look at few tells, else when its turn comes."""
    angles = np.radians([[90, 90], [100, 100], [130, 50], [80, 101], [90, 90], [90, 90]])
    columns = {f"crystal.cell.{name}": angles[:, k] for k, name in enumerate(("alpha", "beta"))}
    flat = nbdask.from_args(FLAGS.replace("90 90 90 -N", "90 90 170 -N").split())
    with pytest.raises(InputError, match="of shot 1"):
        run(tmp_path / "a.zarr", Series(flat, 6, (Table(columns),)))


def test_lazy_series(finished: Path) -> None:
    """S-STORE-67: nothing is computed but what is selected, to the bits of the store."""
    lazy = nbdask.series(SERIES, tile=8)
    assert lazy.dims == ("shot", "slow", "fast")
    assert lazy.chunks == ((1,) * 4, (8, 6), (8, 8, 4))
    assert lazy["beam.fluence"].values.tolist() == [1e28, 2e28, 3e28, 1e28]
    assert np.array_equal(lazy.isel(shot=slice(1, 3)).values, pixels(finished)[1:3])
    assert np.array_equal(lazy.sel(shot=3).values, pixels(finished)[3])
    several_panels = nbdask.series(SHOTS, tile=8)
    assert several_panels.dims == ("shot", "panel", "slow", "fast")
    assert several_panels.isel(shot=1, panel=2).values.max() > 0.0


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint16"])
def test_counts_alone_are_those_of_two_steps(finished: Path, tmp_path: Path, dtype: str) -> None:
    """S-NOISE-25: the same pixels as noise added to the photons; resumed, verified, repaired."""
    steps = Pipeline((Poisson(), Saturation(50.0)), 5)
    run(tmp_path / "c.zarr", treatment=Noise(steps), dtype=dtype)
    noise(finished, tmp_path / "n.zarr", steps, dtype=dtype)
    both = [StoreReader(tmp_path / name) for name in ("c.zarr", "n.zarr")]
    assert np.array_equal(pixels(tmp_path / "c.zarr"), pixels(tmp_path / "n.zarr"))
    assert pixels(tmp_path / "c.zarr").max() == 50.0
    assert both[0].attributes["statistics"] == both[1].attributes["statistics"]
    assert {reader.image.stored.dtype.name for reader in both} == {dtype}
    assert read_summary(tmp_path / "c.zarr")["dtype"] == dtype
    assert open_store(tmp_path / "c.zarr")["image"].dtype == np.float32
    lose_records(tmp_path / "c.zarr", 3)
    (tmp_path / "c.zarr" / "image" / "c" / "0" / "1" / "0").unlink()
    run(tmp_path / "c.zarr", treatment=Noise(steps), resume=True)
    assert np.array_equal(pixels(tmp_path / "c.zarr"), pixels(tmp_path / "n.zarr"))
    assert verify(tmp_path / "c.zarr", 5).ok
    with pytest.raises(StoreError, match=r"noise\.pipeline\.seed: 5 -> 6"):
        run(tmp_path / "c.zarr", treatment=Noise(replace(steps, seed=6)), resume=True)


def test_what_counts_alone_cannot_be(tmp_path: Path) -> None:
    """S-NOISE-25: steps that look beyond a tile, types that do not hold the pixels."""
    spread = Noise(Pipeline((Poisson(), GaussianPSF(1.0)), 5))
    with pytest.raises(FieldError, match=r"left out where a panel has 6 tiles: .* --tile 14,20"):
        run(tmp_path / "a.zarr", treatment=spread)
    run(tmp_path / "a.zarr", treatment=spread, tile="14,20")
    with pytest.raises(FieldError, match="float32: these pixels are no whole numbers"):
        run(tmp_path / "b.zarr", treatment=spread, dtype="int32", tile=20)
    with pytest.raises(FieldError, match="poisson_c"):
        run(tmp_path / "b.zarr", treatment=Noise(Pipeline((PoissonC(),), 5)))
    bright = Series(COMMON.replace(beam=replace(COMMON.beam, fluence=1e32)), 1)
    with pytest.raises(StoreError, match="do not fit uint16, which holds 0 to 65534"):
        run(tmp_path / "c.zarr", bright, treatment=Noise(Pipeline((Poisson(),), 5)), dtype="uint16")


def test_what_takes_one_image(finished: Path, tmp_path: Path) -> None:
    """S-STORE-65: refused in one line, rather than done to the first shot."""
    words = f"{finished} holds 4 shot.* of a series: must be a store of one image"
    with pytest.raises(StoreError, match=words):
        open_levels(finished)
    assert list(tmp_path.iterdir()) == []


def test_types_are_refused_by_their_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-STORE-68: what is named can be given."""
    words = [*FLAGS.split(), "--shots", "2", "--dtype", "int32", "--quiet"]
    assert main(["simulate", *words, "--out", str(tmp_path / "a.zarr")]) == 2
    said = capsys.readouterr().err
    assert "error: --dtype (int32): must be float32" in said
    assert "--integers" in said
    assert list(tmp_path.iterdir()) == []
    more = ["--keep-float", "no", "--no-poisson", "--integers", "--seed", "1"]
    assert main(["simulate", *words, *more, "--out", str(tmp_path / "a.zarr")]) == 0
    assert StoreReader(tmp_path / "a.zarr").image.stored.dtype == np.int32


def test_comparing_shot_by_shot(store: Path, finished: Path, tmp_path: Path) -> None:
    """S-PAR-20: a shot that differs is named; one shot is compared with an image."""
    assert (compare(store, finished).total.pixels, compare(store, finished).exit_code) == (1120, 0)
    other = tmp_path / "b.zarr"
    table = Table({"beam.fluence": np.array([1e28, 2e28, 4e28, 1e28])})
    run(other, Series(COMMON, 4, (Orientations(1), table), 3))
    outcome = compare(other, finished)
    assert {region.shot for region in outcome.failed} == {2}
    assert str(outcome.failed[0]) == "shot 2, slow 0 to 7, fast 0 to 7"
    simulate(SERIES.shot(2), tmp_path / "2.zarr", tile=8, progress=False)
    for pair in ((finished, tmp_path / "2.zarr"), (tmp_path / "2.zarr", finished)):
        assert compare(*pair, shot=2).total.differing == 0
        assert compare(*pair, shot=1).exit_code == 3
    with pytest.raises(ShapeError, match="4 shots of 14 x 20"):
        compare(finished, tmp_path / "2.zarr")
    with pytest.raises(ParityUsageError, match="--shot 2: neither is a store of a series"):
        compare(tmp_path / "2.zarr", tmp_path / "2.zarr", shot=2)
    with pytest.raises(StoreError, match=r"--shot 4: .* from 0 to 3"):
        compare(finished, finished, shot=4)


@pytest.mark.long
def test_comparing_panels_of_shots(tmp_path: Path) -> None:
    """S-PAR-20: block by block within each panel of each shot."""
    for name, seed in (("a.zarr", 1), ("b.zarr", 2)):
        run(tmp_path / name, Series(several(), 2, (Orientations(seed),)))
    assert compare(tmp_path / "a.zarr", tmp_path / "a.zarr").total.differing == 0
    failed = compare(tmp_path / "a.zarr", tmp_path / "b.zarr").failed
    assert {(region.shot, region.panel) for region in failed} == {
        (shot, panel) for shot in (0, 1) for panel in ("left", "tilted", "skew 2")
    }


def test_the_accessor_has_the_geometry_of_the_shot(tmp_path: Path) -> None:
    """S-STORE-82: distance, beam position and wavelength are those of the shot that is chosen."""
    moved = {
        "detector.distance": np.array([0.02, 0.03, 0.05]),
        "detector.beam_x": np.array([0.010, 0.012, 0.008]),
        "beam.wavelength": np.array([1e-10, 1.1e-10, 0.9e-10]),
    }
    series = Series(COMMON, 3, (Orientations(1), Table(moved)))
    run(tmp_path / "a.zarr", series)
    stored, lazy = nbdask.open(tmp_path / "a.zarr"), nbdask.series(series)
    for number in range(3):
        alone = nbdask.image(series.shot(number)).nbdask
        for found in (stored.isel(shot=number), stored["image"].sel(shot=number), lazy[number]):
            assert found.nbdask.experiment == series.shot(number)
            assert np.array_equal(found.nbdask.resolution(), alone.resolution())
            assert np.array_equal(found.nbdask.miller_index(), alone.miller_index())
    with pytest.raises(InputError, match="the coordinate shot is gone"):
        _ = stored["image"][1].drop_vars("shot").nbdask.experiment


def test_a_tile_that_fails_costs_its_shot_nothing_but_itself(tmp_path: Path, monkeypatch) -> None:
    """S-STORE-81: tiles of one task are on record although another one of them failed."""
    plan = prepare(SERIES, Settings(tile=8, threads=2))[1]
    assert plan.together == 6
    finish, failed = tasks.compute_tile, []

    def failing(context: Any, index: int) -> Any:
        if index == 10 and context.write_tile is not None:
            failed.append(index)
            raise OSError("odd")
        return finish(context, index)

    monkeypatch.setattr(tasks, "compute_tile", failing)
    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    with pytest.raises(UnfinishedError):
        run(tmp_path / "a.zarr")
    monkeypatch.undo()
    assert np.flatnonzero(~StoreReader(tmp_path / "a.zarr").done()).tolist() == [10, 11]
    run(tmp_path / "a.zarr", resume=True)
    run(tmp_path / "b.zarr", steps_per_task=1)
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))
    assert verify(tmp_path / "a.zarr").ok


def test_plans_count_all_shots() -> None:
    """S-STORE-63: costs come from a sample of shots; too many tiles are refused."""
    domains = Table({"crystal.mosaic_domains": np.array([1.0, 1.0, 99.0, 1.0, 1.0])})
    spread = nbdask.from_args([*FLAGS.split(), "-mosaic_spread", "1"])
    _, plan, _ = prepare(Series(spread, 5, (domains,)), Settings(tile=8))
    assert plan.grid.image_shape == (5, 14, 20)
    assert "image     5 shots x 14 x 20 pixels" in plan.describe()
    assert "tiles     5 shots x 2 x 3 = 30" in plan.describe()
    _, even, _ = prepare(
        Series(spread, 5, (Table({"crystal.mosaic_domains": np.ones(5)}),)), Settings(tile=8)
    )
    assert plan.estimate.computing == pytest.approx(even.estimate.computing * 103 / 5)
    with pytest.raises(PlanError, match=r"tiles: must be at most .* or fewer shots"):
        prepare(Series(COMMON, 10**7), Settings(tile=8))

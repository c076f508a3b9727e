"""Derivatives beside the image of a store: their bits, and that everything covers them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import FieldError, InputError, PlanError, StoreError
from nbdask.experiment import Background, Sampling
from nbdask.gradients.parameters import Parameter, parameters_of
from nbdask.plan.planes import check_backend
from nbdask.prepare import Settings, prepare
from nbdask.run import simulate
from nbdask.shards import simulate_shard
from nbdask.shots import Orientations, Series, Table
from nbdask.store.address import place_of
from nbdask.store.reader import StoreReader
from nbdask.store.schema import summary_of
from nbdask.store.write import TileWriter
from nbdask.verification import repair, verify
from tests.helpers import small_experiment
from tests.kernels.features import LIST, crystal
from tests.panels.several import several

EXPERIMENT = small_experiment(
    structure=LIST,
    crystal=crystal((4, 5, 6)),
    sampling=Sampling(oversample=2, roi=(3, 28, 2, 20)),
    background=Background(water=1e-6),
)
BY = "crystal.turn,crystal.cell.a,detector.distance"
FLAGS = [
    "-cell", "70", "80", "90", "90", "90", "90", "-default_F", "100", "-N", "5", "-lambda", "1",
    "-detpixels", "32", "-pixel", "0.4", "-distance", "60", "-oversample", "1",
]  # fmt: skip


def run(out, experiment=EXPERIMENT, **options):
    """Simulate with derivatives, in tiles of 8 x 8 pixels."""
    settings = {"gradient": BY, "tile": 8, "progress": False, **options}
    return simulate(experiment, out, **settings)


def arrays(out) -> dict[str, np.ndarray]:
    """Return image and derivatives of a store."""
    return {name: np.asarray(array[...]) for name, array in StoreReader(out).arrays.items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether all arrays of two stores have the same bits."""
    return list(one) == list(other) and all(one[n].tobytes() == other[n].tobytes() for n in one)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A complete store; not to be changed."""
    return Path(run(tmp_path_factory.mktemp("gradient") / "run.zarr").path)


def test_a_store_has_the_bits_of_gradient(store) -> None:
    """S-GRAD-41: float64, by name, with units and values; 0 outside the region of interest."""
    dataset, lazy = nbdask.open(store), nbdask.gradient(EXPERIMENT, BY)
    stored = dataset["gradient"]
    assert (stored.dims, stored.dtype) == (("parameter", "slow", "fast"), np.float64)
    assert stored.values.tobytes() == lazy["gradient"].values.tobytes()
    for name in ("parameter", "unit", "value"):
        assert (stored[name].values == lazy[name].values).all()
    assert stored.attrs["units"] == lazy["gradient"].attrs["units"]
    one = stored.sel(parameter="crystal.cell.a")
    assert one.shape == dataset.image.shape
    assert float(abs(one[0]).max()) == 0.0
    assert float(abs(one).max()) > 0.0


def test_the_image_keeps_its_bits(store, tmp_path) -> None:
    """S-GRAD-41: with and without derivatives, and with planes beside both."""
    plain = arrays(run(tmp_path / "plain.zarr", gradient=None).path)
    assert list(plain) == ["image"]
    ours = arrays(store)
    assert ours["image"].tobytes() == plain["image"].tobytes()
    both = arrays(run(tmp_path / "both.zarr", planes="hkl").path)
    assert list(both) == ["image", "h", "k", "l", "gradient"]
    assert both["gradient"].tobytes() == ours["gradient"].tobytes()
    assert verify(tmp_path / "both.zarr", recompute=2).ok


@pytest.mark.parametrize(
    "options", [{"tile": (16, 32), "threads": 1}, {"precision": "mixed"}, {"steps_per_task": 2}]
)
def test_how_a_run_is_done_changes_no_derivative(store, tmp_path, options) -> None:
    """S-GRAD-41: tiles, threads, precision and step ranges of the image."""
    other = arrays(run(tmp_path / "other.zarr", **options).path)
    assert other["gradient"].tobytes() == arrays(store)["gradient"].tobytes()


def test_numpy_and_single_parameters(store, tmp_path) -> None:
    """S-GRAD-41: the kernel of the image; one parameter alone is a plain array of tiles."""
    made = run(tmp_path / "n.zarr", backend="numpy", gradient="detector.distance").path
    wanted = nbdask.gradient(EXPERIMENT, "detector.distance", backend="numpy")["gradient"].values
    assert arrays(made)["gradient"].tobytes() == wanted.tobytes()
    assert StoreReader(made).arrays["gradient"].shards is None
    assert verify(made, recompute=2).ok


def test_ties(tmp_path) -> None:
    """S-GRAD-46: NAME=FIELD+FIELD, with factors; what is recorded is what was asked for."""
    text = "edge=crystal.cell.a+2*crystal.cell.b"
    made = run(tmp_path / "t.zarr", gradient=text).path
    tied = Parameter("edge", {"crystal.cell.a": 1, "crystal.cell.b": 2})
    wanted = nbdask.gradient(EXPERIMENT, tied)["gradient"].values
    assert arrays(made)["gradient"].tobytes() == wanted.tobytes()
    recorded = StoreReader(made).attributes["plan"]["gradient"]
    fields = {"crystal.cell.a": 1.0, "crystal.cell.b": 2.0}
    assert recorded == [{"name": "edge", "unit": "m", "fields": fields, "value": 0.0}]
    assert parameters_of(text)[0].fields == tied.fields


@pytest.mark.parametrize(
    "text", ["=crystal.cell.a", "e=x*crystal.cell.a", "e=crystal.cell.a+crystal.cell.a", "e="]
)
def test_ties_that_are_none(text) -> None:
    """S-GRAD-46: one line that names what was given."""
    with pytest.raises(FieldError, match="parameter = "):
        parameters_of(text)


def test_panels(tmp_path) -> None:
    """S-GRAD-41: of several panels, with their coordinates."""
    run(tmp_path / "p.zarr", several(), tile=16, gradient="detector.shift.x,crystal.cell.b")
    stored = nbdask.open(tmp_path / "p.zarr")["gradient"]
    assert stored.dims == ("parameter", "panel", "slow", "fast")
    lazy = nbdask.gradient(several(), "detector.shift.x,crystal.cell.b")["gradient"]
    assert stored.values.tobytes() == lazy.values.tobytes()
    assert {"origin", "unit"} <= set(nbdask.open(tmp_path / "p.zarr").coords)
    assert verify(tmp_path / "p.zarr").ok


def test_shots_of_a_series(tmp_path) -> None:
    """S-GRAD-42: each shot is differentiated where it is, and opens as a store of one image."""
    waves = Table({"beam.wavelength": np.array([1.0e-10, 1.01e-10, 1.02e-10])})
    series = Series(EXPERIMENT, 3, (Orientations(1), waves), 3)
    made = run(tmp_path / "s.zarr", series, tile=16).path
    stored = nbdask.open(made)["gradient"]
    assert stored.dims == ("parameter", "shot", "slow", "fast")
    assert "value" not in stored.coords
    for shot in range(3):
        wanted = nbdask.gradient(series.shot(shot), BY)["gradient"].values
        assert stored.sel(shot=shot).values.tobytes() == wanted.tobytes()
        assert StoreReader(made).at(shot).arrays["gradient"][...].tobytes() == wanted.tobytes()
    checked = nbdask.open(made, check=True)["gradient"]
    part = checked.isel(parameter=[4, 1], shot=slice(1, 3), slow=slice(20, 3, -2), fast=7)
    assert np.array_equal(part.values, stored.values[[4, 1], 1:3, 20:3:-2, 7])
    assert verify(made, recompute=3).ok


def damage(store: Path, tile: str) -> None:
    """Change one byte of a tile's derivatives."""
    file = store / "gradient" / "c" / tile
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)


def test_damage_is_found_and_repaired(store, tmp_path) -> None:
    """S-GRAD-43: a checksum of their own; a repair gives the bits back."""
    made = Path(run(tmp_path / "run.zarr").path)
    damage(made, "0/1/1")
    (made / "gradient" / "c" / "0" / "2" / "0").unlink()
    found = [str(fault) for fault in verify(made).faults]
    assert [text.split(" (")[0] for text in found] == ["tile 4", "tile 6"]
    assert all("gradient" in text for text in found)
    with pytest.raises(StoreError, match=r"tile [46] .* is damaged"):
        nbdask.open(made, check=True)["gradient"].compute()
    repair(made)
    assert verify(made, recompute=12).ok
    assert same(arrays(made), arrays(store))


def test_other_values_under_a_right_checksum_are_found(tmp_path) -> None:
    """S-GRAD-43: verify --recompute compares derivatives; their names and units are covered."""
    made = Path(run(tmp_path / "run.zarr").path)
    reader = StoreReader(made)
    planes = {"gradient": reader.tile(4, "gradient") + 1e-9}
    record = summary_of(list((reader.record(4) or {}).values()))
    TileWriter(place_of(made))(4, reader.grid[4], reader.tile(4), record, planes)
    assert not verify(made).faults
    assert "gradient: " in str(verify(made, recompute=12).faults[0])
    assert not verify(made).altered
    (made / "value" / "c" / "0").unlink()
    assert verify(made).altered == (
        "the coordinates value are not those of the recorded parameters",
    )


def test_resume_computes_what_is_missing(store, tmp_path) -> None:
    """S-GRAD-44: a lost file is a lost tile; other parameters are refused."""
    made = Path(run(tmp_path / "run.zarr").path)
    (made / "gradient" / "c" / "0" / "0" / "2").unlink()
    result = run(made, gradient=None, resume=True)
    assert any("computed again: 1" in note for note in result.notes)
    assert same(arrays(made), arrays(store))
    with pytest.raises(StoreError, match=r"gradient: crystal.turn.x,.*distance -> crystal.turn.x,"):
        run(made, gradient="crystal.turn", resume=True)
    with pytest.raises(StoreError, match=r" -> e=1\*crystal.cell.a\+2\*crystal.cell.b\."):
        run(made, gradient="e=crystal.cell.a+2*crystal.cell.b", resume=True)


def test_shards_join(store, tmp_path) -> None:
    """S-GRAD-44: each writes its tiles' derivatives; one by other parameters is refused."""
    out = tmp_path / "s.zarr"
    for number in (1, 2):
        settings = Settings(tile=8, gradient=BY, backend="cpu")
        simulate_shard(EXPERIMENT, out, f"{number}/2", settings)
    assert same(arrays(out), arrays(store))
    with pytest.raises(StoreError, match="gradient: "):
        simulate_shard(EXPERIMENT, out, "1/2", Settings(tile=8, gradient="crystal.turn"))


@pytest.mark.long
def test_processes_give_the_same_bits(store, tmp_path) -> None:
    """S-GRAD-41: on a cluster of this machine's processes."""
    made = run(tmp_path / "l.zarr", cluster="local", workers=2, threads=1).path
    assert same(arrays(made), arrays(store))


def test_a_noisy_copy_has_none(store, tmp_path) -> None:
    """S-GRAD-44: what is made of an image is of the image alone."""
    assert main(["noise", str(store), "--out", str(tmp_path / "n.zarr"), "--seed", "1"]) == 0
    assert list(arrays(tmp_path / "n.zarr")) == ["image"]
    assert verify(tmp_path / "n.zarr").ok


def test_plans_know_them() -> None:
    """S-GRAD-45: time, memory and disk, and one line of the plan."""
    _, plain, _ = prepare(EXPERIMENT, Settings(backend="cpu", tile=8))
    _, plan, _ = prepare(EXPERIMENT, Settings(backend="cpu", tile=8, gradient=BY))
    assert plan.task_bytes >= plain.task_bytes + 8 * 8 * 8 * 5
    assert plan.estimate.computing > 2 * plain.estimate.computing
    assert "crystal.cell.a, detector.distance, as float64" in plan.describe()
    assert "gradient" not in plain.describe()


def test_what_is_refused_leaves_nothing(tmp_path) -> None:
    """S-GRAD-45: before anything is written, in one line."""
    out = tmp_path / "no.zarr"
    with pytest.raises(FieldError, match=r"--gradient = 'background.x': must be a name"):
        run(out, gradient="background.x")
    with pytest.raises(FieldError, match=r"--gradient = .*one that can be refined here"):
        run(out, gradient="crystal.fudge")
    with pytest.raises(FieldError, match="--gradient = ',': must be at least one name"):
        run(out, gradient=",")
    series = Series(EXPERIMENT, 2, (Orientations(1),))
    with pytest.raises((FieldError, InputError)):
        run(out, series, gradient="detector.shift.x")
    with pytest.raises(PlanError, match="--gradient with --backend cuda: derivatives in a store"):
        check_backend((), "cuda", gradient=True)
    assert not out.exists()


def test_the_command_line(tmp_path, capsys) -> None:
    """S-GRAD-41, S-GRAD-45: the option, its plan and its refusals."""
    out = str(tmp_path / "run.zarr")
    argv = ["simulate", *FLAGS, "--out", out, "--quiet"]
    assert main([*argv, "--gradient", "crystal.celt"]) == 2
    error = capsys.readouterr().err.strip()
    assert "did you mean crystal.cell" in error
    assert "\n" not in error
    assert main([*argv, "--gradient", "crystal.turn", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "gradient  by crystal.turn.x, crystal.turn.y, crystal.turn.z, as float64" in told
    assert not Path(out).exists()
    assert main([*argv, "--gradient", "crystal.turn,edge=crystal.cell.a+crystal.cell.b"]) == 0
    assert main(["info", out]) == 0
    assert "crystal.turn.z [rad], edge [m]" in capsys.readouterr().out
    names = nbdask.open(out)["parameter"].values.tolist()
    assert names == ["crystal.turn.x", "crystal.turn.y", "crystal.turn.z", "edge"]


@pytest.mark.parametrize(
    "wrong",
    [
        [{"name": "a"}],
        "crystal.turn",
        [],
        [{"name": "a", "unit": "m", "fields": {}}],
        [{"name": "a", "unit": "m", "fields": {"crystal.cell.a": "x"}}],
    ],
)
def test_damaged_records_are_told(store, tmp_path, wrong) -> None:
    """S-GRAD-43: in one line that names the attribute."""
    made = Path(run(tmp_path / "run.zarr").path)
    root = json.loads((made / "zarr.json").read_text())
    root["attributes"]["plan"]["gradient"] = wrong
    (made / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match=r"is damaged: attribute plan.gradient of its root is"):
        StoreReader(made)

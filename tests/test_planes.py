"""Planes beside the image of a store: what they hold, and that everything covers them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import PlanError, StoreError
from nbdask.experiment import Background, Sampling, SourcePoint, Sources
from nbdask.geometry.build import build_model
from nbdask.kernels.planes import planes_of
from nbdask.kernels.registry import get_kernel
from nbdask.plan.planes import check_backend
from nbdask.plan.tiles import Tile
from nbdask.prepare import Settings, prepare
from nbdask.run import simulate
from nbdask.shards import simulate_shard
from nbdask.store.address import place_of
from nbdask.store.reader import StoreReader
from nbdask.store.schema import summary_of
from nbdask.store.write import TileWriter
from nbdask.verification import repair, verify
from tests.helpers import small_experiment, whole
from tests.kernels.features import LIST, crystal
from tests.panels.several import several

NAMES = ("wavelength", "h", "k", "l")
COLOURS = tuple(
    SourcePoint(-1.0, 0.0, 0.0, weight, wavelength)
    for weight, wavelength in ((1.0, 0.95e-10), (3.0, 1.0e-10), (0.5, 1.08e-10))
)
EXPERIMENT = small_experiment(
    structure=LIST,
    crystal=crystal((4, 5, 6)),
    sources=Sources(points=COLOURS, weights="apply"),
    sampling=Sampling(oversample=2, roi=(3, 28, 2, 20)),
    background=Background(water=1e-6),
)


def run(out, experiment=EXPERIMENT, **options):
    """Simulate with both planes, in tiles of 8 x 8 pixels."""
    return simulate(experiment, out, **{"planes": "wavelength,hkl", "tile": 8, **options})


def arrays(out) -> dict[str, np.ndarray]:
    """Return image and planes of a store."""
    return {name: np.asarray(array[...]) for name, array in StoreReader(out).arrays.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A complete store; not to be changed."""
    return Path(run(tmp_path_factory.mktemp("planes") / "run.zarr").path)


def damage(store: Path, name: str, tile: str) -> None:
    """Change one byte of a tile of an array."""
    file = store / name / "c" / tile
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_a_store_has_the_means_of_each_pixel(store) -> None:
    """S-PLANE-06: beside the image, alike; NaN outside the region of interest, units in place."""
    dataset = nbdask.open(store)
    model = build_model(EXPERIMENT)
    found = planes_of(get_kernel("cpu"), model, whole(model))
    slow0, slow1, fast0, fast1 = model.roi
    inside = np.zeros(dataset.image.shape, dtype=bool)
    inside[slow0 : slow1 + 1, fast0 : fast1 + 1] = True
    for name in NAMES:
        array = dataset[name]
        assert (array.dims, array.dtype) == (("slow", "fast"), np.float32)
        assert array.chunks == dataset.image.chunks
        assert array.attrs["units"] == ("m" if name == "wavelength" else "1")
        values = array.to_numpy()
        same = getattr(found, name).astype(np.float32)
        assert (values[inside] == same[inside]).all()
        assert np.isnan(values[~inside]).all()
    assert (dataset.image.to_numpy()[~inside] == 0).all()


def test_the_image_keeps_its_bits(store, tmp_path) -> None:
    """S-PLANE-05: with and without planes, and one plane alone is that of both."""
    plain = arrays(run(tmp_path / "plain.zarr", planes=None).path)
    assert list(plain) == ["image"]
    assert "planes" not in StoreReader(tmp_path / "plain.zarr").attributes["plan"]
    one = arrays(run(tmp_path / "one.zarr", planes=["hkl"]).path)
    assert list(one) == ["image", "h", "k", "l"]
    both = arrays(store)
    assert both["image"].tobytes() == plain["image"].tobytes() == one["image"].tobytes()
    assert both["h"].tobytes() == one["h"].tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 32), "threads": 1},
        {"precision": "mixed"},
        {"steps_per_task": 5},
        {"backend": "numpy"},
    ],
)
def test_how_a_run_is_done_changes_no_plane(store, tmp_path, options) -> None:
    """S-PLANE-03: tiles, threads and precision to the bit; ranges and NumPy to the last digits."""
    ours, theirs = arrays(store), arrays(run(tmp_path / "other.zarr", **options).path)
    exact = "tile" in options or "precision" in options
    for name in NAMES:
        scale = 1e-10 if name == "wavelength" else 1.0
        bound = 0.0 if exact else 2e-6 * scale
        assert np.array_equal(np.isnan(ours[name]), np.isnan(theirs[name]))
        assert float(np.nanmax(np.abs(ours[name] - theirs[name]))) <= bound, name


def test_panels(tmp_path) -> None:
    """S-PLANE-06: of several panels each has its own, with their coordinates."""
    experiment = several()
    run(tmp_path / "p.zarr", experiment, tile=16)
    dataset, model = nbdask.open(tmp_path / "p.zarr"), build_model(experiment)
    assert dataset.h.dims == ("panel", "slow", "fast")
    assert dataset.h.encoding["coordinates"] == dataset.image.encoding["coordinates"]
    for panel in range(model.n_panels):
        view = model.at(panel)
        part = whole(view)._replace(panel=panel)
        found = planes_of(get_kernel("cpu"), model, part)
        slow, fast = part.shape
        stored = dataset.h.to_numpy()[panel, :slow, :fast]
        mask = None if view.mask is None else view.mask.read(*part.bounds)
        wanted = found.h.astype(np.float32)
        if mask is not None:
            wanted[~mask] = np.nan
        assert np.array_equal(stored, wanted, equal_nan=True)


def test_damage_is_found_and_repaired(store, tmp_path) -> None:
    """S-PLANE-07: planes have checksums of their own; a repair gives the bits back."""
    made = run(tmp_path / "run.zarr").path
    before = arrays(made)
    assert verify(made, recompute=3).ok
    damage(Path(made), "k", "1/1")
    (Path(made) / "wavelength" / "c" / "2" / "0").unlink()
    found = [str(fault) for fault in verify(made).faults]
    assert [text.split(" (")[0] for text in found] == ["tile 4", "tile 6"]
    assert "k" in found[0]
    assert "wavelength" in found[1]
    with pytest.raises(StoreError, match=r"tile 4 .* is damaged"):
        nbdask.open(made, check=True).k.compute()
    assert np.isfinite(nbdask.open(made, check=True).l.to_numpy()).any()
    repair(made)
    assert verify(made, recompute=3).ok
    after = arrays(made)
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_other_values_under_a_right_checksum_are_found(tmp_path) -> None:
    """S-PLANE-07: verify --recompute compares planes, and the manifest covers their metadata."""
    made = run(tmp_path / "run.zarr").path
    reader = StoreReader(made)
    planes = {name: reader.tile(4, name) for name in NAMES}
    planes["l"] = planes["l"] + np.float32(1.0)
    record = summary_of(list((reader.record(4) or {}).values()))
    tile = Tile(8, 16, 8, 16)
    TileWriter(place_of(made))(4, tile, reader.tile(4), record, planes)
    assert not verify(made).faults
    assert "l: " in str(verify(made, recompute=12).faults[0])
    metadata = Path(made) / "h" / "zarr.json"
    changed = json.loads(metadata.read_text())
    changed["attributes"]["units"] = "m"
    metadata.write_text(json.dumps(changed))
    assert any("metadata of h " in text for text in verify(made).remarks)


def test_resume_computes_what_is_missing(store, tmp_path) -> None:
    """S-PLANE-07, S-PLANE-08: a lost file of a plane is a lost tile; other planes are refused."""
    made = Path(run(tmp_path / "run.zarr").path)
    (made / "h" / "c" / "0" / "2").unlink()
    result = run(made, planes=None, resume=True)
    assert any("computed again: 1" in note for note in result.notes)
    ours, theirs = arrays(made), arrays(store)
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    with pytest.raises(StoreError, match="planes: "):
        run(made, planes="hkl", resume=True)


def test_shards_join(store, tmp_path) -> None:
    """S-PLANE-08: each writes its tiles' planes; one with other planes is refused."""
    out = tmp_path / "s.zarr"
    settings = Settings(tile=8, planes="wavelength,hkl", backend="cpu")
    for number in (1, 2):
        simulate_shard(EXPERIMENT, out, f"{number}/2", settings)
    ours, theirs = arrays(out), arrays(store)
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    with pytest.raises(StoreError, match="planes: "):
        simulate_shard(EXPERIMENT, out, "1/2", Settings(tile=8, planes="hkl", backend="cpu"))


def test_a_noisy_copy_has_no_planes(store, tmp_path) -> None:
    """S-PLANE-08: what is made of an image is of the image alone."""
    assert main(["noise", str(store), "--out", str(tmp_path / "n.zarr"), "--seed", "1"]) == 0
    assert list(arrays(tmp_path / "n.zarr")) == ["image"]
    assert verify(tmp_path / "n.zarr").ok


def test_plans_know_them() -> None:
    """S-PLANE-09: time, memory and disk, and one line of the plan."""
    _, plain, _ = prepare(EXPERIMENT, Settings(backend="cpu", tile=8))
    _, plan, _ = prepare(EXPERIMENT, Settings(backend="cpu", tile=8, planes="hkl,wavelength"))
    assert plan.planes == ("wavelength", "hkl")
    assert plan.task_bytes > plain.task_bytes + 8 * 8 * 100
    assert plan.estimate.computing > 2 * plain.estimate.computing
    assert "wavelength, h, k, l" in plan.describe()
    assert "planes " not in plain.describe()


def test_the_command_line(tmp_path, capsys) -> None:
    """S-PLANE-05, S-PLANE-06: the option, its refusals, and no store behind them."""
    argv = ["simulate", "-cell", "70", "80", "90", "90", "90", "90", "-default_F", "100"]
    argv += ["-N", "5", "-lambda", "1", "-detpixels", "32", "-pixel", "0.4", "-oversample", "1"]
    out = tmp_path / "run.zarr"
    for words, said in (
        (["--planes", "energy"], "--planes = 'energy': must be wavelength or hkl"),
        (["--planes", "hkl,hkl"], "--planes = 'hkl,hkl': must name each once"),
        (["--planes", ""], "--planes = ''"),
        (["--planes", "hkl", "--backend", "cuda", "--dry-run"], "--backend"),
    ):
        assert main([*argv, "--out", str(out), *words]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert not out.exists()
    assert main([*argv, "--out", str(out), "--planes", "wavelength", "--quiet"]) == 0
    found = nbdask.open(out)
    assert float(found.wavelength.min()) == pytest.approx(1e-10, rel=1e-6)
    assert "h" not in found
    with pytest.raises(PlanError, match="--planes hkl with --backend cuda: planes are computed by"):
        check_backend(("hkl",), "cuda")

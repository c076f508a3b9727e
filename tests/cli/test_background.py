"""``--background``: images, records, resuming, traces, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import FlagError
from nbdask.flags import Own, from_toml, parse_args, to_args, to_toml
from nbdask.geometry.build import build_model
from nbdask.inputs.checksum import sha256_of
from nbdask.physics.coarse import amorphous_photons
from nbdask.plan.cost import Costs
from nbdask.plan.memory import task_bytes
from nbdask.store.reader import StoreReader
from tests.helpers import COSTS, whole

Captured = pytest.CaptureFixture[str]
WORDS = """-cell 50 60 70 90 90 90 -default_F 1 -N 5 -detpixels 40 -pixel 0.2 -distance 100
    -oversample 1 -flux 1e12 -exposure 1 -beamsize 0.1"""
FLAGS = WORDS.split()
BOTH = ["--background", "water:0.1mm", "--background", "own.stol:5mm:0.0012:28.97"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a table."""
    monkeypatch.chdir(tmp_path)
    x = np.linspace(0.0, 0.5, 60)
    rows = [f"{s:.5f} {14.0 * np.exp(-12.0 * s * s):.5f}" for s in x]
    (tmp_path / "own.stol").write_text("\n".join(rows) + "\n")


def simulated(store: str, *argv: str) -> np.ndarray:
    """Pixels of a small image."""
    words = ["simulate", *FLAGS, *argv, "--out", store, "--quiet"]
    assert main(words) == 0
    return np.asarray(nbdask.open(store).image)


def test_images_are_crystal_and_background(capsys: Captured) -> None:
    """The sum, whatever the tiles and the kernel; lazily too; none leaves the bits as they were."""
    plain, image = simulated("plain.zarr"), simulated("both.zarr", *BOTH, "--tile", "16")
    experiment = StoreReader("both.zarr").experiment
    model = build_model(experiment)
    expected = (plain + amorphous_photons(model, whole(model), None)).astype(np.float32)
    np.testing.assert_array_equal(image, expected)
    assert image.min() > 1000.0 * plain.max()
    other = simulated("tiles.zarr", *BOTH, "--tile", "9,40", "--steps-per-task", "1")
    np.testing.assert_array_equal(other, image)
    lazy = nbdask.image(experiment, tile=16)
    np.testing.assert_array_equal(lazy[3:20, 30:].compute(), image[3:20, 30:])
    reference = simulated("numpy.zarr", *BOTH, "--backend", "numpy")
    np.testing.assert_allclose(reference, image, rtol=2e-7)


def test_regions_and_masks_stay_zero() -> None:
    """Nothing is scattered where nothing is evaluated."""
    image = simulated("roi.zarr", *BOTH, "-roi", "5", "20", "8", "30")
    assert (image[8:31, 5:21] > 0).all()
    assert np.count_nonzero(image) == 23 * 16


def test_records_recompute_the_image(capsys: Captured) -> None:
    """Tables with checksums; verified again; a changed table is refused; paths do not matter."""
    simulated("a.zarr", *BOTH, "--tile", "16")
    attributes = StoreReader("a.zarr").attributes
    water, own = attributes["experiment"]["background"]["materials"]
    assert (water["table"], own["sha256"]) == ("water", sha256_of("own.stol"))
    assert {"role": "background", "path": own["path"], "sha256": own["sha256"]} in attributes[
        "inputs"
    ]
    assert main(["verify", "a.zarr", "--recompute", "4"]) == 0
    experiment = StoreReader("a.zarr").experiment
    materials = experiment.background.materials
    elsewhere = replace(materials[1], path="/elsewhere/own.stol")
    moved = replace(experiment.background, materials=(materials[0], elsewhere))
    assert experiment.replace(background=moved).fingerprint() == experiment.fingerprint()
    thinner = replace(experiment.background, materials=materials[:1])
    assert experiment.replace(background=thinner).fingerprint() != experiment.fingerprint()
    assert "background" in experiment._repr_html_()
    Path("own.stol").write_text("0 1\n0.1 2\n0.2 1\n")
    capsys.readouterr()
    assert main(["verify", "a.zarr", "--recompute", "1"]) == 2
    assert "own.stol: it has changed since the experiment was made" in capsys.readouterr().err


def test_resumed_runs_complete_the_same_image() -> None:
    """Tiles of two runs fit together; another background is refused."""
    image = simulated("a.zarr", *BOTH, "--tile", "16")
    simulated("b.zarr", *BOTH, "--tile", "16")
    chunk = next(p for p in sorted(Path("b.zarr/image").rglob("*")) if p.name == "1")
    chunk.unlink()
    assert main(["simulate", *FLAGS, *BOTH, "--out", "b.zarr", "--resume=verify", "--quiet"]) == 0
    np.testing.assert_array_equal(np.asarray(nbdask.open("b.zarr").image), image)
    less = ["simulate", *FLAGS, *BOTH[:2], "--out", "b.zarr", "--resume", "--quiet"]
    assert main(less) == 2


def test_traces_end_with_the_stored_pixel(capsys: Captured) -> None:
    """The background's own values, and the sum, bit for bit."""
    simulated("a.zarr", *BOTH)
    assert main(["trace", "12", "30", "a.zarr", "--json", "t.json"]) == 0
    assert "bit for bit" in capsys.readouterr().err
    values = {v["name"]: v["value"] for v in json.loads(Path("t.json").read_text())["values"]}
    model = build_model(StoreReader("a.zarr").experiment)
    stol = np.array([values["amorphous_stol"]])
    for found, material in zip(values["amorphous_F"], model.amorphous, strict=True):
        assert found == material.curve(stol)[0]
    total = np.float32(values["pixel_float64"]) + values["amorphous"]
    assert np.float32(values["pixel"]) == np.float32(total)


def test_toml_says_the_same(tmp_path: Path) -> None:
    """As flags, as a list of tables, and back."""
    argv = [*FLAGS]
    experiment = parse_args(
        argv, own=Own(background=("water:0.1mm", "own.stol:5mm:0.0012:28.97"))
    ).experiment
    flags = f'[nanobragg]\nflags = "{" ".join(FLAGS)}"\nbackground = ["water:0.1mm", '
    Path("flags.toml").write_text(flags + '"own.stol:5mm:0.0012:28.97"]\n')
    assert from_toml("flags.toml") == experiment
    Path("whole.toml").write_text(to_toml(experiment))
    assert from_toml("whole.toml") == experiment
    plain = to_toml(parse_args(argv).experiment)
    Path("list.toml").write_text(
        plain + "[[background]]\ntable = 'water'\nthickness = 1e-4\ndensity = 997.0\n"
        "molar_mass = 0.0180153\n[[background]]\npath = 'own.stol'\nthickness = 5e-3\n"
        "density = 1.2\nmolar_mass = 0.02897\n"
    )
    assert from_toml("list.toml") == experiment


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--background", "mud:1mm"], "no bundled table of that name"),
        (["--background", "water:1mm", "-beamsize", "-1"], "above 0 with an amorphous background"),
        (["--config", "a.toml", "--background", "water:1mm"], "leave out --background"),
    ],
)
def test_refusals(argv: list[str], says: str, capsys: Captured) -> None:
    """One line, nothing written."""
    Path("a.toml").write_text("[nanobragg]\nflags = '-cell 1'\n")
    flags = FLAGS if "--config" not in argv else []
    assert main(["simulate", *flags, *argv, "--out", "a.zarr"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not Path("a.zarr").exists()


def test_shadows_of_files(capsys: Captured) -> None:
    """Recorded with a checksum; the same in TOML; recomputed; C has none."""
    values = np.linspace(0.0, 1.0, 1600, dtype=np.float32).reshape(40, 40)
    np.save("s.npy", values)
    argv = ["--background", "water:0.1mm", "--shadow", "s.npy", "--beamstop", "1.5"]
    image, bare = simulated("a.zarr", *argv, "--tile", "16"), simulated("b.zarr", *argv[:2])
    assert (image <= bare).all()
    assert (image[18:22, 18:22] == 0.0).all()
    np.testing.assert_allclose(image[:8], bare[:8] * values[:8], rtol=3e-7)
    experiment = StoreReader("a.zarr").experiment
    assert experiment.background.shadow_sha256 == sha256_of("s.npy")
    flags = f'[nanobragg]\nflags = "{" ".join(FLAGS)}"\nbackground = ["water:0.1mm"]\n'
    Path("s.toml").write_text(flags + 'beamstop = "1.5"\nshadow = "s.npy"\n')
    assert from_toml("s.toml") == experiment
    assert main(["verify", "a.zarr", "--recompute", "3"]) == 0
    assert main(["trace", "5", "30", "a.zarr"]) == 0
    assert "bit for bit" in capsys.readouterr().err
    only = experiment.replace(background=replace(experiment.background, materials=()))
    with pytest.raises(FlagError, match="nanoBragg has no shadows"):
        to_args(only)
    simulated("c.zarr", *argv[2:])
    assert main(["parity", "c.zarr", "--c-bin", "/bin/true"]) == 2
    assert "C has no shadows" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['"water"', "[1]"])
def test_texts_of_toml_that_are_refused(text: str, capsys: Captured) -> None:
    Path("a.toml").write_text(f"[nanobragg]\nflags = '-cell 1'\nbackground = {text}\n")
    assert main(["simulate", "--config", "a.toml", "--out", "a.zarr"]) == 2
    assert 'a list such as ["water:0.1mm"]' in capsys.readouterr().err


def test_c_has_no_such_background(capsys: Captured) -> None:
    """No flag says it, and a comparison with C is refused in one line."""
    experiment = parse_args(FLAGS, own=Own(background=("water:0.1mm",))).experiment
    with pytest.raises(FlagError, match="nanoBragg has only -water"):
        to_args(experiment)
    simulated("a.zarr", *BOTH[:2])
    assert main(["parity", "a.zarr", "--c-bin", "/bin/true"]) == 2
    said = capsys.readouterr().err
    assert "--background water: C has only -water" in said
    assert said.count("\n") == 1


def test_tables_that_end_too_early_are_noted(capsys: Captured) -> None:
    """With the end of the table and the corner of the detector."""
    argv = ["simulate", *FLAGS, "-distance", "2", *BOTH[2:], "--out", "a.zarr", "--dry-run"]
    assert main(argv) == 0
    assert "the table ends at sin(theta)/lambda = 0.5 per Angstrom" in capsys.readouterr().err
    semantics = parse_args(
        [*FLAGS, "-distance", "2"], own=Own(background=("own.stol:1um:1:18",)), semantics="c"
    )
    (note,) = (n for n in build_model(semantics.experiment).notes if n.startswith("--background"))
    assert "where it is not negative" not in note


def test_plans_count_the_background() -> None:
    """In time, by sources and sub-pixels, and in memory; a smooth table is far cheaper."""
    argv = [*FLAGS, "-oversample", "4"]
    plain, smooth, rough = (
        build_model(parse_args(argv, own=Own(background=tuple(texts))).experiment)
        for texts in ([], ["water:0.1mm"], ["water:0.1mm", "own.stol:5mm:0.0012:28.97"])
    )
    costs: Costs = COSTS
    assert costs.background(plain) == 0.0
    assert 0.0 < 5 * costs.background(smooth) < costs.background(rough)
    none = lambda model, pixels: 0  # noqa: E731
    assert task_bytes(plain, 100, 1, none) < task_bytes(smooth, 100, 1, none)

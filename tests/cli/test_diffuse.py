"""``--diffuse-gamma`` and its companions: options, records, traces, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import FlagError
from nbdask.flags import Own, from_toml, parse_args, to_args, to_toml
from nbdask.geometry.build import build_model
from nbdask.store.reader import StoreReader
from tests.helpers import COSTS

Captured = pytest.CaptureFixture[str]
WORDS = """-cell 70 70 90 90 90 90 -default_F 100 -N 5 -detpixels 24 -pixel 0.4 -distance 100
    -oversample 1"""
FLAGS = WORDS.split()
MOVING = ["--diffuse-gamma", "60,50,40", "--diffuse-sigma", "0.5", "--diffuse-laue", "4/mmm"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_options_and_toml_say_the_same() -> None:
    """One length counts for all axes; the group is said or noted."""
    own = Own(
        diffuse_gamma="60,50,40", diffuse_sigma="0.5", diffuse_laue="4/mmm", diffuse_stencil=2,
        diffuse_scale="3",
    )  # fmt: skip
    parsed = parse_args(FLAGS, own=own)
    found = parsed.experiment.crystal.diffuse
    assert found is not None
    assert found.gamma == pytest.approx((6e-9, 5e-9, 4e-9))
    assert found.sigma == pytest.approx((5e-11, 5e-11, 5e-11))
    assert (found.stencil, found.laue, found.scale, found.physical) == (2, "4/mmm", 3.0, False)
    assert not any("no symmetry" in note for note in parsed.notes)
    Path("a.toml").write_text(to_toml(parsed.experiment))
    assert from_toml("a.toml") == parsed.experiment
    Path("b.toml").write_text(
        f"[nanobragg]\nflags = \"{' '.join(FLAGS)}\"\ndiffuse_gamma = '60,50,40'\n"
        "diffuse_sigma = '0.5'\ndiffuse_laue = '4/mmm'\ndiffuse_stencil = 2\ndiffuse_scale = '3'\n"
    )
    assert from_toml("b.toml") == parsed.experiment
    bare = parse_args(
        FLAGS, own=Own(diffuse_gamma="60", diffuse_sigma="1", diffuse_scale="physical")
    )
    assert bare.experiment.crystal.diffuse is not None
    assert bare.experiment.crystal.diffuse.physical
    assert any("no symmetry (P 1)" in note for note in bare.notes)


def test_stores_recompute_and_traces_show_it(capsys: Captured) -> None:
    """Tiles and step ranges do not matter."""
    argv = ["simulate", *FLAGS, *MOVING, "-mosaic", "1", "-mosaic_domains", "3", "--quiet"]
    assert main([*argv, "--out", "a.zarr"]) == 0
    assert main([*argv, "--tile", "8", "--steps-per-task", "1", "--out", "b.zarr"]) == 0
    one, two = (np.asarray(nbdask.open(name).image) for name in ("a.zarr", "b.zarr"))
    np.testing.assert_allclose(one, two, rtol=1.3e-7)
    assert main(["verify", "b.zarr", "--recompute", "3"]) == 0
    assert "gamma 60 50 40" in StoreReader("a.zarr").experiment._repr_html_()


def test_traces_show_what_is_added(capsys: Captured) -> None:
    """The term is that of the peak and what is added."""
    assert main(["simulate", *FLAGS, *MOVING, "--out", "a.zarr", "--quiet"]) == 0
    assert main(["trace", "3", "5", "a.zarr", "--json", "t.json", "--kernels", "cpu"]) == 0
    values = {v["name"]: v for v in json.loads(Path("t.json").read_text())["values"]}
    peak = (values["F_cell"]["value"] * values["F_latt"]["value"]) ** 2
    assert values["diffuse"]["value"] > 0.0
    assert values["term"]["value"] == pytest.approx(peak + values["diffuse"]["value"], rel=1e-12)
    assert values["term"]["kernels"]["cpu"] == pytest.approx(values["term"]["value"], rel=1e-12)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (MOVING[:2], "needs --diffuse-sigma too"),
        (["--diffuse-scale", "2"], "needs --diffuse-gamma too"),
        (["--diffuse-gamma", "1,2", "--diffuse-sigma", "1"], "one or three lengths above 0"),
        (["--diffuse-gamma", "60", "--diffuse-sigma", "-1"], "one or three lengths above 0"),
        ([*MOVING, "--diffuse-scale", "big"], "a number of at least 0, or physical"),
        ([*MOVING[:4], "--diffuse-laue", "P 6"], "--diffuse-laue (P 6): must be a group whose"),
        ([*MOVING[:4], "--diffuse-laue", "P6x"], "--diffuse-laue (P6x): must be a space group"),
        ([*MOVING, "--diffuse-stencil", "4"], "--diffuse-stencil"),
    ],
)
def test_refusals(argv: list[str], says: str, capsys: Captured) -> None:
    """One line, nothing written."""
    assert main(["simulate", *FLAGS, *argv, "--out", "a.zarr"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert says in said[-1]
    assert not Path("a.zarr").exists()


def test_c_has_no_diffuse_scattering(capsys: Captured) -> None:
    """No flag says it, and a comparison is refused in one line."""
    own = Own(diffuse_gamma="60", diffuse_sigma="0.5")
    with pytest.raises(FlagError, match="nanoBragg has no diffuse scattering"):
        to_args(parse_args(FLAGS, own=own).experiment)
    assert main(["simulate", *FLAGS, *MOVING, "--out", "a.zarr", "--quiet"]) == 0
    assert main(["parity", "a.zarr", "--c-bin", "/bin/true"]) == 2
    assert "C has no diffuse scattering" in capsys.readouterr().err


def test_plans_count_halos() -> None:
    """By the reciprocal cells and the rotations."""
    own = [
        Own(diffuse_gamma="60", diffuse_sigma="1", diffuse_laue="4/mmm", diffuse_stencil=m)
        for m in (0, 1)
    ]
    models = [build_model(parse_args(FLAGS, own=o).experiment) for o in (Own(), *own)]
    none, few, many = (COSTS.per_evaluation(m, "cpu", "float64") for m in models)
    assert many - none == pytest.approx(27 * (few - none))

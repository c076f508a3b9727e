"""Shots of a store, and of a series, as fits start from them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import InputError
from nbdask.shots import Series, Table
from tests.gradients.test_joint import still
from tests.panels.several import several

RIGHT = still(0)
TURNS = np.random.default_rng(5).normal(0.0, 0.5, (5, 3))
#: Rotation vectors, and a fluence of each shot's own.
TABLE = Table(
    {f"crystal.turn.{axis}": TURNS[:, n] for n, axis in enumerate("xyz")}
    | {"beam.fluence": 1e28 * np.linspace(0.5, 1.5, 5)}
)
SERIES = Series(RIGHT, 5, (TABLE,), 1)
WRONG = RIGHT.replace(detector=dataclasses.replace(RIGHT.detector, distance=50.05e-3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The series with the right detector, its crystals where the table has them."""
    out = tmp_path_factory.mktemp("stills") / "stills.zarr"
    nbdask.simulate(SERIES, out, progress=False)
    return Path(out)


def test_each_shot_starts_where_the_store_has_it(store) -> None:
    """Experiment, image and number, of all shots or of some."""
    every = nbdask.read_shots(store)
    assert [shot.number for shot in every] == [0, 1, 2, 3, 4]
    assert all(shot.experiment == SERIES.shot(shot.number) for shot in every)
    some = nbdask.read_shots(store, "1:4:2", background=2.0, readout=1.0)
    assert [shot.number for shot in some] == [1, 3]
    assert (some[1].background, some[1].readout) == (2.0, 1.0)
    image = nbdask.open(store).image
    assert np.array_equal(np.asarray(some[1].data), image.isel(shot=3).values)


def test_what_is_common_may_start_elsewhere(store) -> None:
    """What varies stays: the fit then finds the distance that all shots have in common."""
    shots = nbdask.read_shots(store, "0:3", experiment=WRONG)
    moved = SERIES.shot(2).replace(detector=WRONG.detector)
    assert shots[2].experiment == moved
    found = nbdask.fit_joint(shots, "beam.fluence", "detector.distance")
    assert found.value[0] == pytest.approx(50e-3, abs=1e-8)
    assert "     2        1600" in found.table()


def test_a_series_with_its_images(store) -> None:
    """Without a store: the same fit, to the bit."""
    data = nbdask.open(store).image
    wrong = dataclasses.replace(SERIES, experiment=WRONG)
    told = {"iterations": 2}
    by_series = nbdask.fit_joint(wrong, "beam.fluence", "detector.distance", data=data, **told)
    shots = nbdask.read_shots(store, experiment=WRONG)
    by_store = nbdask.fit_joint(shots, "beam.fluence", "detector.distance", **told)
    assert by_series.losses == by_store.losses
    plain = data.values
    again = nbdask.fit_joint(wrong, "beam.fluence", "detector.distance", data=plain, **told)
    assert again.losses == by_store.losses


def test_what_is_no_series_is_refused(store, tmp_path) -> None:
    """In one line."""
    with pytest.raises(InputError, match=r"data of \(4, 40, 40\): must be an array of the 5 image"):
        nbdask.fit_joint(SERIES, "crystal.turn", data=np.zeros((4, 40, 40)))
    with pytest.raises(InputError, match="data of NoneType"):
        nbdask.fit_joint(SERIES, "crystal.turn")
    with pytest.raises(InputError, match="given with a series alone"):
        nbdask.fit_joint(nbdask.read_shots(store, "0:1"), "crystal.turn", data=np.zeros((5, 4, 4)))
    one = tmp_path / "one.zarr"
    nbdask.simulate(RIGHT, one, progress=False)
    with pytest.raises(InputError, match="holds one image"):
        nbdask.read_shots(one)
    with pytest.raises(InputError, match=r"--shots 3:9: .* holds 5 shots"):
        nbdask.read_shots(store, "3:9")


def test_panels_tied_to_groups_are_fitted(tmp_path) -> None:
    """Shots of several panels: two panels move as one, and that is common to all shots."""
    common = several()
    names = [panel.name for panel in common.detector.panels]
    series = Series(common, 2, (Table({"beam.fluence": np.array([1e28, 2e28])}),), 1)
    nbdask.simulate(series, tmp_path / "p.zarr", progress=False)
    group = "+".join(f"panel.{name}.shift.x" for name in names[:2])
    found = nbdask.fit_joint(
        nbdask.read_shots(tmp_path / "p.zarr"), "beam.fluence", f"pair={group}", iterations=2
    )
    assert found.names == ("pair",)
    assert abs(found.value[0]) <= 4.0 * found.sigma[0] + 1e-12


def test_the_command_line(store, tmp_path, capsys) -> None:
    """--shots, a start from --config, files by the shots' numbers, refusals."""
    config = tmp_path / "wrong.toml"
    config.write_text(nbdask.to_toml(WRONG))
    out, numbers = tmp_path / "found.toml", tmp_path / "found.json"
    argv = ["fit", str(store), "--config", str(config), "--quiet"]
    argv += ["--refine", "beam.fluence", "--shared", "detector.distance"]
    files = ["--out", str(out), "--json", str(numbers)]
    assert main([*argv, "--shots", "1:4:2", *files]) == 0
    assert "detector.distance" in capsys.readouterr().out
    found = json.loads(numbers.read_text())
    assert [shot["shot"] for shot in found["shots"]] == [1, 3]
    assert found["common"][0]["value"] == pytest.approx(50e-3, abs=1e-8)
    third = nbdask.from_toml(tmp_path / "found-3.toml")
    assert third.detector.distance == pytest.approx(50e-3, abs=1e-8)
    for words, said in (
        (["--shots", "3:9"], "holds 5 shots"),
        (["--shots", "a"], "must be FIRST:END"),
    ):
        assert main([*argv, *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["fit", str(store), str(store), "--refine", "crystal.turn"]) == 2
    assert "holds many shots: fit it without other DATA" in capsys.readouterr().err
    data = tmp_path / "data.npy"
    np.save(data, np.zeros((40, 40)))
    assert main(["fit", str(data), "--shots", "0:1", "--refine", "crystal.turn"]) == 2
    assert "holds one image" in capsys.readouterr().err

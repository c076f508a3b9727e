"""Cost figures: defaults, measured ones, the file."""

from __future__ import annotations

import json

import pytest

from nbdask.geometry.build import build_model
from nbdask.kernels.registry import BACKENDS, default_costs
from nbdask.plan import cost
from nbdask.plan.machine import available_cores, cpu_name, total_memory
from tests.helpers import reflections, small_experiment


def test_every_feature_has_a_default() -> None:
    """No combination of backend, precision, shape and amplitudes is without a figure."""
    costs = cost.Costs(default_costs())
    for name, backend in BACKENDS.items():
        for precision in backend.precisions:
            for shape in cost.SHAPES:
                for kind in cost.AMPLITUDES:
                    assert costs.lookup(f"{name}/{precision}/{shape}/{kind}") > 0
            assert costs.lookup(f"{name}/{precision}/pixel") > 0
    with pytest.raises(KeyError, match="fortran"):
        costs.lookup("fortran/mixed/pixel")


def test_mixed_is_cheaper_unless_measured() -> None:
    """Mixed precision costs a part of float64, or what was measured."""
    known = {"another/float64/round/list": 4.5, "another/float64/pixel": 18.0}
    key = "another/mixed/round/list"
    assert cost.Costs(known).lookup(key) == pytest.approx(cost.MIXED_FACTOR * 4.5)
    assert cost.Costs(known).lookup("another/mixed/pixel") == 18.0
    assert cost.Costs(known, {key: 1.25}).lookup(key) == 1.25


def test_amplitudes_are_told_apart() -> None:
    """One number, a list, a list with interpolation."""
    structure = small_experiment().structure
    listed = type(structure)(reflections=reflections(3))
    assert cost.amplitudes_of(build_model(small_experiment())) == "constant"
    experiment = small_experiment(structure=listed)
    assert cost.amplitudes_of(build_model(experiment)) == "list"
    sampling = type(experiment.sampling)(oversample=1, interpolate=True)
    assert cost.amplitudes_of(build_model(experiment.replace(sampling=sampling))) == "tricubic"


def test_measured_figures_come_back_from_the_file(tmp_path, monkeypatch) -> None:
    """What was saved for this processor prevails; other processors' figures stay in the file."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", str(tmp_path / "cache"))
    path = cost.costs_file()
    path.parent.mkdir()
    other = {"machines": {"another processor": {"nanoseconds": {"cpu/float64/pixel": 1}}}}
    path.write_text(json.dumps(other))
    usual = {"cpu/float64/square/list": 2.5, "cpu/float64/pixel": 18.0}
    assert cost.load_costs(usual) == cost.Costs(usual)
    assert cost.save_costs({"cpu/float64/square/list": 3.14159265}) == path
    assert cost.load_costs(usual).lookup("cpu/float64/square/list") == 3.1416
    assert cost.load_costs(usual).lookup("cpu/float64/pixel") == 18.0
    assert cost.load_costs(usual).source == str(path)
    assert set(json.loads(path.read_text())["machines"]) == {"another processor", cpu_name()}
    assert [p.name for p in path.parent.iterdir()] == ["costs.json"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"machines": 3}', "\x00"])
def test_a_broken_file_means_defaults(tmp_path, text) -> None:
    """A damaged file never stops a run."""
    path = tmp_path / "costs.json"
    path.write_text(text)
    assert cost.load_costs({}, path) == cost.Costs({})


def test_the_cache_folder_follows_the_environment(monkeypatch) -> None:
    """NBDASK_CACHE_DIR, else XDG_CACHE_HOME, else the home directory."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", "/a/b")
    assert str(cost.cache_folder()) == "/a/b"
    monkeypatch.setenv("HOME", "/home/y")
    monkeypatch.setenv("NBDASK_CACHE_DIR", "~/b")
    assert str(cost.cache_folder()) == "/home/y/b"
    monkeypatch.delenv("NBDASK_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert str(cost.cache_folder()) == "/c/nbdask"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert str(cost.cache_folder()) == "/home/x/.cache/nbdask"


def test_the_machine_is_described() -> None:
    """Cores, memory and a name that is not empty."""
    assert available_cores() >= 1
    assert total_memory() > 1 << 26
    assert cpu_name()

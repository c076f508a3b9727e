"""Where nothing could be compiled at installation: NumPy serves, and every run says so once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbdask.cli.main import main
from nbdask.errors import BackendError
from nbdask.kernels import registry
from nbdask.native import library, sources
from nbdask.prepare import Settings, prepare
from nbdask.run import simulate
from nbdask.store.reader import StoreReader
from tests.helpers import small_experiment

FLAGS = "-cell 70 -default_F 10 -N 5 -detpixels 16 -pixel 1 -oversample 1"


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take the library away; return the line that is said."""
    library.load.cache_clear()
    monkeypatch.setattr(sources, "library_path", lambda name: tmp_path / f"{name}.so")
    monkeypatch.setattr(registry, "_made", {})
    said = library.missing_note()
    assert said is not None
    yield said
    monkeypatch.undo()
    library.load.cache_clear()


def test_a_run_says_it_once_and_keeps_it_on_record(tmp_path, capsys, note) -> None:
    """Before it begins, in one line; the record names the kernel that computed."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *FLAGS.split(), "--out", str(store)]) == 0
    said = capsys.readouterr().err
    assert said.count(note) == 1
    assert said.startswith(f"nbdask: {note}\n")
    attributes = StoreReader(store).attributes
    assert (attributes["backend"], attributes["plan"]["backend"]) == ("numpy", "numpy")
    assert attributes["notes"].count(note) == 1
    assert "native" not in attributes["versions"]


def test_a_plan_says_it(capsys, note) -> None:
    """--dry-run, and what is kept of a plan in Python."""
    assert main(["simulate", *FLAGS.split(), "--dry-run"]) == 0
    found = capsys.readouterr()
    assert found.err.count(note) == 1
    assert "kernel    numpy" in found.out
    model, plan, _ = prepare(small_experiment())
    assert (plan.backend, model.notes[-1]) == ("numpy", note)


def test_who_asks_for_numpy_is_told_nothing(tmp_path, capsys, note) -> None:
    """It was chosen, not put in the place of another."""
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--out", str(tmp_path / "a.zarr")]
    assert main(argv) == 0
    assert note not in capsys.readouterr().err
    assert note not in StoreReader(tmp_path / "a.zarr").attributes["notes"]


def test_who_asks_for_the_compiled_kernel_is_refused(tmp_path, capsys, note) -> None:
    """Nothing is written."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *FLAGS.split(), "--backend", "cpu", "--out", str(store)]) == 2
    assert capsys.readouterr().err == f"nbdask: error: {note}\n"
    assert not store.exists()


def test_a_run_goes_on_with_the_kernel_that_began_it(tmp_path, note, monkeypatch) -> None:
    """With the library back NumPy finishes what it began; the other way round nothing is mixed."""
    simulate(small_experiment(), tmp_path / "a.zarr", tile=8)
    monkeypatch.undo()
    library.load.cache_clear()
    again = simulate(small_experiment(), tmp_path / "a.zarr", resume=True)
    assert again.plan.backend == "numpy"
    simulate(small_experiment(), tmp_path / "b.zarr", tile=8)
    assert StoreReader(tmp_path / "b.zarr").attributes["backend"] == "cpu"


def test_a_run_of_the_compiled_kernel_is_not_finished_by_another(tmp_path, monkeypatch) -> None:
    """What is missing is said in place of a difference of settings."""
    simulate(small_experiment(), tmp_path / "b.zarr", tile=8)
    library.load.cache_clear()
    monkeypatch.setattr(sources, "library_path", lambda name: tmp_path / f"{name}.so")
    monkeypatch.setattr(registry, "_made", {})
    with pytest.raises(BackendError, match="no compiled kernel"):
        simulate(small_experiment(), tmp_path / "b.zarr", resume=True)
    monkeypatch.undo()
    library.load.cache_clear()
    assert prepare(small_experiment(), Settings())[1].backend == "cpu"

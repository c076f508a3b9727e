"""Large amplitude tables are mapped from one file for all processes of a host."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbdask.experiment import Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.graph import mapped, tasks
from nbdask.graph.context import RunContext, Setup, context_of
from nbdask.kernels.reference import ReferenceKernel
from nbdask.leftovers import mark
from nbdask.plan import memory
from nbdask.plan.demand import Resources
from nbdask.plan.plan import make_plan
from nbdask.run import simulate
from nbdask.store.reader import StoreReader
from tests.helpers import COSTS, reflections, small_experiment

EXPERIMENT = small_experiment(
    structure=StructureFactors(reflections=reflections(4), default_F=10.0),
    sampling=Sampling(oversample=1, interpolate=True),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of this test alone, and every table counts as large."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1)
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def model_of_list() -> Model:
    return build_model(EXPERIMENT)


def test_a_large_table_is_mapped_once_and_forgotten(folder) -> None:
    """Two processes' worth of models share one file; the values are the same."""
    first, second = model_of_list(), model_of_list()
    ours, theirs = (mapped.map_amplitudes(m, "run-m") for m in (first, second))
    assert mapped.is_mapped(ours.f_grid)
    assert mapped.is_mapped(theirs.f_grid)
    assert len(files(folder)) == 1
    assert np.array_equal(ours.f_grid, first.f_grid)
    assert mapped.map_amplitudes(ours, "other") is ours
    mapped.forget_amplitudes("run-m")
    assert files(folder) == []
    assert np.array_equal(ours.f_grid, first.f_grid)
    mapped.forget_amplitudes("run-m")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes apart")
def test_files_of_killed_processes_are_removed_by_the_next_that_writes_one(folder) -> None:
    """Those of living processes stay, and are mapped by the others of their run."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here, own, token = mark().split("-")
    for number in (ended.pid, own):
        made = mapped._folder() / f"{here}-{number}-{token}"
        made.mkdir()
        (made / f"run-{number}-amplitudes.npy").write_bytes(b"x")
    model = mapped.map_amplitudes(model_of_list(), "run-k")
    assert mapped.is_mapped(model.f_grid)
    assert [path.name for path in files(folder) if "run-k" not in path.name] == [
        f"run-{own}-amplitudes.npy"
    ]
    mapped.forget_amplitudes("run-k")
    assert len(files(folder)) == 1


def test_a_small_table_stays_in_memory(tmp_path, monkeypatch) -> None:
    """Below 64 MiB nothing is written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = model_of_list()
    assert mapped.map_amplitudes(model, "run-s") is model
    assert files(tmp_path) == []


def test_without_a_folder_of_ones_own_the_table_stays_in_memory(folder) -> None:
    """Neither another user's folder nor a missing one ends the run."""
    model = model_of_list()
    mapped._folder().chmod(0o777)
    assert mapped.map_amplitudes(model, "run-o") is model
    assert files(folder) == []


def test_an_installed_setup_holds_the_mapped_table_only(folder) -> None:
    """A worker that unpickles a run maps its table; pickling it again carries the values."""
    model = model_of_list()
    plan = make_plan(model, ReferenceKernel(), Resources(COSTS), tile=8)
    sent = pickle.dumps(Setup("run-i", RunContext.of(model, plan)))
    setup = pickle.loads(sent)
    setup.install()
    try:
        assert mapped.is_mapped(context_of("run-i").model.f_grid)
        assert mapped.is_mapped(setup.context.model.f_grid)
        here = tasks.whole("run-i", 1).image
    finally:
        setup.remove()
    assert files(folder) == []
    assert np.array_equal(here, tasks.compute_tile(RunContext.of(model, plan), 1).image)
    again = pickle.loads(pickle.dumps(setup)).context.model.f_grid
    assert np.array_equal(again, model.f_grid)


@pytest.mark.long
def test_a_run_with_a_mapped_table_gives_the_same_bits(folder, tmp_path_factory) -> None:
    """On the numpy and the cpu kernel; no file is left."""
    for backend in ("numpy", "cpu"):
        out = tmp_path_factory.mktemp(backend)
        simulate(EXPERIMENT, out / "mapped.zarr", backend=backend, tile=16, threads=2)
        mapped_image = StoreReader(out / "mapped.zarr").image[:]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mapped, "MAPPED_BYTES", 1 << 60)
            simulate(EXPERIMENT, out / "held.zarr", backend=backend, tile=16, threads=2)
        assert np.array_equal(mapped_image, StoreReader(out / "held.zarr").image[:])
    assert files(folder) == []


def test_a_mapped_table_needs_no_memory_of_a_process(monkeypatch) -> None:
    """The planner does not count it."""
    model = model_of_list()
    whole = memory.model_bytes(model)
    monkeypatch.setattr(memory, "MAPPED_BYTES", 1)
    assert memory.model_bytes(model) == whole - model.f_grid.nbytes

"""``simulate()`` from experiment to store: pixels, records, attributes, faults."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import xarray

import nbdask
from benchmarks.large_kill_job import HOLD
from nbdask.errors import ClusterError, PlanError, SemanticsError, StoreError, UnfinishedError
from nbdask.experiment import Crystal, Experiment, Sampling, Scan, StructureFactors
from nbdask.export.floatfile import FloatFile
from nbdask.flags import parse_args
from nbdask.kernels.reference import ReferenceKernel
from nbdask.run import simulate
from nbdask.store.provenance import git_commit
from nbdask.store.reader import StoreReader
from tests.helpers import (
    GOLDEN,
    PATIENCE,
    ROOT,
    STRICT,
    golden_cases,
    image_of,
    reflections,
    sampled,
    small_experiment,
    ulps,
)

#: Three phi steps, 2 x 2 sub-pixels, two domains: 24 steps.
EXPERIMENT = small_experiment(
    crystal=Crystal(
        cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
        n_cells=(5, 5, 5),
        mosaic_spread=0.01,
        mosaic_domains=2,
    ),
    scan=Scan(phi0=0.1, osc=0.02, count=3),
    sampling=Sampling(oversample=2),
)


def run(out, experiment=EXPERIMENT, **options):
    """Simulate with the reference kernel on two threads."""
    return simulate(experiment, out, **{"backend": "numpy", "threads": 2, **options})


def pixels(out) -> np.ndarray:
    """Return the image of a store."""
    return np.asarray(StoreReader(out).image[:])


def record_of(reader: StoreReader, index: int) -> dict[str, float]:
    """Return the record of a finished tile."""
    record = reader.record(index)
    assert record is not None
    return record


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    """The image straight from the kernel: one tile, one range."""
    return image_of(EXPERIMENT, ReferenceKernel())


@pytest.mark.parametrize("steps", [None, 5, 1])
@pytest.mark.parametrize("tile", [None, 8, "13,11"])
def test_tiles_and_ranges_change_nothing(tmp_path, whole, tile, steps) -> None:
    """Three tile sizes and three splittings agree with the whole to one unit in the last place."""
    result = run(tmp_path / "a.zarr", tile=tile, steps_per_task=steps)
    assert ulps(pixels(tmp_path / "a.zarr"), whole) <= 1
    assert result.shape == (32, 24)
    assert result.statistics.max == pixels(tmp_path / "a.zarr").max()


@pytest.mark.long
def test_processes_give_the_bits_of_threads(tmp_path) -> None:
    """Two worker processes write exactly the bits that threads write with the same plan."""
    run(tmp_path / "a.zarr", tile=8, steps_per_task=7)
    result = run(
        tmp_path / "b.zarr", tile=8, steps_per_task=7, cluster="local", workers=2, threads=1
    )
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))
    assert result.plan.workers.workers == 2
    assert StoreReader(tmp_path / "b.zarr").attributes["cluster"] == "local"


def test_a_repeat_gives_the_same_bits(tmp_path) -> None:
    """Whatever the order in which pieces are ready."""
    for name in ("a.zarr", "b.zarr"):
        run(tmp_path / name, tile=8, steps_per_task=2, threads=4)
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))
    records = [
        [record_of(StoreReader(tmp_path / name), index)["crc32c"] for index in range(12)]
        for name in ("a.zarr", "b.zarr")
    ]
    assert records[0] == records[1]


def test_records_match_the_pixels(tmp_path) -> None:
    """Checksum, counts, maximum and mean of every tile are those of its pixels."""
    run(tmp_path / "a.zarr", tile=8)
    reader = StoreReader(tmp_path / "a.zarr")
    for index in range(len(reader.grid)):
        tile, record = reader.tile(index), record_of(reader, index)
        assert record["crc32c"] == google_crc32c.value(tile.tobytes())
        assert record["n_evaluated"] == 64
        assert record["max"] == tile.max()
        assert record["mean"] == pytest.approx(tile.astype(float).mean(), rel=1e-12)
        corner = reader.grid[index]
        place = (int(record["max_slow"]) - corner.slow0, int(record["max_fast"]) - corner.fast0)
        assert tile[place] == tile.max()


def test_statistics_are_those_of_the_image(tmp_path, whole) -> None:
    """On the result and in the attributes."""
    result = run(tmp_path / "a.zarr", tile=8)
    values = whole.astype(np.float64)
    found = StoreReader(tmp_path / "a.zarr").attributes["statistics"]
    assert found == result.statistics.to_dict()
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["rms"] == pytest.approx(np.sqrt((values**2).sum() / (values.size - 1)), rel=1e-12)
    assert found["rmsd"] == pytest.approx(values.std(ddof=1), rel=1e-12)
    place = np.unravel_index(whole.argmax(), whole.shape)
    assert (found["max_slow"], found["max_fast"]) == place


@pytest.mark.parametrize("name", sampled(golden_cases(), 6))
def test_statistics_are_those_that_nanobragg_prints(tmp_path, monkeypatch, name) -> None:
    """Maximum, mean, rms and rmsd of every golden case, masks and regions of interest too."""
    monkeypatch.chdir(GOLDEN / "inputs")
    record = json.loads((GOLDEN / "provenance.json").read_text())["cases"][name]
    experiment = parse_args(golden_cases()[name].split(), semantics="c").experiment
    found = run(tmp_path / "a.zarr", experiment, tile=16).statistics
    printed = [float(f"{value:.6g}") for value in (found.mean, found.rms, found.rmsd)]
    assert printed == pytest.approx(record["mean_rms_rmsd"], rel=1.2e-5)
    assert found.max == pytest.approx(record["max"], rel=1.2e-7)
    assert ulps(pixels(tmp_path / "a.zarr"), image_of(experiment, ReferenceKernel())) <= 1


def test_the_attributes_recompute_the_image(tmp_path) -> None:
    """The experiment in the store, with the plan in the store, gives exactly the bits again."""
    run(tmp_path / "a.zarr", tile=8, steps_per_task=5)
    attributes = StoreReader(tmp_path / "a.zarr").attributes
    experiment = Experiment.from_dict(attributes["experiment"])
    assert experiment == EXPERIMENT
    assert experiment.fingerprint() == attributes["fingerprint"]
    plan = attributes["plan"]
    run(
        tmp_path / "b.zarr",
        experiment,
        backend=plan["backend"],
        tile=tuple(plan["tile"]),
        steps_per_task=plan["steps_per_task"],
    )
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))


def test_provenance(tmp_path, monkeypatch) -> None:
    """Everything that one needs to know of a run, as strict JSON."""
    monkeypatch.chdir(tmp_path)
    Path("P1.hkl").write_text("0 0 1 10\n1 0 0 5\n")
    structure = StructureFactors(path="P1.hkl", default_F=3.0)
    run(
        "a.zarr",
        small_experiment(structure=structure),
        command=["nbdask", "simulate", "-hkl", "my file.hkl"],
        notes=["said"],
    )
    text = Path("a.zarr/zarr.json").read_text()
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    found = data["attributes"]
    assert (found["format"], found["format_version"], found["status"]) == ("nbdask", 3, "complete")
    assert found["command"] == "nbdask simulate -hkl 'my file.hkl'"
    assert found["inputs"] == [
        {
            "role": "structure factors",
            "path": "P1.hkl",
            "sha256": hashlib.sha256(b"0 0 1 10\n1 0 0 5\n").hexdigest(),
        }
    ]
    assert found["seeds"] == {"misset": None, "mosaic": 12345678}
    assert found["nbdask_version"] == nbdask.__version__
    assert found["git_commit"] == git_commit()
    assert {"python", "numpy", "zarr", "dask"} <= set(found["versions"])
    assert found["started"] <= found["ended"]
    assert found["ended"].endswith("+00:00")
    assert found["notes"][0] == "said"
    for name in ("semantics", "backend", "precision", "kernel_version", "host", "cpu", "plan"):
        assert found[name]


def test_the_public_names(tmp_path, whole) -> None:
    """``nbdask.simulate`` and ``nbdask.open`` do the main job."""
    result = nbdask.simulate(EXPERIMENT, out=tmp_path / "a.zarr", backend="numpy")
    data = nbdask.open(result.path)
    assert isinstance(data, xarray.Dataset)
    assert data.image.chunks is not None
    assert np.array_equal(data.image.values, whole)
    assert float(data.image.sel(slow=3, fast=4)) == whole[3, 4]


def test_progress_counts_tiles(tmp_path) -> None:
    """One call per tile, in order, with the total."""
    seen: list[tuple[int, int]] = []
    run(tmp_path / "a.zarr", tile=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 12) for n in range(1, 13)]


def test_floatfile_is_the_image(tmp_path, whole) -> None:
    """Raw little-endian float32, slow-major; no temporary file is left."""
    run(tmp_path / "a.zarr", tile=8, outputs=[FloatFile(tmp_path / "float.bin")])
    assert (tmp_path / "float.bin").read_bytes() == whole.astype("<f4").tobytes()
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "float.bin"]


def test_an_impossible_floatfile_is_refused_before_the_run(tmp_path) -> None:
    """Nothing is computed or written."""
    with pytest.raises(StoreError, match="-floatfile"):
        run(tmp_path / "a.zarr", outputs=[FloatFile(tmp_path / "no" / "float.bin")])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tile": 3}, PlanError),
        ({"steps_per_task": 0}, PlanError),
        ({"memory_limit": "1MB"}, PlanError),
        ({"memory_limit": "lots"}, PlanError),
        ({"cluster": "slurm"}, ClusterError),
        ({"cluster": "threads", "workers": 3}, ClusterError),
        ({"overwrite": True, "resume": True}, StoreError),
        ({"resume": True}, StoreError),
    ],
)
def test_what_cannot_run_writes_nothing(tmp_path, options, error) -> None:
    """Refused before the store is made."""
    with pytest.raises(error):
        run(tmp_path / "a.zarr", **options)
    assert os.listdir(tmp_path) == []


def test_an_existing_store_is_kept_unless_asked(tmp_path) -> None:
    """Refused without, replaced with ``overwrite``."""
    run(tmp_path / "a.zarr")
    before = StoreReader(tmp_path / "a.zarr").attributes
    with pytest.raises(StoreError, match="--overwrite"):
        run(tmp_path / "a.zarr", small_experiment())
    assert StoreReader(tmp_path / "a.zarr").attributes == before
    run(tmp_path / "a.zarr", small_experiment(), overwrite=True)
    assert StoreReader(tmp_path / "a.zarr").attributes["fingerprint"] != before["fingerprint"]


def test_a_cluster_that_does_not_start_leaves_nothing(tmp_path, monkeypatch) -> None:
    """The store is made only when the workers are there."""

    def broken(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr("nbdask.cluster.local.LocalCluster", broken)
    with pytest.raises(ClusterError, match="no more processes"):
        run(tmp_path / "a.zarr", cluster="local", threads=1)
    assert os.listdir(tmp_path) == []


class _Broken(ReferenceKernel):
    """Fails at the tiles of the lower half."""

    def partial(self, model, tile, steps, mask):
        if tile.slow0 >= 16:
            raise ArithmeticError("here")
        return super().partial(model, tile, steps, mask)


def test_failing_tiles_are_named_and_the_others_done(tmp_path, monkeypatch, whole) -> None:
    """The store stays unfinished; a resumed run completes it."""
    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    monkeypatch.setattr("nbdask.graph.context.get_kernel", lambda *_: _Broken())
    with pytest.raises(UnfinishedError, match=r"tile 6 \(slow \d.*ArithmeticError") as ended:
        run(tmp_path / "a.zarr", tile=8, threads=1)
    assert len(ended.value.tiles) == 6
    monkeypatch.undo()
    reader = StoreReader(tmp_path / "a.zarr")
    assert reader.attributes["status"] == "running"
    assert reader.attributes["ended"] is None
    assert reader.done().sum() == 6
    with pytest.raises(StoreError, match="not complete"):
        FloatFile(tmp_path / "float.bin").write(tmp_path / "a.zarr")
    run(tmp_path / "a.zarr", resume=True)
    assert np.array_equal(pixels(tmp_path / "a.zarr"), whole)


def test_resume_computes_only_what_is_missing(tmp_path, monkeypatch) -> None:
    """Pixels, records and statistics are those of an uninterrupted run."""
    reference = run(tmp_path / "a.zarr", tile=8, steps_per_task=5)

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        run(tmp_path / "b.zarr", tile=8, steps_per_task=5, progress=stop, threads=1)
    done = int(StoreReader(tmp_path / "b.zarr").done().sum())
    assert 5 <= done < 12
    calls = []
    finish = ReferenceKernel.finish

    def watched(self, model, tile, partial, mask):
        calls.append(tile)
        return finish(self, model, tile, partial, mask)

    monkeypatch.setattr(ReferenceKernel, "finish", watched)
    result = run(tmp_path / "b.zarr", resume=True)
    assert len(calls) == 12 - done
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))
    assert result.statistics == reference.statistics
    attributes = StoreReader(tmp_path / "b.zarr").attributes
    assert attributes["status"] == "complete"
    assert len(attributes["resumed"]) == 1
    calls.clear()
    assert run(tmp_path / "b.zarr", resume=True).statistics == reference.statistics
    assert calls == []
    assert StoreReader(tmp_path / "b.zarr").attributes == attributes


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"experiment": EXPERIMENT.replace(semantics="c")}, 'semantics: default -> "c"'),
        ({"experiment": EXPERIMENT.replace(scan=Scan(phi0=0.2, osc=0.02, count=3))}, "scan.phi0"),
        ({"tile": 16}, r"tile: \[8, 8\] -> \[16, 16\]"),
        ({"steps_per_task": 3}, "steps_per_task: 24 -> 3"),
    ],
)
def test_resume_refuses_other_settings(tmp_path, options, text) -> None:
    """The difference is shown, and the store is not touched."""
    run(tmp_path / "a.zarr", tile=8)
    before = StoreReader(tmp_path / "a.zarr").attributes
    with pytest.raises(StoreError, match=text):
        run(tmp_path / "a.zarr", resume=True, **options)
    assert StoreReader(tmp_path / "a.zarr").attributes == before


def test_resume_refuses_a_changed_input_file(tmp_path, monkeypatch) -> None:
    """Also when the experiment itself holds no checksum of it."""
    monkeypatch.chdir(tmp_path)
    Path("P1.hkl").write_text("0 0 1 10\n")
    experiment = small_experiment(structure=StructureFactors(path="P1.hkl", default_F=3.0))
    run("a.zarr", experiment)
    Path("P1.hkl").write_text("0 0 1 11\n")
    with pytest.raises(StoreError, match=r"structure factors P1\.hkl: sha256"):
        run("a.zarr", experiment, resume=True)


def test_interpolation_outside_the_grid(tmp_path) -> None:
    """Spec semantics say so in a note; C semantics refuse."""
    experiment = small_experiment(
        sampling=Sampling(oversample=1, interpolate=True),
        structure=StructureFactors(reflections=reflections(2), default_F=10.0),
    )
    result = run(tmp_path / "a.zarr", experiment)
    assert "default_F was used" in result.notes[-1]
    assert StoreReader(tmp_path / "a.zarr").attributes["notes"] == list(result.notes)
    with pytest.raises(SemanticsError, match="timing"):
        run(tmp_path / "b.zarr", experiment.replace(semantics="c"))


_INTERRUPTED = """
import sys, time
from nbdask.kernels.reference import ReferenceKernel
from nbdask.run import simulate
from tests.test_run import EXPERIMENT
from benchmarks.large_kill_job import hold
partial = ReferenceKernel.partial
def slow(*a):
    hold()
    time.sleep(0.3)
    return partial(*a)
ReferenceKernel.partial = slow
if __name__ == "__main__":
    try:
        simulate(EXPERIMENT, sys.argv[1], backend="numpy", tile=8, threads=1,
                 cluster=sys.argv[2], workers=1, progress=lambda *a: print(*a, flush=True))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("cluster", ["threads", pytest.param("local", marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", sampled([signal.SIGINT, signal.SIGKILL], 2))
def test_an_interrupted_run_leaves_a_valid_store(tmp_path, whole, cluster, kind) -> None:
    """Ctrl-C to the whole group, and kill -9: NaN and no record where nothing was computed."""
    script = tmp_path / "job.py"
    script.write_text(_INTERRUPTED)
    hold = tmp_path / "hold"
    hold.write_text("1")
    # The scratch folder of workers, which kill -9 leaves, is then here.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), HOLD: str(hold), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "a.zarr", cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1 12")
    os.killpg(process.pid, kind)
    hold.unlink()
    output, errors = process.communicate(timeout=PATIENCE)
    if kind == signal.SIGINT:
        assert output.split()[-1] == "stopped"
        assert "Traceback" not in errors
        caches = {f"nbdask-{os.getuid()}"}
        assert {path.name for path in tmp_path.glob("nbdask-*")} <= caches
    reader = StoreReader(tmp_path / "a.zarr")
    done = reader.done()
    assert reader.attributes["status"] == "running"
    assert 1 <= done.sum() < 12
    for index, tile in enumerate(reader.grid):
        expected = whole[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        found = reader.tile(index)
        assert np.array_equal(found, expected) or (not done[index] and np.isnan(found).all())
    run(tmp_path / "a.zarr", resume=True)
    assert np.array_equal(pixels(tmp_path / "a.zarr"), whole)


@pytest.mark.long
def test_threads_load_nothing_heavy(tmp_path) -> None:
    """A run on threads imports neither distributed nor xarray nor dask's arrays."""
    code = (
        "import sys\n"
        "from nbdask.run import simulate\n"
        "from tests.helpers import small_experiment\n"
        "simulate(small_experiment(), sys.argv[1], backend='numpy')\n"
        "heavy = ('distributed', 'xarray', 'dask.array', 'pandas', 'matplotlib')\n"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", code, tmp_path / "a.zarr"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == []

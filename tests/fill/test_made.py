"""On which kinds of machines tiles were made."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import BackendError, UnfinishedError
from nbdask.fill.made import Made
from nbdask.graph import context, tasks
from nbdask.graph.tasks import TileResult
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import BACKENDS, has_same_bits
from nbdask.native import library
from nbdask.plan.machine import cpu_name
from nbdask.statistics import EMPTY
from nbdask.store.reader import StoreReader
from tests.helpers import small_experiment

FLAGS = "-cell 70 80 90 90 90 90 -N 3 -default_F 1 -lambda 1 -detpixels 8"


def results(*kinds: str) -> Made:
    made = Made({})
    for number, kind in enumerate(kinds):
        made.add(TileResult(number, None, EMPTY._replace(seconds=0.5), made=kind))
    return made


def test_kinds_are_counted_and_go_on_in_a_resumed_run() -> None:
    """The commonest first; what is not known is left out."""
    found = results("b", "a", "a", "").attributes()
    assert found == {
        "made_by": {"a": {"tiles": 2, "seconds": 1.0}, "b": {"tiles": 1, "seconds": 0.5}}
    }
    assert list(found["made_by"]) == ["a", "b"]
    assert Made(found).attributes() == found
    assert Made({}).attributes() == {}


def test_a_mixture_is_told_where_bits_may_differ() -> None:
    """Also where only the step ranges of one tile were made on different machines."""
    for kinds in (("a", "b"), ("a + b",)):
        assert results(*kinds).notes(same_bits=True) == ()
        (note,) = results(*kinds).notes(same_bits=False)
        assert "their last bits may differ: 1 on a" in note
    assert results("a", "a").notes(same_bits=False) == ()


def test_parts_of_a_tile_keep_where_they_were_made() -> None:
    """Sums of sums name each kind once."""
    parts = [tasks.TimedPartial(None, 1.0, kind) for kind in ("b", "a", "b")]
    assert tasks.add(tasks.add(parts[0], parts[1]), parts[2]).made == "a + b"


def test_a_store_tells_what_made_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Processor and level of the library; one step range or several."""
    if not library.available():
        pytest.skip("needs the compiled kernel")
    for steps in (None, 2):
        path = tmp_path / f"{steps}.zarr"
        nbdask.simulate(small_experiment(), path, tile=16, steps_per_task=steps, same_bits=True)
        reader = StoreReader(path)
        ((kind, counts),) = reader.attributes["made_by"].items()
        assert kind.startswith(f"{cpu_name()}, ")
        assert counts["tiles"] == len(reader.grid)
        assert main(["info", str(path)]) == 0
        assert f"made by      {kind}: {counts['tiles']} tiles" in capsys.readouterr().out
        assert main(["verify", str(path)]) == 0


def test_a_run_on_two_kinds_of_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops in the middle and goes on elsewhere: both are on record, and a note says so."""

    class Broken(ReferenceKernel):
        def partial(self, model, tile, steps, mask):
            if tile.slow0 == 16:
                raise OSError("no luck")
            return super().partial(model, tile, steps, mask)

    options = {"backend": "numpy", "tile": 16}
    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    with monkeypatch.context() as here:
        here.setattr(context, "get_kernel", lambda *_: Broken())
        here.setattr(context, "_kind", lambda variant: "one")
        with pytest.raises(UnfinishedError):
            nbdask.simulate(small_experiment(), tmp_path / "a.zarr", **options)
    first = StoreReader(tmp_path / "a.zarr").attributes["made_by"]
    monkeypatch.setattr(context, "_kind", lambda variant: "two")
    result = nbdask.simulate(small_experiment(), tmp_path / "a.zarr", resume=True, **options)
    found = StoreReader(tmp_path / "a.zarr").attributes["made_by"]
    assert found["one"] == first["one"]
    assert sum(counts["tiles"] for counts in found.values()) == len(result.plan.grid)
    assert any("their last bits may differ" in note for note in result.notes)


def test_only_exact_kernels_have_the_same_bits(tmp_path: Path) -> None:
    """Others are refused before anything is written, in one line."""
    exact = [
        (name, precision)
        for name, backend in BACKENDS.items()
        for precision in backend.precisions
        if has_same_bits(name, precision)
    ]
    assert exact == [("cpu", "float64"), ("cuda", "float64")]
    with pytest.raises(BackendError, match=r"same_bits.*--precision float64|same.bits.*float64"):
        nbdask.simulate(small_experiment(), tmp_path / "a.zarr", backend="numpy", same_bits=True)
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["simulate", *FLAGS.split()]
    argv += ["--out", str(tmp_path / "a.zarr"), "--same-bits", "--backend", "numpy"]
    for more in ([], ["--dry-run"]):
        assert main([*argv, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("nbdask: error: --same-bits: with --backend numpy --precision")
    assert list(tmp_path.iterdir()) == []

"""What a user sees of a run: the bar, the lines of a log, the plan, the way to resume."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest

from benchmarks.large_kill_job import HOLD
from nbdask.cli import progress
from nbdask.cli.main import main
from nbdask.cli.progress import ProgressLine
from nbdask.cli.running import resume_command
from nbdask.cluster.dashboard import Dashboard
from nbdask.cluster.news import Crew, News
from nbdask.fill.listen import Start
from nbdask.geometry.build import build_model
from nbdask.graph.tasks import TileResult
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.demand import Resources
from nbdask.plan.plan import Plan, make_plan
from nbdask.statistics import EMPTY
from nbdask.store.local import LocalPlace
from nbdask.store.reader import StoreReader
from tests.cluster.pools import tiles_done
from tests.helpers import COSTS, PATIENCE, ROOT, small_experiment, wait_until

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 48 -pixel 0.3 -oversample 1"
#: A tile of 8 x 8 evaluated pixels.
TILE = TileResult(0, None, EMPTY._replace(n_evaluated=64))


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def plan_of(**parts) -> Plan:
    """Return a plan of 4 x 3 tiles of 8 x 8 pixels."""
    return make_plan(
        build_model(small_experiment(**parts)), ReferenceKernel(), Resources(COSTS), tile=8
    )


def start_of(
    plan: Plan, done: int = 0, working: int = 0, dashboard: Dashboard | None = None
) -> Start:
    """Return how a run with this plan stands."""
    return Start("run.zarr", len(plan.grid), done, working, dashboard, plan)


def test_a_terminal_gets_a_bar_that_fits(monkeypatch, clock) -> None:
    """Time left, tiles, speed, gigabytes and memory in 79 columns; the last one ends the line."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    line = ProgressLine()
    line.begin(start_of(plan_of()))
    for done in range(1, 13):
        clock.now += 2.0
        line.tile(TILE, done)
    shown = screen.getvalue().split("\r\x1b[K")[1:]
    assert len(shown) == 12
    assert shown[5].startswith("[#####-----] 50 %, 12 s left, 6/12 tiles, 32 eval/s, ")
    assert all(len(text.rstrip("\n")) < 80 for text in shown)
    assert shown[-1].startswith("[##########] 100 %, done in 24 s")
    assert screen.getvalue().endswith("\n")


def test_a_log_gets_few_plain_lines(capsys, clock) -> None:
    """No line more often than every 15 s, no control characters, a last one at the end."""
    line = ProgressLine()
    line.begin(start_of(plan_of(), dashboard=Dashboard("http://127.0.0.1:8787/status", None)))
    for done in range(1, 13):
        clock.now += 10.0
        line.tile(TILE, done)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "nbdask: dashboard: http://127.0.0.1:8787/status"
    assert len(lines) == 1 + 6
    assert lines[1].startswith("nbdask: 2 of 12 tiles, 16 %, 6.4 evaluations/s, 512 B of 3.0 KiB")
    assert "100 s left" in lines[1]
    assert lines[-1].startswith("nbdask: 12 of 12 tiles, 100 %")
    assert not any(ord(letter) < 32 for text in lines for letter in text)


def test_what_is_skipped_is_shown(capsys, clock) -> None:
    """The rate is that of the evaluations asked for; beside it stands which share is done."""
    line = ProgressLine()
    line.begin(start_of(dataclasses.replace(plan_of(), share=0.034)))
    clock.now += 20.0
    line.tile(TILE, 6)
    assert ", 3.2 evaluations/s (3.4 % computed), " in capsys.readouterr().err


def test_workers_are_shown(monkeypatch, capsys, clock) -> None:
    """In a log all that is known of them, on a terminal what fits."""
    crew = Crew(8, 64, 7, lost=2, replaced=1, retries=3, running=8, pending=4, reason="Priority")
    line = ProgressLine()
    line.news(News("crew", "", asdict(crew)))
    line.begin(start_of(plan_of()))
    clock.now += 20.0
    line.tile(TILE, 6)
    expected = "7 of 8 workers busy, 4 jobs pending (Priority), 2 lost, 1 replaced, 3 retries"
    assert expected in capsys.readouterr().err
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    line = ProgressLine()
    line.begin(start_of(plan_of()))
    line.news(News("crew", "", asdict(crew)))
    clock.now += 20.0
    line.tile(TILE, 6)
    assert "6/12 tiles, 7/8 workers, 4 pending, 1 lost, 3 ag" in screen.getvalue()


def test_a_short_run_leaves_no_lines_in_a_log(capsys, clock) -> None:
    """Nor does a quiet one, which still counts."""
    for quiet, seconds in ((False, 1.0), (True, 60.0)):
        line = ProgressLine(quiet)
        line.begin(start_of(plan_of(), dashboard=Dashboard("http://x", None) if quiet else None))
        for done in range(1, 13):
            clock.now += seconds
            line.tile(TILE, done)
        assert capsys.readouterr().err == ""
        assert line.done == 12


def test_time_left_counts_what_is_still_to_be_evaluated(clock) -> None:
    """Tiles outside the region of interest, and those of the run before, take no time."""
    from nbdask.experiment import Sampling

    plan = plan_of(sampling=Sampling(oversample=1, roi=(0, 15, 0, 23)))
    assert plan.working_tiles == 6
    line = ProgressLine(quiet=True)
    line.begin(start_of(plan, 3, 2))
    clock.now += 10.0
    line.tile(TILE, 4)
    assert "30 s left" in line.describe(clock.now)
    line.tile(TileResult(0, None, EMPTY), 5)
    assert "30 s left" in line.describe(clock.now)


def test_dry_run_tells_disk_space_and_warns(tmp_path, capsys, monkeypatch) -> None:
    """Need and free space; a note where the image might not fit; nothing is written."""
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--tile", "16", "--dry-run"]
    assert main(argv) == 0
    assert "disk      at most" in capsys.readouterr().out
    assert main([*argv, "--out", str(tmp_path / "a.zarr")]) == 0
    assert " free at " in capsys.readouterr().out
    monkeypatch.setattr(LocalPlace, "free_bytes", lambda self: 45_000)
    assert main([*argv, "--out", str(tmp_path / "a.zarr")]) == 0
    said = capsys.readouterr()
    assert "43.9 KiB free" in said.out
    assert "may need up to" in said.err
    assert os.listdir(tmp_path) == []


def test_the_command_that_resumes() -> None:
    """Quoted for a shell; --overwrite would refuse to resume, so it goes."""
    argv = ["nbdask", "simulate", "-N", "5", "--out", "my run.zarr", "--overwrite"]
    assert resume_command(argv) == "nbdask simulate -N 5 --out 'my run.zarr' --resume"
    assert resume_command([*argv[:-1], "--resume"]).count("--resume") == 1


_SLOW = """
import sys, time
from nbdask.graph.tasks import TileResult
from nbdask.kernels.reference import ReferenceKernel
from nbdask.cli.main import entry
from benchmarks.large_kill_job import hold
partial = ReferenceKernel.partial
def slow(*a):
    hold()
    time.sleep(0.2)
    return partial(*a)
ReferenceKernel.partial = slow
if __name__ == "__main__":
    sys.argv[0] = "nbdask"
    entry()
"""


@pytest.mark.parametrize(
    ("number", "code", "word", "cluster"),
    [
        (signal.SIGINT, 130, "interrupted", "threads"),
        (signal.SIGTERM, 143, "terminated", "threads"),
        pytest.param(signal.SIGTERM, 143, "terminated", "local", marks=pytest.mark.long),
    ],
)
def test_a_stopped_run_prints_the_command_that_resumes(
    tmp_path, number, code, word, cluster
) -> None:
    """No traceback, the lock is given back, and the printed command finishes the store.

    The signal goes to the whole group, workers included.
    """
    script, store = tmp_path / "job.py", tmp_path / "a b.zarr"
    script.write_text(_SLOW)
    hold = tmp_path / "hold"
    hold.write_text("1")
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--tile", "8", "--threads", "1"]
    argv += ["--cluster", cluster]
    process = subprocess.Popen(
        [sys.executable, script, *argv, "--out", store],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), HOLD: str(hold)},
        start_new_session=True,
    )
    wait_until(lambda: tiles_done(store) > 0 or process.poll() is not None)
    os.killpg(process.pid, number)
    hold.unlink()
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == code
    assert "Traceback" not in errors
    *_, said, command = errors.splitlines()
    assert said.startswith(f"nbdask: {word}; the store keeps all finished tiles")
    assert command == resume_command(["nbdask", *argv, "--out", str(store)])
    assert 0 < StoreReader(store).done().sum() < 36
    assert not store.with_name(f".{store.name}.lock").exists()
    assert main([*argv, "--out", str(store), "--resume", "--quiet"]) == 0
    assert StoreReader(store).attributes["status"] == "complete"


def test_tiles_that_fail_are_named_with_the_command_that_resumes(
    tmp_path, monkeypatch, capsys
) -> None:
    """Exit code 1; all other tiles are done; the printed command finishes the store."""

    class Broken(ReferenceKernel):
        def partial(self, model, tile, steps, mask):
            if tile.slow0 == 8 and tile.fast0 < 16:
                raise OSError("no luck")
            return super().partial(model, tile, steps, mask)

    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    monkeypatch.setattr("nbdask.graph.context.get_kernel", lambda *_: Broken())
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--tile", "8", "--out"]
    argv += [str(tmp_path / "a.zarr"), "--quiet"]
    assert main(argv) == 1
    said, *named, again, command = capsys.readouterr().err.splitlines()
    assert said == "nbdask: error: 2 tiles failed on every try, all others are done:"
    assert [text.split(",")[0] for text in sorted(named)] == [
        "  tile 6 (slow 8 to 16",
        "  tile 7 (slow 8 to 16",
    ]
    assert again == "nbdask: to try them again:"
    assert command.endswith(" --resume")
    assert StoreReader(tmp_path / "a.zarr").done().sum() == 34
    monkeypatch.undo()
    assert main([*argv, "--resume"]) == 0

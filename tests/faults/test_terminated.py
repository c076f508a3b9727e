"""SIGTERM, by which batch systems end what they run, to each process of a run in turn."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from tests.cluster.pools import command, environment, pixels, pool, running, tiles_done
from tests.helpers import PATIENCE, wait_until

pytestmark = pytest.mark.long

#: An image of 100 tiles.
FLAGS = "-cell 70 -default_F 10 -N 5 -detpixels 80 -pixel 1 -oversample 1 -osc 1 -phisteps 20"
ARGV = [*FLAGS.split(), "--backend", "numpy", "--tile", "8"]
TILES = 100


def test_every_process_is_terminated_once(tmp_path: Path) -> None:
    """A worker, the other one, the scheduler, the leading process: the same bits in the end."""
    out = tmp_path / "a.zarr"
    with pool(tmp_path, 2) as made:
        # Each stop finds the run in the middle: a worker begins no more tiles than the file says.
        made.hold.write_text("5")
        argv = ["--cluster", f"scheduler-file:{made.file}"]
        with running(out, *argv, argv=ARGV) as process:
            for worker in tuple(made.workers):
                wait_until(lambda: tiles_done(out) >= 10)
                worker.send_signal(signal.SIGTERM)
                made.hold.unlink()
                assert worker.wait(PATIENCE) == 0
                made.hold.write_text("5")
                made.add_worker()
                made.wait_for_workers(2)
            made.scheduler.send_signal(signal.SIGTERM)
            made.hold.unlink()
            assert made.scheduler.wait(PATIENCE) == 0
            _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, said
        assert "the connection to the scheduler is lost" in said
        assert "Traceback" not in said
    before = tiles_done(out)
    assert 10 <= before < TILES
    again = tmp_path / "again"
    again.mkdir()
    with pool(again, 2) as made:
        made.hold.write_text("8")
        argv = ["--cluster", f"scheduler-file:{made.file}", "--resume"]
        with running(out, *argv, argv=ARGV) as process:
            wait_until(lambda: tiles_done(out) > before)
            process.send_signal(signal.SIGTERM)
            made.hold.unlink()
            _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 143, said
        assert "terminated; the store keeps all finished tiles" in said
        assert before < tiles_done(out) < TILES
        # The last line is the command that goes on.
        words = shlex.split(said.splitlines()[-1])
        assert words[-1] == "--resume"
        done = subprocess.run(
            [sys.executable, "-m", "nbdask", *words[1:]],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
    assert tiles_done(out) == TILES
    expected = command(tmp_path / "b.zarr", "--threads", "1", "--quiet", argv=ARGV)
    assert main(expected[3:]) == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "b.zarr"))
    assert main(["verify", str(out), "--quiet"]) == 0

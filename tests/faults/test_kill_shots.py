"""A run of a series that is killed again and again, and resumed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nbdask.store.reader import StoreReader
from nbdask.verification import verify
from tests.helpers import PATIENCE

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes"),
]
FLAGS = (
    "-lambda 1 -distance 100 -pixel 0.5 -detpixels 128 -cell 70 80 90 90 90 90 -N 5"
    " -default_F 100 -fluence 1e28 -oversample 2 -mosaic_spread 1 -mosaic_domains 20"
)
SHOTS = 150


def command(store: Path, *more: str) -> list[str]:
    """A run of many small shots of 4 tiles."""
    return [
        *(sys.executable, "-m", "nbdask", "simulate", *FLAGS.split(), "--tile", "64"),
        *("--shots", str(SHOTS), "--orientations", "random", "--shot-seed", "1"),
        *("--vary", "beam.fluence=lognormal:0.3", "--quiet", "--out", str(store), *more),
    ]


def kill_when(store: Path, files: int, *more: str) -> None:
    """Start a run and kill all of it once so many tiles have files."""
    run = subprocess.Popen(command(store, *more), start_new_session=True)
    end = time.monotonic() + PATIENCE
    while run.poll() is None and time.monotonic() < end:
        if sum(1 for path in (store / "image").rglob("*") if path.is_file()) > files:
            break
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


@pytest.mark.parametrize(
    ("where", "kills"),
    # Worker processes take seconds to start, each time.
    [(("--threads", "2"), 5), (("--cluster", "local", "--workers", "2"), 2)],
    ids=["threads", "workers"],
)
def test_killed_series_have_the_bits_of_an_unbroken_run(
    tmp_path: Path, where: tuple[str, ...], kills: int
) -> None:
    """S-STORE-62: pixels, records and statistics, whenever the run was killed."""
    subprocess.run(command(tmp_path / "whole.zarr"), check=True)
    store, draw = tmp_path / "a.zarr", random.Random(7)
    for number in range(kills):
        done = draw.randrange(1, 4 * SHOTS // kills) + number * 4 * SHOTS // kills
        kill_when(store, done, *where, *(["--resume"] if store.exists() else []))
    last = subprocess.run(command(store, *where, "--resume"), check=False)
    assert last.returncode == 0
    one, other = StoreReader(store), StoreReader(tmp_path / "whole.zarr")
    assert np.array_equal(one.image[...], other.image[...])
    assert one.attributes["statistics"] == other.attributes["statistics"]
    assert verify(store, 10).ok

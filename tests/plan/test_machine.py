"""What the machine offers, and memory that is given back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nbdask.plan.machine import available_cores, release_large_blocks, resident_bytes, total_memory
from tests.helpers import ROOT

LINUX = sys.platform.startswith("linux")

#: Frees every other of many blocks of 4 MiB, again and again, with small ones in between.
_CHURN = """
import sys
import numpy as np
from nbdask.plan.machine import release_large_blocks, resident_bytes
done = release_large_blocks()
before = resident_bytes()
kept = []
for _ in range(3):
    blocks = [np.ones(1 << 19) for _ in range(40)]
    kept += [np.ones(1000) for _ in range(40)]
    del blocks
print(done, (resident_bytes() - before) >> 20)
"""


def test_the_machine_has_something() -> None:
    """At least a core, some memory, and this process in it."""
    assert available_cores() >= 1
    assert total_memory() > 1 << 28
    if LINUX:
        assert 1 << 23 < resident_bytes() < total_memory()


@pytest.mark.skipif(not LINUX, reason="glibc only")
def test_large_blocks_go_back_to_the_system() -> None:
    """After arrays of 160 MiB came and went three times, the process is as small as before."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MALLOC_MMAP_THRESHOLD_", None)
    command = [sys.executable, "-c", _CHURN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    released, grown = done.stdout.split()
    assert released == "True"
    assert int(grown) < 8


def test_the_users_own_choice_is_left_alone(monkeypatch) -> None:
    """``MALLOC_MMAP_THRESHOLD_`` prevails."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "33554432")
    assert release_large_blocks() is False

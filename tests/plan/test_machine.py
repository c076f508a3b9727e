"""What the machine offers, and memory that is given back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbdask.plan import machine
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


@pytest.mark.parametrize(
    ("own", "files", "memory", "cores"),
    [
        ("0::/\n", {"memory.max": "2147483648", "cpu.max": "300000 100000"}, 2 << 30, 3),
        (
            "0::/job_7/step_0\n",
            {
                "memory.max": "max",
                "cpu.max": "max 100000",
                "job_7/memory.max": "1073741824",
                "job_7/step_0/memory.max": "max",
                "job_7/step_0/cpu.max": "50000 100000",
            },
            1 << 30,
            1,
        ),
        (
            "4:memory:/slurm/uid_5\n1:name=systemd:/\n",
            {"memory/slurm/uid_5/memory.limit_in_bytes": "536870912"},
            1 << 29,
            None,
        ),
        ("0::/elsewhere/container\n", {"memory.max": "max"}, None, None),
        ("odd\n", {}, None, None),
        (None, {"memory/memory.limit_in_bytes": "4294967296"}, 4 << 30, None),
    ],
    ids=["container", "job", "version 1", "hidden", "odd", "no list"],
)
def test_limits_of_control_groups_hold(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    files: dict[str, str],
    memory: int | None,
    cores: int | None,
) -> None:
    """Those of the process's own group and of all above it."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 1 << 20 if "PHYS" in name else 1 << 14)
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text + "\n")
    assert total_memory() == (memory or 16 << 30)
    assert available_cores() == (cores or 8)


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

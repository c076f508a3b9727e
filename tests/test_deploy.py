"""The batch script runs, here without a scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import zarr

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "deploy" / "slurm-single-node.sh"


def test_single_node_script(tmp_path: Path) -> None:
    """All words reach `nbdask simulate`, threads and memory come from Slurm's variables."""
    command = tmp_path / "bin" / "nbdask"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\n'
        f'[ "$1" = warmup ] || exec "{sys.executable}" -m nbdask "$@"\n'
    )
    command.chmod(0o755)
    words = "-cell 70 -default_F 10 -N 5 -detpixels 16 -pixel 1 -oversample 1 --backend numpy"
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_MEM_PER_NODE": "4096",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), "--out", str(tmp_path / "a run.zarr"), *words.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / "calls").read_text().splitlines()
    assert first == "warmup"
    assert second.startswith("simulate --cluster threads --threads 2 --memory-limit 3276MiB --out")
    assert zarr.open_array(tmp_path / "a run.zarr" / "image", mode="r").shape == (16, 16)


def test_batch_directives_come_before_the_first_command() -> None:
    """Slurm stops reading them there."""
    lines = SCRIPT.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    directives = [i for i, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert len(directives) >= 4
    assert max(directives) < first

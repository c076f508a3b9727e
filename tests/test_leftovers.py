"""What killed processes left is deleted; what living ones, or strangers, have is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbdask.leftovers import mark, sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes apart")


def test_only_what_a_dead_process_made_is_deleted(tmp_path: Path) -> None:
    """Files and folders; not those of this process, of another machine, or of another name."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here, own, token = mark().split("-")
    dead = f"{here}-{ended.pid}-{token}"
    kept = [f".{here}-{own}-{token}.a", f".00000000-{ended.pid}-{token}.a", f".{dead}.b", "a"]
    for name in (*kept, f".{dead}.a"):
        (tmp_path / name).write_text("x")
    assert sweep(tmp_path, ".", ".a") == 1
    (tmp_path / f".{dead}.a").mkdir()
    (tmp_path / f".{dead}.a" / "file").write_text("x")
    assert sweep(tmp_path, ".", ".a") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    """No error: the writer says what is wrong with it."""
    assert sweep(tmp_path / "none", ".") == 0

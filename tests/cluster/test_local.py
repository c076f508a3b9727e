"""Worker processes on this machine, started by a script."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from nbdask.cluster.local import led_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError
from tests.helpers import PATIENCE

SCRIPT = """
import nbdask

words = "-cell 100 100 100 90 90 90 -N 5 -default_F 100 -lambda 1 -detpixels 64".split()
nbdask.simulate(nbdask.from_args(words), "a.zarr", cluster="local", workers=1)
"""
GUARD = 'put what the script does below if __name__ == "__main__":'


def refuse() -> None:
    """Start nothing."""
    raise RuntimeError("Nanny failed to start.")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("run.py", "print(1)", True),
        ("run.py", 'if __name__ == "__main__":\n    print(1)', False),
        ("nbdask", "print(1)", False),
        (None, "", False),
    ],
)
def test_a_script_without_the_guard_is_told(
    name: str | None, text: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where workers do not start; not one that has it, the command, or a notebook."""
    main = types.ModuleType("__main__")
    if name is not None:
        (tmp_path / name).write_text(text)
        main.__file__ = str(tmp_path / name)
    monkeypatch.setitem(sys.modules, "__main__", main)
    spec = ClusterSpec("local", 1, 1)
    with (
        pytest.raises(ClusterError, match="do not start: Nanny failed") as caught,
        led_cluster(spec, refuse),
    ):
        pass
    assert (GUARD in str(caught.value)) == told


@pytest.mark.long
def test_workers_of_a_script_without_the_guard(tmp_path: Path) -> None:
    """The script and each worker name it, nobody speaks of another run, nothing is left behind."""
    (tmp_path / "run.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert done.stderr.count(GUARD) == 2
    assert "another run" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.py"]

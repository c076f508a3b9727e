"""What passes by itself is outlasted, anything else told at once."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from nbdask.store import patience
from nbdask.store.patience import on_network, outlast, pause


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr("nbdask.store.patience.time.sleep", pauses.append)
    return pauses


def failing(times: int, number: int) -> Callable[[], int]:
    """Return an action that fails so many times; it returns how often it was done."""
    done: list[int] = []

    def action() -> int:
        done.append(1)
        if len(done) <= times:
            raise OSError(number, "text")
        return len(done)

    return action


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EAGAIN, errno.EDQUOT, errno.ETIMEDOUT])
def test_what_passes_is_outlasted(tmp_path: Path, slept: list[float], number: int) -> None:
    """With pauses that grow; not in object storage, which has its own patience."""
    assert outlast(failing(3, number), tmp_path) == 4
    assert slept == [pause(0), pause(1), pause(2)]
    with pytest.raises(OSError, match="text"):
        outlast(failing(1, number), "s3://bucket/run.zarr")


def test_it_is_not_outlasted_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error itself is told in the end."""
    monkeypatch.setattr(patience, "PATIENCE", -1.0)
    with pytest.raises(OSError, match="text"):
        outlast(failing(1, errno.ESTALE), tmp_path)


def test_what_stays_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk; a damaged one, but not where the network may be the reason."""
    for number in (errno.ENOSPC, errno.EACCES, errno.ENOENT):
        with pytest.raises(OSError, match="text"):
            outlast(failing(1, number), tmp_path)
    monkeypatch.setattr(patience, "on_network", lambda path: False)
    with pytest.raises(OSError, match="text"):
        outlast(failing(1, errno.EIO), tmp_path)
    monkeypatch.setattr(patience, "on_network", lambda path: True)
    assert outlast(failing(1, errno.EIO), tmp_path) == 2


def test_the_innermost_mount_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under a name with a space, as the system writes it."""
    table = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /data rw shared:1 - nfs4 server:/export rw
24 23 0:22 / /data/my\\040disk rw - xfs /dev/sdb1 rw
25 22 0:23 / /remote rw - fuse.sshfs host: rw
"""
    monkeypatch.setattr(Path, "read_text", lambda self: table)
    monkeypatch.setattr("os.path.realpath", str)
    found = [on_network(Path(p)) for p in ("/a", "/data/a", "/data/my disk/a", "/remote/a", "/dat")]
    assert found == [False, True, False, True, False]

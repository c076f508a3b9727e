"""Files appear as a whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from nbdask.errors import StoreError
from nbdask.files import inside, whole_file


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    """Under another name of the same ending until then; an older one is replaced."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as fresh:
        fresh.write_text("new")
        assert (fresh.parent, fresh.suffix) == (tmp_path, ".txt")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wrong", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_nothing_is_left_of_one_that_fails(tmp_path: Path, wrong: BaseException) -> None:
    """Nor is the older one touched."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as fresh:
            fresh.write_text("half")
            raise wrong

    with pytest.raises(type(wrong)):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch) -> None:
    """And its name before the writer goes on."""
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def replaced(source: Path, target: Path) -> None:
        calls.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with whole_file(tmp_path / "a.txt") as fresh:
        fresh.write_text("new")
    assert calls == ["file", "name", "folder"]


def test_the_error_names_option_and_file(tmp_path: Path) -> None:
    """As the kind of error that the caller asks for."""
    path = tmp_path / "none" / "a.txt"
    text = f"--json {path}: cannot be written: No such file or directory"
    with (
        pytest.raises(StoreError, match=text),
        whole_file(path, "--json", StoreError) as fresh,
    ):
        fresh.write_text("new")


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    """It is no file to replace; nothing is left beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"), whole_file(folder) as fresh:
        fresh.write_bytes(b"new")
    assert list(tmp_path.iterdir()) == [folder]


def test_inside_follows_links(tmp_path: Path) -> None:
    """A folder is inside itself; a name that begins alike is not."""
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    assert inside(folder, folder)
    assert inside(tmp_path / "link" / "x" / "y", folder)
    assert not inside(tmp_path / "a.zarr.png", folder)

"""Files to write: where they may be, and that they appear as a whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from nbdask.errors import StoreError
from nbdask.files import Writer, check_target, inside, whole_file


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


def test_a_pipe_stays(tmp_path: Path) -> None:
    """And so would a device, which a renamed file would replace."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="regular"), whole_file(tmp_path / "pipe") as fresh:
        fresh.write_text("x")
    assert [(p.name, p.is_fifo()) for p in tmp_path.iterdir()] == [("pipe", True)]


def test_places_that_are_refused(tmp_path: Path) -> None:
    """Folder, missing folder, device, pipe, socket, address, file: each in its words."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "nowhere").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # names of sockets have to be short
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        for name, message in (
            ("folder", "is a folder: give the path of a file"),
            ("none/a", f"the folder {tmp_path}/none does not exist"),
            ("file", "exists already: --overwrite replaces it, or name another"),
            ("nowhere", "exists already: --overwrite replaces it, or name another"),
            ("file/a", f"the folder {tmp_path}/file does not exist"),
            ("pipe", "is a device, pipe or socket: give the path of a regular file"),
            ("socket", "is a device, pipe or socket: give the path of a regular file"),
        ):
            with pytest.raises(StoreError) as caught:
                check_target(tmp_path / name, "--json", StoreError, overwrite=False)
            assert str(caught.value).startswith(f"--json {tmp_path}/{name}")
            assert str(caught.value).endswith(message)
    with pytest.raises(StoreError, match="written to local paths only"):
        check_target("https://host/a", "--json", StoreError, overwrite=False)
    check_target(tmp_path / "file", "--json", StoreError, overwrite=True)
    check_target(tmp_path / "new", "--json", StoreError, overwrite=False)


def test_links_are_followed_for_what_they_name(tmp_path: Path) -> None:
    """A link to a folder is one; one that leads nowhere is there all the same."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(StoreError, match="is a folder"):
        check_target(tmp_path / "link", "output", StoreError, overwrite=True)
    check_target(tmp_path / "link" / "a", "output", StoreError, overwrite=False)


def test_what_is_half_written_may_be_swept_by_another_process(tmp_path, monkeypatch) -> None:
    """It is written once more; where its folder cannot be, that is an error."""
    writer, replace = Writer(tmp_path, durable=True), os.replace
    swept: list[Path] = []

    def late(source: Path, target: Path) -> None:
        if not swept:
            swept.append(source)
            source.unlink()
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    writer.put("a/b", b"whole")
    assert (tmp_path / "a" / "b").read_bytes() == b"whole"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert len(swept) == 1
    monkeypatch.setattr(os, "replace", lambda source, target: replace(source / "no", target))
    with pytest.raises(OSError, match="Not a directory"):
        writer.put("a/c", b"whole")

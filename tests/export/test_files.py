"""New files: whole under their name, or not there; what was there before stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbdask.errors import StoreError
from nbdask.export.files import check_room, fresh_file
from nbdask.export.flagfile import FlagFile
from nbdask.export.floatfile import FloatFile
from nbdask.export.options import Options
from nbdask.export.picture import Picture


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    """Under another name until then, which has the same ending."""
    target = tmp_path / "a.h5"
    with fresh_file(target, "output", overwrite=False) as fresh:
        assert fresh.parent == tmp_path
        assert fresh.suffix == ".h5"
        fresh.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.h5"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "full")])
def test_after_an_error_the_older_file_is_as_it_was(tmp_path: Path, error: BaseException) -> None:
    """Also after an interruption; nothing is left beside it."""
    target = tmp_path / "a.img"
    target.write_bytes(b"old")
    wanted = StoreError if isinstance(error, OSError) else type(error)

    def write() -> None:
        with fresh_file(target, "-intfile", overwrite=True) as fresh:
            fresh.write_bytes(b"half")
            raise error

    with pytest.raises(wanted) as caught:
        write()
    if isinstance(error, OSError):
        assert str(caught.value) == f"-intfile {target}: cannot be written: full"
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.img"]


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    """Another program's, made while this one was being written."""
    target = tmp_path / "a.img"

    def write() -> None:
        with fresh_file(target, "output", overwrite=False) as fresh:
            fresh.write_bytes(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(StoreError, match="exists already: --overwrite"):
        write()
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.img"]


def test_a_size_beyond_the_disk_is_told_before(tmp_path: Path) -> None:
    """In numbers; the body is never entered."""
    with (
        pytest.raises(StoreError, match=r"needs 1048576.0 TiB, but only .* are free in"),
        fresh_file(tmp_path / "a.bin", "output", overwrite=False, size=1 << 60),
    ):
        pytest.fail("the file was started")
    assert names(tmp_path) == []


def test_room_on_the_disk(tmp_path: Path) -> None:
    """A few bytes there are; an exabyte there is not."""
    check_room(tmp_path / "a", 10)
    with pytest.raises(OSError, match="No space left on device") as caught:
        check_room(tmp_path / "a", 1 << 60)
    assert caught.value.errno == 28


def test_the_file_of_a_flag_replaces_another_as_a_whole(store, tmp_path, image) -> None:
    """As nanoBragg does, without a question; remarks and progress come from the writer."""
    target = tmp_path / "f.bin"
    target.write_bytes(b"old")

    def write(picture: Picture, path: Path, options: Options) -> list[str]:
        path.write_bytes(b"%d %g" % (picture.shape[0], options.factor))
        assert picture.progress is None
        return ["said"]

    file = FlagFile("-xfile", target, write, Options(scale=2.5))
    file.check()
    assert target.read_bytes() == b"old"
    file.write(store)
    assert target.read_bytes() == b"150 2.5"
    assert file.remarks == ["said"]
    FloatFile(target).write(store)
    assert target.read_bytes() == image.tobytes()


def test_the_file_of_a_flag_is_checked_before_the_run(tmp_path) -> None:
    """The flag is named, not an option."""
    file = FloatFile(tmp_path / "none" / "f.bin")
    with pytest.raises(StoreError, match=r"^-floatfile .*none/f.bin: the folder .* does not exist"):
        file.check()

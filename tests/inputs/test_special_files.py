"""What is no regular file, and what numpy would take for something else, is refused at once."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.flags import from_toml
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.fdump import read_fdump
from nbdask.inputs.hkl import read_hkl
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.npy import open_npy
from nbdask.inputs.smv import open_mask, read_header
from nbdask.inputs.sourcefile import read_sources
from nbdask.inputs.text import check_regular
from nbdask.inputs.toml import read_toml

READERS: dict[str, Callable[[Path], Any]] = {
    "hkl": lambda path: read_hkl(path, 0.0),
    "fdump": read_fdump,
    "matrix": read_matrix,
    "sources": read_sources,
    "header": read_header,
    "mask": open_mask,
    "checksum": sha256_of,
    "experiment": from_toml,
    "toml": lambda path: read_toml(path, "tables"),
    "npy": lambda path: open_npy(path, "floats", "f"),
    "check": lambda path: check_regular(path, "anything"),
}
each_reader = pytest.mark.parametrize("name", READERS)


def refused(name: str, path: Path) -> str:
    """Return the one line with which a reader refuses a path, which the line begins with."""
    with pytest.raises(InputFileError) as caught:
        READERS[name](path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@each_reader
def test_a_pipe_is_refused_without_waiting_for_a_writer(name: str, tmp_path: Path) -> None:
    """Opening a named pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    text = refused(name, tmp_path / "pipe")
    assert text.startswith("is a device, pipe or socket: must be a regular file holding ")


@each_reader
def test_an_endless_device_is_refused(name: str) -> None:
    """Reading /dev/zero would fill the memory."""
    assert refused(name, Path("/dev/zero")).startswith("is a device, pipe or socket: must be")


@each_reader
def test_a_socket_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of the file system cannot be read."""
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert refused(name, Path("s")).startswith("is a device, pipe or socket: must be")


@each_reader
def test_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    """With what should be there."""
    assert refused(name, tmp_path).startswith("is a directory: must be a readable file holding ")


@each_reader
def test_links_to_nothing_and_to_themselves_are_refused(name: str, tmp_path: Path) -> None:
    """A broken link is a missing file; a circle is told as the system tells it."""
    (tmp_path / "broken").symlink_to(tmp_path / "absent")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert refused(name, tmp_path / "broken").startswith("no such file or directory: must be")
    assert refused(name, tmp_path / "circle").startswith("too many levels of symbolic links: must")


@each_reader
def test_a_path_through_a_file_is_refused(name: str, tmp_path: Path) -> None:
    """A file in the place of a folder."""
    (tmp_path / "file").write_text("0 0 0 1\n")
    assert refused(name, tmp_path / "file" / "below").startswith("not a directory: must be")


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    """Links are followed."""
    (tmp_path / "a.hkl").write_text("1 2 3 4\n")
    (tmp_path / "b.hkl").symlink_to("a.hkl")
    assert read_hkl(tmp_path / "b.hkl", 0.0).minimum == (1, 2, 3)
    assert sha256_of(tmp_path / "b.hkl") == sha256_of(tmp_path / "a.hkl")


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed_lists_are_not_unpacked(
    ending: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Neither one given by name, nor one beside the missing file that was named."""
    packed = tmp_path / f"list.hkl.{ending}"
    packed.write_bytes(pack(b"0 0 0 1\n" * 3))
    assert "must be" in refused("hkl", packed)
    assert refused("hkl", tmp_path / "list.hkl").startswith("no such file or directory")


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "file"])
def test_addresses_are_names_of_missing_files(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ever fetched: an address is a path that is not there."""
    monkeypatch.chdir(tmp_path)
    address = f"{scheme}://localhost:9/list.hkl"
    with pytest.raises(InputFileError) as caught:
        read_hkl(address, 0.0)
    assert str(caught.value).startswith(f"{address}: no such file or directory: must be")


@pytest.mark.parametrize("path", [0, True, 3.5, None])
def test_a_number_is_no_path(path: Any) -> None:
    """The system takes it for an open file: 0 is what the user types."""
    with pytest.raises(InputFileError, match="is no path"):
        check_regular(path, "anything")


def test_a_zero_in_a_name() -> None:
    """No file has such a name."""
    with pytest.raises(InputFileError, match=r"'a\\x00b': is no path"):
        check_regular("a\0b", "anything")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 50_000, "brackets within brackets"),
        ("a = " + "9" * 5000, "a number of too many digits"),
        ("a = 1979-13-45", "Expected newline"),
        ("a = b", "Invalid value"),
    ],
)
def test_what_is_no_toml(text: str, said: str, tmp_path: Path) -> None:
    """One line, whatever the reader of TOML raises."""
    (tmp_path / "a.toml").write_text(text)
    assert said in refused("toml", tmp_path / "a.toml")


@pytest.mark.parametrize("cut", [0, 5, 40, 200])
def test_a_cut_numpy_file(cut: int, tmp_path: Path) -> None:
    """Archives too: what begins like one is not unpacked."""
    np.save(tmp_path / "a.npy", np.ones((16, 16)))
    np.savez(tmp_path / "a.npz", np.ones((16, 16)))
    for name in ("a.npy", "a.npz"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / "b").write_bytes(whole[:cut])
        assert "must be a .npy file" in refused("npy", tmp_path / "b")


@pytest.mark.filterwarnings("error")
def test_an_array_larger_than_any_file_is_refused_in_silence(tmp_path: Path) -> None:
    """Its size in bytes is beyond numpy's integers, which numpy warns of."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000, 9000000000), }".ljust(
        117
    )
    data = b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + b"\n" + bytes(64)
    (tmp_path / "a.npy").write_bytes(data)
    assert "cut short" in refused("npy", tmp_path / "a.npy")

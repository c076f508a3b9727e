"""The text of the GPU's kernels, and the folder where its compiled programs are kept."""

from __future__ import annotations

import os
import re

import pytest

from nbdask.errors import BackendError
from nbdask.gradients import card
from nbdask.kernels import cache
from nbdask.kernels.cache import base_directory, program_folder
from nbdask.kernels.cuda_source import ENTRIES, program_text
from nbdask.native.sources import SOURCES


def includes(name, found):
    """Add the names of a text's own headers, and theirs, to a set."""
    if name not in found:
        found.add(name)
        for header in re.findall(r'#include "([^"]+)"', (SOURCES / name).read_text()):
            includes(header, found)
    return found


@pytest.mark.parametrize(
    ("main", "entries"), [("card.cu", ENTRIES), ("slope_card.cu", card.ENTRIES)]
)
def test_every_header_is_there_once(main, entries):
    """The text stands alone: no include is left, and none of its lines is twice in it."""
    text = program_text(main)
    assert '#include "' not in text
    assert "#pragma once" not in text
    names = includes(main, set())
    assert {"params.h", "numbers.h", "formulas.h", "lattice.h", "rays.h", "amplitude.h",
            "finish.h", "card.h", main} <= names  # fmt: skip
    for name in names:
        lines = (SOURCES / name).read_text().splitlines()
        # The first words of a file, which no other has.
        assert text.count(lines[0]) == 1, name
    for entry in entries:
        assert len(re.findall(rf"\b{entry}\(", text)) == 1


def test_formulas_are_those_of_the_processor():
    """No formula of the shared headers stands in the GPU's own files again."""
    shared, own = set(), set()
    pattern = re.compile(r"^NB_INLINE [\w&]+ (\w+)\(", re.MULTILINE)
    for name in ("formulas.h", "lattice.h", "rays.h", "amplitude.h", "finish.h",
                 "slopes.h", "slope_steps.h"):  # fmt: skip
        shared |= set(pattern.findall((SOURCES / name).read_text()))
    for name in ("card.h", "card.cu", "card_mixed.h", "slope_card.h", "slope_card.cu",
                 "cpu.cpp", "cpu_block.h", "cpu_terms.h"):  # fmt: skip
        own |= set(pattern.findall((SOURCES / name).read_text()))
    assert len(shared) > 25
    assert not shared & own


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A folder for what nbdask keeps, that is not there yet."""
    for name in ("XDG_CACHE_HOME", cache.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_the_variable_prevails(monkeypatch, tmp_path, place):
    """NBDASK_CACHE_DIR, then XDG, then the home directory."""
    assert base_directory() == place
    monkeypatch.delenv(cache.VARIABLE)
    assert base_directory() == tmp_path / "home" / ".cache" / "nbdask"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert base_directory() == tmp_path / "xdg" / "nbdask"


def test_the_folder_is_closed_to_others(place):
    """Made with mode 0700 whatever the umask, and taken again."""
    before = os.umask(0)
    try:
        folder = program_folder()
    finally:
        os.umask(before)
    assert folder == place / "cuda"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert place.stat().st_mode & 0o777 == 0o700
    assert program_folder() == folder
    assert program_folder("cuda-host") == place / "cuda-host"


@pytest.mark.parametrize("mode", [0o770, 0o755, 0o707, 0o701])
def test_an_open_folder_is_refused(place, mode):
    """Programs that others may have put there are not run; the message says what to do."""
    program_folder().chmod(mode)
    with pytest.raises(BackendError, match=r"give it mode 0700 .* or set NBDASK_CACHE_DIR") as told:
        program_folder()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_in_a_place_that_others_can_write_is_refused(place, mode):
    """They could put another one in its place."""
    program_folder()
    place.chmod(mode)
    with pytest.raises(BackendError, match="may hold programs of other users"):
        program_folder()
    place.chmod(0o755)
    assert program_folder().is_dir()


def test_a_folder_of_someone_else_is_refused(place, monkeypatch):
    """Whatever its mode."""
    program_folder()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(BackendError, match="may hold programs of other users"):
        program_folder()


def test_a_link_is_refused(place, tmp_path):
    """It may be turned to another folder at any time."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    place.mkdir(mode=0o700)
    (place / "cuda").symlink_to(other)
    with pytest.raises(BackendError):
        program_folder()


def test_a_home_of_nobody_is_a_plain_name(monkeypatch, place):
    """Not an error of Python's: the folder is made, or the one line says why not."""
    monkeypatch.setenv(cache.VARIABLE, "~no-such-user/x")
    assert str(base_directory()) == "~no-such-user/x"


def test_a_place_that_cannot_be_written(place):
    """One line, with the way out."""
    place.write_text("a file")
    with pytest.raises(BackendError, match=r"cannot be kept in .*set NBDASK_CACHE_DIR"):
        program_folder()

"""The files of the example."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from nbdask.errors import InputError
from nbdask.example import crystals, write_example
from nbdask.example.crystals import MINERALS


def test_names_start_with_the_default() -> None:
    """Every mineral has a name; the garnet comes first."""
    assert crystals()[0] == "pyrope"
    assert sorted(crystals()) == sorted(MINERALS)


@pytest.mark.parametrize("name", MINERALS)
def test_list_and_arguments(name: str, tmp_path: Path) -> None:
    """The words name the list, and each line of the list holds three integers and F > 0."""
    argv = write_example(name, tmp_path / "new folder")
    assert argv[0] == "-hkl"
    rows = [line.split() for line in Path(argv[1]).read_text().splitlines()]
    assert len(rows) > 500
    assert all(len(row) == 4 for row in rows)
    assert all(float(row[3]) > 0 for row in rows)
    assert all(str(int(index)) == index for row in rows for index in row[:3])
    cell = argv[argv.index("-cell") + 1 :][:6]
    assert [float(x) for x in cell] == pytest.approx(MINERALS[name].cell)


def test_command_line_is_written(tmp_path: Path) -> None:
    """command.txt holds the same words, quoted for a shell."""
    folder = tmp_path / "a b"
    argv = write_example("quartz", folder)
    line = shlex.split((folder / "command.txt").read_text())
    assert line == ["nbdask", "simulate", *argv, "--out", str(folder / "quartz.zarr")]


def test_repeated_writing_gives_the_same_bytes(tmp_path: Path) -> None:
    """The example is the same wherever and whenever it is written."""
    first = Path(write_example("silicon", tmp_path / "1")[1]).read_bytes()
    second = Path(write_example("silicon", tmp_path / "2")[1]).read_bytes()
    assert first == second


def test_unknown_name(tmp_path: Path) -> None:
    """The message lists what there is, and nothing is written."""
    with pytest.raises(InputError, match="'salt': must be one of pyrope"):
        write_example("salt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is reported in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_example("halite", tmp_path / "file" / "below")

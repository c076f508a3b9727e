"""The files of the example."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nbdask.cli.main import main
from nbdask.errors import InputError
from nbdask.example import crystals, write_example
from nbdask.example.crystals import MINERALS
from nbdask.view.style import RINGS


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


def test_picture_has_rings_and_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is preview's: rings in their colour, the image within axes; the whole image is in it."""
    monkeypatch.chdir(tmp_path)
    flags = "-misset 10 20 30 -N 3 -lambda 0.5 -distance 60 -detpixels 64 -pixel 1.6 -oversample 1"
    monkeypatch.setitem(MINERALS, "salt", replace(MINERALS["halite"], d_min=1.0, flags=flags))
    assert main(["example", "salt", "--out", "new", "--png", "new/a.png", "--quiet"]) == 0
    assert sorted(p.name for p in Path("new").iterdir()) == [
        "a.png", "command.txt", "salt.hkl", "salt.zarr",
    ]  # fmt: skip
    with Image.open("new/a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > pixels.shape[0] > 1024
    assert (pixels[0, 0] == 255).all()
    assert pixels[100:1000, 100:1000].sum(axis=-1).max() > 600  # brighter than rings
    ring = [int(RINGS[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(pixels - ring).max(axis=-1) < 8).sum() > 500


@pytest.mark.parametrize(
    ("png", "told"),
    [("out/a.svg", "must end in .png"), ("folder.png", "is a folder"), ("no/a.png", "not exist")],
)
def test_picture_that_cannot_be_written(
    png: str, told: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    """Said before anything is computed or written."""
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    assert main(["example", "--out", "out", "--png", png]) == 2
    assert told in capsys.readouterr().err
    assert not Path("out").exists()

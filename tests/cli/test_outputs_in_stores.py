"""No output of any command lies in a zarr store, whose ever it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import nbdask
from nbdask.cli.main import main
from tests.helpers import small_experiment

FLAGS = "-cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 24 -pixel 0.4 -oversample 1"
#: VICTIM is the path in another store, OWN a store to read, DIR a folder outside of both.
COMMANDS = [
    f"simulate {FLAGS} --out VICTIM",
    f"simulate {FLAGS} --out VICTIM/b.zarr",
    f"simulate {FLAGS} --out VICTIM --overwrite",
    f"simulate {FLAGS} --out DIR/b.zarr -floatfile VICTIM",
    f"simulate {FLAGS} --out DIR/b.zarr -intfile VICTIM",
    f"simulate {FLAGS} --out DIR/b.zarr -pgmfile VICTIM",
    f"simulate {FLAGS} --out DIR/b.zarr -noisefile VICTIM -seed 1",
    f"simulate {FLAGS} --out DIR/b.zarr --noise VICTIM --seed 1",
    "noise OWN --out VICTIM --seed 1",
    "export OWN VICTIM --format smv --overwrite",
    "export OWN VICTIM --format nxmx --overwrite",
    "preview OWN -o VICTIM --overwrite",
    "trace 3 4 OWN --json VICTIM",
    "compare OWN OWN --json VICTIM",
    "compare OWN OWN --html VICTIM",
    "example --out DIR --png VICTIM",
    "example --out VICTIM",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store."""
    store = tmp_path_factory.mktemp("made") / "a.zarr"
    nbdask.simulate(small_experiment(), store, backend="numpy", tile=12)
    return store


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("kind", ["zarr.json", ".zgroup"])
def test_nothing_is_written_into_a_store(made, tmp_path, capsys, monkeypatch, line, kind) -> None:
    """One line that names the store; all files stay as they were, and nothing is computed."""
    monkeypatch.chdir(tmp_path)
    own = Path(shutil.copytree(made, tmp_path / "own.zarr"))
    # Another program's, of either version; a file of it, or a folder below it.
    victim = tmp_path / "victim.zarr"
    (victim / "group").mkdir(parents=True)
    (victim / kind).write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    (tmp_path / "link").symlink_to(victim / "group")
    (tmp_path / "dir").mkdir()
    before = contents(tmp_path)
    first = "new.png" if line.startswith("preview") else kind
    for inner in (f"{victim}/{first}", f"{victim}/group/new.png", f"{tmp_path}/link/new.png"):
        words = line.replace("VICTIM", inner).replace("OWN", str(own)).replace("DIR", "dir")
        assert main(words.split()) in (2, 5)
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"must lie outside the store {victim}" in said
        assert contents(tmp_path) == before

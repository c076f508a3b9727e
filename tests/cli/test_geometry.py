"""``nbdask geometry``: report, JSON, picture, conversion, refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nbdask.cli.main import main
from tests.panels.samples import GEOM, expt, panel, write_expt

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def geom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A geometry in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("in.geom").write_text(GEOM.replace("100 mm", "/LCLS/z"))
    return "in.geom"


def test_report(geom: str, capsys: Captured) -> None:
    """Panels, pitches, gaps, beam centre, resolution, the pixel rule, what was taken."""
    assert main(["geometry", geom, "--clen", "100mm", "--distance-shift", "1 mm"]) == 0
    text = capsys.readouterr().out
    for words in (
        "CrystFEL, 2 panels, 90 pixels",
        "1.3776022 A (9000 eV)",
        "taken        clen 0.1 m",
        "taken        all panels moved by 1 mm along z",
        "pixel rule   corner based",
        "beam centre  on no panel",
        "outermost edge and corner",
        "0.1 x 0.103562",
        "gaps to the nearest panel: ",
    ):
        assert words in text


def test_json(tmp_path: Path, capsys: Captured) -> None:
    """Common frame, 12 digits; nothing else on standard output."""
    path = write_expt(tmp_path / "a.expt", expt())
    assert main(["geometry", str(path), "--json", "--distance-shift", "1mm"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert "moved by 1 mm" in said.err
    assert list(found) == ["wavelength_A", "beam", "panels"]
    assert found["wavelength_A"] == 1.2
    assert found["beam"] == [0.00999950003750, 0.0, 0.999950003750]
    first = found["panels"][0]
    assert first == {
        "name": "P",
        "n_fast": 100,
        "n_slow": 80,
        "pitch_mm": [0.1, 0.2],
        "origin_mm": [5.0, 4.0, 151.0],
        "fast": [-1.0, 0.0, 0.0],
        "slow": [0.0, -1.0, 0.0],
    }


@pytest.mark.parametrize("name", ["p.png", "p.svg"])
def test_picture(geom: str, name: str) -> None:
    """Drawn with the panels' names."""
    assert main(["geometry", geom, "--clen", "0.1", "-o", name]) == 0
    data = Path(name).read_bytes()
    assert data[:4] == b"\x89PNG" if name.endswith("png") else b"</svg>" in data


def test_conversion(geom: str, capsys: Captured) -> None:
    """Named by format, file name or -o; losses are said; nothing is replaced unasked."""
    words = ["geometry", geom, "--clen", "0.1", "--to"]
    assert main([*words, ".expt"]) == 0
    said = capsys.readouterr().out
    assert "in.expt: left out: mask" not in said
    assert "in.expt: dxtbx wants fast and slow at right angles" in said
    assert main([*words, "out.nxs"]) == 0
    assert main([*words, "geom", "-o", "other.geom", "-o", "p.png"]) == 0
    assert {p.name for p in Path().iterdir()} == {
        "in.geom", "in.expt", "out.nxs", "other.geom", "p.png",
    }  # fmt: skip
    capsys.readouterr()
    before = Path("in.expt").read_bytes()
    Path("in.expt").write_bytes(b"kept")
    assert main([*words, ".expt"]) == 2
    assert "output in.expt exists already: --overwrite replaces it" in capsys.readouterr().err
    assert Path("in.expt").read_bytes() == b"kept"
    assert main([*words, ".expt", "--overwrite"]) == 0
    assert Path("in.expt").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clen", "0.1", "--energy", "9100"], "photon_energy: the file says"),
        ([], "clen: is the place /LCLS/z in the data: must be given with --clen"),
        (["--clen", "100"], "--clen 100: is 100 m, more than 20 m: write the unit, such as 100mm"),
        (["--clen", "far"], "--clen far: must be a length such as 0.1 (m) or 100mm"),
        (["--clen", "0.1", "--distance-shift", "3"], "--distance-shift 3: must be a length with"),
        (["--clen", "0.1", "--energy", "9 parsec"], "--energy 9 parsec: must be an energy"),
        (["--clen", "0.1", "-o", "a.tiff"], "-o a.tiff: must end in .png, .svg, .pdf"),
        (["--clen", "0.1", "-o", "no/a.png"], "does not exist"),
        (["--clen", "0.1", "--to", "cbf"], "--to cbf: must be .expt, .geom, nxmx, poni"),
        (["--clen", "0.1", "--to", "poni"], "--to poni: 2 panels: PONI must be one flat panel"),
        (["--clen", "0.1", "--shot", "4"], "--shot: 4: must be 0 to 0"),
    ],
)
def test_refusals(geom: str, capsys: Captured, words: list[str], said: str) -> None:
    """In one line, exit code 2, nothing written."""
    assert main(["geometry", geom, *words]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert said in output.err
    assert [path.name for path in Path().iterdir()] == [geom]


def test_inputs_and_devices_are_never_replaced(geom: str, capsys: Captured) -> None:
    """Not even with --overwrite: the file that is read, a pipe; nor two outputs of one name."""
    words = ["geometry", geom, "--clen", "0.1", "--overwrite"]
    os.mkfifo("pipe")
    os.symlink(geom, "link.geom")
    for more, said in (
        (["--to", geom], f"output {geom}: is an input of this run"),
        (["--to", "link.geom"], "output link.geom: is an input of this run"),
        (["--to", ".expt", "-o", "pipe"], "output pipe is a device, pipe or socket"),
        (["-o", "a.png", "-o", "./a.png"], "output a.png: is named twice"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err
    assert Path(geom).read_text().startswith(GEOM[:20])
    assert Path("pipe").is_fifo()
    assert not Path("a.png").exists()


def test_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """On the detector of a file, which the store has on record; refusals name the option."""
    from nbdask.store.open import read_summary

    monkeypatch.chdir(tmp_path)
    held = panel(origin=[-5.0, 4.0, -150.0], pixel_size=[0.1, 0.1], thickness=0.0)
    write_expt(Path("one.expt"), expt(detector=[{"panels": [held]}]))
    words = ["-cell", "70", "-default_F", "10", "-N", "5", "--out", "a.zarr"]
    assert main(["simulate", *words, "--geometry", "one.expt"]) == 0
    assert "first corner 5, 4, 150 mm" in capsys.readouterr().err
    summary = read_summary("a.zarr")
    assert tuple(summary["shape"]) == (80, 100)
    (record,) = summary["attributes"]["inputs"]
    assert (record["role"], Path(record["path"]).name) == ("geometry", "one.expt")
    assert main(["simulate", *words, "--geometry", "one.expt", "-distance", "99"]) == 2
    assert "-distance 99: --geometry places the detector" in capsys.readouterr().err
    Path("far.geom").write_text(GEOM.replace("100 mm", "/LCLS/z"))
    assert main(["simulate", *words[:-1], "b", "--geometry", "far.geom"]) == 2
    assert "must be given with --clen, such as --clen 0.1" in capsys.readouterr().err
    text = GEOM.replace("photon_energy = 9000", "photon_energy = /LCLS/e")
    Path("far.geom").write_text(text)
    assert text != GEOM
    assert main(["simulate", *words[:-1], "b", "--geometry", "far.geom"]) == 2
    assert "must be given with -lambda or --energy" in capsys.readouterr().err
    assert main(["simulate", "--config", "a.toml", "--geometry", "one.expt", "--out", "b"]) == 2
    assert "leave out --geometry" in capsys.readouterr().err

"""Commands on a detector of several panels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbdask.cli.main import main
from tests.panels.samples import GEOM

Captured = pytest.CaptureFixture[str]
FLAGS = ["-cell", "70", "80", "90", "80", "90", "100", "-default_F", "10", "-N", "5"]
WORDS = ["simulate", *FLAGS, "--geometry", "in.geom", "--out"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A geometry of two panels that needs a camera length, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("in.geom").write_text(GEOM.replace("100 mm", "/LCLS/z"))


def simulated(*more: str) -> int:
    """Run the two panels."""
    return main([*WORDS, "a.zarr", "--clen", "100mm", "--quiet", "--threads", "1", *more])


def test_from_simulation_to_verification(capsys: Captured) -> None:
    """Simulated, described, verified, traced, resumed."""
    assert main([*WORDS, "a.zarr", "--clen", "100mm", "--distance-shift", "1mm"]) == 0
    out, err = capsys.readouterr()
    assert "a.zarr: 2 x 5 x 10 pixels (panel x slow x fast)" in out
    assert "max " in out
    assert " at panel " in out
    assert "2 panels of 10 x 4, 10 x 5 pixels, the first one's corner" in err
    assert "clen 0.1 m" in err
    assert "all panels moved by 1 mm along z" in err
    assert main(["info", "a.zarr"]) == 0
    out = capsys.readouterr().out
    assert "image 2 (panels) x 5 (slow) x 10 (fast) float32 [photons]" in out
    assert "at panel " in out
    assert main(["verify", "a.zarr", "--recompute", "1"]) == 0
    capsys.readouterr()
    assert main(["trace", "2", "3", "a.zarr", "--panel", "b", "--limit", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("panel b, pixel slow 2, fast 3 of 4 x 10, semantics spec")
    assert "pixel_area [m^2]" in out
    assert "bit for bit" in err or "(rounding)" in err
    assert main(["trace", "2", "3", "a.zarr", "--panel", "1", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pixel"] == {"slow": 2, "fast": 3, "panel": "b", "number": 1}
    command = [*WORDS, "a.zarr", "--clen", "100mm", "--distance-shift", "1mm", "--resume"]
    assert main(command) == 0


def test_panels_that_are_not_there(capsys: Captured) -> None:
    """One line, with the names there are."""
    assert simulated() == 0
    capsys.readouterr()
    for words in (["--panel", "c"], []):
        assert main(["trace", "2", "3", "a.zarr", *words]) == 2
        said = capsys.readouterr().err
        assert "must be 0 to 1 or one of the names a, b" in said
    assert main(["trace", "4", "3", "a.zarr", "--panel", "b"]) == 2
    assert "must lie on the detector of 4 (slow) x 10 (fast)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag",
    ["-floatfile f.bin", "-pgmfile f.pgm", "-noisefile f.img", "-printout"],
)
def test_outputs_of_one_panel(flag: str, capsys: Captured) -> None:
    """Refused before anything is computed."""
    assert simulated(*flag.split()) == 2
    name = flag.split()[0]
    assert f"{name}: the detector has 2 panels: must be one panel" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["in.geom"]


def test_what_reads_one_panel(capsys: Captured) -> None:
    """One line; nothing is written."""
    assert simulated() == 0
    for words in (
        ["export", "a.zarr", "a.img"],
        ["noise", "a.zarr", "--out", "n.zarr", "--seed", "1", "--noise-rng", "c"],
    ):
        capsys.readouterr()
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "a.zarr holds 2 panels: must be a store of one" in said
        assert said.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["a.zarr", "in.geom"]


def test_pyramid_of_panels(capsys: Captured) -> None:
    """Built by a run or afterwards; two small panels need no levels, which is said."""
    assert simulated("--pyramid") == 0
    assert main(["pyramid", "a.zarr"]) == 0
    assert capsys.readouterr().out.endswith("a.zarr: the image needs no coarser levels\n")
    assert main(["verify", "a.zarr"]) == 0


def test_an_energy_completes_the_file(capsys: Captured) -> None:
    """As of the command geometry; beside -lambda it is refused."""
    text = Path("in.geom").read_text().replace("photon_energy = 9000", "photon_energy = /LCLS/e")
    Path("in.geom").write_text(text)
    assert simulated() == 2
    assert "must be given with -lambda or --energy" in capsys.readouterr().err
    assert simulated("--energy", "9000") == 0
    assert main(["info", "a.zarr", "--json"]) == 0
    attributes = json.loads(capsys.readouterr().out)["attributes"]
    assert attributes["experiment"]["beam"]["wavelength"] == pytest.approx(1.3776022e-10)
    assert simulated("--overwrite", "--energy", "9000", "-lambda", "1.3") == 2
    assert "-lambda and --energy: both given: must be one" in capsys.readouterr().err


def test_a_picture(capsys: Captured) -> None:
    """Of all panels, each at its place; spots have their panel and pixel."""
    assert simulated() == 0
    words = ["preview", "a.zarr", "-o", "a.png", "--spots", "2", "--resolution-rings"]
    assert main([*words, "--axes", "mm"]) == 0
    out = capsys.readouterr().out
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert "not computed yet" not in out
    assert "photon, panel " in out or "photons, panel " in out


def test_a_picture_of_what_is_there(capsys: Captured) -> None:
    """Of an unfinished store: what is computed is drawn, the share of the rest is said."""
    assert simulated("--shard", "1/2") == 0
    assert main(["preview", "a.zarr", "-o", "a.png", "--spots", "1"]) == 0
    out = capsys.readouterr().out
    assert "50.0% not computed yet" in out
    assert "photon, panel " in out or "photons, panel " in out


def test_options_that_need_a_file(capsys: Captured) -> None:
    """And lengths without a unit, as the command geometry has them."""
    words = ["simulate", "-cell", "70", "-default_F", "10", "--out", "a.zarr"]
    for given, said in (
        (["--clen", "0.1"], "--clen goes with --geometry FILE only"),
        (["--geometry", "in.geom", "--clen", "100"], "--clen 100: is 100 m, more than 20 m"),
        (["--geometry", "in.geom", "--distance-shift", "3"], "--distance-shift 3: must be a leng"),
    ):
        assert main([*words, *given]) == 2
        assert said in capsys.readouterr().err

"""What is written is read back as the same detector, and what is lost is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.panels.fitting import beam_along_z, squared
from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import Instrument
from nbdask.panels.read import read_geometry
from nbdask.panels.write import target_of, write_geometry
from tests.panels.samples import GEOM, XDS, XPARM_NEW, expt, write_expt, write_nexus

NAMES = {".expt": "o.expt", ".geom": "o.geom", "nxmx": "o.nxs", "XDS.INP": "XDS.INP"}


def sample(folder: Path, kind: str) -> Instrument:
    """A detector of each format."""
    if kind == "dxtbx":
        return read_geometry(write_expt(folder / "i.expt", expt()))
    if kind == "nexus":
        return read_geometry(write_nexus(folder / "i.nxs"), shot=1)
    segments = XPARM_NEW.format(count=2) + "1 1 10 1 10\n0 0 0 1 0 0 0 1 0\n"
    text = {"geom": GEOM, "xds": XDS, "segments": segments + "2 11 20 1 10\n1 2 5 0 1 0 -1 0 0\n"}
    path = folder / "i.geom" if kind == "geom" else folder / "i.inp"
    path.write_text(text[kind])
    return read_geometry(path)


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("kind", ["dxtbx", "geom", "nexus", "xds", "segments"])
def test_round_trips(tmp_path: Path, kind: str, target: str) -> None:
    """Corners to 1e-9 mm, wavelength, beam, bad pixels; turned or squared only where said."""
    given = sample(tmp_path, kind)
    if kind == "geom" and target == "XDS.INP":
        with pytest.raises(InputError, match="panel b has pitch_slow"):
            write_geometry(given, tmp_path / NAMES[target], target)
        return
    said = write_geometry(given, tmp_path / NAMES[target], target)
    expected = given
    if target in (".geom", "nxmx"):
        expected, turns = beam_along_z(given, "x")
        assert any("turned by" in text for text in said) == bool(turns)
    else:
        expected, squares = squared(given, "x")
        assert any("right angles" in text for text in said) == bool(squares)
    found = read_geometry(tmp_path / NAMES[target])
    for one, other in zip(expected.panels, found.panels, strict=True):
        assert np.max(np.abs(one.corners() - other.corners())) < 1e-12
        assert np.array_equal(bad_pixels(one, files=target == ".geom"), bad_pixels(other))
    assert found.beam.wavelength == pytest.approx(given.beam.wavelength, rel=1e-12)
    assert found.beam.direction == pytest.approx(expected.beam.direction, abs=1e-12)


def test_all_of_a_list_comes_back(tmp_path: Path) -> None:
    """Groups with their frames, crystal, goniometer, scan, sensor."""
    given = sample(tmp_path, "dxtbx")
    assert write_geometry(given, tmp_path / "o.expt", ".expt") == []
    found = read_geometry(tmp_path / "o.expt")
    assert found.spindle is not None
    assert given.spindle is not None
    assert found.spindle.fixed == pytest.approx(given.spindle.fixed)
    assert found.crystals[0].c == pytest.approx(given.crystals[0].c)
    assert found.crystals[0].mosaicity == pytest.approx(given.crystals[0].mosaicity)
    assert found.sweep == given.sweep
    assert [g.name for g in found.groups] == ["root", "arm"]
    assert found.groups[1].origin == pytest.approx(given.groups[1].origin)
    assert replace(found.panels[0], origin=(0.0, 0.0, 1.0), bad=()) == replace(
        given.panels[0], origin=(0.0, 0.0, 1.0), bad=(), fast=found.panels[0].fast,
        slow=found.panels[0].slow, pitch_fast=found.panels[0].pitch_fast,
        pitch_slow=found.panels[0].pitch_slow, thickness=found.panels[0].thickness,
        attenuation=found.panels[0].attenuation,
    )  # fmt: skip


def test_crystfel_keeps_every_key(tmp_path: Path) -> None:
    """Also those without effect, and its groups."""
    given = sample(tmp_path, "geom")
    assert write_geometry(given, tmp_path / "o.geom", ".geom") == []
    found = read_geometry(tmp_path / "o.geom")
    assert [panel.keys for panel in found.panels] == [panel.keys for panel in given.panels]
    assert found.groups == given.groups
    assert [panel.data for panel in found.panels] == [panel.data for panel in given.panels]


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    """One line each."""
    said = write_geometry(sample(tmp_path, "dxtbx"), tmp_path / "o.geom", ".geom")
    for words in ("polarization", "crystal", "rotation axis", "scan", "sensor"):
        assert any(text.startswith("left out") and words in text for text in said), words


def test_poni(tmp_path: Path) -> None:
    """pyFAI's formula gives the same places; more than one panel is refused."""
    given = sample(tmp_path, "xds")
    tilted = replace(
        given.panels[0],
        fast=(0.8, 0.0, 0.6),
        slow=(0.0, -1.0, 0.0),
    )
    for panel in (given.panels[0], tilted):
        write_geometry(replace(given, panels=(panel,)), tmp_path / "o.poni", "poni")
        lines = (tmp_path / "o.poni").read_text().splitlines()
        words = dict(line.split(": ", 1) for line in lines)
        poni1, poni2, distance, one, two, three = (
            float(words[key]) for key in ("Poni1", "Poni2", "Distance", "Rot1", "Rot2", "Rot3")
        )
        turn1 = [[1, 0, 0], [0, np.cos(one), np.sin(one)], [0, -np.sin(one), np.cos(one)]]
        turn2 = [[np.cos(two), 0, -np.sin(two)], [0, 1, 0], [np.sin(two), 0, np.cos(two)]]
        turn3 = [[np.cos(three), -np.sin(three), 0], [np.sin(three), np.cos(three), 0], [0, 0, 1]]
        turn = np.array(turn3) @ turn2 @ turn1
        # Orientation 4: columns are counted from the other end.
        flip = '"orientation": 4' in words["Detector_config"]
        for fast, slow in ((0.5, 0.5), (19.5, 0.5), (3.5, 9.5)):
            along = ((20 - fast) if flip else fast) * panel.pitch_fast
            place = turn @ [slow * panel.pitch_slow - poni1, along - poni2, distance]
            x, y, z = panel.position(fast, slow)
            assert place == pytest.approx([y, -x, z], abs=1e-15)
    with pytest.raises(InputError, match="2 panels"):
        write_geometry(sample(tmp_path, "geom"), tmp_path / "p.poni", "poni")
    assert not (tmp_path / "p.poni").exists()


def test_no_wavelength(tmp_path: Path) -> None:
    """Every format wants one."""
    given = sample(tmp_path, "geom")
    given = replace(given, beam=replace(given.beam, wavelength=None))
    with pytest.raises(InputError, match="--energy"):
        write_geometry(given, tmp_path / "o.expt", ".expt")


def test_scans_without_end(tmp_path: Path) -> None:
    """Are refused before memory is taken: the format lists every image."""
    given = sample(tmp_path, "xds")
    assert given.sweep is not None
    given = replace(given, sweep=replace(given.sweep, last=10**12))
    with pytest.raises(InputError, match="images: must be 10000000 or less"):
        write_geometry(given, tmp_path / "o.expt", ".expt")


def test_names_of_targets() -> None:
    """A format alone, or a file name."""
    source = Path("in/run.expt")
    assert target_of(".geom", source) == (".geom", Path("run.geom"))
    assert target_of("nxmx", source) == ("nxmx", Path("run.nxs"))
    assert target_of("XDS.INP", source) == ("XDS.INP", Path("XDS.INP"))
    assert target_of("poni", source, Path("a.txt")) == ("poni", Path("a.txt"))
    assert target_of("b/a.h5", source) == ("nxmx", Path("b/a.h5"))
    assert target_of("b/XDS.INP", source) == ("XDS.INP", Path("b/XDS.INP"))
    for wrong in ("tiff", "a.tiff", ""):
        with pytest.raises(InputError, match="--to"):
            target_of(wrong, source)
    with pytest.raises(InputError, match="both name a file"):
        target_of("a.geom", source, Path("b.geom"))

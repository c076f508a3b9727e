"""CrystFEL geometries: defaults, axes, units, bad regions, masks, groups."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import DataPlace, MaskPlace
from nbdask.panels.read import read_geometry
from tests.panels.samples import GEOM, INPUTS

CSPAD = INPUTS / "geometry" / "cspad_mask.h5"


def put(folder: Path, text: str) -> Path:
    """Write a geometry."""
    path = folder / "a.geom"
    path.write_text(text)
    return path


def test_panels(tmp_path: Path) -> None:
    """Corner over res, clen + coffset, axes of any length (which is the pitch) and angle."""
    first, second = read_geometry(put(tmp_path, GEOM)).panels
    assert first.origin == pytest.approx((0.002, -0.00305, 0.1))
    assert (first.n_fast, first.n_slow, second.n_fast, second.n_slow) == (10, 5, 10, 4)
    assert second.origin == pytest.approx((-0.005, 0.001, 0.102))
    assert second.fast == pytest.approx((0.6, -0.8, 0.0))
    assert second.pitch_fast == pytest.approx(1e-4)
    long = math.sqrt(1.0725)
    assert second.slow == pytest.approx((0.8 / long, 0.65 / long, 0.1 / long))
    assert second.pitch_slow == pytest.approx(1e-4 * long)
    assert (first.gain, first.trusted) == (2.0, (None, 7000.0))
    assert second.data == DataPlace("/entry/data", ("%", "ss", "fs"), 0, 5)


def test_defaults_are_for_panels_first_mentioned_later(tmp_path: Path) -> None:
    """A second default leaves earlier panels as they are; a panel's own key prevails."""
    text = GEOM.replace("b/min_fs", "res = 5000\ndim0 = 3\nb/min_fs").replace(
        "a/ss = y", "a/ss = y\na/dim0 = 7"
    )
    first, second = read_geometry(put(tmp_path, text)).panels
    assert (first.pitch_fast, second.pitch_fast) == pytest.approx((1e-4, 2e-4))
    assert first.data is not None
    assert second.data is not None
    assert (first.data.dims[0], second.data.dims[0]) == (7, 3)


@pytest.mark.parametrize(
    ("text", "wavelength"),
    [
        ("photon_energy = 9300", 1.333163424),
        ("photon_energy = 9.3 keV", 1.333163424),
        ("wavelength = 1.5 A", 1.5),
        ("wavelength = 1.5e-10", 1.5),
        ("electron_voltage = 200 kV", 0.025079340),
        ("electron_voltage = 300000", 0.019687489),
    ],
)
def test_beam(tmp_path: Path, text: str, wavelength: float) -> None:
    """Energy, wavelength or voltage, with units."""
    found = read_geometry(put(tmp_path, GEOM.replace("photon_energy = 9000 eV", text)))
    assert found.beam.wavelength is not None
    assert found.beam.wavelength * 1e10 == pytest.approx(wavelength, rel=1e-6)


def test_no_beam_at_all(tmp_path: Path) -> None:
    """The positions are still of use, and a note says what is missing."""
    found = read_geometry(put(tmp_path, GEOM.replace("photon_energy = 9000 eV", "")))
    assert found.beam.wavelength is None
    assert any("--energy" in note for note in found.notes)


def test_shifts_and_clen_of_a_panel(tmp_path: Path) -> None:
    """detector_shift_x and y are lengths; older files give clen for each panel."""
    text = GEOM.replace("clen = 100 mm", "detector_shift_x = 1 mm\ndetector_shift_y = -0.002")
    text = text.replace("a/fs", "a/clen = 0.3\na/fs").replace("b/fs", "b/clen = 300 mm\nb/fs")
    first, second = read_geometry(put(tmp_path, text)).panels
    assert first.origin == pytest.approx((0.003, -0.00505, 0.3))
    assert second.origin[2] == pytest.approx(0.302)


def test_bad_regions(tmp_path: Path) -> None:
    """Of all panels whose data they touch, or of one; limits included; and edges."""
    first, second = read_geometry(put(tmp_path, GEOM)).panels
    bad = bad_pixels(second)
    assert np.argwhere(bad).tolist() == [[0, 3], [0, 4], [1, 3], [1, 4], [3, 0]]
    bad = bad_pixels(first)
    edge = np.ones((5, 10), dtype=bool)
    edge[1:-1, 1:-1] = False
    edge[1, 1] = True  # bad_beam
    assert np.array_equal(bad, edge)
    inner = bad_pixels(
        read_geometry(put(tmp_path, GEOM.replace("edge_pixels = 1", "edge_pixels = 0"))).panels[0]
    )
    # x of 20 to 21.5: the centres at 20.5 and 21.5; y of -31 to -29: those at -30 and -29.
    assert np.argwhere(inner).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [4, 3], [4, 4]]


def test_groups(tmp_path: Path) -> None:
    """As written, and followed down to panels."""
    groups = read_geometry(put(tmp_path, GEOM)).groups
    assert [(g.name, g.members, g.panels) for g in groups] == [
        ("rigid_group_q0", ("a", "b"), (0, 1)),
        ("rigid_group_collection_all", ("q0",), (0, 1)),
    ]


def test_mask_files(tmp_path: Path) -> None:
    """Bad: not all good bits, or any bad one; numbered and old keys; without frames."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        values = np.full((9, 10), 3, dtype="u2")
        values[1, 2], values[2, 2], values[6, 4] = 1, 7, 0
        file["m"] = values
    lines = "mask0_data = /m\nmask0_file = m.h5\nmask0_goodbits = 0x3\nmask0_badbits = 4\n"
    old = "mask = /m\nmask_file = m.h5\nmask_good = 0x3\nmask_bad = 0x4\n"
    plain = GEOM.replace("mask_edge_pixels = 1", "").split("bad_stripe")[0]
    for keys in (lines, old):
        first, second = read_geometry(put(tmp_path, keys + plain)).panels
        assert np.argwhere(bad_pixels(first)).tolist() == [[1, 2], [2, 2]]
        assert np.argwhere(bad_pixels(second)).tolist() == [[1, 4]]
        assert not bad_pixels(first, files=False).any()
    inside = read_geometry(put(tmp_path, "mask = /m\nmask_bad = 1\n" + plain)).panels[1]
    assert inside.masks == (MaskPlace(None, DataPlace("/m", ("%", "ss", "fs"), 0, 5), 0, 1),)


@pytest.mark.skipif(not CSPAD.is_file(), reason="NBDASK_INPUTS does not name the real files")
def test_a_real_mask() -> None:
    """Each panel's part of a slab; good is 1."""
    path = INPUTS / "geometry" / "cspad-cxiformat.geom"
    panels = read_geometry(path, clen=0.1, energy=9300.0).panels
    with h5py.File(CSPAD) as file:
        values = file["data/data"][()]
    for panel in panels[::16]:
        assert panel.data is not None
        place = DataPlace(
            "/data/data", panel.data.dims, panel.data.first_fast, panel.data.first_slow
        )
        bad = bad_pixels(replace(panel, masks=(MaskPlace(str(CSPAD), place, 1, 0),)))
        top, left = place.first_slow, place.first_fast
        part = values[top : top + panel.n_slow, left : left + panel.n_fast]
        assert np.array_equal(bad, part == 0)


def test_unknown_keys_are_reported(tmp_path: Path) -> None:
    """They have no effect on the panels."""
    found = read_geometry(put(tmp_path, "zzz_quux = 4\n" + GEOM))
    assert any("zzz_quux" in note for note in found.notes)
    plain = read_geometry(put(tmp_path, GEOM))
    assert [p.origin for p in found.panels] == [p.origin for p in plain.panels]

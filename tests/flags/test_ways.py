"""Flags and files that nanoBragg has not, but another option takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbdask.errors import FlagError
from nbdask.flags import parse_args
from nbdask.flags.table import BY_NAME
from nbdask.flags.ways import WAYS
from nbdask.inputs.smv import read_header

CELL = ["-cell", "70", "-default_F", "1", "-detpixels", "8"]


@pytest.mark.parametrize(
    ("flag", "way"),
    [("-geom", "--geometry FILE"), ("-frames", "--scan 0:10:1"), ("-mtz", "--reflections FILE")],
)
def test_flags_of_others_name_the_way(flag: str, way: str) -> None:
    """The error says which option does it; none of them is a flag of nanoBragg."""
    with pytest.raises(FlagError, match=f"unknown flag {flag}: .*{way}"):
        parse_args([*CELL, flag, "a"])
    assert set(WAYS) & set(BY_NAME) == set()


@pytest.mark.parametrize(
    ("name", "content", "way"),
    [
        ("x.mtz", b"MTZ \x00\x01", "--reflections x.mtz takes amplitudes from it"),
        ("x.PDB", b"CRYST1   70.0", "--model x.PDB --dmin D computes"),
        ("x.cif", b"data_x\n", "--model x.cif --dmin D .*, --reflections x.cif reads"),
        ("x.ent", b"", "--model x.ent"),
    ],
)
def test_lists_of_another_kind(name: str, content: bytes, way: str, tmp_path: Path) -> None:
    """-hkl says which option takes the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FlagError, match=f"-hkl .*{name}: must be a list, .*{way}"):
        parse_args(["-cell", "70", "-hkl", str(tmp_path / name)])


def test_a_list_may_have_any_ending(tmp_path: Path) -> None:
    """What counts is what is in the file."""
    (tmp_path / "x.cif").write_text("0 0 1 5.0\n")
    parsed = parse_args(["-cell", "70", "-hkl", str(tmp_path / "x.cif")])
    assert parsed.experiment.structure.format == "hkl"


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("a.h5", "--geometry a.h5 takes its detector"),
        ("a.expt", "--geometry a.expt takes its detector"),
        ("a.cbf", "-img reads the header of an SMV image alone, such as nbdask export"),
        ("a.tif", "-img reads the header of an SMV image alone"),
    ],
)
def test_images_of_another_kind(name: str, way: str, tmp_path: Path) -> None:
    """-img says which option takes the file, or which format it reads."""
    (tmp_path / name).write_bytes(b"\x89HDF")
    with pytest.raises(FlagError, match=f"-img .*{name}: must be an SMV image; {way}"):
        parse_args([*CELL, "-img", str(tmp_path / name)])


def test_matrices_of_another_kind(tmp_path: Path) -> None:
    """-mat says how the crystal of an experiment list is taken; one of its ending may be read."""
    path = tmp_path / "a.expt"
    path.write_text('{"__id__": "ExperimentList"}')
    way = "--geometry a.expt --geometry-use detector,crystal"
    with pytest.raises(FlagError, match=f"-mat .*a.expt: must be a matrix of MOSFLM.*; {way}"):
        parse_args([*CELL, "-mat", str(path)])
    path.write_text("0.01 0 0 0 0.01 0 0 0 0.01")
    assert parse_args([*CELL, "-mat", str(path)]).experiment.crystal.matrix is not None


def test_an_image_may_have_any_ending(tmp_path: Path) -> None:
    """An SMV header is read, whatever the file is called."""
    header = "{\nHEADER_BYTES=512;\nDIM=2;\nTYPE=unsigned_short;\nSIZE1=4;\nSIZE2=4;\n}\n"
    path = tmp_path / "a.cbf"
    path.write_bytes(header.encode().ljust(512) + bytes(32))
    assert read_header(str(path)).size_fast == 4
    parsed = parse_args(["-cell", "70", "-default_F", "1", "-img", str(path)])
    assert parsed.experiment.shape == (4, 4)

"""Laws of the bundled minerals' amplitudes, and of the pictures made of images."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import nbdask
from nbdask.errors import InputError, StoreError
from nbdask.example.amplitudes import amplitudes, small_structure
from nbdask.example.crystals import MINERALS
from nbdask.example.picture import coloured, write_png
from nbdask.example.write import hkl_text, write_example
from nbdask.html import log_scaled
from nbdask.inputs.hkl import read_hkl
from tests.helpers import image_of, small_experiment

COARSE = 1.6


@pytest.mark.parametrize("name", MINERALS)
def test_amplitudes_by_hand(name: str) -> None:
    """The sum over all atoms of the cell, with gemmi's form factors, for a few reflections."""
    structure = small_structure(MINERALS[name])
    atoms = structure.get_all_unit_cell_sites()
    for h, k, el, value in amplitudes(MINERALS[name], COARSE)[::17]:
        squared = structure.cell.calculate_1_d2([h, k, el]) / 4
        total = 0j
        for atom in atoms:
            factor = atom.element.it92.calculate_sf(squared)
            factor *= np.exp(-8 * np.pi**2 * atom.u_iso * squared)
            phase = h * atom.fract.x + k * atom.fract.y + el * atom.fract.z
            total += factor * np.exp(2j * np.pi * phase)
        assert value == pytest.approx(abs(total), rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("name", MINERALS)
def test_a_finer_list_holds_the_coarser_one(name: str) -> None:
    """With the same amplitudes, and only reflections beyond its limit besides."""
    mineral = MINERALS[name]
    coarse, fine = amplitudes(mineral, COARSE), amplitudes(mineral, 1.3)
    assert set(coarse) < set(fine)
    cell = gemmi.UnitCell(*mineral.cell)
    beyond = [cell.calculate_d(list(row[:3])) for row in set(fine) - set(coarse)]
    assert min(beyond) >= 1.3
    assert max(beyond) < COARSE


@pytest.mark.parametrize("name", MINERALS)
def test_hotter_crystals_scatter_less(name: str) -> None:
    """Every amplitude falls by exp(-8 pi^2 dU s^2) where all atoms move more by dU."""
    mineral = MINERALS[name]
    hot = replace(mineral, sites=tuple(replace(s, u=s.u + 0.01) for s in mineral.sites))
    cell = gemmi.UnitCell(*mineral.cell)
    hotter = {row[:3]: row[3] for row in amplitudes(hot, COARSE)}
    for *hkl, value in amplitudes(mineral, COARSE)[::11]:
        fall = np.exp(-8 * np.pi**2 * 0.01 * cell.calculate_1_d2(list(hkl)) / 4)
        assert hotter[tuple(hkl)] == pytest.approx(value * fall, rel=1e-4, abs=1e-3)


def test_a_moved_origin_changes_no_amplitude() -> None:
    """Silicon's other origin choice: the same cell content, shifted by an eighth."""
    silicon = MINERALS["silicon"]
    site = replace(silicon.sites[0], x=0.125, y=0.125, z=0.125)
    moved = replace(silicon, spacegroup="F d -3 m:2", sites=(site,))
    one, other = amplitudes(silicon, COARSE), amplitudes(moved, COARSE)
    assert [row[:3] for row in one] == [row[:3] for row in other]
    assert [row[3] for row in one] == pytest.approx([row[3] for row in other], rel=1e-5)


@pytest.mark.parametrize("name", MINERALS)
def test_the_written_list_is_read_back(name: str, tmp_path: Path) -> None:
    """To four decimals, and the reader needs no further word about it."""
    listed = amplitudes(MINERALS[name], COARSE)
    path = tmp_path / "a.hkl"
    path.write_text(hkl_text(listed))
    grid = read_hkl(path, 0.0)
    for h, k, el, value in listed:
        place = tuple(i - low for i, low in zip((h, k, el), grid.minimum, strict=True))
        assert grid.values[place] == pytest.approx(value, abs=5.1e-5)
    assert np.count_nonzero(grid.values) == len(listed)
    assert hkl_text([]) == ""


def test_an_example_is_written_over_itself(tmp_path: Path) -> None:
    """In a folder whose name has to be quoted; the command is one line."""
    folder = tmp_path / "it's here"
    argv = write_example("halite", folder)
    assert write_example("halite", folder) == argv
    assert sorted(p.name for p in folder.iterdir()) == ["command.txt", "halite.hkl"]
    (line,) = (folder / "command.txt").read_text().splitlines()
    assert shlex.split(line)[2:-2] == argv


# Pictures.

images = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(0.0, 1e9, allow_subnormal=False),
)


@given(images, st.floats(0.5, 9.0), st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_levels_do_not_depend_on_the_unit_of_intensity(
    image: np.ndarray, decades: float, factor: float
) -> None:
    """Between 0 and 1, in the order of the photons, the same for an image times a number."""
    level = log_scaled(image, decades)
    assert level.shape == image.shape
    assert level.min() >= 0.0
    assert level.max() <= 1.0
    order = np.argsort(image, axis=None)
    assert (np.diff(level.ravel()[order]) >= 0).all()
    if image.max() == 0.0 or image[image > 0].min() > 1e-200:
        np.testing.assert_allclose(log_scaled(image * factor, decades), level, atol=1e-9)


def test_a_percentile_lets_the_brightest_pixels_saturate() -> None:
    """Half of the pixels above 0 are at the top; pixels of 0 and below do not count."""
    image = np.array([[0.0, -5.0, 1.0, 10.0, 100.0, 1000.0, np.inf]])[:, :6]
    level = log_scaled(image, decades=2.0, percentile=50.0)
    top = (10.0 + 100.0) / 2
    expected = np.clip(1 + np.log10(np.maximum(image, 1e-9) / top) / 2, 0, 1)
    np.testing.assert_allclose(level, expected, atol=1e-12)


def test_colours_are_bytes_of_red_green_and_blue() -> None:
    """From the darkest to the brightest of the scale, and between neighbours on it."""
    level = np.array([[0.0, 1.0], [0.5, 1 / 16]])
    colour = coloured(level)
    assert (colour.shape, colour.dtype) == ((2, 2, 3), np.uint8)
    assert colour[0].tolist() == [[0, 0, 3], [252, 254, 164]]
    assert colour[1].tolist() == [[187, 55, 84], [10, 7, 35]]


def test_the_picture_of_a_store_is_that_of_its_image(tmp_path: Path) -> None:
    """By path, as text too; a path without a store is refused and nothing is written."""
    experiment = small_experiment()
    nbdask.simulate(experiment, tmp_path / "a.zarr", backend="numpy", threads=1)
    write_png(tmp_path / "a.zarr", tmp_path / "a.png", decades=2.0)
    write_png(str(tmp_path / "a.zarr"), tmp_path / "b.png", decades=2.0)
    write_png(image_of(experiment), tmp_path / "c.png", decades=2.0)
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1] == pictures[2]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (24, 32)
    with pytest.raises(StoreError, match="does not exist"):
        write_png(tmp_path / "absent.zarr", tmp_path / "d.png")
    assert not (tmp_path / "d.png").exists()


def test_a_folder_in_the_way_of_a_picture(tmp_path: Path) -> None:
    """In one line, with the reason."""
    with pytest.raises(InputError) as caught:
        write_png(np.ones((2, 2)), tmp_path)
    assert str(caught.value) == f"picture {tmp_path}: cannot be written: Is a directory"

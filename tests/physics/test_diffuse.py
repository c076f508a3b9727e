"""Diffuse scattering: the formula written out, its integral, its symmetry, its kernels."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import gemmi
import numpy as np
import pytest
from scipy import integrate

from nbdask.amplitudes.laue import laue_rotations
from nbdask.errors import FieldError
from nbdask.experiment import Crystal, Diffuse, Experiment, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.diffuse import own_frame
from nbdask.geometry.model import Model
from nbdask.kernels.interface import Kernel
from nbdask.kernels.registry import get_kernel
from nbdask.physics.diffuse import diffuse_term
from tests.helpers import PARITY, deviation, image_of, reflections, small_experiment, tile_image

RIGHT = math.pi / 2
CELLS = {
    "P 43 21 2": (7e-9, 7e-9, 9e-9, RIGHT, RIGHT, RIGHT),
    "P 61 2 2": (7e-9, 7e-9, 9e-9, RIGHT, RIGHT, 2 * math.pi / 3),
    "P 3 2 1": (7e-9, 7e-9, 9e-9, RIGHT, RIGHT, 2 * math.pi / 3),
    "P 3 1 2": (7e-9, 7e-9, 9e-9, RIGHT, RIGHT, 2 * math.pi / 3),
    "R 3 2 :R": (7e-9, 7e-9, 7e-9, 1.3, 1.3, 1.3),
    "P 1 21 1": (7e-9, 8e-9, 9e-9, RIGHT, 1.8, RIGHT),
    "F 4 3 2": (7e-9, 7e-9, 7e-9, RIGHT, RIGHT, RIGHT),
    "P 1": (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
}
GAMMA, SIGMA = (60e-10, 45e-10, 30e-10), (0.4e-10, 0.5e-10, 0.3e-10)


def crystal(group: str, **more: Any) -> Crystal:
    """A crystal whose molecules move."""
    values: dict[str, Any] = {"gamma": GAMMA, "sigma": SIGMA, "laue": group}
    return Crystal(
        cell=CELLS[group], n_cells=(5, 5, 5), misset=(0.1, 0.2, 0.3),
        diffuse=Diffuse(**(values | more)),
    )  # fmt: skip


def lit(group: str = "P 43 21 2", limit: int = 5, **more: Any) -> Experiment:
    """A small image of it."""
    structure = StructureFactors(3.0, reflections=reflections(limit))
    return small_experiment(
        crystal=crystal(group, **more),
        structure=structure,
        sampling=Sampling(oversample=1, interpolate=False),
    )


def terms(model: Model, hkl: np.ndarray) -> np.ndarray:
    """Diffuse terms of fractional indices."""
    h, k, el = (np.ascontiguousarray(column) for column in hkl.T)
    return diffuse_term(model, h, k, el, 0)


def frame_of(star: np.ndarray) -> np.ndarray:
    """a*, b*, c* as columns, in the frame whose x is along a and whose z is along c*."""
    a, z = np.cross(star[1], star[2]), star[2]
    x, z = a / np.linalg.norm(a), z / np.linalg.norm(z)
    return np.array([x, np.cross(z, x), z]) @ star.T


def stated(group: str, stencil: int, amplitude: Any, base: np.ndarray, at: np.ndarray) -> float:
    """The formula as it stands, at one place, in reciprocal space itself."""
    g, u = np.diag(GAMMA) * 1e10, np.diag(np.square(SIGMA)) * 1e20
    operations = gemmi.find_spacegroup_by_name(group).operations().sym_ops
    turns = {tuple(map(tuple, np.array(op.rot) // 24)) for op in operations}
    h0 = np.ceil(at - 0.5)
    total = 0.0
    for turn in turns:
        rotation = np.array(turn).T
        q0 = base @ rotation @ h0
        w = 4.0 * np.pi**2 * q0 @ u @ q0
        for offset in product(range(-stencil, stencil + 1), repeat=3):
            k = g @ base @ rotation @ (at - h0 - np.array(offset))
            peak = 8.0 * np.pi * np.linalg.det(g) / (1.0 + 4.0 * np.pi**2 * k @ k) ** 2
            total += amplitude(h0 + offset) ** 2 * w * math.exp(-w) * peak
    return total / len(turns) / (2 * stencil + 1) ** 3


@pytest.mark.parametrize("group", CELLS)
@pytest.mark.parametrize("stencil", [0, 1])
def test_terms_are_the_stated_sum(group: str, stencil: int) -> None:
    """Over reciprocal cells and the group, with amplitudes of neighbouring reflections."""
    model = build_model(lit(group, stencil=stencil))
    known = {row[:3]: row[3] for row in reflections(5)}
    base = frame_of(model.star)
    places = np.random.default_rng(2).uniform(-6.5, 6.5, size=(20, 3))

    def amplitude(hkl: np.ndarray) -> float:
        return known.get(tuple(int(x) for x in hkl), 3.0)

    expected = [stated(group, stencil, amplitude, base, place) for place in places]
    np.testing.assert_allclose(terms(model, places), expected, rtol=1e-10)


@pytest.mark.parametrize("group", CELLS)
def test_equivalent_places_scatter_alike(group: str) -> None:
    """Whatever the tensors, with amplitudes that are."""
    # In hexagonal cells a block of reciprocal cells has not their symmetry, nor has the block of
    # places that are nearest to a whole one.
    stencil = 0 if group[2] in "36" else 1
    model = build_model(lit(group, stencil=stencil).replace(structure=StructureFactors(100.0)))
    random = np.random.default_rng(3)
    places = random.integers(-4, 5, size=(12, 3)) + random.uniform(-0.24, 0.24, size=(12, 3))
    expected = terms(model, places)
    for turn in laue_rotations(group):
        np.testing.assert_allclose(terms(model, places @ turn.T), expected, rtol=1e-9)
        np.testing.assert_allclose(terms(model, -places @ turn.T), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "count"),
    [("P 1", 1), ("2/m", 2), ("P 3", 3), ("-3m", 6), ("P 3 1 2", 6), ("4/mmm", 8), ("6/mmm", 12),
     ("m-3m", 24), ("R 3 2 :H", 6), ("I 41", 4), ("222", 4), ("3", 3),
     ("23", 12), ("32", 6), ("6", 6), ("2", 2), ("m", 2), ("-31m", 6), ("-3m1", 6), ("321", 6)],
)  # fmt: skip
def test_rotations_form_a_group(name: str, count: int) -> None:
    """As many as the Laue group has without the inversion; products are among them."""
    turns = laue_rotations(name)
    assert turns.shape == (count, 3, 3)
    np.testing.assert_array_equal(turns[0], np.eye(3))
    assert (np.linalg.det(turns) > 0.0).all()
    held = {turn.tobytes() for turn in turns}
    assert {(a @ b).tobytes() for a in turns for b in turns} == held


def test_a_halo_holds_the_strength_of_the_motion() -> None:
    """Its integral is W exp(-W); with the physical scale, times N V*."""
    length = 60.0

    def shell(k: float) -> float:
        peak = 8 * np.pi * length**3 / (1 + (2 * np.pi * length * k) ** 2) ** 2
        return 4 * np.pi * k * k * peak

    whole, _ = integrate.quad(shell, 0.0, np.inf)
    assert whole == pytest.approx(1.0, rel=1e-8)
    plain, physical = (
        build_model(lit("P 1", stencil=0, physical=given)).diffuse for given in (False, True)
    )
    assert plain is not None
    assert physical is not None
    volume = abs(np.linalg.det(build_model(lit("P 1")).star))
    assert physical.factor / plain.factor == pytest.approx(125.0 * volume, rel=1e-9)
    assert plain.factor == pytest.approx(8.0 * np.pi * 60.0 * 45.0 * 30.0)


def test_the_own_frame_is_that_of_coordinates() -> None:
    """x along a, z along c*."""
    a, b, c, *angles = CELLS["P 1"]
    cell = gemmi.UnitCell(a * 1e10, b * 1e10, c * 1e10, *np.degrees(angles))
    base = np.array(cell.frac.mat).T
    turned = base.T @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(own_frame(turned), base, atol=1e-15)


@pytest.mark.parametrize("kernel", ["cpu", "cuda-host"])
@pytest.mark.parametrize(
    ("structure", "sampling"),
    [
        (StructureFactors(100.0), Sampling(oversample=1)),
        (
            StructureFactors(3.0, reflections=reflections(5)),
            Sampling(oversample=2, interpolate=False, dmin=2e-10),
        ),
        (
            StructureFactors(3.0, reflections=reflections(7)),
            Sampling(oversample=1, interpolate=True),
        ),
        (
            StructureFactors(3.0, reflections=reflections(5)),
            Sampling(oversample=1, interpolate=False, oversample_polar=True),
        ),
    ],
    ids=["constant", "nearest", "tricubic", "per term"],
)
def test_kernels_agree(kernel: str, structure: StructureFactors, sampling: Sampling) -> None:
    """The compiled text, the GPU's on the processor, and NumPy; mixed precision is float64 here."""
    moving = replace(crystal("P 43 21 2"), mosaic_spread=0.01, mosaic_domains=3)
    model = build_model(small_experiment(crystal=moving, structure=structure, sampling=sampling))
    found: Kernel = get_kernel(kernel)
    image = tile_image(model, found)
    assert deviation(image, tile_image(model)) < PARITY
    np.testing.assert_array_equal(tile_image(model, get_kernel(kernel, "mixed")), image)


@pytest.mark.parametrize("kernel", ["numpy", "cpu"])
def test_it_adds_to_the_crystals_image(kernel: str) -> None:
    """In proportion to its scale; a scale of 0, and none, leave the bits as they are."""
    plain = lit()
    none = plain.replace(crystal=replace(plain.crystal, diffuse=None))
    with_zero = image_of(lit(scale=0.0), get_kernel(kernel))
    bare = image_of(none, get_kernel(kernel))
    np.testing.assert_array_equal(with_zero, bare)
    one, two = (image_of(lit(scale=s), get_kernel(kernel)).astype(float) for s in (1e3, 2e3))
    assert (one >= bare).all()
    assert np.median(one / bare) > 10.0
    np.testing.assert_allclose(two - bare, 2.0 * (one - bare), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"laue": "Q 7"}, "a space group such as"),
        ({"laue": "P 6"}, "a group whose symmetry the cell has"),
        ({"gamma": (1e-9, 0.0, 1e-9)}, "three lengths above 0"),
        ({"sigma": (1e-9,)}, "3 finite numbers"),
        ({"stencil": 4}, "at most 3"),
        ({"scale": -1.0}, "at least 0"),
    ],
)
def test_fields_that_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(FieldError, match=says):
        build_model(lit(**changes))


def test_c_semantics_with_a_running_product_are_refused() -> None:
    exp = lit().replace(semantics="c", sampling=Sampling(oversample=1, oversample_omega=True))
    with pytest.raises(FieldError, match="left out with -oversample_thick"):
        build_model(exp)

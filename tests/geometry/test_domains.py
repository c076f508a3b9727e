"""Mosaic domains: distributions, lists, order of rotations, weights, a number by estimate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Crystal, Mosaic, Scan, Spread, StructureFactors
from nbdask.geometry.build import build_model, domain_count
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.domains import crystal_basis, make_domains
from nbdask.geometry.mosaic import mosaic_rotations
from nbdask.geometry.sobol import sobol
from nbdask.kernels.registry import get_kernel
from nbdask.native import library
from tests.helpers import deviation, small_experiment, tile_image
from tests.kernels.features import CELL

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0)
FAST = "cpu" if library.levels() else "numpy"


def crystal_of(spread=None, count=None, **mosaic):
    """Return a triclinic crystal."""
    parts = {"mosaic_spread": spread, "mosaic_domains": count, "mosaic": Mosaic(**mosaic)}
    return Crystal(cell=CELL, n_cells=(5, 5, 5), **parts)


def vectors_of(crystal, count):
    """Return rotation vectors [rad] along a, c* x a and c*."""
    axes = orient_crystal(crystal, small_experiment().beam).axes
    turns = make_domains(crystal, axes, count).rotations
    skew = np.stack(
        [turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0],
         turns[:, 1, 0] - turns[:, 0, 1]], axis=1,
    )  # fmt: skip
    assert np.allclose(np.einsum("nij,nkj->nik", turns, turns), np.eye(3), atol=1e-12)
    # Small rotations: sin of the angle along the axis.
    return (0.5 * skew) @ crystal_basis(axes).T


def image(crystal, name=FAST, **parts):
    """Return an image."""
    return tile_image(build_model(small_experiment(crystal=crystal, **parts)), get_kernel(name))


def test_sobol_is_the_known_sequence():
    """Its first points, and every cell of a grid of 1/16 along each axis once in 16 points."""
    found = sobol(8)
    wanted = [[0.5, 0.5, 0.5], [0.25, 0.75, 0.75], [0.75, 0.25, 0.25], [0.125, 0.625, 0.375]]
    assert np.allclose(found[1:5], wanted, atol=1e-9)
    for points in (sobol(16), sobol(16, seed=3)):
        for axis in points.T:
            assert sorted((axis * 16).astype(int)) == list(range(16))
    assert not np.allclose(sobol(8, seed=3), sobol(8, seed=4))
    assert not np.allclose(sobol(8, seed=-3), sobol(8, seed=-4))


@pytest.mark.parametrize("sampling", ["random", "sobol"])
def test_gaussian_has_its_widths_about_the_axes_of_the_crystal(sampling):
    """Three standard deviations; random ones come in opposite pairs."""
    widths = (0.002, 0.004, 0.001)
    crystal = crystal_of(model="gauss", widths=widths, sampling=sampling)
    vectors = vectors_of(crystal, 4097)
    assert vectors.std(axis=0) == pytest.approx(widths, rel=0.04)
    assert abs(np.corrcoef(vectors.T) - np.eye(3)).max() < 0.05
    if sampling == "random":
        assert np.allclose(vectors[0:4096:2], -vectors[1:4096:2], atol=1e-12)
        assert np.allclose(vectors[-1], 0.0)


def test_equal_widths_are_one_width():
    """To the last bit."""
    one = crystal_of(0.003, 9, model="gauss")
    three = crystal_of(None, 9, model="gauss", widths=(0.003, 0.003, 0.003))
    assert np.array_equal(image(one), image(three))


def test_quasi_random_cap_has_the_distribution_of_the_cap():
    """Moments of nanoBragg's rotation vectors, none beyond the spread."""
    spread = 0.01
    quasi = vectors_of(crystal_of(spread, sampling="sobol"), 4096)
    plain = mosaic_rotations(spread, 20000, 5)
    assert np.linalg.norm(quasi, axis=1).max() <= spread
    cosine = (np.trace(plain, axis1=1, axis2=2) - 1.0) / 2.0
    angles = np.arccos(np.clip(cosine, -1.0, 1.0))
    assert np.linalg.norm(quasi, axis=1).mean() == pytest.approx(angles.mean(), rel=0.01)
    assert quasi.std(axis=0) == pytest.approx(np.full(3, quasi.std()), rel=0.02)


def test_listed_domains_turn_the_crystal_before_the_spindle():
    """Right-handed, in the lab frame at phi 0; weights have a mean of 1."""
    root = math.sqrt(0.5)
    crystal = crystal_of(domains=(IDENTITY, (root, 0.0, 0.0, root, 3.0)))
    scan = Scan(phi0=0.3, osc=0.2, count=2)
    model = build_model(small_experiment(crystal=crystal, scan=scan))
    bare = build_model(small_experiment(crystal=crystal_of(), scan=scan))
    assert model.domain_weight.tolist() == [0.5, 1.5]
    assert np.array_equal(model.axes[0::2], bare.axes)
    start = build_model(small_experiment(crystal=crystal_of())).axes[0]
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    # The spindle is z: rotations about it commute.
    assert np.allclose(model.axes[1::2], bare.axes @ quarter.T, atol=1e-20)
    assert np.allclose(start[0] @ quarter.T, [-start[0][1], start[0][0], start[0][2]])


@pytest.mark.parametrize("name", ["numpy", FAST])
def test_one_listed_domain_keeps_the_bits(name):
    """An unturned one, whatever its weight."""
    assert np.array_equal(
        image(crystal_of(), name), image(crystal_of(domains=((*IDENTITY[:4], 7.0),)), name)
    )


KERNELS = [("numpy", "float64")]
if library.levels():
    KERNELS += [("cpu", "float64"), ("cpu", "mixed")]


@pytest.mark.parametrize(("name", "precision"), KERNELS)
@pytest.mark.parametrize("lit", [False, True])
def test_weighted_image_is_the_weighted_mean(name, precision, lit):
    """Weights 1 and 3 of two domains, with and without a limit of resolution."""
    turned = (math.cos(0.01), 0.0, math.sin(0.01), 0.0)
    crystal = crystal_of(domains=(IDENTITY, (*turned, 3.0)))
    sources = replace(small_experiment().sources, horizontal=Spread(range=0.004, count=2))
    sampling = replace(small_experiment().sampling, dmin=0.0 if lit else 1e-12)
    parts = {"sources": sources, "sampling": sampling}
    kernel = get_kernel(name, precision)
    both, first, second = (
        tile_image(build_model(small_experiment(crystal=one, **parts)), kernel).astype(float)
        for one in (crystal, crystal_of(), crystal_of(domains=((*turned, 1.0),)))
    )
    assert deviation(both, 0.25 * first + 0.75 * second) < (
        1e-6 if precision == "float64" else 3e-5
    )


def test_a_number_by_estimate_keeps_the_error():
    """That of the image, against many domains, is about what was asked for; less needs more."""
    detector = replace(small_experiment().detector, pixels_fast=48, pixels_slow=48)
    whole = small_experiment(
        crystal=crystal_of(0.01, sampling="sobol", tolerance=0.03), detector=detector
    )
    model = build_model(whole)
    count = domain_count(whole)
    assert count == model.n_domains
    assert any(f"{count} mosaic domains, for an error" in note for note in model.notes)
    kernel = get_kernel(FAST)
    many = crystal_of(0.01, 8192, sampling="sobol")
    exact = tile_image(build_model(whole.replace(crystal=many)), kernel).astype(float)
    error = np.sqrt(np.mean((tile_image(model, kernel) - exact) ** 2)) / np.sqrt(np.mean(exact**2))
    assert 0.03 / 6.0 < error < 2.0 * 0.03
    finer = whole.replace(crystal=crystal_of(0.01, sampling="sobol", tolerance=0.003))
    assert domain_count(finer) >= 4 * count


def test_more_domains_than_can_be_is_refused(monkeypatch):
    """In one line that names the field."""
    monkeypatch.setattr("nbdask.geometry.domain_count.MOST", 32)
    crystal = replace(crystal_of(0.5, sampling="sobol", tolerance=1e-6), n_cells=(90, 90, 90))
    with pytest.raises(FieldError, match="attainable with 32 domains"):
        build_model(small_experiment(crystal=crystal, structure=StructureFactors(default_F=1.0)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Mosaic(model="bell"), "crystal.mosaic.model"),
        (lambda: Mosaic(widths=(1.0, 1.0, 1.0)), 'only with the model "gauss"'),
        (lambda: Mosaic(tolerance=1e-3), 'with the sampling "sobol"'),
        (lambda: Mosaic(sampling="sobol", tolerance=1e-9), "from 1e-06 to below 1"),
        (lambda: Mosaic(domains=((1.0, 0.0, 0.0, 0.1, 1.0),)), "a quaternion of length 1"),
        (lambda: Mosaic(domains=((1.0, 0.0, 0.0, 0.0, 0.0),)), "sum above 0"),
        (lambda: Mosaic(domains=(IDENTITY,), sampling="sobol"), "left out beside a model"),
        (lambda: crystal_of(0.1, domains=(IDENTITY,)), "left out where domains are listed"),
        (lambda: crystal_of(0.1, model="gauss", widths=(0.1, 0.1, 0.1)), "left out beside three"),
        (lambda: crystal_of(0.1, 5, sampling="sobol", tolerance=0.1), "left out beside a tol"),
    ],
)
def test_what_contradicts_itself_is_refused(make, said):
    """Fields of the crystal that do not go together."""
    with pytest.raises(FieldError, match=said):
        make()

"""Spherical spots: the nearest node of any centring, equivalent reflections alike, a sum rule."""

from __future__ import annotations

import shutil
from itertools import permutations, product

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Crystal, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.nodes import CENTRINGS, node_basis
from nbdask.kernels.registry import get_kernel
from nbdask.native import library
from nbdask.physics.lattice import lattice_factor
from nbdask.physics.scattering import nearest_nodes
from nbdask.physics.structure_factor import cell_factor
from tests.helpers import RIGHT, small_experiment
from tests.kernels.features import compare

ALLOWED = {
    "P": lambda h, k, el: True,
    "A": lambda h, k, el: (k + el) % 2 == 0,
    "B": lambda h, k, el: (h + el) % 2 == 0,
    "C": lambda h, k, el: (h + k) % 2 == 0,
    "I": lambda h, k, el: (h + k + el) % 2 == 0,
    "F": lambda h, k, el: h % 2 == k % 2 == el % 2,
    "R": lambda h, k, el: (-h + k + el) % 3 == 0,
}
CUBE = (5e-9, 5e-9, 5e-9, RIGHT, RIGHT, RIGHT)
SKEW = (4e-9, 7e-9, 9e-9, 1.2, 1.4, 1.9)
HEXAGONAL = (5e-9, 5e-9, 9e-9, RIGHT, RIGHT, 2.0 * np.pi / 3.0)
KERNELS = [
    *(("cpu", precision) for precision in ("float64", "mixed") if library.levels()),
    *(("cuda-host", p) for p in ("float64", "mixed", "pairs") if shutil.which("g++")),
]


def model_of(cell=CUBE, centring="I", cells=(5, 5, 5), **parts):
    """Return a model with spherical spots."""
    crystal = Crystal(cell=cell, n_cells=cells, shape="spherical", centring=centring)
    return build_model(small_experiment(**{"crystal": crystal, **parts}))


@pytest.mark.parametrize("cell", [CUBE, SKEW, HEXAGONAL])
@pytest.mark.parametrize("centring", CENTRINGS)
def test_nearest_node_is_the_nearest_of_all(cell, centring):
    """Of those that the centring allows, found one by one."""
    model = model_of(cell, centring)
    random = np.random.default_rng(3)
    places = random.uniform(-6.0, 6.0, (200, 3))
    (h, k, el), _ = nearest_nodes(model, *places.T)
    for place, found in zip(places, np.stack([h, k, el], axis=1), strict=True):
        around = np.array(list(product(*(range(int(x) - 4, int(x) + 5) for x in place))))
        nodes = around[[bool(ALLOWED[centring](*node)) for node in around.tolist()]]
        lengths = np.linalg.norm((place - nodes) @ model.star, axis=1)
        assert found.tolist() == np.rint(found).tolist()
        assert ALLOWED[centring](*found.astype(int))
        assert np.linalg.norm((place - found) @ model.star) <= lengths.min() * (1.0 + 1e-12)


def test_few_places_have_a_nearer_node_than_the_corners():
    """Fewer than one in 1000, by up to a fifth, and none that is close to a node."""
    random = np.random.default_rng(7)
    around, corners = (np.array(list(product(x, repeat=3))) for x in (range(-1, 3), range(2)))
    seen, ratios = 0, []
    for number in range(60):
        star = np.linalg.inv(np.diag(random.uniform(5.0, 25.0, 3)))
        if number % 2:
            star = star + random.uniform(-0.04, 0.04, (3, 3))
        basis = node_basis(star, CENTRINGS[number % 7]).T @ star
        shortest = np.linalg.norm(basis, axis=1).min()
        places = random.random((200, 3))
        found, least = (
            np.linalg.norm((places[:, None] - nodes) @ basis, axis=2).min(axis=1)
            for nodes in (corners, around)
        )
        seen += len(places)
        beyond = found > least * (1.0 + 1e-9)
        ratios += (found / least)[beyond].tolist()
        assert (least[beyond] > 0.3 * shortest).all()
    assert 0 < len(ratios) < seen / 1000
    assert max(ratios) < 1.2


@pytest.mark.parametrize("centring", ["P", "I", "F"])
def test_equivalent_reflections_have_equal_spots(centring):
    """All 48 images of a place in a cubic cell, node and lattice factor."""
    model = model_of(centring=centring, cells=(2, 2, 2))
    place = np.array([3.31, -1.18, 2.74])
    images = [
        np.array([place[i] * s for i, s in zip(order, signs, strict=True)])
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    found = lattice_factor(model, *np.array(images).T)
    assert found == pytest.approx(np.full(48, found[0]), rel=1e-12)
    (node, *_), _ = nearest_nodes(model, *np.array(images).T)
    assert set(np.abs(node)) <= {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("cell", [CUBE, SKEW])
def test_a_spot_holds_the_scattering_of_all_cells(cell):
    """The integral of F_latt^2 over the indices around a node is the number of cells."""
    model = model_of(cell, "P", cells=(7, 5, 6))
    step = 0.03
    line = np.arange(-0.6, 0.6, step) + step / 2.0
    h, k, el = np.meshgrid(line, line, line, indexing="ij")
    around = np.array(nearest_nodes(model, h, k, el)[0])
    squared = np.where((around == 0.0).all(axis=0), lattice_factor(model, h, k, el) ** 2, 0.0)
    assert squared.sum() * step**3 == pytest.approx(210.0, rel=1e-3)


def test_amplitudes_are_those_of_the_node():
    """Where the nearest whole indices are extinct by the centring, the node's is taken."""
    rows = tuple(
        (h, k, el, 100.0 + h + 10 * k + el)
        for h, k, el in product(range(-3, 4), repeat=3)
        if (h + k + el) % 2 == 0
    )
    listed = StructureFactors(reflections=rows, default_F=0.0)
    model = model_of(structure=listed, sampling=Sampling(oversample=1, interpolate=False))
    h, k, el = np.array([1.3]), np.array([0.9]), np.array([1.2])
    assert cell_factor(model, h, k, el)[0][0] in (100.0 + 2 + 10 + 1, 100.0 + 1 + 1, 100.0 + 1 + 10)
    plain = Crystal(cell=CUBE, n_cells=(5, 5, 5), shape="gauss")
    gauss = build_model(small_experiment(crystal=plain, structure=listed))
    assert cell_factor(gauss, h, k, el)[0][0] == 0.0


def test_basis_has_no_acute_angles():
    """With the vector that closes the sum."""
    model = model_of(SKEW, "I")
    basis = node_basis(model.star, "I")
    vectors = model.star.T @ basis
    closed = np.column_stack([vectors, -vectors.sum(axis=1)])
    products = closed.T @ closed
    assert (products[~np.eye(4, dtype=bool)] <= 1e-12).all()
    assert abs(np.linalg.det(basis)) == pytest.approx(2.0)


@pytest.mark.parametrize("parts", ["constant", "list", "interpolated", "factors"])
@pytest.mark.parametrize(("name", "precision"), KERNELS)
def test_kernels_agree(name, precision, parts):
    """With the NumPy one."""
    rows = tuple((h, k, el, 5.0 + (h * k + el) % 7) for h, k, el in product(range(-4, 5), repeat=3))
    listed = {} if parts == "constant" else {"structure": StructureFactors(reflections=rows)}
    sampling = Sampling(
        oversample=1, interpolate=parts == "interpolated", oversample_polar=parts == "factors"
    )
    semantics = "c" if parts == "factors" and precision == "float64" else "spec"
    model = model_of(SKEW, "C", sampling=sampling, semantics=semantics, **listed)
    compare(model, get_kernel(name, precision), 1e-9 if precision == "float64" else 1e-5)


def test_a_fudge_of_0_is_refused():
    """All nodes would be equally near."""
    with pytest.raises(FieldError, match="above 0 with spherical spots"):
        Crystal(cell=CUBE, shape="spherical", fudge=0.0)
    with pytest.raises(FieldError, match=r"crystal\.centring"):
        Crystal(cell=CUBE, shape="spherical", centring="H")

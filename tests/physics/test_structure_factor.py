"""Amplitudes: nearest, default, tricubic."""

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.experiment import Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.physics.structure_factor import cell_factor, cubic_weights
from tests.helpers import reflections, small_experiment

SMALL = StructureFactors(reflections=((0, 0, 0, 5.0), (1, 0, 0, 7.0), (2, 1, 1, 9.0)), default_F=3)


def cubic_model(semantics: str = "spec"):
    """A list whose amplitudes are a cubic polynomial of h, k, l: tricubic is then exact."""
    listed = tuple((h, k, el, polynomial(h, k, el)) for h, k, el, _ in reflections(limit=4))
    return build_model(
        small_experiment(
            structure=StructureFactors(reflections=listed, default_F=3.0),
            sampling=Sampling(oversample=1, interpolate=True),
            semantics=semantics,
        )
    )


def polynomial(h, k, el):
    return 50 + h - 2 * k + 0.5 * h * k * el + 0.1 * h**3 - 0.2 * el**3 + 0.05 * k**2


def test_nearest_takes_halves_down_and_default_outside_and_in_gaps() -> None:
    """ceil(x - 0.5); default_F fills gaps of the grid and everything outside it."""
    model = build_model(
        small_experiment(structure=SMALL, sampling=Sampling(oversample=1, interpolate=False))
    )
    h = np.array([0.5, 0.51, 1.4, 2.0, 2.0, 2.6, -0.6])
    k = np.array([0.0, 0.0, 0.3, 1.0, 0.0, 1.0, 0.0])
    values, outside = cell_factor(model, h, k, k)
    assert values.tolist() == [5.0, 7.0, 7.0, 9.0, 3.0, 3.0, 3.0]
    assert outside is None


def test_without_a_list_every_amplitude_is_the_default() -> None:
    """default_F alone."""
    values, _ = cell_factor(build_model(small_experiment()), *np.zeros((3, 4)))
    assert values.tolist() == [100.0] * 4


def test_tricubic_is_exact_for_cubic_polynomials() -> None:
    """Lagrange interpolation through four points per axis reproduces third powers."""
    random = np.random.default_rng(1)
    h, k, el = random.uniform(-2.9, 2.9, (3, 200))
    values, outside = cell_factor(cubic_model(), h, k, el)
    assert outside is not None
    assert not outside.any()
    assert np.allclose(values, polynomial(h, k, el), rtol=1e-12)


def test_cubic_weights_sum_to_one_and_pick_the_node() -> None:
    """At 0 only the second value counts."""
    t = np.linspace(0, 1, 11)
    assert np.allclose(sum(cubic_weights(t)), 1.0)
    assert [float(w[0]) for w in cubic_weights(t)] == pytest.approx([0, 1, 0, 0])


def test_neighbourhood_outside_the_grid_takes_the_default_and_is_counted() -> None:
    """Spec: floor - 1 to floor + 2 must lie in the grid of -4 to 4."""
    h = np.array([-3.0, -3.01, 2.99, 3.0, 0.0])
    values, outside = cell_factor(cubic_model(), h, np.zeros(5), np.zeros(5))
    assert outside is not None
    assert outside.tolist() == [False, True, False, True, False]
    assert values[outside].tolist() == [3.0, 3.0]


def test_c_semantics_uses_the_narrower_bounds_of_the_c_program() -> None:
    """C calls a place outside already one index earlier at each end."""
    h = np.array([-2.0, -2.01, 2.0, 2.01])
    _, outside = cell_factor(cubic_model("c"), h, np.zeros(4), np.zeros(4))
    assert outside is not None
    assert outside.tolist() == [False, True, False, True]


def test_a_changed_amplitude_file_is_refused(tmp_path) -> None:
    """The file's checksum is part of the experiment."""
    path = tmp_path / "a.hkl"
    path.write_text("0 0 0 5\n1 0 0 6\n")
    structure = StructureFactors(path=str(path), sha256="0" * 64)
    with pytest.raises(InputFileError, match="has changed"):
        build_model(small_experiment(structure=structure))

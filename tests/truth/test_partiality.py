"""Integrals of the squared lattice factor over planes and space."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array, Model
from nbdask.physics.lattice import lattice_factor
from nbdask.truth.partiality import plane_integral, volume_integral
from tests.truth.support import BASE, experiment

#: Flags of a shape, how far integrals go in units of a spot's width, and how close they come.
SHAPES = {
    "square": ("-Na 9 -Nb 12 -Nc 10", 24.0, 0.02),
    "round": ("-round_xtal -Na 9 -Nb 12 -Nc 10", 24.0, 0.02),
    "gauss": ("-gauss_xtal -Na 8 -Nb 9 -Nc 7", 3.0, 1e-6),
    "tophat": ("-tophat_spots -Na 8 -Nb 9 -Nc 7", 2.0, 0.02),
    "fudge": ("-gauss_xtal -Na 8 -Nb 9 -Nc 7 -fudge 0.6", 4.0, 1e-6),
}


def spot(shape: str) -> tuple[Model, Array, float, float]:
    """Return a model, its axes, how far to integrate [1/m], and how close it comes."""
    flags, reach, close = SHAPES[shape]
    model = build_model(experiment(f"-detpixels 16 -pixel 1 {flags}", BASE))
    axes = model.axes[0]
    widest = 1.0 / np.linalg.norm(axes * model.n_cells[:, None], axis=1).min()
    if "gauss" in flags or "tophat" in flags:
        widest = 1.0 / (model.n_cells_total * 1e-10)
    return model, axes, reach * widest, close


def squared(model: Model, axes: Array, q: Array) -> Array:
    """Return F_latt^2 at places around the node 0 [1/m], and nothing near others."""
    h, k, el = np.moveaxis(q @ axes.T, -1, 0)
    found = lattice_factor(model, h, k, el) ** 2
    inside = (np.abs(h) < 0.5) & (np.abs(k) < 0.5) & (np.abs(el) < 0.5)
    return np.where(inside, found, 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_integrals_are_those_of_the_lattice_factor(shape: str) -> None:
    """Sums over a grid of points on planes of several directions, and over space."""
    model, axes, reach, close = spot(shape)
    normals = np.array([[0.3, 0.8, -0.5], [1.0, 0.1, 0.2], [-0.4, 0.2, 0.9]])
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    found = plane_integral(model, axes, normals)
    line, step = np.linspace(-reach, reach, 501, retstep=True)
    for normal, integral in zip(normals, found, strict=True):
        u = np.cross(normal, [0.0, 0.0, 1.0])
        u /= np.linalg.norm(u)
        v = np.cross(normal, u)
        points = line[:, None, None] * u + line[None, :, None] * v
        assert integral == pytest.approx(squared(model, axes, points).sum() * step**2, rel=close)
    coarse, wide = np.linspace(-reach, reach, 101, retstep=True)
    grid = np.stack(np.meshgrid(coarse, coarse, coarse, indexing="ij"), axis=-1)
    whole = squared(model, axes, grid).sum() * wide**3
    assert volume_integral(model, axes) == pytest.approx(whole, rel=max(3 * close, 1e-4))

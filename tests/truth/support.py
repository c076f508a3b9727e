"""Small experiments whose reflections are looked at, and images of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import nbdask
from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.lattices import image_of
from nbdask.physics.shadow import beside_the_crystal
from nbdask.plan.tiles import Tile
from nbdask.truth.blocks import SumsOf, reflection_sums
from nbdask.truth.setting import Setting

BASE = "-cell 40 50 60 90 100 90 -misset 10 20 30 -default_F 100 -lambda 1 -distance 100"


def experiment(flags: str, base: str = BASE) -> Experiment:
    """Return an experiment of flags; one unit of the sum is one photon, as by default."""
    return nbdask.from_args(f"{base} {flags}".split())


def photons(e: Experiment) -> NDArray[np.float64]:
    """Return the image of one panel, or of several (panel, slow, fast), in float64."""
    model, kernel = build_model(e), CpuKernel()
    planes = np.zeros((e.n_panels, *e.shape))
    for panel, plane in enumerate(planes):
        one = model.at(panel)
        tile = Tile.within(one.roi)._replace(panel=panel)
        mask = None if one.mask is None else one.mask.read(*tile.bounds)
        image = beside_the_crystal(model, tile, image_of(kernel, model, tile, mask)[0], mask)
        plane[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = image
    return planes if e.n_panels > 1 else planes[0]


def sums(e: Experiment, sums_of: SumsOf | None = None, threads: int = 2) -> list[list[Array]]:
    """Return the sums by reflection of an experiment's panels and crystals."""
    angles = [Setting.of(single).phi for single in e.singles]
    return reflection_sums(build_model(e), angles, sums_of, threads)

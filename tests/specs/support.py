"""Small experiments and plain evaluation, for the tests of the specification."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Sampling,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.carry_over import patch_carry_over
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

RIGHT = math.pi / 2
CUBE = (50e-10, 50e-10, 50e-10, RIGHT, RIGHT, RIGHT)
SKEW = (30e-10, 40e-10, 50e-10, 1.3, 1.5, 1.8)


def experiment(**parts: Any) -> Experiment:
    """Return a small experiment (12 slow x 16 fast pixels); ``parts`` replace its own."""
    defaults: dict[str, Any] = {
        "crystal": Crystal(cell=SKEW, misset=(0.1, 0.2, 0.3), n_cells=(3, 4, 5)),
        "structure": StructureFactors(default_F=10.0),
        "beam": Beam(wavelength=1.5e-10),
        "detector": Detector(
            pixel_size=1e-3,
            pixels_fast=16,
            pixels_slow=12,
            distance=0.05,
            beam_x=4.2e-3,  # not the centre of a pixel: q = 0 nowhere
            beam_y=5.3e-3,
        ),
        "sampling": Sampling(oversample=1),
    }
    return Experiment(**{**defaults, **parts})


def with_detector(base: Experiment, **fields: Any) -> Experiment:
    """Return ``base`` with some fields of its detector replaced."""
    return base.replace(detector=replace(base.detector, **fields))


def evaluated(exp: Experiment) -> NDArray[np.bool_]:
    """Return True for the pixels inside the region of interest that are not masked."""
    model = build_model(exp)
    slow0, slow1, fast0, fast1 = model.roi
    mask = np.zeros(exp.shape, dtype=np.bool_)
    mask[slow0 : slow1 + 1, fast0 : fast1 + 1] = True
    if model.mask is not None:
        mask &= model.mask.read(0, exp.shape[0], 0, exp.shape[1])
    return mask


def pixels(exp: Experiment) -> NDArray[np.float32]:
    """Evaluate the whole image with the NumPy kernel, without dask."""
    model, kernel = build_model(exp), ReferenceKernel()
    tile = Tile(0, exp.shape[0], 0, exp.shape[1])
    mask = evaluated(exp)
    image = kernel.finish(
        model, tile, kernel.partial(model, tile, StepRange(0, model.n_steps), mask), mask
    )
    return patch_carry_over(model, kernel, tile, image)

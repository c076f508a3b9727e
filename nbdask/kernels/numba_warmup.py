"""Compile the kernels ahead of a job, so that its workers only load them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from nbdask.experiment import Crystal, Detector, Experiment, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Crystals, one for each loop over lattice factors: shape, cells.
_CRYSTALS = (
    ("square", (5, 5, 5)),
    ("square", (4, 5, 5)),
    ("square", (9, 9, 9)),
    ("square", (10, 9, 9)),
    ("square", (20, 20, 20)),
    ("round", (5, 5, 5)),
    ("gauss", (5, 5, 5)),
    ("tophat", (5, 5, 5)),
)
#: Whether there is a list, and whether it is interpolated.
_AMPLITUDES = ((False, False), (True, False), (True, True))


def warm_models(rare: bool = False) -> Iterator[Model]:
    """Return models of one pixel that run every version of the compiled loops.

    Parameters
    ----------
    rare : bool
        Also those with factors applied to each term.
    """
    for (shape, cells), (listed, interpolated) in product(_CRYSTALS, _AMPLITUDES):
        model = _model(shape, cells, listed, interpolated)
        yield model
        # In mixed precision few orientations run other loops, unless a limit is given.
        yield replace(model, dmin=1e-12)
        if rare:
            yield replace(model, each_polar=True)
    for listed, interpolated in _AMPLITUDES if rare else ():
        model = _model("square", (5, 5, 5), listed, interpolated)
        yield replace(model, each_polar=True, running_product=True)


def run_once(kernel: Any, model: Model) -> None:
    """Evaluate one step of one pixel, and finish it: everything that a run compiles."""
    pixel = Tile(0, 1, 0, 1)
    # With and without a mask the compiled code is the same.
    partial = kernel.partial(model, pixel, StepRange(0, 1), None)
    kernel.finish(model, pixel, partial, np.ones((1, 1), dtype=np.bool_))


def warmup(kernels: Sequence[Any], rare: bool = False) -> Iterator[str]:
    """Compile the versions of the loops that are not in the cache yet.

    Parameters
    ----------
    kernels : sequence of NumbaKernel
        One for each precision.
    rare : bool
        Also the versions with factors applied to each term.

    Yields
    ------
    str
        Name of each version, before it is compiled or loaded.
    """
    seen: set[str] = set()
    for kernel, model in product(kernels, warm_models(rare)):
        name = kernel.variant(model)
        if name not in seen:
            seen.add(name)
            yield name
            run_once(kernel, model)


def _model(shape: str, cells: tuple[int, int, int], listed: bool, interpolated: bool) -> Model:
    side = range(-2, 3)
    reflections = tuple((h, k, el, 1.0) for h, k, el in product(side, side, side))
    return build_model(
        Experiment(
            crystal=Crystal(
                cell=(1e-8, 1e-8, 1e-8, np.pi / 2, np.pi / 2, np.pi / 2),
                n_cells=cells,
                shape=shape,
            ),
            structure=StructureFactors(default_F=1.0, reflections=reflections if listed else ()),
            detector=Detector(pixels_fast=1, pixels_slow=1, pixel_size=1e-4),
            sampling=Sampling(oversample=1, interpolate=interpolated),
        )
    )

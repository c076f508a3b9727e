"""Small experiments that each use one feature of the physics, for the tests of every kernel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Diffuse,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange
from tests.helpers import deviation, reflections, small_experiment, tile_image, tile_sum, whole

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
LIST = StructureFactors(reflections=reflections(4), default_F=3.0)
MATRIX = {"cells_matrix": (6.0, 1.0, -0.5, 0.3, 5.0, 2.0, -1.0, 0.7, 9.0)}
CUBIC = {"structure": LIST, "sampling": Sampling(oversample=1, interpolate=True)}
EVERY = {"oversample_thick": True, "oversample_polar": True, "oversample_omega": True}
#: Motion of another length along each axis; strong enough to be seen beside peaks.
MOVING = Diffuse((5e-9, 4e-9, 3e-9), (4e-11, 5e-11, 6e-11), scale=30.0)


def crystal(cells=(5, 5, 5), **parts):
    """Return a crystal with two mosaic domains."""
    values = {"mosaic_spread": 0.01, "mosaic_domains": 2, **parts}
    return Crystal(cell=CELL, n_cells=cells, **values)


def sensor(**parts):
    """Return a detector with three absorbing layers."""
    values = {"thickness": 4e-4, "attenuation": 2e3, "thick_steps": 3, **parts}
    return Detector(pixels_fast=24, pixels_slow=32, pixel_size=4e-4, **values)


FEATURES = {
    "few cells, odd": {"crystal": crystal()},
    "few cells, even": {"crystal": crystal((4, 5, 6))},
    "one and two cells": {"crystal": crystal((1, 2, 1))},
    "up to ten cells": {"crystal": crystal((9, 10, 3))},
    "nine cells": {"crystal": crystal((9, 7, 1))},
    "many cells": {"crystal": crystal((40, 1, 23))},
    "round": {"crystal": crystal((7, 8, 9), shape="round", fudge=1.3)},
    "gauss": {"crystal": crystal(shape="gauss", fudge=0.7)},
    "gauss, matrix of cells": {"crystal": crystal((1, 1, 1), shape="gauss", **MATRIX)},
    "tophat": {"crystal": crystal(shape="tophat", fudge=0.3)},
    "spherical": {"crystal": crystal(shape="spherical", centring="I", fudge=0.7)},
    "diffuse": {"crystal": crystal(diffuse=MOVING)},
    "list, diffuse": {"structure": LIST, "crystal": crystal((4, 40, 6), diffuse=MOVING)},
    "interpolation, diffuse": {**CUBIC, "crystal": crystal(diffuse=MOVING)},
    "list, spherical": {
        "structure": LIST,
        "crystal": crystal(shape="spherical", centring="C"),
    },
    "interpolated, spherical": {"crystal": crystal(shape="spherical", centring="F"), **CUBIC},
    "list": {"structure": LIST},
    "list, even": {"structure": LIST, "crystal": crystal((4, 4, 3))},
    "list, many cells": {"structure": LIST, "crystal": crystal((12, 13, 14))},
    "list, round": {"structure": LIST, "crystal": crystal(shape="round")},
    "list, gauss": {"structure": LIST, "crystal": crystal(shape="gauss")},
    "list, gauss, matrix of cells": {
        "structure": LIST,
        "crystal": crystal((1, 1, 1), shape="gauss", **MATRIX),
    },
    "list, tophat": {"structure": LIST, "crystal": crystal(shape="tophat", fudge=0.2)},
    "list, up to ten cells": {"structure": LIST, "crystal": crystal((9, 10, 3))},
    "list, nine cells": {"structure": LIST, "crystal": crystal((9, 7, 1))},
    "interpolated": {"structure": LIST, "sampling": Sampling(oversample=1, interpolate=True)},
    "interpolated, even": {"crystal": crystal((4, 5, 6)), **CUBIC},
    "interpolated, up to ten cells": {"crystal": crystal((9, 10, 3)), **CUBIC},
    "interpolated, nine cells": {"crystal": crystal((9, 7, 1)), **CUBIC},
    "interpolated, many cells": {"crystal": crystal((12, 13, 14)), **CUBIC},
    "interpolated, round": {"crystal": crystal(shape="round"), **CUBIC},
    "interpolated, gauss": {"crystal": crystal(shape="gauss"), **CUBIC},
    "interpolated, tophat": {
        "structure": LIST,
        "crystal": crystal(shape="tophat", fudge=0.2),
        "sampling": Sampling(oversample=1, interpolate=True, dmin=1.2e-10),
    },
    "sources, phi and sub-pixels": {
        "crystal": crystal(),
        "sources": Sources(horizontal=Spread(range=0.004, count=3), dispersion=Spread(0.01, None)),
        "scan": Scan(phi0=0.1, osc=0.02, count=2),
        "sampling": Sampling(oversample=3),
    },
    "weighted sources": {
        "sources": Sources(
            points=(SourcePoint(-1.0, 0.0, 0.0, 3.0), SourcePoint(-1.0, 0.01, 0.0, 1.0)),
            weights="apply",
        )
    },
    "layers": {"detector": sensor(), "background": Background(water=1e-6)},
    "dmin": {
        "sources": Sources(horizontal=Spread(range=0.2, count=5)),
        "sampling": Sampling(oversample=2, dmin=3.2e-10),
        "background": Background(water=1e-6),
    },
    "polarized": {"beam": Beam(polarization=0.9)},
    "polarized sources, dmin": {
        "beam": Beam(polarization=-0.7),
        "sources": Sources(horizontal=Spread(range=0.2, count=3)),
        "sampling": Sampling(oversample=2, dmin=3.2e-10),
    },
    "unpolarized": {"beam": Beam(polarized=False)},
    "curved": {"detector": sensor(curved=True)},
    "curved, sub-pixels, factors of each term": {
        "detector": sensor(curved=True, rotx=0.1, roty=-0.05, twotheta=0.3),
        "sampling": Sampling(oversample=2, **EVERY),
    },
    "point pixel": {"detector": sensor(point_pixel=True, rotx=0.1, twotheta=0.2)},
    "all factors": {
        "crystal": crystal(),
        "sources": Sources(horizontal=Spread(range=0.1, count=3)),
        "detector": sensor(),
        "beam": Beam(polarization=0.5),
        "sampling": Sampling(oversample=2, dmin=2e-10, **EVERY),
        "background": Background(water=1e-6),
    },
    "no sensor": {"sampling": Sampling(oversample=1, oversample_thick=True)},
    "factors, list": {
        "structure": LIST,
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
    "factors, interpolated tophat": {
        "structure": LIST,
        "crystal": crystal(shape="tophat", fudge=0.2),
        "sampling": Sampling(oversample=1, interpolate=True, oversample_omega=True),
    },
    "factors, even": {
        "crystal": crystal((4, 5, 6)),
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
    "factors, many cells, water": {
        "structure": LIST,
        "crystal": crystal((12, 13, 14)),
        "sampling": Sampling(oversample=2, oversample_polar=True),
        "background": Background(water=1e-6),
    },
    "factors, tophat": {
        "crystal": crystal(shape="tophat", fudge=0.2),
        "sampling": Sampling(oversample=1, oversample_polar=True, oversample_omega=True),
    },
    "factors, gauss": {
        "crystal": crystal((30, 30, 30), shape="gauss"),
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
    "factors, round": {
        "crystal": crystal(shape="round"),
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
}
PRODUCTS = ["all factors", *(name for name in FEATURES if "factors" in name.split(", ")[0])]
PRODUCTS += ["no sensor", "curved, sub-pixels, factors of each term"]
#: Every feature under the semantics of the specification, and all whose factors C multiplies into
#: the running sum.
CASES = [*((name, "spec") for name in FEATURES), *((name, "c") for name in PRODUCTS)]


@lru_cache
def model_of(name, semantics="spec"):
    """Return the model of one feature."""
    return build_model(small_experiment(**FEATURES[name], semantics=semantics))


@lru_cache
def _reference(name, semantics):
    model = model_of(name, semantics)
    everything = [StepRange(0, model.n_steps)]
    reference = ReferenceKernel()
    return tile_sum(model, reference, whole(model), everything), tile_image(model, reference)


def compare(model, kernel, bound):
    """Check a kernel's sums, gains, outside counts and photons of a whole detector.

    The measure is the NumPy kernel; ``bound`` is that of the worst relative deviation.
    """
    reference = ReferenceKernel()
    everything = [StepRange(0, model.n_steps)]
    theirs = tile_sum(model, reference, whole(model), everything)
    _compare(model, kernel, bound, theirs, tile_image(model, reference))


def compare_feature(name, semantics, kernel, bound):
    """Check a kernel as above for a feature; what the NumPy kernel says is remembered."""
    _compare(model_of(name, semantics), kernel, bound, *_reference(name, semantics))


def _compare(model, kernel, bound, theirs, their_image):
    ours = tile_sum(model, kernel, whole(model), [StepRange(0, model.n_steps)])
    assert deviation(ours.total, theirs.total) <= bound
    assert ours.outside == theirs.outside
    assert (ours.gain is None) == (theirs.gain is None)
    if ours.gain is not None:
        assert deviation(ours.gain, theirs.gain) <= 1e-12
    image = tile_image(model, kernel)
    assert image.dtype == np.float32
    assert deviation(image, their_image) <= bound + 1.2e-7

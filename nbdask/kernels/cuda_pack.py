"""From a model to what the CUDA kernels are called with: tables, a structure, a version.

The numbers are those of the Numba kernel (:mod:`~nbdask.kernels.numba_inputs`); here they get the
layout of the structure that the kernels are called with (:mod:`~nbdask.kernels.cuda_params`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import SQUARE, Model
from nbdask.kernels import numba_types as cpu
from nbdask.kernels.cuda_launch import Program, struct_of
from nbdask.kernels.cuda_params import (
    AXES_ROW,
    CONSTANT,
    EACH,
    FEW,
    FEW_ODD,
    GAUSS,
    GRATING,
    NARROW_GAUSS,
    NARROW_GRATING,
    NEAREST,
    ONCE,
    PARAMS,
    PRODUCTS,
    SOURCE_ROW,
    SPHERE,
    TOPHAT,
    TRICUBIC,
)
from nbdask.kernels.cuda_source import ENTRIES, program_text
from nbdask.kernels.numba_inputs import inputs_of
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Threads of a block, blocks that a multiprocessor holds at once (which leaves 128 registers to a
#: thread), and pixels of a thread.
THREADS, BLOCKS, PIXELS = 256, 2, 2


class Packed(NamedTuple):
    """Everything that a model gives to the kernels.

    Attributes
    ----------
    values : dict
        Fields of :data:`PARAMS` that all tiles share.
    program : Program
        The version of the loops.
    axes : (n, 10) float64 array
        Cell vectors a, b, c [m] of each orientation; for ``pairs`` each number is two float32,
        and the unit is 1e-10 m, so that nothing is out of float32's range.
    sources : (n, 12) float64 array
        Direction, 1 / wavelength [1/m], weight, electric and magnetic direction.
    table : (n,) float64 array, or float32 for ``pairs``
        Squared amplitudes (nearest), amplitudes (tricubic), or nothing.
    """

    values: dict[str, Any]
    program: Program
    axes: NDArray[np.float64]
    sources: NDArray[np.float64]
    table: NDArray[np.float64] | NDArray[np.float32]


class Version(NamedTuple):
    """Which loops run."""

    lattice: int
    amplitude: int
    factors: int
    degree: int
    pairs: int

    @property
    def program(self) -> Program:
        """What is compiled for it."""
        # Interpolation, or a running product, alone fills the registers.
        full = self.amplitude == TRICUBIC or self.factors == PRODUCTS
        pixels = 1 if full else PIXELS
        defines = {f"NB_{name.upper()}": value for name, value in self._asdict().items()}
        defines |= {"NB_THREADS": THREADS, "NB_BLOCKS": BLOCKS, "NB_PIXELS": pixels}
        return Program(program_text(), tuple(defines.items()), ENTRIES, THREADS, pixels)


def pack(model: Model, precision: str) -> Packed:
    """Return what the kernels read of a model.

    Parameters
    ----------
    model : Model
    precision : str
        ``"float64"``, ``"mixed"`` or ``"pairs"``.

    Raises
    ------
    PlanError
        An amplitude grid too large to be indexed.
    """
    inputs = inputs_of(model, "float64")
    lattice, height = _lattice(model, inputs, precision)
    amplitude = _AMPLITUDES[type(inputs.amplitude)]
    narrow = lattice["lattice"] in (NARROW_GRATING, NARROW_GAUSS)
    version = Version(
        lattice=lattice["lattice"],
        amplitude=amplitude,
        factors=PRODUCTS if model.running_product else EACH if any(inputs.each) else ONCE,
        degree=lattice["degree"],
        pairs=int(precision == "pairs" and narrow and amplitude != TRICUBIC),
    )
    values: dict[str, Any] = dict(_EMPTY)
    values |= _place(model, inputs) | lattice | _amplitude(inputs.amplitude) | version._asdict()
    values |= {"height": height, "background": model.background, "scale": model.scale}
    table = getattr(inputs.amplitude, "table", np.zeros(1))
    if version.pairs and version.amplitude == NEAREST:
        table = table.astype(np.float32)
    axes = _axes(inputs.axes, bool(version.pairs))
    return Packed(values, version.program, axes, _sources(inputs.light), table)


def arguments(packed: Packed, tile: Tile, steps: StepRange, count: int, listed: bool) -> Any:
    """Return the structure for one tile.

    Parameters
    ----------
    packed : Packed
    tile : Tile
    steps : StepRange
    count : int
        Pixels to be evaluated.
    listed : bool
        Whether a list says which of the tile's pixels they are.
    """
    place = {
        "slow0": tile.slow0,
        "fast0": tile.fast0,
        "width": tile.shape[1],
        "count": count,
        "listed": listed,
    }
    place |= _range(packed.values["sources"], packed.values["turns"], steps)
    return struct_of(PARAMS, packed.values | place)


def _range(sources: int, turns: int, steps: StepRange) -> dict[str, int]:
    """Return a range of flat steps as the loops count them."""
    inner = sources * turns
    outer0, low = divmod(steps.start, inner)
    outer1 = -(-steps.stop // inner)
    high = steps.stop - (outer1 - 1) * inner
    source0, turn0 = divmod(low, turns)
    source1 = -(-high // turns)
    return {
        "outer0": outer0,
        "outer1": outer1,
        "source0": source0,
        "source1": source1,
        "turn0": turn0,
        "turn1": high - (source1 - 1) * turns,
    }


#: Unit of lengths in ``pairs`` [m].
ANGSTROM = 1e-10
_EMPTY = {name: 0 for name in PARAMS.names or ()}
_AMPLITUDES = {
    cpu.ConstantAmplitude: CONSTANT,
    cpu.NearestAmplitude: NEAREST,
    cpu.TricubicAmplitude: TRICUBIC,
}
_LATTICES = {
    cpu.FewOdd: FEW_ODD,
    cpu.Few: FEW,
    cpu.Grating: GRATING,
    cpu.Sphere: SPHERE,
    cpu.Gauss: GAUSS,
    cpu.Tophat: TOPHAT,
}


def _place(model: Model, inputs: cpu.Inputs) -> dict[str, Any]:
    place, light, each = inputs.place, inputs.light, inputs.each
    same = (
        "fast", "slow", "normal", "origin", "beam", "pixel_size", "distance", "close_distance",
        "layer_step", "depth", "curved", "point_pixel", "oversample", "layers",
    )  # fmt: skip
    return {name: getattr(place, name) for name in same} | {
        "per_distance": 1.0 / place.distance,
        "sub_size": place.pixel_size / place.oversample,
        "kahn": light.kahn,
        "dmin": light.dmin,
        "polarized": light.polarized,
        "sources": light.weight.size,
        "turns": inputs.axes.shape[0],
        "each_thick": each.thick,
        "each_polar": each.polar,
        "each_omega": each.omega,
        "skip_zero": model.running_product and model.background == 0.0,
    }


def _lattice(model: Model, inputs: cpu.Inputs, precision: str) -> tuple[dict[str, Any], float]:
    """Return the fields of the lattice factor, and what multiplies every term."""
    found, height = inputs.lattice, inputs.height
    values: dict[str, Any] = {
        "lattice": _LATTICES[type(found)],
        "degree": 0,
        "cells": model.n_cells,
        "whole_cells": model.n_cells.astype(np.int32),
        "per_cell": 1.0 / model.n_cells_total,
        "fudge": model.fudge,
    }
    narrow = precision != "float64" and not model.running_product
    if model.shape == SQUARE and (narrow or model.running_product):
        # Terms that are exactly 0 matter to a running product, and a polynomial has none.
        values["lattice"] = NARROW_GRATING if narrow else GRATING
        return values, height * model.n_cells_total**2 if narrow else height
    if isinstance(found, (cpu.Few, cpu.FewOdd)):
        values["degree"] = len(found.a) - 1
        few = np.zeros((3, 5))
        few[:, : len(found.a)] = [found.a, found.b, found.c]
        values["few"] = few
        values["even"] = found.even if isinstance(found, cpu.Few) else 0.0
    elif isinstance(found, (cpu.Gauss, cpu.Tophat)):
        values |= {"triangle": found.triangle, "sign": found.sign}
        if narrow and isinstance(found, cpu.Gauss):
            values["lattice"] = NARROW_GAUSS
    return values, height


def _amplitude(found: cpu.Amplitude) -> dict[str, Any]:
    values: dict[str, Any] = {"default_squared": found.default_squared}
    if isinstance(found, cpu.NearestAmplitude):
        values |= {
            "minimum": found.low,
            "last": np.subtract(found.high, found.low),
            "stride_h": found.stride_h,
            "stride_k": found.stride_k,
        }
    elif isinstance(found, cpu.TricubicAmplitude):
        values |= {
            "minimum": found.minimum,
            "low": found.low,
            "high": found.high,
            "stride_h": found.stride_h,
            "stride_k": found.stride_k,
        }
    return values


def _axes(axes: NDArray[np.float64], pairs: bool) -> NDArray[np.float64]:
    rows = np.zeros((axes.shape[0], AXES_ROW))
    rows[:, :9] = axes.reshape(-1, 9)
    if not pairs:
        return rows
    upper = (rows / ANGSTROM).astype(np.float32)
    lower = (rows / ANGSTROM - upper).astype(np.float32)
    return np.stack([upper, lower], axis=-1).reshape(len(rows), -1).view(np.float64)


def _sources(light: cpu.Light) -> NDArray[np.float64]:
    rows = np.zeros((light.weight.size, SOURCE_ROW))
    rows[:, :3] = light.incident
    rows[:, 3] = light.per_wavelength
    rows[:, 4] = light.weight
    rows[:, 5:8] = light.polar_e
    rows[:, 8:11] = light.polar_b
    return rows

"""From a model to what the CUDA kernels are called with: tables, a structure, a version.

The numbers are those of the Numba kernel (:mod:`~nbdask.kernels.numba_inputs`); here they get the
layout of the C structure ``Params`` (``cuda_src/params.h``), field by field in the same order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import SQUARE, Model
from nbdask.kernels import numba_inputs as cpu
from nbdask.kernels.cuda_launch import Program, struct_of
from nbdask.kernels.cuda_source import ENTRIES, program_text
from nbdask.kernels.numba_inputs import inputs_of
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Versions of the loops by lattice factor; the numbers are those of ``params.h``.
FEW_ODD, FEW, GRATING, SPHERE, GAUSS, TOPHAT, NARROW_GRATING, NARROW_GAUSS = range(8)
#: By amplitudes.
CONSTANT, NEAREST, TRICUBIC = range(3)
#: By the factors that go with every term: none, each its own, C's running product.
ONCE, EACH, PRODUCTS = range(3)

_F, _I, _L = "<f8", "<i4", "<i8"
PARAMS = np.dtype(
    [
        ("fast", _F, 3), ("slow", _F, 3), ("normal", _F, 3), ("origin", _F, 3), ("beam", _F, 3),
        ("pixel_size", _F), ("distance", _F), ("close_distance", _F), ("layer_step", _F),
        ("depth", _F), ("kahn", _F), ("dmin", _F), ("height", _F),
        ("cells", _F, 3), ("fudge", _F), ("triangle", _F, 6), ("sign", _F),
        ("few", _F, (3, 5)), ("even", _F, 3), ("per_cell", _F),
        ("default_squared", _F), ("low", _F, 3), ("high", _F, 3),
        ("background", _F), ("scale", _F),
        ("start", _L), ("stop", _L),
        ("minimum", _I, 3), ("maximum", _I, 3), ("stride_h", _I), ("stride_k", _I),
        ("offset", _I), ("whole_cells", _I, 3),
        ("curved", _I), ("point_pixel", _I), ("oversample", _I), ("layers", _I),
        ("sources", _I), ("turns", _I), ("each_thick", _I), ("each_polar", _I),
        ("each_omega", _I), ("polarized", _I), ("skip_zero", _I),
        ("slow0", _I), ("fast0", _I), ("width", _I), ("count", _I), ("listed", _I),
        ("lattice", _I), ("amplitude", _I), ("factors", _I), ("degree", _I), ("pairs", _I),
    ],
    align=True,
)  # fmt: skip
#: Numbers of a row of the orientations and of the sources, padded for loads of 16 bytes.
AXES_ROW, SOURCE_ROW = 10, 12


class Packed(NamedTuple):
    """Everything that a model gives to the kernels.

    Attributes
    ----------
    values : dict
        Fields of :data:`PARAMS` that all tiles share.
    program : Program
        The version of the loops.
    axes : (n, 10) float64 array
        Cell vectors a, b, c [m] of each orientation, as float32 pairs for ``pairs``.
    sources : (n, 12) float64 array
        Direction, 1 / wavelength [1/m], weight, electric and magnetic direction.
    table : (n,) float64 array
        Squared amplitudes (nearest), amplitudes (tricubic), or nothing.
    """

    values: dict[str, Any]
    program: Program
    axes: NDArray[np.float64]
    sources: NDArray[np.float64]
    table: NDArray[np.float64]


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
        names = ("NB_LATTICE", "NB_AMPLITUDE", "NB_FACTORS", "NB_DEGREE", "NB_PAIRS")
        return Program(program_text(), tuple(zip(names, self, strict=True)), ENTRIES)


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
    version = Version(
        lattice=lattice["lattice"],
        amplitude=_AMPLITUDES[type(inputs.amplitude)],
        factors=PRODUCTS if model.running_product else EACH if any(inputs.each) else ONCE,
        degree=lattice["degree"],
        pairs=int(precision == "pairs" and lattice["lattice"] in (NARROW_GRATING, NARROW_GAUSS)),
    )
    values: dict[str, Any] = dict(_EMPTY)
    values |= _place(model, inputs) | lattice | _amplitude(inputs.amplitude) | version._asdict()
    values |= {"height": height, "background": model.background, "scale": model.scale}
    table = getattr(inputs.amplitude, "table", np.zeros(1))
    return Packed(values, version.program, _axes(inputs.axes), _sources(inputs.light), table)


def arguments(packed: Packed, tile: Tile, steps: StepRange, count: int, listed: bool) -> np.void:
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
        "start": steps.start,
        "stop": steps.stop,
        "count": count,
        "listed": listed,
    }
    return struct_of(PARAMS, packed.values | place)


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
            "maximum": found.high,
            "stride_h": found.stride_h,
            "stride_k": found.stride_k,
            "offset": found.offset,
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


def _axes(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = np.zeros((axes.shape[0], AXES_ROW))
    rows[:, :9] = axes.reshape(-1, 9)
    return rows


def _sources(light: cpu.Light) -> NDArray[np.float64]:
    rows = np.zeros((light.weight.size, SOURCE_ROW))
    rows[:, :3] = light.incident
    rows[:, 3] = light.per_wavelength
    rows[:, 4] = light.weight
    rows[:, 5:8] = light.polar_e
    rows[:, 8:11] = light.polar_b
    return rows

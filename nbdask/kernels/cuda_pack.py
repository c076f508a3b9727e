"""What the GPU's kernels are called with, where it is not what the processor's loops read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, SQUARE, Model
from nbdask.kernels.cuda_launch import Program
from nbdask.kernels.cuda_source import ENTRIES, program_text
from nbdask.kernels.pack import Packed, Values, pack
from nbdask.kernels.params import CODES

#: Threads of a block, blocks that a multiprocessor holds at once (which leaves 128 registers to a
#: thread), and pixels of a thread.
THREADS, BLOCKS, PIXELS = 256, 2, 2
#: Unit of lengths in ``pairs`` [m], so that nothing is out of float32's range.
ANGSTROM = 1e-10


class GpuPacked(NamedTuple):
    """Everything that a model gives to the GPU.

    Attributes
    ----------
    values, axes, sources, table
        As in :class:`~.pack.Packed`; for ``pairs`` each number of ``axes`` is two float32, in
        1e-10 m, and squared amplitudes are float32.
    program : Program
        The version of the loops.
    """

    values: Values
    axes: NDArray[np.float64]
    sources: NDArray[np.float64]
    table: NDArray[np.float64] | NDArray[np.float32]
    program: Program


def gpu_pack(model: Model, precision: str) -> GpuPacked:
    """Return what the GPU reads of a model.

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
    packed = pack(model)
    values = packed.values | _lattice(model, packed, precision)
    tricubic = values["amplitude"] == CODES["TRICUBIC"]
    float32_lattice = values["lattice"] in (CODES["CARD_GRATING"], CODES["CARD_GAUSS"])
    pairs = precision == "pairs" and float32_lattice and not tricubic
    values["pairs"] = int(pairs)
    table: NDArray[np.float64] | NDArray[np.float32] = packed.table
    if pairs and values["amplitude"] == CODES["NEAREST"]:
        table = table.astype(np.float32)
    axes = _pairs_of(packed.axes) if pairs else packed.axes
    return GpuPacked(values, axes, packed.sources, table, program_of(values))


def _lattice(model: Model, packed: Packed, precision: str) -> Values:
    """Return the fields of a lattice factor in float32, where the GPU has one."""
    if precision == "float64" or model.running_product or model.diffuse is not None:
        return {}
    if model.shape == SQUARE:
        # The float32 form is divided by the number of cells.
        height = packed.values["height"] * model.n_cells_total**2
        return {"lattice": CODES["CARD_GRATING"], "degree": 0, "height": height}
    return {"lattice": CODES["CARD_GAUSS"]} if model.shape == GAUSS else {}


def program_of(values: Values) -> Program:
    """Return what is compiled for one version of the loops.

    Parameters
    ----------
    values : dict
        At least the fields ``lattice``, ``amplitude``, ``factors``, ``degree``, ``pairs`` and
        ``weighted`` and ``laue``.
    """
    names = ("lattice", "amplitude", "factors", "degree", "pairs", "weighted", "laue")
    # Interpolation, or a running product, alone fills the registers.
    full = values["amplitude"] == CODES["TRICUBIC"] or values["factors"] == CODES["PRODUCTS"]
    pixels = 1 if full else PIXELS
    defines = {f"NB_{name.upper()}": int(values[name]) for name in names}
    # One program for all groups.
    defines["NB_LAUE"] = int(values["laue"] > 0)
    defines |= {"NB_THREADS": THREADS, "NB_BLOCKS": BLOCKS, "NB_PIXELS": pixels}
    return Program(program_text(), tuple(defines.items()), ENTRIES, THREADS, pixels)


def _pairs_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = rows / ANGSTROM
    scaled[:, 9] = rows[:, 9]
    upper = scaled.astype(np.float32)
    lower = (scaled - upper).astype(np.float32)
    return np.stack([upper, lower], axis=-1).reshape(len(rows), -1).view(np.float64)

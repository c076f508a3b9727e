"""Derivatives on a GPU: launcher, tables and memory of the image's kernel, programs of their own.

Everything is float64.  Sums by amplitudes are whole numbers of two units, so that it does not
matter in which order they grow; all other sums over pixels have a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from nbdask.errors import BackendError
from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import Basis
from nbdask.gradients.compiled import Pull, Pulled, scattered, weaken
from nbdask.gradients.pack import DATA, PULLS, PackedBasis, pack_basis
from nbdask.kernels.cuda_kernel import CudaKernel, Ready
from nbdask.kernels.cuda_launch import Argument, Buffer, Module, Program, Task
from nbdask.kernels.cuda_pack import program_of
from nbdask.kernels.cuda_source import program_text
from nbdask.kernels.interface import Mask
from nbdask.kernels.pack import Values, arguments
from nbdask.kernels.params import CODES
from nbdask.kernels.pixels import active_pixels, chosen
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

ENTRIES = (
    "nb_slope_sums",
    "nb_slope_finish",
    "nb_slope_pull",
    "nb_slope_values",
    "nb_slope_weigh",
    "nb_slope_products",
)
#: Threads of a block, each with one pixel and up to 255 registers.
THREADS = 128
#: Pixels whose products a thread sums up.
_PIECE = 256
#: Bits of a sum of whole numbers, and of a number that is read as one.
_BITS = 62
#: What cubic weights may multiply an amplitude by: (1.25)^3, and more.
_WEIGHTS = 2.0
_SMALL = 65536


class _Tile(NamedTuple):
    """A task, and what it has on the device."""

    task: Task
    ready: Ready
    told: Any
    slopes: PackedBasis
    module: Module
    pixels: int
    parameters: Buffer
    listed: Buffer

    @property
    def amplitudes(self) -> int:
        """Entries of the table of amplitudes."""
        return int(self.ready.table.size)

    @property
    def how(self) -> Any:
        """What holds for all parameters, to be passed by value."""
        return self.slopes.how[()]

    def launch(self, entry: str, pixels: int, arguments: tuple[Argument, ...]) -> None:
        """Start an entry that is told of the tile."""
        self.task.launch(self.module, entry, pixels, (self.told, *arguments))

    def blocks(self) -> int:
        """Return how many blocks have the pixels."""
        return self.task.blocks(self.module, self.pixels)


class CardSlopes:
    """The derivatives in CUDA C++.

    Parameters
    ----------
    kernel : CudaKernel
        Of the image, in float64.
    """

    def __init__(self, kernel: CudaKernel) -> None:
        self.kernel, self.name = kernel, kernel.name

    def sums(
        self, model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> Array:
        """Return the sums of a range of steps and their derivatives."""
        active = active_pixels(tile, mask)
        with self._on(model, basis, tile, active, steps) as on:
            planes = on.task.download(_sums(on).planes)
            return scattered(planes.reshape(1 + len(basis.slopes), -1), tile, active)

    def planes(self, model: Model, basis: Basis, tile: Tile, mask: Mask | None) -> Array:
        """Return photons and their derivatives: all steps and :meth:`finish`, the same bits."""
        active = active_pixels(tile, mask)
        with self._on(model, basis, tile, active) as on:
            planes = on.task.download(_photons(on, _sums(on).planes))
            return scattered(planes.reshape(1 + len(basis.slopes), -1), tile, active)

    def finish(
        self, model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None
    ) -> Array:
        """Turn sums and derivatives into photons."""
        active = active_pixels(tile, mask)
        flat = sums.reshape(len(sums), -1)
        flat = np.ascontiguousarray(flat if active is None else flat[:, active])
        with self._on(model, basis, tile, active) as on:
            planes = on.task.download(_photons(on, on.task.upload(flat.reshape(-1))))
            return scattered(planes.reshape(1 + len(basis.slopes), -1), tile, active)

    def pulled(
        self, model: Model, basis: Basis, tile: Tile, mask: Mask | None, pull: Pull
    ) -> Pulled:
        """Return sums over pixels; see :meth:`.compiled.CpuSlopes.pulled`."""
        active, count = active_pixels(tile, mask), len(basis.slopes)
        pixels = np.ascontiguousarray(chosen(pull.pixels, active), dtype=np.float64).reshape(-1)
        with self._on(model, basis, tile, active, pull=pull) as on:
            weights = on.task.upload(pixels)
            drags = _drags(on, weights)
            units = np.zeros((), PULLS)
            if pull.amplitudes:
                units = _units(on, model, on.task.download(drags))
            units["amplitudes"], units["sources"] = pull.amplitudes, pull.sources
            found = _sums(on, units[()], drags)
            _photons(on, found.planes)
            values = on.task.empty(on.blocks() * count, np.float64)
            on.launch("nb_slope_values", on.pixels, (on.how, found.planes, weights, values))
            return Pulled(
                _in_order(on.task.download(values), count),
                _whole(on.task.download(found.pulled), units) if pull.amplitudes else None,
                _in_order(on.task.download(found.light), 2 * model.n_sources).reshape(-1, 2)
                if pull.sources
                else None,
            )

    def equations(
        self,
        model: Model,
        basis: Basis,
        tile: Tile,
        mask: Mask | None,
        seen: Array,
        data: Mapping[str, float],
    ) -> tuple[Array, Array, Array]:
        """Return sums of normal equations; see :meth:`.compiled.CpuSlopes.equations`."""
        active, rows = active_pixels(tile, mask), 1 + len(basis.slopes)
        told = np.zeros((), DATA)
        for name, value in data.items():
            told[name] = value
        with self._on(model, basis, tile, active) as on:
            planes = _photons(on, _sums(on).planes)
            pixels = on.task.upload(np.ascontiguousarray(chosen(seen, active)).reshape(-1))
            sums = on.task.empty(3 * on.blocks(), np.float64)
            on.launch("nb_slope_weigh", on.pixels, (on.how, told[()], pixels, planes, sums))
            on.slopes.how["piece"] = _PIECE
            pairs, pieces = rows * (rows + 1) // 2, -(-on.pixels // _PIECE)
            products = on.task.empty(pieces * pairs, np.float64)
            on.launch("nb_slope_products", pieces * pairs, (on.how, planes, products))
            flat = _in_order(on.task.download(products), pairs)
            whole = np.zeros((rows, rows))
            whole[np.tril_indices(rows)] = flat
            whole += np.tril(whole, -1).T
            return _in_order(on.task.download(sums), 3), whole[1:, 0].copy(), whole[1:, 1:].copy()

    @contextmanager
    def _on(
        self,
        model: Model,
        basis: Basis,
        tile: Tile,
        active: Any,
        steps: StepRange | None = None,
        pull: Pull | None = None,
    ) -> Iterator[_Tile]:
        """Return a task with the tables of model and basis on the device."""
        made = pack_basis(model, basis, tile.panel, bool(pull and pull.sources))
        # What is told may be changed; what is packed is shared.
        slopes = made._replace(how=made.how.copy(), slopes=made.slopes.copy())
        count = tile.pixels if active is None else active.size
        size = _bytes(model, slopes, count, bool(pull and pull.amplitudes))
        with self.kernel.task(model, size) as (task, ready):
            values, every = ready.packed.values, StepRange(0, model.n_steps)
            module = self.kernel.launcher.compile(slope_program(values, slopes.how))
            told = arguments(values, tile, steps or every, active)
            if pull is not None:
                weaken(told, slopes.slopes, pull)
            listed = task.empty(1, np.int32) if active is None else task.upload(active)
            parameters = task.upload(slopes.slopes.view(np.float64))
            yield _Tile(task, ready, told, slopes, module, count, parameters, listed)


def slope_program(values: Values, how: Any) -> Program:
    """Return what is compiled for one version of the loops.

    Parameters
    ----------
    values : dict
        As for :func:`~.cuda_pack.program_of`.
    how : structure
        Of :data:`~.pack.SLOPES`.
    """
    image = dict(program_of(values).defines)
    defines = {
        name: number
        for name, number in image.items()
        if name not in ("NB_THREADS", "NB_BLOCKS", "NB_PIXELS")
    }
    wanted = ("turned", "moved", "shaped", "spins")
    defines |= {f"NB_{name.upper()}": int(how[name]) for name in wanted}
    defines |= {"NB_THREADS": THREADS, "NB_PIXELS": 1}
    return Program(program_text("slope_card.cu"), tuple(defines.items()), ENTRIES, THREADS, 1)


class _Sums(NamedTuple):
    """What a pass over a range of steps leaves on the device; see ``slope_card.cu``."""

    planes: Buffer
    pulled: Buffer
    light: Buffer


def _sums(on: _Tile, units: Any = None, drags: Buffer = None) -> _Sums:
    """Start the pass; units and drags where sums are pulled."""
    task, slopes, ready = on.task, on.slopes, on.ready
    units = np.zeros((), PULLS)[()] if units is None else units
    rows = 1 + int(slopes.how["parameters"])
    light = 2 * int(on.told["sources"]) * on.blocks() if units["sources"] else 1
    found = _Sums(
        task.empty(rows * on.pixels, np.float64),
        task.zeros(1 + 2 * on.amplitudes if units["amplitudes"] else 1, np.uint64),
        task.zeros(light, np.float64),
    )
    # The axes are there already.
    shared = slopes.leads is ready.packed.axes
    leads = ready.axes if shared else task.upload(_flat(slopes.leads))
    tables = [task.upload(_flat(t)) for t in (slopes.frames, slopes.spins, slopes.waves)]
    on.launch(
        "nb_slope_sums",
        on.pixels,
        (on.how, units, on.parameters, ready.axes, leads, *tables, ready.sources, ready.table,
         on.listed, task.empty(1, np.float64) if drags is None else drags, *found),
    )  # fmt: skip
    return found


def _photons(on: _Tile, planes: Buffer) -> Buffer:
    """Turn sums into photons and their derivatives, in place."""
    given = (on.how, on.parameters, on.ready.sources, on.listed, planes)
    on.launch("nb_slope_finish", on.pixels, given)
    return planes


def _drags(on: _Tile, pull: Buffer) -> Buffer:
    """Return what multiplies the terms of each pixel, on the device."""
    drags = on.task.empty(on.pixels, np.float64)
    on.launch("nb_slope_pull", on.pixels, (on.ready.sources, on.listed, pull, drags))
    return drags


def _units(on: _Tile, model: Model, drags: Array) -> Any:
    """Return units in which no sum by amplitudes is out of range.

    Parameters
    ----------
    on : _Tile
    model : Model
    drags : (n,) float64 array
        What multiplies the terms of each pixel.
    """
    told = on.told
    top = float(np.abs(drags).max()) * float(np.abs(model.weight).max()) * float(told["height"])
    top *= float(np.abs(model.domain_weight).max()) * _highest(told)
    if told["each_omega"]:
        top *= (1.0 if told["point_pixel"] else float(told["area"])) / told["close_distance"] ** 2
    if told["each_polar"]:
        top *= 1.0 + abs(float(told["kahn"]))
    if told["amplitude"] == CODES["TRICUBIC"]:
        top *= 2.0 * _WEIGHTS * float(np.abs(model.f_grid).max())
    steps = (max(model.n_steps, 1) - 1).bit_length()
    terms = steps + (on.pixels - 1).bit_length()
    # A number holds the terms of one pixel, a sum those of all.
    scale = math.frexp(top)[1] if math.isfinite(top) and top > 0.0 else 0
    units = np.zeros((), PULLS)
    units["per_coarse"] = math.ldexp(1.0, _BITS - terms - steps - scale)
    units["fine"] = math.ldexp(1.0, _BITS - terms)
    units["most"] = math.ldexp(1.0, _BITS - terms)
    return units


def _highest(told: Any) -> float:
    """Return the highest value of a squared lattice factor over the height."""
    if told["lattice"] == CODES["SPHERE"]:
        return (math.pi**3 / 3.0) ** 2
    if told["lattice"] in (CODES["GAUSS"], CODES["NODES"]):
        return 1.0
    return float(np.prod(told["cells"])) ** 2


def _whole(sums: Array, units: Any) -> Array:
    """Return sums by amplitudes from their whole numbers.

    Raises
    ------
    BackendError
        What is not finite, or higher than any term of a crystal.
    """
    if sums[0]:
        raise BackendError(
            "--backend cuda: a cotangent, or terms, that no sum by amplitudes can hold: give finite"
            " numbers, or use --backend cpu"
        )
    pairs = sums[1:].view(np.int64).reshape(-1, 2).astype(np.float64)
    found: Array = (pairs[:, 0] + pairs[:, 1] / units["fine"]) / units["per_coarse"]
    return found


def _in_order(parts: Array, width: int) -> Array:
    """Return the sum of what blocks of threads have found, in their order."""
    found: Array = np.asarray(parts).reshape(-1, width).sum(axis=0)
    return found


def _flat(table: Array) -> Array:
    """Return a table as a row of numbers, at least one."""
    flat: Array = np.ascontiguousarray(table, dtype=np.float64).reshape(-1)
    return flat if flat.size else np.zeros(1)


def _bytes(model: Model, slopes: PackedBasis, count: int, tables: bool) -> int:
    """Return the most bytes of a task's buffers on the device."""
    rows = 1 + int(slopes.how["parameters"])
    blocks = -(-count // THREADS)
    # Planes, what pulls pixels, the list of them; products, sums of blocks; tables.
    size = (8 * rows + 20) * count + 8 * blocks * (rows * (rows + 1) // 2 + rows + 3)
    size += 16 * blocks * model.n_sources + sum(t.nbytes for t in slopes[1:])
    return size + (16 * int(np.prod([n + 2 for n in model.f_grid.shape])) if tables else 0) + _SMALL

"""What ``-printout`` and ``-printout_pixel`` print, in nanoBragg C's wording and digits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np

from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import SQUARE, Array, Model
from nbdask.kernels.carry_over import FirstEvaluation, carry_over_parts, find_first_evaluation
from nbdask.kernels.interface import merge
from nbdask.kernels.reference import Bool, ReferenceKernel, Term
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.position import Ray
from nbdask.physics.scattering import Scattering, whole_indices
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.store.reader import StoreReader
from nbdask.trace.walk import LONG

#: Pixels that are printed at most.
MOST = 1024


class _Last:
    """Keeps, for every pixel of a tile, the values that C has left over after its loops."""

    def __init__(self, model: Model, shape: tuple[int, int]) -> None:
        self.model = model
        self.lattice, self.amplitude = np.zeros(shape), np.zeros(shape)
        self.indices = [np.zeros(shape) for _ in range(3)]
        self.stol, self.polar = np.zeros(shape), np.zeros(shape)
        self.capture, self.omega = np.ones(shape), np.ones(shape)
        self.total = np.full(shape, model.background)
        self.ray: Ray | None = None
        self.passed = np.zeros(shape, dtype=np.bool_)

    def sub_pixel(self, layer: int, sub: int, ray: Ray) -> None:
        """Keep what belongs to the sub-pixel."""
        self.ray = ray
        if self.model.each_thick:
            self.capture = capture_fraction(self.model, layer, ray)
        if self.model.each_omega:
            self.omega = solid_angle(self.model, ray)

    def source(self, source: int, q: Scattering, counted: Bool, factor: Array | None) -> None:
        """Keep what belongs to the source."""
        assert self.ray is not None
        self.stol = 0.5 * np.sqrt(q.x * q.x + q.y * q.y + q.z * q.z)
        self.passed = counted
        if self.model.each_polar:
            polar = polarization_factor(self.model, source, self.ray)
            self.polar = np.where(counted, polar, self.polar)

    def term(self, term: Term) -> None:
        """Keep the indices and amplitudes of the pixels that count."""
        self.indices = [
            np.where(self.passed, new, old)
            for new, old in zip(term.indices, self.indices, strict=True)
        ]
        self.lattice = np.where(self.passed, term.lattice, self.lattice)
        used = self.passed & ((term.lattice != 0.0) | (self.model.background != 0.0))
        self.amplitude = np.where(used, term.amplitude, self.amplitude)
        self.total = term.total + term.gain * self.model.background

    def finish(self, capture: Array, polar: Array, omega: Array, image: Array) -> None:
        """Keep the factors of the pixel, where the terms have none of their own."""
        model = self.model
        self.capture = self.capture if model.each_thick else capture
        self.polar = self.polar if model.each_polar else polar
        self.omega = self.omega if model.each_omega else omega


class Printout(NamedTuple):
    """What is to be printed, and what the user should know about it."""

    text: str
    notes: tuple[str, ...]


def printout(
    experiment: Experiment,
    store: str | os.PathLike[str],
    pixel: tuple[int, int] | None = None,
    most: int = MOST,
    report: Callable[[str], None] | None = None,
) -> Printout:
    """Return what nanoBragg C prints of pixels, with the pixel values that a store holds.

    The values that C leaves over after its loops (indices, amplitudes) are those of the last
    evaluation; where dmin lets none pass they are 0, while C repeats the pixel before.

    Parameters
    ----------
    experiment : Experiment
    store : path or address
        The finished run.
    pixel : tuple of 2 ints, optional
        Indices along fast and slow, as ``-printout_pixel`` takes them.  None, or a negative first
        one: every pixel.
    most : int
        Pixels that are printed at most, in raster order of the region of interest.
    report : callable, optional
        Called with a line of text before something that takes long.
    """
    if experiment.lattices:
        return Printout("", ("-printout: nothing is printed of several crystals",))
    model = build_model(experiment)
    tile, notes = _region(model, pixel, most)
    if tile is None:
        return Printout("", notes)
    if report is not None and model.n_steps > LONG:
        report(f"-printout: {model.n_steps} evaluations, one by one")
    mask = None if model.mask is None else model.mask.read(*tile.bounds)
    last = _evaluate(model, tile, mask)
    stored = StoreReader(store).image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
    image = np.asarray(stored, dtype=np.float32)
    lines: list[str] = []
    for number, (row, column) in enumerate(np.ndindex(tile.shape)):
        if number < most and (mask is None or mask[row, column]):
            lines += _lines(experiment, model, last, tile, (row, column), float(image[row, column]))
    if mask is not None and not mask.any():
        notes += ("-printout: masked pixels are not evaluated and not printed",)
    return Printout("\n".join(lines), notes)


def _region(
    model: Model, pixel: tuple[int, int] | None, most: int
) -> tuple[Tile | None, tuple[str, ...]]:
    """Return the pixels to print (whole rows; ``most`` cuts the last), and notes."""
    slow0, slow1, fast0, fast1 = model.roi
    tile = Tile.within(model.roi)
    if pixel is not None and pixel[0] >= 0:
        fast, slow = pixel
        if slow0 <= slow <= slow1 and fast0 <= fast <= fast1:
            return Tile(slow, slow + 1, fast, fast + 1), ()
        note = (
            f"-printout_pixel {fast} {slow} (fast, slow) is not in the region that is"
            f" evaluated, fast {fast0} to {fast1}, slow {slow0} to {slow1}: nothing is printed"
        )
        return None, (note,)
    if tile.pixels <= most:
        return tile, ()
    note = (
        f"-printout: the first {most} of {tile.pixels} pixels are printed; -printout_pixel FAST"
        " SLOW prints any one, and nbdask trace shows more of it"
    )
    rows = -(-most // tile.shape[1])
    return Tile(slow0, slow0 + rows, fast0, min(fast1 + 1, fast0 + most)), (note,)


def _evaluate(model: Model, tile: Tile, mask: Bool | None) -> _Last:
    last = _Last(model, tile.shape)
    kernel = ReferenceKernel(watcher=last)
    partial = kernel.partial(model, tile, StepRange(0, model.n_steps), mask)
    kernel.finish(model, tile, partial, mask)
    first = find_first_evaluation(model) if model.first_axes is not None else None
    if first is not None and tile.intersect(first.pixel) is not None:
        last.total[first.slow - tile.slow0, first.fast - tile.fast0] = _first_sum(model, first)
    return last


def _first_sum(model: Model, first: FirstEvaluation) -> float:
    """Return the sum of the one pixel whose first evaluation has nothing to carry over."""
    parts = [
        ReferenceKernel().partial(part, first.pixel, steps, None)
        for part, steps in carry_over_parts(model, first)
    ]
    whole = reduce(merge, parts)
    gain = 1.0 if whole.gain is None else float(whole.gain[0, 0])
    return float(whole.total[0, 0]) + gain * model.background


def _signed(model: Model, lattice: float, indices: list[float]) -> float:
    """Return a lattice factor with the sign of the quotients of sines, which the square drops."""
    if model.shape != SQUARE:
        return lattice
    odd = sum(
        round(index) * (int(count) - 1)
        for index, count in zip(indices, model.n_cells, strict=True)
        if count > 1.0
    )
    return -lattice if odd % 2 else lattice


def _lines(
    experiment: Experiment,
    model: Model,
    last: _Last,
    tile: Tile,
    at: tuple[int, int],
    pixel: float,
) -> Iterator[str]:
    """Yield the lines of one pixel."""
    ray = last.ray
    assert ray is not None
    x, y, z = (float(axis[at] * ray.path[at]) for axis in (ray.x, ray.y, ray.z))
    # The second number takes lab x for the beam, whatever the convention.
    theta = np.arctan2(np.hypot(y, z), x) / 2.0
    other = np.sin(theta) / (experiment.beam.wavelength * 1e10)
    indices = [float(index[at]) for index in last.indices]
    whole = [int(index) for index in whole_indices(model, *(np.array(x) for x in indices))]
    lattice = _signed(model, float(last.lattice[at]), indices)
    total = float(last.total[at])
    steps = model.n_steps // model.layers
    yield f"{tile.fast0 + at[1]:4d} {tile.slow0 + at[0]:4d} : stol = " + (
        f"{_g(float(last.stol[at]))} or {_g(float(other))}"
    )
    yield f"at {_g(x)} {_g(y)} {_g(z)}"
    yield "hkl= {:f} {:f} {:f}  hkl0= {} {} {}".format(*indices, *whole)
    yield f" F_cell={_g(float(last.amplitude[at]))}  F_latt={_g(lattice)}   I = {_g(total)}"
    for name, value in (
        ("I/steps", total / steps),
        ("polar  ", float(last.polar[at])),
        ("omega  ", float(last.omega[at])),
        ("capfrac", float(last.capture[at])),
        ("pixel  ", pixel),
    ):
        yield f"{name} {value:15.10g}"
    yield "real-space cell vectors (Angstrom):"
    yield "     " + "  ".join(f"{name:10s}" for name in "abc")
    for i, axis in enumerate("XYZ"):
        yield axis + ": " + " ".join(f"{v[i] * 1e10:11.8f}" for v in model.axes[-1])


def _g(value: float) -> str:
    return f"{value:g}"

"""The tasks: plain functions of a run's name and small numbers, free of dask.

One tile goes through :func:`evaluate` for each step range, :func:`add` in the order of the ranges
(so the sum does not depend on which range was ready first), and :func:`complete`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import NbdaskError, SemanticsError
from nbdask.geometry.model import Model
from nbdask.graph.context import RunContext, WriteTile, context_of
from nbdask.kernels.carry_over import carry_over_pixel, patch_carry_over
from nbdask.kernels.interface import Mask, Moments, Partial, merge, merge_moments
from nbdask.kernels.lattices import image_of, partial_of
from nbdask.kernels.planes import means, moments_of, patch_first
from nbdask.physics.shadow import beside_the_crystal
from nbdask.plan.planes import GRADIENT, arrays_of
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.statistics import EMPTY, TileSummary, summarise

if TYPE_CHECKING:
    from nbdask.store.write import TileWriter

#: Between the kinds of machines that made parts of a tile.
BOTH = " + "


class TileError(NbdaskError):
    """Something unforeseen in one tile; the message names the tile."""

    exit_code = 1


class TimedPartial(NamedTuple):
    """Merged partial sums of a tile (None: nothing to evaluate), the seconds they took, and where.

    ``made`` is as of :class:`TileResult`; ``moments`` are there where planes are asked for.
    """

    partial: Partial | None
    seconds: float
    made: str = ""
    moments: Moments | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """A finished tile: its number, pixels (None once written), summary, record, where it was made.

    ``planes`` are further planes by name, as large as the image, and derivatives (parameter,
    n_slow, n_fast) as float64.  ``made`` is the kind of processor
    and the form of the kernel; of several where its step ranges were evaluated on several.
    """

    index: int
    image: NDArray[np.float32] | None
    summary: TileSummary
    record: tuple[float, ...] = ()
    made: str = ""
    planes: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class _Region(NamedTuple):
    """The part of a tile inside the region of interest, and its mask (None: everything)."""

    tile: Tile
    mask: Mask | None


def evaluate(run: str, index: int, part: int) -> TimedPartial:
    """Evaluate step range ``part`` of tile ``index``."""
    context: RunContext = context_of(run)
    return evaluate_part(context, index, part)


def evaluate_part(context: RunContext, index: int, part: int) -> TimedPartial:
    """Evaluate one step range of one tile.

    Parameters
    ----------
    context : RunContext
    index : int
        Number of the tile in the grid.
    part : int
        Number of the step range; a shot of a series may have fewer than others.
    """
    start, shot = time.perf_counter(), context.grid[index].shot
    with named(context.grid[index], index, f", step range {part}"):
        ranges, model = context.steps_of(shot), context.model_of(shot)
        region = _region(context, index)
        if region is None or part >= len(ranges):
            return TimedPartial(None, 0.0)
        partial = partial_of(context.kernel(), model, region.tile, ranges[part], region.mask)
        moments = _moments(context, model, region, ranges[part])
        return TimedPartial(partial, time.perf_counter() - start, context.made(), moments)


def _moments(
    context: RunContext, model: Model, region: _Region, steps: StepRange
) -> Moments | None:
    """Return the moments of a range of steps where planes are asked for."""
    if not context.planes:
        return None
    return moments_of(context.kernel(), model, region.tile, steps, region.mask)


def add(first: TimedPartial, second: TimedPartial) -> TimedPartial:
    """Merge two neighbouring pieces, the earlier step range first."""
    seconds = first.seconds + second.seconds
    made = _together(first.made, second.made)
    if first.partial is None or second.partial is None:
        there = first if second.partial is None else second
        return TimedPartial(there.partial, seconds, made, there.moments)
    moments = second.moments
    if first.moments is not None and moments is not None:
        moments = merge_moments(first.moments, moments)
    return TimedPartial(merge(first.partial, second.partial), seconds, made, moments)


def _together(first: str, second: str) -> str:
    """Return the kinds of machines that made two parts."""
    return BOTH.join(sorted({*first.split(BOTH), *second.split(BOTH)} - {""}))


def complete(run: str, index: int, timed: TimedPartial) -> TileResult:
    """Finish a tile whose step ranges are merged, and write it where the run has a store."""
    context: RunContext = context_of(run)
    # A shot of a series may have more ranges than the run was planned with.
    for part in range(len(context.steps), len(context.steps_of(context.grid[index].shot))):
        timed = add(timed, evaluate_part(context, index, part))
    result, made = finish(context, index, timed), _together(timed.made, context.made())
    result = _treated(context, result)
    # The sums are the largest array there is; they are not needed while the pixels are written.
    del timed
    return _write(context, index, result, made)


def _write(context: RunContext, index: int, result: TileResult, made: str) -> TileResult:
    """Write a finished tile where the run has a store."""
    if context.write_tile is None:
        return result
    with named(context.grid[index], index, ", writing"):
        return written(context.write_tile, context.grid[index], result, made)


def written(write_tile: WriteTile, tile: Tile, result: TileResult, made: str = "") -> TileResult:
    """Write a tile, and return what is told of it; the pixels are let go."""
    assert result.image is not None
    more = (result.planes,) if result.planes else ()
    record = write_tile(result.index, tile, result.image, result.summary, *more)
    return TileResult(result.index, None, result.summary, tuple(record), made)


def whole(run: str, index: int) -> TileResult:
    """Evaluate, finish and write a tile in one go (where there is a single step range)."""
    context: RunContext = context_of(run)
    return _write(context, index, compute_tile(context, index), context.made())


def several(run: str, *indices: int) -> list[TileResult]:
    """Evaluate, finish and write tiles one after another, and record them all at once.

    Whatever ends it, those that are written are recorded.
    """
    context: RunContext = context_of(run)
    writer, made = cast("TileWriter", context.write_tile), context.made()
    results: list[TileResult] = []
    try:
        for index in indices:
            tile, found = context.grid[index], compute_tile(context, index)
            assert found.image is not None
            with named(tile, index, ", writing"):
                more = (found.planes,) if found.planes else ()
                record = writer.pixels(index, tile, found.image, found.summary, *more)
            results.append(TileResult(index, None, found.summary, tuple(record), made))
    finally:
        if results:
            writer.record([(result.index, result.record) for result in results])
    return results


def each(take: Callable[[TileResult], None]) -> Callable[[Any], None]:
    """Return a function that takes a result, or each of a task of several."""

    def took(value: TileResult | list[TileResult]) -> None:
        for result in value if isinstance(value, list) else [value]:
            take(result)

    return took


def all_parts(context: RunContext, index: int) -> TimedPartial:
    """Evaluate all step ranges of a tile one after another and merge them in order."""
    timed = evaluate_part(context, index, 0)
    for part in range(1, len(context.steps_of(context.grid[index].shot))):
        timed = add(timed, evaluate_part(context, index, part))
    return timed


def compute_tile(context: RunContext, index: int) -> TileResult:
    """Return a tile's pixels, exactly the bits that a run with the same plan writes."""
    direct = _direct(context, index)
    if direct is None:
        direct = finish(context, index, all_parts(context, index))
    return _treated(context, direct)


def _treated(context: RunContext, result: TileResult) -> TileResult:
    """Do what is to be done to a finished tile before it is written."""
    if context.after is None or result.image is None:
        return result
    start, tile = time.perf_counter(), context.grid[result.index]
    with named(tile, result.index, ", after computing"):
        done = context.after(tile, result.image)
        if done is None:
            image, summary = np.zeros(tile.shape, dtype=np.float32), EMPTY
        else:
            (part, pixels), outside = done, result.summary.outside
            image = padded(pixels, part, tile)
            summary = summarise(pixels, (part.slow0, part.fast0), None, outside)
    seconds = result.summary.seconds + time.perf_counter() - start
    summary = summary._replace(seconds=seconds)
    return TileResult(result.index, image, summary, planes=result.planes)


def finish(context: RunContext, index: int, timed: TimedPartial) -> TileResult:
    """Turn merged sums into photons.

    Returns
    -------
    TileResult
        With the image of the whole tile, zeros outside the region of interest.

    Raises
    ------
    SemanticsError
        C semantics and an interpolation outside the amplitude grid.
    """
    start = time.perf_counter() - timed.seconds
    model = context.model_of(context.grid[index].shot)
    with named(context.grid[index], index, ", finishing"):
        region = _region(context, index)
        if region is None or timed.partial is None:
            tile = context.grid[index]
            part = tile.intersect(Tile.within(model.at(tile.panel).roi))
            summary = EMPTY._replace(n_masked=0 if part is None else part.pixels)
            image = np.zeros(tile.shape, dtype=np.float32)
            return TileResult(index, image, summary, planes=_planes(context, tile, None, None))
        pixels = context.kernel().finish(model, region.tile, timed.partial, region.mask)
        found = (pixels, timed.partial.outside, timed.moments)
        return _result(context, index, region, found, start)


def _direct(context: RunContext, index: int) -> TileResult | None:
    """Compute a tile of one step range in one go; None: there are more, or nothing is evaluated."""
    start, shot = time.perf_counter(), context.grid[index].shot
    with named(context.grid[index], index, ", computing"):
        ranges = context.steps_of(shot)
        region = None if len(ranges) > 1 else _region(context, index)
        if region is None:
            return None
        model = context.model_of(shot)
        pixels, outside = image_of(context.kernel(), model, region.tile, region.mask)
        found = (pixels, outside, _moments(context, model, region, ranges[0]))
        return _result(context, index, region, found, start)


def _result(
    context: RunContext,
    index: int,
    region: _Region,
    found: tuple[NDArray[np.float32], int, Moments | None],
    start: float,
) -> TileResult:
    """Return a tile begun at ``start`` of which a region has these pixels and moments."""
    tile, part = context.grid[index], region.tile
    model = context.model_of(tile.shot)
    pixels, outside, moments = found
    _check_outside(model, tile, outside)
    pixels = patch_carry_over(model, context.kernel(), part, pixels)
    pixels = beside_the_crystal(model, part, pixels, region.mask)
    planes = _planes(context, tile, part, moments)
    seconds = time.perf_counter() - start
    summary = summarise(pixels, (part.slow0, part.fast0), region.mask, outside, seconds)
    return TileResult(index, padded(pixels, part, tile), summary, planes=planes)


def _planes(
    context: RunContext, tile: Tile, part: Tile | None, moments: Moments | None
) -> dict[str, NDArray[Any]]:
    """Return the planes and derivatives that are asked for by name, as large as the tile.

    Parameters
    ----------
    context : RunContext
    tile : Tile
    part : Tile or None
        What is evaluated of it.
    moments : Moments or None
        Of all steps; None: nothing is evaluated.  Changed in place.
    """
    names, model = arrays_of(context.planes), context.model_of(tile.shot)
    slopes: dict[str, NDArray[Any]] = {}
    if context.slopes is not None:
        slopes[GRADIENT] = context.slopes.planes(model, tile)
    if part is None or moments is None:
        return {name: np.full(tile.shape, np.nan, dtype=np.float32) for name in names} | slopes
    patch_first(model, context.kernel(), part, moments)
    found = means(moments)._asdict()
    return {
        name: padded(found[name].astype(np.float32), part, tile, np.nan) for name in names
    } | slopes


def compute_on_device(context: RunContext, index: int) -> Any:
    """Return a tile's pixels on the GPU, where the kernel leaves them there; None: it does not.

    Returns
    -------
    (n_slow, n_fast) float32 array on the GPU, or None
        exactly the bits of :func:`compute_tile`.
    """
    kernel: Any = context.kernel()
    tile = context.grid[index]
    model = context.model_of(tile.shot)
    later = model.is_finished_later or model.lattices or context.after is not None
    if not kernel.on_device or len(context.steps_of(tile.shot)) > 1 or later:
        return None
    with named(context.grid[index], index, ", computing"):
        region = _region(context, index)
        inside = np.zeros(tile.shape, dtype=np.bool_)
        if region is not None:
            slow, fast = region.tile.slow0 - tile.slow0, region.tile.fast0 - tile.fast0
            height, width = region.tile.shape
            inside[slow : slow + height, fast : fast + width] = (
                True if region.mask is None else region.mask
            )
        image, outside = kernel.device_image(model, tile, inside)
        _check_outside(model, tile, outside)
        found = carry_over_pixel(model, kernel, tile)
        if found is not None:
            value, pixel = found
            kernel.put(value, image, pixel)
    return image


def padded(
    pixels: NDArray[np.float32], part: Tile, tile: Tile, elsewhere: float = 0.0
) -> NDArray[np.float32]:
    """Return the image of a whole tile from that of a part of it."""
    if part == tile:
        return pixels
    # Zeros that nobody writes to cost nothing until they are read.
    image = np.zeros(tile.shape, dtype=np.float32)
    if elsewhere != 0.0:
        image[...] = elsewhere
    slow, fast = part.slow0 - tile.slow0, part.fast0 - tile.fast0
    image[slow : slow + part.shape[0], fast : fast + part.shape[1]] = pixels
    return image


def _region(context: RunContext, index: int) -> _Region | None:
    """Return what is to be evaluated of a tile; None: nothing."""
    tile = context.grid[index]
    model = context.model_of(tile.shot).at(tile.panel)
    part = tile.intersect(Tile.within(model.roi))
    if part is None:
        return None
    if model.mask is None:
        return _Region(part, None)
    mask = model.mask.read(*part.bounds)
    if mask.all():
        return _Region(part, None)
    return _Region(part, mask) if mask.any() else None


def _check_outside(model: Model, tile: Tile, outside: int) -> None:
    if outside and model.refuse_outside:
        raise SemanticsError(
            f"{outside} evaluations in the tile at slow {tile.slow0}, fast {tile.fast0}"
            " interpolate structure factors outside the grid of the list. nanoBragg C then uses"
            " default_F and switches interpolation off for all that follows, so its result depends"
            " on the timing of its threads and --semantics c cannot reproduce it: use --semantics"
            " spec (default_F for these evaluations only), a longer list, -dmin, or"
            " -nointerpolate"
        )


@contextmanager
def named(tile: Tile, index: int, doing: str) -> Iterator[None]:
    """Name the tile in every error; errors made for users pass as they are."""
    try:
        yield
    except NbdaskError:
        raise
    except Exception as error:
        raise TileError(f"tile {index} ({tile}){doing}: {type(error).__name__}: {error}") from error

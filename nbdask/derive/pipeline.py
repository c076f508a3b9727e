"""Steps one after another, applied to arrays of any kind, with results free of the tiling."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.counter import GENERATOR, check_frame, check_seed
from nbdask.derive.arrays import apply
from nbdask.derive.block import Block, check_backend
from nbdask.derive.gains import Gain
from nbdask.derive.psf import FibrePSF, GaussianPSF
from nbdask.derive.steps import (
    Calibration,
    Flicker,
    Offset,
    Poisson,
    PoissonC,
    Readout,
    Rounding,
    Saturation,
    Step,
)
from nbdask.errors import FieldError, InputError, nearest
from nbdask.plan.tiles import Tile, TileGrid

#: Every step, in the order in which a detector does them.
STEPS: tuple[type[Step], ...] = (
    Flicker,
    Poisson,
    PoissonC,
    GaussianPSF,
    FibrePSF,
    Calibration,
    Gain,
    Readout,
    Offset,
    Rounding,
    Saturation,
)
KINDS = {step.kind: step for step in STEPS}
#: Most steps of one kind in a pipeline: each has its own random numbers.
MOST_OF_A_KIND = 8
#: Side of the blocks that are worked on at once [pixels]; halos come on top.
BLOCK = 512


class _Output(NamedTuple):
    """A tile, the image that it is part of, and how it is computed."""

    tile: Tile
    shape: tuple[int, int]
    corner: tuple[int, int]
    backend: str


@dataclass(frozen=True)
class Pipeline:
    """Steps in the order in which they are done, and what their random numbers depend on.

    Parameters
    ----------
    steps : tuple of Step
    seed : int
        0 to 2**64 - 1; equal seeds give equal noise.
    frame : int
        0 to 2**32 - 1; the images of a series take one number each.
    """

    steps: tuple[Step, ...]
    seed: int = 0
    frame: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "frame", check_frame(self.frame))
        allowed = "steps such as Poisson() or Readout(3.0)"
        given: object = self.steps
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise FieldError("steps", given, f"a tuple of {allowed}")
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if not isinstance(step, Step):
                raise FieldError("steps", step, allowed)
        for kind in KINDS:
            if sum(step.kind == kind for step in self.steps) > MOST_OF_A_KIND:
                raise FieldError("steps", kind, f"at most {MOST_OF_A_KIND} times in a pipeline")

    @property
    def random(self) -> bool:
        """Whether the seed matters."""
        return any(step.random for step in self.steps)

    @property
    def halo(self) -> int:
        """Pixels around a region that its result depends on."""
        return sum(step.halo for step in self.steps)

    @property
    def whole(self) -> bool:
        """Whether all pixels that it gives are whole numbers."""
        whole = False
        for step in self.steps:
            whole = step.whole(whole)
        return whole

    def check(self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> None:
        """Raise an error if a step cannot be done to an image of this shape (slow, fast)."""
        for step in self.steps:
            step.check(shape, corner)

    def split(self) -> Pipeline | None:
        """Return the steps after nanoBragg's own noise; None where it is not the first step.

        Raises
        ------
        FieldError
            Its noise further behind, or steps after it that look at neighbouring pixels.
        """
        positions = [n for n, step in enumerate(self.steps) if isinstance(step, PoissonC)]
        if not positions:
            return None
        rest = dataclasses.replace(self, steps=self.steps[1:])
        if positions != [0]:
            raise FieldError("steps", PoissonC.kind, "the first step, and only once")
        if rest.halo:
            kind = next(step.kind for step in rest.steps if step.halo)
            raise FieldError(
                "steps",
                kind,
                "left out with nanoBragg's own noise; spread the light in a second run, without"
                " photon noise, on the noisy store",
            )
        return rest

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that :meth:`from_dict` takes; defaults are written out."""
        steps = [{"step": step.kind, **_fields(step)} for step in self.steps]
        return {"generator": GENERATOR, "seed": self.seed, "frame": self.frame, "steps": steps}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pipeline:
        """Build from the dict form.

        Raises
        ------
        InputError
            An unknown step or field, or a value that is refused; the step is named by its number.
        """
        names = ("generator", "seed", "frame", "steps")
        for name in sorted(set(data) - set(names)):
            hint = _nearest(name, names) or "known are seed, frame and steps"
            raise InputError(f"{name}: unknown entry of a pipeline ({hint})")
        if data.get("generator", GENERATOR) != GENERATOR:
            raise FieldError("generator", data["generator"], GENERATOR)
        if "steps" not in data:
            raise InputError('steps is missing: give a list of steps, such as [{step = "poisson"}]')
        items = data["steps"]
        if not isinstance(items, (list, tuple)):
            raise FieldError("steps", items, "a list of steps")
        steps = tuple(_numbered(number, item) for number, item in enumerate(items, 1))
        return cls(steps, data.get("seed", 0), data.get("frame", 0))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the dict form, in which files are named by their checksum."""
        data = self.to_dict()
        for step in data["steps"]:
            step.pop("map", None)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def of_frame(self, frame: int) -> Pipeline:
        """Return the same steps for another image of a series."""
        return self if frame == self.frame else dataclasses.replace(self, frame=frame)

    def needs(self, tile: Tile, shape: tuple[int, int]) -> Tile:
        """Return the part of an image that the pixels of a tile depend on."""
        return _grown(tile, self.halo, shape)

    def block(
        self,
        values: NDArray[Any],
        tile: Tile,
        shape: tuple[int, int],
        backend: str = "cpu",
        corner: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        """Return the finished pixels of a tile.

        Parameters
        ----------
        values : array
            Pixels of :meth:`needs` (tile, shape).
        tile : Tile
        shape : tuple of int
            Pixels of the whole image, (slow, fast).
        backend : str
            ``"cpu"`` (compiled) or ``"numpy"``, which give the same bits.
        corner : tuple of int
            Detector indices (slow, fast) of the image's first pixel, for random numbers and maps.

        Returns
        -------
        (slow, fast) float32 array
        """
        result = np.empty(tile.shape, dtype=np.float32)
        outer = self.needs(tile, shape)
        # Blocks bound the memory; with long halos they are larger, or most work would be done
        # twice.
        side = max(BLOCK, 4 * self.halo)
        for part in TileGrid(tile.shape, (side, 2 * side)):
            slow, fast = tile.slow0, tile.fast0
            here = Tile(part.slow0 + slow, part.slow1 + slow, part.fast0 + fast, part.fast1 + fast)
            need = self.needs(here, shape)
            source = values[
                need.slow0 - outer.slow0 : need.slow1 - outer.slow0,
                need.fast0 - outer.fast0 : need.fast1 - outer.fast0,
            ]
            output = _Output(here, shape, corner, backend)
            done = self._steps(source.astype(np.float64), output)
            # Values beyond float32 become infinite, as in the simulation.
            with np.errstate(over="ignore"):
                result[part.slow0 : part.slow1, part.fast0 : part.fast1] = done
        return result

    def _steps(self, values: NDArray[np.float64], output: _Output) -> NDArray[np.float64]:
        """Do all steps to one part; with each halo the region shrinks towards it."""
        left = self.halo
        region = _grown(output.tile, left, output.shape)
        seen: dict[str, int] = {}
        for step in self.steps:
            number = seen[step.kind] = seen.get(step.kind, -1) + 1
            if step.halo:
                left -= step.halo
                smaller = _grown(output.tile, left, output.shape)
                values = _padded(values, region, smaller, step.halo)
                region = smaller
            corner = (region.slow0 + output.corner[0], region.fast0 + output.corner[1])
            block = Block(corner, self.seed, self.frame, step.code << 4 | number, output.backend)
            values = step.apply(values, block)
        return values

    def apply(self, image: Any, *, corner: tuple[int, int] = (0, 0), backend: str = "cpu") -> Any:
        """Return an image after all steps.

        Parameters
        ----------
        image : (slow, fast) array
            NumPy array, dask array (the result is lazy) or xarray.DataArray (lazy where its values
            are).  Where it ends the detector ends: apply first, then select.
        corner : tuple of int
            Detector indices (slow, fast) of the first pixel, for the random numbers.  A DataArray
            with the coordinates ``slow`` and ``fast`` has it from there.
        backend : str
            ``"cpu"`` (compiled) or ``"numpy"``, which give the same bits.

        Returns
        -------
        (slow, fast) float32 array
            Of the same kind.

        Raises
        ------
        NbdaskError
            An image that is not two-dimensional, coordinates with gaps, a map of another shape.
        """
        return apply(self, image, corner, check_backend(backend))


def _grown(tile: Tile, halo: int, shape: tuple[int, int]) -> Tile:
    """Return a tile with a halo, as far as the image reaches."""
    return Tile(
        max(tile.slow0 - halo, 0),
        min(tile.slow1 + halo, shape[0]),
        max(tile.fast0 - halo, 0),
        min(tile.fast1 + halo, shape[1]),
        tile.panel,
        tile.shot,
    )


def _padded(values: NDArray[np.float64], region: Tile, inner: Tile, halo: int) -> NDArray[Any]:
    """Return the values around ``inner``, zeros where the image has ended."""
    shape = (inner.shape[0] + 2 * halo, inner.shape[1] + 2 * halo)
    if shape == values.shape:
        return values
    padded = np.zeros(shape)
    slow, fast = region.slow0 - inner.slow0 + halo, region.fast0 - inner.fast0 + halo
    padded[slow : slow + values.shape[0], fast : fast + values.shape[1]] = values
    return padded


def _fields(step: Step) -> dict[str, Any]:
    """Return the fields of a step that are given."""
    # Every step is a dataclass; the base has no fields.
    names = [item.name for item in dataclasses.fields(step)]  # type: ignore[arg-type]
    return {name: getattr(step, name) for name in names if getattr(step, name) is not None}


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known word was meant; empty where none is near."""
    close = nearest(word, known)
    return f"did you mean {close[0]}?" if close else ""


def _numbered(number: int, item: Any) -> Step:
    """Build a step from its dict form; errors name it by its number, from 1."""
    try:
        return _step(item)
    except InputError as error:
        raise InputError(f"step {number}: {error}") from None


def _step(item: Any) -> Step:
    """Return the step that a table describes."""
    kinds = "one of " + ", ".join(KINDS)
    if not isinstance(item, Mapping):
        raise InputError(f"{item!r}: must be a table with the entry step, {kinds}")
    if "step" not in item:
        raise InputError(f"the entry step is missing: give {kinds}")
    kind = item["step"]
    if not isinstance(kind, str) or kind not in KINDS:
        hint = _nearest(kind, KINDS) if isinstance(kind, str) else ""
        raise InputError(f"step = {kind!r}: must be {kinds}" + (f" ({hint})" if hint else ""))
    known = {field.name: field for field in dataclasses.fields(KINDS[kind])}  # type: ignore[arg-type]
    values = {name: value for name, value in item.items() if name != "step"}
    for name in values:
        if name not in known:
            allowed = "it has " + ", ".join(known) if known else "the step has no fields"
            hint = _nearest(name, known) or allowed
            raise InputError(f"{kind}.{name}: unknown field ({hint})")
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in values:
            raise InputError(f"{kind}.{name} is missing: it must be given")
    return KINDS[kind](**values)

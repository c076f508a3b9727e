"""What happens to an image on its way through a detector, one frozen dataclass for each step.

A step takes values at pixels (float64) and gives values.  All but the point-spread functions look
at one pixel at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.counter import check_seed
from nbdask.derive.block import Block
from nbdask.errors import FieldError
from nbdask.experiment.checks import assign, not_negative, number, optional

_GREATEST = float(np.finfo(np.float32).max)


def single(field: str, value: object) -> float:
    """Return ``value`` as a number that float32, the type of a store's pixels, can hold.

    Raises
    ------
    FieldError
        Not a finite number, or out of range.
    """
    result = number(field, value)
    if abs(result) > _GREATEST:
        raise FieldError(field, value, f"from -{_GREATEST:.7g} to {_GREATEST:.7g} (float32)")
    return result


class Option(NamedTuple):
    """The option of the command line that sets a field.

    Attributes
    ----------
    flag : str
    reads : str
        What it is given as: ``"share"``, ``"width"``, ``"number"``, ``"whole"``, ``"file"``,
        ``"rng"``, or ``"flag"``, which is given nothing.
    metavar, help : str
        For the page of help.
    refines : bool
        Whether it only refines a step that another option asks for.
    """

    flag: str
    reads: str
    metavar: str
    help: str
    refines: bool = False


def set_by(*option: Any, **default: Any) -> Any:
    """Return a field of a step, with the :class:`Option` that sets it."""
    return field(metadata={"option": Option(*option)}, **default)


class Step(ABC):
    """Base of the steps, each a frozen dataclass.

    Attributes
    ----------
    kind : str
        Name in the dict form.
    code : int
        Where its random numbers come from: 1 to 15; 0 for steps that draw none.
    option : Option or None
        Of a step without fields.
    counts : bool
        Whether it gives whole numbers.
    """

    kind: ClassVar[str]
    code: ClassVar[int] = 0
    option: ClassVar[Option | None] = None
    counts: ClassVar[bool] = False

    @property
    def random(self) -> bool:
        """Whether it draws random numbers from the pipeline's seed."""
        return self.code > 0

    @property
    def halo(self) -> int:
        """Pixels around a region that its result depends on."""
        return 0

    def whole(self, before: bool) -> bool:
        """Whether all values are whole numbers after it, by whether they were before."""
        return self.counts

    def check(self, shape: tuple[int, int], corner: tuple[int, int]) -> None:  # noqa: B027
        """Raise an error if it cannot be done to an image of this shape and corner (slow, fast)."""

    @abstractmethod
    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Return the values after this step.

        Parameters
        ----------
        values : (slow, fast) float64 array
            May be overwritten.  For a step with a halo, padded by it with zeros where the detector
            ends.
        block : Block
            Its corner is that of ``values``.

        Returns
        -------
        float64 array
            As ``values``, less the halo.
        """


@dataclass(frozen=True)
class Flicker(Step):
    """Fluctuation of intensity, of the beam as a whole or pixel by pixel, new in every frame.

    Each value times (1 + frame_rms n)(1 + pixel_rms m), with n one standard normal deviate for the
    frame, m one for each pixel of the frame; a negative factor counts as 0.

    Parameters
    ----------
    frame_rms, pixel_rms : float
        Relative standard deviations.
    """

    kind: ClassVar[str] = "flicker"
    code: ClassVar[int] = 3
    frame_rms: float = set_by(
        "--flicker", "share", "RMS", "Flicker of the whole frame: 0.01, 1%.", default=0.0
    )
    pixel_rms: float = set_by(
        "--pixel-flicker", "share", "RMS", "Flicker of each pixel: 0.01, 1%.", default=0.0
    )

    def __post_init__(self) -> None:
        """Check the fields."""
        assign(
            self,
            frame_rms=not_negative("flicker.frame_rms", self.frame_rms),
            pixel_rms=not_negative("flicker.pixel_rms", self.pixel_rms),
        )

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Multiply by the factors."""
        if self.frame_rms:
            # The pixels' deviates have the stream's low numbers, the frame's the high one.
            whole = block._replace(corner=(0, 0), stream=block.stream | 8)
            values *= max(0.0, 1.0 + self.frame_rms * float(whole.normal((1, 1))[0, 0]))
        if self.pixel_rms:
            values *= _factors(self.pixel_rms, block.normal(values.shape))
        return values


@dataclass(frozen=True)
class Poisson(Step):
    """Counting of photons: a Poisson deviate whose mean is the value."""

    kind: ClassVar[str] = "poisson"
    counts: ClassVar[bool] = True
    code: ClassVar[int] = 1
    option: ClassVar[Option] = Option("--no-poisson", "flag", "", "Leave out the photon noise.")

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Draw the counts."""
        return block.poisson(values)


@dataclass(frozen=True)
class Calibration(Step):
    """Error of the pixels' calibration: a factor 1 + rms n, the same in every frame.

    Parameters
    ----------
    rms : float
        Relative standard deviation.
    seed : int, optional
        That of the detector, so that images with different seeds have the same errors; None: the
        pipeline's.
    """

    kind: ClassVar[str] = "calibration"
    code: ClassVar[int] = 4
    rms: float = set_by(
        "--calibration", "share", "RMS", "Error of each pixel's calibration: 0.03, 3%.", default=0.0
    )
    seed: int | None = set_by(
        "--calibration-seed",
        "whole",
        "S",
        "Seed of the calibration's errors, one for each detector [default: --seed].",
        True,
        default=None,
    )

    def __post_init__(self) -> None:
        """Check the fields."""
        name = "calibration.seed"
        assign(
            self,
            rms=not_negative("calibration.rms", self.rms),
            seed=None if self.seed is None else check_seed(self.seed, name),
        )

    @property
    def random(self) -> bool:
        """Whether it draws from the pipeline's seed."""
        return self.seed is None

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Multiply by the factors."""
        seed = block.seed if self.seed is None else self.seed
        values *= _factors(self.rms, block._replace(seed=seed, frame=0).normal(values.shape))
        return values


def _factors(rms: float, deviates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return factors about 1, none of them below 0."""
    return np.asarray(np.maximum(1.0 + rms * deviates, 0.0))


@dataclass(frozen=True)
class Readout(Step):
    """Noise of the read-out electronics: a normal deviate is added.

    Parameters
    ----------
    sigma : float
        Standard deviation, in the unit that the values have at this place of the pipeline.
    """

    kind: ClassVar[str] = "readout"
    code: ClassVar[int] = 2
    sigma: float = set_by(
        "--readout",
        "number",
        "SIGMA",
        "Noise of the read-out, rms [detector units].",
        default=0.0,
    )

    def __post_init__(self) -> None:
        """Check the field."""
        assign(self, sigma=single("readout.sigma", not_negative("readout.sigma", self.sigma)))

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Add the deviates."""
        values += self.sigma * block.normal(values.shape)
        return values


@dataclass(frozen=True)
class Offset(Step):
    """A constant that the read-out adds."""

    kind: ClassVar[str] = "offset"
    value: float = set_by(
        "--offset", "number", "X", "Constant that the read-out adds [detector units].", default=0.0
    )

    def __post_init__(self) -> None:
        """Check the field."""
        assign(self, value=single("offset.value", self.value))

    def whole(self, before: bool) -> bool:
        """Whether all values are whole numbers after it."""
        return before and self.value.is_integer()

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Add it."""
        values += self.value
        return values


@dataclass(frozen=True)
class Saturation(Step):
    """Limits of what a pixel can hold.

    Parameters
    ----------
    maximum : float
        Values above it become it.
    minimum : float, optional
        Values below it become it; None: no limit.
    """

    kind: ClassVar[str] = "saturation"
    maximum: float = set_by(
        "--saturation", "number", "MAX", "Greatest value of a pixel; what is above becomes it."
    )
    minimum: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        least = optional(single, "saturation.minimum", self.minimum)
        assign(self, maximum=single("saturation.maximum", self.maximum), minimum=least)
        if least is not None and least > self.maximum:
            raise FieldError("saturation.minimum", least, f"at most the maximum, {self.maximum:g}")

    def whole(self, before: bool) -> bool:
        """Whether all values are whole numbers after it."""
        return before and all(x is None or x.is_integer() for x in (self.maximum, self.minimum))

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Clip the values."""
        return np.clip(values, self.minimum, self.maximum, out=values)


@dataclass(frozen=True)
class Rounding(Step):
    """Conversion to whole numbers: floor(value + 1/2)."""

    kind: ClassVar[str] = "rounding"
    counts: ClassVar[bool] = True
    option: ClassVar[Option] = Option("--integers", "flag", "", "Round to whole numbers.")

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Round."""
        values += 0.5
        return np.asarray(np.floor(values, out=values))


@dataclass(frozen=True)
class PoissonC(Step):
    """Counting of photons as nanoBragg C does it, in its own sequence of random numbers.

    Each count depends on all pixels before it, so this step needs a whole image, from its first
    row to its last: it comes first in a pipeline, whose other steps look at one pixel at a time.
    The sequence is that of the pipeline's seed.
    """

    kind: ClassVar[str] = "poisson_c"
    counts: ClassVar[bool] = True
    option: ClassVar[Option] = Option(
        "--noise-rng",
        "rng",
        "",
        "counter [default]: by seed, frame and pixel; c: nanoBragg C's own sequence.",
    )

    @property
    def random(self) -> bool:
        """Whether the seed matters."""
        return True

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Refuse a part of an image."""
        raise FieldError("steps", self.kind, "used on whole images in memory, or on stores")

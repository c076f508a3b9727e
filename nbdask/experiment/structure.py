"""Where the structure factor amplitudes come from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

FORMATS = ("hkl", "fdump")
Reflection = tuple[int, int, int, float]


@dataclass(frozen=True, slots=True)
class StructureFactors:
    """Structure factor amplitudes of the P1 cell [electrons].

    Parameters
    ----------
    default_F : float
        Amplitude of every reflection that the list does not hold.
    path : str or None
        File with the list.
    format : str
        ``"hkl"`` (text: h k l F, further columns ignored) or ``"fdump"`` (nanoBragg's binary grid).
    sha256 : str or None
        Checksum of the file when the experiment was made; a file that has changed is refused.
    reflections : tuple of (int, int, int, float)
        An in-memory list instead of a file: h, k, l, F.
    """

    default_F: float = 0.0
    path: str | None = None
    format: str = "hkl"
    sha256: str | None = None
    reflections: tuple[Reflection, ...] = ()

    def __post_init__(self) -> None:
        """Check that there are amplitudes at all."""
        checks.assign(
            self,
            default_F=checks.number("structure.default_F", self.default_F),
            path=checks.optional(checks.path, "structure.path", self.path),
            sha256=checks.optional(checks.text, "structure.sha256", self.sha256),
            reflections=_checked(self.reflections),
        )
        checks.one_of("structure.format", self.format, FORMATS)
        if self.path is not None and self.reflections:
            raise FieldError("structure.path", self.path, "left out when reflections are given")
        if self.path is None and not self.reflections and self.default_F == 0.0:
            raise FieldError(
                "structure",
                "nothing",
                "a file (path), a list (reflections) or a default_F that is not 0:"
                " without any structure factor the image is empty",
            )

    @property
    def has_list(self) -> bool:
        """Whether there is a list of amplitudes (otherwise default_F is all there is)."""
        return self.path is not None or bool(self.reflections)


def _checked(given: object) -> tuple[Reflection, ...]:
    """Return a list of reflections, or name the first that is none."""
    name = "structure.reflections"
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise FieldError(name, given, "a list of h, k, l, F")
    rows: list[Reflection] = []
    for number, row in enumerate(given):
        try:
            h, k, el, f = row
            found = (int(h), int(k), int(el), math.nan if isinstance(f, str) else float(f))
            good = found[:3] == (h, k, el) and math.isfinite(found[3])
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise FieldError(f"{name}[{number}]", row, "three whole numbers and an amplitude")
        rows.append(found)
    return tuple(rows)

"""Where the structure factor amplitudes come from."""

from __future__ import annotations

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
            reflections=tuple(
                (int(h), int(k), int(el), float(f)) for h, k, el, f in self.reflections
            ),
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

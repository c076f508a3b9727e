"""Where the structure factor amplitudes come from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

FORMATS = ("hkl", "fdump", "model", "reflections")
#: How structure factors of a model are summed.
METHODS = ("direct", "map")
Reflection = tuple[int, int, int, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How amplitudes follow from a model or a reflection file; all choices are settled.

    Parameters
    ----------
    d_min : float or None
        Finest spacing [m]; needed with a model.
    column : str or None
        Column of a reflection file; None: chosen by its kind.
    cell : tuple of 6 floats or None
        a, b, c [m], alpha, beta, gamma [rad] of a reflection file that has none.
    space_group : str or None
        Symbol, in place of a reflection file's own.
    model : str or None
        Model that completes a list, scaled to it.
    model_sha256 : str or None
        Checksum of that model.
    energy : float or None
        Photon energy of the anomalous scattering [eV], for the record.
    dispersion : tuple of (str, float, float)
        Element, f', f'' [electrons].
    energies : tuple of float
        Photon energies of a spectrum [eV], for the record.
    anomalous : tuple of tuples of float
        At each of them f', f'' of each element of ``dispersion``, one after another: a table of
        amplitudes for each wavelength of the beam's spectrum.
    tables : str or None
        Where form factors and ``dispersion`` come from, for the record.
    solvent : tuple of 4 floats or None
        k [electrons/Angstrom^3], B [Angstrom^2], probe radius, shrinkage [Angstrom].
    method : str
        ``"direct"`` or ``"map"``.
    """

    d_min: float | None = None
    column: str | None = None
    cell: tuple[float, ...] | None = None
    space_group: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    energy: float | None = None
    dispersion: tuple[tuple[str, float, float], ...] = ()
    energies: tuple[float, ...] = ()
    anomalous: tuple[tuple[float, ...], ...] = ()
    tables: str | None = None
    solvent: tuple[float, ...] | None = None
    method: str = "direct"

    def __post_init__(self) -> None:
        """Check every field."""
        name = "structure.recipe."
        checks.assign(
            self,
            d_min=checks.optional(checks.positive, name + "d_min", self.d_min),
            energy=checks.optional(checks.positive, name + "energy", self.energy),
            dispersion=tuple((str(e), float(a), float(b)) for e, a, b in self.dispersion),
        )
        numbers = tuple(
            checks.vector(name + "anomalous", row, length=2 * len(self.dispersion))
            for row in self.anomalous
        )
        checks.assign(
            self,
            energies=tuple(checks.positive(name + "energies", x) for x in self.energies),
            anomalous=numbers,
        )
        if len(self.energies) != len(numbers):
            given = f"{len(numbers)} rows for {len(self.energies)} energies"
            raise FieldError(name + "anomalous", given, "a row for each of the recipe's energies")
        for field, length in (("cell", 6), ("solvent", 4)):
            given = getattr(self, field)
            if given is not None:
                values = checks.vector(name + field, given, length=length)
                checks.assign(self, **{field: values})
        checks.one_of(name + "method", self.method, METHODS)


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
        ``"hkl"`` (text: h k l F, further columns ignored), ``"fdump"`` (nanoBragg's binary grid),
        ``"model"`` (atoms: PDB, mmCIF) or ``"reflections"`` (MTZ, mmCIF, SHELX).
    sha256 : str or None
        Checksum of the file when the experiment was made; a file that has changed is refused.
    reflections : tuple of (int, int, int, float)
        An in-memory list instead of a file: h, k, l, F.
    recipe : Recipe or None
        How amplitudes follow from a model or reflections.
    scale : float
        Factor on all amplitudes.
    b_factor : float
        B [m^2] of a factor exp(-B/(4 d^2)) on the amplitudes of the list.
    """

    default_F: float = 0.0
    path: str | None = None
    format: str = "hkl"
    sha256: str | None = None
    reflections: tuple[Reflection, ...] = ()
    recipe: Recipe | None = None
    scale: float = 1.0
    b_factor: float = 0.0

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check that there are amplitudes at all."""
        checks.assign(
            self,
            default_F=checks.number("structure.default_F", self.default_F),
            path=checks.optional(checks.path, "structure.path", self.path),
            sha256=checks.optional(checks.text, "structure.sha256", self.sha256),
            reflections=_checked(self.reflections),
            scale=checks.positive("structure.scale", self.scale),
            b_factor=checks.number("structure.b_factor", self.b_factor),
        )
        if self.b_factor != 0.0 and self.path is None and not self.reflections:
            allowed = "0 without a list: default_F has no resolution"
            raise FieldError("structure.b_factor", self.b_factor, allowed)
        checks.one_of("structure.format", self.format, FORMATS)
        made = self.format in ("model", "reflections")
        if made != (self.recipe is not None) or (made and self.path is None):
            raise FieldError(
                "structure.recipe",
                self.recipe,
                'given (with a path) for the formats "model" and "reflections" alone',
            )
        if self.format == "model" and self.recipe is not None and self.recipe.d_min is None:
            raise FieldError("structure.recipe.d_min", None, "given with a model")
        if self.recipe is not None and self.recipe.anomalous and self.format != "model":
            allowed = 'left out but for the format "model"'
            raise FieldError("structure.recipe.anomalous", self.format, allowed)
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

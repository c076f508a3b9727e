"""``water:0.1mm`` -> a material."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from nbdask import units
from nbdask.background.tables import BUNDLED, bundled_path
from nbdask.errors import FlagError
from nbdask.experiment.background import AXES, Material
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.text import to_number

#: What a text looks like.
USAGE = "TABLE:THICKNESS[:DENSITY[:MW]][:4stol|:Q]"
_FORM = re.compile(
    r"(?P<table>.+?):(?P<size>[\d.]+(?:[eE][+-]?\d+)?)(?P<unit>nm|um|mm|cm|m)(?P<rest>(?::.*)?)",
    re.ASCII | re.DOTALL,
)
_UNITS = {"nm": 1e9, "um": 1e6, "mm": 1e3, "cm": 1e2, "m": 1.0}


def beamstop_of(text: str) -> tuple[float, float, float]:
    """Read ``RADIUS`` or ``RADIUS,X,Y`` [mm]: the shadow, and its place beside the beam [m].

    Raises
    ------
    FlagError
        A text of another form.
    """
    numbers = [to_number(word.strip()) for word in text.split(",")]
    found = [n for n in numbers if n is not None]
    if len(found) != len(numbers) or len(found) not in (1, 3) or not found[0] > 0.0:
        raise FlagError(
            f"--beamstop {text}: must be RADIUS or RADIUS,X,Y (mm), such as 2 or 2,0.1,-0.3"
        )
    radius, x, y = (units.from_mm(n) for n in (*found, 0.0, 0.0)[:3])
    return (radius, x, y)


def materials_of(
    texts: Sequence[str], use: Callable[[str], str]
) -> tuple[tuple[Material, ...], tuple[str, ...]]:
    """Read what the user asks for.

    Parameters
    ----------
    texts : sequence of str
        Such as ``water:0.1mm`` or ``jet.stol:50um:0.92:18.015``: a bundled table or a file,
        thickness, density [g/cm^3], molar mass [g/mol], and what the first column of a file holds.
    use : callable
        Returns the absolute path of an input file.

    Returns
    -------
    materials : tuple of Material
    notes : tuple of str

    Raises
    ------
    FlagError
        A text of another form.
    InputFileError
        A file that cannot be read.
    """
    found, notes = [], []
    for text in texts:
        material, note = _material(text, use)
        found.append(material)
        notes += note
    return tuple(found), tuple(notes)


def _material(text: str, use: Callable[[str], str]) -> tuple[Material, list[str]]:
    form = _FORM.fullmatch(text)
    size = None if form is None else to_number(form["size"])
    if form is None or size is None or size <= 0.0:
        raise FlagError(
            f"--background {text}: must be {USAGE}, such as water:0.1mm or jet.stol:50um:0.92:18"
            " (g/cm^3, g/mol)"
        )
    words = form["rest"].split(":")[1:]
    axis = words.pop() if words and words[-1] in AXES else "stol"
    numbers = [to_number(word) for word in words]
    if len(numbers) > 2 or not all(n is not None and n > 0.0 for n in numbers):
        raise FlagError(
            f"--background {text}: density and molar mass must be numbers above 0 (g/cm^3, g/mol)"
        )
    given = [float(n) for n in numbers if n is not None]
    thickness, name = size / _UNITS[form["unit"]], form["table"]
    if name in BUNDLED:
        return _bundled(text, name, thickness, given, axis), []
    path = use(name)
    if not os.path.exists(path) and os.sep not in name:
        raise FlagError(
            f"--background {text}: there is no file {name} here, and no bundled table of that name"
            f" (these are {', '.join(BUNDLED)})"
        )
    density, mass = (*given, *(1.0, 18.0)[len(given) :])
    material = Material(
        thickness,
        path=path,
        density=density * 1e3,
        molar_mass=mass / 1e3,
        axis=axis,
        sha256=sha256_of(path),
    )
    if len(given) == 2:
        return material, []
    taken = f"{density:g} g/cm^3 and {mass:g} g/mol"
    return material, [f"--background {text}: {taken} are taken, those of water where not given"]


def _bundled(text: str, name: str, thickness: float, given: list[float], axis: str) -> Material:
    if axis != "stol":
        raise FlagError(f"--background {text}: {axis} goes with a file; {name} is a bundled table")
    known = BUNDLED[name]
    return Material(
        thickness,
        table=name,
        density=given[0] * 1e3 if given else known.density,
        molar_mass=given[1] / 1e3 if len(given) == 2 else known.molar_mass,
        sha256=sha256_of(bundled_path(name)),
    )

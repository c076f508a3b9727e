"""Fields of TOML files as one writes them by hand: ``cell = "70 80 90 A, 90 90 90 deg"``.

A field with a dimension takes a text, numbers with their unit behind them, groups of other units
after a comma; or a list of such texts.  Plain numbers are SI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbdask import units
from nbdask.errors import FieldError
from nbdask.inputs.quantities import CONVERSIONS, spelled
from nbdask.inputs.text import NUMBER

_Conversions = Mapping[str, Callable[..., Any]]
_MM, _UM, _ANGSTROM, _DEG, _MRAD = (("mm",), ("um",), ("A",), ("deg",), ("mrad",))
_CRYSTAL = {
    "cell": ("A",) * 3 + ("deg",) * 3,
    "misset": _DEG * 3,
    "size": _MM * 3,
    "mosaic_spread": _DEG,
    "mosaic.widths": _DEG * 3,
    "diffuse.gamma": _ANGSTROM * 3,
    "diffuse.sigma": _ANGSTROM * 3,
}
#: Field -> the unit that each of its numbers is written in.
WRITTEN: dict[str, tuple[str, ...]] = {
    **{f"crystal.{name}": units_of for name, units_of in _CRYSTAL.items()},
    **{f"lattices.crystal.{name}": units_of for name, units_of in _CRYSTAL.items()},
    "beam.wavelength": _ANGSTROM,
    "beam.fluence": ("photon/m^2",),
    "beam.flux": ("photon/s",),
    "beam.exposure": ("s",),
    "beam.beamsize": _MM,
    **{
        f"detector.{name}": _MM
        for name in (
            "pixel_size", "size_fast", "size_slow", "distance", "close_distance",
            "beam_x", "beam_y", "close_x", "close_y",
        )
    },
    **{f"detector.{name}": _DEG for name in ("rotx", "roty", "rotz", "twotheta")},
    "detector.pix0": _MM * 3,
    "detector.thickness": _UM,
    "detector.attenuation": ("1/mm",),
    "detector.panels.pitch_fast": _MM,
    "detector.panels.pitch_slow": _MM,
    "detector.panels.origin": _MM * 3,
    "detector.panels.thickness": _UM,
    "detector.panels.attenuation": ("1/mm",),
    **{f"sources.{d}.{n}": _MRAD for d in ("horizontal", "vertical") for n in ("range", "step")},
    "sources.dispersion.range": ("%",),
    "sources.dispersion.step": ("%",),
    "sources.points.wavelength": _ANGSTROM,
    **{f"scan.{name}": _DEG for name in ("phi0", "osc", "step")},
    "background.water": _UM,
    "background.beamstop": _MM * 3,
    **{f"background.materials.{name}": _UM for name in ("thickness", "width", "height")},
    "background.materials.density": ("g/cm^3",),
    "structure.recipe.d_min": _ANGSTROM,
    "nanobragg.pix0": _MM * 3,
    "nanobragg.clen": _MM,
    "nanobragg.distance_shift": _MM,
}  # fmt: skip
#: Fields that take photon energies too.
_WAVES = ("beam.wavelength", "sources.points.wavelength")
_ENERGIES: _Conversions = {"eV": units.from_ev, "keV": lambda value: units.from_ev(value * 1000.0)}
#: Most digits that a double needs.
_DIGITS = 17


def in_si(data: Any, prefix: str = "") -> Any:
    """Return the dict form of an experiment with texts such as ``"100 mm"`` as SI numbers.

    Parameters
    ----------
    data : dict, list or any value
    prefix : str
        Dotted name of ``data``.

    Raises
    ------
    FieldError
        A text that is not numbers with units of its field.
    """
    return _each(data, prefix, _value)


def by_hand(data: Any, prefix: str = "") -> Any:
    """Return the dict form with the units of users, where :func:`in_si` gives back every bit."""
    return _each(data, prefix, _text)


def _each(data: Any, prefix: str, convert: Callable[[str, Any], Any]) -> Any:
    """Return the dict form with the fields of :data:`WRITTEN` converted."""
    if isinstance(data, Mapping):
        start = f"{prefix}." if prefix else ""
        return {key: _each(value, f"{start}{key}", convert) for key, value in data.items()}
    if prefix in WRITTEN:
        return convert(prefix, data)
    if isinstance(data, list) and data and all(isinstance(item, Mapping) for item in data):
        return [_each(item, prefix, convert) for item in data]
    return data


def _known(field: str, unit: str) -> _Conversions:
    """Return the units that a number of a field may have, given the one it is written in."""
    known = next(known for known in CONVERSIONS.values() if unit in known)
    return {**known, **_ENERGIES} if field in _WAVES else known


def _value(field: str, given: Any) -> Any:
    """Return what is given for a field in SI; what is no text as it is."""
    wanted = WRITTEN[field]
    if isinstance(given, str):
        if field.endswith(".misset") and given == "random":
            return given
        numbers = [pair for part in given.split(",") for pair in _pairs(field, given, part)]
        if field.endswith(".cell"):
            numbers = _completed(numbers)
        if len(numbers) != len(wanted):
            raise _refused(field, given)
        values = [_number(field, given, *args) for args in zip(numbers, wanted, strict=True)]
        return values if len(wanted) > 1 else values[0]
    if isinstance(given, list) and len(given) == len(wanted):
        return [_item(field, value, unit) for value, unit in zip(given, wanted, strict=True)]
    return given


def _item(field: str, given: Any, unit: str) -> Any:
    if not isinstance(given, str):
        return given
    found = _pairs(field, given, given)
    if len(found) != 1:
        raise _refused(field, given)
    return _number(field, given, found[0], unit)


def _pairs(field: str, given: str, part: str) -> list[tuple[float, str]]:
    """Return the numbers of a part between commas, each with the unit behind them."""
    words, numbers = part.split(), []
    while words and NUMBER.fullmatch(words[0]):
        numbers.append(float(words.pop(0)))
    unit = " ".join(words)
    glued = NUMBER.match(unit)
    if glued and not unit.startswith("1/"):
        numbers.append(float(glued[0]))
        unit = unit[glued.end() :]
    if not numbers:
        raise _refused(field, given)
    return [(number, spelled(unit)) for number in numbers]


def _completed(numbers: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return all six numbers of a cell: one length is that of all edges, angles are 90 degrees."""
    lengths = [pair for pair in numbers if pair[1] in CONVERSIONS["m"]]
    angles = numbers[len(lengths) :]
    if len(lengths) == 1:
        lengths *= 3
    return [*lengths, *(angles or [(90.0, "deg")] * 3)]


def _number(field: str, given: str, pair: tuple[float, str], unit: str) -> float:
    value, written = pair
    known = _known(field, unit)
    if written not in known or (value <= 0.0 and written in _ENERGIES and field in _WAVES):
        raise _refused(field, given)
    return float(known[written](value))


def _refused(field: str, given: str) -> FieldError:
    """Return the error that says how a field is written."""
    wanted = WRITTEN[field]
    allowed = [", ".join(filter(None, _known(field, unit))) for unit in dict.fromkeys(wanted)]
    count = "a number with its unit" if len(wanted) == 1 else f"{len(wanted)} numbers with units"
    example = _joined(["1"] * len(wanted), wanted)
    if field.endswith(".cell"):
        example = "70 80 90 A, 90 90 90 deg"
    return FieldError(field, given, f'{count}, such as "{example}" (units: {"; ".join(allowed)})')


def _joined(numbers: Sequence[str], wanted: Sequence[str]) -> str:
    """Return numbers with their units, each unit once."""
    parts = []
    for unit in dict.fromkeys(wanted):
        of_it = [n for n, u in zip(numbers, wanted, strict=True) if u == unit]
        parts.append(" ".join([*of_it, unit]))
    return ", ".join(parts)


def _text(field: str, value: Any) -> Any:
    """Return the value of a field as one writes it, or as it is where that loses a bit."""
    wanted = WRITTEN[field]
    values = value if isinstance(value, list) else [value]
    # Whole numbers stay: their fingerprint is not that of the same number with a point.
    if len(values) != len(wanted) or not all(type(x) is float for x in values):
        return value
    numbers = [_digits(field, x, unit) for x, unit in zip(values, wanted, strict=True)]
    written = [number for number in numbers if number is not None]
    return _joined(written, wanted) if len(written) == len(wanted) else value


def _digits(field: str, value: float, unit: str) -> str | None:
    """Return the shortest number of a unit that is ``value`` in SI, to the last bit."""
    convert = _known(field, unit)[unit]
    about = value / float(convert(1.0))
    for count in (6, 9, 12, 15, 16, _DIGITS):
        text = f"{about:.{count}g}"
        if float(convert(float(text))) == value:
            return text
    return None

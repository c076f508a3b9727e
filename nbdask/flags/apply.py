"""One flag -> fields of the builder."""

from __future__ import annotations

import math
from collections.abc import Callable

from nbdask import units
from nbdask.errors import FlagError
from nbdask.experiment.detector import PIVOTS
from nbdask.flags.builder import Builder
from nbdask.flags.convert import CONVERSIONS
from nbdask.flags.parse import Given


def apply(builder: Builder, given: Given) -> None:
    """Set what one flag sets.

    Raises
    ------
    FlagError
        A value that no field could hold.
    """
    flag = given.flag
    if given.extended:
        builder.note(f"{given.argv[0]} is taken as {flag.name}, as nanoBragg does")
    if flag.unused:
        builder.note(f"{given.text}: nanoBragg reads this and never uses it; so does nbdask")
    handler = _SPECIAL.get(flag.special)
    if handler is not None:
        handler(builder, given)
        return
    _set_targets(builder, given)
    _set_constants(builder, given)


def _set_constants(builder: Builder, given: Given) -> None:
    for field, value in given.flag.sets:
        builder.set(field, value, given.text)


def _set_targets(builder: Builder, given: Given) -> None:
    flag = given.flag
    if not flag.targets:
        return
    convert = CONVERSIONS[flag.convert]
    if flag.kind in ("file", "word"):
        value: object = given.values[0]
    elif len(given.values) > 1:
        value = tuple(convert(v) for v in given.values if not isinstance(v, str))
    else:
        number = given.values[0]
        assert not isinstance(number, str)
        if flag.convert == "ev" and number == 0.0:
            raise FlagError(f"{given.text}: must be a number above 0 (eV)")
        if flag.low is not None and number < flag.low:
            builder.note(f"{given.text}: taken as {flag.low}, as nanoBragg does")
            number = flag.low
        value = convert(number)
        unset = {"negative": number < 0, "below 1": number < 1, "zero": number == 0}
        if unset.get(flag.unset, False):
            value = None
            builder.note(f"{given.text}: counts as not given, as in nanoBragg")
    for target in flag.targets:
        builder.set(target, value, given.text)


def _numbers(given: Given) -> list[float]:
    return [value for value in given.values if not isinstance(value, str)]


def _cell(builder: Builder, given: Given) -> None:
    """Keep what an earlier -cell gave beyond the numbers of this one, as C does."""
    typed = list(builder.get("typed.cell", [0.0] * 6))
    numbers = _numbers(given)
    typed[: len(numbers)] = numbers
    builder.values["typed.cell"] = typed
    lengths = [
        units.from_angstrom(x if i == 0 or x != 0.0 else typed[0]) for i, x in enumerate(typed[:3])
    ]
    angles = [units.from_degrees(x) if x != 0.0 else math.pi / 2 for x in typed[3:]]
    builder.set("crystal.cell", (*lengths, *angles), given.text)


def _misset(builder: Builder, given: Given) -> None:
    builder.drop("quirk.misset_seed")
    if given.values[0] == "random":
        builder.set("crystal.misset", "random", given.text)
    else:
        angles = tuple(units.from_degrees(x) for x in _numbers(given))
        builder.set("crystal.misset", angles, given.text)


def _misset_seed(builder: Builder, given: Given) -> None:
    builder.set("crystal.misset_seed", given.values[0], given.text)
    if given.following >= 3:
        builder.set("quirk.misset_seed", True, given.text)


def _detector_abs(builder: Builder, given: Given) -> None:
    depth = given.values[0]
    if depth == "inf" or depth == 0.0:
        builder.set("detector.thickness", 0.0, given.text)
        builder.set("detector.attenuation", 0.0, given.text)
        return
    assert not isinstance(depth, str)
    if depth < 0.0:
        raise FlagError(f"{given.text}: must be a depth above 0 (um), or inf")
    builder.set("detector.attenuation", 1.0 / units.from_um(depth), given.text)


def _twotheta_axis(builder: Builder, given: Given) -> None:
    _set_targets(builder, given)
    _set_constants(builder, given)
    builder.set("detector.twotheta", units.from_degrees(_numbers(given)[0]), given.text)


def _pix0_vector(builder: Builder, given: Given) -> None:
    _set_constants(builder, given)
    builder.note(
        f"{given.text}: only selects the CUSTOM convention, its numbers are ignored as in"
        " nanoBragg; --pix0-vector-mm x y z places the detector"
    )


def _pivot(builder: Builder, given: Given) -> None:
    value = given.values[0]
    if value not in PIVOTS:
        raise FlagError(f"{given.text}: must be {' or '.join(PIVOTS)}")
    builder.set("pivot", value, given.text)
    builder.set("explicit.pivot", value, given.text)


def _curved(builder: Builder, given: Given) -> None:
    if given.following == 0:
        builder.note(
            f"{given.text}: ignored as the last argument, as in nanoBragg; put another flag"
            " after it"
        )
        return
    _set_constants(builder, given)


def _roi(builder: Builder, given: Given) -> None:
    """Keep the four numbers; what they mean depends on the final detector."""
    builder.set("roi", given.values, given.text)


_SPECIAL: dict[str, Callable[[Builder, Given], None]] = {
    "cell": _cell,
    "misset": _misset,
    "misset_seed": _misset_seed,
    "detector_abs": _detector_abs,
    "twotheta_axis": _twotheta_axis,
    "pix0_vector": _pix0_vector,
    "pivot": _pivot,
    "curved": _curved,
    "roi": _roi,
}

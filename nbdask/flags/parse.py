"""Arguments -> flags with their values, by the table alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from nbdask.errors import FlagError, nearest
from nbdask.flags.option_ways import option_way
from nbdask.flags.row import Flag
from nbdask.flags.table import BY_NAME, STEMS
from nbdask.flags.ways import WAYS, stray_way
from nbdask.inputs.text import to_number

Value = float | int | str

_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:inf(?:inity)?|nan)", re.IGNORECASE)
#: C's int, in which nanoBragg holds every whole number.
_MAX_WHOLE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Given:
    """One flag as the user gave it.

    Attributes
    ----------
    flag : Flag
    argv : tuple of str
        The flag and its values, as typed.
    values : tuple of float, int or str
        Converted to their kind, not to SI.
    following : int
        How many arguments follow the flag in the whole list.
    extended : bool
        The argument is longer than any spelling of the table.
    """

    flag: Flag
    argv: tuple[str, ...]
    values: tuple[Value, ...]
    following: int
    extended: bool

    @property
    def text(self) -> str:
        """The arguments as typed."""
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Arguments that are no flag, or no value of one.

    Attributes
    ----------
    argv : tuple of str
    reason : str
        What is wrong with them, for a message.
    ignored : bool
        nanoBragg's image is the same without them.
    """

    argv: tuple[str, ...]
    reason: str
    ignored: bool

    @property
    def text(self) -> str:
        """The arguments as typed."""
        return " ".join(self.argv)


def parse(argv: Sequence[str], *, ignore_unknown: bool = False) -> list[Given]:
    """Turn a nanoBragg argument list into flags with values.

    Parameters
    ----------
    argv : sequence of str
        Without the program's name.
    ignore_unknown : bool
        Pass over unknown flags and stray arguments that nanoBragg ignores.

    Returns
    -------
    list of Given
        In the order given.

    Raises
    ------
    FlagError
        Unknown flags and stray arguments, all of them; a missing value, or one of the wrong type.
    """
    found, unknown = parse_all(argv)
    if ignore_unknown:
        unknown = [item for item in unknown if not item.ignored]
    if unknown:
        raise FlagError(_refusal(unknown))
    return found


def parse_all(argv: Sequence[str]) -> tuple[list[Given], list[Unknown]]:
    """Return the flags with values, as :func:`parse`, and what is unknown."""
    result: list[Given] = []
    unknown: list[Unknown] = []
    index = 0
    while index < len(argv):
        arg = argv[index]
        found = _match(arg)
        if found is None:
            end = index + 1
            # What follows an unknown flag may be its values.
            while end < len(argv) and not _is_flag_like(argv[end]):
                end += 1
            reason = _what_is_wrong(arg, result[-1] if result else None)
            unknown.append(Unknown(tuple(argv[index:end]), reason, not _read_by_c(arg)))
            index = end
            continue
        flag, extended = found
        taken = _take(flag, arg, argv[index + 1 :])
        values = tuple(_typed(flag, arg, name, text) for name, text in taken)
        texts = tuple(text for _, text in taken)
        result.append(Given(flag, (arg, *texts), values, len(argv) - index - 1, extended))
        index += 1 + len(taken)
    return result, unknown


def _read_by_c(arg: str) -> bool:
    """Whether nanoBragg, which looks for flags inside arguments, finds one in an unknown one."""
    return arg.startswith("-") and any(stem in arg for stem, _ in STEMS)


def _refusal(unknown: Sequence[Unknown]) -> str:
    """Return the one line about everything that is unknown."""
    text = ""
    for reason in dict.fromkeys(item.reason for item in unknown):
        text += (" " if text.endswith("?") else "; " if text else "") + reason
    # An option of nbdask is meant: the image without it is another.
    left = [item for item in unknown if item.ignored and option_way(item.argv[0]) is None]
    ignored = list(dict.fromkeys(item.text for item in left))
    if not ignored:
        return text
    one = len(ignored) == 1
    what, pronoun = ", ".join(ignored), "it" if one else "them"
    return (
        f"{text}{' ' if text.endswith('?') else '; '}nanoBragg ignores {what}: leave {pronoun} out"
        " for the same image, or give --ignore-unknown"
    )


def is_flag(arg: str) -> bool:
    """Whether nanoBragg takes an argument as one of its flags."""
    return _match(arg) is not None


def _match(arg: str) -> tuple[Flag, bool] | None:
    if arg in BY_NAME:
        return BY_NAME[arg], False
    for stem, flag in STEMS:
        if arg.startswith(stem):
            return flag, True
    return None


def _is_flag_like(arg: str) -> bool:
    return arg.startswith("-") and to_number(arg) is None and not _NOT_FINITE.fullmatch(arg)


def _take(flag: Flag, arg: str, rest: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, text) of the values that belong to ``flag``."""
    names = flag.values
    if flag.special == "misset" and rest and "rand" in rest[0] and not _is_flag_like(rest[0]):
        names = names[:1]
    required = len(names) - flag.optional
    taken: list[tuple[str, str]] = []
    for position, name in enumerate(names):
        text = rest[position] if position < len(rest) else None
        if position >= required:
            # nanoBragg ends the list at any argument with a minus sign, a negative number too.
            if text is None or text.startswith("-"):
                break
        elif text is None or text == "" or _is_flag_like(text):
            raise _missing(flag, arg, taken, text)
        taken.append((name, text))
    return taken


def _missing(flag: Flag, arg: str, taken: list[tuple[str, str]], text: str | None) -> FlagError:
    shown = " ".join([arg, *(t for _, t in taken)])
    what = f"{flag.usage}" + (f" ({flag.unit})" if flag.unit else "")
    stands = "at the end" if text is None else f"before {text!r}"
    return FlagError(f"{shown}: value missing {stands}: must be {what}")


def _typed(flag: Flag, arg: str, name: str, text: str) -> Value:
    unit = f" ({flag.unit})" if flag.unit else ""
    if flag.kind in ("file", "word"):
        return text
    if flag.special == "misset" and "rand" in text:
        return "random"
    if flag.kind == "whole":
        if _WHOLE.fullmatch(text) is not None and abs(float(text)) > _MAX_WHOLE:
            raise FlagError(f"{arg}: {name} is {text}: must be at most {_MAX_WHOLE}{unit}")
        if _WHOLE.fullmatch(text) is None:
            raise FlagError(f"{arg}: {name} is {text!r}: must be a whole number{unit}")
        return int(text.split(".")[0])
    if flag.special == "detector_abs" and text.lower().startswith("inf"):
        return "inf"
    number = to_number(text)
    if number is None:
        raise FlagError(f"{arg}: {name} is {text!r}: must be a finite number{unit}")
    return number


def _what_is_wrong(arg: str, before: Given | None) -> str:
    if not arg.startswith("-") or to_number(arg) is not None:
        way = stray_way(arg)
        if way is not None:
            return f"stray argument {arg!r}: {way}"
        if before is None:
            return f"stray argument {arg!r} at the start: must be a flag, such as -cell"
        return (
            f"stray argument {arg!r} after {before.text}: {before.flag.name} is used as"
            f" '{before.flag.usage}'"
        )
    way = option_way(arg)
    if way is not None:
        return way
    if arg in WAYS:
        return f"unknown flag {arg}: {WAYS[arg]}"
    latin = "".join(_latin(letter) for letter in arg)
    near = nearest(latin, BY_NAME, most=3)
    hint = f": did you mean {' or '.join(near)}?" if near else ": nbdask flags lists all flags"
    return f"unknown flag {arg}{hint}"


def _latin(letter: str) -> str:
    """Return a Greek letter's name, as flags spell it; anything else as it is."""
    name = unicodedata.name(letter, "")
    if not name.startswith("GREEK "):
        return letter
    return name.split()[-1].lower().replace("lamda", "lambda")

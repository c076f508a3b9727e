"""Exception classes: one base, few kinds, each message ready to be shown to a user.

A message says what was given, what is allowed, and which flag or field to change.  The command
line prints the message alone, on one line, and ends with :attr:`NbdaskError.exit_code`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
#: Options of the command line that in Python are fields of ``jobs=JobOptions(...)``.
_OF_JOBS = frozenset(
    {"memory", "walltime", "queue", "account", "job-extra", "adapt", "processes", "profile"}
)
#: Share of letters that two words must have in common for the one to be suggested for the other.
_NEAR = 0.65
#: Characters of a refused value that a message shows.
_SHOWN = 200


#: Tiles of which a message tells the errors.
_MOST_TOLD = 20


class NbdaskError(Exception):
    """Base of every error that nbdask raises for a reason that its user can act upon."""

    exit_code = 2


class InputError(NbdaskError, ValueError):
    """A value, flag or combination of values that cannot be simulated."""


class FieldError(InputError):
    """A field of an experiment that holds a value outside what is allowed.

    Parameters
    ----------
    field : str
        Dotted name, for instance ``"crystal.cell"``.  The command line turns it into the flag.
    given : object
        The refused value, as the user gave it or as it was converted.
    allowed : str
        What is allowed, as a short phrase.
    """

    def __init__(self, field: str, given: object, allowed: str) -> None:
        self.field = field
        self.given = given
        self.allowed = allowed
        super().__init__(f"{field} = {shown(given)}: must be {allowed}")

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the three parts, so that the error crosses process borders whole."""
        return (type(self), (self.field, self.given, self.allowed))


def shown(given: object) -> str:
    """Return a value for a message: as Python writes it, on one line, cut where it is long."""
    try:
        text = re.sub(r"\s*\n\s*", " ", repr(given))
    except (ValueError, RecursionError):  # thousands of digits; brackets in brackets
        return f"a {type(given).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def counted(number: int, what: str, many: str = "s") -> str:
    """Return a number with what it counts: 1 tile, 2 tiles; ``many`` is added to make several."""
    return f"{number} {what}{many if number != 1 else ''}"


class FlagError(InputError):
    """A nanoBragg argument that cannot be understood."""


class InputFileError(InputError):
    """An input file that is missing, unreadable or malformed."""


class StoreError(NbdaskError):
    """A result store that is missing, exists already, or is not what it should be."""


class PlanError(InputError):
    """A plan (tiles, step ranges, memory) that cannot be carried out."""


class ClusterError(NbdaskError):
    """A cluster that cannot be started or reached."""


class BackendError(NbdaskError):
    """A kernel that cannot run here (missing package, missing device)."""


class SemanticsError(InputError):
    """A simulation whose result nanoBragg C leaves undefined, asked for with its semantics."""


class UnfinishedError(NbdaskError):
    """Tiles that failed on every try; all others are done, and --resume tries these again.

    Parameters
    ----------
    tiles : sequence of str
        The last error of each, which names it.
    """

    exit_code = 1

    def __init__(self, tiles: Sequence[str]) -> None:
        self.tiles = tuple(tiles)
        super().__init__(
            f"{counted(len(self.tiles), 'tile')} failed on every try, all others are done;"
            " --resume tries"
            f" them again: {'; '.join(self.tiles[:_MOST_TOLD])}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the list."""
        return (type(self), (self.tiles,))


def in_python(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function's errors tell users of Python which arguments the options named are.

    The note is part of the traceback, not of the message, so the command line does not show it.
    """

    @wraps(function)
    def called(*args: _P.args, **keywords: _P.kwargs) -> _R:
        """Call the function, and note the arguments' names on its errors."""
        try:
            return function(*args, **keywords)
        except NbdaskError as error:
            names = dict.fromkeys(re.findall(r"(?<!\S)--([a-z][a-z-]*[a-z])", str(error)))
            if names:
                error.add_note("In Python: " + ", ".join(map(_argument, names)))
            raise

    return called


def _argument(name: str) -> str:
    python = name.replace("-", "_")
    spelt = f"jobs=JobOptions({python}=...)" if name in _OF_JOBS else f"{python}=..."
    return f"--{name} is {spelt}"


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known words for which a wrong one may have been meant, best first.

    Dashes at the start and capitals do not count.  A known word is near where it begins with the
    wrong one, or most of their letters agree.

    Parameters
    ----------
    word : str
    known : iterable of str
    most : int
        Longest list.

    Returns
    -------
    list of str
        Empty where none is near.
    """
    import difflib

    short = word.lstrip("-").casefold()
    scores: list[tuple[bool, float, str]] = []
    for name in known:
        other = name.lstrip("-").casefold()
        score = difflib.SequenceMatcher(None, other, short).ratio()
        if other == short:
            return [name]
        begins = len(short) > 2 and other.startswith(short)
        if begins or score >= _NEAR:
            scores.append((begins, score, name))
    scores.sort(key=lambda item: item[:2], reverse=True)
    return [name for *_, name in scores[:most]]


def nearest_dotted(word: str, known: Iterable[str]) -> list[str]:
    """Return the dotted name for which a wrong one may have been meant.

    Parameters
    ----------
    word : str
        Such as ``distance`` for ``detector.distance``, or ``cell`` for what begins with
        ``crystal.cell``.
    known : iterable of str

    Returns
    -------
    list of str
        The one name, or beginning of names, that ends with the word; else as :func:`nearest`.
    """
    names, part = tuple(known), f".{word.casefold()}."
    places = {name: f"{name}.".casefold().find(part) for name in names}
    ends = {name[: at + len(part) - 1] for name, at in places.items() if at > 0}
    return list(ends) if len(ends) == 1 else nearest(word, names)

"""One row of the flag table."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of values: finite number, whole number, path of a file, word.
KINDS = ("number", "whole", "file", "word")


@dataclass(frozen=True, slots=True)
class Flag:
    """One nanoBragg flag: how it is spelled, what it takes, what it sets, what to say about it.

    Parameters
    ----------
    names : tuple of str
        Spellings that match exactly and without remark; the first is the main one.
    help : str
        What it does, for users.
    group : str
        Heading of the help text.
    values : tuple of str
        Names of the values that follow.
    kind : str
        One of ``KINDS``.
    unit : str
        Unit of the values.
    stems : tuple of str
        nanoBragg looks for these inside the argument: a longer one that begins with one is taken as
        this flag, with a remark.  By default the names, in the table.
    exact : bool
        Only the names match: there are no stems.
    targets : tuple of str
        Dotted fields that receive the value: of the experiment (``detector.distance``), of the
        outputs (``outputs.scale``), of the input files (``files.hkl``), or ``pivot``.  Several
        values go to the target as a tuple, one value to each target.
    convert : str
        Name of the conversion to SI; by default that of the unit, in the table.
    sets : tuple of (str, object)
        Further fields that the flag sets, whatever its values.
    optional : int
        How many of the last values may be missing.
    low : int or None
        What smaller whole numbers are taken for, with a remark.
    unset : str
        Which values mean "not given": ``"negative"``, ``"below 1"``, ``"zero"`` or none ("").
    special : str
        Name of the handler of a flag that does more than to set its targets.
    default : str
        What happens without the flag.
    note : str
        What nanoBragg C does that a user would not expect.
    unused : bool
        nanoBragg reads the values and never uses them.
    reads : str
        Field of the experiment that the flag is written back from; by default its one target.
    back : str
        When the flag is written back: ``""`` where the field does not hold its default,
        ``"always"``, ``"never"`` (another flag says it), or the name of a handler.
    """

    names: tuple[str, ...]
    help: str
    group: str = ""
    values: tuple[str, ...] = ()
    kind: str = "number"
    unit: str = ""
    stems: tuple[str, ...] = ()
    exact: bool = False
    targets: tuple[str, ...] = ()
    convert: str = ""
    sets: tuple[tuple[str, object], ...] = ()
    optional: int = 0
    low: int | None = None
    unset: str = ""
    special: str = ""
    default: str = ""
    note: str = ""
    unused: bool = False
    reads: str = ""
    back: str = ""

    @property
    def name(self) -> str:
        """The main spelling."""
        return self.names[0]

    @property
    def match(self) -> str:
        """How arguments match: ``"exact"`` or ``"extends"`` (longer spellings too)."""
        return "extends" if self.stems else "exact"

    @property
    def usage(self) -> str:
        """Main spelling and values, for instance ``-roi xmin xmax ymin ymax``."""
        required = self.values[: len(self.values) - self.optional]
        extra = self.values[len(required) :]
        return " ".join([self.name, *required, *(f"[{name}]" for name in extra)])

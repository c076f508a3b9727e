"""The table as text: for ``--help`` and for the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from nbdask.flags.row import Flag
from nbdask.flags.table import BY_NAME, GROUPS, TABLE

_WIDTH = 96
_INDENT = 28

_INTRODUCTION = """\
# nanoBragg flags

Every flag of nanoBragg with its unit and default, from the table that parsing and `--help` use too.

nbdask takes the flags unchanged: one dash, the values after a blank, later flags win.
Units are those of the table; inside, everything is SI. Flags with two dashes are nbdask's own.

- Where the table says "longer spellings too", a longer argument (`-wavelength`, `-pixel_size`) is
  taken as that flag, with a remark: nanoBragg looks for such flags *inside* an argument. The others
  match exactly.
- Unknown flags, stray arguments, missing values and wrong types are errors here, not in nanoBragg.
- Headers are read first, that of `-mask` and then that of `-img`; flags override them.
- Without `-fluence` or `-flux` the fluence is nanoBragg's, 1.259e29 photons/m^2 = 1/r_e^2, more
  than any real beam has: give one of them before noise is added.
- What nanoBragg reads and never uses is accepted, with a note.
- Nothing is picked up unasked from the working directory: `Fdump.bin` is read only with `-dump`.
"""


def help_text(words: Sequence[str] = (), width: int = _WIDTH) -> str:
    """Return the list of flags for people.

    Parameters
    ----------
    words : sequence of str
        Only flags whose names, group, unit or text hold all of these; capitals do not count.
    width : int
        Columns of a line.

    Returns
    -------
    str
        Empty where no flag is left.
    """
    lines: list[str] = []
    for group in GROUPS:
        found = [flag for flag in TABLE if flag.group == group and _has(flag, words)]
        if found:
            lines += [
                "",
                f"{group}:",
                *(line for flag in found for line in _help_lines(flag, width)),
            ]
    return "\n".join(lines[1:]) + "\n" if lines else ""


def _has(flag: Flag, words: Sequence[str]) -> bool:
    text = " ".join([*flag.names, flag.group, *flag.values, _sentence(flag), flag.note]).casefold()
    return all(word.casefold() in text for word in words)


def flag_values() -> list[dict[str, object]]:
    """Return the table as JSON-able values, one object for each flag."""
    return [
        {
            "flags": list(flag.names),
            "group": flag.group,
            "values": flag.usage.split()[1:],
            "unit": flag.unit,
            "meaning": flag.help,
            "default": flag.default,
            "matching": flag.match,
            "nanobragg": flag.note or ("reads it and never uses it" if flag.unused else ""),
        }
        for flag in TABLE
    ]


def first_lines(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return usage and meaning of some flags, for the help of a command."""
    return [(BY_NAME[name].usage, _sentence(BY_NAME[name])) for name in names]


def _help_lines(flag: Flag, width: int) -> list[str]:
    usage = "  " + flag.usage
    text = _sentence(flag)
    others = ", ".join(flag.names[1:])
    if others:
        text += f" (also {others})"
    body = textwrap.wrap(
        text, max(width, 60) - _INDENT, break_on_hyphens=False, break_long_words=False
    )
    lines = [" " * _INDENT + line for line in body]
    if len(usage) <= _INDENT - 2:
        lines[0] = usage.ljust(_INDENT) + body[0]
        return lines
    return [usage, *lines]


def _sentence(flag: Flag) -> str:
    text = flag.help
    if flag.unit:
        text += f" [{flag.unit}]"
    if flag.default:
        text += f"; default: {flag.default}"
    if flag.unused:
        text += "; read and never used"
    return text


def flags_page() -> str:
    """Return the documentation page of the flags, as Markdown."""
    parts = [_INTRODUCTION]
    for group in GROUPS:
        parts += [f"\n## {group}\n"]
        parts += ["| flag | values | unit | meaning | default | matching | nanoBragg C |"]
        parts += ["|---|---|---|---|---|---|---|"]
        parts += [_row(flag) for flag in TABLE if flag.group == group]
    return "\n".join(parts) + "\n"


def _row(flag: Flag) -> str:
    spellings = "<br>".join(f"`{name}`" for name in flag.names)
    values = " ".join(flag.usage.split()[1:]).replace("|", "\\|")
    matching = "exact" if flag.match == "exact" else "longer spellings too"
    note = flag.note or ("reads it and never uses it" if flag.unused else "")
    cells = (spellings, values, flag.unit, flag.help, flag.default, matching, note)
    return "| " + " | ".join(cells) + " |"

"""The table as text: for ``--help`` and for the documentation."""

from __future__ import annotations

import textwrap

from nbdask.flags.row import Flag
from nbdask.flags.table import GROUPS, TABLE

_WIDTH = 96
_INDENT = 28

_INTRODUCTION = """\
# nanoBragg flags

This page is generated from the table that also drives parsing and `--help`.

nbdask takes nanoBragg's flags unchanged: one dash, the values after a blank, later flags win.
Units are those of the table; inside, everything is SI. Flags with two dashes are nbdask's own.

- Where the table says "longer spellings too", a longer argument (`-wavelength`, `-pixel_size`) is
  taken as that flag, with a remark: nanoBragg looks for such flags *inside* an argument. The others
  match exactly.
- Unknown flags, stray arguments, missing values and wrong types are errors here, not in nanoBragg.
- Headers are read first, that of `-mask` and then that of `-img`; flags override them.
- What nanoBragg reads and never uses is accepted, with a note.
- Nothing is picked up unasked from the working directory: `Fdump.bin` is read only with `-dump`.
"""


def help_text() -> str:
    """Return the list of flags for ``--help``, at most 96 columns wide."""
    lines: list[str] = []
    for group in GROUPS:
        lines += ["", f"{group}:"]
        for flag in TABLE:
            if flag.group == group:
                lines += _help_lines(flag)
    return "\n".join(lines[1:]) + "\n"


def _help_lines(flag: Flag) -> list[str]:
    usage = "  " + flag.usage
    text = _sentence(flag)
    others = ", ".join(flag.names[1:])
    if others:
        text += f" (also {others})"
    body = textwrap.wrap(text, _WIDTH - _INDENT, break_on_hyphens=False, break_long_words=False)
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

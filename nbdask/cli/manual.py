"""``nbdask manual``: the manual page, from the tables that also make the help."""

from __future__ import annotations

import inspect
import re

import click

from nbdask.cli.catalogue import commands, groups_of
from nbdask.cli.groups import GroupedCommand
from nbdask.flags.table import GROUPS, TABLE
from nbdask.version import __version__

#: Exit code -> what it means, as docs/exit-codes.md has them.
EXIT_CODES = {
    0: "done; of a question: yes",
    1: "something failed on the way; of a question: no",
    2: "refused because of what was given; nothing was written",
    3: "parity, compare: beyond a threshold",
    4: "parity, compare: the shapes differ",
    70: "an error of nbdask itself",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM",
}


@click.command(name="manual", cls=GroupedCommand)
def command() -> None:
    """Print the manual page of all commands: nbdask manual > nbdask.1 && man ./nbdask.1."""
    from nbdask.cli.main import SUBCOMMANDS, nbdask

    lines = [
        f'.TH NBDASK 1 "" "nbdask {__version__}"',
        ".SH NAME",
        f"nbdask \\- {_text((nbdask.help or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B nbdask",
        "COMMAND [OPTIONS] [NANOBRAGG FLAGS]",
        ".SH COMMANDS",
    ]
    for name, text, known in commands(SUBCOMMANDS):
        lines += _section(name, text, known)
    lines.append(".SH NANOBRAGG FLAGS")
    for group in GROUPS:
        lines.append(f".SS {group}")
        for flag in TABLE:
            if flag.group == group:
                unit = f" [{flag.unit}]" if flag.unit else ""
                also = f" Also {', '.join(flag.names[1:])}." if len(flag.names) > 1 else ""
                lines += _entry(flag.usage, f"{flag.help}{unit}.{also}")
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES.items():
        lines += _entry(str(code), meaning)
    click.echo("\n".join(lines))


def _section(name: str, text: str, known: click.Command) -> list[str]:
    """Return a command's part of the page."""
    help_text = inspect.cleandoc(known.help or text).replace("\b", "")
    lines = [f".SS nbdask {name}"]
    for paragraph in re.split(r"\n\s*\n", help_text):
        lines += [".PP", *(_text(line) for line in paragraph.strip("\n").splitlines())]
    context = click.Context(known, info_name=name)
    for group, options in groups_of(known).items():
        lines += [".PP", f".I {group}"]
        for option in options:
            record = option.get_help_record(context)
            if record is not None:
                lines += _entry(*record)
    return lines


def _entry(term: str, text: str) -> list[str]:
    return [".TP", f".B {_text(term)}", _text(text)]


def _text(text: str) -> str:
    """Return a text in which no character means anything to troff."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain

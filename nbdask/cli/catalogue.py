"""All commands with their options and flags, as completion and manual list them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import NamedTuple

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.flags.table import TABLE


class Word(NamedTuple):
    """An option of nbdask or a flag of nanoBragg, with what may follow it."""

    names: tuple[str, ...]
    help: str
    values: tuple[str, ...]
    takes_value: bool


def commands(about: dict[str, str]) -> Iterator[tuple[str, str, click.Command]]:
    """Yield name, meaning and click command of each subcommand."""
    for name, text in about.items():
        command = importlib.import_module(f"nbdask.cli.{name}").command
        assert isinstance(command, click.Command)
        yield name, text, command


def groups_of(command: click.Command) -> dict[str, list[click.Option]]:
    """Return a command's options by group."""
    if isinstance(command, GroupedCommand):
        return command.grouped()
    return {"Options": [param for param in command.params if isinstance(param, click.Option)]}


def options(command: click.Command) -> list[Word]:
    """Return a command's options in the order of its help."""
    found = [option for group in groups_of(command).values() for option in group]
    if isinstance(command, GroupedCommand):
        found += command.part_options()
    return [_word(option) for option in found] + [Word(("--help",), "Show the help.", (), False)]


def arguments(command: click.Command) -> tuple[str, ...]:
    """Return what may be given as the first argument of a command, where that is a list."""
    kinds = [param.type for param in command.params if isinstance(param, click.Argument)]
    return tuple(kinds[0].choices) if kinds and isinstance(kinds[0], click.Choice) else ()


def flags(command: click.Command) -> list[Word]:
    """Return the flags of nanoBragg that a command takes."""
    if not getattr(command, "takes_flags", False):
        return []
    return [Word(flag.names, flag.help, (), bool(flag.values)) for flag in TABLE]


def _word(option: click.Option) -> Word:
    values = tuple(option.type.choices) if isinstance(option.type, click.Choice) else ()
    takes = not (option.is_flag or option.count)
    return Word((*option.opts, *option.secondary_opts), option.help or "", values, takes)

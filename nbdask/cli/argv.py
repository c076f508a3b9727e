"""Commands that take nanoBragg flags (one dash) next to nbdask's own options (two dashes)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.errors import nearest

#: Key of ``click.Context.meta`` for the nanoBragg arguments.
ARGV = "nbdask.argv"
#: Key under which the whole command line is kept, for the record.
COMMAND_LINE = "nbdask.command_line"


class FlagCommand(GroupedCommand):
    """A click command that sets the nanoBragg arguments aside before click parses the rest."""

    takes_flags = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split ``args``; the arguments go to ``ctx.meta``, the options to click."""
        params = self.get_params(ctx)
        own, argv = split_argv(explicit_resume(args), params, ctx.command_path)
        check_dashes(argv, [name for p in params for name in p.opts])
        ctx.meta[ARGV] = argv
        ctx.meta[COMMAND_LINE] = [*ctx.command_path.split(), *args]
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show where the nanoBragg flags go."""
        return ["[NANOBRAGG FLAGS]", *super().collect_usage_pieces(ctx)]


def explicit_resume(args: Sequence[str]) -> list[str]:
    """Return arguments in which a bare ``--resume`` has the value that it stands for.

    So it never takes the argument behind it for its own.
    """
    if ("--resume", "verify") in pairwise(args):
        raise click.UsageError("--resume verify: must be --resume=verify, with an equals sign")
    return ["--resume=missing" if word == "--resume" else word for word in args]


def check_dashes(argv: Sequence[str], known: Sequence[str]) -> None:
    """Refuse one of nbdask's own options that was written with a single dash.

    Parameters
    ----------
    argv : sequence of str
        Arguments taken for nanoBragg's.
    known : sequence of str
        The command's own options.

    Raises
    ------
    click.UsageError
    """
    for arg in argv:
        if arg.startswith("-") and f"-{arg}" in known:
            from nbdask.flags.parse import is_flag

            if not is_flag(arg):
                raise click.UsageError(f"unknown flag {arg}: did you mean -{arg}?")


def no_such_option(name: str, known: Iterable[str], command: str) -> click.UsageError:
    """Return the error of an unknown option, with the nearest one.

    Parameters
    ----------
    name : str
        The option as given.
    known : iterable of str
        Those of the command.
    command : str
        As it is called, such as ``nbdask simulate``.
    """
    from nbdask.flags.ways import WAYS

    options = tuple(known)
    close = nearest(name, options)
    hint = f"did you mean {close[0]}?" if close else f"see {command} --help"
    # What other programs call it, where this command has what does it.
    way = WAYS.get(name[1:], "")
    if not close and way.partition(" ")[0] in options:
        hint = way
    return click.UsageError(f"no such option: {name} ({hint})")


def split_argv(
    args: Sequence[str], params: Sequence[click.Parameter], command: str = "nbdask simulate"
) -> tuple[list[str], list[str]]:
    """Separate nbdask's own options from nanoBragg arguments, whatever their order.

    Parameters
    ----------
    args : sequence of str
    params : sequence of click.Parameter
        The command's parameters; they tell how many values an option takes.
    command : str
        As it is called, for messages.

    Returns
    -------
    own, argv : list of str

    Raises
    ------
    click.UsageError
        An unknown option with two dashes, or one whose value is missing.
    """
    options = {name: p for p in params for name in (*p.opts, *p.secondary_opts)}
    own: list[str] = []
    argv: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg in ("-h", "-help"):
            arg = "--help"
        if re.fullmatch("-v+", arg) and "-v" in options:
            own.append(arg)
            continue
        if not arg.startswith("--"):
            argv.append(arg)
            continue
        name, equals, _ = arg.partition("=")
        option = options.get(name)
        if option is None:
            raise no_such_option(name, options, command)
        own.append(arg)
        count = 0 if equals or getattr(option, "is_flag", False) else option.nargs
        if name == "--help":
            count = 0
        values = rest[:count]
        if len(values) < count or any(v.startswith("--") for v in values):
            raise click.UsageError(f"option {name} needs {count} value{'s' * (count > 1)}")
        own += values
        del rest[:count]
    return own, argv

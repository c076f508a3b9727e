"""The ``nbdask`` command: finds the subcommand, runs it, turns errors into one line."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from nbdask.cli import logs
from nbdask.cli.argv import no_such_option
from nbdask.cli.crash import report_crash
from nbdask.cli.jsonlines import is_wanted, json_lines
from nbdask.cli.startup import claim_process, how_ended
from nbdask.cli.streams import claim_streams
from nbdask.errors import FieldError, NbdaskError, nearest
from nbdask.version import __version__, commit

#: Subcommand -> module of ``nbdask.cli`` that holds a click command named ``command``.
SUBCOMMANDS = {
    "simulate": "Simulate images from nanoBragg flags into a zarr store.",
    "info": "Show what a store holds and how it was made.",
    "export": "Write images to files: SMV, PGM, NeXus, CBF, TIFF, CXI, .expt, float.",
    "noise": "Add photon noise and detector effects to the image of a store.",
    "verify": "Read every tile of a store against its checksum.",
    "repair": "Recompute missing and corrupt tiles of a store.",
    "status": "Say how far a store is, and which shards are missing.",
    "finish": "Close a store that shards have filled.",
    "preview": "Draw a picture of a store's image.",
    "view": "Look at a store in the browser.",
    "pyramid": "Add coarser levels of the image to a store.",
    "truth": "Tell what is true of images: crystal, beam, every reflection.",
    "parity": "Compare an image with the nanoBragg C program.",
    "compare": "Compare two results.",
    "example": "Simulate a bundled example crystal and draw it.",
    "flags": "List the nanoBragg flags.",
    "amplitudes": "Make and inspect structure factors of a model or reflection file.",
    "geometry": "Say what a geometry file holds, draw it, convert it.",
    "trace": "Show every intermediate value of one pixel, and where C's first differs.",
    "parameters": "List the numbers of an experiment that can be refined.",
    "fit": "Refine numbers of an experiment against images.",
    "calibrate": "Measure this machine's kernel speed for the planner.",
    "completion": "Print a script by which a shell completes commands and flags.",
    "manual": "Print the manual page.",
}


#: Exit code -> how ``--log json`` calls it.
_STATUS = {0: "complete", 130: "interrupted", 143: "terminated"}


class _Group(click.Group):
    """Subcommands whose modules are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand's module."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(f"nbdask.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Catch nanoBragg flags that were given without a subcommand."""
        if args and args[0] == "-h":
            args = ["--help", *args[1:]]
        if args and args[0].startswith("-") and not args[0].startswith("--"):
            raise click.UsageError(
                f"{args[0]} without a subcommand: write nbdask simulate {args[0]} ..."
            )
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or suggest one."""
        if args[0] not in SUBCOMMANDS:
            hint = _nearest(args[0], list(SUBCOMMANDS))
            raise click.UsageError(f"no such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


def _nearest(word: str, known: Sequence[str]) -> str:
    close = nearest(word, known)
    return f"Did you mean {close[0]}?" if close else "Commands: " + ", ".join(known) + "."


_COMMIT = commit()


@click.command(
    cls=_Group,
    name="nbdask",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
@click.version_option(
    __version__,
    prog_name="nbdask",
    message="%(prog)s, version %(version)s" + (f", commit {_COMMIT}" if _COMMIT else ""),
)
def nbdask() -> None:
    """X-ray diffraction images of nanocrystals on pixel detectors of any size."""


def _unknown_option(error: click.NoSuchOption) -> str:
    """Word the error of an unknown option, with the nearest one of its command."""
    ctx = error.ctx
    if ctx is None:
        return error.format_message()
    known = [name for param in ctx.command.params for name in param.opts]
    return no_such_option(error.option_name, known, ctx.command_path).format_message()


def _say(message: str) -> None:
    """Print an error as one line on standard error."""
    text = " ".join(str(message).split())
    print("nbdask: error: " + text, file=sys.stderr)
    logs.note(text, logging.ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments after the program's name; None: those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 2 refused because of what was given, 1 failed, 130 interrupted
        (Ctrl-C), 143 terminated (SIGTERM).  :func:`entry` adds 70: an error of nbdask itself.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        return _with_events(words)
    finally:
        logs.end()


def _with_events(words: list[str]) -> int:
    """Run the command line; with --log json, standard error is made of events."""
    if not is_wanted(words):
        return _main(words)
    with json_lines() as lines:
        code = _main(words)
        if not lines.ended:
            lines.event("end", status=_STATUS.get(code, "failed"), exit_code=code)
        return code


def _main(words: list[str]) -> int:
    """Run the command line, and turn errors into one line."""
    try:
        if any("\0" in word for word in words):
            raise click.UsageError("a word holds the character of code 0: leave it out")
        result = nbdask.main(args=words, prog_name="nbdask", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 0
    except click.NoSuchOption as error:
        _say(_unknown_option(error))
        return 2
    except click.ClickException as error:
        _say(error.format_message())
        return 2
    except (click.Abort, KeyboardInterrupt) as error:
        word, code = how_ended(error)
        print(f"nbdask: {word}", file=sys.stderr)
        return code
    except FieldError as error:
        from nbdask.flags import in_flags

        _say(in_flags(error))
        return error.exit_code
    except NbdaskError as error:
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; keep the interpreter from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _say(f"{error.filename or 'system'}: {error.strerror or error}")
        return 1
    except MemoryError as error:
        _say(f"not enough memory: {str(error) or 'smaller tiles (--tile) need less'}")
        return 1
    except ValueError as error:
        # dask reads its configuration when it is imported, wherever that is.
        if not str(error).startswith("A dask config file at"):
            raise
        _say(str(error))
        return 2


def entry() -> NoReturn:
    """Run the command line as a separate process.

    Garbage is collected less often while thousands of modules' objects are made.
    """
    gc.set_threshold(50_000)
    claim_process()
    claim_streams()
    try:
        code = main()
    except Exception as error:
        code = report_crash(error, sys.argv)
    sys.exit(code)

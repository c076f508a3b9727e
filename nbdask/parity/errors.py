"""Errors of a comparison, each with its exit code."""

from __future__ import annotations

from nbdask.errors import NbdaskError

#: Exit codes of ``nbdask parity`` and ``nbdask compare``: the first three as in every command.
EQUAL, FAILED, REFUSED, BEYOND, SHAPES = range(5)


class ParityUsageError(NbdaskError):
    """Options that make no sense together, or for this image."""

    exit_code = REFUSED


class RunnerError(NbdaskError):
    """The C program, or nbdask's own kernel, did not give an image."""

    exit_code = FAILED


class ShapeError(NbdaskError):
    """Two images of different shapes."""

    exit_code = SHAPES


class FileError(NbdaskError):
    """A file that cannot be read or written."""

    exit_code = REFUSED

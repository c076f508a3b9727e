"""Errors of a comparison, each with its exit code."""

from __future__ import annotations

from nbdask.errors import NbdaskError

#: Exit codes of ``nbdask parity``; ``nbdask compare`` has the same except :data:`USAGE`.
EQUAL, USAGE, RUNNER, BEYOND, SHAPES, IO = range(6)


class ParityUsageError(NbdaskError):
    """Options that make no sense together, or for this image."""

    exit_code = USAGE


class RunnerError(NbdaskError):
    """The C program, or nbdask's own kernel, did not give an image."""

    exit_code = RUNNER


class ShapeError(NbdaskError):
    """Two images of different shapes."""

    exit_code = SHAPES


class FileError(NbdaskError):
    """A file that cannot be read or written."""

    exit_code = IO

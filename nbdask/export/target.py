"""The file that a series is written to, and the files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nbdask.errors import StoreError
from nbdask.export.files import fresh_file
from nbdask.files import check_target


@dataclass(eq=False)
class Target:
    """A file to write.

    Parameters
    ----------
    path : Path
        Its name in the end.
    fresh : Path
        Where it is written until it is whole.
    overwrite : bool
        Whether files beside it may be replaced.

    Attributes
    ----------
    beside : list of Path
        Files that were written beside it.
    """

    path: Path
    fresh: Path
    overwrite: bool = False
    beside: list[Path] = field(default_factory=list)

    @contextmanager
    def companion(self, path: Path) -> Iterator[Path]:
        """Give the path of a temporary file that takes its name in the end."""
        with fresh_file(path, "output", overwrite=self.overwrite) as fresh:
            yield fresh
        self.beside.append(path)

    def check(self, path: Path) -> None:
        """Make sure that a file can be written beside this one.

        Raises
        ------
        StoreError
            It exists, or cannot be written.
        """
        check_target(path, "output", StoreError, overwrite=self.overwrite)

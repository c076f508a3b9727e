"""One file that a nanoBragg output flag names."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from nbdask.errors import StoreError
from nbdask.export.files import fresh_file
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.files import check_target
from nbdask.fill.listen import Progress

#: Writes a picture into a new file, with the choices that its own description names; returns what
#: should be reported.
Writer = Callable[[Picture, Path, Options], list[str]]


@dataclass(eq=False)
class FlagFile:
    """One file that a nanoBragg flag asks for.

    An existing file is replaced as a whole, as nanoBragg does.

    Parameters
    ----------
    flag : str
        For messages.
    path : str or Path
    writer : Writer
    options : Options

    Attributes
    ----------
    remarks : list of str
        What should be reported, once the file is written.
    bar : callable or None
        Gives, for a label, a context with a progress callback (or None); set by the caller.
    """

    flag: str
    path: str | os.PathLike[str]
    writer: Writer
    options: Options = field(default_factory=Options)
    remarks: list[str] = field(default_factory=list)
    bar: Callable[[str], AbstractContextManager[Progress | None]] | None = None

    def check(self) -> None:
        """Make sure, before anything is computed, that the file can be written.

        Raises
        ------
        StoreError
            Its folder is missing or not writable, or the path is not that of a regular file.
        """
        check_target(self.path, self.flag, StoreError, overwrite=True)

    def write(self, store: str | os.PathLike[str]) -> None:
        """Stream the image of a complete store into the file.

        The file appears under its name only when it is whole.

        Raises
        ------
        StoreError
            The store is missing or not complete, or writing failed.
        """
        shown = nullcontext() if self.bar is None else self.bar(self.flag)
        with shown as progress:
            picture = Picture(store, progress=progress)
            with fresh_file(self.path, self.flag, overwrite=True) as fresh:
                self.remarks = self.writer(picture, fresh, self.options)

"""Where a store is written, and what happens to an existing one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nbdask.errors import StoreError
from nbdask.store.place import Place


@dataclass(frozen=True, slots=True)
class Target:
    """The place of a store to write.

    Parameters
    ----------
    place : Place
    overwrite : bool
        Replace an existing nbdask store.
    flag : str
        The option that names the store.
    resume : bool or str
        Finish the existing store: only its missing tiles are computed.  ``"verify"``:
        also those whose pixels are not those on record, for which all are read.
    """

    place: Place
    overwrite: bool = False
    resume: bool | str = False
    flag: str = "--out"

    def check(self) -> None:
        """Raise an error, before anything is computed, if the store cannot be written or finished.

        Raises
        ------
        StoreError
        """
        if isinstance(self.resume, str) and self.resume != "verify":
            raise StoreError(f"--resume={self.resume}: must be --resume or --resume=verify")
        if not self.resume:
            self.place.check_free(self.overwrite, self.flag)
        elif self.overwrite:
            raise StoreError(
                f"{self.flag} {self.place.name}: --resume and --overwrite exclude each other"
            )
        elif not self.place.exists():
            raise StoreError(
                f"--resume: {self.place.name} does not exist; leave --resume out to start the run"
            )


def check_outside(path: Path | str, store: Path | str, flag: str) -> None:
    """Refuse a store to write that lies in another one, or holds it.

    Parameters
    ----------
    path, store : Path or str
        The store to write and the other one; names of places.
    flag : str
        What names ``path``.

    Raises
    ------
    StoreError
    """
    here, there = resolved(path), resolved(store)
    if here.startswith(f"{there}/"):
        raise StoreError(f"{flag} {path}: must lie outside the store {store}")
    if there.startswith(f"{here}/"):
        raise StoreError(f"{flag} {path}: must not hold the store {store}")


def resolved(name: Path | str) -> str:
    """Return a path without links, or an address as it is."""
    # Of a loop of links nothing is resolved, and no error raised.
    return os.path.realpath(name) if isinstance(name, Path) else name.rstrip("/")

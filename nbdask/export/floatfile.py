"""nanoBragg's float image: raw little-endian float32, slow-major, without a header."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbdask.errors import StoreError
from nbdask.store.open import StoreReader
from nbdask.store.schema import COMPLETE

#: Most bytes of the image in memory at a time, where the store's chunks allow it.
BAND_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class FloatFile:
    """The file that ``-floatfile`` names.

    Parameters
    ----------
    path : str or Path
        Replaced as a whole when it is there already, as nanoBragg does.
    """

    path: str | os.PathLike[str]

    def check(self) -> None:
        """Make sure, before anything is computed, that the file can be written.

        Raises
        ------
        StoreError
            Its folder is missing or not writable, or the path is a folder.
        """
        path = Path(self.path)
        parent = path.absolute().parent
        if path.exists() and not path.is_dir() and not path.is_file():
            raise StoreError(
                f"-floatfile {path} is a device, pipe or socket: give the path of a regular file,"
                " or leave the flag out"
            )
        if path.is_dir():
            raise StoreError(f"-floatfile {path} is a folder: give the path of a file")
        if not parent.is_dir():
            raise StoreError(f"-floatfile {path}: the folder {parent} does not exist")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise StoreError(f"-floatfile {path}: no permission to write in the folder {parent}")

    def write(self, store: str | os.PathLike[str]) -> None:
        """Stream the image of a complete store into the file, a band of rows at a time.

        The file appears under its name only when it is whole.

        Parameters
        ----------
        store : path

        Raises
        ------
        StoreError
            The store is missing or not complete, or writing failed.
        """
        self.check()
        reader = StoreReader(store)
        if reader.attributes["status"] != COMPLETE:
            raise StoreError(f"{reader.path} is not complete: finish it with --resume first")
        path = Path(self.path).absolute()
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            with open(fresh, "wb") as handle:
                for start, stop in _bands(reader):
                    handle.write(np.asarray(reader.image[start:stop], dtype="<f4").data)
            os.replace(fresh, path)
        except OSError as error:
            raise StoreError(f"-floatfile {path}: {error.strerror or error}") from error
        finally:
            fresh.unlink(missing_ok=True)


def _bands(reader: StoreReader) -> list[tuple[int, int]]:
    """Return rows (start, stop) of bands that are whole chunks and fit ``BAND_BYTES``."""
    n_slow, n_fast = reader.grid.shape
    chunk = int(reader.image.chunks[0])
    rows = chunk * max(1, BAND_BYTES // (4 * n_fast * chunk))
    return [(start, min(start + rows, n_slow)) for start in range(0, n_slow, rows)]

"""Checksums of input files, so that a result can say exactly what it was made from."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from nbdask.inputs.text import check_regular, unreadable

_log = logging.getLogger("nbdask.inputs")


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits, read piece by piece.

    Raises
    ------
    InputFileError
        The file is missing or unreadable.
    """
    check_regular(path, "the data that the run needs")
    _log.debug("%s: read for its checksum", path)
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error, "the data that the run needs") from None

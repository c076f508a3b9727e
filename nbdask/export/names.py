"""Names of the files of a series: ``image_####.cbf`` gives image_0001.cbf and so on."""

from __future__ import annotations

import re
from pathlib import Path

from nbdask.errors import InputError

_HASHES, _DIGITS = re.compile(r"#+"), re.compile(r"\d+")


def numbered(path: Path, count: int, first: int = 1) -> list[Path]:
    """Return the names of so many files, numbered from ``first``.

    Raises
    ------
    InputError
        No ``#`` for the number of one of several, or two groups of them.
    """
    found = _HASHES.findall(path.name)
    if len(found) > 1:
        raise InputError(f"{path}: has # twice: must be once, for the number of the image")
    if not found:
        if count > 1:
            example = path.with_name(f"{path.stem}_####{path.suffix}")
            raise InputError(
                f"{path}: {count} images: must have # for their number, such as {example.name}"
            )
        return [path]
    digits = len(found[0])
    return [
        path.with_name(path.name.replace(found[0], f"{number:0{digits}d}"))
        for number in range(first, first + count)
    ]


def number_of(path: Path) -> int | None:
    """Return the number of an image by its name, as programs see it; None: there is none."""
    digits = _DIGITS.findall(path.stem)
    return int(digits[-1]) if digits else None


def template_of(path: Path) -> str:
    """Return the name with ``#`` for the digits of its number."""
    digits = _DIGITS.findall(path.stem)
    if not digits:
        return path.name
    before, _, after = path.stem.rpartition(digits[-1])
    return f"{before}{'#' * len(digits[-1])}{after}{path.suffix}"

"""SMV images: their headers, and masks read tile by tile.

A keyword is found as nanoBragg finds it: at its last occurrence anywhere in the header, even
inside a longer keyword (``DISTANCE`` inside ``CLOSE_DISTANCE``); its value is the number after
the next ``=``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.inputs.text import NUMBER, check_regular, problem, shown, unreadable

_WHAT = "an SMV image, beginning with '{', a newline and HEADER_BYTES="
_START = re.compile(rb"\{\s*HEADER_BYTES\s*=\s*(\d{1,9})\s*;")
_TYPE = re.compile(r"(?<![^\s;{])TYPE\s*=\s{0,9}([^;]{0,80});")
_MAX_PIXELS = 2**31 - 1
_WORD = re.compile(r"[^\s;{}=]+")
_ENTRY = re.compile(r"([^\s;{}=]+)\s*=\s*([^;]*);")
#: End of the key under which d*TREK writes both sizes, fast first.
DIMENSIONS = "DETECTOR_DIMENSIONS"


class Entry(NamedTuple):
    """One entry of a header.

    Attributes
    ----------
    word : str
        The whole key.
    text : str
        What stands after its ``=``.
    foreign : bool
        The word is no key: the next ``=`` belongs to another one.
    """

    word: str
    text: str
    foreign: bool = False

    def __str__(self) -> str:
        """Return the entry, not too long for a message."""
        return f"{self.word}={self.text}"[:80]


@dataclass(frozen=True, slots=True)
class SmvHeader:
    """The header of one SMV image.

    Attributes
    ----------
    path : str
    size_fast, size_slow : int
        Pixels (SIZE1, SIZE2; where these are missing, DETECTOR_DIMENSIONS).
    header_bytes : int
        Where the pixels begin.
    big_endian : bool
        BYTE_ORDER.
    text : str
    """

    path: str
    size_fast: int
    size_slow: int
    header_bytes: int
    big_endian: bool
    text: str

    def value(self, key: str) -> float | None:
        """Return the number of keyword ``key``, or None where the header does not hold it.

        Raises
        ------
        InputFileError
            What follows the keyword is not a number.
        """
        return _value(self.path, self.text, key)

    def entries(self, key: str) -> list[Entry]:
        """Return the entries with ``key`` in their keys, in order."""
        found = (Entry(m[1], m[2].strip()) for m in _ENTRY.finditer(self.text))
        return [entry for entry in found if key in entry.word]

    def chosen(self, key: str) -> Entry | None:
        """Return the entry that :meth:`value` reads, or None where there is none."""
        place = self.text.rfind(key)
        if place < 0:
            return None
        equals = self.text.find("=", place + len(key))
        word = next(m for m in _WORD.finditer(self.text) if place < m.end())
        between = self.text[word.end() : equals] if equals >= 0 else ";"
        text = self.text[equals + 1 :].split(";", 1)[0].strip() if equals >= 0 else ""
        return Entry(word[0], text, bool(between.strip()))


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask on disk.  Only the path travels to workers; pixels are read when asked for.

    Attributes
    ----------
    path : str
    header_bytes : int
    n_slow, n_fast : int
        Pixels.
    """

    path: str
    header_bytes: int
    n_slow: int
    n_fast: int

    def read(self, slow0: int, slow1: int, fast0: int, fast1: int) -> NDArray[np.bool_]:
        """Return a rectangle of the mask, half-open in both axes.

        Returns
        -------
        (slow1 - slow0, fast1 - fast0) bool array
            True where the pixel is not 0, so to be evaluated.

        Raises
        ------
        InputFileError
            The file is no longer there.
        """
        try:
            # Byte order is of no concern: 0 is 0 in both.
            pixels = np.memmap(
                self.path,
                dtype=np.uint16,
                mode="r",
                offset=self.header_bytes,
                shape=(self.n_slow, self.n_fast),
            )
        except OSError as error:
            raise unreadable(self.path, error, "the mask") from None
        except ValueError:
            raise problem(self.path, None, "shorter than when the run began", "unchanged") from None
        return np.asarray(pixels[slow0:slow1, fast0:fast1] != 0)


def _value(path: str, text: str, key: str) -> float | None:
    start = text.rfind(key)
    if start < 0:
        return None
    equals = text.find("=", start + len(key))
    if equals < 0:
        return 0.0  # as C: the keyword is there, but nothing is assigned after it
    match = NUMBER.match(text[equals + 1 :].lstrip())
    if match is None:
        found = text[equals + 1 :].split(";", 1)[0].strip()
        line = text.count("\n", 0, equals) + 1
        raise problem(path, line, f"{key} is {shown(found)}", "a number")
    return float(match.group())


def _pixel_count(path: str, text: str, key: str) -> int:
    value = _value(path, text, key)
    if value is None:
        both = re.search(rf"{DIMENSIONS}\s*=\s*(\d+)(?:\s+(\d+))?\s*;", text)
        value = None if both is None else float((key == "SIZE2" and both[2]) or both[1])
    if value is None or not 1 <= value <= _MAX_PIXELS:
        found = f"no {key}" if value is None else f"{key} is {value:g}"
        raise problem(path, None, f"{found} in the header", f"a count of pixels, {key}=number;")
    return int(value)


def read_header(path: str | Path) -> SmvHeader:
    """Read the header of an SMV image; the pixels need not be there.

    Raises
    ------
    InputFileError
        A missing file, one that is not an SMV image, or a header without sensible sizes.
    """
    name = str(path)
    check_regular(path, _WHAT)
    try:
        with open(path, "rb") as handle:
            start = _START.match(handle.read(512))
            if start is None:
                raise problem(name, 1, "not an SMV header", _WHAT)
            header_bytes = int(start.group(1))
            handle.seek(0)
            raw = handle.read(header_bytes)
    except OSError as error:
        raise unreadable(name, error, _WHAT) from None
    if header_bytes < 32 or len(raw) < header_bytes:
        found = f"HEADER_BYTES is {header_bytes} and the file has {os.path.getsize(path)} bytes"
        raise problem(name, 1, found, "the length of the header, at most that of the file")
    text = raw.split(b"\0", 1)[0].decode("latin-1")
    order = text.rfind("BYTE_ORDER=")
    big_endian = order >= 0 and text[order + len("BYTE_ORDER=") :].lstrip().startswith("big_endian")
    return SmvHeader(
        path=name,
        size_fast=_pixel_count(name, text, "SIZE1"),
        size_slow=_pixel_count(name, text, "SIZE2"),
        header_bytes=header_bytes,
        big_endian=big_endian,
        text=text,
    )


def open_mask(path: str | Path) -> MaskFile:
    """Check that an image can serve as a mask, without reading its pixels.

    Raises
    ------
    InputFileError
        As :func:`read_header`; or pixels that are not 16-bit unsigned, or too few of them.
    """
    header = read_header(path)
    kinds = _TYPE.findall(header.text)
    if kinds and kinds[-1].strip() != "unsigned_short":
        raise problem(path, None, f"TYPE is {shown(kinds[-1].strip())}", "unsigned_short")
    needed = header.header_bytes + 2 * header.size_fast * header.size_slow
    found = os.path.getsize(path)
    if found < needed:
        raise problem(
            path,
            None,
            f"{found} bytes found",
            f"{needed} or more for {header.size_fast} x {header.size_slow} pixels of 2 bytes"
            f" after a header of {header.header_bytes}",
        )
    return MaskFile(str(path), header.header_bytes, header.size_slow, header.size_fast)

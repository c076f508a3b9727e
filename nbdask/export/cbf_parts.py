"""What CBF files are made of: sections of pixels, and the lines around them."""

from __future__ import annotations

from pathlib import Path

from nbdask.export.picture import Picture
from nbdask.version import __version__

#: Value of pixels without a measurement, as in the gaps of a Pilatus.
NOTHING = -1
#: Greatest pixel: its difference from -1 still fits 32 bits, which every program can unpack.
GREATEST = 2**31 - 2
MARK = b"\x0c\x1a\x04\xd5"
PADDING = 4095
BOUNDARY = "--CIF-BINARY-FORMAT-SECTION--"
MD5_DIGITS = 24
_SIZE_DIGITS = 15


def binary_header(size: int, md5: str, place: tuple[int, int, int], conversions: str) -> bytes:
    """Return what stands before the pixels of an array.

    Parameters
    ----------
    size : int
        Bytes.
    md5 : str
        In base 64.
    place : tuple of 3 ints
        Number of the array, rows, columns.
    conversions : str
        Compression.
    """
    number, rows, columns = place
    lines = (
        "",
        BOUNDARY,
        "Content-Type: application/octet-stream;",
        f'     conversions="{conversions}"',
        "Content-Transfer-Encoding: BINARY",
        f"X-Binary-Size: {size:{_SIZE_DIGITS}d}",
        f"X-Binary-ID: {number}",
        'X-Binary-Element-Type: "signed 32-bit integer"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {md5}",
        f"X-Binary-Number-of-Elements: {rows * columns}",
        f"X-Binary-Size-Fastest-Dimension: {columns}",
        f"X-Binary-Size-Second-Dimension: {rows}",
        "X-Binary-Size-Third-Dimension: 1",
        f"X-Binary-Size-Padding: {PADDING}",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def end_of_section() -> bytes:
    """Return what stands after the pixels of an array."""
    return bytes(PADDING) + f"\r\n{BOUNDARY}--\r\n;\r\n".encode()


def joined(lines: list[str]) -> bytes:
    """Return lines of text as bytes, without a break at the end."""
    return "\r\n".join(lines).encode("ascii")


def begin(picture: Picture) -> list[str]:
    """Return the lines at the top of the file."""
    name = Path(str(picture.reader.path)).stem
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in name)
    return [f"###CBF: VERSION 1.5, nbdask {__version__}", "", f"data_{safe}", ""]

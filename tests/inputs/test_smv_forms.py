"""SMV headers and masks in the forms that programs write, and every way in which one is cut."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.errors import InputFileError
from nbdask.inputs.smv import MaskFile, SmvHeader, open_mask, read_header

SIZES = "SIZE1=4;\nSIZE2=3;\n"
masks = arrays.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def smv(
    folder: Path,
    fields: str = SIZES,
    *,
    body: bytes = b"",
    size: int = 512,
    head: str | None = None,
) -> Path:
    """Write an SMV image with the given header lines and bytes of pixels."""
    first = f"{{\nHEADER_BYTES={size:5d};" if head is None else head
    text = f"{first}\n{fields}}}\f"
    path = folder / "a.img"
    path.write_bytes(text.encode("latin-1").ljust(size) + body)
    return path


def refusal(path: Path, read=read_header) -> str:
    """Return the line that refuses an image, without its path."""
    with pytest.raises(InputFileError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "head",
    [
        "{\nHEADER_BYTES=  512;",
        "{\nHEADER_BYTES=512;",
        "{\r\nHEADER_BYTES= 512 ;",
        "{HEADER_BYTES=00512;",
        "{ \t\n HEADER_BYTES = 512;",
    ],
)
def test_forms_of_the_first_line(head: str, tmp_path: Path) -> None:
    """Blanks and line ends within it do not matter."""
    header = read_header(smv(tmp_path, head=head))
    assert (header.size_fast, header.size_slow, header.header_bytes) == (4, 3, 512)


@pytest.mark.parametrize(
    "head",
    ["HEADER_BYTES=512;", "{\nheader_bytes=512;", "{\nHEADER_BYTES=;", "{\nHEADER_BYTES=512",
     "{\nDIM=2;\nHEADER_BYTES=512;", "{\nHEADER_BYTES=-512;", "{\nHEADER_BYTES=1234567890;", "{"],
)  # fmt: skip
def test_other_beginnings_are_no_image(head: str, tmp_path: Path) -> None:
    """The very first entry has to say how long the header is."""
    assert refusal(smv(tmp_path, head=head)) == (
        "line 1: not an SMV header: must be an SMV image, beginning with '{', a newline and"
        " HEADER_BYTES="
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("KEY=1.5;", 1.5),
        ("KEY= 1.5;", 1.5),
        ("KEY =1.5;", 1.5),
        ("KEY\n=\n1.5\n;", 1.5),
        ("KEY=-.5e1 mm;", -5.0),
        ("KEY=1e-10;", 1e-10),
        ("KEY=0.97680;", 0.9768),
        ("KEY=+3;", 3.0),
        ("KEY=7", 7.0),
        ("KEY=1;KEY=2;", 2.0),
        ("KEY=1;\nOTHER_KEY_B=4;\n", 4.0),
        ("KEY=1; #KEY=5", 5.0),
        ("KEY=1=2;", 1.0),
    ],
)
def test_values_are_numbers_after_the_next_equals_sign(
    text: str, value: float, tmp_path: Path
) -> None:
    """The last occurrence counts; units after the number are ignored."""
    assert read_header(smv(tmp_path, SIZES + text)).value("KEY") == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("KEY=;", "line 5: KEY is '': must be a number"),
        ("KEY=nan;", "line 5: KEY is 'nan': must be a number"),
        ("A=1;\nB=2;\nKEY = ten mm;", "line 7: KEY is 'ten mm': must be a number"),
        ("KEY=" + "x" * 99 + ";", f"line 5: KEY is '{'x' * 60}...': must be a number"),
        ("KEY=\xb0;", "line 5: KEY is '°': must be a number"),
    ],
)
def test_values_that_are_no_numbers(text: str, line: str, tmp_path: Path) -> None:
    """Told with the line of the header, when the keyword is asked for and not before."""
    path = smv(tmp_path, SIZES + text)
    header = read_header(path)
    assert refusal(path, lambda _: header.value("KEY")) == line
    assert header.value("SIZE1") == 4.0


def test_what_follows_a_zero_byte_is_no_header(tmp_path: Path) -> None:
    """Text ends at the first zero byte, as in C."""
    header = read_header(smv(tmp_path, SIZES + "DISTANCE=1;\n\0DISTANCE=2;\nPHI=3;\n"))
    assert header.value("DISTANCE") == 1.0
    assert header.value("PHI") is None


def test_what_follows_the_header_is_not_read(tmp_path: Path) -> None:
    """Keywords among the pixels do not count."""
    header = read_header(smv(tmp_path, SIZES + "PHI=1;\n", body=b"PHI=2;" * 100))
    assert header.value("PHI") == 1.0


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("SIZE2=3;", "no SIZE1 in the header: must be a count of pixels, SIZE1=number;"),
        ("SIZE1=3;", "no SIZE2 in the header: must be a count of pixels, SIZE2=number;"),
        (
            "SIZE1=4;SIZE2=-3;",
            "SIZE2 is -3 in the header: must be a count of pixels, SIZE2=number;",
        ),
        (
            "SIZE1=0.5;SIZE2=3;",
            "SIZE1 is 0.5 in the header: must be a count of pixels, SIZE1=number;",
        ),
        (
            "SIZE1=4;SIZE2=1e99;",
            "SIZE2 is 1e+99 in the header: must be a count of pixels, SIZE2=number;",
        ),
        ("SIZE1=four;SIZE2=3;", "line 3: SIZE1 is 'four': must be a number"),
    ],
)
def test_sizes_that_make_no_image(fields: str, line: str, tmp_path: Path) -> None:
    """Both sides have to be there, and be counts."""
    assert refusal(smv(tmp_path, fields)) == line


@pytest.mark.parametrize(
    ("order", "big"),
    [("BYTE_ORDER=big_endian;", True), ("BYTE_ORDER=little_endian;", False), ("", False),
     ("BYTE_ORDER= big_endian;", True), ("BYTE_ORDER=big_endian;BYTE_ORDER=little_endian;", False),
     ("BYTE_ORDER=BIG_ENDIAN;", False)],
)  # fmt: skip
def test_byte_order(order: str, big: bool, tmp_path: Path) -> None:
    """The last entry counts, little endian where there is none."""
    assert read_header(smv(tmp_path, SIZES + order)).big_endian is big


def test_a_header_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """At every length: before its own length is known, and then by that length."""
    content = smv(tmp_path, SIZES).read_bytes()
    known = content.index(b"HEADER_BYTES=  512;") + len(b"HEADER_BYTES=  512;")
    for length in (0, 1, 2, 10, known - 1, known, known + 1, 100, 511):
        path = tmp_path / "cut.img"
        path.write_bytes(content[:length])
        found = refusal(path)
        if length < known:
            assert found.startswith("line 1: not an SMV header: must be ")
        else:
            assert found == (
                f"line 1: HEADER_BYTES is 512 and the file has {length} bytes: must be the length"
                " of the header, at most that of the file"
            )


@given(pixels=masks, data=st.data())
@settings(max_examples=20, deadline=None)
def test_every_rectangle_of_a_mask_is_that_of_its_pixels(
    pixels: np.ndarray, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Zero is off, anything else is on, in either byte order; rectangles are half-open."""
    slow, fast = pixels.shape
    big = data.draw(st.booleans())
    fields = f"SIZE1={fast};\nSIZE2={slow};\nTYPE=unsigned_short;\n"
    fields += "BYTE_ORDER=big_endian;\n" if big else ""
    body = pixels.astype(">u2" if big else "<u2").tobytes()
    mask = open_mask(smv(tmp_path_factory.getbasetemp(), fields, body=body))
    slow0, fast0 = data.draw(st.integers(0, slow)), data.draw(st.integers(0, fast))
    slow1, fast1 = data.draw(st.integers(slow0, slow)), data.draw(st.integers(fast0, fast))
    found = mask.read(slow0, slow1, fast0, fast1)
    assert found.shape == (slow1 - slow0, fast1 - fast0)
    assert np.array_equal(found, pixels[slow0:slow1, fast0:fast1] != 0)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("signed_short", "signed_short"), ("UNSIGNED_SHORT", "UNSIGNED_SHORT"),
     ("unsigned_short;TYPE=long", "long"), (" float IEEE ", "float IEEE"), ("", "")],
)  # fmt: skip
def test_other_types_are_no_masks(kind: str, shown: str, tmp_path: Path) -> None:
    """The last TYPE counts, whole."""
    path = smv(tmp_path, f"{SIZES}TYPE={kind};\n", body=bytes(24))
    assert refusal(path, open_mask) == f"TYPE is {shown!r}: must be unsigned_short"


@pytest.mark.parametrize(
    "entry", ["", "TYPE=unsigned_short;", "TYPE = unsigned_short ;", "DETECTOR_TYPE=long;"]
)
def test_types_of_masks(entry: str, tmp_path: Path) -> None:
    """Without a TYPE it is taken for what it must be; other keywords may end with that word."""
    mask = open_mask(smv(tmp_path, f"{SIZES}{entry}\n", body=b"\1\0" * 12))
    assert mask.read(0, 3, 0, 4).all()


def test_a_mask_needs_all_of_its_pixels(tmp_path: Path) -> None:
    """One byte less is refused; further bytes are ignored."""
    for length in (0, 1, 23):
        found = refusal(smv(tmp_path, body=bytes(length)), open_mask)
        assert found == (
            f"{512 + length} bytes found: must be 536 or more for 4 x 3 pixels of 2 bytes after a"
            " header of 512"
        )
    assert not open_mask(smv(tmp_path, body=bytes(24))).read(0, 3, 0, 4).any()
    assert not open_mask(smv(tmp_path, body=bytes(24) + b"\1" * 9)).read(0, 3, 0, 4).any()


@pytest.mark.parametrize("size", [64, 512, 1024, 1536, 513])
def test_headers_of_any_length(size: int, tmp_path: Path) -> None:
    """Pixels begin where the header says."""
    path = smv(tmp_path, "SIZE1=1;SIZE2=2;", size=size, body=b"\0\0\1\0")
    assert open_mask(path).read(0, 2, 0, 1).tolist() == [[False], [True]]


def test_a_mask_larger_than_memory_is_opened_by_its_header(tmp_path: Path) -> None:
    """A sparse file of 8 GiB: only the rectangle asked for is read."""
    side = 65536
    path = smv(tmp_path, f"SIZE1={side};\nSIZE2={side};\n")
    with open(path, "r+b") as handle:
        handle.seek(512 + 2 * (side * side - 1))
        handle.write(b"\1\0")
    mask = open_mask(path)
    assert mask == MaskFile(str(path), 512, side, side)
    assert mask.read(side - 1, side, side - 2, side).tolist() == [[False, True]]
    assert not mask.read(0, 2, 0, 2).any()


def test_headers_are_plain_values(tmp_path: Path) -> None:
    """Two readings of one file are equal, and hold its text."""
    path = smv(tmp_path, SIZES + "PIXEL_SIZE=0.1;\n")
    one, two = read_header(path), read_header(str(path))
    assert one == two
    assert isinstance(one, SmvHeader)
    assert "PIXEL_SIZE=0.1;" in one.text
    assert math.isclose(one.value("PIXEL_SIZE") or 0.0, 0.1)

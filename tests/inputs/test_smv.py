"""SMV headers and masks."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.inputs.smv import open_mask, read_header


def smv(path: Path, fields: str, pixels: np.ndarray | None = None, size: int = 512) -> Path:
    """Write an SMV image with the given header lines and pixels."""
    text = f"{{\nHEADER_BYTES={size:5d};\nDIM=2;\n{fields}}}\f"
    body = b"" if pixels is None else pixels.tobytes()
    path.write_bytes(text.encode().ljust(size) + body)
    return path


SIZES = "SIZE1=4;\nSIZE2=3;\nTYPE=unsigned_short;\n"


def test_values_are_taken_at_the_last_occurrence_as_substring(tmp_path: Path) -> None:
    """DISTANCE reads CLOSE_DISTANCE where that follows, ORGX reads XDS_ORGX."""
    fields = "DISTANCE=100;\nCLOSE_DISTANCE=97.5;\nORGX=1;\nXDS_ORGX=60.5;\nPHI=1;\nPHI= 2e0;\n"
    header = read_header(smv(tmp_path / "a.img", SIZES + fields))
    assert (header.size_fast, header.size_slow, header.header_bytes) == (4, 3, 512)
    assert header.value("DISTANCE") == 97.5
    assert header.value("CLOSE_DISTANCE") == 97.5
    assert header.value("ORGX") == 60.5
    assert header.value("PHI") == 2.0
    assert header.value("WAVELENGTH") is None


def test_byte_order_and_longer_headers(tmp_path: Path) -> None:
    """BYTE_ORDER is read; a header of 1024 bytes is read whole."""
    fields = SIZES + "COMMENT=" + "x" * 600 + ";\nBYTE_ORDER=big_endian;\nDISTANCE=80;\n"
    header = read_header(smv(tmp_path / "a.img", fields, size=1024))
    assert header.big_endian
    assert header.value("DISTANCE") == 80.0
    little = read_header(smv(tmp_path / "b.img", SIZES + "BYTE_ORDER=little_endian;\n"))
    assert not little.big_endian


def test_keyword_without_an_assignment_reads_as_zero(tmp_path: Path) -> None:
    """As in C, a last keyword that nothing is assigned to is 0."""
    header = read_header(smv(tmp_path / "a.img", SIZES + "AXIS=PHI;\n"))
    assert header.value("PHI") == 0.0


def test_mask_rectangles(tmp_path: Path) -> None:
    """Rectangles of a mask are those of the image; only the path travels in a pickle."""
    pixels = np.array([[0, 1, 2, 0], [65535, 0, 0, 256], [0, 0, 0, 0]], dtype="<u2")
    mask = open_mask(smv(tmp_path / "m.img", SIZES, pixels))
    assert (mask.n_slow, mask.n_fast) == (3, 4)
    assert mask.read(0, 3, 0, 4).tolist() == (pixels != 0).tolist()
    assert mask.read(1, 2, 2, 4).tolist() == [[False, True]]
    assert mask.read(0, 1, 0, 2).dtype == np.bool_
    again = pickle.loads(pickle.dumps(mask))
    assert again == mask
    assert len(pickle.dumps(mask)) < 500
    assert again.read(0, 1, 0, 4).tolist() == [[False, True, True, False]]


def test_mask_that_changes_under_a_run(tmp_path: Path) -> None:
    """A mask that vanishes or shrinks after it was opened is refused."""
    mask = open_mask(smv(tmp_path / "m.img", SIZES, np.ones(12, dtype="<u2")))
    smv(tmp_path / "m.img", SIZES, np.ones(5, dtype="<u2"))
    with pytest.raises(InputFileError, match="shorter than when the run began"):
        mask.read(0, 3, 0, 4)
    (tmp_path / "m.img").unlink()
    with pytest.raises(InputFileError, match="no such file"):
        mask.read(0, 3, 0, 4)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "line 1: not an SMV header: must be an SMV image"),
        (b"\x93NUMPY" + b"\0" * 600, "line 1: not an SMV header"),
        (b"{\nHEADER_BYTES=  512;\nSIZE1=4;", "HEADER_BYTES is 512 and the file has 30 bytes"),
        (b"{\nHEADER_BYTES=0;\n}" + b" " * 600, "HEADER_BYTES is 0"),
        (b"{\nHEADER_BYTES=64;\nSIZE1=4;\n}".ljust(64), "no SIZE2 in the header"),
        (b"{\nHEADER_BYTES=64;\nSIZE1=0;\nSIZE2=3;\n}".ljust(64), "SIZE1 is 0 in the header"),
        (b"{\nHEADER_BYTES=64;\nSIZE1=x;\nSIZE2=3;\n}".ljust(64), "line 3: SIZE1 is 'x'"),
        (b"{\nHEADER_BYTES=64;\nSIZE1=4;\nSIZE2=3;\n}".ljust(80), "80 bytes found: must be 88"),
        (
            b"{\nHEADER_BYTES=64;\nSIZE1=1;\nSIZE2=1;\nTYPE=float;\n}".ljust(80),
            "TYPE is 'float': must be unsigned_short",
        ),
    ],
)
def test_malformed_masks(tmp_path: Path, content: bytes, fragment: str) -> None:
    """Images that cannot be a mask are refused in one line."""
    path = tmp_path / "m.img"
    path.write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        open_mask(path)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_header_value_that_is_no_number(tmp_path: Path) -> None:
    """The line and the text of a bad value are named."""
    header = read_header(smv(tmp_path / "a.img", SIZES + "DISTANCE=far;\n"))
    with pytest.raises(InputFileError, match="line 7: DISTANCE is 'far': must be a number"):
        header.value("DISTANCE")

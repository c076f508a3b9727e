"""Lists of mosaic domains."""

from __future__ import annotations

import math

import pytest

from nbdask.errors import InputFileError
from nbdask.inputs.domains import read_domains


def written(tmp_path, text):
    """Return the path of a file with this text."""
    path = tmp_path / "domains.txt"
    path.write_text(text)
    return path


def test_quaternions_and_rotation_vectors(tmp_path):
    """90 degrees about z, both ways; quaternions become 1 in length."""
    root = math.sqrt(0.5)
    for text in ("1 0 0 1 2.5\n", "# rotation vectors\n0, 0, 90; 2.5 # one\n\n"):
        ((w, x, y, z, weight),) = read_domains(written(tmp_path, text))
        assert (w, x, y, z) == pytest.approx((root, 0.0, 0.0, root))
        assert weight == 2.5
    assert read_domains(written(tmp_path, "0 0 0 1\n")) == ((1.0, 0.0, 0.0, 0.0, 1.0),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no domain with a weight above 0"),
        ("1 0 0 0 0\n", "no domain with a weight above 0"),
        ("1 0 0\n", "line 1: found '1 0 0'"),
        ("1 0 0 0 0 1\n", "line 1: found"),
        ("1 0 0 0 1\n0 0 1 1\n", "line 2: found '0 0 1 1'"),
        ("1 0 x 0 1\n", "line 1: found '1 0 x 0 1'"),
        ("1 0 0 0 -1\n", "line 1: a weight of -1"),
        ("0 0 0 0 1\n", "line 1: a quaternion of 0"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, text, said):
    """In one line that names file and line."""
    path = written(tmp_path, text)
    with pytest.raises(InputFileError, match=said) as caught:
        read_domains(path)
    assert str(caught.value).startswith(str(path))

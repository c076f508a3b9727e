"""Blocks that are equal in every bit are found in bands, with the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.parity.equal import same_bits, same_bytes
from nbdask.parity.measures import measure
from nbdask.plan.tiles import Tile


def reading(image):
    """A function that gives parts of an image, and which bands it was asked for."""
    asked = []

    def read(part: Tile):
        asked.append((part.slow0, part.slow1))
        return image[part.slow0 : part.slow1, part.fast0 : part.fast1]

    return read, asked


def image(shape: tuple[int, int], holes: bool = False):
    """Pixels of very different sizes, with what is not finite if wanted."""
    made = np.random.default_rng(1).lognormal(0, 4, shape).astype(np.float32)
    if holes:
        made[3, 4], made[-1, -2], made[0, 0] = np.nan, np.inf, -np.inf
    return made


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("shape", [(40, 50), (2100, 1000)])
def test_the_numbers_are_those_of_measure(shape: tuple[int, int], holes: bool) -> None:
    """But for peaks, which equal images share; bands follow each other without a gap."""
    pixels = image(shape, holes)
    read, asked = reading(pixels)
    found = same_bits(read, reading(pixels.copy())[0], Tile(0, shape[0], 0, shape[1]))
    wanted = measure(pixels, pixels.copy(), (0, 0), 0)
    assert found is not None
    assert found.sums.n == wanted.sums.n
    for name in ("mean_a", "mean_b", "m2_a", "m2_b", "m2_ab"):
        assert getattr(found.sums, name) == pytest.approx(getattr(wanted.sums, name), rel=1e-9)
    ours, theirs = found.to_dict(), wanted.to_dict()
    for name in ("correlation", "sum_ratio"):
        assert ours.pop(name) == pytest.approx(theirs.pop(name))
    assert ours == theirs
    assert asked[0][0] == 0
    assert asked[-1][1] == shape[0]
    assert [a[1] for a in asked[:-1]] == [b[0] for b in asked[1:]]


@pytest.mark.parametrize("change", [1e-7, -1.0, np.nan])
def test_a_bit_that_differs_is_found(change: float) -> None:
    """In the last pixel too; and minus zero is another pattern of bits than zero."""
    pixels = image((700, 30))
    other = pixels.copy()
    other[-1, -1] = other[-1, -1] * (1 + change)
    assert same_bits(reading(pixels)[0], reading(other)[0], Tile(0, 700, 0, 30)) is None
    zero = np.zeros((4, 4), np.float32)
    assert same_bits(reading(zero)[0], reading(-zero)[0], Tile(0, 4, 0, 4)) is None


def test_files_of_equal_bytes(tmp_path: Path) -> None:
    """Longer than a piece; a missing one is equal to none."""
    data = np.arange(3_000_000, dtype=np.uint8).tobytes()
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(data)
    for content, same in ((data, True), (data[:-1] + b"x", False), (data[:-1], False)):
        other.write_bytes(content)
        assert same_bytes(one, other) is same
    assert not same_bytes(one, tmp_path / "none")

"""Which regions are compared."""

from __future__ import annotations

import pytest

from nbdask.parity.errors import ParityUsageError
from nbdask.parity.regions import Choice, Region, choose, default_mode
from nbdask.plan.tiles import Tile, TileGrid

GRID = TileGrid((1000, 700), (100, 100))
ALL = Tile(0, 1000, 0, 700)


def chosen(choice: Choice, roi: Tile = ALL, **keywords: object) -> list[Region]:
    """Regions of a choice on the grid of these tests."""
    return list(choose(GRID, choice, roi, **keywords))  # type: ignore[arg-type]


def test_corners_and_centre_are_always_there() -> None:
    """With and without anything else, unless they are left out."""
    corners = {(0, 0), (0, 600), (900, 0), (900, 600), (500, 300)}
    for choice in (Choice(), Choice(tiles=3), Choice(tile_indices=((2, 2),)), Choice(tiles=0)):
        found = {(r.tile.slow0, r.tile.fast0) for r in chosen(choice)}
        assert corners <= found
    (only,) = chosen(Choice(tile_indices=((2, 3),), only=True))
    assert only == Region(Tile(200, 300, 300, 400), "asked")


def test_drawn_tiles_are_so_many_and_repeatable() -> None:
    """N tiles beside the fixed ones, none twice, the same for the same seed."""
    found = chosen(Choice(tiles=20, seed=5))
    drawn = [r.tile for r in found if r.why == "drawn"]
    assert len(drawn) == 20
    assert len({r.tile for r in found}) == len(found) == 25
    assert found == chosen(Choice(tiles=20, seed=5))
    assert found != chosen(Choice(tiles=20, seed=6))
    assert len(chosen(Choice())) == 17
    assert len(chosen(Choice(tiles=1000))) == len(GRID)


def test_all_tiles_and_the_whole_image() -> None:
    """Every tile once; or one region."""
    assert [r.tile for r in chosen(Choice(tiles=-1))] == list(GRID)
    assert chosen(Choice(whole=True)) == [Region(ALL, "whole")]


def test_brightest_tiles_come_from_the_records() -> None:
    """The N tiles with the brightest pixels, whatever their order."""
    bright = [(float((9 * i) % 70), i) for i in range(70)]
    found = chosen(Choice(brightest=2, only=True), bright=bright)
    best = [index for _, index in sorted(bright, reverse=True)[:2]]
    assert [r.tile for r in found] == [GRID[index] for index in best]


def test_an_edge_cuts_squares() -> None:
    """In the middle of a tile; at the corners of the detector for those."""
    found = chosen(Choice(tiles=0, edge=20, tile_indices=((3, 3),)))
    places = {r.tile for r in found}
    assert Tile(340, 360, 340, 360) in places
    assert {Tile(0, 20, 0, 20), Tile(980, 1000, 680, 700)} <= places
    assert all(tile.shape == (20, 20) for tile in places)


def test_tiles_outside_the_region_of_interest_are_not_drawn() -> None:
    """Corners and centre are those of what is computed; asking for other tiles is refused."""
    roi = Tile(150, 420, 210, 320)
    found = chosen(Choice(tiles=50), roi)
    assert all(r.tile.intersect(roi) is not None for r in found)
    assert len(found) == 8
    with pytest.raises(ParityUsageError, match=r"--at-tile 9,6 lies outside .*region of interest"):
        chosen(Choice(tile_indices=((9, 6),)), roi)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(tile_indices=((10, 0),)), "a row from 0 to 9 and a column from 0 to 6"),
        (Choice(roi=(0, 1000, 0, 5)), r"along slow \(0 to 999\)"),
        (Choice(roi=(5, 4, 0, 5)), "first and last pixel"),
    ],
)
def test_what_is_not_on_the_detector_is_refused(choice: Choice, message: str) -> None:
    """The message says what there is."""
    with pytest.raises(ParityUsageError, match=message):
        chosen(choice)


def test_pixels_asked_for_are_inclusive() -> None:
    """As nanoBragg's -roi; a corner that lies within is not compared again."""
    found = chosen(Choice(roi=(0, 99, 0, 149), tiles=0))
    assert found[0] == Region(Tile(0, 100, 0, 150), "asked")
    assert len(found) == 5


def test_windows_from_16_megapixels_on() -> None:
    """4096 x 4096 can still be asked for as a region of the whole."""
    assert default_mode((4096, 4096)) == "roi"
    assert default_mode((4096, 4097)) == "window"

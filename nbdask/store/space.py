"""Whether the disk has room for an image, before anything is computed."""

from __future__ import annotations

from nbdask.errors import StoreError
from nbdask.plan.memory import format_bytes
from nbdask.plan.tiles import TileGrid
from nbdask.store.place import Place
from nbdask.store.schema import RUNNING

#: What a file takes at least: a block for its content.  Each tile has one for its pixels.
_FILE = 4096
#: What its record takes, in a journal and in the array.
_RECORD = 256
_PIXEL, _SLOPE = 4, 8


def least_bytes(tiles: int, planes: int = 0) -> int:
    """Return the bytes that even an empty image of so many tiles takes on a disk."""
    return tiles * (_FILE * (1 + planes) + _RECORD)


def most_bytes(grid: TileGrid, tiles: int, planes: int = 0, slopes: int = 0) -> int:
    """Return the bytes of so many tiles whose pixels cannot be compressed.

    ``planes`` counts arrays, one of them with ``slopes`` derivatives where there are any.
    """
    pixels = min(tiles * grid.tile[0] * grid.tile[1], grid.pixels)
    each = _PIXEL * (1 + planes - bool(slopes)) + _SLOPE * slopes
    return pixels * each + least_bytes(tiles, planes)


def check_space(
    place: Place, grid: TileGrid, tiles: int, planes: int = 0, slopes: int = 0
) -> tuple[str, ...]:
    """Compare what a run may write with what is free.

    How far an image compresses is not known before it is computed (the dark parts of a sparse
    image shrink to nothing), so only what certainly does not fit is refused.

    Parameters
    ----------
    place : Place
    grid : TileGrid
    tiles : int
        Tiles that are still to be written.
    planes : int
        Further planes beside the image, derivatives among them as one.
    slopes : int
        Derivatives of a pixel.

    Returns
    -------
    tuple of str
        A warning, or nothing.

    Raises
    ------
    StoreError
        Not even an empty image would fit.
    """
    free = place.free_bytes()
    if free is None or tiles == 0:
        return ()
    least, most = least_bytes(tiles, planes), most_bytes(grid, tiles, planes, slopes)
    if free < least:
        raise StoreError(
            f"--out {place.name}: {tiles} tiles need at least {format_bytes(least)} but only"
            f" {format_bytes(free)} are free there: free some space, choose another place, or give"
            " a greater --tile"
        )
    if free < most:
        return (
            f"the image may need up to {format_bytes(most)} on disk (less where it compresses), and"
            f" {format_bytes(free)} are free at {place.name}; a full disk ends the run with status"
            f" {RUNNING}, and --resume goes on",
        )
    return ()

"""TIFF: BigTIFF with tiles, float32 or int32, not compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nbdask.export.geometry import geometry_of
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.values import INT32_MAX, Clipped, counts32, scaled
from nbdask.version import __version__

#: Side of a tile [pixels]; must be a multiple of 16.
TILE = 512
#: Value of int32 pixels that were not computed.
NOTHING = -1


def file_bytes(picture: Picture) -> int:
    """Return the size of the file, but for its list of tiles."""
    tiles = [-(-side // _tile(side)) * _tile(side) for side in picture.shape]
    return 4 * tiles[0] * tiles[1]


def _tile(side: int) -> int:
    """Return the length of a tile along a side: no longer than needed."""
    return min(TILE, -(-side // 16) * 16)


def write_tiff(picture: Picture, path: Path, options: Options) -> list[str]:
    """Write a tiled BigTIFF.

    ``dtype``: int32 for counts, else float32; ``scale`` and ``adc``: 1 and 0 unless given.
    """
    g = geometry_of(picture)
    whole = options.dtype == "int32"
    tile = (_tile(picture.shape[0]), _tile(picture.shape[1]))
    clipped: list[Clipped] = [Clipped()]
    per_cm = 0.01 / g.pixel
    tifffile.imwrite(
        path,
        _tiles(picture, options, tile, clipped),
        bigtiff=True,
        shape=picture.shape,
        dtype=np.int32 if whole else np.float32,
        byteorder="<",
        tile=tile,
        photometric="minisblack",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        software=f"nbdask {__version__}",
        description=_description(picture),
        metadata=None,
        maxworkers=1,
    )
    return clipped[0].describe(INT32_MAX)


def _description(picture: Picture) -> str:
    """Return what programs show as the image's description."""
    g, experiment = geometry_of(picture), picture.experiment
    return (
        f"nbdask simulation, pixels in {picture.reader.unit}\n"
        f"pixel size {g.pixel * 1e3:.9g} mm\n"
        f"distance {g.distance * 1e3:.9g} mm\n"
        f"wavelength {experiment.beam.wavelength * 1e10:.9g} Angstrom\n"
        f"beam centre {g.f_spot / g.pixel:.9g} (fast) {g.s_spot / g.pixel:.9g} (slow) pixels\n"
        f"fingerprint {picture.reader.attributes.get('fingerprint')}"
    )


def _tiles(
    picture: Picture, options: Options, tile: tuple[int, int], clipped: list[Clipped]
) -> Iterator[NDArray[Any]]:
    """Yield the tiles in order; those at the edges are filled up with zeros."""
    for _, pixels in picture.bands(multiple=tile[0]):
        block: NDArray[Any]
        if options.dtype == "int32":
            block, lost = counts32(pixels, options.factor, options.offset)
            np.copyto(block, NOTHING, where=np.isnan(pixels))
            clipped[0] = clipped[0].plus(lost)
        else:
            block = scaled(pixels, options.factor, options.offset)
        for row in range(0, block.shape[0], tile[0]):
            for column in range(0, block.shape[1], tile[1]):
                part: NDArray[Any] = block[row : row + tile[0], column : column + tile[1]]
                if part.shape != tile:
                    full = np.zeros(tile, block.dtype)
                    full[: part.shape[0], : part.shape[1]] = part
                    part = full
                yield np.ascontiguousarray(part)

"""The 8-bit greymap that nanoBragg C writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.smv import automatic_scale
from nbdask.export.values import GREY_MAX, Clipped, grey8

#: With the automatic scale, five standard deviations are this grey.
GREY, DEVIATIONS = 250.0, 5.0


def pgm_header(picture: Picture, scale: float) -> bytes:
    """Return the header: magic number, columns and rows, the scale as a comment, the maximum."""
    rows, columns = picture.shape
    return f"P5\n{columns} {rows}\n# pixels scaled by {scale:g}\n255\n".encode("ascii")


def file_bytes(picture: Picture) -> int:
    """Return the size of the file, but for its header."""
    return picture.shape[0] * picture.shape[1]


def write_pgm(picture: Picture, path: Path, options: Options, smv_scale: float = 0.0) -> list[str]:
    """Write the greymap.

    ``scale``: 0 or below, or None: automatic, from the standard deviation of the whole image; 1
    where pixels are counts already.  ``smv_scale``: scale of the integer image, which C takes where
    the standard deviation is 0; 0 or below: that one's automatic scale.
    """
    scale = options.scale if options.scale and options.scale > 0.0 else 0.0
    if scale == 0.0 and picture.counts:
        scale = 1.0
    elif scale == 0.0:
        rmsd = picture.scales.rmsd
        if rmsd > 0.0:
            scale = GREY / (DEVIATIONS * rmsd)
        else:
            scale = smv_scale if smv_scale > 0.0 else automatic_scale(picture)
    # Counts are rounded as in other files; C truncates.
    half = 0.5 if picture.counts else 0.0
    clipped = Clipped()
    with open(path, "wb") as handle:
        handle.write(pgm_header(picture, scale))
        for start, pixels in picture.bands():
            inside = picture.inside(start, len(pixels))
            grey = np.zeros(pixels.shape, np.uint8)
            grey[inside], lost = grey8(pixels[inside], scale, half)
            clipped = clipped.plus(lost)
            handle.write(grey.data)
    said = [f"scale {scale:g}"]
    # The automatic scale makes strong pixels white on purpose; one of counts does not.
    return said + clipped.describe(GREY_MAX) if picture.counts else said

"""CBF with several panels: an array for each, not compressed.

dxtbx takes a file whose first array is compressed by byte offsets for one of a single panel.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nbdask.export.cbf_parts import (
    GREATEST,
    MARK,
    MD5_DIGITS,
    NOTHING,
    begin,
    binary_header,
    end_of_section,
    joined,
)
from nbdask.export.imgcif import Exposure, imgcif_entries
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.series import Series
from nbdask.export.values import Clipped, counts32
from nbdask.panels.model import Instrument

_PLAIN = "x-CBF_NONE"


def write_panels(
    path: Path, series: Series, instrument: Instrument, exposure: Exposure, options: Options
) -> Clipped:
    """Write the header and the arrays of all panels; return what does not fit."""
    clipped = Clipped()
    lines = [
        *begin(series.first),
        *imgcif_entries(instrument, exposure, "none"),
        "loop_",
        "_array_data.array_id",
        "_array_data.binary_id",
        "_array_data.data",
    ]
    with open(path, "wb") as handle:
        handle.write(joined([*lines, ""]))
        for number, picture in enumerate(series.panels(0), start=1):
            handle.write(joined([f"ARRAY{number} {number}", ";"]))
            clipped = clipped.plus(_array(handle, number, picture, options))
    return clipped


def _array(handle: BinaryIO, number: int, picture: Picture, options: Options) -> Clipped:
    """Write the pixels of a panel."""
    clipped, digest = Clipped(), hashlib.md5(usedforsecurity=False)
    place = (number, *picture.shape)
    size = 4 * picture.shape[0] * picture.shape[1]
    start = handle.tell()
    # The checksum is filled in when it is known.
    handle.write(binary_header(size, "A" * MD5_DIGITS, place, _PLAIN))
    handle.write(MARK)
    for row, pixels in picture.bands():
        counts, lost = counts32(pixels, options.factor, options.offset, GREATEST)
        counts[picture.unused(row, pixels)] = NOTHING
        clipped = clipped.plus(lost)
        packed = np.ascontiguousarray(counts, "<i4").tobytes()
        digest.update(packed)
        handle.write(packed)
    handle.write(end_of_section())
    end = handle.tell()
    handle.seek(start)
    handle.write(binary_header(size, base64.b64encode(digest.digest()).decode(), place, _PLAIN))
    handle.seek(end)
    return clipped

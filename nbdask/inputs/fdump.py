"""Fdump.bin: the binary grid of amplitudes that nanoBragg leaves behind.

The file begins with the text ``h_min h_max k_min k_max l_min l_max``, a newline and a form feed.
Little-endian float64 values follow, l fastest.  Each axis holds one value more than its indices
need: a spare plane, row and value at the end, which are zero.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from nbdask.inputs.amplitudes import AmplitudeGrid, check_size
from nbdask.inputs.text import check_regular, problem, unreadable

_HEAD = re.compile(rb"[ \t]*" + rb"[ \t]+".join([rb"([+-]?\d{1,7})"] * 6) + rb"[ \t]*\r?\n\f")
_HEAD_BYTES = 128
_WHAT = "amplitudes as nanoBragg dumps them (Fdump.bin)"


def read_fdump(path: str | Path) -> AmplitudeGrid:
    """Read a dumped grid; its spare planes are dropped.

    Raises
    ------
    InputFileError
        A missing file, a malformed first line, a wrong length, or values that are not finite.
    """
    check_regular(path, _WHAT)
    try:
        with open(path, "rb") as handle:
            head = _HEAD.match(handle.read(_HEAD_BYTES))
            if head is None:
                raise problem(
                    path,
                    1,
                    "no index ranges found",
                    "'h_min h_max k_min k_max l_min l_max', a newline and a form feed",
                )
            numbers = [int(part) for part in head.groups()]
            minimum, maximum = numbers[0::2], numbers[1::2]
            for name, low, high in zip("hkl", minimum, maximum, strict=True):
                if low > high:
                    raise problem(path, 1, f"{name} from {low} to {high}", "an ascending range")
            check_size(minimum, maximum, str(path))
            shape = tuple(high - low + 2 for low, high in zip(minimum, maximum, strict=True))
            needed = 8 * shape[0] * shape[1] * shape[2]
            handle.seek(0, 2)
            found = handle.tell() - head.end()
            if found != needed:
                raise problem(
                    path,
                    None,
                    f"{found} bytes of amplitudes found",
                    f"{needed} for {shape[0]} x {shape[1]} x {shape[2]} values of 8 bytes",
                )
            handle.seek(head.end())
            values = np.fromfile(handle, dtype="<f8").reshape(shape)
    except OSError as error:
        raise unreadable(path, error, _WHAT) from None
    grid = np.ascontiguousarray(values[:-1, :-1, :-1], dtype=np.float64)
    if not np.isfinite(grid).all():
        h, k, el = (
            int(i) + low for i, low in zip(np.argwhere(~np.isfinite(grid))[0], minimum, strict=True)
        )
        raise problem(path, None, f"F({h} {k} {el}) is not finite", "a finite number")
    return AmplitudeGrid(grid, (minimum[0], minimum[1], minimum[2]))


def write_fdump(path: str | Path, grid: AmplitudeGrid) -> None:
    """Write a grid byte for byte as nanoBragg does, spare planes of zeros included.

    Raises
    ------
    InputFileError
        The file cannot be written.
    """
    pairs = zip(grid.minimum, grid.maximum, strict=True)
    head = " ".join(f"{low} {high}" for low, high in pairs) + "\n\f"
    padded = np.zeros(tuple(n + 1 for n in grid.values.shape), dtype="<f8")
    padded[:-1, :-1, :-1] = grid.values
    try:
        with open(path, "wb") as handle:
            handle.write(head.encode())
            padded.tofile(handle)
    except OSError as error:
        raise unreadable(path, error, "(or able to hold) a dump of amplitudes") from None

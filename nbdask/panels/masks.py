"""The bad pixels of a panel, from all that a geometry file says of them."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.inputs.text import problem
from nbdask.panels.model import MaskPlace, Panel

Mask = NDArray[np.bool_]


def bad_pixels(panel: Panel, *, files: bool = True) -> Mask:
    """Return the bad pixels of a panel.

    Parameters
    ----------
    panel : Panel
    files : bool
        Read mask files; masks that lie in each data file are never read.

    Returns
    -------
    (n_slow, n_fast) bool array
        True: bad.

    Raises
    ------
    InputFileError
        A mask file is missing or has no such field.
    """
    bad = np.zeros((panel.n_slow, panel.n_fast), dtype=np.bool_)
    for part in panel.bad:
        bad[part.s0 : part.s1, part.f0 : part.f1] = True
    if panel.bad_edge > 0:
        edge = panel.bad_edge
        bad[:edge] = bad[-edge:] = True
        bad[:, :edge] = bad[:, -edge:] = True
    for area in panel.bad_areas:
        fast = np.arange(panel.n_fast)[None, :] + 0.5
        slow = np.arange(panel.n_slow)[:, None] + 0.5
        x, y = (
            panel.origin[n]
            + fast * (panel.pitch_fast * panel.fast[n])
            + slow * (panel.pitch_slow * panel.slow[n])
            for n in (0, 1)
        )
        bad |= (x >= area.x0) & (x <= area.x1) & (y >= area.y0) & (y <= area.y1)
    if files:
        for place in panel.masks:
            if place.file is not None:
                bad |= _from_file(panel, place, place.file)
    return bad


def _from_file(panel: Panel, place: MaskPlace, file: str) -> Mask:
    """Return the bad pixels of a mask in an HDF5 file."""
    try:
        import h5py
    except ImportError:
        raise InputFileError(f"{file}: h5py is not installed: pip install 'nbdask[io]'") from None
    what = "an HDF5 file with a mask"
    if not os.path.isfile(file):
        raise problem(file, None, "no such file", what)
    try:
        with h5py.File(file, "r") as handle:
            field = handle[place.data.path or "/"]
            if not isinstance(field, h5py.Dataset):
                raise problem(file, None, f"{place.data.path}: is no field", what)
            return _bad(field[_slices(panel, place, field.shape, file)], place)
    except (OSError, KeyError, ValueError) as error:
        found = " ".join(f"{place.data.path}: {error}".split())
        raise problem(file, None, found, what) from None


def _slices(
    panel: Panel, place: MaskPlace, shape: tuple[int, ...], file: str
) -> tuple[int | slice, ...]:
    """Return the part of the field that is the panel's; a mask may lack the frames."""
    ends = {
        "fs": (place.data.first_fast, panel.n_fast),
        "ss": (place.data.first_slow, panel.n_slow),
    }
    dims = list(place.data.dims)
    if len(dims) > len(shape):
        dims = [dim for dim in dims if dim != "%"]
    fits = len(dims) == len(shape) and all(
        dim not in ends or sum(ends[dim]) <= size for dim, size in zip(dims, shape, strict=True)
    )
    if not fits:
        found = f"{place.data.path} has shape {shape}"
        raise problem(file, None, found, f"a mask that holds panel {panel.name}")
    parts: list[int | slice] = []
    for dim in dims:
        if isinstance(dim, int):
            parts.append(dim)
        elif dim == "%":
            parts.append(0)
        else:
            parts.append(slice(ends[dim][0], sum(ends[dim])))
    return tuple(parts)


def _bad(values: NDArray[np.int64], place: MaskPlace) -> Mask:
    bits = np.asarray(values).astype(np.int64)
    bad: Mask = ((bits & place.bad) != 0) | ((bits & place.good) != place.good)
    return bad

"""Files of orientations -> what a table of shots holds."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nbdask.errors import InputFileError
from nbdask.experiment import Experiment
from nbdask.flags.geometry_use import crystal_axes
from nbdask.geometry.conventions import directions
from nbdask.geometry.vectors import array, unit
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.npy import open_npy
from nbdask.inputs.text import check_regular, problem, unreadable
from nbdask.panels.dxtbx import read_crystals
from nbdask.panels.given import Given
from nbdask.shots.names import QUATERNION, STAR
from nbdask.shots.rotations import Array, quaternions
from nbdask.shots.tables import Table
from nbdask.shots.text_tables import read_rows, read_table
from nbdask.units import DEGREES_PER_RADIAN

#: What a file of orientations may be, for messages.
WHAT = (
    "orientations: .expt, .mat, .npy, or lines of 3 missets [degrees], a quaternion w x y z,"
    " or a matrix of 9"
)
#: How far a matrix may be from a rotation.
_ROTATION = 1e-3
_MISSET = tuple(f"crystal.misset.{name}" for name in "xyz")
_NPY = b"\x93NUMPY"
#: Least cosine between the experiment's beam and that of an experiment list's frame, +x.
_ALONG = 0.99


def read_orientations(path: str, experiment: Experiment) -> Table:
    """Read an orientation for each shot.

    Parameters
    ----------
    path : str
        A file, or a pattern such as ``"mats/*.mat"`` whose files are taken in the order of their
        names.
    experiment : Experiment
        Whose frame and wavelength orientation matrices are for.

    Raises
    ------
    InputFileError
        A file that cannot be read, or holds something else.
    """
    several = sorted(glob.glob(path)) if glob.has_magic(path) else []
    if several and not Path(path).exists():
        return _of_matrices(path, np.array([read_matrix(name) for name in several]), experiment)
    check_regular(path, WHAT)
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 12)
    except OSError as error:
        raise unreadable(path, error, WHAT) from None
    text = head.decode("utf-8", "replace").lstrip("\ufeff").lstrip()
    if head.startswith(_NPY):
        return _of_npy(path, experiment)
    if text[:1] in ("{", "["):
        return _of_list(path, experiment)
    if Path(path).suffix.lower() == ".mat":
        return _of_matrices(path, np.array([read_matrix(path)]), experiment)
    if Path(path).suffix.lower() in (".toml", ".parquet", ".pq") or "crystal." in text:
        return read_table(path)
    return _of_rows(path, read_rows(path, WHAT, 3), experiment)


def _of_npy(path: str, experiment: Experiment) -> Table:
    values = np.array(open_npy(path, WHAT, "fiu", (2, 3)), dtype=np.float64)
    if values.ndim == 3 and values.shape[1:] == (3, 3):
        values = values.reshape(-1, 9)
    if values.ndim != 2:
        raise problem(path, None, f"an array of shape {values.shape}", WHAT)
    return _of_rows(path, values, experiment)


def _of_rows(path: str, rows: Array, experiment: Experiment) -> Table:
    """Return the table of missets, quaternions, rotations or orientation matrices."""
    if not np.isfinite(rows).all():
        raise problem(path, None, "numbers that are not finite", WHAT)
    count = rows.shape[1]
    if count == 3:
        return Table(dict(zip(_MISSET, rows.T / DEGREES_PER_RADIAN, strict=True)))
    if count == 4:
        lengths = np.linalg.norm(rows, axis=1)
        if lengths.min() < 1e-30:
            raise problem(path, None, f"quaternion {int(lengths.argmin())} is 0", "all of a length")
        return Table(dict(zip(QUATERNION, (rows / lengths[:, None]).T, strict=True)))
    if count != 9:
        raise problem(path, None, f"{count} numbers a line", WHAT)
    found = rows.reshape(-1, 3, 3)
    off = np.abs(found @ found.transpose(0, 2, 1) - np.eye(3)).max()
    if off < _ROTATION and (np.linalg.det(found) > 0.0).all():
        return Table(dict(zip(QUATERNION, quaternions(found).T, strict=True)))
    return _of_matrices(path, rows, experiment)


def _of_matrices(path: str, rows: Array, experiment: Experiment) -> Table:
    """Return the table of MOSFLM matrices in units of 1/wavelength, (n, 9)."""
    flat = np.linalg.matrix_rank(rows.reshape(-1, 3, 3)) < 3
    if flat.any():
        raise problem(path, None, f"matrix {int(flat.argmax())} has no volume", "all of rank 3")
    star = rows.reshape(-1, 3, 3).transpose(0, 2, 1) / experiment.beam.wavelength
    return _of_star(star.reshape(-1, 9))


def _of_star(star: Array) -> Table:
    return Table(dict(zip(STAR, star.T, strict=True)))


def _of_list(path: str, experiment: Experiment) -> Table:
    """Return the table of the crystals of a dxtbx experiment list."""
    beam = unit(array(directions(experiment.frame).beam))
    if beam[0] < _ALONG:
        x, y, z = (float(number) for number in beam)
        raise InputFileError(
            f"{path}: its orientations are for a beam along +x, the experiment's goes along"
            f" {x:g}, {y:g}, {z:g}: must be a frame such as MOSFLM's, or that of --geometry"
        )
    rows: list[Sequence[float]] = []
    for number, (crystal, spindle) in enumerate(read_crystals(Given(Path(path)))):
        axes = crystal_axes(crystal, spindle, path)
        if not np.linalg.det(axes * 1e10) != 0.0:
            raise problem(path, None, f"crystal of experiment {number} has no volume", WHAT)
        rows.append(np.linalg.inv(axes).T.reshape(-1).tolist())
    return _of_star(np.array(rows))

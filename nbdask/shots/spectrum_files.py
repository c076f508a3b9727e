"""Files of measured spectra, a row each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nbdask import units
from nbdask.errors import FieldError
from nbdask.inputs.text import check_regular, problem
from nbdask.shots.spectra import MeasuredSpectra
from nbdask.shots.text_tables import read_rows

#: What such a file should hold, for messages.
WHAT = (
    "spectra: energies [eV] in the first line and weights in the others, or a .npz file with the"
    " arrays energies (channels) and weights (spectra, channels)"
)


def read_spectra(path: str, drawn: bool) -> MeasuredSpectra:
    """Read measured spectra; weights below 0, which are noise of the measurement, count as 0.

    Parameters
    ----------
    path : str
    drawn : bool
        Whether shots have rows at random.

    Raises
    ------
    InputFileError
        A file that cannot be read, or holds something else.
    """
    check_regular(path, WHAT)
    if Path(path).suffix.lower() == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                energies = np.array(archive["energies"], dtype=np.float64)
                weights = np.array(archive["weights"], dtype=np.float64)
        except Exception:  # what a damaged archive raises is of many types
            raise problem(path, None, "another kind of file, or damaged", WHAT) from None
    else:
        rows = read_rows(path, WHAT, 1)
        energies, weights = rows[0], rows[1:]
    if energies.ndim != 1 or not (energies > 0.0).all():
        raise problem(path, None, "energies that are not all above 0", WHAT)
    try:
        return MeasuredSpectra(units.from_ev(energies), np.maximum(weights, 0.0), drawn)  # type: ignore[arg-type]
    except FieldError as error:
        raise problem(path, None, str(error), WHAT) from None

"""Reflections of shots as an unmerged MTZ file."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.geometry.model import Array
from nbdask.truth.columns import SHOT
from nbdask.truth.tables import Truth
from nbdask.version import __version__

#: Label, type, and what it holds.
COLUMNS = (
    ("M/ISYM", "Y", "1, or 2 where h, k, l are those of the Friedel mate"),
    ("BATCH", "B", "number of the shot, from 1"),
    ("I", "J", "expected photons"),
    ("SIGI", "Q", "their square root"),
    ("FRACTIONCALC", "R", "partiality"),
    ("XDET", "R", "fast centroid, 0 at the outer edge of the first pixel"),
    ("YDET", "R", "slow centroid, likewise"),
    ("ROT", "R", "mean spindle angle [degrees]"),
    ("FSQ", "R", "squared structure factor amplitude [electrons^2]"),
    ("EXERR", "R", "excitation error [1/Angstrom]"),
    ("WAVE", "R", "wavelength of the photons' mean energy [Angstrom]"),
    ("PANEL", "I", "number of the panel, from 0"),
    ("CRYSTAL", "I", "number of the crystal, from 0"),
)
#: Of them, their columns among those of truth.
_SAME = {
    "I": "photons",
    "FRACTIONCALC": "partiality",
    "ROT": "phi_centroid",
    "FSQ": "F_squared",
    "EXERR": "excitation_error",
    "WAVE": "wavelength_centroid",
    "PANEL": "panel_number",
    "CRYSTAL": "crystal_number",
}


def write_mtz(truth: Truth, path: str | Path) -> int:
    """Write the reflections of all shots, in P1 and unmerged; return their number.

    Parameters
    ----------
    truth : Truth
        With reflections.
    path : path or str

    Raises
    ------
    InputError
        Without reflections, or the file cannot be written.
    """
    rows = _rows(truth)
    cells = truth.shots["cell"].values[:, 0]
    waves = truth.shots["wavelength"].values
    numbers = truth.shots[SHOT].values + 1
    mtz = gemmi.Mtz(with_base=False)
    mtz.title = "nbdask: expected photons of each reflection"
    mtz.history = [f"nbdask {__version__}: positions in pixels, no background"]
    mtz.spacegroup = gemmi.find_spacegroup_by_number(1)
    mtz.add_dataset("HKL_base")
    dataset = mtz.add_dataset("nbdask")
    dataset.wavelength = float(waves.mean())
    mtz.set_cell_for_all(gemmi.UnitCell(*cells.mean(axis=0).tolist()))
    for label in "HKL":
        mtz.add_column(label, "H", dataset_id=0)
    for label, kind, _ in COLUMNS:
        mtz.add_column(label, kind, dataset_id=dataset.id)
    mtz.set_data(rows.astype(np.float32))
    for row, number in enumerate(numbers.tolist()):
        mtz.batches.append(_batch(number, cells[row], float(waves[row]), dataset.id))
    with whole_file(path, "--mtz", InputError) as fresh:
        mtz.write_to_file(str(fresh))
    return len(rows)


def _rows(truth: Truth) -> Array:
    """Return the data of the columns, indices first."""
    table = truth.to_pandas(reflections=True)
    h, k, el = (table[name].to_numpy(dtype=np.float64) for name in "hkl")
    # CCP4's half in P1: the other one holds mates.
    mate = (el < 0) | ((el == 0) & ((h < 0) | ((h == 0) & (k < 0))))
    sign = np.where(mate, -1.0, 1.0)
    found = {label: table[name] for label, name in _SAME.items()}
    found |= {
        "M/ISYM": 1.0 + mate,
        "BATCH": table[SHOT] + 1,
        "SIGI": np.sqrt(table["photons"]),
        "XDET": table["fast_centroid"] + 0.5,
        "YDET": table["slow_centroid"] + 0.5,
    }
    named = [sign * h, sign * k, sign * el, *(found[label] for label, *_ in COLUMNS)]
    return np.column_stack([np.asarray(values, dtype=np.float64) for values in named])


def _batch(number: int, cell: Array, wavelength: float, dataset: int) -> gemmi.Mtz.Batch:
    """Return the header of a batch."""
    batch = gemmi.Mtz.Batch()
    batch.number = number
    batch.title = f"shot {number - 1}"
    batch.dataset_id = dataset
    batch.cell = gemmi.UnitCell(*cell.tolist())
    batch.wavelength = wavelength
    return batch

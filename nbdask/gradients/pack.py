"""From a basis to what the compiled loops of derivatives are called with."""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, Array, Model
from nbdask.geometry.slopes import Slopes
from nbdask.gradients.basis import Basis
from nbdask.gradients.lattice import form_slope, spot_width
from nbdask.kernels.pack import Packed, lattice_values, pack
from nbdask.kernels.params import CODES, read_codes, read_struct

_HEADER = "slope_params.h"
#: Layouts of what holds for one parameter, and for all.
SLOPE, SLOPES = read_struct(_HEADER, "Slope"), read_struct(_HEADER, "Slopes")
#: What is known of the data of normal equations.
DATA = read_struct(_HEADER, "Data")
#: In what units a GPU sums up by amplitudes.
PULLS = read_struct(_HEADER, "Pulls")
MOST_SPINS = read_codes(_HEADER)["MOST_SPINS"]
_PLACED = ("origin", "fast", "slow", "deep", "normal", "close_distance", "depth")
#: Panels of a model and basis that are kept, so that tasks of one tile share what they read.
_KEPT = 16

_making = Lock()


class PackedBasis(NamedTuple):
    """Everything that a basis gives to the loops.

    Attributes
    ----------
    how : structure
        Of :data:`SLOPES`.
    slopes : (parameters,) structured array
        Of :data:`SLOPE`.
    leads : (n, AXES_ROW) float64 array
        What takes slopes by indices to those by the scattering vector [m]: the axes of each
        orientation; of spots whose slopes are S d (see :func:`_by_distance`), what takes these.
    frames : (n, 3, 3) float64 array
    spins : (spins, n, 3) float64 array
    waves : (parameters, sources) float64 array
        Relative changes of wavelengths.
    """

    how: Any
    slopes: Any
    leads: Array
    frames: Array
    spins: Array
    waves: Array


def pack_basis(model: Model, basis: Basis, panel: int = 0, pulled: bool = False) -> PackedBasis:
    """Return what the loops read, made when it is first asked for: strips of a tile share it.

    Parameters
    ----------
    model : Model
    basis : Basis
    panel : int
    pulled : bool
        Whether sums over wavelengths are wanted.
    """
    key = (panel, pulled)
    with _making:
        made = _made.setdefault(basis, WeakKeyDictionary()).setdefault(model, {})
        if key not in made:
            if len(made) == _KEPT:
                del made[next(iter(made))]
            made[key] = _pack_basis(model, basis, panel, pulled)
        return made[key]


#: What was made of bases and their models, for as long as both live.
_made: WeakKeyDictionary[Basis, WeakKeyDictionary[Model, dict[tuple[int, bool], PackedBasis]]] = (
    WeakKeyDictionary()
)


def _pack_basis(model: Model, basis: Basis, panel: int, pulled: bool) -> PackedBasis:
    packed = pack(model)
    model, basis = model.at(panel), basis.at(model, panel)
    by_distance = _by_distance(packed)
    count = len(basis.slopes)
    slopes = np.zeros(max(count, 1), SLOPE)
    waves = np.zeros((count, model.n_sources))
    spins: list[Array] = []
    for row, entry, wave in zip(slopes, basis.slopes, waves, strict=False):
        _fill(row, model, entry)
        if by_distance is not None:
            row["axes"] = (by_distance.T @ row["axes"].reshape(3, 3)).reshape(-1)
        row["spin"] = -1
        if entry.spin is not None:
            row["spin"] = len(spins)
            spins.append(entry.spin)
        if entry.wavelength is not None:
            wave[:] = entry.wavelength / model.wavelength
            row["lit"] = 1
    how = np.zeros((), SLOPES)
    how["parameters"], how["spins"] = count, len(spins)
    if count and slopes["shaped"].any():
        how["shaped"] = 6 if model.shape in (GAUSS, SPHERICAL) else 3
    how["turned"] = bool(count) and slopes["turned"].any()
    how["moved"] = pulled or (bool(count) and (slopes["placed"] | slopes["lit"]).any())
    table = np.array(spins) if spins else np.zeros((1, 1, 3))
    leads = packed.axes
    if by_distance is not None:
        leads = leads.copy()
        leads[:, :9] = (by_distance.T @ leads[:, :9].reshape(-1, 3, 3)).reshape(-1, 9)
    return PackedBasis(how, slopes, leads, np.ascontiguousarray(basis.frames), table, waves)


def _by_distance(packed: Packed) -> Array | None:
    """Return what takes S d to the slope of S by the indices; None: the loops find that.

    Of gauss and spherical spots, S = 2^-(sign |R d|^2), it is the same for all evaluations:
    S-GRAD-07, S-GRAD-24.  ``by_distance`` of ``slopes.h`` says the same.

    Returns
    -------
    (3, 3) float64 array
    """
    told = packed.values
    if told["lattice"] not in (CODES["GAUSS"], CODES["NODES"]):
        return None
    if told["amplitude"] == CODES["TRICUBIC"]:
        return None
    triangle = np.zeros((3, 3))
    triangle[np.triu_indices(3)] = told["triangle"]
    found: Array = -2.0 * np.log(2.0) * told["sign"] * triangle.T @ triangle
    return told["to_nodes"].T @ found if told["lattice"] == CODES["NODES"] else found


def fits(model: Model, basis: Basis) -> bool:
    """Whether the loops have what a model and a basis need."""
    spins = sum(entry.spin is not None for entry in basis.slopes)
    return not model.curved and not model.running_product and spins <= MOST_SPINS


def _fill(row: Any, model: Model, entry: Slopes) -> None:
    """Fill the structure of one parameter."""
    for name in ("origin", "fast", "slow", "normal", "close_distance", "kahn"):
        row[name] = entry.get(name)
    step, mu = entry.get("layer_step"), entry.get("mu")
    row["deep"] = model.layer_step * entry.get("normal") + step * model.normal
    row["depth"] = step * model.mu + model.layer_step * mu
    for name in ("background", "scale"):
        row[name] = entry.get(name)
    if entry.axes is not None:
        row["axes"], row["turned"] = entry.axes.reshape(-1), 1
    row["shape"], row["log"] = _shape(model, entry)
    row["shaped"] = row["shape"].any()
    row["placed"] = any(np.any(row[name]) for name in _PLACED)


def _shape(model: Model, entry: Slopes) -> tuple[Array, float]:
    """Return how the numbers change that a shape depends on, and the logarithm of all terms."""
    shape, cells = np.zeros(6), entry.get("n_cells") * np.ones(3)
    log = 0.0
    if model.f_grid.size == 0 and model.default_F != 0.0:
        log = 2.0 * float(entry.get("default_F")) / model.default_F
    if model.shape == SQUARE:
        few = lattice_values(model)[0]["lattice"] != CODES["GRATING"]
        shape[:3] = cells / model.n_cells if few else cells
        return shape, log
    log += 2.0 * float((cells / model.n_cells).sum())
    fudge = float(entry.get("fudge"))
    if model.shape == ROUND:
        shape[:3] = model.n_cells * (fudge * model.n_cells + 2.0 * model.fudge * cells)
        return shape, log
    form = model.spot_form.T @ model.spot_form
    width, power = spot_width(model)
    change = (fudge + power * model.fudge * float((cells / model.n_cells).sum())) * form
    own = form_slope(model, entry)
    if own is not None:
        change = change + model.fudge * own
    change = -width * change
    shape[:3] = np.diag(change)
    shape[3:] = 2.0 * change[[0, 0, 1], [1, 2, 2]]
    return shape, log

"""What truth holds: names, types, units and meaning of its columns."""

from __future__ import annotations

from typing import NamedTuple

#: Of the columns.
VERSION = 1
#: The frame of all vectors and matrices.
FRAME = "common: z along the beam, y up, x = y cross z, the sample at the origin"
#: Where whole numbers of pixel coordinates are.
PIXELS = "whole numbers are the centres of pixels, the first is 0"

SHOT, CRYSTAL, REFLECTION = "shot", "crystal", "reflection"
#: Lengths of the dimensions beside those.
SIDES = {"xyz": 3, "abc": 3, "cell_parameter": 6, "wxyz": 4}


class Column(NamedTuple):
    """One array: its dimensions, type, unit, and what it holds."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    text: str

    @property
    def attributes(self) -> dict[str, str]:
        """Those of the array."""
        return {"long_name": self.text, "units": self.units}


_ONE, _EACH = (SHOT,), (SHOT, CRYSTAL)
#: The table of shots.
SHOTS = {
    "reciprocal_matrix": Column(
        (*_EACH, "xyz", "abc"),
        "float64",
        "1/Angstrom",
        "columns a*, b*, c* at spindle angle phi; q = matrix (h, k, l)",
    ),
    "cell": Column(
        (*_EACH, "cell_parameter"),
        "float64",
        "Angstrom, degree",
        "a, b, c, alpha, beta, gamma of the direct cell",
    ),
    "quaternion": Column(
        (*_EACH, "wxyz"),
        "float64",
        "1",
        "U of matrix = U B, B of a crystal with a along x and b in the x-y plane; w not below 0",
    ),
    "mosaic_spread": Column(
        (*_EACH, "abc"),
        "float64",
        "degree",
        "about a, c* x a, c*: radius of nanoBragg's cap, or standard deviations; NaN: listed",
    ),
    "mosaic_domains": Column(_EACH, "int64", "1", "number of mosaic domains"),
    "n_cells": Column((*_EACH, "abc"), "int64", "1", "unit cells along a, b, c"),
    "size": Column((*_EACH, "abc"), "float64", "Angstrom", "edges of the crystal along a, b, c"),
    "scale": Column(
        _EACH,
        "float64",
        "photon",
        "photons into 1 sr for |F F_latt|^2 = 1: fluence, weight of the crystal, r_e^2",
    ),
    "mosaic_seed": Column(_EACH, "int64", "1", "seed of the mosaic domains"),
    "misset_seed": Column(_EACH, "int64", "1", "seed of a random misset; -1: none"),
    "fluence": Column(_ONE, "float64", "photon/m^2", "photons on the crystal by area"),
    "flux": Column(_ONE, "float64", "photon/s", "flux; 0: the fluence was given"),
    "energy": Column(_ONE, "float64", "eV", "mean photon energy"),
    "bandwidth": Column(_ONE, "float64", "1", "standard deviation of the energy over its mean"),
    "wavelength": Column(_ONE, "float64", "Angstrom", "that of the mean photon energy"),
    "phi": Column(_ONE, "float64", "degree", "mean spindle angle"),
    "osc": Column(_ONE, "float64", "degree", "rotation range; 0: a still"),
    "spectrum_index": Column(
        _ONE, "int64", "1", "number of the shot's spectrum in a series; -1: the experiment's own"
    ),
    "distance": Column(_ONE, "float64", "mm", "from the sample along the beam"),
}
_R = (REFLECTION,)
#: The table of reflections; those of a shot follow one another.
REFLECTIONS = {
    "h": Column(_R, "int32", "1", "index along a*"),
    "k": Column(_R, "int32", "1", "index along b*"),
    "l": Column(_R, "int32", "1", "index along c*"),
    "crystal_number": Column(_R, "int32", "1", "number of the crystal, from 0"),
    "panel_number": Column(_R, "int32", "1", "number of the panel, from 0"),
    "fast_centroid": Column(_R, "float64", "pixel", f"mean fast index of the photons; {PIXELS}"),
    "slow_centroid": Column(_R, "float64", "pixel", f"mean slow index of the photons; {PIXELS}"),
    "photons": Column(_R, "float64", "photon", "expected photons, without any background"),
    "partiality": Column(
        _R, "float64", "1", "photons over those in full; see the page on truth; NaN: unknown"
    ),
    "F_squared": Column(_R, "float64", "electron^2", "squared structure factor amplitude"),
    "excitation_error": Column(
        _R,
        "float64",
        "1/Angstrom",
        "distance of the node from the sphere of the mean wavelength, above 0 outside",
    ),
    "phi_centroid": Column(_R, "float64", "degree", "mean spindle angle of the photons"),
    "wavelength_centroid": Column(
        _R, "float64", "Angstrom", "that of the mean energy of the photons"
    ),
    "fast_predicted": Column(_R, "float64", "pixel", "where s1 meets the panel"),
    "slow_predicted": Column(_R, "float64", "pixel", "where s1 meets the panel"),
    "s1": Column((REFLECTION, "xyz"), "float64", "1/Angstrom", "predicted scattered wave vector"),
}
#: Of each shot, where reflections are held.
RAGGED = {
    "first_reflection": Column(_ONE, "int64", "1", "number of the shot's first reflection"),
    "n_reflections": Column(_ONE, "int64", "1", "reflections of the shot"),
    "n_left_out": Column(_ONE, "int64", "1", "reflections of fewer photons, which are left out"),
    "photons_left_out": Column(_ONE, "float64", "photon", "photons of those that are left out"),
}

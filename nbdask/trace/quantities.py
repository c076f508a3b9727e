"""Names, units and formula numbers of everything that a trace shows, in the order of the data."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """What a value of a trace is.

    Attributes
    ----------
    tap : str
        The group that ``--taps`` names.
    unit : str
        Empty: dimensionless.
    formula : str
        Numbers of requirements of the specification.
    meaning : str
    """

    tap: str
    unit: str
    formula: str
    meaning: str


#: Levels of a trace: once per pixel, sub-pixel and layer, source, phi and domain, at the end.
FRAME = {
    "fluence": Quantity("intensity", "photons/m^2", "S-SCALE-02", "incident fluence"),
    "r_e^2": Quantity("intensity", "m^2", "S-UNIT-07", "classical electron radius, squared"),
    "steps": Quantity(
        "intensity", "", "S-SCALE-01", "sources x domains x phi steps x sub-pixels: the divisor"
    ),
    "background": Quantity("accum", "", "S-INT-26", "what the sum starts from (water)"),
    "per_term": Quantity(
        "intensity", "", "S-INT-24", "1 where capture, polarization, solid angle go with each term"
    ),
    "fast": Quantity("geometry", "", "S-GEO-12", "direction of the fast axis"),
    "slow": Quantity("geometry", "", "S-GEO-12", "direction of the slow axis"),
    "normal": Quantity("geometry", "", "S-GEO-12", "direction of the detector's normal"),
    "beam": Quantity("geometry", "", "S-GEO-01", "direction of the beam"),
    "spindle": Quantity("geometry", "", "S-GEO-01", "rotation axis"),
    "pixel_size": Quantity("geometry", "m", "S-GEO-18", "edge of a pixel along fast"),
    "pitch_slow": Quantity("geometry", "m", "S-GEO-26", "edge along slow, where it differs"),
    "pixel_area": Quantity("geometry", "m^2", "S-GEO-27", "p_f p_s |f x s|"),
    "distance": Quantity("geometry", "m", "S-GEO-13", "distance along the beam"),
    "close_distance": Quantity("geometry", "m", "S-GEO-13", "distance along the normal"),
    "origin": Quantity(
        "geometry", "m", "S-GEO-10, S-GEO-11", "outer corner of the detector's first pixel"
    ),
    "sensor": Quantity(
        "capture", "m, m, 1/m", "S-GEO-23", "thickness, distance between layers, absorption mu"
    ),
    "a": Quantity("geometry", "m", "S-XTAL-07", "cell vector before phi and mosaic rotations"),
    "b": Quantity("geometry", "m", "S-XTAL-07", "cell vector before phi and mosaic rotations"),
    "c": Quantity("geometry", "m", "S-XTAL-07", "cell vector before phi and mosaic rotations"),
    "a*": Quantity("geometry", "1/Angstrom", "S-XTAL-07", "reciprocal vector, likewise"),
    "b*": Quantity("geometry", "1/Angstrom", "S-XTAL-07", "reciprocal vector, likewise"),
    "c*": Quantity("geometry", "1/Angstrom", "S-XTAL-07", "reciprocal vector, likewise"),
    "cells": Quantity("f_latt", "", "S-XTAL-10", "cells along a, b, c"),
    "kahn": Quantity("polarization", "", "S-INT-18", "Kahn factor"),
}
SUB_PIXEL = {
    "position": Quantity("geometry", "m", "S-GEO-18, S-GEO-19", "centre of the sub-pixel"),
    "R": Quantity("geometry", "m", "S-GEO-19", "distance from the sample"),
    "d": Quantity("geometry", "", "S-GEO-19", "direction of the diffracted ray"),
    "obliquity": Quantity("omega", "", "S-GEO-21", "close_distance/R"),
    "solid_angle": Quantity("omega", "sr", "S-GEO-21", "solid angle of the whole pixel from here"),
    "capture": Quantity("capture", "", "S-INT-19", "share that stops in this layer"),
}
SOURCE = {
    "incident": Quantity("geometry", "", "S-SRC-06, S-SRC-09", "direction of the photons"),
    "wavelength": Quantity("geometry", "m", "S-SRC-07", "of this source"),
    "weight": Quantity("intensity", "", "S-SRC-10, S-SRC-13", "of this source"),
    "amplitude_table": Quantity("f_cell", "", "S-SRC-16", "number of its table of amplitudes"),
    "q": Quantity("hkl_subpixel", "1/m", "S-INT-02", "scattering vector"),
    "sin_theta/lambda": Quantity("hkl_subpixel", "1/m", "S-INT-03", "half the length of q"),
    "passes_dmin": Quantity("hkl_subpixel", "", "S-INT-03", "0: left out of the sum"),
    "cos_2theta": Quantity("polarization", "", "S-INT-18", "incident . d"),
    "polarization": Quantity("polarization", "", "S-INT-18", "factor of this source from here"),
}
TERM = {
    "phi": Quantity("hkl_subpixel", "rad", "S-SCAN-03, S-SCAN-06", "nominal angle, angle used"),
    "rotated_a": Quantity("hkl_subpixel", "m", "S-SCAN-04", "cell vector of this step, domain"),
    "rotated_b": Quantity("hkl_subpixel", "m", "S-SCAN-04", "cell vector of this step, domain"),
    "rotated_c": Quantity("hkl_subpixel", "m", "S-SCAN-04", "cell vector of this step, domain"),
    "rotated_a*": Quantity("hkl_subpixel", "1/m", "S-XTAL-07", "reciprocal vector (b x c)/V"),
    "rotated_b*": Quantity("hkl_subpixel", "1/m", "S-XTAL-07", "reciprocal vector (c x a)/V"),
    "rotated_c*": Quantity("hkl_subpixel", "1/m", "S-XTAL-07", "reciprocal vector (a x b)/V"),
    "domain_weight": Quantity("intensity", "", "S-XTAL-23", "of this mosaic domain"),
    "hkl": Quantity("hkl_subpixel", "", "S-INT-04", "fractional indices"),
    "hkl_nearest": Quantity("hkl_subpixel", "", "S-INT-05, S-INT-29", "nearest whole indices"),
    "F_latt_abc": Quantity("f_latt", "", "S-INT-06", "factors along a, b, c"),
    "x_round": Quantity("f_latt", "", "S-INT-07", "argument of the transform of a sphere"),
    "rho^2": Quantity("f_latt", "1/Angstrom^2", "S-INT-08, S-INT-29", "distance to the spot"),
    "F_latt": Quantity("f_latt", "", "S-INT-06 to S-INT-10", "lattice factor"),
    "F_latt^2": Quantity("f_latt", "", "S-INT-23", "its square"),
    "F_cell_from": Quantity("f_cell", "", "S-INT-11 to S-INT-17", "where the amplitude is from"),
    "neighbours_at": Quantity("f_cell", "", "S-INT-15", "h, k, l of the first of 4 x 4 x 4"),
    "neighbours": Quantity("f_cell", "electrons", "S-INT-15", "64 amplitudes, l fastest"),
    "F_cell": Quantity("f_cell", "electrons", "S-INT-11 to S-INT-17", "structure factor"),
    "F_cell^2": Quantity("f_cell", "electrons^2", "S-INT-23", "its square"),
    "diffuse": Quantity("diffuse", "electrons^2", "S-DIF-01", "diffuse scattering in the term"),
    "counted": Quantity("accum", "", "S-INT-03, S-SEM-02", "0: left out of the sum"),
    "term": Quantity("accum", "", "S-INT-23, S-INT-24", "what is added to the sum"),
    "sum": Quantity("accum", "", "S-INT-23, S-SEM-02", "running sum, background included"),
}
BOUNDARY = {
    "sum_sub_pixel": Quantity("accum", "", "S-INT-23, S-SEM-02", "running sum after a sub-pixel"),
}
PIXEL = {
    "I": Quantity("accum", "", "S-INT-23, S-INT-26", "whole sum, background included"),
    "I/steps": Quantity("intensity", "", "S-SCALE-01", "whole sum per step"),
    "pixel_capture": Quantity("capture", "", "S-INT-19, S-INT-22", "the pixel's capture fraction"),
    "pixel_polarization": Quantity(
        "polarization", "", "S-INT-18, S-INT-21", "the pixel's polarization factor"
    ),
    "pixel_solid_angle": Quantity("omega", "sr", "S-GEO-21, S-INT-20", "the pixel's solid angle"),
    "pixel_float64": Quantity("intensity", "photons", "S-SCALE-01", "before rounding to float32"),
    "amorphous_stol": Quantity(
        "background", "1/m", "S-BKG-02", "sin(theta)/lambda of the first source and sub-pixel"
    ),
    "amorphous_F": Quantity("background", "electrons", "S-BKG-03", "amplitude of each material"),
    "amorphous": Quantity("background", "photons", "S-BKG-01", "from all amorphous materials"),
    "transmission": Quantity("background", "", "S-BKG-16, S-BKG-17", "share that gets here"),
    "pixel": Quantity("intensity", "photons", "S-SCALE-01, S-SCALE-04", "as stored, float32"),
}
QUANTITIES = FRAME | SUB_PIXEL | SOURCE | TERM | BOUNDARY | PIXEL
#: Groups of quantities.
TAPS = (
    "geometry", "hkl_subpixel", "f_latt", "f_cell", "accum", "intensity", "omega", "polarization",
    "capture", "background", "diffuse",
)  # fmt: skip

"""What nanoBragg C's names are called here, and the units that C prints them in."""

from __future__ import annotations

from typing import NamedTuple

from nbdask.trace.quantities import BOUNDARY, FRAME, PIXEL, SOURCE, SUB_PIXEL, TERM


class Mapped(NamedTuple):
    """A name in a log of C.

    Attributes
    ----------
    quantity : str
        Name of the quantity here.
    units : tuple of float
        Factors that turn C's number into ours.  Of several the nearest is taken:
        programs have printed different units under one name.
    item : int or None
        Which number of the quantity it is; None: all of them.
    power : float
        C's number to this power is ours.
    """

    quantity: str
    units: tuple[float, ...] = (1.0,)
    item: int | None = None
    power: float = 1.0


_METRES = (1.0, 1e-3, 1e-10)
_PER_METRE = (1.0, 1e10)

#: Names of lines ``TRACE_C: name value ...``.
TRACE_NAMES = {
    "fdet_vec": Mapped("fast"),
    "sdet_vec": Mapped("slow"),
    "odet_vec": Mapped("normal"),
    "beam_vec": Mapped("beam"),
    "spindle_axis": Mapped("spindle"),
    "pix0_vector_meters": Mapped("origin", _METRES),
    "distance_meters": Mapped("distance", _METRES),
    "close_distance_meters": Mapped("close_distance", _METRES),
    "pixel_size_meters": Mapped("pixel_size", _METRES),
    "pixel_pos_meters": Mapped("position", _METRES),
    "R_distance_meters": Mapped("R", _METRES),
    "omega_pixel_sr": Mapped("solid_angle"),
    "obliquity_factor": Mapped("obliquity"),
    "diffracted_vec": Mapped("d"),
    "incident_vec": Mapped("incident"),
    "lambda_meters": Mapped("wavelength"),
    "lambda_angstroms": Mapped("wavelength", (1e-10,)),
    "scattering_vec_A_inv": Mapped("q", _PER_METRE),
    "polarization_factor": Mapped("polarization"),
    "rot_a_angstroms": Mapped("rotated_a", (1e-10,)),
    "rot_b_angstroms": Mapped("rotated_b", (1e-10,)),
    "rot_c_angstroms": Mapped("rotated_c", (1e-10,)),
    "rot_a_star_A_inv": Mapped("rotated_a*", (1e10,)),
    "rot_b_star_A_inv": Mapped("rotated_b*", (1e10,)),
    "rot_c_star_A_inv": Mapped("rotated_c*", (1e10,)),
    "hkl_frac": Mapped("hkl"),
    "hkl_rounded": Mapped("hkl_nearest"),
    "F_latt_a": Mapped("F_latt_abc", item=0),
    "F_latt_b": Mapped("F_latt_abc", item=1),
    "F_latt_c": Mapped("F_latt_abc", item=2),
    "F_latt": Mapped("F_latt"),
    "F_cell": Mapped("F_cell"),
    "I_before_scaling": Mapped("I"),
    "r_e_meters": Mapped("r_e^2", power=2.0),
    "r_e_sqr": Mapped("r_e^2"),
    "fluence_photons_per_m2": Mapped("fluence"),
    "steps": Mapped("steps"),
    "oversample_thick": Mapped("per_term", item=0),
    "oversample_polar": Mapped("per_term", item=1),
    "oversample_omega": Mapped("per_term", item=2),
    "capture_fraction": Mapped("pixel_capture"),
    "polar": Mapped("pixel_polarization"),
    "omega_pixel": Mapped("pixel_solid_angle"),
    "cos_2theta": Mapped("cos_2theta"),
    "I_pixel_final": Mapped("pixel_float64"),
    "floatimage_accumulated": Mapped("pixel"),
}
#: Other spellings of the same.
ALIASES = {
    "fdet": "fdet_vec",
    "fdet_vector": "fdet_vec",
    "sdet": "sdet_vec",
    "sdet_vector": "sdet_vec",
    "odet": "odet_vec",
    "odet_vector": "odet_vec",
    "beam_vector": "beam_vec",
    "spindle_vector": "spindle_axis",
    "pix0_vector": "pix0_vector_meters",
    "distance": "distance_meters",
    "close_distance": "close_distance_meters",
    "pixel_size": "pixel_size_meters",
    "pixel_pos": "pixel_pos_meters",
    "airpath": "R_distance_meters",
    "diffracted": "diffracted_vec",
    "incident": "incident_vec",
    "lambda": "lambda_meters",
    "scattering_vec": "scattering_vec_A_inv",
    "hkl": "hkl_frac",
    "hkl0": "hkl_rounded",
    "I_before_scaling_pre_polar": "I_before_scaling",
    "I_term": "I_before_scaling",
    "fluence": "fluence_photons_per_m2",
    "polarization": "polar",
    "final_intensity": "floatimage_accumulated",
    "final_pixel_value": "I_pixel_final",
}
#: What the lines of -printout are called below; the header's and the pixel's.
PRINTOUT_NAMES = {
    "DIRECTION_OF_DETECTOR_X-AXIS": Mapped("fast"),
    "DIRECTION_OF_DETECTOR_Y-AXIS": Mapped("slow"),
    "DIRECTION_OF_DETECTOR_Z-AXIS": Mapped("normal"),
    "INCIDENT_BEAM_DIRECTION": Mapped("beam"),
    "ROTATION_AXIS": Mapped("spindle"),
    "incident fluence": Mapped("fluence"),
    "distance": Mapped("distance"),
    "pixel": Mapped("pixel_size"),
    "sensor": Mapped("sensor", item=0),
    "a": Mapped("a", (1e-10,)),
    "b": Mapped("b", (1e-10,)),
    "c": Mapped("c", (1e-10,)),
    "a_star": Mapped("a*"),
    "b_star": Mapped("b*"),
    "c_star": Mapped("c*"),
    "at": Mapped("position"),
    "stol": Mapped("sin_theta/lambda"),
    "cell vector a": Mapped("rotated_a", (1e-10,)),
    "cell vector b": Mapped("rotated_b", (1e-10,)),
    "cell vector c": Mapped("rotated_c", (1e-10,)),
    "hkl": Mapped("hkl"),
    "hkl0": Mapped("hkl_nearest"),
    "F_latt": Mapped("F_latt"),
    "F_cell": Mapped("F_cell"),
    "I": Mapped("I"),
    "I/steps": Mapped("I/steps"),
    "capfrac": Mapped("pixel_capture"),
    "polar": Mapped("pixel_polarization"),
    "omega": Mapped("pixel_solid_angle"),
    "pixel value": Mapped("pixel"),
}
#: Levels of the loops, outermost first; quantities of the pixel as a whole are level 0.
_LEVELS = (FRAME | PIXEL | BOUNDARY, SUB_PIXEL, SOURCE, TERM)


def level_of(quantity: str) -> int:
    """Return 0 for the pixel, 1 for sub-pixels, 2 for sources, 3 for phi steps and domains."""
    return next(i for i, names in enumerate(_LEVELS) if quantity in names)

"""SMV images as DIALS and MOSFLM read them: nanoBragg's header with those of an ADSC detector.

nanoBragg C writes BEAMLINE=fake, and dxtbx then takes BEAM_CENTER_X and _Y for those of ADXV,
whatever the convention, and adds a pixel.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from nbdask.export.geometry import geometry_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.series import Series
from nbdask.export.smv import (
    DEFAULT_ADC,
    HEADER_BYTES,
    Entries,
    c_entries,
    laid_out,
    settle_counts,
    write_noise,
    write_smv,
)
from nbdask.export.spectrum import spectrum_of
from nbdask.export.target import Target
from nbdask.export.values import UINT16_MAX
from nbdask.panels.vectors import Matrix

#: Distance of corners [pixels] from where a header says they are that is not worth a word.
_MISPLACED = 0.01


def write(series: Series, target: Target, options: Options) -> list[str]:
    """Write the scaled integer image; ``header``: adsc unless given."""
    picture = series.first
    header = None
    if options.header != "c":
        header = adsc_header(picture, *settle_counts(picture, options))
    said = write_smv(picture, target.fresh, options, header)
    return [*said, *_centre(options)]


def write_noisy(series: Series, target: Target, options: Options) -> list[str]:
    """Write the image with nanoBragg's own noise; ``header``: adsc unless given."""
    picture = series.first
    header = None
    if options.header != "c":
        header = adsc_header(picture, 1.0, DEFAULT_ADC if options.adc is None else options.adc)
    said = write_noise(picture, target.fresh, options, header)
    return [*said, *_centre(options)]


def _centre(options: Options) -> list[str]:
    if options.header != "c":
        return []
    return ["DIALS reads another beam centre from nanoBragg's header (--header adsc)"]


def adsc_header(picture: Picture, scale: float, adc: float) -> bytes:
    """Return the header: that of nanoBragg C, with what DIALS needs in place of what misleads it.

    Parameters
    ----------
    picture : Picture
    scale, adc : float
        Counts are photons * scale + adc.
    """
    g, beam = geometry_of(picture), picture.experiment.beam
    mm = 1000.0
    started = str(picture.reader.attributes.get("started") or "1970-01-01T00:00:00")
    changed = {
        "PIXEL_SIZE": f"{g.pixel * mm:.9g}",
        "DISTANCE": f"{g.distance * mm:.9g}",
        "WAVELENGTH": f"{spectrum_of(picture).mean * 1e10:.9g}",
        # MOSFLM's axes, from the outer corner: x along slow, y along fast.
        "BEAM_CENTER_X": f"{g.s_spot * mm:.9g}",
        "BEAM_CENTER_Y": f"{g.f_spot * mm:.9g}",
        "BEAMLINE": "nbdask",
    }
    entries: Entries = [
        (key, changed.get(key, value)) for key, value in c_entries(picture.experiment, g)
    ]
    entries += [
        ("TIME", f"{beam.exposure if beam.exposure > 0.0 else 1.0:g}"),
        ("DATE", datetime.fromisoformat(started[:19]).strftime("%a %b %d %H:%M:%S %Y")),
        ("GAIN", f"{scale:.6g}"),
        ("IMAGE_PEDESTAL", f"{adc:.6g}"),
        ("CCD_IMAGE_SATURATION", f"{UINT16_MAX}"),
    ]
    return laid_out(entries)


def not_held(series: Series) -> str | None:
    """Return what an SMV header cannot hold of the geometry: tilts, and a spindle along slow."""
    g = geometry_of(series.first)
    turn = lab_to_nexus(g)
    # Programs put the detector across the beam, fast along the spindle.
    fast, slow = np.array([-1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
    origin = np.array([0.0, 0.0, g.distance]) - g.f_spot * fast - g.s_spot * slow
    width, height = g.columns * g.pixel, g.rows * g.pixel

    def corners(at: Matrix, along: Matrix, across: Matrix) -> Matrix:
        return np.array([at, at + width * along, at + height * across])

    true = corners(turn @ g.origin, turn @ g.frame.fast, turn @ g.frame.slow)
    moved = np.max(np.linalg.norm(true - corners(origin, fast, slow), axis=1)) / g.pixel
    if moved > _MISPLACED:
        return f"the header cannot hold tilts: corners are {moved:.3g} pixels off"
    if series.rotation is not None and float(turn[0] @ g.frame.spindle) > -1.0 + 1e-9:
        return "the header cannot hold the spindle, which is not along fast"
    return None


def file_bytes(picture: Picture) -> int:
    """Return the size of a file, but for a header that is longer than usual."""
    return 2 * HEADER_BYTES + 2 * picture.shape[0] * picture.shape[1]

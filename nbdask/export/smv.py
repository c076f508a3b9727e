"""SMV images as nanoBragg C writes them: the scaled integer image, and the one with noise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.noise_c import CNoise
from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.values import UINT16_MAX, Clipped, counts16, noise16
from nbdask.units import DEGREES_PER_RADIAN

#: C's header; a longer one takes the next multiple (C then writes a file that cannot be read).
HEADER_BYTES = 512
#: Offset of counts when nothing is given, and the count of the greatest pixel.
DEFAULT_ADC, FULL = 40.0, 55000.0


Entries = list[tuple[str, str]]


def smv_header(experiment: Experiment, geometry: Geometry) -> bytes:
    """Return the header of an SMV image: keys, order and digits of nanoBragg C.

    Returns
    -------
    bytes
        512 of them, or the next multiple of 512 where the entries need more.
    """
    return laid_out(c_entries(experiment, geometry))


def laid_out(entries: Entries) -> bytes:
    """Return a header with these entries after its size."""
    size, text = 0, "-"
    while len(text) > size:
        size += HEADER_BYTES
        # C leaves out one semicolon.
        lines = (
            f"{key}={value}" + ";" * (key != "DIALS_ORIGIN")
            for key, value in [("HEADER_BYTES", f"{size}"), *entries]
        )
        text = "{\n" + "\n".join(lines) + "\n}\f"
    return text.encode("ascii").ljust(size)


def c_entries(experiment: Experiment, geometry: Geometry) -> Entries:
    """Return the entries that nanoBragg C writes."""
    g, mm = geometry, 1000.0
    half = 0.5 * g.pixel
    # The place as DIALS counts it: mm, along lab z, y and -x of the MOSFLM convention.
    x, y, z = (mm * float(g.origin[axis]) for axis in range(3))
    start = g.phi0 * DEGREES_PER_RADIAN
    twotheta = experiment.detector.twotheta * DEGREES_PER_RADIAN
    return [
        ("DIM", "2"),
        ("BYTE_ORDER", "little_endian"),
        ("TYPE", "unsigned_short"),
        ("SIZE1", f"{g.columns}"),
        ("SIZE2", f"{g.rows}"),
        ("PIXEL_SIZE", f"{g.pixel * mm:g}"),
        ("DISTANCE", f"{g.frame.distance * mm:g}"),
        ("WAVELENGTH", f"{experiment.beam.wavelength * 1e10:g}"),
        ("BEAM_CENTER_X", f"{g.x_beam * mm:g}"),
        ("BEAM_CENTER_Y", f"{g.y_beam * mm:g}"),
        ("ADXV_CENTER_X", f"{g.f_beam * mm:g}"),
        ("ADXV_CENTER_Y", f"{(g.extent_slow - g.s_beam) * mm:g}"),
        ("MOSFLM_CENTER_X", f"{(g.s_beam - half) * mm:g}"),
        ("MOSFLM_CENTER_Y", f"{(g.f_beam - half) * mm:g}"),
        ("DENZO_X_BEAM", f"{g.s_beam * mm:g}"),
        ("DENZO_Y_BEAM", f"{g.f_beam * mm:g}"),
        ("DIALS_ORIGIN", f"{z:g},{y:g},{-x:g}"),
        ("XDS_ORGX", f"{g.f_close / g.pixel + 0.5:g}"),
        ("XDS_ORGY", f"{g.s_close / g.pixel + 0.5:g}"),
        ("CLOSE_DISTANCE", f"{g.frame.close_distance * mm:g}"),
        ("PHI", f"{start:g}"),
        ("OSC_START", f"{start:g}"),
        ("OSC_RANGE", f"{g.osc * DEGREES_PER_RADIAN:g}"),
        ("TWOTHETA", f"{twotheta:g}"),
        ("DETECTOR_SN", "000"),
        ("BEAMLINE", "fake"),
    ]


def file_bytes(picture: Picture) -> int:
    """Return the size of an SMV file, but for a header that is longer than usual."""
    return HEADER_BYTES + 2 * picture.shape[0] * picture.shape[1]


def automatic_scale(picture: Picture) -> float:
    """Return the scale that makes the greatest pixel of the whole image 55000.

    1 without such a pixel, and where pixels are counts already.
    """
    if picture.counts:
        return 1.0
    greatest = picture.scales.max
    return FULL / greatest if greatest > 0.0 else 1.0


def settle_counts(picture: Picture, options: Options) -> tuple[float, float]:
    """Return the scale and the offset of the integer image."""
    scale = options.scale if options.scale and options.scale > 0.0 else automatic_scale(picture)
    usual = 0.0 if picture.counts else DEFAULT_ADC
    return scale, usual if options.adc is None else options.adc


def write_smv(
    picture: Picture, path: Path, options: Options, header: bytes | None = None
) -> list[str]:
    """Write the scaled integer image.

    ``scale``: 0 or below, or None: automatic; ``adc``: 40 unless given, 0 where pixels are counts
    already.

    Parameters
    ----------
    picture : Picture
    path : Path
    options : Options
    header : bytes, optional
        Instead of that of nanoBragg C.
    """
    scale, adc = settle_counts(picture, options)
    clipped = Clipped()
    with open(path, "wb") as handle:
        handle.write(header or smv_header(picture.experiment, geometry_of(picture)))
        for start, pixels in picture.bands():
            inside = picture.inside(start, len(pixels))
            counts = np.zeros(pixels.shape, np.uint16)
            counts[inside], lost = counts16(pixels[inside], scale, adc)
            clipped = clipped.plus(lost)
            _write(handle, counts)
    return [f"scale {scale:g}, offset {adc:g}", *clipped.describe(UINT16_MAX)]


def check_seed(seed: int | None, flag: str = "-seed") -> None:
    """Refuse a seed that nanoBragg's noise cannot be made from, before anything is done.

    Parameters
    ----------
    seed : int or None
    flag : str
        Flag that gave it, for the message.

    Raises
    ------
    InputError
        It is negative.
    """
    if seed is not None and seed < 0:
        raise InputError(
            f"{flag} {seed}: must be 0 or more for nanoBragg's own noise; a negative seed makes it"
            " depend on earlier draws"
        )


def write_noise(
    picture: Picture, path: Path, options: Options, header: bytes | None = None
) -> list[str]:
    """Write the image with nanoBragg C's own photon noise.

    The noise of a pixel depends on all pixels before it, so that of a region is the region of the
    whole image's noise.

    ``seed``: from the clock unless given; ``adc``: 40 unless given.

    Parameters
    ----------
    picture : Picture
    path : Path
    options : Options
    header : bytes, optional
        Instead of that of nanoBragg C.
    """
    if options.scale not in (None, 1.0):
        raise InputError(
            f"--scale {options.scale:g}: the noise image counts photons, so its scale is 1;"
            " leave --scale out"
        )
    seed = int(time.time()) if options.seed is None else options.seed
    adc = DEFAULT_ADC if options.adc is None else options.adc
    noise, clipped, total = CNoise(seed), Clipped(), 0.0
    with open(path, "wb") as handle:
        handle.write(header or smv_header(picture.experiment, geometry_of(picture)))
        for photons, drawn in _noisy_rows(picture, noise):
            counts = np.zeros(photons.shape, np.uint16)
            counts[drawn], lost = noise16(photons[drawn], adc)
            clipped = clipped.plus(lost)
            total += float(np.nansum(photons[drawn], dtype=np.float64))
            _write(handle, counts)
    chosen = " (from the clock)" if options.seed is None else ""
    said = f"seed {seed}{chosen}, {total:.0f} photons, offset {adc:g}"
    return [said, *clipped.describe(UINT16_MAX)]


def _noisy_rows(
    picture: Picture, noise: CNoise
) -> Iterator[tuple[NDArray[np.float32], tuple[slice, slice]]]:
    """Yield photons of the picture's rows, and which of them were drawn."""
    whole = replace(picture, roi=None)
    (slow0, fast0), (n_rows, n_columns) = picture.corner, picture.shape
    for start, pixels in whole.bands():
        inside = whole.inside(start, len(pixels))
        pixels[inside] = noise.image_rows(pixels[inside])
        first, last = max(slow0 - start, 0), min(slow0 + n_rows - start, len(pixels))
        if first < last:
            row = start + first - slow0
            yield (
                pixels[first:last, fast0 : fast0 + n_columns],
                picture.inside(row, last - first),
            )
        if start + len(pixels) >= slow0 + n_rows:
            return


def _write(handle: BinaryIO, counts: NDArray[np.uint16]) -> None:
    handle.write(np.ascontiguousarray(counts, dtype="<u2").data)

"""CBF with the headers of imgCIF and of Pilatus detectors, compressed by byte offsets, streamed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from fabio.compression import compByteOffset
from numpy.typing import NDArray

from nbdask.export.cbf_panels import write_panels
from nbdask.export.cbf_parts import (
    GREATEST,
    MARK,
    MD5_DIGITS,
    NOTHING,
    begin,
    binary_header,
    end_of_section,
    joined,
)
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.imgcif import Exposure, imgcif_entries
from nbdask.export.instrument import instrument_of
from nbdask.export.names import number_of
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.pilatus import is_pilatus
from nbdask.export.sensor import Sensor, settle_sensor
from nbdask.export.series import Series
from nbdask.export.spectrum import spectrum_of
from nbdask.export.target import Target
from nbdask.export.values import Clipped, counts32
from nbdask.units import to_degrees

_PACKED = "x-CBF_BYTE_OFFSET"


def write_cbf(series: Series, target: Target, options: Options) -> list[str]:
    """Write a CBF of signed 32-bit integers with a full imgCIF header and a mini header.

    ``scale`` and ``adc``: 1 and 0 unless given.  Pixels are rounded to the nearest whole number;
    masked ones, those outside the region of interest, and those not computed are -1.

    Parameters
    ----------
    series : Series
        Of one image.
    target : Target
    options : Options
    """
    picture = series.first
    sensor = settle_sensor(picture.experiment.detector, options.sensor)
    valid = picture.greatest_valid(options.factor, options.offset, whole=True)
    cutoff = GREATEST if valid is None else int(min(valid, GREATEST))
    instrument = instrument_of(series, sensor)
    exposure = _exposure(series, target.path, cutoff)
    if series.n_panels > 1:
        clipped = write_panels(target.fresh, series, instrument, exposure, options)
        return clipped.describe(GREATEST)
    pilatus = is_pilatus(picture)
    with open(target.fresh, "wb") as handle:
        lines = [
            *imgcif_entries(instrument, exposure, "byte_offset"),
            f'_array_data.header_convention "{"PILATUS_1.2" if pilatus else "GENERIC_MINI"}"',
            "_array_data.header_contents",
            ";",
            *(f"# {line}" for line in _entries(picture, sensor, exposure)),
            ";",
            "",
            "_array_data.array_id ARRAY1",
            "_array_data.binary_id 1",
            "_array_data.data",
            ";",
        ]
        handle.write(joined([*begin(picture), *lines]))
        # Size and checksum of the packed pixels are filled in when they are known.
        start = handle.tell()
        place = (1, *picture.shape)
        handle.write(binary_header(0, "A" * MD5_DIGITS, place, _PACKED))
        handle.write(MARK)
        size, md5, clipped = _write_pixels(handle, picture, options)
        handle.write(end_of_section())
        handle.seek(start)
        handle.write(binary_header(size, md5, place, _PACKED))
    # Only of a Pilatus do programs read the sensor.
    return [*clipped.describe(GREATEST), *(sensor.notes if pilatus else ())]


def _exposure(series: Series, path: Path, cutoff: int) -> Exposure:
    picture = series.first
    geometry, seconds = geometry_of(picture), picture.experiment.beam.exposure
    started = str(picture.reader.attributes.get("started") or "1970-01-01T00:00:00")
    return Exposure(
        number=number_of(path) or 1,
        start=to_degrees(geometry.phi0),
        width=0.0 if series.rotation is None else to_degrees(series.rotation.width),
        seconds=seconds if seconds > 0.0 else 1.0,
        started=started[:19],
        overload=cutoff,
        undefined=NOTHING,
    )


def _write_pixels(handle: BinaryIO, picture: Picture, options: Options) -> tuple[int, str, Clipped]:
    """Write the packed pixels; return their number of bytes, their MD5 in base 64, what is lost."""
    digest, size, last, clipped = hashlib.md5(usedforsecurity=False), 0, 0, Clipped()
    for start, pixels in picture.bands():
        counts, lost = counts32(pixels, options.factor, options.offset, GREATEST)
        counts[picture.unused(start, pixels)] = NOTHING
        clipped = clipped.plus(lost)
        packed = pack(counts.reshape(-1), last)
        last = int(counts[-1, -1])
        digest.update(packed)
        size += len(packed)
        handle.write(packed)
    return size, base64.b64encode(digest.digest()).decode(), clipped


def pack(values: NDArray[np.int32], before: int) -> bytes:
    """Return values as differences, each from the one before it, in one, three or seven bytes.

    Parameters
    ----------
    values : (n,) int32 array
        From -1 to 2^31 - 2.
    before : int
        The value before the first.
    """
    # The package starts from 0: pack ``before`` too, and drop its bytes.
    lead = np.array([before], np.int32)
    packed: bytes = compByteOffset(np.concatenate([lead, values]))
    return packed[len(compByteOffset(lead)) :]


def _entries(picture: Picture, sensor: Sensor, exposure: Exposure) -> list[str]:
    """Return the entries of the mini header, which has none for tilts."""
    g, beam, detector = geometry_of(picture), picture.experiment.beam, picture.experiment.detector
    p = f"{g.pixel * 1e6:.9g}e-6"
    material = "Silicon" if sensor.material == "Si" else sensor.material
    entries = [
        "Detector: simulated by nbdask, S/N 000",
        f"{exposure.started}.000",
        f"Pixel_size {p} m x {p} m",
        f"{material} sensor, thickness {sensor.thickness:.6f} m",
        f"Exposure_time {exposure.seconds:.7f} s",
        f"Exposure_period {exposure.seconds:.7f} s",
        "Tau = 0 s",
        f"Count_cutoff {exposure.overload:.0f} counts",
        "Threshold_setting: 0 eV",
        f"Wavelength {spectrum_of(picture).mean * 1e10:.9g} A",
        f"Detector_distance {g.distance:.9g} m",
        "Detector_Voffset 0 m",
        f"Beam_xy ({g.f_spot / g.pixel:.9g}, {g.s_spot / g.pixel:.9g}) pixels",
        f"Flux {beam.flux:g}",
        "Filter_transmission 1.0000",
        f"Start_angle {exposure.start:.9g} deg.",
        f"Angle_increment {to_degrees(g.osc):.9g} deg.",
        f"Detector_2theta {to_degrees(detector.twotheta):.9g} deg.",
        f"Polarization {beam.polarization:.9g}",
    ]
    if _tilted(g):
        for name, vector in (("Fast_axis", g.frame.fast), ("Slow_axis", g.frame.slow)):
            entries.append(f"{name} " + " ".join(f"{x:.12g}" for x in vector))
        entries.append("Origin " + " ".join(f"{x:.12g}" for x in g.origin) + " m")
        entries.append("Beam_axis " + " ".join(f"{x:.12g}" for x in g.frame.beam))
    return entries


def _tilted(g: Geometry) -> bool:
    """Return whether the beam meets the detector at an angle."""
    return max(abs(float(axis @ g.frame.beam)) for axis in (g.frame.fast, g.frame.slow)) > 1e-9

"""The header of a full imgCIF file: detector, goniometer and beam as axes, in its own frame.

imgCIF has x along the spindle of the usual goniometer, z to the source and y up: dxtbx's frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nbdask.panels.model import Instrument, Panel
from nbdask.panels.vectors import FROM_DXTBX, Vector, turned


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image.

    Parameters
    ----------
    number : int
        From 1.
    start, width : float
        Angle at its start and rotation [degrees].
    seconds : float
    started : str
        Date and time.
    overload, undefined : float
        Values from which on, and of, pixels without a measurement.
    """

    number: int
    start: float
    width: float
    seconds: float
    started: str
    overload: float
    undefined: float


def imgcif_entries(instrument: Instrument, exposure: Exposure, compression: str) -> list[str]:
    """Return the categories of an imgCIF file but for the pixels, one line each.

    Parameters
    ----------
    instrument : Instrument
        Arrays and elements of the detector are named ``ARRAY1``, ``ELEMENT1`` and so on.
    exposure : Exposure
    compression : str
        ``"byte_offset"`` or ``"none"``.
    """
    panels = range(1, len(instrument.panels) + 1)
    return [
        *_beam(instrument),
        *_detector(panels),
        *_goniometer(instrument, exposure),
        *_axes(instrument),
        *_arrays(instrument.panels, exposure, compression),
    ]


def _loop(category: str, columns: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table."""
    head = ["loop_", *(f"_{category}.{column}" for column in columns.split())]
    return [*head, *(" ".join(str(value) for value in row) for row in rows), ""]


def _numbers(values: Vector) -> tuple[str, ...]:
    return tuple(f"{value:.15g}" for value in values)


def _out(values: Vector) -> tuple[str, ...]:
    """Return a direction of the common frame."""
    return _numbers(turned(FROM_DXTBX, values))


def _place(values: Vector) -> tuple[str, ...]:
    """Return a place [m] in mm."""
    return _numbers(turned(FROM_DXTBX * 1e3, values))


def _beam(instrument: Instrument) -> list[str]:
    beam = instrument.beam
    assert beam.wavelength is not None
    fraction = 0.5 if beam.polarization_fraction is None else beam.polarization_fraction
    return [
        "_diffrn.id NBDASK",
        "",
        "_diffrn_source.diffrn_id NBDASK",
        "_diffrn_source.source simulation",
        "_diffrn_source.type nbdask",
        "",
        "_diffrn_radiation.diffrn_id NBDASK",
        "_diffrn_radiation.wavelength_id WAVELENGTH1",
        f"_diffrn_radiation.polarizn_source_ratio {2.0 * fraction - 1.0:.9g}",
        "_diffrn_radiation.polarizn_source_norm 0",
        "",
        "_diffrn_radiation_wavelength.id WAVELENGTH1",
        f"_diffrn_radiation_wavelength.wavelength {beam.wavelength * 1e10:.12g}",
        "_diffrn_radiation_wavelength.wt 1",
        "",
    ]


def _detector(panels: range) -> list[str]:
    rows = [("FRAME1", f"ELEMENT{n}", f"ARRAY{n}", n) for n in panels]
    return [
        "_diffrn_detector.diffrn_id NBDASK",
        "_diffrn_detector.id DETECTOR",
        "_diffrn_detector.type simulated",
        "_diffrn_detector.number_of_axes 1",
        "",
        *_loop("diffrn_detector_axis", "detector_id axis_id", [("DETECTOR", "DETECTOR_Z")]),
        *_loop(
            "diffrn_detector_element",
            "id detector_id",
            [(f"ELEMENT{n}", "DETECTOR") for n in panels],
        ),
        *_loop("diffrn_data_frame", "id detector_element_id array_id binary_id", rows),
    ]


def _goniometer(instrument: Instrument, exposure: Exposure) -> list[str]:
    """Return the scan; several panels of a still have no goniometer, by which it is known."""
    names = [name for n in range(1, len(instrument.panels) + 1) for name in (f"Y{n}", f"X{n}")]
    angles = {"SPINDLE": (exposure.start, exposure.width)} if turning(instrument) else {}
    zero = (0.0, 0.0)
    scan, frame = [], []
    for name in (*angles, "DETECTOR_Z", *names):
        start, width = angles.get(name, zero)
        scan.append(("SCAN1", name, f"{start:.12g}", f"{width:.12g}", f"{width:.12g}", 0, 0, 0))
        frame.append(("FRAME1", name, f"{start:.12g}", 0))
    rotation = [
        "_diffrn_measurement.diffrn_id NBDASK",
        "_diffrn_measurement.id GONIOMETER",
        "_diffrn_measurement.number_of_axes 1",
        "_diffrn_measurement.method rotation",
        "",
        *_loop("diffrn_measurement_axis", "measurement_id axis_id", [("GONIOMETER", "SPINDLE")]),
    ]
    return [
        *(rotation if angles else []),
        "_diffrn_scan.id SCAN1",
        "_diffrn_scan.frame_id_start FRAME1",
        "_diffrn_scan.frame_id_end FRAME1",
        "_diffrn_scan.frames 1",
        "",
        *_loop(
            "diffrn_scan_axis",
            "scan_id axis_id angle_start angle_range angle_increment"
            " displacement_start displacement_range displacement_increment",
            scan,
        ),
        "_diffrn_scan_frame.frame_id FRAME1",
        f"_diffrn_scan_frame.frame_number {exposure.number}",
        f"_diffrn_scan_frame.integration_time {exposure.seconds:.9g}",
        "_diffrn_scan_frame.scan_id SCAN1",
        f"_diffrn_scan_frame.date {exposure.started}",
        "",
        *_loop("diffrn_scan_frame_axis", "frame_id axis_id angle displacement", frame),
    ]


def turning(instrument: Instrument) -> bool:
    """Whether a goniometer is written: readers of one panel want one for stills too."""
    return len(instrument.panels) == 1 or instrument.sweep is not None


def _axes(instrument: Instrument) -> list[str]:
    """Return every axis: the panel's corner is where its slow axis begins."""
    none = ("0", "0", "0")
    source = _numbers(turned(-FROM_DXTBX, instrument.beam.direction))
    rows: list[Sequence[object]] = [
        ("SOURCE", "general", "source", ".", *source, ".", ".", ".", "."),
        ("GRAVITY", "general", "gravity", ".", "0", "-1", "0", ".", ".", ".", "."),
    ]
    if turning(instrument):
        spindle = instrument.spindle
        axis = _out((-1.0, 0.0, 0.0) if spindle is None else spindle.axis)
        rows.append(("SPINDLE", "rotation", "goniometer", ".", *axis, *none, "goniometer"))
    rows.append(("DETECTOR_Z", "translation", "detector", ".", "0", "0", "1", *none, "detector"))
    for number, panel in enumerate(instrument.panels, start=1):
        part = f"panel{number}"
        rows += [
            (f"Y{number}", "translation", "detector", "DETECTOR_Z", *_out(panel.slow),
             *_place(panel.origin), part),
            (f"X{number}", "translation", "detector", f"Y{number}", *_out(panel.fast),
             *none, part),
        ]  # fmt: skip
    return _loop(
        "axis",
        "id type equipment depends_on vector[1] vector[2] vector[3] offset[1] offset[2] offset[3]"
        " equipment_component",
        rows,
    )


def _arrays(panels: tuple[Panel, ...], exposure: Exposure, compression: str) -> list[str]:
    """Return how the pixels lie in the arrays, and what their values mean."""
    shape: list[Sequence[object]] = []
    steps: list[Sequence[object]] = []
    sizes: list[Sequence[object]] = []
    for number, panel in enumerate(panels, start=1):
        array = f"ARRAY{number}"
        shape += [
            (array, 1, panel.n_fast, 1, "increasing", f"X{number}"),
            (array, 2, panel.n_slow, 2, "increasing", f"Y{number}"),
        ]
        # dxtbx takes the first displacement for the pixel's outer corner.
        pitches = (panel.pitch_fast, panel.pitch_slow)
        steps += [
            (f"{axis}{number}", f"{axis}{number}", "0", f"{pitch * 1e3:.15g}")
            for axis, pitch in zip("XY", pitches, strict=True)
        ]
        sizes += [(array, index, f"{pitch:.15g}") for index, pitch in enumerate(pitches, start=1)]
    numbers = range(1, len(panels) + 1)
    limits = f"{exposure.overload:.12g}", f"{exposure.undefined:.12g}"
    return [
        *_loop(
            "array_structure_list",
            "array_id index dimension precedence direction axis_set_id",
            shape,
        ),
        *_loop(
            "array_structure_list_axis",
            "axis_set_id axis_id displacement displacement_increment",
            steps,
        ),
        *_loop("array_element_size", "array_id index size", sizes),
        *_loop(
            "array_intensities",
            "array_id binary_id linearity gain gain_esd overload undefined_value",
            [(f"ARRAY{n}", n, "linear", 1, 0, *limits) for n in numbers],
        ),
        *_loop(
            "array_structure",
            "id encoding_type compression_type byte_order",
            [
                (f"ARRAY{n}", '"signed 32-bit integer"', compression, "little_endian")
                for n in numbers
            ],
        ),
    ]

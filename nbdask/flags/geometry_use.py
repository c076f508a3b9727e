"""``--geometry-use``: beam, crystal and scan of a geometry file, besides its panels."""

from __future__ import annotations

import math

import numpy as np

from nbdask import units
from nbdask.errors import FlagError, InputFileError
from nbdask.experiment.spectrum import Spectrum
from nbdask.flags.builder import Builder
from nbdask.flags.geometry_request import GeometryRequest
from nbdask.flags.spectrum import put_spectrum, refuse_beside
from nbdask.panels.model import CrystalSetting, Instrument, Spindle
from nbdask.panels.vectors import TO_LAB, Matrix, turned

#: How far a goniometer's matrix may be from a rotation.
_ROTATION = 1e-5


def take_parts(builder: Builder, found: Instrument, request: GeometryRequest) -> None:
    """Take what is asked for besides the detector.

    Parameters
    ----------
    builder : Builder
        With the detector, the beam's direction and the wavelength of the file.
    found : Instrument
        In the common frame.
    request : GeometryRequest
        With an absolute path.

    Raises
    ------
    FlagError
        The file has no such part, or a flag says what the file says.
    InputFileError
        A goniometer whose matrices are no rotations.
    """
    for part, take in (("beam", _beam), ("crystal", _crystal), ("scan", _scan)):
        if part in request.use:
            take(builder, found, request.path)


def _refuse(builder: Builder, part: str, path: str, fields: tuple[str, ...]) -> None:
    """Refuse flags that set what the file gives."""
    for field in fields:
        if builder.get(field) is not None:
            given = builder.origins[field]
            text = f"--geometry-use takes the {part} of {path}: must be left out"
            raise FlagError(f"{given}: {text}")


def _missing(part: str, path: str, what: str) -> FlagError:
    return FlagError(f"--geometry-use {part}: {path} holds {what}: leave {part} out")


def _beam(builder: Builder, found: Instrument, path: str) -> None:
    """Take the spectrum; wavelength, direction and polarization come with the detector."""
    beam = found.beam
    completed = any(text.startswith("wavelength") for text in found.taken)
    if completed and beam.polarization_fraction is None and not beam.spectrum:
        raise _missing("beam", path, "neither wavelength nor polarization")
    if beam.polarization_fraction is not None:
        given = builder.origins.get("beam.polarized")
        if given is not None:
            text = f"--geometry-use takes the beam of {path}: must be left out"
            raise FlagError(f"{given}: {text}")
    origin = f"--geometry-use beam ({path})"
    if beam.spectrum:
        refuse_beside(builder, origin)
        waves, weights = zip(
            *((wave, weight) for wave, weight in beam.spectrum if weight > 0.0), strict=True
        )
        spectrum = Spectrum(waves, weights, path)
        if builder.origins["beam.wavelength"] == f"--geometry {path}":
            builder.set("beam.wavelength", spectrum.mean_wavelength, origin)
        put_spectrum(builder, spectrum, origin)
    x, y, z = beam.direction
    wave = builder.get("beam.wavelength") * 1e10
    said = f"wavelength {wave:.10g} A, direction {x:.8g}, {y:.8g}, {z:.8g}"
    if beam.polarization_fraction is not None:
        said += f", polarization {beam.polarization_fraction:g}"
    if beam.polarization_normal is not None:
        said += " with the normal {:.8g}, {:.8g}, {:.8g}".format(*beam.polarization_normal)
    rest = "" if beam.bandwidth is None else f"; its bandwidth {beam.bandwidth:g} is not taken"
    builder.note(f"--geometry {path}: beam: {said}{rest}")


def _crystal(builder: Builder, found: Instrument, path: str) -> None:
    """Take cell and orientation, which the goniometer's fixed and setting rotations turn."""
    if not found.crystals:
        raise _missing("crystal", path, "no crystal")
    _refuse(builder, "crystal", path, ("files.matrix", "crystal.cell", "crystal.misset"))
    held = found.crystals[0]
    axes = crystal_axes(held, found.spindle, path) * 1e10
    # Columns a*, b*, c* in units of 1/wavelength.
    star = np.linalg.inv(axes) * (builder.get("beam.wavelength") * 1e10)
    origin = f"--geometry-use crystal ({path})"
    builder.set("crystal.matrix", tuple(float(value) for value in star.reshape(-1)), origin)
    builder.note(f"--geometry {path}: {_told(held, len(found.crystals))}")


def crystal_axes(held: CrystalSetting, spindle: Spindle | None, path: str) -> Matrix:
    """Return a, b, c (rows) of a crystal at spindle angle 0 in the lab [m].

    Parameters
    ----------
    held : CrystalSetting
        In the common frame.
    spindle : Spindle or None
        Whose fixed and setting rotations turn it.
    path : str
        The file, for messages.
    """
    turn: Matrix = np.eye(3)
    if spindle is not None:
        turn = _rotation(spindle.setting, "setting", path) @ _rotation(spindle.fixed, "fixed", path)
    axes: Matrix = np.array([held.a, held.b, held.c]) @ (TO_LAB @ turn).T
    return axes


def _told(held: CrystalSetting, count: int) -> str:
    """Return a crystal in words, with what is not taken of it."""
    axes = np.array([held.a, held.b, held.c]) * 1e10
    lengths = np.linalg.norm(axes, axis=1)
    cosines = (axes @ axes.T) / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos(np.clip([cosines[1, 2], cosines[0, 2], cosines[0, 1]], -1, 1)))
    cell = " ".join(f"{value:.7g}" for value in (*lengths, *angles))
    text = f"crystal at spindle angle 0, cell {cell}"
    if count > 1:
        text += f", the first of {count}"
    rest = []
    if held.space_group.strip():
        rest.append(f"space group {held.space_group.strip()}")
    if held.mosaicity is not None:
        rest.append(f"{held.mosaicity_key} {units.to_degrees(held.mosaicity):g} degrees")
    if held.domain_size is not None:
        rest.append(f"domain size {held.domain_size * 1e10:g} A")
    return text + (f"; not taken of it: {', '.join(rest)}" if rest else "")


def _scan(builder: Builder, found: Instrument, path: str) -> None:
    """Take the rotation axis, and angle and width of the first image."""
    sweep, spindle = found.sweep, found.spindle
    if sweep is None:
        raise _missing("scan", path, "no scan")
    if spindle is None:
        raise _missing("scan", path, "a scan without rotation axis")
    _refuse(builder, "scan", path, ("scan.phi0", *(("scan.osc",) if sweep.width else ())))
    origin = f"--geometry-use scan ({path})"
    # A range is never negative: turning by -w about an axis is turning by w about its reverse.
    sense = -1.0 if sweep.width < 0.0 else 1.0
    axis = turn_spindle(builder, spindle, path, sense)
    # Shots of an experiment list are scans, those of NXmx are images of one scan.
    number = found.shot if found.format == "NXmx" else 0
    first = sweep.start + number * sweep.width
    builder.set("scan.phi0", sense * first, origin)
    if sweep.width:
        builder.set("scan.osc", abs(sweep.width), origin)
    images = sweep.last - sweep.first + 1
    start, width = (units.to_degrees(sense * value) for value in (first, sweep.width))
    which = f"image {sweep.first + number}"
    if images > 1:
        which += f" of {sweep.first} to {sweep.last}"
    x, y, z = (round(value, 12) + 0.0 for value in axis)
    builder.note(
        f"--geometry {path}: scan: {which}: {start:.10g} degrees and {width:.10g} more about the"
        f" axis {x:.8g}, {y:.8g}, {z:.8g}"
    )


def turn_spindle(builder: Builder, spindle: Spindle, path: str, sense: float) -> Matrix:
    """Set the axis in the lab, where the setting rotation has it; return it (common frame)."""
    axis: Matrix = sense * (_rotation(spindle.setting, "setting", path) @ np.array(spindle.axis))
    builder.set("frame.spindle", turned(TO_LAB, axis), f"--geometry {path}")
    return axis


def _rotation(numbers: tuple[float, ...], name: str, path: str) -> Matrix:
    """Return a goniometer's matrix (3, 3)."""
    matrix: Matrix = np.array(numbers, dtype=np.float64).reshape(3, 3)
    off = float(np.max(np.abs(matrix @ matrix.T - np.eye(3))))
    if not off <= _ROTATION or math.copysign(1.0, float(np.linalg.det(matrix))) < 0.0:
        shown = " ".join(f"{value:g}" for value in numbers)
        raise InputFileError(f"{path}: goniometer: {name} rotation {shown}: must be a rotation")
    return matrix

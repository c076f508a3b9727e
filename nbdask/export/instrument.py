"""The experiment of exported images in the common frame: panels, beam, crystal, rotation.

The common frame is that of :mod:`nbdask.panels.model`; the lab frame is turned into it as for NXmx.
"""

from __future__ import annotations

import numpy as np

from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.picture import Picture
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from nbdask.export.spectrum import spectrum_of
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.vectors import rotate_about
from nbdask.panels.model import CrystalSetting, DataPlace, Instrument, Panel, PanelBeam, Spindle
from nbdask.panels.model import Sweep as PanelSweep
from nbdask.panels.vectors import Matrix, turned

HALF_PIXEL = "corner based"


def instrument_of(
    series: Series,
    sensor: Sensor,
    trusted: tuple[float | None, float | None] | None = None,
    data: str | None = None,
) -> Instrument:
    """Return panels, beam, crystal and rotation of a series.

    Parameters
    ----------
    series : Series
    sensor : Sensor
    trusted : tuple of (float or None), optional
        Least and greatest trusted value in the file.
    data : str, optional
        Dataset of the images.

    Returns
    -------
    Instrument
        Its crystal is that of the first image, at spindle angle 0 where the crystal turns.
    """
    picture = series.first
    geometry = geometry_of(picture)
    turn = lab_to_nexus(geometry)
    frame = geometry.frame
    beam = picture.experiment.beam
    places = [DataPlace(data, ("%", "ss", "fs"), 0, row) for row in series.rows]
    panels = tuple(
        _panel(one, turn, sensor, trusted, place)
        for one, place in zip(series.panels(0), places, strict=False)
    )
    kahn = beam.polarization if beam.polarized else 0.0
    rotation = series.rotation
    sweep = None
    if rotation is not None:
        sweep = PanelSweep(1, rotation.count, rotation.start, rotation.width)
    return Instrument(
        format="nbdask",
        half_pixel=HALF_PIXEL,
        panels=panels,
        beam=PanelBeam(
            wavelength=spectrum_of(picture).mean,
            polarization_normal=(0.0, 1.0, 0.0),
            polarization_fraction=0.5 * (1.0 + kahn),
        ),
        crystals=(crystal_of(picture, turn, still=rotation is None),),
        spindle=None if rotation is None else Spindle(turned(turn, frame.spindle)),
        sweep=sweep,
    )


def _panel(
    picture: Picture,
    turn: Matrix,
    sensor: Sensor,
    trusted: tuple[float | None, float | None] | None,
    place: DataPlace,
) -> Panel:
    """Return a panel in the common frame."""
    geometry = geometry_of(picture)
    held = picture.experiment.detector.panels
    one = held[picture.panel or 0] if held else None
    thick = one is not None and one.thickness > 0.0
    return Panel(
        name="panel" if one is None else one.name,
        n_fast=geometry.columns,
        n_slow=geometry.rows,
        pitch_fast=geometry.pixel,
        pitch_slow=geometry.pixel_slow,
        origin=turned(turn, geometry.origin),
        fast=turned(turn, geometry.frame.fast),
        slow=turned(turn, geometry.frame.slow),
        thickness=one.thickness if one is not None and thick else sensor.thickness,
        attenuation=one.attenuation if one is not None and thick else sensor.attenuation,
        material=sensor.material,
        trusted=trusted,
        data=place,
    )


def crystal_of(picture: Picture, turn: Matrix, *, still: bool) -> CrystalSetting:
    """Return the crystal in the common frame, of a still at its own (mean) spindle angle."""
    geometry: Geometry = geometry_of(picture)
    experiment = picture.experiment
    axes = orient_crystal(experiment.crystal, experiment.beam).axes
    if still:
        phi = geometry.phi0
        if geometry.osc > 0.0:  # steps begin at the start of the range
            phi += 0.5 * (geometry.osc - geometry.phi_step)
        axes = np.array([rotate_about(v, geometry.frame.spindle, phi) for v in axes])
    a, b, c = (turned(turn, axis) for axis in axes)
    return CrystalSetting(a, b, c, " P 1")

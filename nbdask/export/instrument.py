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
    panel = Panel(
        name="panel",
        n_fast=geometry.columns,
        n_slow=geometry.rows,
        pitch_fast=geometry.pixel,
        pitch_slow=geometry.pixel,
        origin=turned(turn, geometry.origin),
        fast=turned(turn, frame.fast),
        slow=turned(turn, frame.slow),
        thickness=sensor.thickness,
        attenuation=sensor.attenuation,
        material=sensor.material,
        trusted=trusted,
        data=DataPlace(data, ("%", "ss", "fs")),
    )
    kahn = beam.polarization if beam.polarized else 0.0
    rotation = series.rotation
    sweep = None
    if rotation is not None:
        sweep = PanelSweep(1, rotation.count, rotation.start, rotation.width)
    return Instrument(
        format="nbdask",
        half_pixel=HALF_PIXEL,
        panels=(panel,),
        beam=PanelBeam(
            wavelength=beam.wavelength,
            polarization_normal=(0.0, 1.0, 0.0),
            polarization_fraction=0.5 * (1.0 + kahn),
        ),
        crystals=(crystal_of(picture, turn, still=rotation is None),),
        spindle=None if rotation is None else Spindle(turned(turn, frame.spindle)),
        sweep=sweep,
    )


def crystal_of(picture: Picture, turn: Matrix, *, still: bool) -> CrystalSetting:
    """Return the crystal in the common frame, of a still at its own spindle angle."""
    geometry: Geometry = geometry_of(picture)
    experiment = picture.experiment
    axes = orient_crystal(experiment.crystal, experiment.beam).axes
    if still:
        axes = np.array([rotate_about(v, geometry.frame.spindle, geometry.phi0) for v in axes])
    a, b, c = (turned(turn, axis) for axis in axes)
    return CrystalSetting(a, b, c, " P 1")

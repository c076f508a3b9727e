"""The detector: pixels, place, tilt, sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.checks import Vector
from nbdask.experiment.panel import MAX_PIXELS, DetectorPanel

PIVOTS = ("beam", "sample")
#: Most panels that are believed to be meant.
MAX_PANELS = 65536


@dataclass(frozen=True, slots=True)
class Detector:
    """One flat (or curved) panel of square pixels, or panels of any kind.

    Lengths are in metres, angles in radians.

    Parameters
    ----------
    pixel_size : float
        Edge of the square pixels [m]; with ``panels`` the first one's pitch along fast.
    pixels_fast, pixels_slow : int or None
        Pixel counts; None: from the sizes.
    size_fast, size_slow : float
        Edge lengths [m], used for an axis whose pixel count is not given.
    distance : float
        Sample to detector along the beam [m].
    close_distance : float or None
        Sample to detector plane along its normal [m]; prevails over ``distance``.
    beam_x, beam_y : float or None
        Direct beam [m] in the convention's own axes; None: the convention's default.
    close_x, close_y : float or None
        Near point [m]; only the default of ``beam_x`` and ``beam_y`` for XDS, DIALS and CUSTOM.
    org_x, org_y : float or None
        Near point [pixels, the first pixel's centre is 1] along fast and slow.
    pivot : str or None
        ``"beam"`` or ``"sample"``: what stays in place when the detector is tilted; None: the
        convention's own.
    rotx, roty, rotz : float
        Tilts about the lab axes, right-handed, in this order.
    twotheta : float
        Swing about the frame's 2theta axis, right-handed, after the tilts.
    pix0 : tuple of 3 floats or None
        Lab position [m] of the outer corner of the first pixel; overrides every other placement.
    curved : bool
        Every pixel at the same distance from the sample.
    point_pixel : bool
        Solid angle 1/R^2: neither the pixel's size nor its obliquity.
    thickness : float
        Sensor thickness [m]; 0: not modelled.
    attenuation : float or None
        Inverse absorption depth of the sensor, mu [1/m]; None: 1/thickness.
    thick_steps : int or None
        Layers into which the sensor is cut; None: 2 when it has a thickness.
    panels : tuple of DetectorPanel
        Panels of a geometry file, each where it says: no field above places them, and of these only
        ``point_pixel`` and ``thick_steps`` count.  Empty: the one panel that the fields describe.
    header_file : str or None
        SMV image whose header gave values, for the record.
    geometry_file : str or None
        Geometry file that placed the detector, for the record.
    """

    pixel_size: float = 0.1e-3
    pixels_fast: int | None = None
    pixels_slow: int | None = None
    size_fast: float = 102.4e-3
    size_slow: float = 102.4e-3
    distance: float = 100.0e-3
    close_distance: float | None = None
    beam_x: float | None = None
    beam_y: float | None = None
    close_x: float | None = None
    close_y: float | None = None
    org_x: float | None = None
    org_y: float | None = None
    pivot: str | None = None
    rotx: float = 0.0
    roty: float = 0.0
    rotz: float = 0.0
    twotheta: float = 0.0
    pix0: Vector | None = None
    curved: bool = False
    point_pixel: bool = False
    thickness: float = 0.0
    attenuation: float | None = None
    thick_steps: int | None = None
    panels: tuple[DetectorPanel, ...] = ()
    # Not compared: the values are what counts, and flags can say them without the file.
    header_file: str | None = field(default=None, compare=False)
    geometry_file: str | None = field(default=None, compare=False)

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check every field."""
        if self.panels:
            self._check_panels()
        for name in ("pixel_size", "size_fast", "size_slow"):
            checks.assign(self, **{name: checks.size(f"detector.{name}", getattr(self, name))})
        for name in ("pixels_fast", "pixels_slow"):
            if getattr(self, name) is not None:
                count = checks.integer(
                    f"detector.{name}", getattr(self, name), low=1, high=MAX_PIXELS
                )
                checks.assign(self, **{name: count})
        checks.assign(self, distance=checks.number("detector.distance", self.distance))
        for name, told in (("pixel_size", 0.07), ("distance", 50.0)):
            field = f"detector.{name}"
            checks.tell(field, [getattr(self, name)], told, ("metres", "mm", units.mm))
        for name in ("rotx", "roty", "rotz", "twotheta"):
            checks.assign(self, **{name: checks.angle(f"detector.{name}", getattr(self, name))})
        for name in ("curved", "point_pixel"):
            checks.assign(self, **{name: checks.flag(f"detector.{name}", getattr(self, name))})
        for name in ("beam_x", "beam_y", "close_x", "close_y", "org_x", "org_y", "close_distance"):
            value = checks.optional(checks.number, f"detector.{name}", getattr(self, name))
            checks.assign(self, **{name: value})
        for name in ("distance", "close_distance"):
            if getattr(self, name) == 0.0:
                raise FieldError(f"detector.{name}", 0.0, "a number that is not 0")
        if self.pivot is not None:
            checks.one_of("detector.pivot", self.pivot, PIVOTS)
        if self.pix0 is not None:
            checks.assign(self, pix0=checks.vector("detector.pix0", self.pix0))
        checks.not_negative("detector.thickness", self.thickness)
        checks.optional(checks.not_negative, "detector.attenuation", self.attenuation)
        if self.thick_steps is not None:
            steps = checks.integer("detector.thick_steps", self.thick_steps, low=1, high=10**6)
            checks.assign(self, thick_steps=steps)
        for axis, extent in (("fast", self.extent_fast), ("slow", self.extent_slow)):
            if not self.panels and not 0.5 < extent / self.pixel_size <= MAX_PIXELS + 0.5:
                raise FieldError(
                    f"detector.size_{axis}",
                    extent,
                    f"1 to {MAX_PIXELS} times the pixel size of {self.pixel_size:g} m",
                )

    def _check_panels(self) -> None:
        """Check panels together; they place the detector alone."""
        if not isinstance(self.panels, tuple) or not all(
            isinstance(panel, DetectorPanel) for panel in self.panels
        ):
            raise FieldError("detector.panels", self.panels, "a tuple of DetectorPanel")
        if len(self.panels) > MAX_PANELS:
            raise FieldError("detector.panels", len(self.panels), f"at most {MAX_PANELS} panels")
        names = [panel.name for panel in self.panels]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise FieldError("detector.panels", f"{twice} twice", "names that all differ")
        if len({panel.thickness > 0.0 for panel in self.panels}) > 1:
            given = "a sensor thickness for some panels"
            raise FieldError("detector.panels", given, "one for all panels or for none")
        checks.assign(self, pixel_size=self.panels[0].pitch_fast)
        kept = ("pixel_size", "point_pixel", "thick_steps", "panels", "header_file")
        for item in fields(self):
            if item.name not in (*kept, "geometry_file"):
                value = getattr(self, item.name)
                if value != item.default:
                    name = f"detector.{item.name}"
                    raise FieldError(name, value, "left out where detector.panels are given")

    @property
    def extent_fast(self) -> float:
        """Edge length along fast [m]."""
        return self.size_fast if self.pixels_fast is None else self.pixel_size * self.pixels_fast

    @property
    def extent_slow(self) -> float:
        """Edge length along slow [m]."""
        return self.size_slow if self.pixels_slow is None else self.pixel_size * self.pixels_slow

    @property
    def n_fast(self) -> int:
        """Number of pixels along fast; of the widest panel where there are several."""
        if self.panels:
            return max(panel.n_fast for panel in self.panels)
        return math.ceil(self.extent_fast / self.pixel_size - 0.5)

    @property
    def n_slow(self) -> int:
        """Number of pixels along slow; of the longest panel where there are several."""
        if self.panels:
            return max(panel.n_slow for panel in self.panels)
        return math.ceil(self.extent_slow / self.pixel_size - 0.5)

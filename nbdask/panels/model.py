"""What a geometry file describes: panels, groups, beam, crystals.

Lengths are metres, angles radians, all vectors in the common frame: z along the beam, y up,
x = y cross z (to the left for who looks downstream), the sample at the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from nbdask.errors import InputError
from nbdask.panels.vectors import TINY, Matrix, Vector, vector

#: Pixels along one axis that are still believed to be meant.
MAX_PIXELS = 2**31 - 1
#: Coordinates that are still believed [m].
FARTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Bad pixels of a panel: fast in [f0, f1), slow in [s0, s1)."""

    f0: int
    f1: int
    s0: int
    s1: int


@dataclass(frozen=True, slots=True)
class LabArea:
    """Pixels are bad whose centres have x and y [m] inside, limits included."""

    name: str
    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True, slots=True)
class DataPlace:
    """Where a panel's pixels lie in a data array.

    Parameters
    ----------
    path : str or None
        Dataset; None: not said.
    dims : tuple of (str or int)
        One entry a dimension: ``"%"`` (frames), ``"ss"``, ``"fs"`` or a fixed index.
    first_fast, first_slow : int
        Index of the first pixel along ``fs`` and ``ss``.
    """

    path: str | None = None
    dims: tuple[str | int, ...] = ("ss", "fs")
    first_fast: int = 0
    first_slow: int = 0


@dataclass(frozen=True, slots=True)
class MaskPlace:
    """A mask in a file; a pixel is bad unless it has all of ``good``, or if it has any of ``bad``.

    Parameters
    ----------
    file : str or None
        None: in each data file.
    data : DataPlace
    good, bad : int
        Bits.
    """

    file: str | None
    data: DataPlace
    good: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """A flat rectangle of pixels, anywhere and at any angle.

    The pixel (i fast, j slow), counted from 0, covers [i, i+1) x [j, j+1); its centre is
    ``origin + (i + 0.5) pitch_fast fast + (j + 0.5) pitch_slow slow``.

    Parameters
    ----------
    name : str
    n_fast, n_slow : int
    pitch_fast, pitch_slow : float
        Distance of pixels along each axis [m]; they may differ.
    origin : tuple of 3 floats
        Outer corner of the first pixel [m].
    fast, slow : tuple of 3 floats
        Unit vectors; they need not be at right angles.
    thickness, attenuation : float
        Sensor [m] and inverse absorption depth mu [1/m]; 0: not said.
    material : str
        Empty: not said.
    gain : float or None
        Units of the data (ADU) per photon; None: not said.
    trusted : tuple of (float or None) or None
        Least and greatest value that is trusted, both included.
    bad : tuple of Rectangle
    bad_areas : tuple of LabArea
    bad_edge : int
        Pixels along each edge that are bad.
    masks : tuple of MaskPlace
    data : DataPlace or None
    keys : tuple of (str, str)
        Further entries of the file, as written there.
    """

    name: str
    n_fast: int
    n_slow: int
    pitch_fast: float
    pitch_slow: float
    origin: Vector
    fast: Vector
    slow: Vector
    thickness: float = 0.0
    attenuation: float = 0.0
    material: str = ""
    gain: float | None = None
    trusted: tuple[float | None, float | None] | None = None
    bad: tuple[Rectangle, ...] = ()
    bad_areas: tuple[LabArea, ...] = ()
    bad_edge: int = 0
    masks: tuple[MaskPlace, ...] = ()
    data: DataPlace | None = None
    keys: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check what no reader can leave to others."""
        where = f"panel {self.name}"
        for key in ("n_fast", "n_slow"):
            if not 1 <= getattr(self, key) <= MAX_PIXELS:
                found = f"{where}: {key} = {getattr(self, key)}"
                raise InputError(f"{found}: must be 1 to {MAX_PIXELS} pixels")
        for key in ("pitch_fast", "pitch_slow"):
            if not 1e-12 < getattr(self, key) < FARTHEST:
                found = f"{where}: {key} = {getattr(self, key)!r} m"
                raise InputError(f"{found}: must be a positive length")
        if self.area < TINY * self.pitch_fast * self.pitch_slow:
            raise InputError(f"{where}: fast and slow are parallel: must be at an angle")
        corners = self.corners()
        if not np.all(np.abs(corners) < FARTHEST):
            raise InputError(f"{where}: lies beyond {FARTHEST:g} m: must be in the laboratory")
        if self.distance < TINY * 1e-3:
            raise InputError(
                f"{where}: its plane holds the sample (distance 0): must be away from it"
            )

    @property
    def _cross(self) -> Matrix:
        return np.cross(self.fast, self.slow)

    @property
    def normal(self) -> Vector:
        """Unit vector at right angles to the panel, away from the sample."""
        cross = self._cross
        cross = cross / np.linalg.norm(cross)
        return vector(cross if float(cross @ self.origin) >= 0.0 else -cross)

    @property
    def area(self) -> float:
        """Area of a pixel [m^2]."""
        return self.pitch_fast * self.pitch_slow * float(np.linalg.norm(self._cross))

    @property
    def distance(self) -> float:
        """Sample to the panel's plane, along the normal [m]."""
        return float(np.dot(self.normal, self.origin))

    def position(self, fast: float, slow: float) -> Vector:
        """Return where a point of the panel lies [m]; pixel centres are at (i+0.5, j+0.5)."""
        a, b = fast * self.pitch_fast, slow * self.pitch_slow
        return vector(
            [o + a * f + b * s for o, f, s in zip(self.origin, self.fast, self.slow, strict=True)]
        )

    def corners(self) -> Matrix:
        """Return the outer corners, (4, 3) [m], going round from the origin along fast."""
        ends = ((0, 0), (self.n_fast, 0), (self.n_fast, self.n_slow), (0, self.n_slow))
        return np.array([self.position(f, s) for f, s in ends])

    def meets(self, direction: Vector) -> tuple[float, float, float] | None:
        """Return where a ray from the sample meets the plane.

        Parameters
        ----------
        direction : tuple of 3 floats
            Unit vector.

        Returns
        -------
        tuple of 3 floats or None
            Pixels along fast and slow from the outer corner, and the way there [m]; None where the
            ray does not come to the plane.
        """
        normal = np.asarray(self.normal)
        cosine = float(normal @ direction)
        if cosine < TINY:
            return None
        way = float(normal @ self.origin) / cosine
        rest = way * np.asarray(direction) - self.origin
        axes = np.array([self.fast, self.slow]).T
        (a, b), *_ = np.linalg.lstsq(axes, rest, rcond=None)
        return (float(a) / self.pitch_fast, float(b) / self.pitch_slow, way)

    def inside(self, fast: float, slow: float) -> bool:
        """Whether a point of the plane lies on the panel."""
        return 0.0 <= fast <= self.n_fast and 0.0 <= slow <= self.n_slow


@dataclass(frozen=True, slots=True)
class Group:
    """Panels that belong together.

    Parameters
    ----------
    name : str
    panels : tuple of int
        Indices of all panels in it.
    parent : int or None
        Index of the group around it.
    members : tuple of str
        Panels or groups, as the file names them.
    origin, fast, slow : tuple of 3 floats
        The group's own frame.
    """

    name: str
    panels: tuple[int, ...]
    parent: int | None = None
    members: tuple[str, ...] = ()
    origin: Vector = (0.0, 0.0, 0.0)
    fast: Vector = (1.0, 0.0, 0.0)
    slow: Vector = (0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class PanelBeam:
    """The beam of a geometry file.

    Parameters
    ----------
    direction : tuple of 3 floats
        In which the photons travel.
    wavelength : float or None
        [m]; of a spectrum the file's first value; None: not said.
    spectrum : tuple of (float, float)
        Wavelengths [m] and weights, where there are several.
    polarization_normal : tuple of 3 floats or None
        Normal of the plane of polarization.
    polarization_fraction : float or None
        Share g in that plane; nanoBragg's Kahn factor is 2 g - 1.
    bandwidth : float or None
        Relative.
    """

    direction: Vector = (0.0, 0.0, 1.0)
    wavelength: float | None = None
    spectrum: tuple[tuple[float, float], ...] = ()
    polarization_normal: Vector | None = None
    polarization_fraction: float | None = None
    bandwidth: float | None = None

    @property
    def mean_wavelength(self) -> float | None:
        """Mean of the spectrum by weight [m], or the one wavelength."""
        total = sum(weight for _, weight in self.spectrum)
        if not total > 0.0:
            return self.wavelength
        return sum(wave * weight for wave, weight in self.spectrum) / total


@dataclass(frozen=True, slots=True)
class CrystalSetting:
    """A crystal: real-space vectors [m] at spindle angle 0, space group as written.

    ``mosaicity`` [rad] and ``domain_size`` [m] are what the file's key ``mosaicity_key`` and
    ``ML_domain_size_ang`` hold; whether a half width or a standard deviation depends on the key.
    """

    a: Vector
    b: Vector
    c: Vector
    space_group: str = ""
    mosaicity: float | None = None
    mosaicity_key: str = ""
    domain_size: float | None = None

    def __post_init__(self) -> None:
        """Check that the vectors span a cell."""
        axes = np.array([self.a, self.b, self.c])
        lengths = np.linalg.norm(axes, axis=1)
        if not abs(np.linalg.det(axes)) > TINY * math.prod(lengths) > 0.0:
            raise InputError("crystal: a, b, c span no cell: must be three vectors not in a plane")


@dataclass(frozen=True, slots=True)
class Spindle:
    """The rotation: R = setting . rotation(axis, angle) . fixed; matrices row by row."""

    axis: Vector
    fixed: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    setting: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Sweep:
    """First and last image, angle at the start of the first and width of each [rad]."""

    first: int
    last: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Instrument:
    """All that a geometry file says of one shot or one rotation series.

    Parameters
    ----------
    format : str
    half_pixel : str
        How the format counts pixels, in words.
    panels : tuple of Panel
    beam : PanelBeam
    groups : tuple of Group
    crystals : tuple of CrystalSetting
        Those of this shot.
    spindle : Spindle or None
    sweep : Sweep or None
    shots : int
        How many shots the file holds.
    shot : int
        Which of them this is, from 0.
    taken : tuple of str
        What was taken from options, as the file does not say it.
    notes : tuple of str
        What else should be known.
    """

    format: str
    half_pixel: str
    panels: tuple[Panel, ...]
    beam: PanelBeam
    groups: tuple[Group, ...] = ()
    crystals: tuple[CrystalSetting, ...] = ()
    spindle: Spindle | None = None
    sweep: Sweep | None = None
    shots: int = 1
    shot: int = 0
    taken: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def spacing(self, position: Vector) -> float | None:
        """Return d = wavelength / (2 sin theta) [m] at a place; None without a wavelength."""
        if self.beam.wavelength is None:
            return None
        sine = math.sin(0.5 * self.two_theta(position))
        return math.inf if sine == 0.0 else self.beam.wavelength / (2.0 * sine)

    def two_theta(self, position: Vector) -> float:
        """Return the angle between beam and place, 0 to pi."""
        beam = self.beam.direction
        cross = float(np.linalg.norm(np.cross(beam, position)))
        return math.atan2(cross, float(np.dot(beam, position)))

    def beam_panel(self) -> tuple[int, float, float, float] | None:
        """Return the panel on which the beam falls: index, pixels fast and slow, way there [m]."""
        for index, panel in enumerate(self.panels):
            met = panel.meets(self.beam.direction)
            if met is not None and panel.inside(met[0], met[1]):
                return (index, *met)
        return None

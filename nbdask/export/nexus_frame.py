"""From the lab frame to NeXus: axes along the beam, and the detector as a chain of axes.

NeXus (McStas) axes are those of the common frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbdask.experiment import Experiment
from nbdask.export.geometry import Geometry
from nbdask.geometry.common_frame import lab_to_common
from nbdask.geometry.conventions import centres, directions
from nbdask.geometry.vectors import Array, array, cross, dot, length, rotate_about, unit
from nbdask.units import to_degrees

TRANSLATION, ROTATION = "translation", "rotation"
#: Cosine of axes up to which they are at right angles but for the digits that were given.
_ROUNDED = 2e-6


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of a chain.

    Parameters
    ----------
    name : str
    kind : str
        ``"translation"`` [m] or ``"rotation"`` [degrees].
    value : float
    vector : (3,) array
        Unit vector, lab frame.
    """

    name: str
    kind: str
    value: float
    vector: Array

    def apply(self, point: Array) -> Array:
        """Return where the axis takes a point [m]."""
        if self.kind == TRANSLATION:
            return point + self.value * self.vector
        return rotate_about(point, self.vector, float(np.radians(self.value)))


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The detector: pixels on a module, the module on axes.

    Attributes
    ----------
    axes : tuple of Axis
        From the detector to the lab: the first one moves first.
    offset : Axis
        The outer corner of the first pixel on the module; moves before ``axes``.
    fast, slow : (3,) arrays
        Unit vectors of the pixel axes before ``axes``.
    """

    axes: tuple[Axis, ...]
    offset: Axis
    fast: Array
    slow: Array

    def position(self, along_fast: float, along_slow: float) -> Array:
        """Return the lab position [m] of a point of the module, measured from its corner."""
        point = self.offset.apply(along_fast * self.fast + along_slow * self.slow)
        for axis in self.axes:
            point = axis.apply(point)
        return point


def lab_to_nexus(geometry: Geometry) -> Array:
    """Return the rotation matrix (3, 3) that turns lab vectors into NeXus vectors."""
    return lab_to_common(geometry.frame)


def detector_chain(experiment: Experiment, geometry: Geometry) -> Chain:
    """Return the axes of the detector as they were given: shift, three tilts, 2theta.

    Returns
    -------
    Chain
        Its points are those of the placed detector.  Where the given axes cannot be a chain (a
        2theta axis that is not a unit vector), one shift with the axes as they stand.
    """
    chain = _as_given(experiment, geometry)
    g = geometry
    width, height = g.columns * g.pixel, g.rows * g.pixel
    for f, s in ((0.0, 0.0), (width, 0.0), (0.0, height)):
        wanted = g.origin + f * g.frame.fast + s * g.frame.slow
        if length(chain.position(f, s) - wanted) > 1e-12 * max(1.0, length(wanted)):
            return _squared(Chain((), _shift("corner", g.origin), g.frame.fast, g.frame.slow))
    return _squared(chain)


def _squared(chain: Chain) -> Chain:
    """Return the chain with axes at right angles to the last digit, if they are but for rounding.

    DIALS refuses a cosine above 1e-7, which vectors of six or seven digits have.
    """
    cosine = dot(chain.fast, chain.slow)
    if cosine == 0.0 or abs(cosine) > _ROUNDED:
        return chain
    both, across = unit(chain.fast + chain.slow), unit(chain.fast - chain.slow)
    half = np.sqrt(0.5)
    return Chain(chain.axes, chain.offset, half * (both + across), half * (both - across))


def _as_given(experiment: Experiment, g: Geometry) -> Chain:
    detector = experiment.detector
    row = directions(experiment.frame)
    fast, slow = unit(array(row.fast)), unit(array(row.slow))
    centre = centres(experiment.frame.convention, detector)
    # How far the picture's corner is from the detector's.
    df, ds = g.frame.f_beam - g.f_beam, g.frame.s_beam - g.s_beam
    turns = (
        Axis("detector_rotx", ROTATION, to_degrees(detector.rotx), np.eye(3)[0]),
        Axis("detector_roty", ROTATION, to_degrees(detector.roty), np.eye(3)[1]),
        Axis("detector_rotz", ROTATION, to_degrees(detector.rotz), np.eye(3)[2]),
        Axis("two_theta", ROTATION, to_degrees(detector.twotheta), array(row.twotheta_axis)),
    )
    placed = g.frame.origin
    if g.frame.pivot == "sample":
        # The near point stays where it is on the detector, so the shift comes before the rotations.
        near = placed + centre.f_close * g.frame.fast + centre.s_close * g.frame.slow
        normal = array(row.normal)
        normal = unit(normal) if length(normal) == 1.0 else unit(cross(fast, slow))
        corner = (df - centre.f_close) * fast + (ds - centre.s_close) * slow
        axes = (_shift("translation", dot(near, g.frame.normal) * normal), *turns)
    elif g.frame.pivot == "origin":
        corner = df * fast + ds * slow
        axes = (*turns, _shift("translation", placed))
    else:
        spot = placed + centre.f_beam * g.frame.fast + centre.s_beam * g.frame.slow
        corner = (df - centre.f_beam) * fast + (ds - centre.s_beam) * slow
        axes = (*turns, _shift("translation", spot))
    return Chain(axes, _shift("corner", corner), fast, slow)


def _shift(name: str, vector: Array) -> Axis:
    size = length(vector)
    return Axis(name, TRANSLATION, size, vector / size if size > 0.0 else np.eye(3)[2])

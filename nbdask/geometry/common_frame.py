"""From the lab frame to the common one: z along the beam, y up, x = y cross z (NeXus, McStas).

The lab frame of a convention is turned as a whole so that the beam points along +z and the
polarization vector along -x, which makes the rotation axis of the usual horizontal goniometer -x
too.
"""

from __future__ import annotations

import numpy as np

from nbdask.geometry.detector_frame import DetectorFrame
from nbdask.geometry.vectors import Array, cross, dot, length, unit


def lab_to_common(frame: DetectorFrame) -> Array:
    """Return the rotation matrix (3, 3) that turns lab vectors into those of the common frame."""
    z = frame.beam
    for candidate in (frame.polarization, frame.spindle, *np.eye(3)):
        across = candidate - dot(candidate, z) * z
        if length(across) > 1e-6:
            break
    x = -unit(across)
    return np.array([x, cross(z, x), z])

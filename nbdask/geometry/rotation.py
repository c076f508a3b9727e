"""The rotation series: phi steps, and the table of cell vectors for every step and domain."""

from __future__ import annotations

import math

import numpy as np

from nbdask.experiment.scan import Scan
from nbdask.geometry.vectors import Array, rotate_about
from nbdask.units import from_degrees


def settle_scan(scan: Scan) -> tuple[int, float, float]:
    """Return (count, range, step) of the rotation [rad] from whatever is given."""
    count, osc, step = scan.count, scan.osc, scan.step
    has_step = step is not None and step > 0.0
    if osc is None:
        if has_step:
            assert step is not None
            return (2, step, step)
        if count is None:
            return (1, 0.0, 0.0)
        count = max(count, 1)
        osc = from_degrees(1.0)
        return (count, osc, osc / count)
    if count is None:
        if has_step:
            assert step is not None
            return (max(1, math.ceil(osc / step)), osc, step)
        return (2, osc, osc / 2.0)
    count = max(count, 1)
    return (count, osc, osc / count if step is None else step)


def phi_angles(scan: Scan) -> Array:
    """Return the spindle angle of every step [rad], right-handed about the spindle."""
    count, _, step = settle_scan(scan)
    return np.array([scan.phi0 + step * t for t in range(count)])


def carried_angles(phi: Array) -> Array:
    """Return the angles that nanoBragg C really uses: an exact 0 keeps the previous rotation.

    The step before the first is the last one (of the previous evaluation); where every angle is
    0 nothing is ever rotated.

    Parameters
    ----------
    phi : (n,) float64 array
        Nominal angles [rad].

    Returns
    -------
    (n,) float64 array
    """
    turned = phi[phi != 0.0]
    if turned.size == 0:
        return phi
    current = float(turned[-1])
    result = []
    for angle in phi:
        current = float(angle) if angle != 0.0 else current
        result.append(current)
    return np.array(result)


def orientation_table(axes: Array, spindle: Array, phi: Array, domains: Array | None) -> Array:
    """Return the cell vectors for every phi step (outer) and mosaic domain (inner).

    Parameters
    ----------
    axes : (3, 3) float64 array
        Rows a, b, c [m] at phi = 0.
    spindle : (3,) float64 array
        Unit vector.
    phi : (n_phi,) float64 array
        Spindle angles [rad].
    domains : (n_domains, 3, 3) float64 array or None
        Mosaic rotations, applied after the spindle's; None: one domain, not rotated.

    Returns
    -------
    (n_phi * n_domains, 3, 3) float64 array
        ``[orientation, axis, xyz]`` [m].
    """
    turned = np.array([axes if p == 0.0 else rotate_about(axes, spindle, float(p)) for p in phi])
    if domains is None:
        return np.ascontiguousarray(turned)
    # Sum over the vector's components in the order x, y, z.
    table = (
        domains[None, :, None, :, 0] * turned[:, None, :, None, 0]
        + domains[None, :, None, :, 1] * turned[:, None, :, None, 1]
        + domains[None, :, None, :, 2] * turned[:, None, :, None, 2]
    )
    return np.ascontiguousarray(table.reshape(-1, 3, 3))

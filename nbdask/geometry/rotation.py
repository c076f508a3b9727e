"""The rotation series: phi steps, and the table of cell vectors for every step and domain."""

from __future__ import annotations

import math

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment.scan import Scan
from nbdask.geometry.numbers import number, real
from nbdask.geometry.vectors import Array, rotate_about
from nbdask.units import from_degrees

#: Rotation steps that are still believed to be meant.
MAX_STEPS = 1_000_000
#: Most bytes of the table of cell vectors (72 for each rotation step and mosaic domain).
MAX_TABLE_BYTES = 8 << 30


def settle_scan(scan: Scan) -> tuple[int, float, float]:
    """Return (count, range, step) of the rotation [rad] from what is given.

    Parameters
    ----------
    scan : Scan
        Angles [rad].

    Returns
    -------
    count : int
        Rotation steps, at least 1.
    range, step : float
        [rad]

    Raises
    ------
    FieldError
        A range that holds no step, or too many.
    """
    count, osc, step = scan.count, scan.osc, scan.step
    has_step = step is not None and real(step) > 0.0
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
            return (_steps_in(real(osc), real(step)), osc, step)
        return (2, osc, osc / 2.0)
    count = max(count, 1)
    return (count, osc, osc / count if step is None else step)


def _steps_in(osc: float, step: float) -> int:
    """Return the steps that a range holds, or refuse none of them or too many."""
    if osc == 0.0:
        raise FieldError("scan.osc", osc, "above 0 when a step is given: there is no step in it")
    if osc / step > MAX_STEPS:
        raise FieldError("scan.step", step, f"large enough for at most {MAX_STEPS} steps")
    return math.ceil(osc / step)


def phi_angles(scan: Scan) -> Array:
    """Return the spindle angle of every step [rad], right-handed about the spindle.

    Returns
    -------
    (count,) float64 array
    """
    count, _, step = settle_scan(scan)
    if count > MAX_STEPS:
        raise FieldError("scan.count", count, f"at most {MAX_STEPS} rotation steps")
    return scan.phi0 + step * np.arange(count, dtype=np.float64)


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
    turned = phi[phi.real != 0.0]
    if turned.size == 0:
        return phi
    current = number(turned[-1])
    result = []
    for angle in phi:
        current = number(angle) if real(angle) != 0.0 else current
        result.append(current)
    return np.array(result)


def check_table(steps: int, domains: int) -> None:
    """Refuse more rotation steps times mosaic domains than a table in memory can hold.

    Raises
    ------
    FieldError
        The table would be larger than 8 GiB.
    """
    size = 72 * steps * domains
    if size > MAX_TABLE_BYTES:
        raise FieldError(
            "scan.count",
            f"{steps} rotation steps x {domains} mosaic domains",
            f"few enough for a table of {MAX_TABLE_BYTES >> 30} GiB, not {size >> 30} GiB",
        )


def turned_axes(axes: Array, rotations: Array) -> Array:
    """Return the cell vectors of each domain before the spindle turns them, (n_domains, 3, 3).

    Parameters
    ----------
    axes : (3, 3) float64 array
        Rows a, b, c.
    rotations : (n_domains, 3, 3) float64 array
    """
    # Sum over the vector's components in the order x, y, z.
    return np.asarray(
        rotations[:, None, :, 0] * axes[None, :, None, 0]
        + rotations[:, None, :, 1] * axes[None, :, None, 1]
        + rotations[:, None, :, 2] * axes[None, :, None, 2]
    )


def orientation_table(axes: Array, spindle: Array, phi: Array, domains: Array | None) -> Array:
    """Return the cell vectors for every phi step (outer) and mosaic domain (inner).

    Parameters
    ----------
    axes : (3, 3) or (n_domains, 3, 3) float64 array
        Rows a, b, c [m] at phi = 0, of all domains or of each.
    spindle : (3,) float64 array
        Unit vector.
    phi : (n_phi,) float64 array
        Spindle angles [rad].
    domains : (n_domains, 3, 3) float64 array or None
        Mosaic rotations, applied after the spindle's; None: none.

    Returns
    -------
    (n_phi * n_domains, 3, 3) float64 array
        ``[orientation, axis, xyz]`` [m].
    """
    turned = np.array([axes if p == 0.0 else rotate_about(axes, spindle, number(p)) for p in phi])
    if domains is None:
        return np.ascontiguousarray(turned.reshape(-1, 3, 3))
    # Sum over the vector's components in the order x, y, z.
    table = (
        domains[None, :, None, :, 0] * turned[:, None, :, None, 0]
        + domains[None, :, None, :, 1] * turned[:, None, :, None, 1]
        + domains[None, :, None, :, 2] * turned[:, None, :, None, 2]
    )
    return np.ascontiguousarray(table.reshape(-1, 3, 3))

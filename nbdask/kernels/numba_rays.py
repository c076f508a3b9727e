"""Block by block: places of pixels, rays to their sub-pixels, scattering vectors, factors."""

from __future__ import annotations

from math import cos, sin, sqrt
from typing import Any

from nbdask.kernels.numba_formulas import captured, polarization
from nbdask.kernels.numba_jit import block, chosen_by_type, formula, full_width_vectors
from nbdask.kernels.numba_rows import copy, fill, largest
from nbdask.kernels.numba_types import Once
from nbdask.kernels.numba_work import (
    COLUMN,
    COUNTED,
    DX,
    DY,
    DZ,
    MULTIPLE,
    PATH,
    QX,
    QY,
    QZ,
    ROW,
    SUM,
    TOTAL,
    WEIGHT,
)


@block
def place_pixels(tile: Any, active: Any, begin: int, pixels: int, work: Any) -> int:
    """Store row and column of a block's pixels, and return how many the block holds, padded.

    Parameters
    ----------
    tile : (slow0, fast0, width)
        First pixel and width of the tile.
    active : (n,) int64 array
        Flat indices in the tile of the pixels to be evaluated; empty: all of them.
    begin, pixels : int
        The block's first pixel, counted among those to be evaluated, and their number.
    work : Work
    """
    slow0, fast0, width = tile
    rows, columns = work.wide[ROW], work.wide[COLUMN]
    if active.size > 0:
        for i in range(pixels):
            slow, fast = divmod(active[begin + i], width)
            rows[i] = float(slow0 + slow)
            columns[i] = float(fast0 + fast)
    else:
        slow, fast = divmod(begin, width)
        for i in range(pixels):
            rows[i] = float(slow0 + slow)
            columns[i] = float(fast0 + fast)
            fast += 1
            if fast == width:
                fast = 0
                slow += 1
    count = (pixels + MULTIPLE - 1) // MULTIPLE * MULTIPLE
    for i in range(pixels, count):
        rows[i] = rows[pixels - 1]
        columns[i] = columns[pixels - 1]
    return count


@block
def find_rays(place: Any, layer: int, sub_slow: int, sub_fast: int, work: Any, count: int) -> None:
    """Store the unit vectors and path lengths to one sub-pixel of every pixel of a block."""
    full_width_vectors()
    rows, columns = work.wide[ROW], work.wide[COLUMN]
    dx, dy, dz, path = work.wide[DX], work.wide[DY], work.wide[DZ], work.wide[PATH]
    fx, fy, fz = place.fast[0], place.fast[1], place.fast[2]
    sx, sy, sz = place.slow[0], place.slow[1], place.slow[2]
    depth = layer * place.layer_step
    x0 = depth * place.normal[0] + place.origin[0]
    y0 = depth * place.normal[1] + place.origin[1]
    z0 = depth * place.normal[2] + place.origin[2]
    across = float(place.oversample)
    size = place.pixel_size / place.oversample
    half = size / 2.0
    for i in range(count):
        f = size * (columns[i] * across + sub_fast) + half
        s = size * (rows[i] * across + sub_slow) + half
        dx[i] = f * fx + s * sx + x0
        dy[i] = f * fy + s * sy + y0
        dz[i] = f * fz + s * sz + z0
    if place.curved:
        _bend(place, dx, dy, dz, count)
    for i in range(count):
        x, y, z = dx[i], dy[i], dz[i]
        length = sqrt(x * x + y * y + z * z)
        inverse = 1.0 / length
        path[i] = length
        dx[i] = x * inverse
        dy[i] = y * inverse
        dz[i] = z * inverse


@block
def _bend(place: Any, dx: Any, dy: Any, dz: Any, count: int) -> None:
    """Put flat positions onto the sphere around the sample, reading y and z as angles."""
    for i in range(count):
        x, y, z = (
            place.distance * place.beam[0],
            place.distance * place.beam[1],
            place.distance * place.beam[2],
        )
        x, y, z = _rotated(x, y, z, place.slow, dy[i] / place.distance)
        dx[i], dy[i], dz[i] = _rotated(x, y, z, place.fast, dz[i] / place.distance)


@formula
def _rotated(x: float, y: float, z: float, axis: Any, angle: float) -> tuple[float, float, float]:
    s, c = sin(angle), cos(angle)
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return (
        axis[0] * along + x * c + (-axis[2] * y + axis[1] * z) * s,
        axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
        axis[2] * along + z * c + (-axis[1] * x + axis[0] * y) * s,
    )


@block
def scatter(light: Any, source: int, work: Any, count: int) -> bool:
    """Store a source's scattering vectors and which of them pass dmin; False: none does."""
    full_width_vectors()
    dx, dy, dz = work.wide[DX], work.wide[DY], work.wide[DZ]
    qx, qy, qz, counted = work.wide[QX], work.wide[QY], work.wide[QZ], work.wide[COUNTED]
    x, y, z = light.incident[source, 0], light.incident[source, 1], light.incident[source, 2]
    scale = light.per_wavelength[source]
    for i in range(count):
        qx[i] = (dx[i] - x) * scale
        qy[i] = (dy[i] - y) * scale
        qz[i] = (dz[i] - z) * scale
    if light.dmin <= 0.0:
        return True
    for i in range(count):
        half = 0.5 * sqrt(qx[i] * qx[i] + qy[i] * qy[i] + qz[i] * qz[i])
        # At q = 0 the quotient is infinite, and passes.
        counted[i] = 1.0 if light.dmin <= 0.5 / half else 0.0
    return largest(counted, count) > 0.0


def add_weighted(
    place: Any, light: Any, each: Any, layer: int, source: int, height: float, work: Any, count: int
) -> None:
    """Add the sum of one source's orientations, with the factors of its terms, to row TOTAL."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(add_weighted)
def _choose_weighted(
    place: Any, light: Any, each: Any, layer: Any, source: Any, height: Any, work: Any, count: Any
) -> Any:
    return _add_plain if each.instance_class is Once else _add_each


def _add_plain(
    place: Any, light: Any, each: Any, layer: int, source: int, height: float, work: Any, count: int
) -> None:
    full_width_vectors()
    counted, total, terms = work.wide[COUNTED], work.wide[TOTAL], work.wide[SUM]
    constant = light.weight[source] * height
    if light.dmin > 0.0:
        for i in range(count):
            total[i] += terms[i] * (constant * counted[i])
    else:
        for i in range(count):
            total[i] += terms[i] * constant


def _add_each(
    place: Any, light: Any, each: Any, layer: int, source: int, height: float, work: Any, count: int
) -> None:
    full_width_vectors()
    weight, total, terms = work.wide[WEIGHT], work.wide[TOTAL], work.wide[SUM]
    constant = light.weight[source] * height
    term_factors(place, light, each, layer, source, work, count)
    for i in range(count):
        total[i] += terms[i] * (constant * weight[i])


@block
def term_factors(
    place: Any, light: Any, each: Any, layer: int, source: int, work: Any, count: int
) -> None:
    """Store the product of the factors that go with every term; 0 where dmin excludes it."""
    full_width_vectors()
    weight = work.wide[WEIGHT]
    if light.dmin > 0.0:
        copy(work.wide[COUNTED], count, weight)
    else:
        fill(weight, 1.0, count)
    if each.thick and place.depth >= 0.0:
        multiply_captured(place, layer, work, count)
    if each.polar:
        multiply_polarization(light, source, work, count)
    if each.omega:
        multiply_solid_angle(place, work, count)


@block
def multiply_captured(place: Any, layer: int, work: Any, count: int) -> None:
    """Multiply row WEIGHT by the share of photons that stop in a layer."""
    full_width_vectors()
    dx, dy, dz = work.wide[DX], work.wide[DY], work.wide[DZ]
    weight = work.wide[WEIGHT]
    nx, ny, nz = place.normal[0], place.normal[1], place.normal[2]
    for i in range(count):
        rho = dx[i] * nx + dy[i] * ny + dz[i] * nz
        weight[i] *= captured(float(layer), place.depth, rho)


@block
def multiply_polarization(light: Any, source: int, work: Any, count: int) -> None:
    """Multiply row WEIGHT by the polarization factor of a source."""
    full_width_vectors()
    dx, dy, dz = work.wide[DX], work.wide[DY], work.wide[DZ]
    weight = work.wide[WEIGHT]
    x, y, z = light.incident[source, 0], light.incident[source, 1], light.incident[source, 2]
    ex, ey, ez = light.polar_e[source, 0], light.polar_e[source, 1], light.polar_e[source, 2]
    bx, by, bz = light.polar_b[source, 0], light.polar_b[source, 1], light.polar_b[source, 2]
    kahn = light.kahn
    for i in range(count):
        c = dx[i] * x + dy[i] * y + dz[i] * z
        on_e = dx[i] * ex + dy[i] * ey + dz[i] * ez
        on_b = dx[i] * bx + dy[i] * by + dz[i] * bz
        weight[i] *= polarization(c, on_e, on_b, kahn)


@block
def multiply_solid_angle(place: Any, work: Any, count: int) -> None:
    """Multiply row WEIGHT by the solid angle of a pixel."""
    full_width_vectors()
    weight, path = work.wide[WEIGHT], work.wide[PATH]
    top = 1.0 if place.point_pixel else place.pixel_size * place.pixel_size
    if place.point_pixel:
        for i in range(count):
            weight[i] *= top / (path[i] * path[i])
    else:
        top *= place.close_distance
        for i in range(count):
            weight[i] *= top / (path[i] * path[i] * path[i])

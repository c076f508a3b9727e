"""What ``nbdask geometry`` prints: a table for people, and the same panels as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from nbdask.panels.given import one_line
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.quantities import to_energy
from nbdask.panels.vectors import Matrix, Vector

_DIGITS = 12


def _plain(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _list(values: Iterable[float], factor: float = 1.0) -> list[float]:
    return [_plain(value * factor) for value in values]


def as_values(instrument: Instrument) -> dict[str, Any]:
    """Return wavelength, beam and panels, with 12 digits, in the common frame.

    Parameters
    ----------
    instrument : Instrument

    Returns
    -------
    dict
        ``wavelength_A`` (None: not known), ``beam`` (unit vector), ``panels``: name, n_fast,
        n_slow, pitch_mm (fast, slow), origin_mm (outer corner of the first pixel), fast, slow.
    """
    wave = instrument.beam.wavelength
    return {
        "wavelength_A": None if wave is None else _plain(wave * 1e10),
        "beam": _list(instrument.beam.direction),
        "panels": [
            {
                "name": panel.name,
                "n_fast": panel.n_fast,
                "n_slow": panel.n_slow,
                "pitch_mm": _list((panel.pitch_fast, panel.pitch_slow), 1e3),
                "origin_mm": _list(panel.origin, 1e3),
                "fast": _list(panel.fast),
                "slow": _list(panel.slow),
            }
            for panel in instrument.panels
        ],
    }


def as_text(instrument: Instrument, path: str) -> str:
    """Return the report for people.

    Parameters
    ----------
    instrument : Instrument
    path : str
        As the user wrote it.
    """
    panels = instrument.panels
    pixels = sum(panel.n_fast * panel.n_slow for panel in panels)
    head = f"{path}: {instrument.format}, {_count(len(panels), 'panel')}, {pixels} pixels"
    if instrument.groups:
        head += f", {_count(len(instrument.groups), 'group')}"
    lines = [head, f"beam         {_beam(instrument)}"]
    lines += [f"taken        {text} (from the options)" for text in instrument.taken]
    lines += [f"note         {text}" for text in instrument.notes]
    lines.append(f"pixel rule   {instrument.half_pixel}")
    lines.append(f"beam centre  {_beam_centre(instrument)}")
    lines.append(f"resolution   {_resolution(instrument)}")
    for crystal in instrument.crystals:
        sides = ", ".join(
            f"{np.linalg.norm(axis) * 1e10:.6g}" for axis in (crystal.a, crystal.b, crystal.c)
        )
        text = f"a, b, c {sides} A, space group {crystal.space_group.strip() or 'not said'}"
        if crystal.mosaicity is not None:
            text += f", {crystal.mosaicity_key} {math.degrees(crystal.mosaicity):.6g}"
        lines.append(f"crystal      {text}")
    if instrument.spindle is not None:
        axis = " ".join(f"{value:.6g}" for value in instrument.spindle.axis)
        lines.append(f"spindle      {axis}")
    if instrument.sweep is not None:
        sweep = instrument.sweep
        lines.append(
            f"scan         images {sweep.first} to {sweep.last},"
            f" {math.degrees(sweep.width):.6g} degrees each from {math.degrees(sweep.start):.6g}"
        )
    lines += ["frame        z along the beam, y up, x to the left looking downstream; mm, degrees"]
    return "\n".join([*lines, *_table(instrument)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _beam(instrument: Instrument) -> str:
    beam = instrument.beam
    along = " ".join(f"{value:.8g}" for value in beam.direction)
    text = "wavelength not known"
    if beam.wavelength is not None:
        text = f"{beam.wavelength * 1e10:.8g} A ({to_energy(beam.wavelength):.8g} eV)"
    text += f", along {along}"
    if beam.polarization_fraction is not None:
        text += f", polarized {beam.polarization_fraction:g}"
    if beam.bandwidth is not None:
        text += f", bandwidth {beam.bandwidth:g}"
    return text


def _beam_centre(instrument: Instrument) -> str:
    met = instrument.beam_panel()
    if met is not None:
        index, fast, slow, way = met
        name = one_line(instrument.panels[index].name)
        return (
            f"panel {name}: fast {fast:.4f}, slow {slow:.4f} pixels from the outer corner of its"
            f" first pixel, {way * 1e3:.6f} mm from the sample"
        )
    ways = [
        (found[2], one_line(panel.name))
        for panel in instrument.panels
        if (found := panel.meets(instrument.beam.direction)) is not None
    ]
    if not ways:
        return "on no panel, and on no panel's plane"
    least, most = min(ways), max(ways)
    return (
        f"on no panel; their planes are met {least[0] * 1e3:.6f} ({least[1]}) to"
        f" {most[0] * 1e3:.6f} mm ({most[1]}) from the sample"
    )


def limits(instrument: Instrument, panel: Panel) -> tuple[list[float], list[float]]:
    """Return 2 theta at the middles of the four edges and at the four corners [rad]."""
    f, s = panel.n_fast, panel.n_slow
    edges = [(0.5 * f, 0), (f, 0.5 * s), (0.5 * f, s), (0, 0.5 * s)]
    at_edges = [instrument.two_theta(panel.position(*edge)) for edge in edges]
    corners = [instrument.two_theta((c[0], c[1], c[2])) for c in panel.corners().tolist()]
    return at_edges, corners


def _spacing(instrument: Instrument, angle: float) -> str:
    wave = instrument.beam.wavelength
    if wave is None:
        return f"{math.degrees(angle):.3f}"
    sine = math.sin(0.5 * angle)
    return "inf" if sine <= 0.0 else f"{wave * 1e10 / (2.0 * sine):.4f}"


def _resolution(instrument: Instrument) -> str:
    both = [limits(instrument, panel) for panel in instrument.panels]
    edge = max(max(edges) for edges, _ in both)
    corner = max(max(corners) for _, corners in both)
    angles = f"2 theta {math.degrees(edge):.3f} and {math.degrees(corner):.3f} degrees"
    if instrument.beam.wavelength is None:
        return f"no wavelength; {angles} at the outermost edge and corner"
    d = f"{_spacing(instrument, edge)} A and {_spacing(instrument, corner)} A"
    return f"{d} at the outermost edge and corner ({angles})"


def _table(instrument: Instrument) -> list[str]:
    """Return one line a panel."""
    gaps = nearest_gaps(instrument)
    unit = "d [A]" if instrument.beam.wavelength is not None else "2 theta"
    width = max(5, *(len(one_line(panel.name)) for panel in instrument.panels))
    lines = [
        f"{'panel':{width}s}  fast x slow  pitch                       x          y          z"
        f"    tilt    turn    skew      gap  {unit} edges, corners"
    ]
    for panel, gap in zip(instrument.panels, gaps, strict=True):
        tilt, turn, skew = angles_of(instrument, panel)
        pitch = f"{panel.pitch_fast * 1e3:.6g} x {panel.pitch_slow * 1e3:.6g}"
        x, y, z = (value * 1e3 for value in panel.origin)
        ends = [
            f"{_spacing(instrument, max(a))}..{_spacing(instrument, min(a))}"
            for a in limits(instrument, panel)
        ]
        size = f"{panel.n_fast} x {panel.n_slow}"
        lines.append(
            f"{one_line(panel.name):{width}s}  {size:11s}  {pitch:19s}{x:10.4f} {y:10.4f} {z:10.4f}"
            f" {tilt:7.3f} {turn:7.2f} {round(skew, 4) + 0.0:7.4f} {_gap(gap)}  {', '.join(ends)}"
        )
    if len(instrument.panels) > 1:
        known = [gap for gap in gaps if gap is not None]
        lines.append(
            f"gaps to the nearest panel: {min(known) * 1e3:.4f} to {max(known) * 1e3:.4f} mm"
            f" ({sum(gap < 0.0 for gap in known)} panels overlap another, seen from the sample)"
        )
    return lines


def _gap(gap: float | None) -> str:
    return (
        f"{'-':>8s}" if gap is None else f"{gap * 1e3:8.4f}" if gap >= 0.0 else f"{'overlap':>8s}"
    )


def angles_of(instrument: Instrument, panel: Panel) -> tuple[float, float, float]:
    """Return a panel's angles in degrees.

    Returns
    -------
    tilt, turn, skew : float
        Between normal and beam; of fast in the lab's x-y plane, from x to y; by how much the
        angle from fast to slow is less than 90.
    """
    beam = np.asarray(instrument.beam.direction)
    normal = np.asarray(panel.normal)
    tilt = math.atan2(float(np.linalg.norm(np.cross(beam, normal))), float(beam @ normal))
    turn = math.atan2(panel.fast[1], panel.fast[0])
    skew = math.asin(float(np.clip(np.dot(panel.fast, panel.slow), -1.0, 1.0)))
    return math.degrees(tilt), math.degrees(turn), math.degrees(skew)


def nearest_gaps(instrument: Instrument) -> list[float | None]:
    """Return the way from each panel to the nearest other one [m].

    Returns
    -------
    list of (float or None)
        -1 where it overlaps another, seen from the sample; None for a panel alone.
    """
    panels = instrument.panels
    if len(panels) < 2:
        return [None]
    corners = np.array([panel.corners() for panel in panels])
    covered = _overlapping(instrument, corners)
    centres = np.mean(corners, axis=1)
    radii = np.max(np.linalg.norm(corners - centres[:, None], axis=2), axis=1)
    gaps: list[float | None] = []
    for index, own in enumerate(corners):
        # Spheres around the panels bound each way: most panels cannot be the nearest.
        apart = np.linalg.norm(centres - centres[index], axis=1)
        apart[index] = np.inf
        reach = radii + radii[index]
        others = corners[apart - reach <= np.min(apart + reach)]
        way = min(_way(own, others), _way(others.reshape(-1, 3), own[None]))
        gaps.append(-1.0 if covered[index] else way)
    return gaps


def _way(points: Matrix, quads: Matrix) -> float:
    """Return the least distance from points (n, 3) to the edges of quads (m, 4, 3)."""
    start = quads.reshape(-1, 3)
    step = np.roll(quads, -1, axis=1).reshape(-1, 3) - start
    rest = points[:, None, :] - start[None]
    share = np.clip(np.sum(rest * step, axis=2) / np.sum(step * step, axis=1), 0.0, 1.0)
    return float(np.min(np.linalg.norm(rest - share[..., None] * step, axis=2)))


def _overlapping(instrument: Instrument, corners: Matrix) -> list[bool]:
    """Whether each panel covers, or is covered by, another, seen from the sample."""
    x, y, z = _screen(instrument.beam.direction)
    depth = corners @ z
    ahead = np.min(depth, axis=1) > 0.0
    flat = (
        np.stack([corners @ x, corners @ y], axis=2) / np.where(depth > 0.0, depth, 1.0)[..., None]
    )
    # A quarter of a pixel is no overlap: files round their numbers.
    slack = np.array([0.25 * min(p.pitch_fast, p.pitch_slow) for p in instrument.panels])
    slack = slack / np.abs(np.mean(depth, axis=1))
    centres = np.mean(flat, axis=1)
    radii = np.max(np.linalg.norm(flat - centres[:, None], axis=2), axis=1)
    found = []
    for index in range(len(flat)):
        near = np.linalg.norm(centres - centres[index], axis=1) <= radii + radii[index]
        near &= ahead & ahead[index]
        near[index] = False
        others = flat[near]
        free = np.zeros(len(others), bool)
        for quads in (flat[index][None], others):
            edges = np.roll(quads, -1, axis=1) - quads
            across = np.stack([-edges[..., 1], edges[..., 0]], axis=2)
            across = across / np.linalg.norm(across, axis=2, keepdims=True)
            across = np.broadcast_to(across, others.shape)
            own = np.einsum("nak,ck->nac", across, flat[index])
            other = np.einsum("nak,nck->nac", across, others)
            limit = slack[near][:, None]
            apart = (own.max(axis=2) < other.min(axis=2) + limit) | (
                other.max(axis=2) < own.min(axis=2) + limit
            )
            free |= apart.any(axis=1)
        found.append(bool(np.any(~free)))
    return found


def _screen(beam: Vector) -> tuple[Matrix, Matrix, Matrix]:
    """Return axes at right angles to the beam, and the beam."""
    z = np.asarray(beam)
    helper = np.array((0.0, 1.0, 0.0) if abs(z[1]) < 0.9 else (1.0, 0.0, 0.0))
    x = np.cross(helper, z)
    x = x / np.linalg.norm(x)
    return x, np.cross(z, x), z

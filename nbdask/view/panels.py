"""A picture of panels in the lab's plane, with their names and resolution rings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.panels.model import Instrument
from nbdask.view.style import SPOTS

_SIZE, _DPI = 9.0, 110
#: Panels whose names still fit.
_NAMED = 300
#: Rings that are drawn, round numbers of A.
_RINGS = 6


def draw_panels(instrument: Instrument, path: str | Path, title: str = "") -> None:
    """Draw panels as one sees them looking downstream from the sample.

    Parameters
    ----------
    instrument : Instrument
    path : str or Path
        ``.png``, ``.svg`` or ``.pdf``.
    title : str

    Raises
    ------
    InputError
        The picture cannot be written.
    """
    figure = Figure(figsize=(_SIZE, _SIZE), dpi=_DPI)
    axes = figure.add_axes((0.09, 0.07, 0.88, 0.87))
    corners = np.array([panel.corners() for panel in instrument.panels]) * 1e3
    for panel, quad in zip(instrument.panels, corners, strict=True):
        flat = quad[:, :2]
        axes.add_patch(Polygon(flat, facecolor="#dfe8f2", edgecolor="#234", linewidth=0.6))
        # The first pixel's corner, and the fast axis from it.
        axes.plot(*np.array([flat[0], 0.8 * flat[0] + 0.2 * flat[1]]).T, color="#c33", lw=1.0)
        if len(instrument.panels) <= _NAMED:
            size = 9 if len(instrument.panels) <= 20 else 5 if len(instrument.panels) <= 80 else 3
            middle = flat.mean(axis=0)
            name = panel.name.rsplit("/", 1)[-1]
            x, y = float(middle[0]), float(middle[1])
            axes.text(x, y, name, ha="center", va="center", fontsize=size)
    low, high = corners[..., :2].min(axis=(0, 1)), corners[..., :2].max(axis=(0, 1))
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    room = 0.04 * float(np.max(high - low))
    # x is to the left for who looks downstream.
    axes.set_xlim(high[0] + room, low[0] - room)
    axes.set_ylim(low[1] - room, high[1] + room)
    _rings(axes, instrument, corners)
    axes.plot([0.0], [0.0], "+", color=SPOTS, ms=10, mew=1.5, markeredgecolor="#080")
    axes.set_aspect("equal")
    axes.set_xlabel("x [mm]")
    axes.set_ylabel("y [mm]")
    axes.set_title(title, fontsize=9)
    with whole_file(path, "-o", InputError) as fresh:
        figure.savefig(fresh, metadata={"Date": None} if str(path).endswith(".svg") else None)


def _rings(axes: Axes, instrument: Instrument, corners: NDArray[np.float64]) -> None:
    """Draw rings of equal d where a plane at the mean distance cuts their cones."""
    wave = instrument.beam.wavelength
    distance = float(np.mean(corners[..., 2]))
    if wave is None or distance <= 0.0:
        return
    wave *= 1e10
    furthest = float(np.max(np.linalg.norm(corners[..., :2], axis=-1)))
    best = wave / (2.0 * math.sin(0.5 * math.atan2(furthest, distance)))
    beam = np.asarray(instrument.beam.direction)
    helper = np.cross(beam, (0.0, 1.0, 0.0))
    one = helper / np.linalg.norm(helper)
    two = np.cross(beam, one)
    turn = np.linspace(0.0, 2.0 * math.pi, 361)[:, None]
    for number in range(1, _RINGS + 1):
        spacing = float(f"{best * _RINGS / number:.2g}")
        sine = wave / (2.0 * spacing)
        if not 0.0 < sine < 0.7:
            continue
        angle = 2.0 * math.asin(sine)
        rays = math.cos(angle) * beam + math.sin(angle) * (np.cos(turn) * one + np.sin(turn) * two)
        if np.min(rays[:, 2]) <= 0.02:
            continue
        ring = rays[:, :2] / rays[:, 2:] * distance
        axes.plot(ring[:, 0], ring[:, 1], color="#2a7", lw=0.7, ls="--")
        top = ring[int(np.argmax(ring[:, 1]))]
        x, y = float(top[0]), float(top[1])
        axes.text(x, y, f"{spacing:g} Å", color="#175", fontsize=7, ha="center", clip_on=True)

"""Amplitudes of a crystal that DIALS is to find."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

#: Cell of lysozyme [Angstrom, degrees].
CELL = (79.1, 79.1, 38.4, 90.0, 90.0, 90.0)


def amplitudes(path: Path) -> None:
    """A P1 list of lysozyme's cell to 1.9 A, amplitudes falling off as of atoms with B = 20 A^2."""
    random = np.random.default_rng(3)
    edges = [int(length / 1.9) for length in CELL[:3]]
    lines = []
    for h, k, l in itertools.product(*(range(-edge, edge + 1) for edge in edges)):  # noqa: E741
        inverse = (h / CELL[0]) ** 2 + (k / CELL[1]) ** 2 + (l / CELL[2]) ** 2
        if 0.0 < inverse <= 1.9**-2:
            size = 600.0 * np.exp(-5.0 * inverse) * np.sqrt(random.exponential())
            lines.append(f"{h} {k} {l} {size:.2f}")
    path.write_text("\n".join(lines))

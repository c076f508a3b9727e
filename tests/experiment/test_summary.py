"""The experiment in a few lines: users' units, what is there and nothing else."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from nbdask.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)

DEGREE = math.radians(1)
CELL = (70e-10, 80e-10, 90.5e-10, 75 * DEGREE, 85 * DEGREE, 95 * DEGREE)
BASE = Experiment(crystal=Crystal(cell=CELL), structure=StructureFactors(default_F=100.0))
NAMES = ["cell", "crystal", "structure factors", "beam", "sources", "detector", "scan", "semantics",
         "fingerprint"]  # fmt: skip


def rows_of(experiment: Experiment) -> list[tuple[str, str]]:
    """Return names and texts of what a notebook shows, above all fields."""
    table = experiment._repr_html_().split("</table>")[0]
    cells = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", table)
    return [(unescape(name), unescape(text)) for name, text in cells]


def row(experiment: Experiment, name: str) -> str | None:
    """Return the text beside a name, None where there is no such row."""
    return dict(rows_of(experiment)).get(name)


def test_a_plain_experiment() -> None:
    """Name by name, in an order that never changes."""
    rows = rows_of(BASE)
    assert [name for name, _ in rows] == NAMES
    assert dict(rows) == {
        "cell": "70, 80, 90.5 Angstrom, 75, 85, 95 degrees",
        "crystal": "1 x 1 x 1 cells, square",
        "structure factors": "default 100 electrons",
        "beam": "1 Angstrom, 1.259e+29 photons/m^2",
        "sources": "one",
        "detector": "1024 x 1024 pixels (slow x fast) of 0.1 mm at 100 mm, convention MOSFLM",
        "scan": "phi 0 degrees",
        "semantics": "spec",
        "fingerprint": BASE.fingerprint(),
    }


CRYSTALS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"n_cells": (2, 3, 4)}, "crystal", "2 x 3 x 4 cells, square"),
    ({"shape": "tophat"}, "crystal", "1 x 1 x 1 cells, tophat"),
    ({"matrix": (0.01, 0, 0, 0, 0.01, 0, 0, 0, 0.01)}, "orientation", "by a matrix"),
    ({}, "orientation", None),
    ({"size": (1e-6, 0.0, 2.5e-4)}, "sample", "0.001 x 0 x 0.25 mm"),
    ({}, "sample", None),
    ({"mosaic_spread": 0.5 * DEGREE}, "mosaic", "10 domains, spread 0.5 degrees"),
    (
        {"mosaic_spread": DEGREE / 3, "mosaic_domains": 7},
        "mosaic",
        "7 domains, spread 0.3333 degrees",
    ),
    ({"mosaic_spread": 0.0, "mosaic_domains": 7}, "mosaic", None),
    ({"mosaic_domains": 7}, "mosaic", None),
]


@pytest.mark.parametrize(("fields", "name", "text"), CRYSTALS)
def test_the_crystal(fields: dict[str, Any], name: str, text: str | None) -> None:
    """Rows of what has no effect are left out."""
    experiment = BASE.replace(crystal=replace(BASE.crystal, **fields))
    assert row(experiment, name) == text


def test_a_crystal_of_a_matrix_alone_has_no_cell() -> None:
    """Its cell is not given, so it is not shown."""
    matrix = (0.01, 0.0, 0.0, 0.0, 0.01, 0.0, 0.0, 0.0, 0.01)
    rows = dict(rows_of(BASE.replace(crystal=Crystal(matrix=matrix))))
    assert "cell" not in rows
    assert rows["orientation"] == "by a matrix"


OTHERS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"structure": StructureFactors(path="/a/b.hkl", sha256="0" * 64)},
        "structure factors",
        "/a/b.hkl (hkl)",
    ),
    (
        {"structure": StructureFactors(path="F.bin", format="fdump", default_F=2.5)},
        "structure factors",
        "F.bin (fdump), default 2.5 electrons",
    ),
    (
        {"structure": StructureFactors(reflections=((0, 0, 0, 1.0), (0, 0, 1, 2.0)))},
        "structure factors",
        "2 reflections",
    ),
    ({"beam": Beam(wavelength=0.9768e-10)}, "beam", "0.9768 Angstrom, 1.259e+29 photons/m^2"),
    (
        {"beam": Beam(flux=1e12, exposure=0.1, beamsize=1e-4)},
        "beam",
        "1 Angstrom, 1e+19 photons/m^2",
    ),
    ({"sources": Sources(points=(SourcePoint(-1),) * 3)}, "sources", "3 listed"),
    (
        {"sources": Sources(points=(SourcePoint(-1),), dispersion=Spread(0.1))},
        "sources",
        "1 listed",
    ),
    (
        {"sources": Sources(horizontal=Spread(range=0.1))},
        "sources",
        "grid of divergence and dispersion",
    ),
    (
        {"sources": Sources(dispersion=Spread(count=2))},
        "sources",
        "grid of divergence and dispersion",
    ),
    (
        {"sources": Sources(vertical=Spread(step=0.1))},
        "sources",
        "grid of divergence and dispersion",
    ),
    ({"sources": Sources(vertical=Spread(range=0.0, count=1))}, "sources", "one"),
    (
        {"detector": Detector(pixels_fast=10, pixels_slow=20, pixel_size=1.72e-4, distance=0.25)},
        "detector",
        "20 x 10 pixels (slow x fast) of 0.172 mm at 250 mm, convention MOSFLM",
    ),
    (
        {"detector": Detector(close_distance=0.0995), "frame": LabFrame("XDS")},
        "detector",
        "1024 x 1024 pixels (slow x fast) of 0.1 mm at 99.5 mm, convention XDS",
    ),
    ({"scan": Scan(phi0=90 * DEGREE)}, "scan", "phi 90 degrees"),
    ({"scan": Scan(osc=0.5 * DEGREE)}, "scan", "phi 0 degrees, range 0.5 degrees"),
    (
        {"scan": Scan(phi0=-DEGREE, osc=DEGREE, step=DEGREE / 4, count=4)},
        "scan",
        "phi -1 degrees, range 1 degrees, step 0.25 degrees, 4 steps",
    ),
    ({"scan": Scan(count=0)}, "scan", "phi 0 degrees, 0 steps"),
    ({"semantics": "c"}, "semantics", "c"),
]


@pytest.mark.parametrize(("parts", "name", "text"), OTHERS)
def test_the_other_parts(parts: dict[str, Any], name: str, text: str) -> None:
    """Angstrom, degrees and millimetres; of distances the one that prevails."""
    experiment = BASE.replace(**parts)
    assert row(experiment, name) == text
    assert row(experiment, "fingerprint") == experiment.fingerprint() != BASE.fingerprint()

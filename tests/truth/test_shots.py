"""The table of shots: matrix, cell, quaternion, beam."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.export.expt import expt_text
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from nbdask.geometry.domains import _of_quaternion
from nbdask.panels.vectors import FROM_DXTBX
from nbdask.truth.shots import cell_of, quaternion_of, shot_values
from tests.export.stores import store_of
from tests.truth.support import experiment

SMALL = "-detpixels 16 -pixel 1"


def test_matrix_cell_and_quaternion_belong_together() -> None:
    """A = U B for crystals turned anyhow, U from w, x, y, z with w not below 0."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b, c = rng.uniform(30, 90, 3)
        turns = " ".join(f"{x:.3f}" for x in rng.uniform(-180, 180, 3))
        base = f"-cell {a} {b} {c} 90 {rng.uniform(70, 110)} 90 -misset {turns} -default_F 1"
        more = "-lambda 1 -distance 100 -phi 7 -osc 3 -phisteps 3"
        e = experiment(f"{SMALL} {more}", base)
        values = shot_values(e)
        (matrix,), (cell,), (quaternion,) = (
            values[name] for name in ("reciprocal_matrix", "cell", "quaternion")
        )
        cos, sin = np.cos(np.radians(cell[3:])), np.sin(np.radians(cell[3:]))
        third = (cos[0] - cos[1] * cos[2]) / sin[2]
        orthogonal = np.array(
            [
                [cell[0], cell[1] * cos[2], cell[2] * cos[1]],
                [0.0, cell[1] * sin[2], cell[2] * third],
                [0.0, 0.0, cell[2] * np.sqrt(1.0 - cos[1] ** 2 - third**2)],
            ]
        )
        b_matrix = np.linalg.inv(orthogonal).T
        # Columns a*, b*, c* of the unturned crystal.
        assert matrix == pytest.approx(_of_quaternion(quaternion) @ b_matrix, abs=1e-12)
        assert quaternion[0] >= 0.0
        assert np.linalg.norm(quaternion) == pytest.approx(1.0)
        assert cell[:3] == pytest.approx([a, b, c], rel=1e-12)
        assert (values["phi"], values["osc"]) == pytest.approx((8.0, 3.0))


def test_half_turns_have_a_quaternion() -> None:
    """Where the trace of U is -1."""
    for axis in range(3):
        u = -np.eye(3)
        u[axis, axis] = 1.0
        found = quaternion_of((u @ np.diag([2.0, 3.0, 4.0])).T)
        wanted = np.zeros(4)
        wanted[1 + axis] = 1.0
        assert found == pytest.approx(wanted, abs=1e-12)


def test_a_left_handed_crystal_has_no_quaternion() -> None:
    """No rotation makes it of the right-handed cell; the cell it has."""
    axes = np.diag([2.0, 3.0, -4.0])
    assert np.isnan(quaternion_of(axes)).all()
    assert cell_of(axes) == pytest.approx([2, 3, 4, 90, 90, 90])


def test_beam_and_size() -> None:
    """Mean energy, bandwidth, scale and what else the flags say."""
    e = experiment(f"{SMALL} -N 5 -mosaic 0.3 -mosaic_dom 7 -dispersion 4 -dispsteps 3"
                   " -flux 1e12 -exposure 0.5 -beamsize 0.1 -mosaic_seed 11")  # fmt: skip
    values = shot_values(e)
    per = 1.0 / np.array([0.98, 1.0, 1.02])
    assert values["energy"] == pytest.approx(12398.42 * per.mean())
    assert values["wavelength"] == pytest.approx(1.0 / per.mean())
    assert values["bandwidth"] == pytest.approx(per.std() / per.mean())
    assert values["fluence"] == pytest.approx(0.5e12 / 1e-8)
    assert values["scale"] == pytest.approx([7.94079248018965e-30 * 0.5e12 / 1e-8])
    assert values["n_cells"].tolist() == [[5, 5, 5]]
    assert values["size"][0] == pytest.approx([200, 250, 300])
    assert values["mosaic_spread"][0] == pytest.approx([0.3] * 3)
    assert values["mosaic_domains"].tolist() == [7]
    assert (values["mosaic_seed"].tolist(), values["misset_seed"].tolist()) == ([11], [-1])
    assert values["distance"] == pytest.approx(100.0)
    mosaic = replace(e.crystal.mosaic, model="gauss", widths=(1e-3, 2e-3, 3e-3))
    other = e.replace(crystal=replace(e.crystal, mosaic_spread=None, mosaic=mosaic))
    assert shot_values(other)["mosaic_spread"][0] == pytest.approx(np.degrees([1e-3, 2e-3, 3e-3]))


@pytest.mark.parametrize(
    "more", ["", "-adxv", "-spindle_axis 0 1 0 -phi 20", "-polar_vector 0 1 1"]
)
def test_the_frame_is_that_of_exported_lists(more: str, tmp_path: Path) -> None:
    """The crystal of a still is that of the experiment list that is written of its store."""
    e = experiment(f"{SMALL} {more}")
    store = store_of(tmp_path / "a.zarr", e, np.ones((16, 16), np.float32))
    text: Any = expt_text(Series(store), Sensor("Si", 1e-6), tmp_path, None)[0]
    (crystal,) = json.loads(text)["crystal"]
    axes = np.array([crystal[f"real_space_{name}"] for name in "abc"])
    found = np.linalg.inv(shot_values(e)["reciprocal_matrix"][0])
    assert found @ FROM_DXTBX.T == pytest.approx(axes, abs=1e-9)

"""Panels at their place in one picture: values, geometry, what is missing."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.derive.assembly import (
    AssembledLevels,
    assemble,
    geometry_of,
    open_levels,
    plane_of,
)
from nbdask.derive.directions import Directions
from nbdask.errors import InputError, StoreError
from nbdask.experiment import Detector, LabFrame
from nbdask.plan.tiles import Tile
from nbdask.run import simulate
from nbdask.store.levels import Levels
from nbdask.store.reader import StoreReader
from nbdask.view.scene import Scene
from nbdask.view.texts import pointer_text, progress_text
from tests.helpers import lose_records, small_experiment
from tests.panels.several import PANELS, alone, several

EXPERIMENT = several()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it."""
    path = tmp_path_factory.mktemp("run") / "a.zarr"
    simulate(EXPERIMENT, path, tile=8, threads=1)
    return path


def test_each_place_has_the_pixel_under_it(finished: Path) -> None:
    """Written out: places in the plane at right angles to the beam, the first panel on top."""
    plane, values = plane_of(EXPERIMENT), assemble(finished).values
    whole = np.asarray(StoreReader(finished).image[...])
    size = 3e-4
    assert plane.panel.pitch_fast == plane.panel.pitch_slow == size
    corner = np.array(plane.panel.origin)
    seen = 0
    for slow, fast in np.ndindex(values.shape):
        # Beam +x, slow -y, fast +z.
        y, z = corner[1] - (slow + 0.5) * size, corner[2] + (fast + 0.5) * size
        expected = np.float32(np.nan)
        for number, panel in reversed(list(enumerate(PANELS))):
            f, s = (np.array(v) / np.linalg.norm(v) for v in (panel.fast, panel.slow))
            steps = np.array([panel.pitch_slow * s[1:], panel.pitch_fast * f[1:]]).T
            row, column = np.floor(np.linalg.solve(steps, np.array([y, z]) - panel.origin[1:]))
            if 0 <= row < panel.n_slow and 0 <= column < panel.n_fast:
                expected = whole[number, int(row), int(column)]
                found = plane.find(slow, fast)
        if np.isnan(expected):
            assert plane.find(slow, fast) is None
        else:
            seen += 1
            assert found is not None
        assert np.array_equal(values[slow, fast], expected, equal_nan=True)
    assert seen > 300
    assert np.isnan(values).any()


def test_parts_are_those_of_the_whole(finished: Path) -> None:
    """Lazy, in chunks, in other processes; coordinates are those of the plane."""
    lazy = assemble(finished)
    whole = lazy.values
    assert np.array_equal(lazy[7:20, 11:30].values, whole[7:20, 11:30], equal_nan=True)
    again = pickle.loads(pickle.dumps(lazy.data))
    assert np.array_equal(again.compute(), whole, equal_nan=True)
    plane = plane_of(EXPERIMENT).panel
    assert float(lazy.y[0]) == pytest.approx(plane.origin[1] - 1.5e-4)
    assert float(lazy.x[0]) == pytest.approx(-plane.origin[2] - 1.5e-4)
    assert lazy.attrs["distance_m"] == pytest.approx(plane.origin[0])
    assert lazy.attrs["units"] == "photon"
    assert nbdask.assemble is assemble


def test_geometry_is_that_of_the_panels(finished: Path) -> None:
    """At each place that of the panel's pixel; between panels that of the plane."""
    levels = open_levels(finished)
    assert isinstance(levels, AssembledLevels)
    seen = geometry_of(levels)
    every = seen.resolution(*np.indices(levels.plane.shape))
    for number in range(3):
        own = Directions.of(EXPERIMENT, number)
        for slow, fast in ((1.0, 2.0), (4.0, 5.0), (7.0, 8.0)):
            step = np.linalg.inv(levels.plane.steps[number])
            place = levels.plane.origins[number] + step @ (slow + 0.5, fast + 0.5) - 0.5
            found = levels.plane.find(*place)
            assert found is not None
            if found[0] != number:
                continue
            assert found[1:] == pytest.approx((slow, fast))
            assert float(seen.resolution(*place)) == pytest.approx(
                float(own.resolution(slow, fast))
            )
            assert seen.miller(*place) == pytest.approx(own.miller(slow, fast))
    gaps = np.isnan(assemble(finished).values)
    flat = Directions.of(EXPERIMENT.replace(detector=Detector(panels=(levels.plane.panel,))))
    expected = flat.resolution(*np.indices(levels.plane.shape))
    assert every[gaps] == pytest.approx(expected[gaps])


def test_other_beams_and_panels_seen_from_the_edge() -> None:
    """Up is up where it can be; a panel along the beam is left out."""
    along = replace(PANELS[0], name="along", fast=(1.0, 0.0, 0.0), slow=(0.0, -1.0, 0.0))
    plane = plane_of(several((*PANELS, along)))
    assert 3 not in plane.touched(Tile(0, plane.shape[0], 0, plane.shape[1]))
    beam = LabFrame("CUSTOM", beam=(0.0, 0.0, 1.0))
    turned = replace(
        PANELS[0], origin=(0.002, 0.002, 0.1), fast=(-1.0, 0.0, 0.0), slow=(0.0, -1.0, 0.0)
    )
    one = plane_of(several((turned,), frame=beam)).panel
    assert one.slow == pytest.approx((0.0, -1.0, 0.0))
    assert one.fast == pytest.approx((-1.0, 0.0, 0.0))
    upright = LabFrame("CUSTOM", beam=(0.0, 1.0, 0.0))
    above = replace(turned, origin=(0.0, 0.1, 0.0), slow=(0.0, 0.0, -1.0))
    assert plane_of(several((above,), frame=upright)).panel.slow == pytest.approx((0, 0, -1))


def test_what_is_not_there(finished: Path, tmp_path: Path) -> None:
    """Unfinished tiles are NaN, and their chunks are not done; damaged ones are named."""
    store = Path(shutil.copytree(finished, tmp_path / "a.zarr"))
    levels = open_levels(store)
    assert levels.done(("max",), 0).all()
    lose_records(store, 8)
    (store / "image" / "c" / "2" / "0" / "0").unlink()
    again = levels.again()
    assert not again.done(("max",), 0).any()
    assert np.isnan(assemble(store).values).sum() > np.isnan(assemble(finished).values).sum()
    key = store / "image" / "c" / "0" / "0" / "0"
    key.write_bytes(key.read_bytes()[:-2])
    with pytest.raises(StoreError, match=r"tile 0 \(slow 0 to 8, fast 0 to 8\) is damaged"):
        assemble(store).compute()
    with pytest.raises(StoreError, match="tile 0"):
        again.check(0)


def test_one_panel(tmp_path: Path) -> None:
    """That of flags is a picture by itself; one with skewed axes is put into the plane."""
    flags = small_experiment()
    simulate(flags, tmp_path / "a.zarr", threads=1)
    with pytest.raises(InputError, match="has one panel, which is a picture by itself"):
        assemble(tmp_path / "a.zarr")
    assert type(open_levels(tmp_path / "a.zarr")) is Levels
    simulate(alone(EXPERIMENT, 2), tmp_path / "b.zarr", threads=1)
    assert assemble(tmp_path / "b.zarr").values.max() != 0.0
    assert type(open_levels(tmp_path / "b.zarr")) is Levels


def test_the_viewer_shows_panels(finished: Path, tmp_path: Path) -> None:
    """The whole and windows; the panel, its pixel, its value and indices under the pointer."""
    store = Path(shutil.copytree(finished, tmp_path / "a.zarr"))
    scene, values = Scene(store), assemble(store).values
    assert scene.shape == values.shape
    shown = np.where(values == 0.0, np.nan, values)  # masked ones
    assert np.array_equal(scene.overview("max").values, shown, equal_nan=True)
    masked = np.argwhere(values == 0.0)[0]
    assert "masked" in pointer_text(scene, *masked.astype(float))
    plane, number = plane_of(EXPERIMENT), 1
    step = np.linalg.inv(plane.steps[number])
    slow, fast = plane.origins[number] + step @ (8.5, 1.5) - 0.5
    found = plane.find(slow, fast)
    assert found is not None
    text = pointer_text(scene, slow, fast)
    assert PANELS[found[0]].name in text
    assert f"{round(found[1])}, {round(found[2])}" in text
    own = Directions.of(EXPERIMENT, found[0])
    assert f"{float(own.resolution(*found[1:])) * 1e10:.4g} Å" in text
    gap = np.argwhere(np.isnan(values))[0]
    assert pointer_text(scene, *gap.astype(float)) == "<b>between the panels</b>"
    key = store / "image" / "c" / "0" / "0" / "0"
    before = key.read_bytes()
    key.write_bytes(before[:-2])
    blind = Scene(store)
    assert np.isnan(blind.overview("max").values).all()
    assert "tile 0 (slow 0 to 8" in progress_text(blind)
    key.write_bytes(before)
    assert blind.damage.repaired(blind.levels) == [0]

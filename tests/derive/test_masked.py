"""Which places of a picture are masked: of one panel, of several, reduced, by a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nbdask.derive.assembly import AssembledLevels, open_levels
from nbdask.derive.masked import masked_pixels
from nbdask.experiment import Sampling
from nbdask.geometry.panel_frames import BadPixels
from nbdask.plan.tiles import Tile
from nbdask.run import simulate
from tests.graph.test_tasks import write_mask
from tests.helpers import small_experiment
from tests.panels.several import PANELS, alone, several


def test_of_several_panels_each_place_is_that_of_the_pixel_under_it(tmp_path: Path) -> None:
    """Rectangles and areas of the lab; at full size, and where all of 3 x 3 are masked."""
    levels = open_levels(simulate(several(), tmp_path / "a.zarr", tile=8, threads=1).path)
    assert isinstance(levels, AssembledLevels)
    slow, fast = levels.grid.shape
    wanted = np.zeros((slow, fast), dtype=np.bool_)
    for place in np.ndindex(wanted.shape):
        found = levels.plane.find(*place)
        if found is not None:
            row, column = (int(np.floor(x + 0.5)) for x in found[1:])
            good = BadPixels(PANELS[found[0]]).read(row, row + 1, column, column + 1)
            wanted[place] = not good[0, 0]
    assert wanted.sum() > 20
    whole = masked_pixels(levels, Tile(0, slow, 0, fast), 1)
    assert whole is not None
    assert np.array_equal(whole, wanted)
    part = masked_pixels(levels, Tile(3, 12, 6, 30), 1)
    assert part is not None
    assert np.array_equal(part, wanted[3:12, 6:30])


def test_reduced_pixels_are_masked_where_all_of_theirs_are(tmp_path: Path) -> None:
    """Also at the far edge, where a pixel reaches beyond the image."""
    levels = open_levels(simulate(alone(several(), 1), tmp_path / "a.zarr", threads=1).path)
    assert levels.grid.shape == (11, 9)  # fast 2 and 3 are bad
    two, three = (masked_pixels(levels, Tile(0, 12, 0, 12), factor) for factor in (2, 3))
    assert two is not None
    assert three is not None
    assert two.tolist() == [[False, True, False, False, False, False]] * 6
    assert not three.any()


def test_the_file_of_a_mask(tmp_path: Path) -> None:
    """As long as it is there; without one there is no mask."""
    pixels = np.ones((32, 24), np.uint16)
    pixels[2:5, 3:9] = 0
    write_mask(tmp_path / "m.img", pixels)
    masked = small_experiment(sampling=Sampling(mask=str(tmp_path / "m.img"), oversample=1))
    levels = open_levels(simulate(masked, tmp_path / "a.zarr", threads=1).path)
    region = Tile(0, levels.grid.shape[0], 0, levels.grid.shape[1])
    found = masked_pixels(levels, region, 1)
    assert found is not None
    assert np.array_equal(found, pixels == 0)
    (tmp_path / "m.img").unlink()
    assert masked_pixels(levels, region, 1) is None

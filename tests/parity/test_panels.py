"""Panels against C where it can compute them, and against the reference kernel elsewhere."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.experiment import Detector, Experiment, Scan
from nbdask.flags import parse_args, to_args
from nbdask.geometry.build import build_model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.parity.against_c import Request, parity, parity_from_scratch
from nbdask.parity.binary import find_binary
from nbdask.parity.compare import compare
from nbdask.parity.errors import ParityUsageError, ShapeError
from nbdask.parity.regions import Choice, choose_panels
from nbdask.parity.window import for_c, of_panel
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.prepare import Settings
from nbdask.run import simulate
from nbdask.store.reader import StoreReader
from tests.helpers import deviation
from tests.panels.samples import INPUTS
from tests.panels.several import PANELS, panels, several

needs_c = pytest.mark.skipif(
    "NB_C_BIN" not in os.environ, reason="NB_C_BIN does not name a nanoBragg program"
)
#: Square pixels on tilted axes at right angles, which C can compute.
TURNED = replace(
    PANELS[1], name="turned", pitch_slow=4e-4, fast=(0.0, 0.0, 1.0), slow=(0.2, -1.0, 0.0)
)
MIXED = (PANELS[0], TURNED, PANELS[2])


def mixed(**parts: object) -> Experiment:
    """Two panels for C, one for the reference kernel, one of them with bad pixels and sensors."""
    held = tuple(replace(panel, thickness=3e-4, attenuation=4000.0) for panel in MIXED)
    return several(held, **parts)


def test_panels_as_c_takes_them() -> None:
    """The same pixels from the one panel that flags can say; reasons where they cannot."""
    model = build_model(mixed())
    for number in (0, 1):
        alone, reason = of_panel(mixed(), number)
        assert reason is None
        assert alone.detector.panels == ()
        given, notes = for_c(alone)
        assert notes
        assert "-detector_abs" in to_args(given)
        tile = Tile(0, MIXED[number].n_slow, 0, MIXED[number].n_fast, number)
        ours, _ = ReferenceKernel().image(model, tile, None)
        theirs, _ = ReferenceKernel().image(build_model(given), tile._replace(panel=0), None)
        assert deviation(ours, theirs) < 1e-8
    reasons = [of_panel(several(), number)[1] for number in range(3)]
    assert reasons == [None, "two pitches", "two pitches"]
    skewed = replace(PANELS[2], pitch_slow=3e-4)
    assert of_panel(several((skewed,)), 0)[1] == "axes that are not at right angles"
    inward = replace(PANELS[0], slow=(0.0, 1.0, 0.0))
    assert of_panel(several((inward,)), 0)[1] == "fast x slow points to the sample"
    flags = several(detector=Detector())
    assert of_panel(flags, 0) == (flags, None)


def test_chosen_panels() -> None:
    """Whole ones or their middle; all, some at random, the brightest; not by place."""
    grid, sizes = TileGrid((11, 14), (8, 8), 3), [(10, 12), (11, 9), (8, 14)]
    every = list(choose_panels(grid, sizes, Choice()))
    assert [region.tile.panel for region in every] == [0, 1, 2]
    assert every[2].tile == Tile(0, 8, 0, 14, 2)
    (one,) = choose_panels(grid, sizes, Choice(tiles=1, edge=4, seed=3))
    assert one.tile.shape == (4, 4)
    bright = [(float(n == 9), n) for n in range(12)]
    (most,) = choose_panels(grid, sizes, Choice(tiles=0, brightest=1), bright)
    assert (most.tile.panel, most.why) == (2, "brightest")
    for choice in (Choice(roi=(0, 1, 0, 1)), Choice(tile_indices=((0, 0),))):
        with pytest.raises(ParityUsageError, match="the detector has 3 panels: give --tiles N"):
            list(choose_panels(grid, sizes, choice))


@needs_c
@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_each_panel_is_compared(semantics: str) -> None:
    """With C where it can be; the one with skewed axes with the reference kernel."""
    turning = {"scan": Scan(phi0=0.0, osc=0.02, count=2)} if semantics == "c" else {}
    request = Request(find_binary(None), settings=Settings(threads=1))
    outcome = parity_from_scratch(
        mixed(semantics=semantics, **turning), request, title="three panels"
    )
    assert outcome.ok
    assert [region.panel for region in outcome.regions] == ["left", "turned", "skew 2"]
    assert [bool(region.argv) for region in outcome.regions] == [True, True, False]
    assert "compared with the reference kernel" in outcome.regions[2].notes[0]
    assert any("two pitches" in note for note in outcome.notes)
    assert outcome.total.max_b > 0.0


@needs_c
def test_a_store_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line, with a report that names panels; a changed pixel is found."""
    store = tmp_path / "a.zarr"
    simulate(mixed(), store, tile=8, threads=1)
    words = ["parity", str(store), "--json", "-", "--html", str(tmp_path / "a.html"), "--threads"]
    assert main([*words, "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [region["panel"] for region in found["regions"]] == ["left", "turned", "skew 2"]
    assert "panel turned" in (tmp_path / "a.html").read_text()
    changed = several(panels(pitch_fast=3.9e-4))
    one = Request(find_binary(None), Choice(tiles=1, edge=6), settings=Settings(threads=1))
    simulate(changed, tmp_path / "b.zarr", threads=1)
    outcome = parity(tmp_path / "b.zarr", one)
    assert len(outcome.regions) == 1
    assert outcome.ok


@needs_c
@pytest.mark.skipif(not INPUTS.is_dir(), reason="NBDASK_INPUTS does not name the real files")
@pytest.mark.parametrize(
    ("name", "by_c"), [("sacla_mpccd.expt", True), ("jungfrau16m.expt", False)]
)
def test_panels_of_real_files(name: str, by_c: bool) -> None:
    """Two panels of each, pixel by pixel."""
    words = "-cell 60 70 80 80 95 100 -default_F 100 -N 3 -oversample 1"
    whole = parse_args(words.split(), geometry=str(INPUTS / "geometry" / name)).experiment
    held = whole.detector.panels
    some = whole.replace(detector=replace(whole.detector, panels=(held[1], held[-1])))
    request = Request(find_binary(None), Choice(edge=120), settings=Settings(threads=1))
    outcome = parity_from_scratch(some, request, title=name)
    assert outcome.ok
    assert all(bool(region.argv) == by_c for region in outcome.regions)
    assert np.isfinite(outcome.total.max_rel)


def test_two_stores_of_panels(tmp_path: Path) -> None:
    """Compared tile by tile, with the panel in the report; arrays too; shapes have to be equal."""
    simulate(several(), tmp_path / "a.zarr", tile=8, threads=1)
    simulate(several(), tmp_path / "b.zarr", tile=16, threads=1)
    same = compare(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert same.ok
    assert [region.panel for region in same.regions[::4]] == [panel.name for panel in PANELS]
    values = np.asarray(StoreReader(tmp_path / "a.zarr").image[...])
    values[2, 3, 4] *= 1.5
    np.save(tmp_path / "c.npy", values)
    other = compare(tmp_path / "a.zarr", tmp_path / "c.npy")
    assert [region.panel for region in other.failed] == ["skew 2"]
    assert str(other.failed[0]) == "panel skew 2, slow 0 to 7, fast 0 to 7"
    np.save(tmp_path / "d.npy", values[0])
    with pytest.raises(ShapeError, match=r"has 3 panels of 11 x 14 pixels .* has 11 x 14"):
        compare(tmp_path / "a.zarr", tmp_path / "d.npy")

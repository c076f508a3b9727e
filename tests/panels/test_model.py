"""A panel in space: positions, normal, beam, what is no panel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import Instrument, LabArea, Panel, PanelBeam, Rectangle
from nbdask.panels.report import as_text, nearest_gaps

PANEL = Panel(
    name="p",
    n_fast=10,
    n_slow=20,
    pitch_fast=1e-4,
    pitch_slow=3e-4,
    origin=(-0.001, 0.002, 0.1),
    fast=(1.0, 0.0, 0.0),
    slow=(0.6, -0.8, 0.0),
)


def test_positions() -> None:
    """Two pitches, axes that are not at right angles, centres half a pixel in."""
    expected = (-0.001 + 3.5e-4 + 0.6 * 4.5 * 3e-4, 0.002 - 0.8 * 4.5 * 3e-4, 0.1)
    assert PANEL.position(3.5, 4.5) == pytest.approx(expected, abs=1e-18)
    assert PANEL.area == pytest.approx(1e-4 * 3e-4 * 0.8)
    assert PANEL.corners()[2] == pytest.approx(PANEL.position(10, 20), abs=1e-18)


@pytest.mark.parametrize("fast", [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)])
def test_normal_points_away_from_the_sample(fast: tuple[float, float, float]) -> None:
    """Whatever the sense in which slow follows fast."""
    panel = dataclasses.replace(PANEL, fast=fast)
    assert panel.normal == pytest.approx((0.0, 0.0, 1.0))
    assert panel.distance == pytest.approx(0.1)
    behind = dataclasses.replace(panel, origin=(0.0, 0.0, -0.1))
    assert behind.normal == pytest.approx((0.0, 0.0, -1.0))


def test_beam() -> None:
    """Where a ray meets the panel is the inverse of position(); rays the other way do not."""
    place = np.array(PANEL.position(2.25, 7.75))
    way = float(np.linalg.norm(place))
    ray = tuple((place / way).tolist())
    assert PANEL.meets(ray) == pytest.approx((2.25, 7.75, way))
    assert PANEL.meets((-ray[0], -ray[1], -ray[2])) is None
    assert PANEL.meets((1.0, 0.0, 0.0)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_fast": 0}, "n_fast"),
        ({"pitch_slow": -1.0}, "pitch_slow"),
        ({"pitch_slow": float("nan")}, "pitch_slow"),
        ({"slow": (1.0, 0.0, 0.0)}, "parallel"),
        ({"origin": (0.0, 0.0, float("inf"))}, "beyond"),
        ({"origin": (0.0, 0.0, 0.0)}, "distance 0"),
    ],
)
def test_what_is_no_panel(changes: dict[str, object], words: str) -> None:
    """Refused with its name."""
    with pytest.raises(InputError, match=f"panel p: .*{words}"):
        dataclasses.replace(PANEL, **changes)  # type: ignore[arg-type]


def test_bad_pixels() -> None:
    """Rectangles, edges, and regions of the lab by pixel centres, limits included."""
    square = dataclasses.replace(PANEL, slow=(0.0, -1.0, 0.0), origin=(0.0, 0.0, 0.1))
    bad = bad_pixels(dataclasses.replace(square, bad=(Rectangle(1, 3, 4, 6),)))
    assert bad.sum() == 4
    assert bad[4:6, 1:3].all()
    assert bad_pixels(dataclasses.replace(square, bad_edge=2)).sum() == 200 - 6 * 16
    area = LabArea("a", 0.5e-4, 2.5e-4, -4.5e-4, 1.0)
    bad = bad_pixels(dataclasses.replace(square, bad_areas=(area,)))
    assert np.argwhere(bad).tolist() == [[s, f] for s in (0, 1) for f in (0, 1, 2)]


def test_spectrum_and_groups_of_angles() -> None:
    """The mean of a spectrum is by weight; d follows from wavelength and place."""
    beam = PanelBeam(wavelength=1e-10, spectrum=((1e-10, 1.0), (2e-10, 3.0)))
    assert beam.mean_wavelength == pytest.approx(1.75e-10)
    whole = Instrument("test", "corner", (PANEL,), beam)
    assert whole.spacing((0.0, 0.0, 1.0)) == float("inf")
    assert whole.spacing((0.0, 1.0, 0.0)) == pytest.approx(1e-10 / (2.0 * np.sin(np.pi / 4)))
    assert dataclasses.replace(whole, beam=PanelBeam()).spacing((0.0, 1.0, 0.0)) is None


def test_gaps() -> None:
    """To the nearest edge of another panel; overlaps are seen from the sample."""
    flat = dataclasses.replace(PANEL, slow=(0.0, 1.0, 0.0), origin=(0.0, 0.0, 0.1))
    right = dataclasses.replace(flat, name="q", origin=(0.0015, 0.0, 0.1))
    beam = PanelBeam(wavelength=1e-10)
    apart = Instrument("test", "corner", (flat, right), beam)
    assert nearest_gaps(apart) == pytest.approx([0.0005, 0.0005])
    behind = dataclasses.replace(flat, name="r", origin=(0.0005, 0.0, 0.2))
    over = Instrument("test", "corner", (flat, behind), beam)
    assert nearest_gaps(over) == [-1.0, -1.0]
    assert "2 panels overlap" in as_text(over, "file")
    assert nearest_gaps(Instrument("test", "corner", (flat,), beam)) == [None]
    far = dataclasses.replace(flat, name="a\nb", origin=(0.5, 0.0, 0.1))
    three = Instrument("test", "corner", (far, flat, right), beam)
    assert nearest_gaps(three) == pytest.approx([0.4975, 0.0005, 0.0005])
    assert "\na b " in as_text(three, "file")

"""Panels of a geometry file as kernels see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Detector, DetectorPanel, Experiment, LabFrame, Sampling
from nbdask.geometry.build import build_model
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.panel_frames import BadPixels, nearest, panel_frames, panel_number
from nbdask.physics.position import plane_coordinates
from tests.panels.several import PANELS, alone, panels, several


def test_frames_are_those_of_the_panels() -> None:
    """Unit axes, normals away from the sample, pitches, areas p_f p_s |f x s|, sizes."""
    model = build_model(several())
    assert (model.n_slow, model.n_fast, model.n_panels) == (11, 14, 3)
    assert model.evaluated == sum(p.n_fast * p.n_slow for p in PANELS)
    for panel, frame in zip(PANELS, model.panels, strict=True):
        fast, slow = (np.array(v) / np.linalg.norm(v) for v in (panel.fast, panel.slow))
        cross = np.cross(fast, slow)
        assert np.allclose(frame.fast, fast, atol=1e-15)
        assert frame.normal @ frame.origin == pytest.approx(frame.close_distance)
        assert frame.close_distance > 0.0
        assert abs(frame.normal @ cross) == pytest.approx(np.linalg.norm(cross))
        size = panel.pitch_fast * panel.pitch_slow
        assert frame.area == pytest.approx(size * np.linalg.norm(cross), rel=1e-14)
        assert (frame.n_slow, frame.n_fast) == (panel.n_slow, panel.n_fast)
    assert model.panels[0].area == 4e-4 * 4e-4


def test_the_model_of_one_panel() -> None:
    """It shares the tables, is made once, and is that of the panel alone; of one it is itself."""
    whole = build_model(several())
    for number in range(3):
        one, other = whole.at(number), build_model(alone(several(), number))
        assert one is whole.at(number)
        assert one.axes is whole.axes
        assert one.at(0) is one
        assert one.roi == other.roi == (0, one.n_slow - 1, 0, one.n_fast - 1)
        for name in ("fast", "slow", "normal", "origin"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("area", "distance", "close_distance", "layer_step", "mu", "pitch_slow"):
            assert getattr(one, name) == getattr(other, name)


def test_sensors_of_their_own() -> None:
    """Thickness and attenuation by panel, the number of layers for all."""
    held = (
        replace(PANELS[0], thickness=3e-4, attenuation=4000.0),
        replace(PANELS[1], thickness=4e-4),
    )
    model = build_model(several(detector=Detector(panels=held, thick_steps=4)))
    assert model.layers == 4
    assert [f.layer_step for f in model.panels] == [3e-4 / 3, 4e-4 / 3]
    assert [f.mu for f in model.panels] == [4000.0, 1.0 / 4e-4]
    assert any("no sensor attenuation given" in note for note in model.notes)
    with pytest.raises(FieldError, match="one for all panels or for none"):
        Detector(panels=(held[0], PANELS[1]))


def test_bad_pixels() -> None:
    """Rectangles, areas of the lab by centres, and another mask; any part of them."""
    wide = replace(PANELS[2], bad=((3, 5, 2, 4), (0, 1, 0, 1)))
    whole = np.ones((8, 14), dtype=bool)
    whole[2:4, 3:5] = whole[0, 0] = False
    fast, slow = (np.array(v) / np.linalg.norm(v) for v in (wide.fast, wide.slow))
    for s, f in np.ndindex(8, 14):
        _, y, z = (
            np.array(wide.origin) + (f + 0.5) * 3e-4 * fast + (s + 0.5) * 6e-4 * slow
        ).tolist()
        whole[s, f] &= not (-0.0035 <= y <= -0.0025 and -0.001 <= z <= 0.0005)
    assert 5 < (~whole).sum() < 40
    mask = BadPixels(wide)
    assert np.array_equal(mask.read(0, 8, 0, 14), whole)
    assert np.array_equal(mask.read(3, 6, 4, 11), whole[3:6, 4:11])
    other = BadPixels(replace(wide, bad=((13, 14, 0, 8),), bad_areas=()))
    both = BadPixels(wide, other).read(0, 8, 10, 14)
    assert not both[:, 3].any()
    assert np.array_equal(both[:, :3], whole[:, 10:13])


def test_where_the_plane_is_met() -> None:
    """On axes that are not at right angles too: the coordinates give the point back."""
    for number in range(3):
        model = build_model(several()).at(number)
        place = model.pitch_slow * 3.5 * model.slow + model.pitch_fast * 7.5 * model.fast
        slow, fast = plane_coordinates(model, place)
        assert (float(slow), float(fast)) == pytest.approx((3.0, 7.0))
    frame = LabFrame("CUSTOM")
    placed = place_detector(frame, Detector(panels=PANELS[2:]))
    spot = placed.origin + placed.f_beam * placed.fast + placed.s_beam * placed.slow
    assert spot == pytest.approx(placed.distance * placed.beam, abs=1e-12)
    near = placed.origin + placed.f_close * placed.fast + placed.s_close * placed.slow
    assert near == pytest.approx(placed.close_distance * placed.normal, abs=1e-12)


def test_the_finest_sampling_of_any_panel_counts() -> None:
    """By the place that is nearest to the sample and the larger pitch, unless it is given."""
    far = replace(PANELS[0], origin=(5.0, 0.1, -0.1))
    chosen = Sampling()
    one = build_model(several((far,), sampling=chosen)).oversample
    both = build_model(several((far, PANELS[1]), sampling=chosen)).oversample
    assert one < both == build_model(several((PANELS[1],), sampling=chosen)).oversample
    frames = panel_frames(LabFrame("CUSTOM"), Detector(panels=PANELS))
    for panel, frame in zip(PANELS, frames, strict=True):
        ends = np.array(
            [
                frame.origin
                + s * panel.n_slow * panel.pitch_slow * frame.slow
                + f * panel.n_fast * panel.pitch_fast * frame.fast
                for s in np.linspace(0, 1, 41)
                for f in np.linspace(0, 1, 41)
            ]
        )
        assert nearest(frame) == pytest.approx(np.linalg.norm(ends, axis=1).min(), rel=1e-3)


def test_panels_by_name_and_number() -> None:
    """A name that looks like a number is a name; a missing one is asked for."""
    held = Detector(panels=(*PANELS[:2], replace(PANELS[2], name="1")))
    assert panel_number(held, "tilted") == panel_number(held, 1) == 1
    assert panel_number(held, "1") == 2
    assert panel_number(Detector(), None) == panel_number(Detector(), "0") == 0
    for wanted in (None, "3", "right", -1):
        with pytest.raises(FieldError, match="must be 0 to 2 or one of the names left, tilted, 1"):
            panel_number(held, wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_fast": 0}, "n_fast = 0: must be a whole number of at least 1"),
        ({"pitch_slow": 0.0}, "pitch_slow = 0.0: must be a number above 0"),
        ({"slow": (0.0, 0.0, 2.0)}, "must be at an angle to fast"),
        ({"origin": (0.0, 0.01, 0.0)}, "such that the plane misses the sample"),
        ({"bad": ((0, 1, 0, 11),)}, "must be fast from and to, slow from and to"),
        ({"bad": (5,)}, "bad = 5: must be 4 finite numbers"),
        ({"thickness": -1.0}, "thickness = -1.0: must be a number of at least 0"),
        ({"material": 5}, "material = 5: must be a text"),
        ({"trusted_low": float("nan")}, "trusted_low = nan: must be a finite number"),
    ],
)
def test_panels_that_are_none(change: dict[str, Any], words: str) -> None:
    """Refused with panel and field."""
    with pytest.raises(FieldError) as caught:
        replace(PANELS[0], **change)
    assert words in str(caught.value)
    assert "detector.panels (left)" in str(caught.value)


def test_what_does_not_go_with_panels() -> None:
    """Fields that place one panel, equal names, a region or a mask of one panel."""
    for field, value in (("distance", 0.2), ("curved", True), ("thickness", 1e-4), ("rotx", 0.1)):
        with pytest.raises(FieldError, match=f"detector.{field} = .*left out where detector.pan"):
            Detector(panels=PANELS, **{field: value})
    with pytest.raises(FieldError, match="left twice': must be names that all differ"):
        Detector(panels=(PANELS[0], PANELS[0]))
    for sampling in (Sampling(roi=(0, 1, 0, 1)), Sampling(mask="a.img")):
        with pytest.raises(FieldError, match="must be left out: it is of one panel"):
            several(sampling=sampling)
    one = alone(several(), 0).replace(sampling=Sampling(oversample=1, roi=(2, 3, 4, 5)))
    assert build_model(one).roi == (2, 3, 4, 5)


def test_the_dict_form_holds_panels() -> None:
    """Through JSON and back."""
    experiment = several(panels(gain=2.5, material="Si", trusted_high=9.0))
    assert Experiment.from_dict(experiment.to_dict()) == experiment
    assert experiment.fingerprint() != several().fingerprint()
    assert "panels" not in several(detector=Detector()).to_dict().get("detector", {})
    assert isinstance(experiment.detector.panels[0], DetectorPanel)

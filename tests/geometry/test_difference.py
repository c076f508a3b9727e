"""When the choice of semantics changes an image, it is said."""

from __future__ import annotations

import numpy as np
import pytest

import nbdask
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.difference import semantics_note
from tests.specs.support import pixels

FLAGS = "-cell 30 40 50 75 85 95 -default_F 100 -N 4 -detpixels 12 -pixel 3 -distance 60"
BASE = FLAGS.split()


def of(flags: str, semantics: str = "spec") -> nbdask.Experiment:
    """An experiment from flags."""
    return parse_args([*BASE, *flags.split()], semantics=semantics).experiment


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("-phi 0 -osc 1 -phisteps 4", "the rotation of the previous step at phi 0"),
        pytest.param("-phi -1 -osc 2 -phisteps 4", "at phi 0", marks=pytest.mark.long),
        pytest.param("-phi 1 -osc 1 -phisteps 4", None, marks=pytest.mark.long),
        ("-phi 0 -osc 0", None),
        ("-oversample 2 -oversample_omega", "factor of -oversample_omega"),
        ("-oversample 1 -oversample_omega", None),
        ("-twotheta 10 -mosflm -pivot sample", "overrides the -pivot"),
        ("-mosflm -pivot beam", None),
        pytest.param("-cell 30 40 50 75 85 95 -mosaic 1", None, marks=pytest.mark.long),
    ],
)
def test_told_where_images_differ(flags: str, told: str | None) -> None:
    """A note if and only if the two images are not the same."""
    note = semantics_note(of(flags), steps=build_model(of(flags)).n_steps)
    same = np.array_equal(pixels(of(flags)), pixels(of(flags, "c")))
    assert (note is None) == (told is None)
    assert same == (told is None)
    if told is not None:
        assert note is not None
        assert told in note
        assert "--semantics c" in note
        assert note in build_model(of(flags)).notes


def test_under_c_the_other_choice_is_named() -> None:
    """And the pivot is told once, by the placing of the detector."""
    notes = build_model(of("-phi 0 -osc 1 -phisteps 4", "c")).notes
    assert [n for n in notes if "--semantics spec rotates phi 0 like any other step" in n]
    notes = build_model(of("-twotheta 10 -mosflm -pivot sample", "c")).notes
    assert len([n for n in notes if "pivot" in n]) == 1


def test_amplitudes_below_zero(tmp_path) -> None:
    """Of a background's table."""
    table = tmp_path / "t.stol"
    table.write_text("".join(f"{0.05 * i} {3.0 - i}\n" for i in range(20)))
    experiment = parse_args(BASE).experiment.replace(
        background=nbdask.Background(
            materials=(
                nbdask.Material(path=str(table), thickness=1e-4, density=1.0, molar_mass=18.0),
            )
        ),
        beam=nbdask.Beam(beamsize=1e-4),
    )
    assert any("negative amplitudes" in note for note in build_model(experiment).notes)

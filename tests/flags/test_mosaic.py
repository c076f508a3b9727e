"""``--mosaic-model``, ``--domains`` and ``--cells-matrix``."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from nbdask.errors import FlagError
from nbdask.experiment import Mosaic
from nbdask.flags import Own, from_toml, parse_args, to_args

ARGS = ["-cell", "70", "80", "90", "90", "90", "90", "-default_F", "10"]


def crystal_of(*more, **own):
    """Return the crystal of an argument list."""
    return parse_args([*ARGS, *more], own=Own(**own)).experiment.crystal


def test_models():
    """The spread is that of -mosaic, or three widths in degrees."""
    found = crystal_of("-mosaic", "0.5", mosaic_model="gauss")
    assert found.mosaic == Mosaic(model="gauss")
    assert found.mosaic_spread == pytest.approx(math.radians(0.5))
    widths = crystal_of(mosaic_model="gauss:0.1,0.2,0.3").mosaic.widths
    assert widths == pytest.approx([math.radians(x) for x in (0.1, 0.2, 0.3)])


def test_numbers():
    """Random, quasi-random, or for an error."""
    found = crystal_of("-mosaic", "0.5", domains="25")
    assert (found.mosaic, found.mosaic_domains) == (Mosaic(), 25)
    found = crystal_of("-mosaic", "0.5", domains="sobol:64")
    assert (found.mosaic, found.mosaic_domains) == (Mosaic(sampling="sobol"), 64)
    found = crystal_of("-mosaic", "0.5", mosaic_model="gauss", domains="auto:1e-2")
    assert found.mosaic == Mosaic(model="gauss", sampling="sobol", tolerance=0.01)


def test_files_and_toml(tmp_path):
    """A list of orientations; what a TOML file holds, in both forms."""
    path = tmp_path / "domains.txt"
    path.write_text("1 0 0 0 1\n0.999 0 0.01 0 2\n")
    parsed = parse_args(ARGS, own=Own(domains=str(path)))
    experiment = parsed.experiment
    assert len(experiment.crystal.mosaic.domains) == 2
    assert str(path) in parsed.files
    assert type(experiment).from_dict(experiment.to_dict()) == experiment
    (tmp_path / "a.toml").write_text(
        f'[nanobragg]\nflags = "{" ".join(ARGS)}"\ndomains = "domains.txt"\n'
    )
    assert from_toml(tmp_path / "a.toml") == experiment
    with pytest.raises(FlagError, match=r"crystal\.mosaic: nanoBragg has random domains"):
        to_args(experiment)


def test_matrix_of_cells(tmp_path):
    """Nine numbers, row by row; the same in a TOML file."""
    matrix = (6.0, 1.0, -0.5, 0.3, 5.0, 2.0, -1.0, 0.7, 9.0)
    assert crystal_of("-gauss_xtal", cells_matrix=matrix).cells_matrix == matrix
    (tmp_path / "a.toml").write_text(
        f'[nanobragg]\nflags = "{" ".join(ARGS)} -gauss_xtal"\ncells_matrix = {list(matrix)}\n'
    )
    assert from_toml(tmp_path / "a.toml").crystal.cells_matrix == matrix


@pytest.mark.parametrize(
    ("more", "own", "said"),
    [
        ((), {"mosaic_model": "gauss"}, "needs a spread, -mosaic DEGREES, or three"),
        ((), {"mosaic_model": "bell"}, "must be cap, gauss, or gauss:A,B,C"),
        ((), {"mosaic_model": "gauss:1,2"}, "must be cap, gauss, or gauss:A,B,C"),
        ((), {"mosaic_model": "gauss:1,2,-3"}, "must be cap, gauss, or gauss:A,B,C"),
        (("-mosaic", "1"), {"mosaic_model": "gauss:1,2,3"}, "-mosaic 1: leave out beside"),
        (("-mosaic", "1"), {"domains": "sobol:0"}, "'0' must be a whole number from 1"),
        (("-mosaic", "1"), {"domains": "auto:2"}, "'2' must be a relative error"),
        (("-mosaic", "1"), {"domains": "sobel:8"}, "must be a number, sobol:N, auto:ERROR"),
        (("-mosaic", "1"), {"domains": "sobol"}, "--domains sobol: no such file: must be a number"),
        (
            (),
            {"domains": "DOMAINS", "mosaic_model": "gauss:1,1,1"},
            "gauss:1,1,1: leave out",
        ),
        ((), {"domains": "HUGE"}, "weights with a finite sum above 0"),
        (("-mosaic_dom", "5"), {"domains": "8"}, "-mosaic_dom 5: leave out beside --domains 8"),
        (("-mosaic", "1"), {"domains": __file__}, "-mosaic 1: leave out beside --domains"),
        (("-N", "5"), {"cells_matrix": (1.0,) * 9}, "-N 5: leave out beside --cells-matrix"),
        ((), {"cells_matrix": (1.0,) * 9}, 'only with shape "gauss"'),
    ],
)
def test_what_is_refused(more, own, said, tmp_path, monkeypatch):
    """In one line that names the flag."""
    monkeypatch.chdir(tmp_path)
    Path("DOMAINS").write_text("0 0 0 1\n")
    Path("HUGE").write_text("0 0 0 1e308\n0 0 1 1e308\n")
    with pytest.raises(FlagError, match=re.escape(said)) as caught:
        crystal_of(*more, **own)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cells_matrix = 3", "a list of numbers"),
        ('spectrum_seed = "x"', "a whole number"),
        ("spectrum_seed = 1.5", "a whole number"),
        ("domains = true", "a text"),
    ],
)
def test_values_of_the_wrong_kind(tmp_path, line, said):
    """Are refused where a TOML file has them."""
    (tmp_path / "a.toml").write_text(f'[nanobragg]\nflags = "{" ".join(ARGS)}"\n{line}\n')
    with pytest.raises(Exception, match=said):
        from_toml(tmp_path / "a.toml")

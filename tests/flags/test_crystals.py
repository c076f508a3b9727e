"""``--crystals``: tables with flags and weight."""

from __future__ import annotations

import re

import pytest

from nbdask.amplitudes.request import Request
from nbdask.errors import FlagError
from nbdask.flags import Own, from_toml, parse_args, to_args
from tests.amplitudes.support import pdb

ARGS = ["-cell", "70", "80", "90", "90", "90", "90", "-default_F", "10", "-N", "5"]


def parsed_of(tmp_path, text, argv=ARGS):
    """Return what is parsed with a file of crystals."""
    (tmp_path / "crystals.toml").write_text(text)
    return parse_args(argv, own=Own(crystals=str(tmp_path / "crystals.toml")))


def test_flags_of_each_follow_those_of_all(tmp_path):
    """The first crystal is that of the experiment; amplitudes are shared where they are equal."""
    (tmp_path / "se.pdb").write_text(pdb())
    parsed = parsed_of(
        tmp_path,
        '[[crystals]]\nweight = 0.5\nflags = "-misset 10 0 0"\n'
        '[[crystals]]\nflags = "-misset 0 20 0 -N 7"\n'
        f'[[crystals]]\nflags = "-cell 23 17 29 90 101 90"\n'
        f'amplitudes = {{model = "{tmp_path / "se.pdb"}", dmin = 4.0}}\n',
    )
    experiment = parsed.experiment
    assert experiment.weight == 0.5
    second, third = experiment.lattices
    assert (second.weight, second.structure) == (1.0, None)
    assert second.crystal.n_cells == (7, 7, 7)
    assert experiment.crystal.misset[0] == pytest.approx(0.1745, abs=1e-3)
    assert third.structure.format == "model"
    assert {str(tmp_path / "crystals.toml"), str(tmp_path / "se.pdb")} <= set(parsed.files)
    assert type(experiment).from_dict(experiment.to_dict()) == experiment
    with pytest.raises(FlagError, match="lattices: nanoBragg has one crystal"):
        to_args(experiment)


def test_own_amplitudes_replace_the_shared(tmp_path):
    """A model beside the command line's list, a list beside the command line's model."""
    (tmp_path / "se.pdb").write_text(pdb())
    (tmp_path / "P1.hkl").write_text("1 2 3 4\n")
    model, listed = str(tmp_path / "se.pdb"), str(tmp_path / "P1.hkl")
    cell = ["-cell", "23", "17", "29", "90", "101", "90", "-N", "5"]
    parsed = parsed_of(
        tmp_path,
        f'[[crystals]]\n[[crystals]]\namplitudes = {{model = "{model}", dmin = 4.0}}\n',
        ["-hkl", listed, *cell, "-hkl", listed, "-lambda", "1"],
    )
    assert parsed.experiment.structure.path == listed
    (other,) = parsed.experiment.lattices
    assert other.structure is not None
    assert other.structure.path == model
    assert other.crystal == parsed.experiment.crystal
    (tmp_path / "crystals.toml").write_text(
        f"[[crystals]]\n[[crystals]]\nflags = '-hkl {listed}'\n"
    )
    own = Own(crystals=str(tmp_path / "crystals.toml"))
    parsed = parse_args(cell, own=own, amplitudes=Request(model=model, dmin=4.0))
    assert parsed.experiment.structure.path == model
    structure = parsed.experiment.lattices[0].structure
    assert structure is not None
    assert structure.path == listed


def test_one_crystal_is_the_experiment_without(tmp_path):
    """Of weight 1."""
    parsed = parsed_of(tmp_path, "[[crystals]]\n")
    assert parsed.experiment == parse_args(ARGS).experiment


def test_toml_of_flags_may_name_a_file(tmp_path):
    """Beside the flags; or hold lattices in full."""
    parsed_of(tmp_path, '[[crystals]]\n[[crystals]]\nflags = "-misset 1 2 3"\n')
    run = tmp_path / "run.toml"
    run.write_text(f'[nanobragg]\nflags = "{" ".join(ARGS)}"\ncrystals = "crystals.toml"\n')
    experiment = from_toml(run)
    assert len(experiment.lattices) == 1
    (tmp_path / "P1.hkl").write_text("1 2 3 4\n")
    run.write_text(
        "[crystal]\ncell = [7e-9, 8e-9, 9e-9, 1.5, 1.5, 1.5]\n[structure]\ndefault_F = 1.0\n"
        "[[lattices]]\nweight = 0.5\ncrystal.cell = [7e-9, 8e-9, 9e-9, 1.5, 1.5, 1.5]\n"
        'structure.path = "P1.hkl"\n'
    )
    found = from_toml(run)
    structure = found.lattices[0].structure
    assert structure is not None
    assert structure.path == str(tmp_path / "P1.hkl")
    assert structure.sha256 is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be crystals, each a table [[crystals]]"),
        ("crystals = 3\n", "must be crystals, each a table [[crystals]]"),
        ("[[crystals]]\n[other]\n", "must be crystals, each a table [[crystals]]"),
        ("[[crystals]]\nname = 3\n", "crystal 1: must be a table with the keys flags, weight"),
        ("[[crystals]]\nweight = -1\n", "crystal 1: weight = -1: must be a number of at least 0"),
        ('[[crystals]]\nflags = "-floatfile a.bin"\n', "put -floatfile a.bin on the command"),
        ("[[crystals]]\n[[crystals]]\nflags = '-printout'\n", "crystal 2: its flags must be"),
        ('[[crystals]]\nflags = "-lambda 3"\n', "crystal 1: its flags must be those"),
        ("[[crystals]]\nweight = true\n", "crystal 1: weight = True: must be a number"),
        ("[[crystals]]\nflags = 3\n", "crystal 1: flags: must be nanoBragg's flags as one text"),
        ('[[crystals]]\nflags = "-N x"\n', "crystal 1: -N: n is 'x'"),
        (
            '[[crystals]]\n[[crystals]]\nflags = "-distance 200"\n',
            "crystal 2: its flags must be those of the crystal",
        ),
        ("[[crystals]]\namplitudes = {dmin = 2}\n", "crystal 1: --dmin: needs --model FILE"),
        ("[[crystals]]\namplitudes = {model = 3}\n", "crystal 1: amplitudes.model = 3"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    """In one line that names file and crystal."""
    with pytest.raises(FlagError, match=re.escape(said)) as caught:
        parsed_of(tmp_path, text)
    assert "\n" not in str(caught.value)

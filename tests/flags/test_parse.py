"""Words of a nanoBragg command line: spellings, matching, types."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbdask.errors import FlagError, InputError
from nbdask.flags import flags_page, from_args, help_text, parse_args
from nbdask.flags.apply import _SPECIAL
from nbdask.flags.convert import CONVERSIONS
from nbdask.flags.parse import parse
from nbdask.flags.row import KINDS, Flag
from nbdask.flags.table import BY_NAME, STEMS, TABLE


def argv_of(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


#: Every spelling that nanoBragg C documents or its argument loop names.
SPELLINGS = argv_of("""
-mat -matrix -mosaic -mosaici -mosaic_spr -mosaic_spread -mosaic_dom -mosaic_domains -detector_abs
-detector_absorb -lambda -wave -detpixels_f -detpixels_x -detpixels_s -detpixels_y -thicksteps
-detector_thicksteps -samplesize -sample_size -xtalsize -xtal_size -sample_thick -sample_x
-xtal_thick -xtal_x -sample_width -sample_y -width -xtal_width -xtal_y -sample_height -sample_z
-height -xtal_height -xtal_z -floatfile -floatimage -intfile -intimage -pgmfile -pgmimage
-noisefile -noiseimage -binary_spots -tophat_spots -pix0_vector -pix0_vector_mm -dump -dumpfile
-img -mask -hkl -cell -misset -Na -Nb -Nc -N -density -MW -Xbeam -Ybeam -Xclose -Yclose -ORGX -ORGY
-pivot -mosflm -xds -adxv -denzo -dials -fdet_vector -sdet_vector -odet_vector -beam_vector
-polar_vector -spindle_axis -twotheta_axis -distance -close_distance -detector_thick -twotheta
-detector_rotx -detector_roty -detector_rotz -detsize -detsize_f -detsize_s -detpixels -curved_det
-pixel -point_pixel -polar -nopolar -oversample -oversample_thick -oversample_polar
-oversample_omega -roi -energy -fluence -flux -exposure -beamsize -dispersion -dispsteps
-divergence -hdivrange -vdivrange -hdivstep -vdivstep -hdivsteps -vdivsteps -divsteps -round_div
-square_div -adc -phi -osc -phistep -phisteps -dmin -default_F -stol -4stol -Q -stolout -sourcefile
-nonoise -nopgm -scale -pgmscale -coherent -printout -printout_pixel -progress -noprogress
-interpolate -nointerpolate -round_xtal -square_xtal -gauss_xtal -fudge -seed -mosaic_seed
-misset_seed -water
""")

#: Flags that nanoBragg matches by equality or by length.
EXACT = argv_of("""
-N -polar -phi -phistep -detsize -detpixels -hdivstep -vdivstep -detector_thick -stol -4stol -Q
""")

BASE = ["-cell", "70", "-default_F", "1"]


def sample(flag: Flag) -> list[str]:
    """Return words that the flag accepts as its values."""
    special = {
        "-pivot": ["sample"],
        "-roi": ["0", "3", "0", "3"],
        "-cell": ["70", "80", "90", "75", "85", "95"],
        "-detector_abs": ["300"],
        "-misset": ["10", "20", "30"],
        "-polar": ["0.5"],
    }
    if flag.name in special:
        return special[flag.name]
    if flag.kind == "file":
        return ["name"]
    return ["2"] * len(flag.values)


@pytest.mark.parametrize("word", SPELLINGS)
def test_spelling_is_accepted_without_remark(word: str) -> None:
    """Each spelling parses to a flag of the table, with its values and not as an extension."""
    (given,) = parse([word, *sample(BY_NAME[word])])
    assert word in given.flag.names
    assert not given.extended
    assert len(given.values) == len(sample(given.flag))


def test_spellings_and_table_are_the_same_set() -> None:
    """The table holds no spelling beyond those above and the two of unused values."""
    assert set(BY_NAME) == {*SPELLINGS, "-sample_den", "-molec"}
    assert len(SPELLINGS) == len(set(SPELLINGS))


@pytest.mark.parametrize("flag", TABLE, ids=lambda flag: flag.name)
def test_every_row_is_reachable_and_complete(flag: Flag) -> None:
    """Each name and stem leads to its own row, and the row says what it does."""
    assert all(BY_NAME[name] is flag for name in flag.names)
    for stem in flag.stems:
        (given,) = parse([stem + "zzz", *sample(flag)])
        assert given.flag is flag
        assert given.extended
    assert flag.help
    assert flag.group
    assert flag.kind in KINDS
    assert flag.convert in CONVERSIONS
    assert flag.special in {"", *_SPECIAL}
    assert flag.targets or flag.sets or flag.unused
    assert bool(flag.default) <= bool(flag.values or flag.sets)


SETTING = [flag for flag in TABLE if flag.kind != "file"]


@pytest.mark.parametrize("flag", SETTING, ids=lambda flag: flag.name)
def test_every_row_assembles(flag: Flag) -> None:
    """Each flag, after a crystal and an amplitude, gives an experiment."""
    parsed = parse_args([*BASE, flag.name, *sample(flag), "-nopgm"])
    assert parsed.experiment.crystal.cell is not None


@pytest.mark.parametrize("word", EXACT)
def test_exact_flags_do_not_take_longer_spellings(word: str) -> None:
    """A longer word is another flag or none at all."""
    assert BY_NAME[word].match == "exact"
    longer = word + "zzz"
    if any(longer.startswith(stem) for stem, _ in STEMS):
        (given,) = parse([longer, *sample(BY_NAME[word])])
        assert given.flag is not BY_NAME[word]
    else:
        with pytest.raises(FlagError, match=f"unknown flag {longer}"):
            parse([longer, *sample(BY_NAME[word])])


def test_mosaic_matches_by_length_but_its_longer_stems_extend() -> None:
    """-mosaic_foo is unknown, -mosaicity and -mosaic_spreads are -mosaic."""
    assert [parse([w, "1"])[0].flag.name for w in ("-mosaicity", "-mosaic_spreads")] == [
        "-mosaic",
        "-mosaic",
    ]
    with pytest.raises(FlagError, match="unknown flag -mosaic_foo"):
        parse(["-mosaic_foo", "1"])


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("-wavelength", "-lambda"),
        ("-pixel_size", "-pixel"),
        ("-osc_range", "-osc"),
        ("-sample_density", "-density"),
        ("-molecular_weight", "-MW"),
        ("-twotheta_axis_mm", "-twotheta_axis"),
        ("-oversample_thickness", "-oversample_thick"),
        ("-printout_pixels", "-printout_pixel"),
        ("-pgmscale2", "-pgmscale"),
    ],
)
def test_longest_stem_wins_and_is_said(word: str, name: str) -> None:
    """An extended word is taken as the flag with the longest fitting stem, with a note."""
    parsed = parse_args([*BASE, word, *sample(BY_NAME[name])])
    assert f"{word} is taken as {name}, as nanoBragg does" in parsed.notes
    lengths = [len(stem) for stem, _ in STEMS]
    assert lengths == sorted(lengths, reverse=True)


def test_cell_takes_one_to_six_numbers() -> None:
    """The list ends at a dash; a stray seventh number is refused."""
    assert parse(["-cell", "70", "-N", "5"])[0].values == (70.0,)
    assert parse(["-cell", "70", "80", "90", "-N", "5"])[0].values == (70.0, 80.0, 90.0)
    assert len(parse(["-cell", "70", "80", "90", "75", "85", "95"])[0].values) == 6
    with pytest.raises(FlagError, match="stray argument '7' after -cell 1 2 3 4 5 6"):
        parse(["-cell", "1", "2", "3", "4", "5", "6", "7"])


def test_negative_and_signed_numbers_are_values() -> None:
    """A minus sign before digits makes a number, not a flag."""
    given = parse(["-misset", "-1", "-.5", "-2e1", "-phi", "+3", "-seed", "-7", "-N", "5."])
    assert [item.values for item in given] == [(-1.0, -0.5, -20.0), (3.0,), (-7,), (5,)]


MALFORMED = [
    ("-N 5 a.pdb", "stray argument 'a.pdb': --model a.pdb --dmin D computes amplitudes"),
    ("d/a.mtz", "stray argument 'd/a.mtz': --reflections a.mtz takes amplitudes from it"),
    ("-N 5 a.cif", "--dmin D computes amplitudes of its atoms, --reflections a.cif reads its"),
    ("-N 5 a.expt", "stray argument 'a.expt': --geometry a.expt takes its detector"),
    ("cell 70", "stray argument 'cell' at the start: must be a flag"),
    ("-cell 70 -hdiv 1", "unknown flag -hdiv: did you mean -hdivstep"),
    ("-lamda 1", "unknown flag -lamda: did you mean -lambda"),
    ("-LAMBDA 1", "unknown flag -LAMBDA: did you mean -lambda"),
    ("-xyzzy", "unknown flag -xyzzy"),
    ("--hkl a.hkl", "unknown flag --hkl: did you mean -hkl"),
    ("-dispstep 3", "unknown flag -dispstep: did you mean -dispsteps"),
    ("-nopgm yes", "stray argument 'yes' after -nopgm: -nopgm is used as '-nopgm'"),
    ("-lambda 1 2", "stray argument '2' after -lambda 1: -lambda is used as '-lambda wavelength'"),
    ("-cell 70 80 90 -90", "stray argument '-90' after -cell 70 80 90"),
    ("-lambda", "-lambda: value missing at the end: must be -lambda wavelength (Angstrom)"),
    ("-lambda -N 5", "-lambda: value missing before '-N'"),
    ("-misset 10 20 -N 5", "-misset 10 20: value missing before '-N'"),
    ("-roi 1 2 3", "-roi 1 2 3: value missing at the end: must be -roi xmin xmax ymin ymax"),
    ("-cell -N 5", "-cell: value missing before '-N'"),
    ("-hkl -nopgm", "-hkl: value missing before '-nopgm'"),
    ("-distance far", "-distance: value is 'far': must be a finite number (mm)"),
    ("-distance nan", "-distance: value is 'nan': must be a finite number"),
    ("-distance -inf", "-distance: value is '-inf': must be a finite number"),
    ("-detector_thick inf", "-detector_thick: thickness is 'inf': must be a finite number (um)"),
    ("-detector_abs thin", "-detector_abs: depth is 'thin': must be a finite number (um)"),
    ("-N 5.5", "-N: n is '5.5': must be a whole number"),
    ("-N 1e3", "-N: n is '1e3': must be a whole number"),
    ("-seed 99999999999", "-seed: seed is 99999999999: must be at most"),
    ("-cell 70 wide", "-cell: b is 'wide': must be a finite number (Angstrom, degrees)"),
    ("-misset some", "-misset some: value missing at the end"),
]


@pytest.mark.parametrize(("argv", "fragment"), MALFORMED)
def test_malformed_arguments(argv: str, fragment: str) -> None:
    """Unknown, stray, missing and mistyped words are refused in one line."""
    with pytest.raises(FlagError) as caught:
        parse_args(argv.split())
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, InputError)


def test_unknown_arguments_are_told_together() -> None:
    """In one line, with those that nanoBragg ignores; it finds a flag inside other arguments."""
    with pytest.raises(FlagError) as caught:
        parse(argv_of("-lambda 1 2 -hdiv 0 -N 5 -frob -5 x -my-lambda 3 -hdiv 0"))
    text = str(caught.value)
    assert text.startswith(
        "stray argument '2' after -lambda 1: -lambda is used as '-lambda wavelength'"
    )
    assert text.count("unknown flag -hdiv: did you mean -hdivstep") == 1
    assert "? unknown flag -frob: nbdask flags lists all flags; unknown flag -my-lambda" in text
    assert text.endswith(
        "nanoBragg ignores 2, -hdiv 0, -frob -5 x: leave them out for the same image, or give"
        " --ignore-unknown"
    )


def test_arguments_that_c_ignores_can_be_left_out() -> None:
    """Those of nanoBragg's own examples; not one in which it finds a flag."""
    argv = argv_of(
        "-lambda 1 -dispersion 0 -hdiv 0 -vdiv 0 -dispstep 3 -N 1 stray -curved_det -foo"
    )
    parsed = parse_args([*BASE, *argv], ignore_unknown=True)
    kept = [*BASE, "-lambda", "1", "-dispersion", "0", "-N", "1", "-curved_det", "-nopgm"]
    assert parsed.experiment == from_args(kept) == from_args([*BASE, *argv], ignore_unknown=True)
    assert parsed.experiment.detector.curved
    said = [note.split(":")[0] for note in parsed.notes if "ignored, as nanoBragg does" in note]
    assert said == ["-hdiv 0", "-vdiv 0", "-dispstep 3", "stray", "-foo"]
    with pytest.raises(FlagError, match=r"unknown flag -my-lambda: did you mean -lambda\?$"):
        parse(["-my-lambda", "3"], ignore_unknown=True)


@pytest.mark.parametrize(("argv", "cells"), [("-N 0", (1, 1, 1)), ("-N 5 -Nb -3", (5, 1, 5))])
def test_fewer_than_one_cell_is_one(argv: str, cells: tuple[int, ...]) -> None:
    """As in nanoBragg, with a note."""
    parsed = parse_args([*BASE, *argv.split()])
    assert parsed.experiment.crystal.n_cells == cells
    assert any("taken as 1, as nanoBragg does" in note for note in parsed.notes)


def test_committed_page_is_the_generated_one() -> None:
    """docs/flags.md follows from the table."""
    page = Path(__file__).parents[2] / "docs" / "flags.md"
    assert page.read_text(encoding="utf-8") == flags_page()


def test_help_text_names_every_flag_within_the_width() -> None:
    """All spellings are in the help text, whose lines stay below 97 columns."""
    text = help_text()
    names = set(text.replace(",", " ").replace("(", " ").replace(")", " ").split())
    assert set(BY_NAME) <= names
    assert max(len(line) for line in text.splitlines()) <= 96


@pytest.mark.parametrize(("word", "meant"), [("-λ", "-lambda"), ("-φ", "-phi")])
def test_greek_letters_get_a_suggestion(word: str, meant: str) -> None:
    """By their names."""
    with pytest.raises(FlagError, match=f"did you mean .*{meant}"):
        parse([word, "1"])


@pytest.mark.parametrize("argv", [["-lambda", "١"], ["-phisteps", "٣"], ["-lambda", "１"]])
def test_numbers_are_written_in_ascii_digits(argv: list[str]) -> None:
    """As nanoBragg reads them."""
    with pytest.raises(FlagError, match="must be a"):
        parse(argv)

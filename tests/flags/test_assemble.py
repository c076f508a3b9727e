"""Flags -> experiment: units, precedence, notes, refusals in the user's words."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

import nbdask
from nbdask import units
from nbdask.errors import FieldError, FlagError, InputError
from nbdask.experiment import Experiment
from nbdask.flags import Parsed, from_args, parse_args
from tests.amplitudes.support import pdb, write

BASE = "-cell 70 80 90 75 85 95 -default_F 100 -detpixels 128 "


def run(flags: str, **options: Any) -> Parsed:
    """Parse ``BASE`` and further words."""
    return parse_args((BASE + flags).split(), **options)


def field(parsed: Parsed, name: str) -> Any:
    """Return a dotted field of the experiment or of the outputs."""
    value: Any = parsed if name.startswith("outputs") else parsed.experiment
    for part in name.split("."):
        value = getattr(value, part)
    return value


def noted(parsed: Parsed, fragment: str) -> bool:
    """Return whether a note holds ``fragment``."""
    return any(fragment in note for note in parsed.notes)


VALUES = [
    ("", "beam.wavelength", 1e-10),
    ("-lambda 0.9768", "beam.wavelength", 0.9768 / 1e10),
    ("-energy 12398.42", "beam.wavelength", 1e-10),
    ("-energy 9000 -lambda 2", "beam.wavelength", 2e-10),
    ("-lambda 2 -energy 12398.42", "beam.wavelength", 1e-10),
    ("-distance 231.27466", "detector.distance", 231.27466 / 1000),
    ("-pixel 0.172", "detector.pixel_size", 0.172 / 1000),
    ("-detector_rotx 4", "detector.rotx", units.from_degrees(4)),
    ("-Xbeam 217.742295", "detector.beam_x", 217.742295 / 1000),
    ("-ORGX 50.5", "detector.org_x", 50.5),
    ("-detpixels 64 -detpixels_x 30", "detector.pixels_fast", 30),
    ("-detpixels_x 30 -detpixels 64", "detector.pixels_fast", 64),
    ("-detpixels_y 30", "detector.n_slow", 30),
    ("-detpixels 0 -detsize 9.6", "detector.n_slow", 96),
    ("-detpixels 0 -detsize 9.6 -detsize_s 14.2", "detector.n_slow", 142),
    ("-cell 50", "crystal.cell", None),
    ("-misset 15 20.5 30.25", "crystal.misset", tuple(map(units.from_degrees, (15, 20.5, 30.25)))),
    ("-N 5 -Nb 7", "crystal.n_cells", (5, 7, 5)),
    ("-Nb 7 -N 5", "crystal.n_cells", (5, 5, 5)),
    ("-Nc 3", "crystal.n_cells", (1, 1, 3)),
    ("-samplesize 0.06 -xtal_y 0.03", "crystal.size", (0.06 / 1000, 0.03 / 1000, 0.06 / 1000)),
    ("-height 0.5", "crystal.size", (0.0, 0.0, 5e-4)),
    ("-tophat_spots", "crystal.shape", "tophat"),
    ("-gauss_xtal -square_xtal", "crystal.shape", "square"),
    ("-mosaic 0.5", "crystal.mosaic_spread", units.from_degrees(0.5)),
    ("-mosaic 0", "crystal.mosaic_spread", 0.0),
    ("-mosaic -1", "crystal.mosaic_spread", None),
    ("-mosaic_dom 0", "crystal.mosaic_domains", None),
    ("-mosaic_seed -5", "crystal.mosaic_seed", -5),
    ("-phi -0.4", "scan.phi0", units.from_degrees(-0.4)),
    ("-osc -1", "scan.osc", None),
    ("-osc 0", "scan.osc", 0.0),
    ("-phistep -0.2", "scan.step", None),
    ("-phisteps 0", "scan.count", 1),
    ("-phisteps -2", "scan.count", None),
    ("-hdivrange 4", "sources.horizontal.range", 0.004),
    ("-divergence 2 -hdivrange 4", "sources.vertical.range", 0.002),
    ("-vdivstep 0.7", "sources.vertical.step", 0.7 / 1000),
    ("-divsteps 3 -vdivsteps 5", "sources.vertical.count", 5),
    ("-divsteps -3", "sources.horizontal.count", None),
    ("-dispersion 3", "sources.dispersion.range", 0.03),
    ("-dispsteps 6", "sources.dispersion.range", None),
    ("-dispersion -3 -dispsteps 4", "sources.dispersion.range", 1.0),
    ("-dispersion -3 -dispsteps 4", "sources.dispersion.step", 0.25),
    ("-dispersion -3", "sources.dispersion.range", None),
    ("-square_div", "sources.round", False),
    ("-square_div -round_div", "sources.round", True),
    ("-polar 0.9", "beam.polarization", 0.9),
    ("-nopolar", "beam.polarized", False),
    ("-nopolar -polar 0.9", "beam.polarized", True),
    ("-polar 0.9 -nopolar", "beam.polarized", False),
    ("-beamsize 0.043", "beam.beamsize", 0.043 / 1000),
    ("-water 5", "background.water", 5 / 1e6),
    ("-oversample 3", "sampling.oversample", 3),
    ("-oversample 0", "sampling.oversample", None),
    ("-oversample_omega", "sampling.oversample_omega", True),
    ("-interpolate -nointerpolate", "sampling.interpolate", False),
    ("-dmin 14", "sampling.dmin", 14 * 1e-10),
    ("-roi 20 90 33 101", "sampling.roi", (33, 101, 20, 90)),
    ("-roi -1 90 33 -1", "sampling.roi", (33, 127, 0, 90)),
    ("-roi 20 900 33 101", "sampling.roi", (33, 101, 20, 900)),
    ("-detector_thick 450", "detector.thickness", 450 * 1e-6),
    ("-detector_abs 300", "detector.attenuation", 1.0 / (300 * 1e-6)),
    ("-detector_thick 450 -detector_abs inf", "detector.thickness", 0.0),
    ("-detector_thick 450 -detector_abs 0", "detector.attenuation", 0.0),
    ("-detector_abs inf -detector_thick 450", "detector.thickness", 450 * 1e-6),
    ("-detector_abs inf -detector_thick 450", "detector.attenuation", 0.0),
    ("-thicksteps 5 -detector_thicksteps 7", "detector.thick_steps", 7),
    ("-thicksteps 0", "detector.thick_steps", None),
    ("-curved_det -nopgm", "detector.curved", True),
    ("-curved_det", "detector.curved", False),
    ("-point_pixel", "detector.point_pixel", True),
    ("-close_distance 97", "detector.close_distance", 0.097),
    ("-twotheta 12", "detector.twotheta", units.from_degrees(12)),
    ("-twotheta_axis 3 0 -1", "detector.twotheta", units.from_degrees(3)),
    ("-twotheta_axis 3 0 -1 -twotheta 10", "detector.twotheta", units.from_degrees(10)),
    ("-twotheta 10 -twotheta_axis 0 1 0", "detector.twotheta", 0.0),
    ("-xds", "frame.convention", "XDS"),
    ("-xds -mosflm", "frame.convention", "MOSFLM"),
    ("-xds -fdet_vector 1 0 0", "frame.convention", "CUSTOM"),
    ("-spindle_axis 0 1 0", "frame.spindle", (0.0, 1.0, 0.0)),
    ("-pix0_vector 1 2 3", "frame.convention", "CUSTOM"),
    ("-pix0_vector 1 2 3", "detector.pix0", None),
    ("-seed 7", "outputs.seed", 7),
    ("-adc 10 -scale 2 -pgmscale 3", "outputs.pgmscale", 3.0),
    ("-nopgm", "outputs.nopgm", True),
    ("-nopgm -pgmfile a.pgm", "outputs.nopgm", False),
    ("-nonoise -noisefile n.img", "outputs.nonoise", False),
    ("-noisefile n.img -nonoise", "outputs.nonoise", True),
    ("-floatimage f.bin", "outputs.floatfile", "f.bin"),
    ("-intfile -nopgm", "outputs.intfile", "error"),
    ("-printout_pixel 3 4", "outputs.printout_pixel", (3, 4)),
    ("-printout_pixel 3 4", "outputs.printout", True),
    ("-noprogress", "outputs.progress", False),
    ("-stolout x.stol", "outputs.stolout", "x.stol"),
]


@pytest.mark.parametrize(("flags", "name", "expected"), VALUES)
def test_value_in_si(flags: str, name: str, expected: object) -> None:
    """Each flag's value arrives in its field, converted as C converts it, the last one counting."""
    if expected == "error":
        with pytest.raises(FlagError, match="value missing"):
            run(flags)
    elif flags == "-cell 50":
        # C keeps what an earlier -cell gave beyond the new numbers.
        assert field(run(flags), name)[:3] == (50 / 1e10, 80 / 1e10, 90 / 1e10)
    else:
        assert field(run(flags), name) == expected


def test_short_cells() -> None:
    """Missing b and c are a, missing angles 90 degrees; zeros count as missing."""
    right = math.pi / 2
    a = 70 / 1e10
    for flags in ("-cell 70", "-cell 70 0 0 0 0 0", "-cell 70 70 70 90 90 90"):
        cell = parse_args([*flags.split(), "-default_F", "1"]).experiment.crystal.cell
        assert cell == (a, a, a, right, right, right)
    cell = parse_args(["-cell", "70", "80", "-N", "5", "-default_F", "1"]).experiment.crystal.cell
    assert cell == (a, 80 / 1e10, a, right, right, right)


@pytest.mark.parametrize(
    ("flags", "pivot"),
    [
        ("", None),
        ("-xds -Xbeam 5 -twotheta 3", None),
        ("-mosflm -pivot sample -distance 90", "sample"),
        ("-pivot sample -pivot beam -twotheta 5", "beam"),
        ("-fdet_vector 0 0 1", "beam"),
        ("-fdet_vector 0 0 1 -twotheta 5", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 5 -distance 90", "beam"),
        ("-distance 90 -twotheta_axis 0 1 0", "sample"),
        ("-distance 90 -fdet_vector 0 0 1 -ORGX 5", "sample"),
        ("-xds -fdet_vector 0 0 1", "sample"),
        ("-dials -fdet_vector 0 0 1", "beam"),
        ("-fdet_vector 0 0 1 -pivot sample", "sample"),
        ("-fdet_vector 0 0 1 -pivot sample -Ybeam 3", "beam"),
        ("-fdet_vector 0 0 1 -pivot beam -close_distance 90", "sample"),
        ("-fdet_vector 0 0 1 -Xbeam 1 -Yclose 90", "sample"),
    ],
)
def test_pivot(flags: str, pivot: str | None) -> None:
    """For CUSTOM the last flag that sets it counts; a named convention holds -pivot only."""
    assert run(flags).experiment.detector.pivot == pivot


def test_convention_after_vectors_drops_them() -> None:
    """-mosflm after vectors selects MOSFLM again; vectors after it select CUSTOM with all."""
    parsed = run("-fdet_vector 1 0 0 -mosflm")
    assert parsed.experiment.frame.fast is None
    assert noted(parsed, "-fdet_vector 1 0 0: has no effect, since -mosflm comes later")
    frame = run("-fdet_vector 1 0 0 -mosflm -sdet_vector 0 1 0").experiment.frame
    assert (frame.convention, frame.fast, frame.slow) == ("CUSTOM", (1, 0, 0), (0, 1, 0))


NOTES = [
    ("-pix0_vector 0 0 1", "only selects the CUSTOM convention, its numbers are ignored"),
    ("-pix0_vector_mm 0 0 1", "--pix0-vector-mm x y z places the detector"),
    ("-twotheta_axis 3 0 -1", "also swings the detector by its first number, 3 degrees"),
    ("-curved_det", "-curved_det: ignored as the last argument"),
    ("-osc -1", "-osc -1: counts as not given"),
    ("-dispsteps 3", "-dispsteps 3: has no effect without -dispersion"),
    ("-dispersion -1 -dispsteps 3", "nanoBragg takes a width of 100 percent"),
    ("-detector_abs inf -detector_thick 450", "a sensor that absorbs nothing gives an empty"),
    ("-coherent", "-coherent: nanoBragg reads this and never uses it"),
    ("-stol air.stol", "-stol air.stol: nanoBragg reads this and never uses it"),
    ("-MW 100", "-MW 100: nanoBragg reads this and never uses it"),
    ("-density 1.2", "never uses it"),
    ("-misset_seed 5 -N 5 -Na 3", "-misset_seed 5: read as a seed only; nanoBragg also reads it"),
    ("-misset_seed 5", "-misset_seed 5: has no effect without -misset random"),
    ("-roi -1 20 0 20", "negative numbers mean the edge of the detector"),
    ("-detsize 50", "-detsize 50: has no effect along fast, -detpixels 128 prevails"),
    ("-distance 90 -close_distance 80", "-distance 90: has no effect, -close_distance 80 prevails"),
    ("-fluence 1e20 -flux 1e12", "-fluence 1e20: has no effect, -flux 1e12 with exposure"),
    ("-xds -Xbeam 5", "-Xbeam 5: has no effect under the XDS convention with pivot sample"),
    ("-ORGX 5", "-ORGX 5: has no effect under the MOSFLM convention with pivot beam"),
    ("-pivot sample", "-pivot sample: honoured; nanoBragg C overrides it"),
    ("-detector_thicksteps -1", "-detector_thicksteps -1: counts as not given"),
    ("-wavelength 1", "-wavelength is taken as -lambda"),
]


@pytest.mark.parametrize(("flags", "fragment"), NOTES)
def test_note(flags: str, fragment: str) -> None:
    """Whatever has no effect, or another one than expected, is said."""
    assert noted(run(flags), fragment)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "-twotheta_axis 0 0 -1",
        "-twotheta_axis 3 0 -1 -twotheta 0",
        "-misset_seed 5 -N 5 -misset random",
        "-N 5 -misset random -misset_seed 5",
        "-xds -ORGX 5 -ORGY 6",
        "-fdet_vector 0 0 1 -Xbeam 1",
        "-pivot beam",
        "-nopgm -nonoise -scale 1 -intfile a.img",
    ],
)
def test_nothing_to_note(flags: str) -> None:
    """Flags that do what they seem to do give no note."""
    assert run(flags).notes == ()


def test_pivot_note_under_c() -> None:
    """Under semantics c the note says that the convention prevails."""
    parsed = run("-pivot sample", semantics="c")
    assert noted(parsed, "-pivot sample: overridden by the MOSFLM convention (beam), as in C")
    assert parsed.experiment.semantics == "c"


def test_random_misset_seeds() -> None:
    """A given seed is kept; without one the clock's is recorded and named."""
    crystal = run("-misset_seed 12345 -misset random").experiment.crystal
    assert (crystal.misset, crystal.misset_seed) == ("random", 12345)
    parsed = run("-seed 3 -misset rand")
    seed = parsed.experiment.crystal.misset_seed
    assert seed is not None
    assert seed > 3
    assert noted(parsed, f"-misset random: the clock gave the seed {seed}")
    last = run("-misset random -misset 1 2 3 -nopgm").experiment.crystal
    assert last.misset == tuple(map(units.from_degrees, (1, 2, 3)))


def test_pix0_keyword_places_the_detector() -> None:
    """pix0 arrives in metres and leaves the convention alone."""
    experiment = run("", pix0=(-0.0065, 0.0064, 0.1)).experiment
    assert experiment.detector.pix0 == (-0.0065, 0.0064, 0.1)
    assert experiment.frame.convention == "MOSFLM"


REFUSED = [
    ("-distance 0", "-distance 0: must be a number that is not 0"),
    ("-lambda -1", "-lambda -1: must be a number above 0"),
    ("-energy 0", "-energy 0: must be a number above 0 (eV)"),
    ("-energy -5", "-energy -5: must be a number above 0"),
    ("-pixel 0", "-pixel 0: must be a number above 0"),
    ("-detpixels -4", "-detpixels -4: must be a whole number of at least 1"),
    ("-detpixels 0 -detsize_f -9", "-detsize_f -9: must be a number above 0"),
    ("-detpixels 0 -pixel 500", "-detsize (not given): must be 1 to"),
    ("-cell 70 80 90 20 30 80", "-cell 70 80 90 20 30 80: must be a possible cell"),
    ("-cell 70 80 90 90 90 190", "90 190: must be three lengths above 0 and three angles"),
    ("-polar 2", "-polar 2: must be between -1 and 1"),
    ("-fluence -1", "-fluence -1: must be a number of at least 0"),
    ("-flux 1e12 -beamsize 0", "-beamsize 0: must be above 0 when a flux is given"),
    ("-fdet_vector 0 0 0", "-fdet_vector 0 0 0: must be three numbers that are not all 0"),
    ("-pivot middle", "-pivot middle: must be beam or sample"),
    ("-dmin -3", "-dmin -3: must be a number of at least 0"),
    ("-oversample 5000", "-oversample 5000: must be a whole number of at least 1 and at most 1000"),
    ("-detector_abs -3", "-detector_abs -3: must be a depth above 0 (um), or inf"),
    ("-detector_thick -3", "-detector_thick -3: must be a number of at least 0"),
    ("-fudge -1", "-fudge -1: must be a number of at least 0"),
    ("-water -3", "-water -3: must be a number of at least 0"),
    ("-roi 90 20 0 5", "-roi 90 20 0 5: xmin xmax is 90 20: must be two pixels in ascending order"),
    ("-roi 0 5 128 130", "ymin ymax is 128 130: must be two pixels in ascending order, the first"),
    ("-mat absent.mat", "absent.mat: no such file or directory"),
    ("-hkl absent.hkl", "absent.hkl: no such file or directory"),
    ("-dump absent.bin", "absent.bin: no such file or directory"),
    ("-mask absent.img", "absent.img: no such file or directory"),
    ("-img absent.img", "absent.img: no such file or directory"),
    ("-sourcefile absent.txt", "absent.txt: no such file or directory"),
]


@pytest.mark.parametrize(("flags", "fragment"), REFUSED)
def test_refused_values(tmp_path: Path, flags: str, fragment: str) -> None:
    """A value that cannot be simulated is refused with the flag and in the user's units."""
    with pytest.raises(InputError) as caught:
        run(flags, base_dir=tmp_path)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_refused_keywords() -> None:
    """Keyword arguments are refused by their own names."""
    with pytest.raises(FieldError, match="semantics = 'strict': must be one of spec, c"):
        run("", semantics="strict")
    with pytest.raises(FieldError, match="source_weights = 'yes': must be one of ignore, apply"):
        run("", source_weights="yes")
    with pytest.raises(FlagError, match="--pix0-vector-mm: must be 3 finite numbers"):
        run("", pix0=(1.0, 2.0))


def test_no_crystal_and_no_structure_factors(tmp_path: Path) -> None:
    """Each lack is one line that says what to give; Fdump.bin is not picked up unasked."""
    (tmp_path / "Fdump.bin").write_bytes(b"0 0 0 0 0 0\n\f" + bytes(64))
    with pytest.raises(
        FlagError,
        match=r"no structure factors: give --model FILE .*Fdump\.bin is never read unasked",
    ):
        parse_args(["-cell", "70"], base_dir=tmp_path)
    with pytest.raises(FlagError, match="no structure factors"):
        parse_args(["-cell", "70", "-default_F", "0"])
    with pytest.raises(FlagError, match="no crystal: give -cell a b c alpha beta gamma, or -mat"):
        parse_args(["-default_F", "1"])
    with pytest.raises(FlagError, match="no structure factors"):
        parse_args([])
    parsed = parse_args(["-cell", "70", "-default_F", "1"], base_dir=tmp_path)
    assert noted(parsed, "not read, unlike in nanoBragg")
    assert parsed.files == ()


def test_from_args_equals_keywords() -> None:
    """An argument list and keyword arguments give equal experiments and fingerprints."""
    from nbdask.experiment import Crystal, Detector, StructureFactors

    cell = (*(x / 1e10 for x in (70, 80, 90)), *map(units.from_degrees, (75, 85, 95)))
    built = Experiment(
        crystal=Crystal(cell=cell),
        structure=StructureFactors(default_F=100.0),
        detector=Detector(pixels_fast=128, pixels_slow=128),
    )
    read = from_args(BASE.split())
    assert read == built
    assert read.fingerprint() == built.fingerprint()


def test_from_args_takes_no_single_text() -> None:
    """Its letters would be read as arguments."""
    with pytest.raises(
        FlagError, match=r"must be a list of arguments, such as text.split\(\) gives"
    ):
        from_args("-lambda 1")


def test_outputs_have_a_flag_for_every_field() -> None:
    """Every field of Outputs is set by some flag of the table."""
    from nbdask.flags import Outputs
    from nbdask.flags.table import TABLE

    targets = {t for flag in TABLE for t in (*flag.targets, *(name for name, _ in flag.sets))}
    names = {item.name for item in dataclasses.fields(Outputs)}
    assert {f"outputs.{name}" for name in names - {"dumpfile"}} <= targets
    assert "files.dump" in targets


@pytest.mark.parametrize(
    ("option", "python", "table"),
    [
        ("--model", "amplitudes=nbdask.amplitudes.request.Request(model=...)", "[nanobragg.amplit"),
        ("--dmin=2", "amplitudes=nbdask.amplitudes.request.Request(dmin=...)", "[nanobragg.amplit"),
        ("--spectrum", "own=nbdask.flags.Own(spectrum=...)", "spectrum of [nanobragg]"),
        ("--geometry", "geometry=...", "geometry of [nanobragg]"),
        ("--geometry-use", "GeometryRequest(path, use=...)", "geometry_use of [nanobragg]"),
        ("--distance-shift", "GeometryRequest(path, distance_shift=...)", "of [nanobragg]"),
        ("--pix0-vector-mm", "pix0=... [m]", "pix0 of [nanobragg]"),
    ],
)
def test_own_options_are_no_flags(option: str, python: str, table: str) -> None:
    """Python's keyword and the key of TOML files are named; none is advised to leave them out."""
    with pytest.raises(FlagError) as caught:
        nbdask.from_args(["-cell", "70", "-default_F", "1", option, "1"])
    said = str(caught.value)
    assert f"{option.partition('=')[0]} is an option of nbdask simulate: in Python" in said
    assert python in said
    assert table in said
    assert "same image" not in said


def test_own_options_may_be_passed_over() -> None:
    """S-FLAG-26: as all that C ignores, where that is asked for."""
    argv = ["-cell", "70", "-default_F", "1", "--model", "a.pdb"]
    assert nbdask.from_args(argv, ignore_unknown=True) == nbdask.from_args(argv[:4])


def test_the_way_of_an_own_option_works(tmp_path: Path) -> None:
    """As the message has it."""
    model = write(tmp_path / "m.pdb", pdb())
    asked = nbdask.amplitudes.request.Request(model=str(model), dmin=3.0)
    found = nbdask.flags.parse_args(["-N", "5"], amplitudes=asked).experiment
    assert found.crystal.cell is not None
    assert found.crystal.cell[0] == pytest.approx(23e-10)

"""specs/flags.md, specs/headers.md."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.errors import FlagError, InputError
from nbdask.experiment import Detector, Experiment, LabFrame
from nbdask.flags import from_toml, parse_args, to_toml

BASE = "-cell 70 80 90 75 85 95 -default_F 100"


def experiment(flags: str) -> Experiment:
    """Return the experiment of some flags behind a cell and a default_F."""
    return parse_args([*BASE.split(), *flags.split()]).experiment


def notes(flags: str) -> str:
    """Return all notes of some flags, as one text."""
    return "\n".join(parse_args([*BASE.split(), *flags.split()]).notes)


def field(exp: Experiment, name: str) -> object:
    """Return a field by its dotted name."""
    value: object = exp
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("flag", "same"),
    [
        ("-matrix", "-mat"),
        ("-wavelength", "-lambda"),
        ("-wave", "-lambda"),
        ("-mosaicity", "-mosaic"),
        ("-mosaic_spread", "-mosaic"),
        ("-mosaic_domains", "-mosaic_dom"),
        ("-detector_absorb", "-detector_abs"),
        ("-detpixels_x", "-detpixels_f"),
        ("-detector_thicksteps", "-thicksteps"),
        ("-xtal_size", "-samplesize"),
        ("-xtal_y", "-sample_y"),
        ("-width", "-sample_y"),
        ("-binary_spots", "-tophat_spots"),
        ("-floatimage", "-floatfile"),
    ],
)
def test_aliases(flag: str, same: str, tmp_path: Path) -> None:
    """Both spellings give the same experiment and outputs."""
    (tmp_path / "A.mat").write_text("0.01 0 0 0 0.01 0 0 0 0.01")
    value = {"-mat": str(tmp_path / "A.mat"), "-tophat_spots": ""}.get(same, "3")
    results = [parse_args([*BASE.split(), w, *value.split()]) for w in (flag, same)]
    assert results[0].experiment == results[1].experiment
    assert results[0].outputs == results[1].outputs
    assert results[0].experiment != experiment("") or same == "-floatfile"


@pytest.mark.parametrize(
    ("flags", "fragment"),
    [
        ("-lamda 1", "-lambda"),
        ("-Lambda 1", "-lambda"),
        ("-polarization 1", "-polar"),
        ("-lambda", "value missing"),
        ("-lambda -N 5", "value missing"),
        ("-lambda one", "'one'"),
        ("-N 2.5", "whole number"),
        ("-N 5 6", "stray argument '6'"),
    ],
)
def test_arguments_that_are_refused(flags: str, fragment: str) -> None:
    """Unknown flags with a suggestion; missing values, wrong types and stray arguments by name."""
    with pytest.raises(FlagError) as caught:
        experiment(flags)
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "name", "expected"),
    [
        ("-lambda 2 -energy 12398.42", "beam.wavelength", 1e-10),
        ("-energy 12398.42 -lambda 2", "beam.wavelength", 2e-10),
        ("-N 5 -Nb 7", "crystal.n_cells", (5, 7, 5)),
        ("-Nb 7 -N 5", "crystal.n_cells", (5, 5, 5)),
        ("-nopolar -polar 0.9", "beam.polarized", True),
        ("-polar 0.9 -nopolar", "beam.polarized", False),
        ("-interpolate -nointerpolate", "sampling.interpolate", False),
        ("-nointerpolate -interpolate", "sampling.interpolate", True),
        ("", "sampling.interpolate", None),
        ("-round_xtal -gauss_xtal", "crystal.shape", "gauss"),
        ("-gauss_xtal -square_xtal", "crystal.shape", "square"),
        ("-square_div -round_div", "sources.round", True),
        ("-square_div", "sources.round", False),
        ("-xds -dials", "frame.convention", "DIALS"),
        ("", "frame.convention", "MOSFLM"),
        ("-divergence 2 -vdivrange 1", "sources.vertical.range", 1e-3),
        ("-divergence 2 -vdivrange 1", "sources.horizontal.range", 2e-3),
        ("-divsteps 3", "sources.horizontal.count", 3),
        ("-samplesize 0.1 -sample_z 0.2", "crystal.size", (1e-4, 1e-4, 2e-4)),
    ],
)
def test_later_flags_win(flags: str, name: str, expected: object) -> None:
    """Also between different flags for one quantity, and between collective and single ones."""
    assert field(experiment(flags), name) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cell", "lengths", "angles"),
    [
        ("70", (70, 70, 70), (90, 90, 90)),
        ("70 80", (70, 80, 70), (90, 90, 90)),
        ("70 80 90 75", (70, 80, 90), (75, 90, 90)),
        ("70 80 90 75 85 95", (70, 80, 90), (75, 85, 95)),
    ],
)
def test_one_to_six_cell_numbers(cell: str, lengths: tuple, angles: tuple) -> None:
    """Missing lengths equal a, missing angles are right."""
    flags = ["-default_F", "1", "-cell", *cell.split(), "-N", "5"]
    found = parse_args(flags).experiment.crystal.cell
    assert found is not None
    assert found[:3] == pytest.approx([x * 1e-10 for x in lengths])
    assert found[3:] == pytest.approx([math.radians(x) for x in angles])


def test_misset() -> None:
    """Three angles, or a word with rand in it, with its seed."""
    given = experiment("-misset 10 20 30").crystal.misset
    assert given == pytest.approx([math.radians(x) for x in (10, 20, 30)])
    crystal = experiment("-misset_seed 7 -misset random").crystal
    assert (crystal.misset, crystal.misset_seed) == ("random", 7)


@pytest.mark.parametrize(
    ("flags", "fragment"),
    [
        ("-density 1.2", "-density"),
        ("-coherent", "-coherent"),
        ("-pix0_vector 1 2 3", "--pix0-vector-mm"),
        ("-divergence 1 -sourcefile {sources}", "no effect"),
    ],
)
def test_what_has_no_effect_is_said(flags: str, fragment: str, tmp_path: Path) -> None:
    """Accepted, not acted upon, and named."""
    (tmp_path / "sources.txt").write_text("-10 0 0 1 1e-10\n")
    assert fragment in notes(flags.format(sources=tmp_path / "sources.txt"))


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("-mosaic -1", "crystal.mosaic_spread"),
        ("-mosaic_dom 0", "crystal.mosaic_domains"),
        ("-osc -1", "scan.osc"),
        ("-phisteps -1", "scan.count"),
        ("-dispersion -1", "sources.dispersion.range"),
        ("-oversample 0", "sampling.oversample"),
    ],
)
def test_values_that_mean_not_given(flags: str, name: str) -> None:
    """C's own marks for absent values are understood."""
    assert field(experiment(flags), name) is None


@pytest.mark.parametrize(
    ("flags", "name", "expected"),
    [
        ("-lambda 0.9", "beam.wavelength", 0.9e-10),
        ("-distance 231", "detector.distance", 0.231),
        ("-close_distance 99", "detector.close_distance", 0.099),
        ("-pixel 0.172", "detector.pixel_size", 0.172e-3),
        ("-detsize_f 51.2", "detector.size_fast", 0.0512),
        ("-detpixels_s 99", "detector.pixels_slow", 99),
        ("-Xbeam 5.1", "detector.beam_x", 5.1e-3),
        ("-Yclose 5.1", "detector.close_y", 5.1e-3),
        ("-ORGX 99.5", "detector.org_x", 99.5),
        ("-detector_rotx 10", "detector.rotx", math.radians(10)),
        ("-twotheta 10", "detector.twotheta", math.radians(10)),
        ("-detector_thick 320", "detector.thickness", 320e-6),
        ("-detector_abs 200", "detector.attenuation", 5000.0),
        ("-thicksteps 4", "detector.thick_steps", 4),
        ("-mosaic 0.5", "crystal.mosaic_spread", math.radians(0.5)),
        ("-hdivrange 2", "sources.horizontal.range", 2e-3),
        ("-vdivstep 2", "sources.vertical.step", 2e-3),
        ("-dispersion 1.4", "sources.dispersion.range", 0.014),
        ("-dispsteps 3", "sources.dispersion.count", 3),
        ("-phi 10", "scan.phi0", math.radians(10)),
        ("-osc 1", "scan.osc", math.radians(1)),
        ("-phistep 0.1", "scan.step", math.radians(0.1)),
        ("-phisteps 10", "scan.count", 10),
        ("-dmin 1.5", "sampling.dmin", 1.5e-10),
        ("-fluence 1e24", "beam.fluence", 1e24),
        ("-flux 1e12", "beam.flux", 1e12),
        ("-exposure 0.1", "beam.exposure", 0.1),
        ("-beamsize 0.05", "beam.beamsize", 5e-5),
        ("-polar 0.95", "beam.polarization", 0.95),
        ("-water 5", "background.water", 5e-6),
        ("-oversample 3", "sampling.oversample", 3),
        ("-roi 1 5 2 7", "sampling.roi", (2, 7, 1, 5)),
        ("-roi -1 5 2 -1", "sampling.roi", (2, 1023, 0, 5)),
        ("-mosaic_seed 5", "crystal.mosaic_seed", 5),
        ("-fudge 0.8", "crystal.fudge", 0.8),
        ("-detector_abs inf -detector_thick 0", "detector.thickness", 0.0),
    ],
)
def test_units(flags: str, name: str, expected: object) -> None:
    """Each flag's value arrives in SI in the field it belongs to."""
    assert field(experiment(flags), name) == pytest.approx(expected, rel=1e-12)


def test_defaults() -> None:
    """What stands in the table of defaults, in SI."""
    exp = experiment("")
    assert exp.beam.wavelength == 1e-10
    assert (exp.detector.distance, exp.detector.pixel_size) == (0.1, 1e-4)
    assert exp.shape == (1024, 1024)
    assert exp.crystal.n_cells == (1, 1, 1)
    assert exp.crystal.mosaic_seed == 12345678
    assert (exp.beam.exposure, exp.beam.beamsize, exp.beam.flux) == (1.0, 1e-4, 0.0)
    assert (exp.beam.polarization, exp.beam.polarized) == (0.0, True)
    assert (exp.scan.phi0, exp.scan.osc, exp.scan.count) == (0.0, None, None)
    assert exp.detector == Detector()
    assert exp.frame == LabFrame()


def test_pixel_counts_prevail_over_sizes() -> None:
    """In either order."""
    for flags in ("-detpixels 64 -detsize 51.2", "-detsize 51.2 -detpixels 64"):
        assert experiment(flags).shape == (64, 64)


def test_infinite_absorption_depth_switches_the_sensor_off() -> None:
    """Given after the thickness, as C reads it."""
    for flag in ("inf", "0"):
        assert experiment(f"-detector_thick 300 -detector_abs {flag}").detector.thickness == 0.0


def test_no_structure_factors_or_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is refused, a left-over Fdump.bin or not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Fdump.bin").write_bytes(b"whatever")
    with pytest.raises(InputError, match="no structure factors"):
        parse_args(["-cell", "70", "-lambda", "1"])
    with pytest.raises(InputError, match="no crystal"):
        parse_args(["-default_F", "1"])


@pytest.mark.parametrize(
    "flags",
    [
        "-fdet_vector 0 0 1",
        "-sdet_vector 0 -1 0",
        "-odet_vector 1 0 0",
        "-beam_vector 1 0 0",
        "-polar_vector 0 0 1",
        "-spindle_axis 0 0 1",
        "-twotheta_axis 0 1 0",
        "-pix0_vector 1 2 3",
    ],
)
def test_vectors_select_custom(flags: str) -> None:
    """Also after a named convention."""
    assert experiment(f"-xds {flags}").frame.convention == "CUSTOM"


def test_pix0_vector_numbers_are_not_used() -> None:
    """Any numbers give the same experiment; the two-dash option places the detector."""
    first, second = experiment("-pix0_vector 1 2 3"), experiment("-pix0_vector 9 9 9")
    assert first == second
    placed = parse_args(BASE.split(), pix0=(0.1, 0.02, 0.03)).experiment
    assert placed.detector.pix0 == (0.1, 0.02, 0.03)


@pytest.mark.parametrize(
    ("flags", "pivot"),
    [
        ("-Xbeam 5", "beam"),
        ("-Ybeam 5", "beam"),
        ("-distance 5", "beam"),
        ("-Xbeam 5 -Xclose 5", "sample"),
        ("-Xclose 5 -Xbeam 5", "beam"),
        ("-Yclose 5", "sample"),
        ("-ORGX 5", "sample"),
        ("-ORGY 5", "sample"),
        ("-close_distance 5", "sample"),
        ("-twotheta 5", "sample"),
        ("-xds", "sample"),
        ("-xds -mosflm", "beam"),
        ("-xds -denzo", "beam"),
        ("-xds -adxv", "beam"),
        ("-xds -dials", "beam"),
        ("-distance 5 -pivot sample", "sample"),
        ("-pivot sample -distance 5", "beam"),
    ],
)
def test_pivot_of_a_custom_frame(flags: str, pivot: str) -> None:
    """The last flag that names or implies one."""
    assert experiment(f"{flags} -spindle_axis 0 1 0").detector.pivot == pivot


def test_twotheta_axis_also_swings() -> None:
    """By its first number in degrees, and it is a pivot flag; a later -twotheta corrects it."""
    detector = experiment("-twotheta_axis 0.5 0.5 0").detector
    assert detector.twotheta == pytest.approx(math.radians(0.5))
    assert detector.pivot == "sample"
    assert experiment("-twotheta_axis 0.5 0.5 0 -twotheta 3").detector.twotheta == pytest.approx(
        math.radians(3)
    )


def smv(path: Path, entries: str, big: bool = False) -> Path:
    """Write a 16 x 12 SMV image of ones with a zero pixel at slow 2, fast 3."""
    order = "big_endian" if big else "little_endian"
    text = f"{{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER={order};\nTYPE=unsigned_short;\n"
    text += f"SIZE1=16;\nSIZE2=12;\n{entries}}}\f"
    pixels = np.ones((12, 16), dtype=">u2" if big else "<u2")
    pixels[2, 3] = 0
    path.write_bytes(text.encode().ljust(512) + pixels.tobytes())
    return path


ENTRIES = """PIXEL_SIZE=0.2;
DISTANCE=120;
WAVELENGTH=0.9;
BEAM_CENTER_X=1.5;
BEAM_CENTER_Y=0.9;
XDS_ORGX=7;
XDS_ORGY=5;
CLOSE_DISTANCE=110;
PHI=10;
OSC_RANGE=0.5;
TWOTHETA=7;
"""


def test_header_entries(tmp_path: Path) -> None:
    """All keys in SI; DISTANCE and ORGX at their last occurrence; TWOTHETA not used."""
    exp = experiment(f"-img {smv(tmp_path / 'a.img', ENTRIES)}")
    detector = exp.detector
    assert exp.shape == (12, 16)
    assert detector.pixel_size == pytest.approx(2e-4)
    assert detector.distance == pytest.approx(0.110)  # CLOSE_DISTANCE stands later
    assert detector.close_distance == pytest.approx(0.110)
    assert (detector.beam_x, detector.beam_y) == pytest.approx((1.5e-3, 0.9e-3))
    assert (detector.org_x, detector.org_y) == (7, 5)
    assert exp.beam.wavelength == pytest.approx(0.9e-10)
    assert exp.scan.phi0 == pytest.approx(math.radians(10))
    assert exp.scan.osc == pytest.approx(math.radians(0.5))
    assert detector.twotheta == 0.0


def test_mask_header_then_image_header_then_flags(tmp_path: Path) -> None:
    """Each later one prevails; a mask's beam centre counts from the other edge."""
    mask = smv(tmp_path / "m.img", ENTRIES)
    exp = experiment(f"-mask {mask}")
    assert exp.detector.beam_y == pytest.approx(12 * 2e-4 - 0.9e-3)
    image = smv(tmp_path / "i.img", "WAVELENGTH=1.1;\nBEAM_CENTER_Y=0.7;\n")
    both = experiment(f"-img {image} -mask {mask}")
    assert both.beam.wavelength == pytest.approx(1.1e-10)
    assert both.detector.beam_y == pytest.approx(0.7e-3)
    assert both.detector.beam_x == pytest.approx(1.5e-3)
    assert experiment(f"-lambda 2 -img {image}").beam.wavelength == pytest.approx(2e-10)


@pytest.mark.parametrize("big", [False, True])
def test_masked_pixels(tmp_path: Path, big: bool) -> None:
    """Only zero pixels are left out, whatever the byte order."""
    from tests.specs.support import evaluated

    mask = evaluated(experiment(f"-mask {smv(tmp_path / 'm.img', '', big)}"))
    assert not mask[2, 3]
    assert mask.sum() == 12 * 16 - 1


@pytest.mark.parametrize("cut", [300, 600])
def test_broken_masks(tmp_path: Path, cut: int) -> None:
    """Without a whole header, or with too few pixels: refused by name."""
    path = smv(tmp_path / "m.img", "")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"m\.img"):
        experiment(f"-mask {path}")


def test_flags_keywords_and_toml_are_equal(tmp_path: Path) -> None:
    """Three ways to the same experiment."""
    exp = experiment("-N 5 -xds -phi 3 -osc 1 -mosaic 0.2 -roi 1 5 2 7 -detector_thick 300")
    assert Experiment.from_dict(exp.to_dict()) == exp
    (tmp_path / "exp.toml").write_text(to_toml(exp))
    assert from_toml(tmp_path / "exp.toml") == exp
    direct = Experiment(
        crystal=exp.crystal,
        structure=exp.structure,
        frame=LabFrame("XDS"),
        detector=Detector(thickness=300e-6),
        scan=exp.scan,
        sampling=exp.sampling,
    )
    assert direct == exp


def run(flags: str, folder: Path) -> int:
    """Run the command line with a store in some folder."""
    return main([*flags.split(), "--out", str(folder / "run.zarr"), "--backend", "numpy"])


def test_options_stand_anywhere(tmp_path: Path) -> None:
    """Two-dash options before, between and after the flags: the same experiment."""
    import nbdask

    flags = "-detpixels 16 -pixel 1 -N 5 -oversample 1"
    orders = (
        f"simulate --semantics c {BASE} {flags}",
        f"simulate {BASE} --semantics c {flags}",
        f"simulate {flags} {BASE} --semantics c",
    )
    prints = set()
    for number, flags in enumerate(orders):
        (tmp_path / str(number)).mkdir()
        assert run(flags, tmp_path / str(number)) == 0
        prints.add(nbdask.open(tmp_path / str(number) / "run.zarr").attrs["fingerprint"])
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("-cell 70 -default_F 1 -lambda -5", ["-5", "above 0", "-lambda"]),
        ("-cell 70 -default_F 1 -lamda 5", ["-lamda", "-lambda"]),
        ("-cell 70 80 90 75 85 170 -default_F 1", ["-cell", "possible cell"]),
        ("-cell 70 -hkl missing.hkl", ["missing.hkl"]),
        ("-cell 70 -default_F 1 -roi 5 1 5 1", ["-roi", "ascending"]),
        ("-cell 70", ["structure factors", "-hkl", "-default_F"]),
    ],
)
def test_refusal_in_one_line(
    flags: str, parts: list, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """What was given, what is allowed, which flag; exit code 2, and nothing is written."""
    assert run(f"simulate {flags}", tmp_path) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert all(part in err for part in parts)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_named_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-floatfile and -intfile; C's default names for the others are not."""
    monkeypatch.chdir(tmp_path)
    flags = "-detpixels 16 -pixel 1 -N 5 -oversample 1 -floatfile f.bin -intfile i.img"
    assert run(f"simulate {BASE} {flags}", tmp_path) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.bin", "i.img", "run.zarr"]
    import zarr

    stored = np.asarray(zarr.open_array(tmp_path / "run.zarr" / "image")[...])
    assert (tmp_path / "f.bin").read_bytes() == stored.astype("<f4").tobytes()
    scale = 55000.0 / float(stored.max())
    counts = np.floor((stored.astype(float) * scale + 40.0 + 0.5).astype(np.float32))
    assert (tmp_path / "i.img").read_bytes()[512:] == counts.astype("<u2").tobytes()

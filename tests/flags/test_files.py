"""Flags that name input files: headers, masks, lists, checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nbdask import units
from nbdask.errors import FlagError, InputFileError
from nbdask.flags import Parsed, from_args, parse_args, to_args
from nbdask.inputs.amplitudes import from_reflections
from nbdask.inputs.fdump import write_fdump
from nbdask.store.provenance import input_files

CRYSTAL = ["-cell", "70", "-default_F", "1"]


def smv(path: Path, fields: str, fast: int = 8, slow: int = 6) -> None:
    """Write a 16-bit SMV image of ones."""
    text = f"{{\nHEADER_BYTES=  512;\nSIZE1={fast};\nSIZE2={slow};\n{fields}}}\f"
    path.write_bytes(text.encode().ljust(512) + np.ones(fast * slow, dtype="<u2").tobytes())


def run(folder: Path, flags: str) -> Parsed:
    """Parse words in a folder."""
    return parse_args([*CRYSTAL, *flags.split()], base_dir=folder)


def test_img_header_sets_the_geometry(tmp_path: Path) -> None:
    """Sizes, distances, wavelength, centres and rotation come from the header."""
    fields = (
        "PIXEL_SIZE=0.2;\nDISTANCE=80;\nWAVELENGTH=1.3;\nBEAM_CENTER_X=5.9;\nBEAM_CENTER_Y=6.4;\n"
        "ORGX=3;\nORGY=4;\nPHI=2;\nOSC_RANGE=0.5;\n"
    )
    smv(tmp_path / "h.img", fields)
    parsed = run(tmp_path, "-img h.img")
    experiment = parsed.experiment
    detector = experiment.detector
    assert experiment.shape == (6, 8)
    assert detector.pixel_size == 0.2 / 1000
    assert detector.distance == 80 / 1000
    assert detector.close_distance is None
    assert experiment.beam.wavelength == 1.3 / 1e10
    assert (detector.beam_x, detector.beam_y) == (5.9 / 1000, 6.4 / 1000)
    assert (detector.org_x, detector.org_y) == (3.0, 4.0)
    assert experiment.scan.phi0 == units.from_degrees(2)
    assert experiment.scan.osc == units.from_degrees(0.5)
    assert detector.pivot is None
    assert parsed.files == (str(tmp_path / "h.img"),)
    assert detector.header_file == str(tmp_path / "h.img")
    assert parsed.notes == (
        f"taken from the header of {tmp_path / 'h.img'}: 8 x 6 pixels (fast x slow), PIXEL_SIZE 0.2"
        " mm, DISTANCE 80 mm, WAVELENGTH 1.3 Angstrom, BEAM_CENTER_X 5.9 mm, BEAM_CENTER_Y 6.4 mm,"
        " ORGX 3 pixels, ORGY 4 pixels, PHI 2 degrees, OSC_RANGE 0.5 degrees",
    )


def test_flags_override_headers_wherever_they_stand(tmp_path: Path) -> None:
    """A flag before -img prevails as one behind it does."""
    smv(tmp_path / "h.img", "DISTANCE=80;\nWAVELENGTH=1.3;\nOSC_RANGE=0.5;\n")
    for flags in ("-distance 90 -img h.img -osc -1", "-osc -1 -img h.img -distance 90"):
        experiment = run(tmp_path, flags).experiment
        assert experiment.detector.distance == 0.09
        assert experiment.beam.wavelength == 1.3 / 1e10
        assert experiment.scan.osc is None


def test_mask_header_is_read_before_that_of_img(tmp_path: Path) -> None:
    """The image's entries prevail; the mask's BEAM_CENTER_Y counts from the far edge."""
    smv(tmp_path / "m.img", "PIXEL_SIZE=0.5;\nDISTANCE=100;\nBEAM_CENTER_Y=1.25;\nPHI=3;\n")
    smv(tmp_path / "h.img", "DISTANCE=80;\n")
    experiment = run(tmp_path, "-img h.img -mask m.img").experiment
    assert experiment.detector.distance == 0.08
    assert experiment.detector.pixel_size == 0.5 / 1000
    assert experiment.detector.beam_y == 0.5 / 1000 * 6 - 1.25 / 1000
    assert experiment.scan.phi0 == units.from_degrees(3)
    content = (tmp_path / "m.img").read_bytes()
    assert experiment.sampling.mask == str(tmp_path / "m.img")
    assert experiment.sampling.mask_sha256 == hashlib.sha256(content).hexdigest()


def test_last_occurrence_as_substring(tmp_path: Path) -> None:
    """CLOSE_DISTANCE after DISTANCE is read as both, as C does; -distance then has no effect."""
    smv(tmp_path / "h.img", "DISTANCE=100;\nCLOSE_DISTANCE=97;\nXDS_ORGX=60.5;\n")
    parsed = run(tmp_path, "-img h.img -distance 50")
    detector = parsed.experiment.detector
    assert (detector.distance, detector.close_distance) == (0.05, 0.097)
    assert detector.org_x == 60.5
    assert any("-distance 50: has no effect, CLOSE_DISTANCE=97 in" in n for n in parsed.notes)


def test_unused_header_entries_are_said(tmp_path: Path) -> None:
    """TWOTHETA is read and not used; a negative OSC_RANGE counts as not given."""
    smv(tmp_path / "h.img", "TWOTHETA=5;\nOSC_RANGE=-1;\n")
    parsed = run(tmp_path, "-img h.img")
    assert parsed.experiment.detector.twotheta == 0.0
    assert parsed.experiment.scan.osc is None
    assert len(parsed.notes) == 3
    assert "TWOTHETA=5 in the header" in parsed.notes[1]


def test_what_is_overridden_is_not_said_to_be_taken(tmp_path: Path) -> None:
    """Only values that are in force; a mask's header as well."""
    smv(tmp_path / "m.img", "PIXEL_SIZE=0.5;\nDISTANCE=100;\nWAVELENGTH=1.3;\n")
    smv(tmp_path / "h.img", "DISTANCE=80;\n")
    notes = run(tmp_path, "-img h.img -mask m.img -lambda 2").notes
    taken = "taken from the header of"
    assert notes == (
        f"{taken} {tmp_path / 'm.img'}: PIXEL_SIZE 0.5 mm",
        f"{taken} {tmp_path / 'h.img'}: 8 x 6 pixels (fast x slow), DISTANCE 80 mm",
    )
    notes = run(tmp_path, "-img h.img -detpixels 9 -distance 5").notes
    assert notes == ()


@pytest.mark.parametrize(
    ("fields", "words", "said"),
    [
        (
            "SOURCE_WAVELENGTH=1 0.71073;\n",
            "",
            "SOURCE_WAVELENGTH=1 0.71073 is read as 1 Angstrom, as in nanoBragg, but programs such"
            " as d*TREK put the number of wavelengths first: give -lambda if that is wrong",
        ),
        ("SOURCE_WAVELENGTH=1 0.71073;\n", "-lambda 0.71073", None),
        (
            "WAVELENGTH=0.98;\nSCAN_WAVELENGTH=0.99;\n",
            "",
            "WAVELENGTH=0.99 is read, WAVELENGTH=0.98 is not: give -lambda",
        ),
        ("WAVELENGTH=0.98;\nSCAN_WAVELENGTH=0.980;\n", "", None),
        ("DISTANCE=100;\nCLOSE_DISTANCE=97;\n", "", None),
        (
            "PIXEL_SIZE=0.1 0.2;\n",
            "",
            "of PIXEL_SIZE=0.1 0.2 the first number is read: give -pixel",
        ),
        ("PIXEL_SIZE=0.1 0.1;\n", "", None),
        ("PHI=10;\nAXIS=PHI;\nBIN=2;\n", "", "PHI=2 is the number after the next = behind PHI"),
        ("CCD_GONIO_VALUES=0 0 60;\n", "", "is not read, as in nanoBragg: give -distance"),
        ("CCD_GONIO_VALUES=0 0 60;\n", "-distance 60", None),
        ("OSC_START=5;\n", "", "OSC_START=5 in the header of"),
        ("PHI=5;\nOSC_START=5;\n", "", None),
    ],
)
def test_doubtful_header_entries(tmp_path: Path, fields: str, words: str, said: str | None) -> None:
    """Other spellings of a quantity are told, unless a flag gives it or they agree."""
    smv(tmp_path / "h.img", fields)
    notes = run(tmp_path, f"-img h.img {words}").notes
    assert notes[0].startswith("taken from the header of")
    assert len(notes) == 1 or said is not None
    assert said is None or any(said in note for note in notes[1:])


@pytest.mark.parametrize(
    ("numbers", "shape", "said"),
    [
        (
            "9 7",
            (7, 9),
            "9 x 7 pixels (fast x slow) by DETECTOR_DIMENSIONS (nanoBragg makes it 9 x 9)",
        ),
        ("9 9", (9, 9), "9 x 9 pixels (fast x slow) by DETECTOR_DIMENSIONS"),
        ("9", (9, 9), "9 x 9 pixels (fast x slow) by DETECTOR_DIMENSIONS"),
    ],
)
def test_sizes_of_d_trek(tmp_path: Path, numbers: str, shape: tuple[int, int], said: str) -> None:
    """DETECTOR_DIMENSIONS stands for SIZE1 and SIZE2; nanoBragg's image is always a square."""
    text = f"{{\nHEADER_BYTES=  512;\nCCD_DETECTOR_DIMENSIONS={numbers};\n}}\f"
    (tmp_path / "h.img").write_bytes(text.encode().ljust(512))
    parsed = run(tmp_path, "-img h.img")
    assert parsed.experiment.shape == shape
    assert parsed.notes == (f"taken from the header of {tmp_path / 'h.img'}: {said}",)


def test_the_header_file_is_on_record(tmp_path: Path) -> None:
    """Among the inputs with its checksum; it changes no pixel, so not the fingerprint."""
    smv(tmp_path / "h.img", "DISTANCE=80;\n")
    experiment = run(tmp_path, "-img h.img").experiment
    checksum = hashlib.sha256((tmp_path / "h.img").read_bytes()).hexdigest()
    path = str(tmp_path / "h.img")
    assert input_files(experiment) == [{"role": "image header", "path": path, "sha256": checksum}]
    other = run(tmp_path, "-distance 80 -detpixels_f 8 -detpixels_s 6").experiment
    # Flags that place the detector also choose the pivot.
    assert other.fingerprint() == run(tmp_path, "-img h.img -distance 80").experiment.fingerprint()
    assert from_args(to_args(experiment)).fingerprint() == experiment.fingerprint()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.97 1\n0.98 2\n", "its two columns are read as x and y of sources"),
        ("0.97 1\n0.98 2 3\n", None),
        ("# x y z\n-10 0 0 1 1e-10\n", "reads 1 line with one as further numbers or sources"),
        ("-10 0 0 # on axis\n#\n", "reads 2 lines with"),
        ("-10 0 0 1 1e-10 # on axis\n", None),
    ],
)
def test_doubtful_sources(tmp_path: Path, text: str, said: str | None) -> None:
    """A spectrum in two columns, and comments, which nanoBragg does not know."""
    (tmp_path / "s.txt").write_text(text)
    notes = run(tmp_path, "-sourcefile s.txt").notes
    found = [note for note in notes if "column" in note or "comment" in note]
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_mask_of_another_size(tmp_path: Path) -> None:
    """A mask must have the pixels of the final detector."""
    smv(tmp_path / "m.img", "")
    with pytest.raises(FlagError, match=r"-mask m\.img: has 8 x 6 pixels .* detector, 9 x 6"):
        run(tmp_path, "-mask m.img -detpixels_x 9")
    smv(tmp_path / "h.img", "", fast=10)
    with pytest.raises(FlagError, match=r"has 8 x 6 pixels .* 10 x 6"):
        run(tmp_path, "-img h.img -mask m.img")


@pytest.mark.parametrize(
    ("fields", "fragment"),
    [
        ("DISTANCE=0;\n", "DISTANCE=0 in the header of "),
        ("PIXEL_SIZE=-1;\n", "PIXEL_SIZE=-1 in the header of "),
        ("WAVELENGTH=none;\n", "line 5: WAVELENGTH is 'none': must be a number"),
    ],
)
def test_refused_header_values(tmp_path: Path, fields: str, fragment: str) -> None:
    """A bad header entry is refused with its name and file."""
    smv(tmp_path / "h.img", fields)
    with pytest.raises((FlagError, InputFileError)) as caught:
        run(tmp_path, "-img h.img")
    assert fragment in str(caught.value)
    assert "h.img" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_matrix_and_list(tmp_path: Path) -> None:
    """-mat and -hkl are recorded with absolute paths and the list's checksum."""
    (tmp_path / "A.mat").write_text("0.01 0 0\n0 0.02 0\n0 0 0.03\n")
    (tmp_path / "P1.hkl").write_text("0 0 0 1\n1 0 0 5\n")
    parsed = parse_args(["-mat", "A.mat", "-hkl", "P1.hkl"], base_dir=tmp_path)
    crystal, structure = parsed.experiment.crystal, parsed.experiment.structure
    assert list(crystal.matrix or ()) == [0.01, 0, 0, 0, 0.02, 0, 0, 0, 0.03]
    assert crystal.matrix_file == str(tmp_path / "A.mat")
    assert structure.path == str(tmp_path / "P1.hkl")
    assert structure.format == "hkl"
    assert structure.sha256 == hashlib.sha256(b"0 0 0 1\n1 0 0 5\n").hexdigest()
    assert parsed.files == (str(tmp_path / "A.mat"), str(tmp_path / "P1.hkl"))
    (tmp_path / "A.mat").write_text("1 0 0 0 1 0 1 1 0")
    with pytest.raises(FlagError, match=r"-mat A\.mat: must be nine numbers with a determinant"):
        parse_args(["-mat", "A.mat", "-hkl", "P1.hkl"], base_dir=tmp_path)


def test_dump_alone_is_read_and_with_hkl_it_is_not(tmp_path: Path) -> None:
    """-dump without -hkl is the amplitudes; with -hkl it is said that it is not written."""
    write_fdump(tmp_path / "F.bin", from_reflections([(0, 0, 0, 5.0)], 0.0))
    (tmp_path / "P1.hkl").write_text("0 0 0 1\n")
    alone = run(tmp_path, "-dump F.bin")
    assert alone.experiment.structure.format == "fdump"
    assert alone.experiment.structure.path == str(tmp_path / "F.bin")
    assert alone.outputs.dumpfile == "F.bin"
    both = run(tmp_path, "-dumpfile absent.bin -hkl P1.hkl")
    assert both.experiment.structure.format == "hkl"
    assert any("-dumpfile absent.bin: not written" in note for note in both.notes)


def test_source_file_replaces_the_grid(tmp_path: Path) -> None:
    """Grid flags beside a source file, and unequal weights that are ignored, are said."""
    (tmp_path / "s.txt").write_text("-10 0 0 1 1e-10\n-10 0.1 0 0.2\n")
    parsed = run(tmp_path, "-sourcefile s.txt -hdivrange 3 -hdivsteps 4")
    sources = parsed.experiment.sources
    assert [point.weight for point in sources.points] == [1.0, 0.2]
    assert sources.points[1].wavelength is None
    assert sources.file == str(tmp_path / "s.txt")
    assert [note.split(":")[0] for note in parsed.notes] == [
        "-hdivrange 3",
        "-hdivsteps 4",
        "-sourcefile s.txt",
    ]
    applied = parse_args(
        [*CRYSTAL, "-sourcefile", "s.txt"], base_dir=tmp_path, source_weights="apply"
    )
    assert applied.notes == ()
    assert applied.experiment.sources.weights == "apply"
    (tmp_path / "s.txt").write_text("-10 0 0 0\n")
    with pytest.raises(FlagError, match=r"-sourcefile s\.txt: must be weights with a sum above 0"):
        parse_args([*CRYSTAL, "-sourcefile", "s.txt"], base_dir=tmp_path, source_weights="apply")


def test_relative_paths_start_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without base_dir the working directory counts; absolute paths stay."""
    (tmp_path / "P1.hkl").write_text("0 0 0 1\n")
    monkeypatch.chdir(tmp_path)
    relative = parse_args(["-cell", "70", "-hkl", "P1.hkl"])
    absolute = parse_args(["-cell", "70", "-hkl", str(tmp_path / "P1.hkl")], base_dir=Path("/"))
    assert relative.experiment == absolute.experiment


@pytest.mark.shared
def test_every_reference_command_line_assembles(golden: Path) -> None:
    """All command lines of the full reference set are understood, in both semantics."""
    import json

    cases = json.loads((golden / "cases.json").read_text())
    for case in cases:
        for semantics in ("spec", "c"):
            parsed = parse_args(
                case["args"].split(), semantics=semantics, base_dir=golden / "inputs"
            )
            assert parsed.experiment.semantics == semantics, case["name"]
    assert len(cases) == 92

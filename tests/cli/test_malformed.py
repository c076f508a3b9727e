"""Wrong input: one clear line, exit code 2, nothing written."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from nbdask.cli.main import main

CELL = "-cell 70 80 90 75 85 95"
GOOD = f"{CELL} -default_F 100 -N 5 -detpixels 16 -oversample 1"

CUBE = "[crystal]\ncell = [1e-8, 1e-8, 1e-8, 1.5, 1.5, 1.5]\n[structure]\n"

#: Arguments after ``simulate`` (``--out`` is added), and what the line must say.
CASES = {
    # flags that are not there, or not whole
    "typing error in a flag": (f"{GOOD} -lamda 1", "-lambda"),
    "unknown flag": (f"{GOOD} -frobnicate", "-frobnicate"),
    "far flag": (f"{GOOD} -foo 3", "nbdask flags lists all flags"),
    "option with one dash": (f"{GOOD} -threads 2", "unknown flag -threads: did you mean --threads"),
    "seed of another output": (
        f"{GOOD} -seed 4 --noise b.zarr",
        "-seed 4 is the seed of -noisefile",
    ),
    "unknown option": (f"{GOOD} --tiles 5", "--tile"),
    "stray argument": (f"{GOOD} run1", "run1"),
    "stray number": ("-cell 70 80 90 75 85 95 100 -default_F 1", "100"),
    "missing value at the end": (f"{GOOD} -lambda", "-lambda"),
    "missing value before a flag": (f"{CELL} -default_F -N 5", "-default_F"),
    "two of three values": (f"{GOOD} -misset 1 2", "-misset"),
    "option without its value": (f"{GOOD} --tile", "--tile"),
    "option with two of three values": (f"{GOOD} --pix0-vector-mm 1 2", "--pix0-vector-mm"),
    # values of the wrong kind
    "word where a number is due": (f"{GOOD} -distance far", "far"),
    "fraction where a count is due": (f"{CELL} -default_F 1 -N 2.5", "2.5"),
    "not a number": (f"{GOOD} -lambda nan", "-lambda"),
    "infinite": (f"{GOOD} -distance inf", "-distance"),
    "no wavelength": (f"{GOOD} -lambda 0", "-lambda"),
    "negative wavelength": (f"{GOOD} -lambda -1", "-lambda"),
    "no energy": (f"{GOOD} -energy 0", "-energy"),
    "negative pixel count": (f"{CELL} -default_F 1 -detpixels -5", "-detpixels"),
    "pixel of no size": (f"{GOOD} -pixel 0", "-pixel"),
    "distance zero": (f"{GOOD} -distance 0", "-distance"),
    "close distance zero": (f"{GOOD} -close_distance 0", "-close_distance"),
    "polarization above one": (f"{GOOD} -polar 1.5", "-polar"),
    "negative fluence": (f"{GOOD} -fluence -1", "-fluence"),
    "flux through a point": (f"{GOOD} -flux 1e9 -beamsize 0", "-beamsize"),
    "negative resolution": (f"{GOOD} -dmin -3", "-dmin"),
    "negative water": (f"{GOOD} -water -3", "-water"),
    "pivot of another name": (f"{GOOD} -pivot middle", "-pivot"),
    "vector of length zero": (f"{GOOD} -beam_vector 0 0 0", "-beam_vector"),
    "misset that is no number": (f"{GOOD} -misset a b c", "-misset"),
    "region turned round": (f"{GOOD} -roi 9 3 0 5", "-roi"),
    "region beside the detector": (f"{GOOD} -roi 20 30 0 5", "-roi"),
    # impossible crystals
    "no cell": ("-default_F 100 -N 5", "-cell"),
    "cell of length zero": ("-cell 0 80 90 90 90 90 -default_F 1", "-cell"),
    "angle of 180 degrees": ("-cell 70 80 90 90 180 90 -default_F 1", "-cell"),
    "angles that close no cell": ("-cell 70 80 90 30 40 100 -default_F 1", "-cell"),
    "angles beyond 360 degrees": ("-cell 70 80 90 130 130 130 -default_F 1", "-cell"),
    "no structure factors": (f"{CELL} -N 5", "-default_F"),
    # files
    "missing amplitude list": (f"{CELL} -hkl none.hkl", "none.hkl"),
    "missing matrix": ("-mat none.mat -default_F 1", "none.mat"),
    "missing source list": (f"{GOOD} -sourcefile none.txt", "none.txt"),
    "missing mask": (f"{CELL} -default_F 1 -mask none.img", "none.img"),
    "missing header image": (f"{CELL} -default_F 1 -img none.img", "none.img"),
    "missing dump": (f"{CELL} -dump none.bin", "none.bin"),
    "list with a word": (f"{CELL} -hkl word.hkl", "line 2"),
    "list with three columns": (f"{CELL} -hkl short.hkl", "line 2"),
    "list with a fractional index": (f"{CELL} -hkl fraction.hkl", "line 1"),
    "empty list": (f"{CELL} -hkl empty.hkl", "empty.hkl"),
    "list that is no text": (f"{CELL} -hkl binary.hkl", "binary.hkl"),
    "list with a stray huge index": (f"{CELL} -hkl huge.hkl", "huge.hkl"),
    "matrix of eight numbers": ("-mat eight.mat -default_F 1", "eight.mat"),
    "singular matrix": ("-mat flat.mat -default_F 1", "-mat"),
    "source list with a word": (f"{GOOD} -sourcefile word.txt", "word.txt"),
    "truncated dump": (f"{CELL} -dump cut.bin", "cut.bin"),
    "mask that is no SMV image": (f"{CELL} -default_F 1 -mask word.hkl", "word.hkl"),
    "truncated mask": (f"{CELL} -default_F 1 -mask cut.img", "cut.img"),
    "mask of another size": (f"{GOOD} -mask good.img", "-mask"),
    "folder instead of a file": (f"{CELL} -hkl folder", "folder"),
    "device instead of a file": (f"{CELL} -hkl /dev/zero", "/dev/zero"),
    "pipe instead of a file": ("-mat pipe -default_F 1", "pipe"),
    # counts that follow from other values
    "no source inside the ellipse": (f"{GOOD} -divsteps 1", "-square_div"),
    "steps without number": (f"{GOOD} -osc 1 -phistep 1e-300", "-phistep"),
    "steps of nothing": (f"{GOOD} -osc 0 -phistep 1", "-osc"),
    "a table of orientations beyond memory": (
        f"{GOOD} -phi 1 -osc 1 -phisteps 1000000 -mosaic 1 -mosaic_dom 1000000",
        "-phisteps",
    ),
    "sub-pixels without number": (f"{CELL} -default_F 1 -xtalsize 1", "-oversample"),
    "cells without number": (f"{CELL} -default_F 1 -xtalsize 1e30", "crystal.size"),
    "count beyond every limit": (f"{GOOD} -phisteps 99999999999", "at most"),
    "pipe as a configuration": ("--config pipe", "pipe"),
    "pipe as a pipeline": (f"{GOOD} --noise b.zarr --pipeline pipe", "--pipeline pipe"),
    "pipe as a gain map": (f"{GOOD} --noise b.zarr --seed 1 --gain-map pipe", "gain map"),
    "path that is a number": ("--config number.toml", "structure.path = 0"),
    "reflections of two numbers": ("--config two.toml", "structure.reflections[0] = (1, 2)"),
    "number of 400 digits": ("--config digits.toml", "structure.default_F = 99"),
    "switch that is a word": ("--config switch.toml", "beam.polarized = 'no'"),
    "place that is one number": ("--config place.toml", "pix0 = 5"),
    # numbers beyond what can be computed with
    "cell too small to compute": (f"-cell {'1e-300 ' * 3} 90 90 90 -default_F 1", "-cell"),
    "vector too long to compute": (f"{GOOD} -beam_vector 1e200 0 0", "-beam_vector"),
    "fudge of nothing": (f"{GOOD} -fudge 1e-300", "-fudge"),
    "turns without number": (f"{GOOD} -osc 1e9", "1000 turns"),
    "mosaic spread without end": (f"{GOOD} -mosaic 1e300", "1000 turns"),
    "mosaic widths without end": (f"{GOOD} --mosaic-model gauss:1e300,1,1", "--mosaic-model"),
    "rotation steps without number": (f"{GOOD} -phisteps 2147483647", "-phisteps"),
    "sources without number": (
        f"{GOOD} -hdivsteps 99999 -vdivsteps 99999",
        "at most 1000000 sources",
    ),
    "tiles without number": (f"{CELL} -default_F 1 -N 5 -detpixels 999999999", "--tile"),
    "memory without end": (f"{GOOD} --memory-limit 1e400", "--memory-limit"),
    "digits of another script": (f"{GOOD} --tile \u0663\u0662", "--tile"),
    "digits with an underscore": (f"{GOOD} --threads 1_0", "--threads"),
    # outputs
    "float image over an input": (f"{CELL} -hkl good.hkl -floatfile good.hkl", "good.hkl"),
    "float image inside the store": (f"{GOOD} -floatfile run.zarr/a.bin", "-floatfile"),
    "float image on a device": (f"{GOOD} -floatfile /dev/null", "/dev/null"),
    # how it is run
    "tile of no size": (f"{GOOD} --tile 0", "--tile"),
    "tile of three sizes": (f"{GOOD} --tile 8,8,8", "--tile"),
    "no steps": (f"{GOOD} --steps-per-task 0", "--steps-per-task"),
    "unknown backend": (f"{GOOD} --backend fortran", "fortran"),
    "numpy in mixed precision": (f"{GOOD} --backend numpy --precision mixed", "mixed"),
    "unknown cluster": (f"{GOOD} --cluster moon", "moon"),
    "memory that is no size": (f"{GOOD} --memory-limit much", "--memory-limit"),
    "memory too small": (f"{GOOD} --memory-limit 1MB", "--memory-limit"),
    "unknown semantics": (f"{GOOD} --semantics d", "semantics"),
    "missing configuration": ("--config none.toml", "none.toml"),
    "configuration that is no TOML": ("--config word.hkl", "word.hkl"),
    "configuration with an unknown field": ("--config field.toml", "crystal.sell"),
    "configuration beside flags": (f"--config field.toml {CELL}", "--config"),
    "float image in a missing folder": (f"{GOOD} -floatfile none/a.bin", "none"),
}


def smv(pixels: int, held: int) -> bytes:
    """Return an SMV image that says ``pixels`` along each edge and holds ``held`` values."""
    head = (
        "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
        f"SIZE1={pixels};\nSIZE2={pixels};\nPIXEL_SIZE=0.1;\nDISTANCE=100;\n}}\f"
    )
    return head.encode().ljust(512) + struct.pack(f"<{held}H", *([1] * held))


@pytest.fixture
def workfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with the malformed files, and work in it."""
    texts = {
        "word.hkl": "1 2 3 4.0\n1 two 3 4.0\n",
        "short.hkl": "1 2 3 4.0\n1 2 3\n",
        "fraction.hkl": "1.5 2 3 4.0\n",
        "empty.hkl": "\n\n",
        "huge.hkl": "0 0 0 1.0\n2000000000 0 0 1.0\n0 99999 99999 1.0\n",
        "eight.mat": "1 2 3\n4 5 6\n7 8\n",
        "flat.mat": "1 2 3\n2 4 6\n7 8 9\n",
        "word.txt": "-10 zero 0\n",
        "number.toml": f"{CUBE}path = 0\n",
        "two.toml": f"{CUBE}reflections = [[1, 2]]\n",
        "digits.toml": f"{CUBE}default_F = {'9' * 400}\n",
        "switch.toml": f'{CUBE}default_F = 1.0\n[beam]\npolarized = "no"\n',
        "place.toml": f'[nanobragg]\nflags = "{GOOD}"\npix0 = 5\n',
        "field.toml": "[crystal]\nsell = [1, 2, 3]\n[structure]\ndefault_F = 1.0\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "good.hkl").write_text("0 0 0 1.0\n1 0 0 2.0\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "binary.hkl").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "cut.bin").write_bytes(b"0 3 0 3 0 3\n\f" + b"\0" * 100)
    (tmp_path / "cut.img").write_bytes(smv(16, 100))
    (tmp_path / "good.img").write_bytes(smv(12, 144))
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_is_refused_in_one_line(
    name: str, workfolder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line that names the culprit, no traceback, no store."""
    argv, expected = CASES[name]
    before = sorted(workfolder.rglob("*"))
    code = main(["simulate", *argv.split(), "--out", "run.zarr"])
    said = capsys.readouterr()
    assert code == 2, said.err
    errors = [line for line in said.err.splitlines() if line.startswith("nbdask: error: ")]
    assert len(errors) == 1
    assert said.err.rstrip("\n").endswith(errors[0])
    assert expected in errors[0]
    assert "Traceback" not in said.err + said.out
    assert sorted(workfolder.rglob("*")) == before


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["simulat"], "simulate"),
        (["-cell", "1", "1", "1"], "nbdask simulate"),
        (["info"], "STORE"),
        (["info", "--jsn", "a.zarr"], "no such option: --jsn (did you mean --json?)"),
        (["verify", "-q", "a.zarr"], "no such option: -q (see nbdask verify --help)"),
        (["info", "none.zarr"], "none.zarr"),
        (["geometry", ""], "FILE '' is empty"),
        (["simulate", "--resume", "verify", "--out", "x.zarr"], "must be --resume=verify"),
        (["info", "folder"], "folder"),
        (["example", "unobtainium"], "unobtainium"),
        (["simulate", *GOOD.split()], "--out"),
    ],
)
def test_wrong_subcommands_and_arguments(
    argv: list[str], expected: str, workfolder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for everything that is not an experiment."""
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_existing_store_is_kept(workfolder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a store nor anything else is overwritten without being told to."""
    argv = ["simulate", *GOOD.split(), "--backend", "numpy", "--out", "run.zarr", "--quiet"]
    assert main(argv) == 0
    made = (workfolder / "run.zarr" / "zarr.json").read_bytes()
    assert main(argv) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (workfolder / "run.zarr" / "zarr.json").read_bytes() == made
    assert main([*argv[:-2], "folder", "--overwrite"]) == 2
    assert (workfolder / "folder").is_dir()
    assert main([*argv, "--overwrite"]) == 0
    assert (workfolder / "run.zarr" / "zarr.json").read_bytes() != made


def test_an_example_that_is_refused_leaves_nothing(
    workfolder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither list nor command line."""
    assert main(["example", "--out", "new", "--tile", "0"]) == 2
    assert "--tile" in capsys.readouterr().err
    assert not (workfolder / "new").exists()


def test_figures_that_cannot_be_kept_are_not_measured(
    workfolder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is looked at first."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", str(workfolder / "good.hkl"))
    assert main(["calibrate"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "NBDASK_CACHE_DIR" in said.err


def test_a_processor_that_there_is_not_stops_only_its_kernel(
    workfolder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The readable kernel and what only reads do without."""
    monkeypatch.setenv("NBDASK_PROCESSOR", "nonsense")
    argv = ["simulate", *GOOD.split(), "--out", "run.zarr"]
    assert main(argv) == 2
    assert "NBDASK_PROCESSOR=nonsense" in capsys.readouterr().err
    assert main([*argv, "--backend", "numpy"]) == 0
    assert main(["verify", "run.zarr"]) == 0
    assert main(["noise", "run.zarr", "--seed", "1", "--out", "noisy.zarr"]) == 0


def test_infinite_pixels_are_told(workfolder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in the store's notes."""
    argv = ["simulate", *GOOD.split(), "-fluence", "1e300", "--backend", "numpy"]
    assert main([*argv, "--out", "run.zarr"]) == 0
    assert "pixels exceed single precision" in capsys.readouterr().err
    assert main(["info", "run.zarr"]) == 0
    assert "pixels exceed single precision" in capsys.readouterr().out


def test_a_loop_of_links_is_no_store(workfolder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It leads nowhere, so nothing is replaced."""
    assert main(["simulate", *GOOD.split(), "--out", "loop", "--overwrite"]) == 2
    assert "is a symbolic link" in capsys.readouterr().err
    assert (workfolder / "loop").is_symlink()

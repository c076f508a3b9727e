"""Files of nanoBragg C's own formats: byte for byte what the C program writes."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.export.flags import flag_files
from nbdask.flags import Outputs, parse_args
from nbdask.inputs.smv import open_mask
from tests.conftest import golden_folder
from tests.export.stores import store_of
from tests.helpers import GOLDEN

HERE = Path(__file__).parent / "golden"
CASES = json.loads((HERE / "files.json").read_text())["cases"]
IMAGES = {**np.load(GOLDEN / "images.npz"), **np.load(HERE / "images.npz")}
FOLDER = golden_folder()
#: Cases of the full reference set that carry files.
KEPT: list[dict] = []
if FOLDER is not None:
    KEPT = [
        c
        for c in json.loads((FOLDER / "cases.json").read_text())
        if "int" in c.get("keep", []) or "noise" in c.get("keep", [])
    ]
NAMES = {"int": "int.img", "pgm": "image.pgm", "noise": "noise.img"}


def written(folder: Path, arguments: str, image: np.ndarray, inputs: Path) -> dict[str, bytes]:
    """Return what our flags write for C's float image; tiles of 64 pixels."""
    names = {"float": "f", "int": "i", "pgm": "p", "noise": "n"}
    flags = [word for kind, name in names.items() for word in (f"-{kind}file", str(folder / name))]
    parsed = parse_args([*arguments.split(), *flags], semantics="c", base_dir=inputs)
    store = store_of(folder / "a.zarr", parsed.experiment, image)
    for file in flag_files(parsed.outputs):
        file.check()
        file.write(store)
    return {kind: (folder / name).read_bytes() for kind, name in names.items()}


def digest(data: bytes) -> str:
    """Return the SHA-256."""
    return hashlib.sha256(data).hexdigest()


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_all_four_files_equal_those_of_c(name: str, tmp_path: Path) -> None:
    """Headers, scales, offsets, regions, masks and noise of every committed case."""
    facts = CASES[name]
    made = written(tmp_path, facts["arguments"], IMAGES[name], GOLDEN / "inputs")
    assert digest(made["float"]) == facts["float"]
    assert digest(made["pgm"]) == facts["pgm"]
    header = facts["header"].encode()
    size = len(made["int"]) - 2 * IMAGES[name].size
    # A header of more than 512 bytes makes C's file unreadable; ours says how long it is.
    ours = made["int"][:size].rstrip(b" ")
    assert ours == header.replace(b"BYTES=512", b"BYTES=%d" % size)
    assert size == (512 if len(header) <= 512 else 1024)
    assert digest(header.ljust(512) + made["int"][size:]) == facts["int"]
    if "-adc -" not in facts["arguments"]:  # C leaves counts below 0 undefined
        assert digest(header.ljust(512) + made["noise"][size:]) == facts["noise"]


@pytest.mark.shared
@pytest.mark.parametrize("case", KEPT or [{"name": "none"}], ids=lambda c: c["name"])
def test_reference_files(case: dict, golden: Path, tmp_path: Path) -> None:
    """The files of the full reference set, whole."""
    images = np.load(golden / "images" / f"{case['name']}.npz")
    made = written(tmp_path, case["args"], images[images.files[0]], golden / "inputs")
    compared = 0
    for kind, ending in NAMES.items():
        path = golden / "images" / f"{case['name']}.{ending}.gz"
        if path.is_file():
            assert made[kind] == gzip.decompress(path.read_bytes())
            compared += 1
    assert compared >= 1


def test_our_own_image_gives_the_same_files(tmp_path: Path) -> None:
    """From our simulation, where it equals C's to the last bit."""
    from nbdask.run import simulate

    facts = CASES["mosflm_default"]
    argv = facts["arguments"].split()
    for kind in ("float", "int", "pgm", "noise"):
        argv += [f"-{kind}file", str(tmp_path / kind)]
    parsed = parse_args(argv, semantics="c")
    simulate(parsed.experiment, tmp_path / "a.zarr", outputs=flag_files(parsed.outputs))
    ours = np.fromfile(tmp_path / "float", "<f4").reshape(40, 40)
    near = np.abs(ours - IMAGES["mosflm_default"]) <= 2e-7 * np.abs(ours)
    assert near.all()
    same = np.array_equal(ours, IMAGES["mosflm_default"])
    for kind in ("int", "pgm", "noise"):
        assert not same or digest((tmp_path / kind).read_bytes()) == facts[kind]
    assert digest((tmp_path / "int").read_bytes()) == facts["int"]


def test_only_files_that_are_named_are_written() -> None:
    """C's default names are left alone; -nopgm and -nonoise switch off what was named before."""
    assert flag_files(Outputs(scale=3.0, seed=1)) == []
    kept = flag_files(
        parse_args(
            ["-cell", "9", "-default_F", "1", "-pgmfile", "p", "-nopgm", "-noisefile", "n"]
        ).outputs
    )
    assert [file.flag for file in kept] == ["-noisefile"]
    argv = [
        "-cell",
        "9",
        "-default_F",
        "1",
        "-nopgm",
        "-pgmfile",
        "p",
        "-noisefile",
        "n",
        "-nonoise",
    ]
    assert [file.flag for file in flag_files(parse_args(argv).outputs)] == ["-pgmfile"]


def test_what_does_not_fit_16_bits_is_reported(tmp_path: Path) -> None:
    """Counts above 65535 and below 0, of the integer image and of the noise image."""
    facts = CASES["given_scales_overload"]
    parsed = parse_args([*facts["arguments"].split(), "-intfile", "i", "-noisefile", "n"])
    image = IMAGES["given_scales_overload"]
    store = store_of(tmp_path / "a.zarr", parsed.experiment, image)
    outputs = parsed.outputs
    files = flag_files(
        Outputs(
            intfile=str(tmp_path / "i"),
            noisefile=str(tmp_path / "n"),
            scale=outputs.scale,
            adc=outputs.adc,
            seed=outputs.seed,
        )
    )
    for file in files:
        file.write(store)
    value = image.astype(float) * 900.0 - 20.0
    above, below = (value > 65535).sum(), (value < 0).sum()
    assert above > 0
    assert below > 0
    assert files[0].remarks == [
        "scale 900, offset -20",
        f"{above} pixels above 65535 set to 65535",
        f"{below} pixels below 0 set to 0",
    ]
    counts = np.fromfile(tmp_path / "i", "<u2", offset=512)
    assert (counts == 65535).sum() >= above
    assert files[1].remarks[0] == "seed 99, 9179 photons, offset -20"
    assert files[1].remarks[1].endswith("pixels below 0 set to 0")


def test_a_seed_from_the_clock_is_told(tmp_path: Path) -> None:
    """So that the image can be made again; a negative seed is refused."""
    facts = CASES["zeros"]
    experiment = parse_args(facts["arguments"].split()).experiment
    store = store_of(tmp_path / "a.zarr", experiment, IMAGES["zeros"])
    (file,) = flag_files(Outputs(noisefile=str(tmp_path / "n")))
    file.write(store)
    assert "(from the clock)" in file.remarks[0]
    with pytest.raises(InputError, match="-seed -4"):
        flag_files(Outputs(noisefile=str(tmp_path / "m"), seed=-4))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "n"]


def test_a_mask_is_written_and_read_again(tmp_path: Path) -> None:
    """An integer image of zeros and ones with a long header serves as a mask."""
    facts = CASES["adxv_long_numbers"]
    parsed = parse_args([*facts["arguments"].split(), "-intfile", str(tmp_path / "m.img")])
    image = np.zeros((16, 24), np.float32)
    image[3:7, 5:] = 1.0
    store = store_of(tmp_path / "a.zarr", parsed.experiment, image)
    (file,) = flag_files(Outputs(intfile=str(tmp_path / "m.img"), scale=1.0, adc=0.0))
    file.write(store)
    assert np.array_equal(open_mask(str(tmp_path / "m.img")).read(0, 16, 0, 24), image != 0)

"""Headers of SMV, CBF, PGM and TIFF files: entries, sizes, and other programs' view of them."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
import tifffile
from PIL import Image

from nbdask.experiment import Beam, Detector, Scan
from nbdask.export.formats import export
from nbdask.export.geometry import geometry_of
from nbdask.export.pgm import pgm_header
from nbdask.export.picture import Picture
from nbdask.export.smv import automatic_scale, check_seed, smv_header
from nbdask.export.smv_adsc import file_bytes
from nbdask.flags import parse_args
from tests.export.stores import experiment_of, picture_of, rounded, store_of
from tests.helpers import small_experiment

SHAPE = (30, 44)
FLAT = Detector(pixels_slow=30, pixels_fast=44, pixel_size=1e-4, distance=0.15)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Photons."""
    return picture_of(SHAPE, high=50.0)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Path:
    """A store of a detector across the beam."""
    experiment = small_experiment(
        detector=FLAT,
        beam=Beam(wavelength=1.2345e-10, exposure=0.25, flux=1e11),
        scan=Scan(phi0=math.radians(30), osc=math.radians(0.5), count=2),
    )
    return store_of(tmp_path_factory.mktemp("h") / "flat.zarr", experiment, pixels, (16, 16))


def entries(header: bytes) -> dict[str, str]:
    """The entries of an SMV header."""
    text = header.decode().strip().removeprefix("{").partition("}")[0]
    items = (line.rstrip(";").partition("=") for line in text.strip().splitlines())
    return {key: value for key, _, value in items}


def test_smv_header_says_where_everything_is(flat: Path) -> None:
    """Millimetres, degrees, Angstrom; sizes and the length of the header itself."""
    picture = Picture(flat)
    found = entries(smv_header(picture.experiment, geometry_of(picture)))
    assert found["HEADER_BYTES"] == "512"
    assert (found["SIZE1"], found["SIZE2"]) == ("44", "30")
    assert (found["PIXEL_SIZE"], found["DISTANCE"]) == ("0.1", "150")
    assert found["WAVELENGTH"] == "1.2345"
    assert (found["PHI"], found["OSC_START"], found["OSC_RANGE"]) == ("30", "30", "0.5")
    assert (found["TYPE"], found["BYTE_ORDER"]) == ("unsigned_short", "little_endian")
    assert found["TWOTHETA"] == "0"


def test_the_beam_is_counted_from_an_edge_inside_a_pixel_as_in_c(
    tmp_path,
) -> None:
    """ADXV counts from the far edge, which C takes from the size in mm."""
    argv = "-cell 30 -default_F 1 -adxv -pixel 0.5 -detsize_s 15.1 -detsize_f 22 -Ybeam 6.25"
    experiment = parse_args(argv.split()).experiment
    store = store_of(tmp_path / "a.zarr", experiment, picture_of(SHAPE), (16, 16))
    whole = entries(smv_header(experiment, geometry_of(Picture(store))))
    assert (whole["SIZE2"], whole["BEAM_CENTER_Y"], whole["ADXV_CENTER_Y"]) == (
        "30",
        "6.25",
        "6.25",
    )
    part = Picture(store, roi=(4, 20, 0, 43))
    found = entries(smv_header(experiment, geometry_of(part)))
    assert float(found["BEAM_CENTER_Y"]) == pytest.approx(6.25 - (15.1 - 0.5 * 21))
    assert found["BEAM_CENTER_Y"] == found["ADXV_CENTER_Y"]


def test_beam_centres_of_different_programs_agree(flat: Path) -> None:
    """ADXV counts from the far edge, MOSFLM has half a pixel less, XDS counts pixels from 1/2."""
    picture = Picture(flat)
    g = geometry_of(picture)
    found = {
        name: float(value)
        for name, value in entries(smv_header(picture.experiment, g)).items()
        if name.startswith(("ADXV", "MOSFLM", "DENZO", "XDS"))
    }
    slow, fast = g.s_beam * 1e3, g.f_beam * 1e3
    assert found["DENZO_X_BEAM"] == pytest.approx(slow, rel=1e-5)
    assert found["DENZO_Y_BEAM"] == pytest.approx(fast, rel=1e-5)
    assert found["MOSFLM_CENTER_X"] == pytest.approx(slow - 0.05, rel=1e-5)
    assert found["MOSFLM_CENTER_Y"] == pytest.approx(fast - 0.05, rel=1e-5)
    assert found["ADXV_CENTER_X"] == pytest.approx(fast, rel=1e-5)
    assert found["ADXV_CENTER_Y"] == pytest.approx(3.0 - slow, rel=1e-5)
    assert found["XDS_ORGX"] == pytest.approx(fast / 0.1 + 0.5, rel=1e-5)
    assert found["XDS_ORGY"] == pytest.approx(slow / 0.1 + 0.5, rel=1e-5)


def test_a_long_header_takes_another_512_bytes(tmp_path: Path) -> None:
    """And says so, so that the pixels are found."""
    odd = Detector(
        pixels_slow=30,
        pixels_fast=44,
        pixel_size=1.23456789e-4,
        distance=0.123456789,
        rotx=0.0123456,
        roty=-0.0654321,
        twotheta=0.1234567,
    )
    experiment = small_experiment(detector=odd, beam=Beam(wavelength=1.23456789e-10))
    image = picture_of(SHAPE)
    store = store_of(tmp_path / "a.zarr", experiment, image, (16, 16))
    picture = Picture(store)
    header = smv_header(experiment, geometry_of(picture))
    assert len(header) % 512 == 0
    assert int(entries(header)["HEADER_BYTES"]) == len(header)
    export(store, tmp_path / "a.img", scale=1.0, adc=0.0, header="c")
    raw = (tmp_path / "a.img").read_bytes()
    assert raw.startswith(header)
    assert len(raw) == len(header) + 2 * image.size
    half = (np.clip(image.astype(float), 0, 65535) + 0.5).astype(np.float32)
    counts = np.floor(half).astype(np.uint16)
    assert np.array_equal(fabio.open(str(tmp_path / "a.img")).data, counts)


def test_smv_file_has_the_size_that_was_foretold(flat: Path, tmp_path: Path) -> None:
    """Room on the disk is asked for by it."""
    done = export(flat, tmp_path / "a.img")
    assert done.size == file_bytes(Picture(flat)) == 1024 + 2 * 30 * 44


def test_automatic_scale_makes_the_greatest_pixel_55000(
    flat: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    """40 is added; an image without light has the scale 1."""
    scale = automatic_scale(Picture(flat))
    assert scale == pytest.approx(55000 / pixels.max(), rel=1e-6)
    said = export(flat, tmp_path / "a.img").remarks
    assert said == (f"scale {scale:g}, offset 40",)
    assert fabio.open(str(tmp_path / "a.img")).data.max() == 55040
    dark = small_experiment(detector=FLAT)
    store = store_of(tmp_path / "dark.zarr", dark, np.zeros(SHAPE, np.float32), (16, 16))
    assert automatic_scale(Picture(store)) == 1.0
    export(store, tmp_path / "dark.img")
    assert (fabio.open(str(tmp_path / "dark.img")).data == 40).all()


@pytest.mark.parametrize("seed", [None, 0, 1, 2**40])
def test_seeds_of_the_noise_image(seed) -> None:
    """Any from 0 on; none is the clock's."""
    check_seed(seed)


@pytest.mark.parametrize("flag", ["-seed", "--seed"])
def test_negative_seeds_name_what_gave_them(flag) -> None:
    """Flag of nanoBragg, or option of the export."""
    with pytest.raises(ValueError, match=f"^{flag} -7: must be 0 or more"):
        check_seed(-7, flag)


def test_equal_seeds_give_equal_noise(flat: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Another seed another image; its mean is that of the photons, beside the offset."""
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        export(flat, tmp_path / f"{name}.img", "smv-noise", seed=seed, adc=10.0)
    a, b, c = ((tmp_path / f"{name}.img").read_bytes() for name in "abc")
    assert a == b != c
    counts = fabio.open(str(tmp_path / "a.img")).data.astype(float) - 10.0
    mean = float(pixels.mean(dtype=np.float64))
    error = math.sqrt(mean / pixels.size)
    assert abs(counts.mean() - mean) < 5 * error


def test_greymaps_are_read_by_pil(flat: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Pixels times the scale, cut off at 255; the scale stands in a comment."""
    export(flat, tmp_path / "a.pgm", scale=2.0)
    with Image.open(tmp_path / "a.pgm") as read:
        assert read.mode == "L"
        assert read.size == (44, 30)
        wanted = np.minimum(np.trunc(pixels.astype(float) * 2.0), 255)
        assert np.array_equal(np.asarray(read), wanted)
    raw = (tmp_path / "a.pgm").read_bytes()
    assert raw.startswith(pgm_header(Picture(flat), 2.0))
    assert pgm_header(Picture(flat), 2.0) == b"P5\n44 30\n# pixels scaled by 2\n255\n"


def test_automatic_grey_is_five_deviations(flat: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """250 for five standard deviations of the whole image, a cut-out's too."""
    scale = 250.0 / (5.0 * float(pixels.astype(np.float64).std(ddof=1)))
    for name, roi in (("a", None), ("b", (0, 9, 0, 9))):
        said = export(flat, tmp_path / f"{name}.pgm", roi=roi).remarks
        assert said == (f"scale {scale:g}",)


def test_a_flat_image_has_the_scale_of_the_integer_image(tmp_path: Path) -> None:
    """There is no deviation to scale by."""
    store = store_of(
        tmp_path / "a.zarr", small_experiment(detector=FLAT), np.full(SHAPE, 5.0, np.float32)
    )
    assert export(store, tmp_path / "a.pgm").remarks == ("scale 11000",)


def mini(path: Path) -> list[str]:
    """The lines of a CBF's mini header."""
    text = fabio.open(str(path)).header["_array_data.header_contents"]
    return [line.strip().removeprefix("# ") for line in text.splitlines() if line.strip()]


def test_mini_header_of_a_flat_detector(flat: Path, tmp_path: Path) -> None:
    """Units as DECTRIS writes them; no line about tilts, no remark either."""
    done = export(flat, tmp_path / "a.cbf")
    lines = mini(tmp_path / "a.cbf")
    for line in (
        "2026-01-02T03:04:05.000",
        "Pixel_size 100e-6 m x 100e-6 m",
        "Exposure_time 0.2500000 s",
        "Wavelength 1.2345 A",
        "Detector_distance 0.15 m",
        "Flux 1e+11",
        "Start_angle 30 deg.",
        "Angle_increment 0.5 deg.",
        "Detector_2theta 0 deg.",
        "Count_cutoff 2147483646 counts",
    ):
        assert line in lines
    assert not any(line.startswith(("Fast_axis", "Slow_axis", "Origin")) for line in lines)
    assert done.remarks == ()


def test_tilts_of_a_cbf_are_lines_of_their_own(tmp_path: Path) -> None:
    """Axes are unit vectors across each other; the origin is in metres."""
    experiment = experiment_of(*SHAPE)
    store = store_of(tmp_path / "a.zarr", experiment, picture_of(SHAPE), (16, 16))
    export(store, tmp_path / "a.cbf")
    numbers = {}
    for line in mini(tmp_path / "a.cbf"):
        word, *rest = line.split()
        if word in ("Fast_axis", "Slow_axis", "Origin", "Beam_axis"):
            numbers[word] = np.array([float(x) for x in rest[:3]])
    assert set(numbers) == {"Fast_axis", "Slow_axis", "Origin", "Beam_axis"}
    for name in ("Fast_axis", "Slow_axis", "Beam_axis"):
        assert np.linalg.norm(numbers[name]) == pytest.approx(1.0, abs=1e-10)
    assert numbers["Fast_axis"] @ numbers["Slow_axis"] == pytest.approx(0.0, abs=1e-10)
    assert numbers["Origin"] == pytest.approx(geometry_of(Picture(store)).origin, rel=1e-10)


def test_names_that_cif_cannot_have(tmp_path: Path) -> None:
    """A store's name becomes the block's: whatever is no plain letter is an underscore."""
    image = picture_of(SHAPE)
    store = store_of(tmp_path / "größe 7 (b).zarr", small_experiment(detector=FLAT), image)
    export(store, tmp_path / "a.cbf")
    raw = (tmp_path / "a.cbf").read_bytes()
    assert b"\r\ndata_gr__e_7__b_\r\n" in raw
    assert np.array_equal(fabio.open(str(tmp_path / "a.cbf")).data, rounded(image))


def test_cbf_says_how_many_bytes_follow(flat: Path, tmp_path: Path) -> None:
    """Size, elements and padding of the binary section are right to the byte."""
    export(flat, tmp_path / "a.cbf")
    raw = (tmp_path / "a.cbf").read_bytes()
    head, _, rest = raw.partition(b"\x0c\x1a\x04\xd5")
    fields = dict(
        line.partition(b":")[::2] for line in head.rpartition(b"--\r\n")[2].split(b"\r\n") if line
    )
    size = int(fields[b"X-Binary-Size"])
    assert int(fields[b"X-Binary-Number-of-Elements"]) == 30 * 44
    assert int(fields[b"X-Binary-Size-Fastest-Dimension"]) == 44
    assert int(fields[b"X-Binary-Size-Second-Dimension"]) == 30
    padding = int(fields[b"X-Binary-Size-Padding"])
    assert rest[size : size + padding] == bytes(padding)
    assert rest[size + padding :] == b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n"


def test_tiff_is_plain_enough_for_pil(flat: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Little-endian BigTIFF; PIL reads the float pixels."""
    export(flat, tmp_path / "a.tif")
    raw = (tmp_path / "a.tif").read_bytes()
    assert struct.unpack("<2sHH", raw[:6]) == (b"II", 43, 8)
    with Image.open(tmp_path / "a.tif") as read:
        assert np.array_equal(np.asarray(read, dtype=np.float32), pixels)


def test_description_of_a_tiff(flat: Path, tmp_path: Path) -> None:
    """What programs show: unit, geometry, fingerprint; of a cut-out its own beam centre."""
    fingerprint = Picture(flat).experiment.fingerprint()
    centres = []
    for name, roi in (("a", None), ("b", (10, 19, 4, 23))):
        export(flat, tmp_path / f"{name}.tif", roi=roi)
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as file:
            page: Any = file.pages[0]
            text = page.description
        assert "pixels in photons" in text
        assert "pixel size 0.1 mm" in text
        assert "wavelength 1.2345 Angstrom" in text
        assert f"fingerprint {fingerprint}" in text
        words = text.partition("beam centre ")[2].split()
        centres.append((float(words[0]), float(words[2])))
    assert centres[0][0] - centres[1][0] == pytest.approx(4.0)
    assert centres[0][1] - centres[1][1] == pytest.approx(10.0)


@pytest.mark.parametrize("ending", ["bin", "tif", "h5"])
def test_float_formats_keep_every_bit(
    flat: Path, tmp_path: Path, pixels: np.ndarray, ending: str
) -> None:
    """Of whatever number a pixel is."""
    import h5py

    export(flat, tmp_path / f"a.{ending}")
    if ending == "bin":
        found = np.fromfile(tmp_path / "a.bin", "<f4").reshape(SHAPE)
    elif ending == "tif":
        found = tifffile.imread(tmp_path / "a.tif")
    else:
        with h5py.File(tmp_path / "a.h5") as file:
            found = file["entry/data/data"][0]
    assert found.tobytes() == pixels.tobytes()

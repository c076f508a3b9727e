"""NXmx, CBF, TIFF and SMV: read back by the libraries that users' programs use."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest
import tifffile
from fabio.compression import compByteOffset, decByteOffset

from nbdask.errors import InputError, StoreError
from nbdask.experiment import Beam, Detector, Experiment, LabFrame, Sampling, Scan
from nbdask.experiment.flags import parse_args
from nbdask.export import picture as picture_module
from nbdask.export.cbf import pack
from nbdask.export.formats import FORMATS, export
from nbdask.export.nexus_frame import detector_chain
from nbdask.geometry.build import build_model
from nbdask.units import from_degrees
from tests.export.stores import store_of
from tests.helpers import GOLDEN, small_experiment

CASES = json.loads((GOLDEN / "cases.json").read_text())
RANDOM = np.random.default_rng(7)
DETECTOR = "entry/instrument/detector"


def picture_of(shape: tuple[int, int], high: float = 3000.0) -> np.ndarray:
    """Return photons with fractions and a few strong pixels."""
    image = RANDOM.gamma(0.5, 40.0, shape).astype(np.float32)
    image[RANDOM.random(shape) > 0.99] *= np.float32(high)
    return image


def experiment_of(rows: int, columns: int, **parts: Any) -> Experiment:
    """Return an experiment of a tilted detector, unless told otherwise."""
    detector = Detector(
        pixels_fast=columns,
        pixels_slow=rows,
        pixel_size=1.72e-4,
        distance=0.2313,
        rotx=0.03,
        roty=-0.02,
        twotheta=0.1,
    )
    return small_experiment(**{"detector": detector, **parts})


@pytest.fixture
def image() -> np.ndarray:
    """More than one tile, chunk and band, and no multiple of them."""
    return picture_of((150, 230))


@pytest.fixture
def store(tmp_path: Path, image: np.ndarray) -> Path:
    """A complete store with that image."""
    scan = Scan(phi0=from_degrees(12.5), osc=from_degrees(0.1), count=3)
    return store_of(tmp_path / "a.zarr", experiment_of(*image.shape, scan=scan), image)


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows, so that what is carried from one to the next is tested."""
    monkeypatch.setattr(picture_module, "BAND_BYTES", 1)
    monkeypatch.setattr(picture_module, "PIECE_BYTES", 230 * 4 * 7)


def rounded(image: np.ndarray) -> np.ndarray:
    """Return the nearest whole numbers."""
    return np.rint(image.astype(float)).astype(np.int32)


def follow(file: Any, path: str, point: np.ndarray) -> np.ndarray:
    """Take a point along a chain of NeXus axes, from its field to the lab."""
    while path != ".":
        field = file[path]
        vector = np.array(field.attrs["vector"])
        kind, value = field.attrs["transformation_type"], float(np.ravel(field[()])[0])
        if kind == "translation":
            assert field.attrs["units"] == "m"
            point = point + value * vector
        else:
            assert field.attrs["units"] == "deg"
            a = np.radians(value)
            point = (
                point * np.cos(a)
                + np.cross(vector, point) * np.sin(a)
                + vector * (vector @ point) * (1 - np.cos(a))
            )
        point = point + np.array(field.attrs["offset"])
        path = field.attrs["depends_on"]
    return point


def corner_of(file: Any, fast: float, slow: float) -> np.ndarray:
    """Return the NeXus position of a point of the detector, in pixels from its corner."""
    module = file[DETECTOR + "/module"]
    point = np.zeros(3)
    for name, count in (("fast_pixel_direction", fast), ("slow_pixel_direction", slow)):
        field = module[name]
        point = point + count * float(field[()]) * np.array(field.attrs["vector"])
    first = module["fast_pixel_direction"].attrs["depends_on"]
    assert first == module["slow_pixel_direction"].attrs["depends_on"]
    return follow(file, first, point)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_nexus_pixels_come_back(store, image, tmp_path, small_bands, dtype) -> None:
    """One frame of three dimensions, chunked, bitshuffled; the default plot finds it."""
    export(store, tmp_path / "a.h5", dtype=dtype)
    with h5py.File(tmp_path / "a.h5") as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        field = data[data.attrs["signal"]]
        assert field.shape == (1, *image.shape)
        assert field.chunks == (1, 150, 230)
        assert field.dtype == np.dtype(dtype)
        assert list(field._filters) == ["32008"]
        wanted = image if dtype == "float32" else rounded(image)
        assert np.array_equal(field[0], wanted)
        assert field == file[DETECTOR + "/data"]
        assert not file[DETECTOR + "/pixel_mask"][()].any()


#: What the application definition NXmx (nexusformat.org) asks for at least.
REQUIRED = (
    "entry/definition", "entry/start_time", "entry/end_time_estimated", "entry/data/data",
    "entry/sample/name", "entry/sample/depends_on", "entry/instrument/name",
    "entry/source/name",
    "entry/instrument/beam/incident_wavelength", "entry/instrument/beam/total_flux",
    f"{DETECTOR}/sensor_material", f"{DETECTOR}/sensor_thickness",
    f"{DETECTOR}/module/data_origin", f"{DETECTOR}/module/data_size",
    f"{DETECTOR}/module/fast_pixel_direction", f"{DETECTOR}/module/slow_pixel_direction",
)  # fmt: skip
CLASSES = {
    "entry": "NXentry", "entry/data": "NXdata", "entry/sample": "NXsample",
    "entry/sample/transformations": "NXtransformations", "entry/instrument": "NXinstrument",
    "entry/instrument/beam": "NXbeam", DETECTOR: "NXdetector", "entry/source": "NXsource",
    f"{DETECTOR}/module": "NXdetector_module",
    f"{DETECTOR}/transformations": "NXtransformations",
}  # fmt: skip


def test_nexus_has_what_nxmx_requires(store, tmp_path) -> None:
    """Fields, classes, units, times with Z, and what the experiment says."""
    export(store, tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        for path in REQUIRED:
            assert path in file, path
        for path, kind in CLASSES.items():
            assert file[path].attrs["NX_class"] == kind
        text = lambda path: file[path][()].decode()  # noqa: E731
        assert text("entry/definition") == "NXmx"
        assert text("entry/start_time") == "2026-01-02T03:04:05Z"
        assert text("entry/end_time_estimated").endswith("Z")
        assert file["entry/instrument/beam/incident_wavelength"][()] == pytest.approx(1.0)
        assert file["entry/instrument/beam/incident_wavelength"].attrs["units"] == "angstrom"
        assert file[DETECTOR + "/x_pixel_size"][()] == 1.72e-4
        assert list(file[DETECTOR + "/module/data_size"][()]) == [150, 230]
        phi = file[text("entry/sample/depends_on")]
        assert phi[0] == pytest.approx(12.5)
        assert file["entry/sample/transformations/phi_end"][0] == pytest.approx(12.6)
        experiment = Experiment.from_dict(json.loads(text("entry/nbdask/experiment")))
        assert experiment.fingerprint() == text("entry/nbdask/fingerprint")


PLACED = {
    name: words for name, words in CASES.items() if any(
        key in name for key in ("mosflm", "adxv", "denzo", "xds", "dials", "custom", "everything")
    )
}  # fmt: skip
PLACED |= {
    "denzo_all": CASES["denzo_pivot_sample"] + " -detector_rotx 3 -detector_roty 9 -twotheta -20",
    "mosflm_swing": CASES["mosflm_default"] + " -twotheta 25 -detector_rotz 4 -Xbeam 3",
    "long_axis": CASES["custom_sample_pivot"].replace("axis 0 1 0", "axis 0 1.2 0"),
}


@pytest.mark.parametrize("roi", [None, (5, 20, 9, 30)])
@pytest.mark.parametrize("name", PLACED)
def test_nexus_geometry_gives_our_positions(name: str, roi: Any, tmp_path: Path) -> None:
    """The chain of axes, followed, leads to each pixel's place; a cut-out stays where it was."""
    experiment = parse_args(PLACED[name].split(), base_dir=GOLDEN / "inputs").experiment
    model = build_model(experiment)
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros(experiment.shape, np.float32))
    export(store, tmp_path / "a.h5", roi=roi)
    slow0, fast0 = (roi[0], roi[2]) if roi else (0, 0)
    with h5py.File(tmp_path / "a.h5") as file:
        turn = file["entry/nbdask/lab_to_nexus"][()]
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(turn) == pytest.approx(1.0)
        assert turn @ model.beam == pytest.approx(np.array([0.0, 0.0, 1.0]), abs=1e-14)
        for fast, slow in ((0, 0), (12.5, 3.5), (20.5, 15.5), (0.5, 11.5)):
            wanted = (
                model.origin
                + (fast + fast0) * model.pixel_size * model.fast
                + (slow + slow0) * model.pixel_size * model.slow
            )
            found = corner_of(file, fast, slow)
            assert np.abs(turn.T @ found - wanted).max() < 1e-12
        spindle = file["entry/sample/transformations/phi"].attrs["vector"]
        assert np.linalg.norm(spindle) == pytest.approx(1.0)
        # The beam along +z meets the detector at its beam centre.
        x, y = (float(file[f"{DETECTOR}/beam_center_{k}"][()]) for k in "xy")
        spot = corner_of(file, x, y)
        assert np.abs(spot[:2]).max() < 1e-9
        assert spot[2] == pytest.approx(float(file[DETECTOR + "/distance"][()]), rel=1e-9)


def test_nexus_chain_is_made_of_the_tilts(store) -> None:
    """Tilts and swing are axes of their own; only what is no rotation is flattened."""
    from nbdask.export.geometry import geometry_of

    picture = picture_module.Picture(store)
    chain = detector_chain(picture.experiment, geometry_of(picture))
    names = [axis.name for axis in chain.axes]
    assert names == ["detector_rotx", "detector_roty", "detector_rotz", "two_theta", "translation"]
    assert chain.axes[3].value == pytest.approx(np.degrees(0.1))


def test_cbf_is_read_by_fabio(store, image, tmp_path, small_bands) -> None:
    """Pixels rounded to whole numbers, and the mini header's entries; MD5 and size are right."""
    done = export(store, tmp_path / "a.cbf")
    read = fabio.open(str(tmp_path / "a.cbf"))
    assert read.data.dtype == np.int32
    assert np.array_equal(read.data, rounded(image))
    text = read.header["_array_data.header_contents"]
    assert "# Pixel_size 172e-6 m x 172e-6 m" in text
    assert "# Wavelength 1 A" in text
    assert "# Start_angle 12.5 deg." in text
    assert "# Angle_increment 0.1 deg." in text
    assert "# Fast_axis " in text
    assert "tilts are in comment lines only" in done.remarks[-1]
    raw = (tmp_path / "a.cbf").read_bytes()
    begin = raw.index(b"\x0c\x1a\x04\xd5") + 4
    packed = raw[begin : begin + int(read.header["X-Binary-Size"])]
    assert packed == compByteOffset(rounded(image).reshape(-1))
    import base64
    import hashlib

    assert base64.b64decode(read.header["Content-MD5"]) == hashlib.md5(packed).digest()


def test_byte_offsets_carry_over() -> None:
    """Packed in pieces of any length: the bytes of packing at once, and the values again."""
    values = RANDOM.choice([0, 1, -1, 127, 128, 129, 40000, 2**31 - 2], 500).astype(np.int32)
    whole = compByteOffset(values)
    for length in (1, 2, 77, 500):
        before, parts = 0, []
        for start in range(0, 500, length):
            part = values[start : start + length]
            parts.append(pack(part, before))
            before = int(part[-1])
        assert b"".join(parts) == whole
    assert np.array_equal(np.asarray(decByteOffset(whole, size=500, dtype="int32")), values)


@pytest.mark.parametrize("dtype", [None, "int32"])
def test_tiff_is_read_by_tifffile(store, image, tmp_path, small_bands, dtype) -> None:
    """BigTIFF, tiles, the pixels; the resolution is that of the pixels."""
    export(store, tmp_path / "a.tif", dtype=dtype)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page: Any = file.pages[0]
        assert file.is_bigtiff
        assert page.is_tiled
        assert (page.tilelength, page.tilewidth) == (160, 240)
        assert np.array_equal(page.asarray(), rounded(image) if dtype else image)
        assert page.resolution == pytest.approx((0.01 / 1.72e-4,) * 2, rel=1e-6)
        assert "distance 231.3 mm" in page.description
    if dtype is None:
        assert np.array_equal(fabio.open(str(tmp_path / "a.tif")).data, image)


def test_tiff_of_several_tiles(tmp_path) -> None:
    """More than one tile along both axes, the last ones not full."""
    image = picture_of((530, 1100))
    detector = Detector(pixels_fast=1100, pixels_slow=530)
    store = store_of(
        tmp_path / "a.zarr", small_experiment(detector=detector), image, tile=(256, 300)
    )
    export(store, tmp_path / "a.tiff")
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), image)
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["entry/data/data"][0], image)


def test_smv_is_read_by_fabio(store, image, tmp_path) -> None:
    """Counts and geometry agree with the placed detector."""
    export(store, tmp_path / "a.img", scale=2.0, adc=10.0)
    read = fabio.open(str(tmp_path / "a.img"))
    value = np.clip(image.astype(float) * 2.0 + 10.0, 0, 65535)
    assert np.array_equal(read.data, np.floor(value + 0.5).astype(np.uint16))
    frame = build_model(picture_module.Picture(store).experiment)
    assert float(read.header["DISTANCE"]) == pytest.approx(frame.distance * 1e3, rel=1e-5)
    assert float(read.header["CLOSE_DISTANCE"]) == pytest.approx(
        frame.close_distance * 1e3, rel=1e-5
    )
    org = -frame.origin @ frame.fast / frame.pixel_size + 0.5
    assert float(read.header["XDS_ORGX"]) == pytest.approx(org, rel=1e-5)


@pytest.mark.parametrize("convention", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"])
def test_a_cut_out_is_a_detector_of_its_own(convention: str, tmp_path: Path, image) -> None:
    """Its SMV header, read as nanoBragg reads one, places its pixels where they were."""
    whole = experiment_of(*image.shape, frame=LabFrame(convention=convention))
    plain = Detector(pixels_fast=230, pixels_slow=150, pixel_size=1e-4, distance=0.1)
    whole = whole.replace(detector=plain)
    store = store_of(tmp_path / "a.zarr", whole, image)
    export(store, tmp_path / "b.img", roi=(40, 99, 25, 200), scale=1.0, adc=0.0)
    read = fabio.open(str(tmp_path / "b.img"))
    assert read.data.shape == (60, 176)
    words = ["-img", str(tmp_path / "b.img"), "-cell", "70", "-default_F", "1"]
    flag = [f"-{convention.lower()}"]
    part = build_model(parse_args([*words, *flag]).experiment)
    model = build_model(whole)
    wanted = model.origin + 1e-4 * (25 * model.fast + 40 * model.slow)
    if convention in ("XDS", "DIALS"):  # there the header's ORGX places the detector
        assert part.origin == pytest.approx(wanted, abs=2e-8)
    else:
        assert part.origin[:2] == pytest.approx(wanted[:2], abs=2e-8)
        assert part.origin == pytest.approx(wanted, abs=2e-8)


def test_a_cut_out_holds_its_pixels(store, image, tmp_path, small_bands) -> None:
    """Every format; scales are those of the whole image, noise is the whole image's."""
    cut = (slice(33, 101), slice(7, 200))
    roi = (33, 100, 7, 199)
    for name, ending in {"float": "bin", "smv": "img", "pgm": "pgm", "smv-noise": "n.img"}.items():
        seed = 5 if name == "smv-noise" else None
        for part in ("whole", "cut"):
            export(
                store, tmp_path / f"{part}.{ending}", name, seed=seed,
                roi=roi if part == "cut" else None,
            )  # fmt: skip
        kind = {"float": "<f4", "pgm": "u1"}.get(name, "<u2")
        raw = (tmp_path / f"whole.{ending}").read_bytes()
        pixels = np.frombuffer(raw[-image.size * np.dtype(kind).itemsize :], kind)
        wanted = np.ascontiguousarray(pixels.reshape(image.shape)[cut])
        assert (tmp_path / f"cut.{ending}").read_bytes().endswith(wanted.tobytes())
    export(store, tmp_path / "c.h5", roi=roi)
    with h5py.File(tmp_path / "c.h5") as file:
        assert np.array_equal(file["entry/data/data"][0], image[cut])
    export(store, tmp_path / "c.cbf", roi=roi)
    assert np.array_equal(fabio.open(str(tmp_path / "c.cbf")).data, rounded(image)[cut])


def test_what_was_not_measured_is_marked(tmp_path) -> None:
    """Mask, region of interest: pixel_mask of NXmx, -1 in CBF."""
    mask = str(GOLDEN / "inputs" / "mask.img")
    detector = Detector(pixels_fast=48, pixels_slow=40, pixel_size=3e-4)
    experiment = small_experiment(
        detector=detector, sampling=Sampling(oversample=1, mask=mask, roi=(3, 36, 4, 45))
    )
    model = build_model(experiment)
    assert model.mask is not None
    used = np.zeros((40, 48), np.bool_)
    used[3:37, 4:46] = model.mask.read(3, 37, 4, 46)
    assert 0 < used.sum() < 34 * 42
    image = np.where(used, picture_of((40, 48)), np.float32(0))
    store = store_of(tmp_path / "a.zarr", experiment, image)
    said = export(store, tmp_path / "a.h5", dtype="int32").remarks
    assert said[0] == f"{(~used).sum()} pixels masked"
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file[DETECTOR + "/pixel_mask"][()], np.where(used, 0, 256))
        assert np.array_equal(file[DETECTOR + "/data"][0], rounded(image))
    export(store, tmp_path / "a.cbf")
    found = fabio.open(str(tmp_path / "a.cbf")).data
    assert np.array_equal(found, np.where(used, rounded(image), -1))


def test_an_unfinished_store_needs_to_be_asked_for(tmp_path, image) -> None:
    """Missing pixels: NaN, -1 and masked, or 0; the scale is that of what is there."""
    store = store_of(tmp_path / "a.zarr", experiment_of(*image.shape), image, missing=(1, 5))
    there = np.ones(image.shape, np.bool_)
    there[0:64, 64:128] = there[64:128, 64:128] = False
    for ending in ("bin", "img", "pgm", "h5", "cbf", "tif"):
        with pytest.raises(StoreError, match=r"not complete.*--incomplete"):
            export(store, tmp_path / f"a.{ending}")
        export(store, tmp_path / f"a.{ending}", incomplete=True)
    raw = np.fromfile(tmp_path / "a.bin", "<f4").reshape(image.shape)
    assert np.array_equal(np.isnan(raw), ~there)
    assert np.array_equal(raw[there], image[there])
    counts = np.fromfile(tmp_path / "a.img", "<u2", offset=512).reshape(image.shape)
    assert counts[there].max() == 55040
    assert (counts[~there] == 0).all()
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file[DETECTOR + "/pixel_mask"][()] == 256, ~there)
    found = fabio.open(str(tmp_path / "a.cbf")).data
    assert np.array_equal(found, np.where(there, rounded(image), -1))


def test_values_beyond_32_bits_are_reported(tmp_path) -> None:
    """The greatest integer stands for them."""
    image = picture_of((20, 30))
    image[3, 4], image[5, 6] = 1e10, np.inf
    detector = Detector(pixels_fast=30, pixels_slow=20)
    store = store_of(tmp_path / "a.zarr", small_experiment(detector=detector), image)
    for ending in ("cbf", "h5", "tif"):
        dtype = None if ending == "cbf" else "int32"
        done = export(store, tmp_path / f"a.{ending}", dtype=dtype)
        most = 2**31 - 2 if ending == "cbf" else 2**31 - 1
        assert f"2 pixels above {most} set to {most}" in done.remarks
    assert fabio.open(str(tmp_path / "a.cbf")).data[3, 4] == 2**31 - 2


def test_several_wavelengths_are_listed(tmp_path) -> None:
    """Each once, with its share."""
    experiment = parse_args(CASES["divergence_dispersion"].split()).experiment
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((40, 40), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        waves = file["entry/instrument/beam/incident_wavelength"][()]
        share = file["entry/instrument/beam/incident_wavelength_weight"][()]
        assert waves == pytest.approx([0.995, 1.0, 1.005])
        assert share == pytest.approx([1 / 3] * 3)
        stokes = file["entry/instrument/beam/incident_polarisation_stokes"][()]
        assert stokes == pytest.approx(np.array([[1.0, 0.9, 0.0, 0.0]]))


def test_nothing_is_overwritten_or_left_behind(store, tmp_path, monkeypatch) -> None:
    """An existing file stays unless --overwrite; a failure leaves nothing new."""
    target = tmp_path / "a.pgm"
    target.write_bytes(b"old")
    with pytest.raises(StoreError, match="exists: add --overwrite"):
        export(store, target)
    assert target.read_bytes() == b"old"
    export(store, target, overwrite=True)
    assert target.read_bytes().startswith(b"P5\n230 150\n")
    for name, ending in (("nexus", "h5"), ("tiff", "tif"), ("cbf", "cbf"), ("smv", "img")):
        before = sorted(path.name for path in tmp_path.iterdir())

        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        module = importlib.import_module(f"nbdask.export.{name}")
        point = {"nexus": "_record", "tiff": "counts32", "cbf": "counts32", "smv": "counts16"}
        monkeypatch.setattr(module, point[name], fail)
        with pytest.raises(StoreError, match=rf"output .*a.{ending}: No space left"):
            export(store, tmp_path / f"a.{ending}", dtype="int32" if name == "tiff" else None)
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_mistakes_are_refused_with_what_is_allowed(store, tmp_path) -> None:
    """Unknown endings and formats, choices a format does not have, regions off the image."""
    refused = [
        (("a.xyz",), {}, "the ending .xyz tells no format"),
        (("a",), {}, "no ending tells no format"),
        (("a.img", "nxmxx"), {}, "no such format .did you mean nxmx"),
        (("a.cbf",), {"dtype": "int32"}, "--dtype has no meaning for cbf.*nxmx or tiff"),
        (("a.h5",), {"dtype": "int16"}, "--dtype int16: must be float32 or int32"),
        (("a.pgm",), {"seed": 4}, "--seed has no meaning for pgm"),
        (("a.img", "smv-noise"), {"scale": 4.0}, "--scale has no meaning for smv-noise"),
        (("a.img", "smv-noise"), {"seed": -4}, "-seed -4: must be 0 or more"),
        (("a.img",), {"scale": float("nan")}, "--scale nan: must be a finite"),
        (("a.img",), {"roi": (0, 3, 230, 231)}, "--roi 230 231 0 3: must be"),
        (("a.img",), {"roi": (5, 3, 0, 1)}, "--roi 0 1 5 3"),
    ]
    for words, choices, message in refused:
        with pytest.raises(InputError, match=message):
            export(store, tmp_path / words[0], *words[1:], **choices)
    with pytest.raises(StoreError, match="must lie outside the store"):
        export(store, store / "a.img")
    with pytest.raises(StoreError, match="does not exist"):
        export(tmp_path / "no.zarr", tmp_path / "a.img")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_missing_package_is_named(store, tmp_path, monkeypatch) -> None:
    """With the command that installs it."""
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "nbdask.export.nexus", raising=False)
    with pytest.raises(InputError, match=r'needs the package h5py: pip install "nbdask\[io\]"'):
        export(store, tmp_path / "a.h5")


def test_too_little_room_is_told_before(store, tmp_path, monkeypatch) -> None:
    """In numbers, with nothing written."""
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("nbdask.export.files.shutil.disk_usage", lambda _: usage(9, 9, 100))
    with pytest.raises(StoreError, match=r"needs 134.8 KiB, but only 100 B are free"):
        export(store, tmp_path / "a.bin")


def test_progress_reaches_the_end(store, tmp_path) -> None:
    """Rows done, rows in all; every format calls it."""
    for name, format_ in FORMATS.items():
        seen: list[tuple[int, ...]] = []

        def note(*rows: int, seen: list[tuple[int, ...]] = seen) -> None:
            seen.append(rows)

        ending = format_.suffixes[0] if format_.suffixes else ".n"
        export(store, tmp_path / f"{name}{ending}", name, progress=note)
        assert seen[-1] == (150, 150)


def test_a_beam_without_polarization_or_size_is_written(tmp_path) -> None:
    """Numbers that the experiment leaves open do not stop the export."""
    experiment = small_experiment(beam=Beam(polarized=False, beamsize=-1.0, exposure=0.0))
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((32, 24), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["entry/instrument/beam/incident_polarisation_stokes"][0, 1] == 0.0
        assert list(file["entry/instrument/beam/incident_beam_size"][()]) == [0.0, 0.0]

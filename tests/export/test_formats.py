"""NXmx, CBF, TIFF and SMV: read back by the libraries that users' programs use."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest
import tifffile
from fabio.compression import compByteOffset, decByteOffset

from nbdask.errors import InputError, StoreError
from nbdask.experiment import Detector, LabFrame, Sampling
from nbdask.export import picture as picture_module
from nbdask.export.cbf import pack
from nbdask.export.formats import FORMATS, export
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from tests.export.stores import experiment_of, picture_of, rounded, store_of
from tests.helpers import GOLDEN, small_experiment

RANDOM = np.random.default_rng(9)
DETECTOR = "entry/instrument/detector"


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
    assert done.remarks == ()
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
        with fabio.open(str(tmp_path / "a.tif")) as read:
            assert np.array_equal(read.data, image)


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
    """Counts, rounded to float32 as C does, and geometry agree with the placed detector."""
    done = export(store, tmp_path / "a.img", scale=2.0, adc=10.0, header="c")
    assert "DIALS reads another beam centre" in done.remarks[-1]
    read = fabio.open(str(tmp_path / "a.img"))
    value = np.clip(image.astype(float) * 2.0 + 10.0, 0, 65535)
    assert np.array_equal(read.data, np.floor((value + 0.5).astype(np.float32)).astype(np.uint16))
    frame = build_model(picture_module.Picture(store).experiment)
    assert float(read.header["DISTANCE"]) == pytest.approx(frame.distance * 1e3, rel=1e-5)
    assert float(read.header["CLOSE_DISTANCE"]) == pytest.approx(
        frame.close_distance * 1e3, rel=1e-5
    )
    org = -frame.origin @ frame.fast / frame.pitch_fast + 0.5
    assert float(read.header["XDS_ORGX"]) == pytest.approx(org, rel=1e-5)


@pytest.mark.parametrize("convention", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"])
def test_a_cut_out_is_a_detector_of_its_own(convention: str, tmp_path: Path, image) -> None:
    """Its SMV header, read as nanoBragg reads one, places its pixels where they were."""
    whole = experiment_of(*image.shape, frame=LabFrame(convention=convention))
    plain = Detector(pixels_fast=230, pixels_slow=150, pixel_size=1e-4, distance=0.1)
    whole = whole.replace(detector=plain)
    store = store_of(tmp_path / "a.zarr", whole, image)
    export(store, tmp_path / "b.img", roi=(40, 99, 25, 200), scale=1.0, adc=0.0, header="c")
    read = fabio.open(str(tmp_path / "b.img"))
    assert read.data.shape == (60, 176)
    argv = ["-img", str(tmp_path / "b.img"), "-cell", "70", "-default_F", "1"]
    flag = [f"-{convention.lower()}"]
    part = build_model(parse_args([*argv, *flag]).experiment)
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


def test_a_mask_that_is_gone_is_said(tmp_path) -> None:
    """The image can still be exported; its masked pixels are zeros like others."""
    mask = tmp_path / "mask.img"
    mask.write_bytes((GOLDEN / "inputs" / "mask.img").read_bytes())
    detector = Detector(pixels_fast=48, pixels_slow=40, pixel_size=3e-4)
    experiment = small_experiment(
        detector=detector, sampling=Sampling(oversample=1, mask=str(mask))
    )
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((40, 48), np.float32))
    mask.unlink()
    said = export(store, tmp_path / "a.cbf").remarks
    assert any("masked pixels are not marked" in line and "mask.img" in line for line in said)
    assert not fabio.open(str(tmp_path / "a.cbf")).data.any()


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
    counts = np.fromfile(tmp_path / "a.img", "<u2", offset=1024).reshape(image.shape)
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


def test_nothing_is_overwritten_or_left_behind(store, tmp_path, monkeypatch) -> None:
    """An existing file stays unless --overwrite; a failure leaves nothing new."""
    target = tmp_path / "a.pgm"
    target.write_bytes(b"old")
    with pytest.raises(StoreError, match="exists already: --overwrite"):
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
        with pytest.raises(StoreError, match=rf"a.{ending}: cannot be written: No space left"):
            export(store, tmp_path / f"a.{ending}", dtype="int32" if name == "tiff" else None)
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_mistakes_are_refused_with_what_is_allowed(store, tmp_path) -> None:
    """Unknown endings and formats, choices a format does not have, regions off the image."""
    refused = [
        (("a.xyz",), {}, "unknown ending .xyz"),
        (("a",), {}, "no ending; known are"),
        (("a.img", "nxmxx"), {}, "unknown format .did you mean nxmx"),
        (("a.cbf",), {"dtype": "float32"}, "--dtype is not used by cbf.*nxmx or tiff"),
        (("a.h5",), {"dtype": "int16"}, "--dtype int16: must be float32 or int32"),
        (("a.pgm",), {"seed": 4}, "--seed is not used by pgm"),
        (("a.img", "smv-noise"), {"scale": 4.0}, "--scale is not used by smv-noise"),
        (("a.img", "smv-noise"), {"seed": -4}, "-seed -4: must be 0 or more"),
        (("a.img",), {"scale": float("nan")}, "--scale nan: must be a finite"),
        (("a.img",), {"roi": (0, 3, 230, 231)}, "--roi 0 3 230 231: must be"),
        (("a.img",), {"roi": (5, 3, 0, 1)}, "--roi 5 3 0 1"),
        (("a.img",), {"roi": 3}, "--roi 3: must be four whole numbers"),
        (("a.img",), {"roi": (0, 1, 0, 1.5)}, "must be four whole numbers"),
        (("a.img",), {"roi": (0, 150, 0, 1)}, "--roi 0 150 0 1: must be within 0 to 149 along"),
        (("a.img",), {"scale": -1.0}, "--scale -1: must be above 0"),
        (("a.img",), {"scale": "2"}, "--scale '2': must be a number above 0"),
        ((3,), {}, "3 is not a path"),
    ]
    for argv, choices, message in refused:
        path = argv[0] if isinstance(argv[0], int) else tmp_path / argv[0]
        with pytest.raises(InputError, match=message):
            export(store, path, *argv[1:], **choices)
    with pytest.raises(StoreError, match="must lie outside the store"):
        export(store, store / "a.img")
    with pytest.raises(StoreError, match="None is not a path"):
        export(None, tmp_path / "a.img")
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
    # How much HDF5 will pack is not known before: it is asked for band by band.
    with pytest.raises(StoreError, match=r"output .*a.h5: cannot be written: No space left"):
        export(store, tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_progress_reaches_the_end(store, tmp_path) -> None:
    """Rows done, rows in all; every format calls it."""
    for name, format_ in FORMATS.items():
        seen: list[tuple[int, ...]] = []

        def note(*rows: int, seen: list[tuple[int, ...]] = seen) -> None:
            seen.append(rows)

        ending = format_.suffixes[0] if format_.suffixes else ".n"
        export(store, tmp_path / f"{name}{ending}", name, progress=note)
        if name not in ("geom", "expt"):
            assert seen[-1] == (150, 150)

"""nanoBragg's own photon noise: the sequence, photon by photon, as the C program draws it."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from nbdask.derive.noise_c import CNoise
from nbdask.errors import InputError
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from tests.conftest import golden_folder
from tests.helpers import GOLDEN

FILES = Path(__file__).parents[1] / "export" / "golden"
CASES = json.loads((FILES / "files.json").read_text())["cases"]
IMAGES = {**np.load(GOLDEN / "images.npz"), **np.load(FILES / "images.npz")}
FOLDER = golden_folder()
#: Without the case of counts below 0: C does not define how they become unsigned.
DEFINED = [name for name, facts in CASES.items() if "-adc -" not in facts["arguments"]]
SHARED = ["float_int_pgm_noise", "noise_bright", "noise_very_bright", "noise_water"]


def drawn(name: str, heights: int) -> tuple[np.ndarray, float, int, np.ndarray]:
    """Return photons in raster order, their sum, overloads and counts, so many rows at a time."""
    parsed = parse_args(CASES[name]["arguments"].split(), base_dir=GOLDEN / "inputs")
    slow0, slow1, fast0, fast1 = build_model(parsed.experiment).roi
    inside = IMAGES[name][slow0 : slow1 + 1, fast0 : fast1 + 1]
    noise = CNoise(parsed.outputs.seed or 0)
    rows = [noise.image_rows(inside[i : i + heights]) for i in range(0, len(inside), heights)]
    photons = np.concatenate(rows).astype(np.float64)
    counts = photons + parsed.outputs.adc
    whole = np.zeros(IMAGES[name].shape, np.uint16)
    whole[slow0 : slow1 + 1, fast0 : fast1 + 1] = np.clip(counts, 0, 65535).astype(np.uint16)
    return photons, float(photons.sum()), int((counts > 65535.0).sum()), whole


@pytest.mark.parametrize("name", CASES)
def test_photons_and_overloads_are_those_that_c_prints(name: str) -> None:
    """Every case, all three methods among them; the image is passed on in bands of 7 rows."""
    _, total, overloads, _ = drawn(name, 7)
    assert total == pytest.approx(CASES[name]["photons"], rel=1e-12, abs=0.5)
    assert overloads == CASES[name]["overloads"]


@pytest.mark.parametrize("name", DEFINED)
def test_pixels_are_those_of_the_file_that_c_writes(name: str) -> None:
    """The checksum of C's file is that of its header, padded, and our pixels."""
    header = CASES[name]["header"].encode().ljust(512)
    made = header + drawn(name, 10**6)[3].astype("<u2").tobytes()
    assert hashlib.sha256(made).hexdigest() == CASES[name]["noise"]


def test_bands_do_not_matter() -> None:
    """One row at a time, or all at once: the same photons, and other ones with another seed."""
    means = np.concatenate([IMAGES["all_methods"], IMAGES["all_methods"] * np.float32(1e-3)])
    whole = CNoise(31).image_rows(means)
    noise = CNoise(31)
    assert np.array_equal(whole, np.concatenate([noise.image_rows(r[None]) for r in means]))
    assert not np.array_equal(whole, CNoise(32).image_rows(means))


def test_means_that_are_no_numbers_end() -> None:
    """NaN gives NaN, infinity infinity or NaN, zero 0, and the sequence goes on."""
    photons = CNoise(1).image_rows(np.array([[np.nan, np.inf, 0.0, 3.0]], np.float32))[0]
    assert np.isnan(photons[0])
    assert not np.isfinite(photons[1])
    assert photons[2] == 0.0
    assert photons[3] >= 0.0


def test_a_negative_seed_is_refused() -> None:
    """With it C goes on where the mosaic domains' numbers ended."""
    with pytest.raises(InputError, match="-seed -3: must be 0 or more"):
        CNoise(-3)


@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_full_reference_images(name: str, golden: Path) -> None:
    """The noise images of the full reference set, byte for byte."""
    facts = {c["name"]: c["args"] for c in json.loads((golden / "cases.json").read_text())}
    outputs = parse_args(facts[name].split(), base_dir=golden / "inputs").outputs
    images = np.load(golden / "images" / f"{name}.npz")
    counts = CNoise(outputs.seed or 0).image_rows(images[images.files[0]]) + outputs.adc
    raw = gzip.decompress((golden / "images" / f"{name}.noise.img.gz").read_bytes())
    assert np.clip(counts, 0, 65535).astype("<u2").tobytes() == raw[512:]

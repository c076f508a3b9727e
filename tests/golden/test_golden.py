"""Every golden case: the image and statistics of nanoBragg C."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from tests.helpers import GOLDEN, PARITY, deviation, golden_cases, tile_image

IMAGES = np.load(GOLDEN / "images.npz")
PROVENANCE = json.loads((GOLDEN / "provenance.json").read_text())


#: (backend, precision) -> bound of the worst deviation.
BOUNDS = {
    ("numpy", "float64"): PARITY,
    ("cpu", "float64"): PARITY,
    ("cpu", "mixed"): 1e-5,
    ("cuda-host", "float64"): PARITY,
    ("cuda-host", "mixed"): 1e-5,
    ("cuda-host", "pairs"): 1e-5,
}


@pytest.mark.parametrize("kernel", BOUNDS, ids="-".join)
@pytest.mark.parametrize("name", golden_cases())
def test_image_equals_that_of_the_c_program(
    name: str, kernel: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worst pointwise relative deviation within float32 rounding, or the precision's bound."""
    monkeypatch.chdir(GOLDEN / "inputs")
    parsed = parse_args(golden_cases()[name].split(), semantics="c")
    image = tile_image(build_model(parsed.experiment), get_kernel(*kernel))
    assert image.dtype == np.float32
    assert deviation(image, IMAGES[name]) <= BOUNDS[kernel]


def test_every_golden_image_has_its_provenance() -> None:
    """Images, cases and records name the same cases, and the checksums match."""
    assert set(IMAGES.files) == set(golden_cases()) == set(PROVENANCE["cases"])
    for name, record in PROVENANCE["cases"].items():
        assert record["arguments"] == golden_cases()[name]
        assert hashlib.sha256(IMAGES[name].tobytes()).hexdigest() == record["sha256"]


def test_golden_inputs_are_the_ones_that_the_c_program_read() -> None:
    """Checksums of the input files."""
    files = (GOLDEN / "inputs").iterdir()
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert found == PROVENANCE["inputs"]
    assert len(PROVENANCE["program_sha256"]) == 64
    assert PROVENANCE["date"]

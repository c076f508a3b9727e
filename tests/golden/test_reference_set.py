"""The full set of reference images of nanoBragg C, where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from nbdask.plan.tiles import Tile
from tests.conftest import golden_folder
from tests.helpers import PARITY, tile_image

FOLDER = golden_folder()
CASES: dict[str, str] = {}
FACTS: dict[str, dict] = {}
if FOLDER is not None:
    CASES = {c["name"]: c["args"] for c in json.loads((FOLDER / "cases.json").read_text())}
    FACTS = {c["name"]: c for c in json.loads((FOLDER / "index.json").read_text())}
#: (backend, precision) -> bound of the worst deviation.
BOUNDS = {
    ("numpy", "float64"): PARITY,
    ("cpu", "float64"): PARITY,
    ("cpu", "mixed"): 1e-5,
    ("cuda-host", "float64"): PARITY,
    ("cuda-host", "mixed"): 1e-5,
    ("cuda-host", "pairs"): 1e-5,
}

pytestmark = [pytest.mark.shared, pytest.mark.long]


@pytest.mark.parametrize("kernel", BOUNDS, ids="-".join)
@pytest.mark.parametrize("name", CASES or ["none"])
def test_every_stored_region_equals_the_c_program(
    name: str, kernel: tuple[str, str], golden: Path
) -> None:
    """Worst pointwise relative deviation, with a floor of 1e-6 of the image's maximum."""
    parsed = parse_args(CASES[name].split(), semantics="c", base_dir=golden / "inputs")
    model = build_model(parsed.experiment)
    fact = FACTS[name]
    assert [model.n_slow, model.n_fast] == fact["shape"]
    whole = [[0, model.n_slow, 0, model.n_fast]]
    images = np.load(golden / "images" / f"{name}.npz")
    for key, (slow0, slow1, fast0, fast1) in zip(
        images.files, fact.get("store") or whole, strict=True
    ):
        ours = tile_image(model, get_kernel(*kernel), Tile(slow0, slow1, fast0, fast1))
        scale = np.maximum(np.abs(images[key].astype(float)), 1e-6 * fact["max"])
        assert float(np.max(np.abs(ours - images[key].astype(float)) / scale)) <= BOUNDS[kernel]

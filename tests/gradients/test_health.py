"""Gradients of a full set of command lines, where it is at hand: finite, or refused with a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.parameters import FIELDS, parameters_of, refusal
from nbdask.gradients.planes import tile_planes
from nbdask.gradients.work import choose_backend, region_of, slope_kernel
from nbdask.kernels.carry_over import patch_carry_over
from nbdask.kernels.cpu import CpuKernel
from nbdask.native.library import available
from nbdask.plan.tiles import Tile
from tests.conftest import golden_folder

FOLDER = golden_folder()
CASES: dict[str, str] = {}
if FOLDER is not None:
    CASES = {c["name"]: c["args"] for c in json.loads((FOLDER / "cases.json").read_text())}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.long,
    pytest.mark.skipif(not available(), reason="there is no compiled library"),
]


@pytest.mark.parametrize("semantics", ["c", "spec"])
@pytest.mark.parametrize("name", CASES or ["none"])
def test_every_case_has_derivatives_or_a_reason(name: str, semantics: str, golden: Path) -> None:
    """The image beside them is that of the kernel; a few rows of each."""
    experiment = parse_args(
        CASES[name].split(), semantics=semantics, base_dir=golden / "inputs"
    ).experiment
    model = build_model(experiment)
    names = [field for field in FIELDS if refusal(experiment, field, model) is None]
    if not names:
        assert refusal(experiment, "crystal.turn.x") is not None
        return
    few = model.n_steps > 3000
    slow = model.n_slow // 2
    tile = Tile(slow, min(slow + (1 if few else 12), model.n_slow), 0, min(model.n_fast, 60))
    found = region_of(model, tile)
    if found is None:
        return
    basis = basis_of(experiment, model, parameters_of(names))
    planes = tile_planes(slope_kernel(choose_backend(None, model, basis)), model, basis, *found)
    assert np.isfinite(planes).all()
    kernel = CpuKernel()
    image = patch_carry_over(model, kernel, found[0], kernel.image(model, *found)[0])
    assert np.abs(planes[0] - image).max() <= 3e-7 * max(np.abs(image).max(), 1e-30)

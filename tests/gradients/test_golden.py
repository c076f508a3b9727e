"""Derivatives against a full set of reference values, where it is at hand."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.compiled import CpuSlopes
from nbdask.gradients.parameters import parameters_of
from nbdask.gradients.planes import ReferenceSlopes, SlopeKernel, tile_planes
from nbdask.gradients.work import card_slopes
from nbdask.native.library import available
from tests.conftest import golden_folder
from tests.helpers import whole

FOLDER = golden_folder()
FILE = None if FOLDER is None else FOLDER / "gradients" / "gradients.json"
CASES = json.loads(FILE.read_text())["experiments"] if FILE is not None and FILE.is_file() else {}
DEGREE, ANGSTROM, MM = math.pi / 180.0, 1e-10, 1e-3
#: Name there -> name here, and their unit in ours.
NAMES = {
    **{f"misset_{end}": (f"crystal.misset.{end}", DEGREE) for end in "xyz"},
    **{f"cell_{end}": (f"crystal.cell.{end}", ANGSTROM) for end in "abc"},
    "cell_al": ("crystal.cell.alpha", DEGREE),
    "cell_be": ("crystal.cell.beta", DEGREE),
    "cell_ga": ("crystal.cell.gamma", DEGREE),
    **{f"N{end}": (f"crystal.n_cells.{end}", 1.0) for end in "abc"},
    "mosaic": ("crystal.mosaic_spread", DEGREE),
    "fudge": ("crystal.fudge", 1.0),
    "fluence": ("beam.fluence", 1.0),
    "lam": ("beam.wavelength", ANGSTROM),
    "kahn": ("beam.polarization", 1.0),
    "distance": ("detector.distance", MM),
    "detrotx": ("detector.rotx", DEGREE),
    "detroty": ("detector.roty", DEGREE),
    "detrotz": ("detector.rotz", DEGREE),
    "twotheta": ("detector.twotheta", DEGREE),
    "xbeam": ("detector.beam_x", MM),
    "ybeam": ("detector.beam_y", MM),
    "orgx": ("detector.org_x", 1.0),
    "orgy": ("detector.org_y", 1.0),
    "mu": ("detector.attenuation", 1.0),
    "phi0": ("scan.phi0", DEGREE),
    "osc": ("scan.osc", DEGREE),
    "water": ("background.water", 1e-6),
}
KERNELS: dict[str, SlopeKernel] = {"numpy": ReferenceSlopes()}
if available():
    KERNELS["cpu"] = CpuSlopes()
if shutil.which("g++") is not None:
    KERNELS["cuda-host"] = card_slopes("cuda-host")

pytestmark = [pytest.mark.shared, pytest.mark.long]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", CASES or ["none"])
def test_every_derivative_equals_the_reference(name: str, kernel: str, golden: Path) -> None:
    """To 1e-11 of the plane's maximum, 1e-8 of a pixel with a floor of 1e-6 of the maximum.

    At the top of a peak a derivative is what rounding left of the distance from it.
    """
    case = CASES[name]
    experiment = parse_args(
        case["args"].split()[1:], semantics="spec", base_dir=golden / "gradients"
    ).experiment
    model = build_model(experiment)
    parameters = parameters_of([NAMES[key][0] for key in case["derivatives"]])
    basis = basis_of(experiment, model, parameters)
    planes = tile_planes(KERNELS[kernel], model, basis, whole(model))
    slow, fast = np.array(case["pixels"]).T
    weights = np.cos(
        0.37 * np.arange(model.n_slow)[:, None] + 0.73 * np.arange(model.n_fast)[None, :]
    )
    assert np.allclose(planes[0][slow, fast], case["image"]["at"], rtol=1e-10, atol=0.0)
    for (key, expected), plane in zip(case["derivatives"].items(), planes[1:], strict=True):
        ours, top = plane * NAMES[key][1], expected["max_abs"]
        away = np.abs(ours[slow, fast] - expected["at"])
        assert away.max() <= 1e-11 * top, key
        assert (away / np.maximum(np.abs(expected["at"]), 1e-6 * top)).max() <= 1e-8, key
        assert abs(np.abs(ours).max() / top - 1.0) <= 1e-11, key
        spread = expected["weighted_abs_sum"]
        assert abs(ours.sum() - expected["sum"]) <= 1e-11 * spread, key
        assert abs((weights * ours).sum() - expected["weighted_sum"]) <= 1e-11 * spread, key

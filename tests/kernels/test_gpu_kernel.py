"""What only a GPU can show; that it computes what other kernels do is in ``test_kernels.py``."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.registry import get_kernel
from tests.helpers import GOLDEN, PARITY, deviation, golden_cases, tile_image, whole
from tests.kernels.features import CASES, model_of
from tests.kernels.suite import all_steps, same

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(
    ("precision", "bound"), [("float64", PARITY), ("mixed", 1e-5), ("pairs", 1e-5)]
)
@pytest.mark.parametrize("name", golden_cases())
def test_image_equals_that_of_the_c_program(name, precision, bound, monkeypatch):
    """The golden cases."""
    monkeypatch.chdir(GOLDEN / "inputs")
    parsed = parse_args(golden_cases()[name].split(), semantics="c")
    image = tile_image(build_model(parsed.experiment), get_kernel("cuda", precision))
    assert deviation(image, np.load(GOLDEN / "images.npz")[name]) <= bound


@pytest.mark.parametrize(("name", "semantics"), CASES)
def test_the_gpu_has_the_bits_of_the_processor(name, semantics):
    """Division and root are those of IEEE 754, and nothing is fused that the text does not fuse."""
    model = model_of(name, semantics)
    tile, steps = whole(model), all_steps(model)
    device, processor = get_kernel("cuda"), CpuKernel()
    ours, theirs = (kernel.partial(model, tile, steps, None) for kernel in (device, processor))
    assert same(ours.total, theirs.total)
    assert ours.outside == theirs.outside
    if theirs.gain is not None:
        assert same(ours.gain, theirs.gain)
    assert same(*(k.finish(model, tile, theirs, None) for k in (device, processor)))

"""The loops compiled for arm64, run in an emulator: the same bits as on this machine."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

import hatch_build
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels
from nbdask.native.sources import SOURCES
from nbdask.plan.tiles import Tile
from tests.helpers import whole
from tests.kernels.features import CASES, model_of
from tests.kernels.suite import all_steps, same
from tests.kernels.test_bits import random_experiment

COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
RANDOM = 100

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        COMPILER is None, reason="aarch64-linux-gnu-g++ (g++-aarch64-linux-gnu) is not on the path"
    ),
    pytest.mark.skipif(
        EMULATOR is None, reason="qemu-aarch64 (package qemu-user-static) is not on the path"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The loops with the flags of the package's build, and a program that calls them."""
    flags = (*hatch_build.FLAGS, *hatch_build.LEVEL_FLAGS["aarch64"])
    about = ('-DNB_SOURCES="test"', '-DNB_RECIPE="test"')
    made = tmp_path_factory.mktemp("arm") / "replay"
    texts = [*SOURCES.glob("*.cpp"), SOURCES.parents[2] / "tests" / "kernels" / "replay.cpp"]
    command = [COMPILER, *flags, *about, "-static", f"-I{SOURCES}", *texts, "-o", made]
    subprocess.run(command, check=True)
    return made


def models():
    """All features, and experiments drawn by lot, each with a tile and perhaps a mask."""
    for name, semantics in CASES:
        yield model_of(name, semantics), whole(model_of(name, semantics)), None
    random = np.random.default_rng(77)
    for _ in range(RANDOM):
        model = build_model(random_experiment(random))
        tile = Tile(0, min(3, model.n_slow), 0, model.n_fast)
        mask = random.random(tile.shape) < 0.7
        mask[0, 0] = True
        yield model, tile, mask


def dumped(model, tile, mask):
    """Return what the loops are called with as bytes."""
    packed, active = pack(model), active_pixels(tile, mask)
    told = arguments(packed.values, tile, all_steps(model), active)
    listed = np.zeros(0, dtype=np.int32) if active is None else active
    parts = (np.asarray(told), packed.axes, packed.sources, packed.table, listed)
    sizes = [parts[0].nbytes, *(part.size for part in parts[1:])]
    return b"".join([np.array(sizes).tobytes(), *(part.tobytes() for part in parts)])


def test_arm_has_the_same_bits(program):
    """Sums, gains, counts and photons."""
    cases = list(models())
    given = np.array(len(cases)).tobytes() + b"".join(dumped(*case) for case in cases)
    done = subprocess.run([EMULATOR, program], input=given, capture_output=True, check=True)
    place = 0

    def taken(count, kind):
        nonlocal place
        values = np.frombuffer(done.stdout, kind, count, place)
        place += values.nbytes
        return values

    kernel = CpuKernel()
    for number, (model, tile, mask) in enumerate(cases):
        partial = kernel.partial(model, tile, all_steps(model), mask)
        photons = kernel.finish(model, tile, partial, mask)
        inside = np.ones(tile.shape, dtype=np.bool_) if mask is None else mask
        count = int(inside.sum())
        assert taken(1, np.int64)[0] == partial.outside, number
        assert same(taken(count, np.float64), partial.total[inside]), number
        if partial.gain is not None:
            assert same(taken(count, np.float64), partial.gain[inside]), number
        assert same(taken(count, np.float32), photons[inside]), number
    assert place == len(done.stdout)

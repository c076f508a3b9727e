"""The loops in programs of their own: for arm64 in an emulator; with checks of every access."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.cull import make_inputs
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels
from nbdask.native import library, sources
from nbdask.native.sources import SOURCES
from nbdask.plan.tiles import Tile
from tests.helpers import whole
from tests.kernels.compiled import hatch_build
from tests.kernels.features import CASES, model_of
from tests.kernels.suite import all_steps, same
from tests.kernels.test_bits import random_experiment

COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
LEVELS = sources.LEVELS.get(sources.machine_name(platform.machine()), ())
RANDOM = 100

pytestmark = pytest.mark.long

needs_emulator = pytest.mark.skipif(
    COMPILER is None or EMULATOR is None,
    reason="aarch64-linux-gnu-g++ (package g++-aarch64-linux-gnu) or qemu-aarch64 (package"
    " qemu-user-static) is not on the path",
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")


def build(folder, compiler, *flags):
    """Return a program of the loops and ``replay.cpp``, with the flags of the package's build."""
    texts = [SOURCES / "cpu.cpp", Path(__file__).parent / "replay.cpp"]
    made = folder / "replay"
    command = [compiler, *hatch_build.FLAGS, *flags, f"-I{SOURCES}", *texts, "-o", made]
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
    cull: list[np.ndarray] = [np.zeros(0, dtype=np.uint8)] * 3
    if (inputs := make_inputs(model, narrow=False)) is not None:
        cull = [np.frombuffer(bytes(inputs.struct), np.uint8), inputs.turns, inputs.lanes]
    parts = (np.asarray(told), packed.axes, packed.sources, packed.table, listed, *cull)
    sizes = [parts[0].nbytes, *(part.size for part in parts[1:])]
    sizes[5] = int(cull[0].size > 0)
    return b"".join([np.array(sizes).tobytes(), *(part.tobytes() for part in parts)])


def check(command, cases):
    """Run a program on cases and compare what it writes with this processor's results."""
    given = np.array(len(cases)).tobytes() + b"".join(dumped(*case) for case in cases)
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
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


@needs_emulator
def test_arm_has_the_same_bits(tmp_path):
    """Sums, gains, counts and photons."""
    program = build(tmp_path, COMPILER, *hatch_build.LEVEL_FLAGS["aarch64"], "-static")
    check([EMULATOR, program], list(models()))


@needs_compiler
@pytest.mark.parametrize("level", sorted({LEVELS[0], LEVELS[-1]}) if LEVELS else ())
def test_no_access_is_out_of_bounds(tmp_path, level):
    """The highest and the lowest level, with checks of addresses and of undefined behaviour."""
    if level not in library.levels():
        pytest.skip(f"this processor cannot run {level}")
    checks = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = build(tmp_path, "g++", *hatch_build.LEVEL_FLAGS[level], *checks)
    check([program], list(models()))

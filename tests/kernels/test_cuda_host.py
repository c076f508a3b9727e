"""The GPU's kernels on this machine's processor: launcher, threads of a block, bounds of arrays.

What they compute is tested with all other kernels, in ``test_kernels.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import Detector, Sampling
from nbdask.geometry.build import build_model
from nbdask.kernels.cuda_host import CudaHostKernel, HostLauncher
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_pack import gpu_pack
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.helpers import small_experiment, tile_image
from tests.kernels.features import crystal, model_of

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")


def kernel_of(precision="float64"):
    """Return the kernel of this process."""
    return get_kernel("cuda-host", precision)


@pytest.mark.long
def test_real_threads_of_a_block_give_the_same_bits():
    """With 16 threads of the system to a block, the barriers have to be where they must be."""
    several = CudaKernel("float64", HostLauncher(threads=16))
    detector = Detector(pixels_fast=13, pixels_slow=7, pixel_size=4e-4)
    sampling = Sampling(oversample=1, dmin=2e-10)
    model = build_model(
        small_experiment(crystal=crystal(mosaic_domains=150), detector=detector, sampling=sampling)
    )
    assert np.array_equal(tile_image(model, several), tile_image(model, kernel_of()))


def test_only_the_last_models_stay_on_the_device():
    """Their tables are given back when other models come."""
    kernel = CudaKernel("float64", HostLauncher())
    models = [model_of(name) for name in ("list", "round", "gauss", "tophat", "layers")]
    images = [tile_image(model, kernel) for model in models]
    assert len(kernel._ready) == 3
    assert np.array_equal(tile_image(models[0], kernel), images[0])


def test_auto_takes_pairs_where_float64_is_slow():
    """And float64 elsewhere; the kernel says which one it is."""
    launcher = HostLauncher()
    assert CudaKernel("auto", launcher).precision == "float64"
    launcher.slow_float64 = True
    assert CudaKernel("auto", launcher).precision == "pairs"
    assert CudaKernel("mixed", launcher).precision == "mixed"


def test_what_cannot_be_done_is_refused_in_one_line(monkeypatch):
    """Precision and compiler."""
    with pytest.raises(BackendError, match=r"--precision = 'half': must be one of float64, mixed"):
        CudaHostKernel("half")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendError, match=r"needs the C\+\+ compiler g\+\+.*by CXX"):
        HostLauncher()


@pytest.mark.long
def test_a_text_that_does_not_compile_is_reported_in_one_line():
    """With the compiler's own first error."""
    program = gpu_pack(model_of("list"), "float64").program
    broken = program._replace(text=program.text.replace("lattice_sphere(p, at);", "nothing(p);", 1))
    launcher = HostLauncher()
    assert not launcher.is_compiled(broken)
    with pytest.raises(BackendError, match=r"cannot compile the kernels: card\.cu:\d+.*error"):
        launcher.compile(broken)
    assert not launcher.is_compiled(broken)


def test_needs_compiling_until_the_library_is_there(monkeypatch, tmp_path):
    """A new cache folder is empty; the host's library holds all versions."""
    model = model_of("list")
    kernel_of().partial(model, Tile(0, 1, 0, 1), StepRange(0, 1), None)
    assert not kernel_of().needs_compiling(model)
    monkeypatch.setenv("NBDASK_CACHE_DIR", str(tmp_path))
    assert CudaHostKernel().needs_compiling(model)


@pytest.mark.long
def test_no_access_is_out_of_bounds():
    """Every feature once under AddressSanitizer, in a process of its own."""
    libraries = [
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("the compiler has no AddressSanitizer")
    code = (
        "from nbdask.kernels.cuda_host import HostLauncher\n"
        "from nbdask.kernels.cuda_kernel import CudaKernel\n"
        "from tests.helpers import tile_image\n"
        "from tests.kernels.features import CASES, model_of\n"
        "flags = ('-fsanitize=address', '-g')\n"
        "for precision in ('float64', 'mixed', 'pairs'):\n"
        "    kernel = CudaKernel(precision, HostLauncher(flags))\n"
        "    for name, semantics in CASES:\n"
        "        tile_image(model_of(name, semantics), kernel)\n"
        "print('all read')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    assert done.stdout.split("\n")[0] == "all read", done.stderr[-2000:]

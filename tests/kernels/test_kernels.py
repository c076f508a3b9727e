"""Every kernel passes the same tests."""

from __future__ import annotations

import platform
import shutil

import pytest

from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.native import library, sources
from tests.helpers import whole
from tests.kernels.features import model_of
from tests.kernels.suite import ComparedTests, KernelTests, all_steps, same

LEVELS = sources.LEVELS.get(sources.machine_name(platform.machine()), ())


@pytest.mark.long
class TestReference(KernelTests):
    """The NumPy kernel, which the others are measured by."""

    @pytest.fixture
    def kernel(self):
        """It has one precision."""
        return ReferenceKernel()


class TestCpu(ComparedTests):
    """The compiled loops, in the library of each level."""

    @pytest.fixture(
        params=[
            pytest.param(
                (level, precision),
                id=f"{level or 'best'}-{precision}",
                marks=[pytest.mark.long] if level else [],
            )
            for level in (None, *LEVELS)
            for precision in ("float64", "mixed")
        ]
    )
    def kernel(self, request):
        """The level that this processor gets, and every one; skip what it cannot run."""
        level, precision = request.param
        if level and level not in library.levels():
            pytest.skip(f"this processor cannot run {level}, or its library was not built")
        return CpuKernel(precision, level)

    @pytest.mark.parametrize("name", ["list", "many cells", "round", "gauss", "layers"])
    def test_precisions_have_loops_of_their_own(self, kernel, name):
        """Mixed precision does not have the bits of float64."""
        model = model_of(name)
        ours = kernel.partial(model, whole(model), all_steps(model), None).total
        wide = CpuKernel().partial(model, whole(model), all_steps(model), None).total
        assert same(ours, wide) == (kernel.precision == "float64")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")
class TestCudaHost(ComparedTests):
    """The text of the GPU's kernels, compiled for this machine's processor."""

    @pytest.fixture(params=["float64", "mixed", "pairs"])
    def kernel(self, request):
        """The kernel of this process."""
        return get_kernel("cuda-host", request.param)


@pytest.mark.gpu
class TestCuda(ComparedTests):
    """A GPU."""

    @pytest.fixture(params=["float64", "mixed", "pairs"])
    def kernel(self, request):
        """The kernel of this process."""
        return get_kernel("cuda", request.param)

"""What the first run on a GPU computes: nine command lines, small and large."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases import CRYSTAL, SQUARE, Case
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.registry import get_kernel

PRECISIONS = ("float64", "mixed", "pairs")


def cases(amplitudes: Path) -> list[Case]:
    """Return the nine cases; the first is the one that has a target.

    Parameters
    ----------
    amplitudes : Path
        A P1 list of amplitudes (h k l F).
    """
    domains = "-mosaic 0.5 -mosaic_dom 1000 -oversample 1"
    few = "-mosaic 0.5 -mosaic_dom 100 -oversample 1"
    listed = f"{CRYSTAL} -hkl {amplitudes} -nointerpolate -N 5"
    return [
        Case("square, amplitude list", f"{listed} {domains}", target=1.5e11),
        Case("square, 36 x 47 x 29 cells, list", f"{listed} -Na 36 -Nb 47 -Nc 29 {few}"),
        Case("square, default_F", f"{SQUARE} {few}"),
        Case("round, list", f"{listed} -round_xtal {few}"),
        Case("gauss, list", f"{listed} -gauss_xtal {few}"),
        Case("tophat, list", f"{listed} -tophat_spots {few}"),
        Case(
            "tricubic",
            f"-cell 25 28 30 90 95 90 -lambda 1.0 -distance 400 -hkl {amplitudes} -interpolate"
            f" -N 5 {few}",
        ),
        Case(
            "100 sources",
            f"{SQUARE} -hdivrange 4 -vdivrange 4 -hdivsteps 5 -vdivsteps 5 -square_div"
            " -dispersion 1 -dispsteps 4 -oversample 1",
        ),
        Case("one evaluation a pixel", f"{SQUARE} -oversample 1"),
    ]


def case_model(case: Case, pixels: int) -> Model:
    """Return the model of a case at a detector size."""
    argv = Case(case.name, case.flags, pixels).arguments
    return build_model(parse_args(argv, semantics="c").experiment)


def gpu_kernel(host: bool, precision: str) -> CudaKernel:
    """Return the kernel of the GPU, or its text on this machine's processor."""
    kernel = get_kernel("cuda-host" if host else "cuda", precision)
    assert isinstance(kernel, CudaKernel)
    return kernel

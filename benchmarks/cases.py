"""What is timed: nanoBragg command lines that each stress one feature of the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CRYSTAL = "-cell 70 80 90 75 85 95 -lambda 1.0 -distance 100"
SQUARE = f"{CRYSTAL} -default_F 100 -N 5"


@dataclass(frozen=True, slots=True)
class Case:
    """One command line.

    Parameters
    ----------
    name : str
    flags : str
        Everything but the detector's size.
    pixels : int
        Detector edge in pixels (the detector is about 100 mm wide).
    target : float or None
        Ratio against the C program that is aimed at.
    """

    name: str
    flags: str
    pixels: int = 512
    target: float | None = None

    @property
    def arguments(self) -> list[str]:
        """Return the words of the command line."""
        size = f"-detpixels {self.pixels} -pixel {102.4 / self.pixels:.6g}"
        return f"{self.flags} {size}".split()


def kernel_cases(amplitudes: Path) -> list[Case]:
    """Return the kernel cases.

    Parameters
    ----------
    amplitudes : Path
        A P1 list of amplitudes (h k l F).
    """
    listed = f"{CRYSTAL} -hkl {amplitudes} -nointerpolate -N 5"
    domains = "-mosaic 0.5 -mosaic_dom 100 -oversample 1"
    return [
        Case("square, default_F", f"{SQUARE} {domains}", target=20),
        Case("square, amplitude list", f"{listed} {domains}", target=20),
        Case("square, 36 x 47 x 29 cells", f"{SQUARE} -Na 36 -Nb 47 -Nc 29 {domains}"),
        Case("round", f"{SQUARE} -round_xtal {domains}", target=10),
        Case("gauss", f"{SQUARE} -gauss_xtal {domains}", target=10),
        Case("tophat", f"{SQUARE} -tophat_spots {domains}", target=10),
        Case(
            "absorption, 5 layers",
            f"{SQUARE} -mosaic 0.5 -mosaic_dom 20 -oversample 1"
            " -detector_abs 300 -detector_thick 450 -detector_thicksteps 5",
            target=10,
        ),
        Case("oversample 3", f"{SQUARE} -mosaic 0.5 -mosaic_dom 12 -oversample 3", target=10),
        Case(
            "100 sources",
            f"{SQUARE} -hdivrange 4 -vdivrange 4 -hdivsteps 5 -vdivsteps 5 -square_div"
            " -dispersion 1 -dispsteps 4 -oversample 1",
            target=10,
        ),
        Case(
            "tricubic",
            f"-cell 25 28 30 90 95 90 -lambda 1.0 -distance 400 -hkl {amplitudes} -interpolate"
            " -N 5 -mosaic 0.5 -mosaic_dom 50 -oversample 1",
            target=8,
        ),
        Case(
            "100 phi steps",
            f"{SQUARE} -phi 1 -osc 1 -phisteps 100 -oversample 1",
        ),
        Case("dmin, half the detector", f"{SQUARE} -dmin 3.5 {domains}"),
        Case("polarized, 2 x 2 sub-pixels", f"{SQUARE} -polar 0.9 -oversample 2 -mosaic 0.5"),
    ]


def size_cases() -> list[Case]:
    """Return one case over detector sizes from 256 to 8192 pixels, 10 evaluations a pixel."""
    flags = f"{SQUARE} -mosaic 0.5 -mosaic_dom 10 -oversample 1"
    return [Case(f"{n} x {n}", flags, pixels=n) for n in (256, 512, 1024, 2048, 4096, 8192)]

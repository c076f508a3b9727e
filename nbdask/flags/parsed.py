"""What an argument list amounts to."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.experiment.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the flags ask to be written or printed.

    Attributes
    ----------
    floatfile, intfile, pgmfile, noisefile : str or None
        Paths as given; None: not asked for.
    scale, pgmscale : float
        Factors of the SMV image and the greymap; 0 or below: automatic.
    adc : float
        Offset of integer images.
    nonoise, nopgm : bool
        Image with noise, greymap switched off.
    seed : int or None
        Seed of the photon noise; None: from the clock.
    stolout : str or None
        Read and never used, as in nanoBragg.
    printout : bool
    printout_pixel : tuple of 2 ints or None
        Indices along fast, slow.
    progress : bool
    dumpfile : str or None
        File of -dump.
    """

    floatfile: str | None = None
    intfile: str | None = None
    pgmfile: str | None = None
    noisefile: str | None = None
    scale: float = 0.0
    pgmscale: float = 0.0
    adc: float = 40.0
    nonoise: bool = False
    nopgm: bool = False
    seed: int | None = None
    stolout: str | None = None
    printout: bool = False
    printout_pixel: tuple[int, int] | None = None
    progress: bool = True
    dumpfile: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """An argument list, understood.

    Attributes
    ----------
    experiment : Experiment
    outputs : Outputs
    notes : tuple of str
        What the user should be told, one line each.
    files : tuple of str
        Absolute paths of the input files.
    """

    experiment: Experiment
    outputs: Outputs
    notes: tuple[str, ...]
    files: tuple[str, ...]

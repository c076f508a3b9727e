"""The style of pictures: options, and colours that all pictures share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nbdask.store.levels import MAX

#: Colour of pixels that are not computed yet.
MISSING = "#808080"
#: Colours of rings and of marked spots, which inferno does not have.
RINGS, SPOTS = "#7fd4ff", "#9cff7f"


@dataclass(frozen=True, slots=True)
class Style:
    """How a picture is drawn.

    Parameters
    ----------
    log : bool
        Logarithmic colours; else linear.
    percentile : float, optional
        Percentile of the pixels above 0 that gets the last colour; None: chosen.
    ends : (float, float), optional
        Photons (counts) of the first and the last colour; None: chosen.
    colormap : str
        Name of one of matplotlib's colour maps.
    rings : bool
        Rings of equal resolution, and the beam centre.
    spots : int
        Mark so many of the brightest spots, with their Miller indices.
    downsample : str
        ``"max"`` (no spot is lost) or ``"mean"`` (photons per pixel are kept).
    size : int
        Most pixels of the image along its longer side.
    axes : str
        ``"pixels"`` or ``"mm"`` from the corner of the detector.
    """

    log: bool = True
    percentile: float | None = None
    ends: tuple[float, float] | None = None
    colormap: str = "inferno"
    rings: bool = False
    spots: int = 0
    downsample: str = MAX
    size: int = 1000
    axes: Literal["pixels", "mm"] = "pixels"

"""Small pictures of regions and of the detector, as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from nbdask.html import data_uri, png
from nbdask.parity.measures import FLOOR
from nbdask.parity.outcome import Outcome, Pictures

#: Longest side of a region's picture [pixels].
SIDE = 160
#: Decades that pictures of intensities and of deviations show; the top of the latter.
_DECADES, _SPAN, _WORST = 4.0, 3.0, 1e-6
#: Colour of regions beyond a threshold.
BAD = "#d62728"

Image = NDArray[np.float32]


def region_pictures(image: Image, reference: Image) -> Pictures:
    """Draw a region: the image, the reference on the same scale, and their deviation.

    Parameters
    ----------
    image, reference : (n_slow, n_fast) float32 arrays
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    def drawn(values: NDArray[np.float64], top: float, decades: float) -> str:
        scale = LogNorm(top * 10.0**-decades, top, clip=True)
        colours = ScalarMappable(scale, "inferno").to_rgba(_pooled(values, SIDE), bytes=True)
        return data_uri(png(colours[..., :3]))

    with np.errstate(invalid="ignore", over="ignore"):
        b = np.nan_to_num(reference.astype(np.float64), posinf=0.0, neginf=0.0)
        a = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
        top = float(np.abs(b).max(initial=0.0))
        relative = np.abs(a - b) / np.maximum(np.abs(b), max(FLOOR * top, 1e-300))
    relative[np.isfinite(image) != np.isfinite(reference)] = 1.0
    photons = (top or 1.0, _DECADES)
    return Pictures(drawn(a, *photons), drawn(b, *photons), drawn(relative, _WORST, _SPAN))


def _pooled(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Shrink to at most ``side`` pixels along each edge, keeping the largest of each block."""
    for axis in (0, 1):
        count = values.shape[axis]
        if count > side:
            edges = np.linspace(0, count, side, endpoint=False).astype(np.intp)
            values = np.maximum.reduceat(values, edges, axis=axis)
    return values


def detector_map(outcome: Outcome) -> bytes:
    """Draw the detector with its regions, coloured by their worst deviation.

    Returns
    -------
    bytes
        PNG, the fast axis to the right, the slow axis downwards.
    """
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    n_slow, n_fast = outcome.shape
    bound = outcome.thresholds.max_rel or 1.0
    failed = {id(region) for region in outcome.failed}
    ordered = sorted(outcome.regions, key=lambda r: r.measures.max_rel)
    # Never smaller than can be seen.
    least = max(n_slow, n_fast) / 120
    shown = PatchCollection(
        [
            Rectangle((t.fast0, t.slow0), max(t.shape[1], least), max(t.shape[0], least))
            for t in (region.tile for region in ordered)
        ],
        cmap=colormaps["viridis"].with_extremes(over=BAD),
        norm=Normalize(0.0, bound),
        edgecolor="black",
        linewidth=0.3,
    )
    shown.set_array([2 * bound if id(r) in failed else r.measures.max_rel for r in ordered])
    # Agg without pyplot: no display is looked for, and no figure is kept alive.
    figure = Figure(figsize=(7.2, 7.2), layout="compressed")
    axes = figure.add_subplot(xlabel="fast", ylabel="slow", aspect="equal", facecolor="#f5f5f5")
    axes.set(xlim=(0, n_fast), ylim=(n_slow, 0), title=f"{n_slow} x {n_fast} pixels")
    axes.add_collection(shown)
    ticks = (0.0, bound / 2, bound)
    text = f"worst relative deviation of {len(ordered)} regions: {outcome.total.max_rel:.2e}"
    figure.colorbar(
        shown, label=text, extend="max", location="bottom", shrink=0.6, ticks=ticks, format="%.3g"
    )
    held = io.BytesIO()
    figure.savefig(held, format="png", bbox_inches="tight")
    return held.getvalue()

"""What varies in a series, in a few lines and in the units that users speak."""

from __future__ import annotations

import numpy as np

from nbdask.experiment.summary import fluence_from
from nbdask.shots.names import QUATERNION, STAR, field_of
from nbdask.shots.orientations import Grid, Orientations
from nbdask.shots.series import Series
from nbdask.shots.spectra import MeasuredSpectra, SaseSpectra
from nbdask.shots.variation import Array, Variation

#: Shots whose values are told.
_MOST = 100_000
#: Bins of histograms, and a character for each height of one.
_BINS, _HEIGHTS = 16, " .:-=+*#"
#: SI unit -> unit that is shown, by the greatest value that is shown in it.
_SHOWN = {
    "m": ((1e-7, 1e10, "A"), (1.0, 1e3, "mm")),
    "rad": ((np.inf, 180.0 / np.pi, "deg"),),
    "1/m": ((np.inf, 1e-10, "1/A"),),
}


def describe(series: Series) -> list[tuple[str, str]]:
    """Return name and text of the number of shots and of what varies.

    Returns
    -------
    list of (str, str)
        Of each field mean, least and greatest value, median and a histogram, of the first hundred
        thousand shots.
    """
    looked_at = min(series.n_shots, _MOST)
    values = series.values(0, looked_at)
    of = "" if looked_at == series.n_shots else f" (of the first {looked_at} shots)"
    rows = [("shots", f"{series.n_shots}, seed {series.seed}{of}")]
    for variation in series.variations:
        told = _in_words(variation)
        if told is not None:
            rows.append(told)
            continue
        rows += [(name, _range(name, values[name])) for name in variation.names]
    return rows


def common(series: Series) -> list[tuple[str, str]]:
    """Return name and text of the fluence, where all shots have the same."""
    varied = {name for variation in series.variations for name in variation.names}
    if varied & {f"beam.{name}" for name in ("fluence", "flux", "exposure", "beamsize")}:
        return []
    beam = series.experiment.beam
    origin = fluence_from(beam)
    more = f" ({origin})" if origin else ""
    return [("fluence", f"{beam.effective_fluence:.4g} photons/m^2{more}")]


def _in_words(variation: Variation) -> tuple[str, str] | None:
    """Return what a variation is, where its numbers tell a reader nothing."""
    names = set(variation.names)
    if isinstance(variation, Orientations):
        own = "" if variation.seed is None else f", seed {variation.seed}"
        return ("orientation", f"random, uniform{own}")
    if isinstance(variation, Grid):
        return ("orientation", f"a grid of {variation.count} points")
    if isinstance(variation, SaseSpectra):
        return ("spectrum", f"SASE, {variation.sase.count} energies")
    if isinstance(variation, MeasuredSpectra):
        order = "at random" if variation.drawn else "in order"
        return ("spectrum", f"{len(variation.weights)} measured ones, {order}")
    if names <= set(QUATERNION) or names <= set(STAR):
        return ("orientation", f"a list of {variation.rows}")
    return None


def describe_shot(series: Series, shot: int) -> list[tuple[str, str]]:
    """Return name and value, with its unit, of what varies, as it is in one shot."""
    rows = []
    for name, column in series.values(shot, shot + 1).items():
        shown, end = _in_unit(name, column)
        rows.append((name, f"{float(shown[0]):.6g}{end}"))
    return rows


def _in_unit(name: str, column: Array) -> tuple[Array, str]:
    """Return the values of a field in the unit that users speak, and its name after a space."""
    unit = field_of(name).unit
    largest = float(np.abs(column).max())
    for limit, factor, shown in _SHOWN.get(unit, ()):
        if largest < limit:
            column, unit = column * factor, shown
            break
    return column, "" if unit == "1" else f" {unit}"


def _range(name: str, column: Array) -> str:
    """Return mean, least and greatest value of a field, its median and a histogram."""
    column, end = _in_unit(name, column)
    low, high, mean = float(column.min()), float(column.max()), float(column.mean())
    if not low < high:
        return f"{mean:.6g}{end}"
    text = f"{mean:.6g}{end}, {low:.6g} to {high:.6g}, median {float(np.median(column)):.6g}"
    return f"{text} |{histogram(column)}|"


def histogram(column: Array) -> str:
    """Return how values are distributed from the least to the greatest, in plain characters.

    Parameters
    ----------
    column : (n,) float64 array
        Not all equal.
    """
    low, high = float(column.min()), float(column.max())
    # Of values scaled to 0 to 1: a range that floats hardly divide gives no edges.
    counts, _ = np.histogram((column - low) / (high - low), bins=_BINS, range=(0.0, 1.0))
    # What is there at all is never blank.
    heights = np.ceil(counts / counts.max() * (len(_HEIGHTS) - 1)).astype(int)
    return "".join(_HEIGHTS[height] for height in heights.tolist())

"""A traced pixel compared with the one in a store."""

from __future__ import annotations

import os

import numpy as np

from nbdask.experiment import Experiment
from nbdask.kernels.cutoff import most_lacking
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import split_steps
from nbdask.plan.tiles import Tile
from nbdask.store.earlier import backend_of
from nbdask.store.reader import StoreReader
from nbdask.store.schema import pixels_of
from nbdask.trace.entries import Trace
from nbdask.trace.walk import is_evaluated, kernel_pixel

#: Relative differences between kernels that rounding explains.
_TOLERANCE = {"float64": 2e-7, "mixed": 1e-5}


def compare_stored(
    store: str | os.PathLike[str], trace: Trace, experiment: Experiment, shot: int | None = None
) -> tuple[bool, str]:
    """Compare a traced pixel with the stored one.

    Parameters
    ----------
    store : path or address
    trace : Trace
    experiment : Experiment
        The one that was traced.
    shot : int, optional
        Of a series.

    Returns
    -------
    same : bool
        False if the stored pixel differs.
    line : str
        The finding, as text.
    """
    reader = StoreReader(store).chosen(shot, "trace")
    attributes = reader.attributes
    pixel = Tile(trace.slow, trace.slow + 1, trace.fast, trace.fast + 1, trace.panel)
    stored = np.asarray(reader.image[pixels_of(reader.image, pixel)], dtype=np.float32)[0, 0]
    backend, precision = attributes["backend"], attributes["precision"]
    line = f"{reader.path} ({backend}, {precision}) holds {float(stored)!r}"
    if np.isnan(stored):
        return True, line + ": this tile is not computed yet"
    if "derived" in attributes or "noise" in attributes:
        return True, line + ", the traced pixel with noise or detector effects added"
    if attributes["semantics"] != experiment.semantics:
        return True, line + f", computed under --semantics {attributes['semantics']}"
    ours = np.float32(trace.pixel)
    if stored == ours:
        return True, line + ", the traced pixel bit for bit"
    scale = max(abs(float(stored)), abs(float(ours)))
    apart = abs(float(stored) - float(ours)) / scale
    line += f", {apart:.1e} from the traced pixel"
    tolerance, model = _TOLERANCE.get(precision, 0.0), trace.model
    if apart <= tolerance:
        return True, line + " (rounding)"
    allowed = most_lacking(ReferenceKernel(), model, pixel) + tolerance * scale
    if model.cutoff is not None and 0.0 < float(ours) - float(stored) <= allowed:
        return True, line + f" (--cutoff {experiment.sampling.cutoff})"
    if is_evaluated(model, trace.slow, trace.fast):
        kernel = get_kernel(backend_of(attributes), precision)
        ranges = split_steps(model.n_steps, attributes["plan"]["steps_per_task"])
        again = kernel_pixel(model, kernel, pixel, ranges)
        line += f"; the {kernel.name} kernel gives {float(again)!r} now"
    return False, line + ": the stored pixel differs, see nbdask verify"

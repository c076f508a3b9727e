"""A run with a cutoff is checked: random pixels are computed with all terms.

Whether a term is left out depends on its pixel, source and orientation alone, so that a pixel by
itself is the pixel of the run (S-CUT-06).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from nbdask.counter import key_words, philox
from nbdask.errors import NbdaskError
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model, Share
from nbdask.kernels.cutoff import most_lacking
from nbdask.kernels.interface import Kernel
from nbdask.kernels.lattices import image_of
from nbdask.kernels.registry import get_kernel
from nbdask.plan.tiles import Tile
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader

#: Name of the root's attribute.
CUTOFF = "cutoff_check"
#: Pixels that are checked, evaluations that they may need, and the fewest all the same; shots of a
#: series that are looked at.
_PIXELS, _EVALUATIONS, _LEAST, _SHOTS = 256, 10**9, 16, 4
#: A kernel pads a pixel to so many.
_PADDED = 32
#: Rounding of two float32 numbers that are subtracted; in mixed precision terms are added in
#: float64 loops with a cutoff, and in those of float32 without.
_ROUNDING = {"float64": 2.0**-23, "mixed": 1e-5}


class CutoffError(NbdaskError):
    """A pixel lacks more than its cutoff allows."""

    exit_code = 1


class _Found(NamedTuple):
    """A pixel: its place, the photons that it lacks, may lack, and those that rounding explains."""

    shot: int
    tile: Tile
    lacks: float
    allowed: float
    rounding: float


def checked_cutoff(place: Place, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that say how a store's cutoff was checked; none without a cutoff.

    Parameters
    ----------
    place : Place
    attributes : mapping
        Of the root.

    Raises
    ------
    CutoffError
        A pixel lacks more than it may.
    """
    sampling = (attributes.get("experiment") or {}).get("sampling") or {}
    if "derived" in attributes or sampling.get("cutoff") is None:
        return {}
    found = _sample(StoreReader(place), attributes)
    worst = max(found, key=lambda one: one.lacks - one.rounding)
    for one in found:
        if not one.lacks <= one.allowed + one.rounding:
            raise CutoffError(
                f"{place.name}: pixel (slow {one.tile.slow0}, fast {one.tile.fast0}) lacks"
                f" {one.lacks:.3g} photons, and --cutoff {sampling['cutoff']} allows"
                f" {one.allowed:.3g}: please report this; without --cutoff nothing is left out"
            )
    return {
        CUTOFF: {
            "cutoff": sampling["cutoff"],
            "pixels": len(found),
            "most_lacking": max(0.0, worst.lacks),
            "allowed_there": worst.allowed,
            "least_allowed": min(one.allowed for one in found),
            "most_allowed": max(one.allowed for one in found),
        }
    }


def _sample(reader: StoreReader, attributes: Mapping[str, Any]) -> list[_Found]:
    """Compare random pixels with themselves computed with all terms."""
    series = reader.series
    seed = int(attributes["fingerprint"][:16], 16)
    kernel = get_kernel("cpu", attributes["precision"])
    rounding = _ROUNDING[attributes["precision"]]
    count = 1 if series is None else series.n_shots
    shots = sorted({round(k * (count - 1) / (_SHOTS - 1)) for k in range(_SHOTS)})
    found = []
    for number in shots:
        model = build_model(reader.experiment if series is None else series.shot(number))
        most = _EVALUATIONS // (_PADDED * model.n_steps * len(shots))
        wanted = min(_PIXELS // len(shots), max(_LEAST // len(shots), most))
        full = _with_all(model)
        for tile in _pixels(model, wanted, seed, number):
            found.append(_compare(kernel, (model, full), number, tile, rounding))
    return found


def _pixels(model: Model, count: int, seed: int, shot: int) -> list[Tile]:
    """Return random pixels, each as a tile; masked ones too, which are computed all the same."""
    low, high = key_words(seed)
    numbers = np.arange(count, dtype=np.uint64)
    words = philox(numbers, numbers * 0, numbers * 0 + np.uint64(shot), numbers * 0, low, high)
    panel, slow, fast = (word.astype(np.float64) / 2.0**32 for word in words[:3])
    tiles = []
    for at in range(count):
        number = int(panel[at] * model.n_panels)
        slow0, slow1, fast0, fast1 = model.at(number).roi
        s = slow0 + int(slow[at] * (slow1 + 1 - slow0))
        f = fast0 + int(fast[at] * (fast1 + 1 - fast0))
        tiles.append(Tile(s, s + 1, f, f + 1, number))
    return tiles


def _with_all(model: Model) -> Model:
    """Return a model without a cutoff."""
    shares = tuple(Share(s.factor, replace(s.model, cutoff=None)) for s in model.lattices)
    return replace(model, cutoff=None, lattices=shares)


def _compare(
    kernel: Kernel, models: tuple[Model, Model], shot: int, tile: Tile, rounding: float
) -> _Found:
    cut, full = (float(image_of(kernel, model, tile, None)[0][0, 0]) for model in models)
    most = most_lacking(kernel, models[0], tile)
    return _Found(shot, tile, full - cut, most, rounding * max(abs(full), abs(cut)))

"""Stores that hold a given image, as a run would have written it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nbdask.experiment import Detector, Experiment
from nbdask.geometry.build import build_model
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import EMPTY, combine, summarise
from nbdask.store.address import place_of
from nbdask.store.create import create_store, update_attributes
from nbdask.store.provenance import end_attributes
from nbdask.store.write import TileWriter
from tests.helpers import root_of, small_experiment


def picture_of(shape: tuple[int, int], high: float = 3000.0) -> np.ndarray:
    """Return photons with fractions and a few strong pixels; of a shape always the same."""
    random = np.random.default_rng((7, *shape))
    image = random.gamma(0.5, 40.0, shape).astype(np.float32)
    image[random.random(shape) > 0.99] *= np.float32(high)
    return image


def experiment_of(rows: int, columns: int, **parts: Any) -> Experiment:
    """Return an experiment of a tilted detector, unless told otherwise."""
    detector = Detector(
        pixels_fast=columns,
        pixels_slow=rows,
        pixel_size=1.72e-4,
        distance=0.2313,
        rotx=0.03,
        roty=-0.02,
        twotheta=0.1,
    )
    return small_experiment(**{"detector": detector, **parts})


def rounded(image: np.ndarray) -> np.ndarray:
    """Return the nearest whole numbers."""
    return np.rint(image.astype(float)).astype(np.int32)


def store_of(
    path: Path,
    experiment: Experiment,
    image: np.ndarray[Any, Any],
    tile: tuple[int, int] = (64, 64),
    missing: tuple[int, ...] = (),
) -> Path:
    """Write ``image`` as the result of ``experiment``; tiles in ``missing`` are left out."""
    grid = TileGrid((image.shape[0], image.shape[1]), tile)
    attributes = root_of(
        grid,
        experiment,
        nbdask_version="0.1.0",
        started="2026-01-02T03:04:05+00:00",
        ended=None,
    )
    create_store(path, grid, attributes, pixel_size=experiment.detector.pixel_size)
    model = build_model(experiment)
    slow0, slow1, fast0, fast1 = model.roi
    writer, summaries = TileWriter(path), []
    for index, t in enumerate(grid):
        if index in missing:
            continue
        block = np.ascontiguousarray(image[t.slow0 : t.slow1, t.fast0 : t.fast1])
        low = (max(t.slow0, slow0), max(t.fast0, fast0))
        high = (min(t.slow1, slow1 + 1), min(t.fast1, fast1 + 1))
        summary = EMPTY
        if low[0] < high[0] and low[1] < high[1]:
            inside = image[low[0] : high[0], low[1] : high[1]]
            mask = None
            if model.mask is not None:
                mask = model.mask.read(low[0], high[0], low[1], high[1])
            summary = summarise(np.ascontiguousarray(inside), low, mask)
        summaries.append(summary)
        writer(index, t, block, summary)
    if not missing:
        update_attributes(place_of(path), end_attributes(combine(summaries)))
    return path

"""Several stores in one viewer: one after another, side by side, their difference."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from nbdask.errors import InputError
from nbdask.view.scene import Window
from nbdask.view.scenes import Scenes

#: How two stores are shown.
ALONE, SPLIT, DIFFERENCE = "alone", "left | right", "difference"
MODES = (ALONE, SPLIT, DIFFERENCE)


class Stores:
    """Stores of equal pictures.

    Parameters
    ----------
    paths : sequence of path or str

    Attributes
    ----------
    all : list of Scenes
    names : list of str

    Raises
    ------
    InputError
        Pictures of different sizes.
    StoreError
        There is no store, or it is damaged.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self.all = [Scenes(path) for path in paths]
        self.names = [str(path).rstrip("/") for path in paths]
        first = self.all[0]
        for scenes, name in zip(self.all, self.names, strict=True):
            if (scenes.first.shape, scenes.count) != (first.first.shape, first.count):
                raise InputError(
                    f"{name}: {_size(scenes)}, but {self.names[0]}: {_size(first)}; stores that"
                    " are viewed together must have equal numbers of pixels and shots"
                )

    def start(self) -> None:
        """Begin to read and to follow in the background."""
        for scenes in self.all:
            scenes.start()

    def stop(self) -> None:
        """Stop all reading in the background."""
        for scenes in self.all:
            scenes.stop()


def _size(scenes: Scenes) -> str:
    rows, columns = scenes.first.shape
    shots = f", {scenes.count} shots" if scenes.count else ""
    return f"{rows} x {columns} pixels{shots}"


def combined(mode: str, window: Window, other: Window, middle: float) -> Window:
    """Return two windows as one.

    Parameters
    ----------
    mode : str
        ``SPLIT``: left of the middle the first one, right of it the other; ``DIFFERENCE``: the
        first one minus the other.
    window, other : Window
        Of one region; where one of them could not be had at this resolution, the first is shown.
    middle : float
        Pixel of the image along fast.
    """
    if (window.region, window.factor) != (other.region, other.factor):
        return window
    if mode == DIFFERENCE:
        values = window.values - other.values
    else:
        columns = window.region.fast0 + (np.arange(window.values.shape[1]) + 0.5) * window.factor
        values = np.where(columns[None, :] < middle + 0.5, window.values, other.values)
    return window._replace(values=np.asarray(values, dtype=np.float32))

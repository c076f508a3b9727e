"""The shots of a store, each as the viewer needs it, made when it is looked at."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from nbdask.derive.assembly import AssembledLevels
from nbdask.shots import Series
from nbdask.store.reader import StoreReader
from nbdask.view.scene import Scene

#: Shots that are kept.
_KEPT = 6


class Scenes:
    """One scene for each shot that tabs look at; of a store of one image the only one.

    Parameters
    ----------
    path : path or str
        The store, or its address.

    Attributes
    ----------
    first : Scene
        The first shot.
    count : int
        Number of shots; 0: the store is none of a series.
    series : Series or None

    Raises
    ------
    StoreError
        There is no store, or it is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        reader = StoreReader(path)
        self._place = reader.place
        self.count, self.series = reader.grid.shots, self._series(reader)
        self.first = Scene(path, 0 if self.count else None)
        levels = self.first.levels
        #: All shots are shown in one picture's plane, so that nothing jumps from one to the next.
        self._plane = levels.plane if isinstance(levels, AssembledLevels) else None
        self._kept: OrderedDict[int, Scene] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def _series(reader: StoreReader) -> Series | None:
        """Return the series of a store."""
        return reader.series if reader.grid.shots else None

    def at(self, shot: int) -> Scene:
        """Return a shot, from memory where it was looked at before.

        Raises
        ------
        StoreError
            There is no such shot, or it is damaged.
        """
        if shot == 0:
            return self.first
        with self._lock:
            if shot not in self._kept:
                scene = Scene(self._place, shot, self._plane)
                if not scene.settled:
                    scene.start()
                self._kept[shot] = scene
            self._kept.move_to_end(shot)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)[1].halt()
            return self._kept[shot]

    def start(self) -> None:
        """Begin to read and to follow the first shot in the background."""
        self.first.start()

    def stop(self) -> None:
        """Stop all reading in the background."""
        with self._lock:
            scenes = [self.first, *self._kept.values()]
        for scene in scenes:
            scene.halt()
        for scene in scenes:
            scene.stop()

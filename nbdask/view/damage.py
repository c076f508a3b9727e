"""Damaged files in the viewer: it continues without them, and remembers which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.canvas import Done, Piece
from nbdask.errors import StoreError
from nbdask.store.checked import DamageError
from nbdask.store.levels import Levels


class Damage:
    """What was found damaged: tiles are left blank, parts of the pyramid are done without.

    Attributes
    ----------
    tiles : dict of int to str
        Numbers of the tiles, and what is wrong with them.
    parts : dict of str to None
        What is wrong with the pyramid, in the order of finding.
    """

    def __init__(self) -> None:
        self.tiles: dict[int, str] = {}
        self.parts: dict[str, None] = {}

    def read(
        self, levels: Levels, kind: str, done: Done, piece: Piece
    ) -> NDArray[np.float32] | None:
        """Return the pixels of a piece; NaN in a damaged tile.

        Parameters
        ----------
        levels : Levels
        kind : str
        done : Done
            Of this kind; loses a chunk of the pyramid that is damaged.
        piece : Piece
            Within one tile or chunk.

        Returns
        -------
        float32 array or None
            None: that chunk is damaged, so :func:`~nbdask.derive.canvas.pieces` has to be asked
            again, for those of the level below.

        Raises
        ------
        StoreError
            A file cannot be read for another reason.
        """
        corner, tile = piece.part, levels.grid.tile
        index = corner.slow0 // tile[0] * levels.grid.counts[1] + corner.fast0 // tile[1]
        if piece.level > 0 or index not in self.tiles:
            try:
                return levels.read(kind, piece.level, piece.part)
            except DamageError as error:
                if error.level > 0:
                    self.parts[str(error)] = None
                    done[error.level].flat[error.index] = False
                    return None
                self.tiles = {**self.tiles, error.index: str(error)}
        return np.full(piece.part.shape, np.nan, dtype=np.float32)

    @property
    def count(self) -> int:
        """How much of it there is."""
        return len(self.tiles) + len(self.parts)

    def repaired(self, levels: Levels) -> list[int]:
        """Return the tiles that are sound by now, and forget that they were not."""
        sound = []
        for index in self.tiles:
            try:
                levels.check(index)
            except StoreError:
                continue
            sound.append(index)
        if sound:
            self.tiles = {i: text for i, text in self.tiles.items() if i not in sound}
        return sound

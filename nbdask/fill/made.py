"""On which kinds of machines the tiles of a store were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbdask.graph.tasks import BOTH, TileResult

#: The root's attribute.
ATTRIBUTE = "made_by"


class Made:
    """Counts tiles and their seconds by kind of processor and form of the kernel.

    Parameters
    ----------
    earlier : mapping
        The root's attributes of a store that was begun before.
    """

    def __init__(self, earlier: Mapping[str, Any]) -> None:
        self._tiles: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        for kind, counts in earlier.get(ATTRIBUTE, {}).items():
            self._add(kind, counts["tiles"], counts["seconds"])

    def add(self, result: TileResult) -> None:
        """Count a tile; where it was made is not known of all kinds of work."""
        if result.made:
            self._add(result.made, 1, result.summary.seconds)

    def _add(self, kind: str, tiles: int, seconds: float) -> None:
        self._tiles[kind] = self._tiles.get(kind, 0) + tiles
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    def attributes(self) -> dict[str, Any]:
        """Return what goes on record: the commonest kind first."""
        kinds = sorted(self._tiles, key=lambda kind: (-self._tiles[kind], kind))
        counts = {
            kind: {"tiles": self._tiles[kind], "seconds": round(self._seconds[kind], 3)}
            for kind in kinds
        }
        return {ATTRIBUTE: counts} if counts else {}

    def notes(self, same_bits: bool) -> tuple[str, ...]:
        """Return what the user should be told where machines differ, and their bits may.

        Parameters
        ----------
        same_bits : bool
            Whether the kernel gives the same bits on all of them.
        """
        machines = {machine for kind in self._tiles for machine in kind.split(BOTH)}
        if same_bits or len(machines) < 2:
            return ()
        counts = "; ".join(f"{count} on {kind}" for kind, count in sorted(self._tiles.items()))
        return (
            f"tiles were made on different kinds of machines, and with this kernel their last bits"
            f" may differ: {counts} (--same-bits refuses such a run)",
        )

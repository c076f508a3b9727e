"""A slow worker at the end of a run: what it has in hand is given to an idle one too.

The first result counts.  Both write the same bits, each file at once, so it does not matter which
of them is last.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

#: A parcel is late after so many times the usual seconds, and at least so many.
LATE, LEAST = 2.0, 1.0
#: Parcels by which the usual is known.
_KNOWN = 64


@dataclass
class Copies:
    """When parcels were handed out, and which of them are copies of each other.

    Futures of parcels may be any objects that can be keys.
    """

    _since: dict[Any, float] = field(default_factory=dict)
    _twins: dict[Any, Any] = field(default_factory=dict)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KNOWN))

    def sent(self, future: Any) -> None:
        """Note that a parcel is handed out now."""
        self._since[future] = time.monotonic()

    def pair(self, first: Any, copy: Any) -> None:
        """Note that one is the copy of another."""
        self._twins[first], self._twins[copy] = copy, first

    def ended(self, future: Any, seconds: float = 0.0) -> Any | None:
        """Note that a parcel is back; return its twin, if it has one that is not back.

        Parameters
        ----------
        future : object
        seconds : float
            That the worker spent on it; 0: not known, so the time since it was handed out counts.
        """
        since = self._since.pop(future, None)
        if since is not None:
            self._seconds.append(seconds or time.monotonic() - since)
        twin = self._twins.pop(future, None)
        self._twins.pop(twin, None)
        return twin

    def late(self, futures: Iterable[Any], most: int) -> list[Any]:
        """Return parcels that take far longer than usual, the oldest first; none that has a twin.

        Parameters
        ----------
        futures : iterable
            Of all parcels that are not back.
        most : int
            Parcels to return at most.
        """
        if most <= 0 or not self._seconds:
            return []
        latest = time.monotonic() - max(LEAST, LATE * median(self._seconds))
        found = [f for f in futures if f not in self._twins and self._since[f] < latest]
        return sorted(found, key=self._since.__getitem__)[:most]

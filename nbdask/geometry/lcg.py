"""The random numbers of nanoBragg C: a minimal-standard generator with a shuffle table.

Park and Miller's generator (multiplier 16807, modulus 2^31 - 1) by Schrage's method, shuffled by
Bays and Durham's table of 32 entries.  Deviates are single precision.
"""

from __future__ import annotations

import numpy as np

_MULTIPLIER = 16807
_MODULUS = 2147483647
_TABLE = 32
_WARM_UP = 8
_DIVISOR = 1 + (_MODULUS - 1) // _TABLE
_LARGEST = np.float32(1.0 - 1.2e-7)


class MinimalStandard:
    """One stream of uniform deviates.

    Parameters
    ----------
    seed : int
        As a user gives it; zero and negative seeds act as 1.
    """

    def __init__(self, seed: int) -> None:
        self._state = max(int(seed), 1)
        self._table = [0] * _TABLE
        for j in range(_TABLE + _WARM_UP - 1, -1, -1):
            self._advance()
            if j < _TABLE:
                self._table[j] = self._state
        self._last = self._table[0]

    def restart(self, seed: int) -> None:
        """Take another seed in the middle of a stream.

        A seed of 0 or more restarts it.  A negative one only replaces the state: the table and the
        last deviate stay, since nanoBragg negates seeds and initialises for what is not positive.
        """
        if seed >= 0:
            self.__init__(seed)  # type: ignore[misc]
        else:
            self._state = -seed

    @property
    def state(self) -> int:
        """The seed of the next number."""
        return self._state

    @property
    def last(self) -> int:
        """The number behind the last deviate, which chooses the next place in the table."""
        return self._last

    @property
    def table(self) -> tuple[int, ...]:
        """The numbers that wait in the shuffle table."""
        return tuple(self._table)

    def _advance(self) -> None:
        # Integers here do not overflow, so Schrage's splitting is not needed for the same value.
        self._state = self._state * _MULTIPLIER % _MODULUS

    def uniform(self) -> np.float32:
        """Return the next deviate, above 0 and below 1, in single precision."""
        self._advance()
        j = self._last // _DIVISOR
        self._last = self._table[j]
        self._table[j] = self._state
        value = np.float32((1.0 / _MODULUS) * self._last)
        return _LARGEST if float(value) > 1.0 - 1.2e-7 else value

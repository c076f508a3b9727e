"""How far a store is, as a whole and by its shards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nbdask.plan.shards import owners
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader


class Standing(NamedTuple):
    """How far a store is.

    Attributes
    ----------
    status : str
        Of its root.
    done, total : int
        Tiles.
    shards : int or None
        How many there are.
    complete, begun, missing : tuple of int
        Their numbers: all tiles, some, none on record.  A shard without tiles is complete.
    command : str or None
        The command line that started it, without its shard.
    """

    status: str
    done: int
    total: int
    shards: int | None
    complete: tuple[int, ...]
    begun: tuple[int, ...]
    missing: tuple[int, ...]
    command: str | None


def standing(place: Place) -> Standing:
    """Say how far a store is, by its records.

    Raises
    ------
    StoreError
        There is none, or it is damaged.
    """
    reader = StoreReader(place)
    done, attributes = reader.done(), reader.attributes
    count = attributes.get("shards")
    complete: tuple[int, ...] = ()
    begun: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    if count is not None:
        owner = owners(len(done), count)
        of_all = np.bincount(owner, minlength=count + 1)[1:]
        of_done = np.bincount(owner[done], minlength=count + 1)[1:]
        whole, some = of_done == of_all, of_done > 0
        complete, begun, missing = (
            tuple((np.flatnonzero(flags) + 1).tolist())
            for flags in (whole, some & ~whole, ~some & ~whole)
        )
    tiles, command = (int(done.sum()), len(done)), attributes.get("command")
    return Standing(attributes["status"], *tiles, count, complete, begun, missing, command)

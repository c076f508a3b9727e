"""One shard of a store: runs that need no scheduler, no lock and no order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from nbdask.cluster.executor import Executor
from nbdask.errors import StoreError
from nbdask.fill.close import Filled, finish
from nbdask.fill.listen import Listener, Start, followed, heard_by
from nbdask.fill.work import Work
from nbdask.graph.context import Setup
from nbdask.graph.tasks import TileResult, each
from nbdask.plan.shards import Shard
from nbdask.store.address import read_root
from nbdask.store.create import create_store
from nbdask.store.journal import seed_of
from nbdask.store.lock import Lock, Locked
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.schema import CREATING
from nbdask.store.space import check_space
from nbdask.store.trust import sound_tiles

#: Seconds between two looks whether another process has made the store.
_PAUSE = 0.5


class Share(NamedTuple):
    """A shard that is done.

    Attributes
    ----------
    tiles : int
        Of the shard.
    computed : int
        Those of them that were not there before.
    closed : Filled or None
        Where it was the last one, and closed the store.
    notes : tuple of str
        What the user should be told.
    """

    tiles: int
    computed: int
    closed: Filled | None
    notes: tuple[str, ...]


def is_there(place: Place) -> bool:
    """Return whether a store is there, made as a whole.

    Raises
    ------
    StoreError
        Something else is there, or no store can be.
    """
    attributes = read_root(place)
    if attributes is None:
        try:
            place.check_free(overwrite=False)
            return False
        except StoreError:
            # Another process may have made it in between.
            attributes = read_root(place)
            if attributes is None:
                raise
    return attributes.get("status") != CREATING


def begin(work: Work, place: Place, shards: int) -> bool:
    """Make the store of a work unless it is there; of many that try, one makes it.

    Returns
    -------
    bool
        Whether this one did.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    while not is_there(place):
        try:
            with Lock(place):
                place.sweep()
                if not is_there(place):
                    create_store(
                        place,
                        work.grid,
                        work.attributes() | {"shards": shards, "notes": list(work.notes)},
                        pixel_size=work.pixel_size,
                        overwrite=read_root(place) is not None,
                        image=work.image,
                        panels=work.panels,
                        series=work.series,
                        kept=work.kept,
                    )
                    return True
        except Locked:
            time.sleep(_PAUSE)
    return False


def fill_shard(
    work: Work,
    place: Place,
    shard: Shard,
    opened: AbstractContextManager[Executor],
    listeners: Sequence[Listener] = (),
) -> Share:
    """Compute the tiles of a shard that are not there, and close the store if no other is missing.

    Parameters
    ----------
    work : Work
    place : Place
        Of the store, which is there.
    shard : Shard
    opened : context manager of Executor
        Of threads.
    listeners : sequence of Listener
        Hear of the tiles of the shard.

    Raises
    ------
    NbdaskError
        The store was started with other settings; it was replaced meanwhile; there is no room; a
        tile failed.
    """
    reader = StoreReader(place)
    _check_count(reader, shard)
    notes = work.notes + work.check_same(reader, f"--shard {shard}")
    mine, done = list(shard.tiles(len(work.grid))), reader.done()
    there = set(sound_tiles(reader, (index for index in mine if done[index])))
    missing = [index for index in mine if index not in there]
    notes += check_space(place, work.grid, len(missing), len(work.planes), work.slopes)
    start = Start(place.name, len(mine), len(there), len(there), None, work.plan)
    seed, count = seed_of(reader.attributes), len(there)

    def told(result: TileResult) -> None:
        """Count a finished tile; stop where the store is another one by now."""
        nonlocal count
        count += 1
        root = read_root(place)
        if root is not None and seed_of(root) != seed:
            raise StoreError(f"{place.name} was replaced by another run; this one stops")
        for listener in listeners:
            listener.tile(result, count)

    with followed(listeners, start):
        if missing:
            setup = Setup(work.run, work.context)
            with opened as executor:
                executor.hear = heard_by(listeners)
                executor.check(setup)
                executor.run(setup, work.graphs(missing), each(told))
    return Share(len(mine), len(missing), finish(place, notes), notes)


def _check_count(reader: StoreReader, shard: Shard) -> None:
    """Refuse another number of shards than the store was begun with; any where it had none."""
    count = reader.attributes.get("shards", shard.count)
    if count != shard.count:
        raise StoreError(
            f"--shard {shard}: {reader.path} was begun with {count} shards, not {shard.count}: give"
            f" --shard NUMBER/{count}"
        )

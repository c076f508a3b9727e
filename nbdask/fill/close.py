"""The end of a store whose tiles are all there: records, statistics, status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from nbdask.errors import StoreError, counted
from nbdask.fill.cutoff import checked_cutoff
from nbdask.statistics import Statistics, combine
from nbdask.store.create import update_attributes
from nbdask.store.journal import is_journal
from nbdask.store.lock import Lock, Locked
from nbdask.store.place import Place
from nbdask.store.provenance import end_attributes
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE, FIELDS, TILES
from nbdask.store.trust import lost_tiles


class Filled(NamedTuple):
    """A complete store: its statistics, and what the user should be told."""

    statistics: Statistics
    notes: tuple[str, ...]


def close(
    place: Place,
    notes: tuple[str, ...],
    *,
    changed: bool,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Filled:
    """Mark a store complete whose records are all where they stay.

    Parameters
    ----------
    place : Place
        Its lock is held.
    notes : tuple of str
        To be added to those on record.
    changed : bool
        Whether tiles were added, so that its end is now.
    more : mapping
        Further attributes.
    """
    reader = StoreReader(place)
    attributes, column = reader.attributes, FIELDS.index("outside")
    statistics = combine(reader.summaries(), reader.grid.apart)
    outside = int(sum(block[:, column].sum() for block in reader.record_blocks()))
    if outside:
        notes += (
            f"{outside} evaluations needed structure factors outside the grid of the list for"
            " their interpolation: default_F was used for them",
        )
    if math.isinf(statistics.max):
        notes += ("pixels exceed single precision: they are infinite in the image",)
    if changed or attributes["status"] != COMPLETE:
        more = {**more, **checked_cutoff(place, attributes)}
        kept = list(dict.fromkeys([*attributes.get("notes", []), *notes]))
        update_attributes(place, {**end_attributes(statistics), **more, "notes": kept})
    return Filled(statistics, notes)


def finish(place: Place, notes: tuple[str, ...] = ()) -> Filled | None:
    """Close a store if all its tiles are there.  May be done again, by several at once.

    Parameters
    ----------
    place : Place
    notes : tuple of str
        To be added to those on record.

    Returns
    -------
    Filled or None
        None: tiles are missing, the store is closed already, or another process works on it and
        will close it.

    Raises
    ------
    StoreError
        Pixels of tiles on record are not there, the store is damaged, or it cannot be written.
    """
    if not _is_due(StoreReader(place)):
        return None
    try:
        with Lock(place):
            place.sweep()
            reader = StoreReader(place)
            if not _is_due(reader):
                return None
            reader.records.settle()
            lost = lost_tiles(reader, reader.done(), every=False)
            if lost:
                raise StoreError(
                    f"{place.name}: the pixels of {counted(len(lost), 'tile')} on record are"
                    " gone or damaged"
                    f" (the first is tile {lost[0]}): nbdask repair {place.name}, or --resume,"
                    " computes them again"
                )
            return close(place, notes, changed=False)
    except Locked:
        return None


def _is_due(reader: StoreReader) -> bool:
    """Whether all tiles are on record, and something is left to do."""
    keys = reader.place.keys(f"{TILES}/") if reader.journaled else []
    if reader.attributes["status"] == COMPLETE and not any(map(is_journal, keys)):
        return False
    return bool(reader.done().all())

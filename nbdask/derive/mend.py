"""``repair()`` of stores that ``noise()`` made: bad tiles are derived from their source again."""

from __future__ import annotations

import os

from nbdask.derive import provenance
from nbdask.derive.noise import complete_source
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.tasks import Context, Source
from nbdask.errors import StoreError
from nbdask.run import Progress
from nbdask.statistics import combine
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.lock import Lock
from nbdask.store.provenance import end_attributes, now
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter
from nbdask.verification import Repair, verify


def is_derived(path: str | os.PathLike[str]) -> bool:
    """Return whether a store was made from another one."""
    return "derived" in StoreReader(path).attributes


def repair(
    path: str | os.PathLike[str], *, threads: int | None = None, progress: Progress | None = None
) -> Repair:
    """Compute the missing and corrupt tiles of a derived store again.

    Parameters
    ----------
    path : path or str
        The store, or its address.
    threads : int, optional
        That read; None: one per core.
    progress : callable, optional
        Called with (tiles mended, tiles to mend).

    Returns
    -------
    Repair

    Raises
    ------
    StoreError
        There is no store, another run writes to it, or its source is gone or has other pixels.
    """
    place = place_of(path)
    with Lock(place) as lock:
        place.sweep()
        faults = verify(place.name, threads=threads).faults
        reader = StoreReader(place)
        if faults:
            context = _context(reader)
            for done, fault in enumerate(faults, 1):
                lock.check()
                pixels, summary = context.compute(fault.index)
                context.writer(fault.index, fault.tile, pixels, summary)
                if progress is not None:
                    progress(done, len(faults))
        statistics = combine(reader.summaries())
        times = [*reader.attributes.get("repaired", []), now()]
        if faults:
            update_attributes(place, {**end_attributes(statistics), "repaired": times})
    return Repair(place.name, faults, statistics)


def _context(reader: StoreReader) -> Context:
    """Prepare computing tiles again, with the pipeline and the source on record."""
    derived = reader.attributes["derived"]
    again = f"nbdask noise {derived['source']['path']} --out {reader.path} --overwrite"
    if derived["version"] != provenance.VERSION:
        raise StoreError(
            f"repair: {reader.path} was made by an nbdask whose noise has version"
            f" {derived['version']}, here it has {provenance.VERSION}; {again} makes it anew"
        )
    pipeline = Pipeline.from_dict(derived["pipeline"])
    if pipeline.split() is not None:
        raise StoreError(
            f"repair: {reader.path} has nanoBragg's own noise, which is made as a whole; {again}"
            " with its other options makes it anew"
        )
    source = complete_source(derived["source"]["path"], reader.place)
    if provenance.pixels_checksum(source) != derived["source"]["pixels_sha256"]:
        raise StoreError(
            f"repair: {source.path} has other pixels than when {reader.path} was made from it;"
            f" {again} with its other options makes it anew"
        )
    columns = reader.grid.counts[1]
    return Context(
        Source(source.place), pipeline, reader.grid, TileWriter(reader.place, columns), "cpu"
    )

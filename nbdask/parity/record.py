"""The verdict in the store's own attributes: appended, never replaced."""

from __future__ import annotations

import os
from typing import Any

from nbdask.parity.outcome import Outcome
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.lock import Lock
from nbdask.store.reader import StoreReader

#: Attribute of the root: a list, the latest verdict last.
ATTRIBUTE = "parity"


def verdict(outcome: Outcome) -> dict[str, Any]:
    """Return what is kept of an outcome: a few numbers, date and checksum of the program."""
    found, facts = outcome.total, outcome.facts
    return {
        "date": facts["date"],
        "ok": outcome.ok,
        "program": facts["program"]["name"],
        "program_sha256": facts["program"]["sha256"],
        "program_threads": facts["program"]["threads"],
        "nbdask_version": facts["nbdask_version"],
        "mode": facts["mode"],
        **({"shot": facts["shot"]} if "shot" in facts else {}),
        "semantics": facts["semantics"],
        "pixels_from": facts["pixels_from"],
        "regions": len(outcome.regions),
        "failed": len(outcome.failed),
        "thresholds": outcome.thresholds.to_dict(),
        **{
            key: value
            for key, value in found.to_dict().items()
            if key not in ("peaks", "max", "max_reference")
        },
    }


def record(store: str | os.PathLike[str], outcome: Outcome) -> None:
    """Append the verdict to a store's attributes.

    Raises
    ------
    StoreError
        The store is gone, in use, or cannot be written.
    """
    place = place_of(store)
    with Lock(place):
        earlier = StoreReader(place).attributes.get(ATTRIBUTE, [])
        update_attributes(place, {ATTRIBUTE: [*earlier, verdict(outcome)]})

"""Path or address -> place: which kind of storage holds a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nbdask.errors import InputError, StoreError
from nbdask.store.place import ROOT, SCHEME, Place, root_attributes

#: How far a store must outlast a power cut.
DURABILITIES = ("full", "fast")


def place_of(out: str | os.PathLike[str] | Place, durability: str = "full") -> Place:
    """Return the place that a path or an address names.

    Parameters
    ----------
    out : path or str
        A path, or ``s3://bucket/prefix`` with endpoint and keys as AWS's own tools take them from
        the environment.
    durability : str
        ``"full"``: what is written to a folder is on the disk, pixels before their records;
        ``"fast"``: when the system sees fit.  Objects are always written in full.

    Raises
    ------
    InputError
        Another durability.
    StoreError
        Empty, not a path, another kind of address, or a package that object storage needs is
        missing.
    """
    if durability not in DURABILITIES:
        raise InputError(f"--durability {durability}: must be {' or '.join(DURABILITIES)}")
    if not isinstance(out, (str, os.PathLike)):
        if not hasattr(out, "zarr_store"):
            raise StoreError(f"{out!r} is not a path: give that of a store, such as 'run.zarr'")
        return out
    text = os.fspath(out)
    if not isinstance(text, str):
        raise StoreError(f"{text!r} is not a path: give a text, such as 'run.zarr'")
    if text.startswith(SCHEME):
        return _object_place(text)
    if "://" in text:
        raise StoreError(f"--out {text}: give a path, or an address that begins with {SCHEME}")
    if not text:
        raise StoreError("path '' is empty: give that of the store, such as run.zarr")
    from nbdask.store.local import LocalPlace

    return LocalPlace(Path(text).absolute(), durable=durability == "full")


def _object_place(address: str) -> Place:
    try:
        from nbdask.store.remote import ObjectPlace
    except ModuleNotFoundError as error:
        raise StoreError(
            f"--out {address}: object storage needs the package {error.name}:"
            " pip install 'nbdask[s3]'"
        ) from error
    return ObjectPlace.at(address)


def read_root(where: str | os.PathLike[str] | Place) -> dict[str, Any] | None:
    """Return the attributes of the nbdask store at a place, or None where there is none."""
    data = place_of(where).read(ROOT)
    return None if data is None else root_attributes(data)

"""The manifest: what the root holds and how arrays are stored, under checksums.

Pixels and records have checksums of their own.  The manifest, an attribute of the root, covers the
rest: the other attributes, and the metadata of every array.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import zarr

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.chunk import put
from nbdask.store.coordinates import Coordinate, panel_coordinates, slope_coordinates
from nbdask.store.place import ROOT, Place, reason
from nbdask.store.provenance import fingerprint_of
from nbdask.store.reader import StoreReader
from nbdask.store.shots import altered_shots

NAME = "manifest"
_ARRAYS = (schema.IMAGE, schema.SLOW, schema.FAST, schema.TILES)


def digest_of(data: Any) -> str:
    """Return the SHA-256 of JSON-able data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_root(attributes: Mapping[str, Any]) -> str:
    """Return the digest of the root's attributes but for the manifest."""
    return digest_of({name: value for name, value in attributes.items() if name != NAME})


def begun(attributes: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with the manifest of a new store.

    Parameters
    ----------
    attributes : mapping
    nodes : mapping
        Array -> its metadata.
    """
    made = {"attributes": digest_of_root(attributes), "nodes": _digests(nodes)}
    return {**attributes, NAME: made}


def changed(
    before: Mapping[str, Any], changes: Mapping[str, Any], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return changes with those of the manifest; none where there is none.

    A digest that is wrong before stays wrong: a change does not vouch for what it does not touch.
    """
    held = before.get(NAME)
    if not isinstance(held, Mapping):
        return dict(changes)
    right = held.get("attributes") == digest_of_root(before)
    digest = digest_of_root({**before, **changes}) if right else held.get("attributes")
    nodes_held = held.get("nodes")
    kept = dict(nodes_held) if isinstance(nodes_held, Mapping) else {}
    # Those of a group come all at once: what is left of an earlier one is no part of it.
    groups = {name.partition("/")[0] for name in nodes}
    kept = {name: kept[name] for name in kept if name.partition("/")[0] not in groups}
    made = {"attributes": digest, "nodes": {**kept, **_digests(nodes)}}
    return {**changes, NAME: made}


def _digests(nodes: Mapping[str, Any]) -> dict[str, str]:
    return {name: digest_of(data) for name, data in nodes.items()}


def metadata_of(place: Place, names: Iterable[str]) -> dict[str, Any]:
    """Return the metadata of groups and arrays as they are stored; those that are none left out."""
    found = {}
    for name in names:
        data = place.read(f"{name}/{ROOT}")
        try:
            found[name] = None if data is None else json.loads(data)
        except ValueError:
            found[name] = None
    return {name: data for name, data in found.items() if data is not None}


def covers(reader: StoreReader, names: Iterable[str]) -> bool:
    """Whether groups and arrays are as the manifest says; also where there is no manifest."""
    held = reader.attributes.get(NAME)
    if held is None:
        return True
    nodes = held.get("nodes")
    found = _digests(metadata_of(reader.place, names))
    return isinstance(nodes, Mapping) and all(nodes.get(n) == d for n, d in found.items())


def copies(place: Place) -> dict[str, Any]:
    """Return metadata that are not those of the manifest as the root has a sound copy of them."""
    try:
        root = json.loads(place.read(ROOT) or b"")
        held = dict(root["attributes"][NAME]["nodes"])
        inside = dict(root["consolidated_metadata"]["metadata"])
    except (ValueError, KeyError, TypeError):
        return {}
    own = _digests(metadata_of(place, held))
    sound = {name: _plain(inside.get(name)) for name in held if own.get(name) != held[name]}
    return {name: data for name, data in sound.items() if digest_of(data) == held[name]}


def mended(place: Place) -> tuple[str, ...]:
    """Write metadata that are not those of the manifest again where the root has a sound copy.

    Parameters
    ----------
    place : Place
        Its lock is held.

    Returns
    -------
    tuple of str
        Groups and arrays whose metadata were written.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    sound = copies(place)
    try:
        for name, data in sound.items():
            store = place.zarr_store(read_only=False)
            put(store, f"{name}/{ROOT}", json.dumps(data, indent=2).encode())
    except OSError as error:
        raise StoreError(f"{place.name}: metadata cannot be written: {reason(error)}") from error
    return tuple(sound)


def alterations(reader: StoreReader, spared: Collection[str] = ()) -> tuple[str, ...]:
    """Return what of a store is not as it was written, beside its tiles.

    Parameters
    ----------
    reader : StoreReader
    spared : collection of str
        Arrays and groups that are passed over.
    """
    return tuple(_alterations(reader, spared))


def _alterations(reader: StoreReader, spared: Collection[str]) -> Iterator[str]:
    attributes, held = reader.attributes, reader.attributes.get(NAME)
    names: Iterable[str] = _ARRAYS
    if held is not None:
        if held.get("attributes") != digest_of_root(attributes):
            yield "the root's attributes are not those that were written: their digest differs"
        digests = held.get("nodes")
        names = digests if isinstance(digests, Mapping) and digests else _ARRAYS
    names = [name for name in names if not {name, name.partition("/")[0]} & set(spared)]
    nodes = metadata_of(reader.place, names)
    if held is not None:
        for name in names:
            digest = digest_of(nodes[name]) if name in nodes else None
            if not isinstance(held.get("nodes"), Mapping) or held["nodes"].get(name) != digest:
                yield f"the metadata of {name} are not those that were written"
    yield from _consolidated(reader.place, nodes)
    yield from _recomputed(reader, spared)


def _consolidated(place: Place, nodes: Mapping[str, Any]) -> Iterator[str]:
    """Yield which metadata in the root differ from those of the arrays themselves."""
    try:
        held = json.loads(place.read(ROOT) or b"")["consolidated_metadata"]["metadata"]
        differing = [name for name, data in nodes.items() if _plain(held.get(name)) != data]
    except (ValueError, KeyError, TypeError, AttributeError):
        differing = list(nodes)
    for name in differing:
        yield f"the consolidated metadata of {name} are not those of the array itself"


def _plain(data: Any) -> Any:
    """Return metadata without those that a group holds of what is below it."""
    return {k: v for k, v in data.items() if k != "consolidated_metadata"} if data else data


def _recomputed(reader: StoreReader, spared: Collection[str]) -> Iterator[str]:
    """Yield what does not follow from the experiment."""
    attributes, experiment, series = reader.attributes, reader.experiment, reader.series
    whole = experiment if series is None else series
    if "derived" not in attributes and attributes["fingerprint"] != fingerprint_of(
        whole, attributes.get("noise")
    ):
        yield "the fingerprint is not that of the experiment"
    if series is not None:
        if series.n_shots != reader.grid.shots:
            yield f"the image does not hold the {series.n_shots} shots of the series"
        yield from altered_shots(reader.place, series, spared)
    grid = reader.grid
    if experiment.shape != grid.shape or experiment.n_panels != grid.panels:
        yield f"the image is not of the experiment's shape, {experiment.shape}"
    store = reader.place.zarr_store(read_only=True)
    for name, side in zip((schema.SLOW, schema.FAST), reader.grid.shape, strict=True):
        if name in spared:
            continue
        try:
            array: Any = zarr.open_array(store, path=name, mode="r", zarr_format=3)
            same = np.array_equal(np.asarray(array[...]), np.arange(side))
            size = array.attrs.get("pixel_size_m")
        except Exception:  # whatever zarr and its codecs raise for a damaged file
            same, size = False, None
        if not same:
            yield f"the coordinates {name} are not 0, 1, 2, ..."
        elif size != experiment.detector.pixel_size:
            yield f"the pixel size of {name} is not the experiment's"
    for name, place, whose in _along(reader):
        if name in spared:
            continue
        try:
            array = zarr.open_array(store, path=name, mode="r", zarr_format=3)
            same = np.array_equal(np.asarray(array[...]), place.values)
        except Exception:  # as above
            same = False
        if not same:
            yield f"the coordinates {name} are not those of the {whose}"


def _along(reader: StoreReader) -> Iterator[tuple[str, Coordinate, str]]:
    """Yield name and values of coordinates along panels and derivatives, and whose they are."""
    if reader.grid.panels > 1:
        for name, place in panel_coordinates(reader.experiment.detector.panels).items():
            yield name, place, "experiment's panels"
    if slopes := schema.slopes_of(reader.attributes):
        for name, place in slope_coordinates(slopes).items():
            yield name, place, "recorded parameters"

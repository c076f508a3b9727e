"""Root attributes of a derived store: those of its source, and how it was made from that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nbdask.counter import FRAME_MOST
from nbdask.derive.pipeline import Pipeline
from nbdask.errors import FieldError, StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.store import schema
from nbdask.store.provenance import beginning, opening
from nbdask.store.reader import StoreReader
from nbdask.store.resume import changes, refuse

#: Changed whenever the same pipeline would give other bits.
VERSION = 1
#: What a derived store takes over from its source: what was simulated, and how.
_INHERITED = (
    *("experiment", "series", "noise", "semantics"),
    *("backend", "precision", "kernel_version"),
)
#: Steps after which values are no longer photons.
_UNITS = ("gain", "offset", "rounding", "saturation")


def start(
    source: StoreReader,
    pipeline: Pipeline,
    grid: TileGrid,
    command: Sequence[str] | None,
    cluster: str,
) -> dict[str, Any]:
    """Return the attributes of a store whose run begins now.

    Parameters
    ----------
    source : StoreReader
    pipeline : Pipeline
    grid : TileGrid
        Of the new store.
    command : sequence of str, optional
        The command line.
    cluster : str
        Kind of cluster.

    Returns
    -------
    dict
        JSON-able.  ``derived`` says what was done and to which store: path, fingerprint, a
        checksum of all pixels, and, where that store was derived too, its own ``derived``.
    """
    old = source.attributes
    maps = [
        {"role": "gain map", "path": step["map"], "sha256": step["sha256"]}
        for step in pipeline.to_dict()["steps"]
        if "map" in step
    ]
    text = f"{old['fingerprint']} {pipeline.fingerprint()} {VERSION}"
    return {
        **opening(command),
        **{name: old[name] for name in _INHERITED if name in old},
        "seeds": {**old["seeds"], "noise": pipeline.seed},
        "inputs": [*old["inputs"], *maps],
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
        "derived": {
            "by": "noise",
            "version": VERSION,
            "pipeline": pipeline.to_dict(),
            "source": _parent(source),
        },
        # Planes tell of photons, and stay with them.
        "plan": {
            **{k: value for k, value in old["plan"].items() if k not in ("planes", "gradient")},
            "tile": list(grid.tile),
            "tiles": len(grid),
        },
        **beginning(cluster),
    }


def _parent(source: StoreReader) -> dict[str, Any]:
    """Return what is on record of the store that a store is made from."""
    old = source.attributes
    parent = {
        "path": str(source.path),
        "fingerprint": old["fingerprint"],
        "pixels_sha256": pixels_checksum(source),
        "command": old.get("command"),
        "nbdask_version": old.get("nbdask_version"),
    }
    return parent | ({"derived": old["derived"]} if "derived" in old else {})


def check_seed_is_new(source: StoreReader, pipeline: Pipeline) -> None:
    """Refuse random numbers that are in the image already: they would not be independent.

    Raises
    ------
    FieldError
        A step of the same kind was done to the source, or to its own source, with the same seed.
    """
    drawn = {step.kind for step in pipeline.steps if step.random}
    apart = max(1, source.grid.shots)
    for old in _earlier(source.attributes):
        again = drawn & {step["step"] for step in old["steps"]}
        # The shots of a series take the frames that follow.
        overlap = abs(old["frame"] - pipeline.frame) < apart
        if again and old["seed"] == pipeline.seed and overlap:
            allowed = f"another one than that of the {sorted(again)[0]} noise in {source.path}"
            raise FieldError("seed", pipeline.seed, allowed)


def _earlier(attributes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the pipelines that an image went through."""
    if "noise" in attributes:
        yield attributes["noise"]["pipeline"]
    derived = attributes.get("derived")
    while derived is not None:
        yield derived["pipeline"]
        derived = derived["source"].get("derived")


def check_frames(pipeline: Pipeline, shots: int) -> None:
    """Refuse a frame with which the shots of a series would have none of their own.

    Raises
    ------
    FieldError
    """
    most = FRAME_MOST - max(0, shots - 1)
    if pipeline.frame > most:
        raise FieldError("frame", pipeline.frame, f"at most {most} with {shots} shots")


def pixels_checksum(reader: StoreReader) -> str:
    """Return a SHA-256 of a complete image: of its shape, its tiles and their CRC-32C."""
    digest = hashlib.sha256(repr((reader.grid.image_shape, reader.grid.tile)).encode())
    column = schema.FIELDS.index("crc32c")
    for block in reader.record_blocks():
        digest.update(np.ascontiguousarray(block[:, column], dtype="<f8").tobytes())
    return digest.hexdigest()


def image_attributes(source: StoreReader, pipeline: Pipeline) -> dict[str, str]:
    """Return name and unit of what the image holds."""
    return named(source.unit, pipeline)


def named(unit: str, pipeline: Pipeline) -> dict[str, str]:
    """Return name and unit of what an image of pixels of a unit holds after a pipeline."""
    if unit == "adu" or any(step.kind in _UNITS for step in pipeline.steps):
        return {"long_name": "detector reading per pixel", "units": "adu"}
    return dict(schema.PHOTONS)


def check_same(reader: StoreReader, attributes: Mapping[str, Any], doing: str) -> None:
    """Make sure that a run would write exactly the pixels that a store was started with.

    Raises
    ------
    StoreError
        With every difference as ``name: stored -> now``.
    """
    stored = reader.attributes
    if "derived" not in stored:
        raise StoreError(
            f"{doing}: {reader.path} was not made by nbdask noise; name another store with --out"
        )
    refuse(reader, changes(_essence(stored), _essence(attributes)), doing)


def _essence(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the bits of a derived store depend on, and its tiles."""
    derived = attributes["derived"]
    return {
        "tile": list(attributes["plan"]["tile"]),
        "version": derived["version"],
        "pipeline": derived["pipeline"],
        "source pixels": derived["source"]["pixels_sha256"][:16],
    }

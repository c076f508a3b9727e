"""A tile of pixels as the bytes of its file, without zarr's detours.

For each chunk zarr changes threads several times, which takes longer than to compress a small tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import google_crc32c
import numpy as np
from numcodecs.blosc import Blosc
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


@dataclass(frozen=True, eq=False)
class Encoder:
    """Makes the file of a chunk, or of a shard of several.

    Attributes
    ----------
    shape : tuple of int
        Of the file: that of a chunk, or of a shard.
    inner : tuple of int
        Of what is compressed as one; parts of the file's shape.
    sharded : bool
    kind : numpy.dtype
        Little-endian.
    fill : int or float
        What stands beyond the image's edge.
    codec : Blosc
    """

    shape: tuple[int, ...]
    inner: tuple[int, ...]
    sharded: bool
    kind: np.dtype[Any]
    fill: Any
    codec: Any

    @classmethod
    def of(cls, array: Any) -> Self | None:
        """Return that of a zarr array; None: its files are not of the form that nbdask makes."""
        codecs = array.metadata.to_dict()["codecs"]
        inner, sharded = array.metadata.chunk_grid.chunk_shape, False
        if len(codecs) == 1 and codecs[0]["name"] == "sharding_indexed":
            shard, sharded = codecs[0]["configuration"], True
            checked = [_plain(item) for item in shard["index_codecs"]] == [_LITTLE, "crc32c"]
            if not checked or shard.get("index_location", "end") != "end":
                return None
            inner, codecs = shard["chunk_shape"], shard["codecs"]
        if len(codecs) != 2 or codecs[0] != _LITTLE or codecs[1]["name"] != "blosc":
            return None
        kind = np.dtype(array.dtype).newbyteorder("<")
        blosc = codecs[1]["configuration"]
        if blosc.get("typesize", kind.itemsize) != kind.itemsize:
            return None
        how = {name: blosc[name] for name in ("cname", "clevel", "blocksize")}
        codec = Blosc(**how, shuffle=_SHUFFLES[blosc["shuffle"]])
        shape = tuple(array.metadata.chunk_grid.chunk_shape)
        return cls(shape, tuple(inner), sharded, kind, array.fill_value, codec)

    def __call__(self, pixels: NDArray[Any]) -> bytes:
        """Return the file of a tile.

        Parameters
        ----------
        pixels : (n_slow, n_fast) array
            At the image's far edges smaller than a tile.
        """
        slow, fast = self.shape[-2:]
        whole = np.ascontiguousarray(pixels, dtype=self.kind)
        if whole.shape != (slow, fast):
            whole = np.full((slow, fast), self.fill, dtype=self.kind)
            whole[: pixels.shape[0], : pixels.shape[1]] = pixels
        if not self.sharded:
            return bytes(self.codec.encode(whole))
        height, width = self.inner[-2:]
        parts = [
            bytes(self.codec.encode(np.ascontiguousarray(part)))
            for row, column in product(range(0, slow, height), range(0, fast, width))
            for part in [whole[row : row + height, column : column + width]]
        ]
        sizes = [len(part) for part in parts]
        starts = np.cumsum([0, *sizes[:-1]])
        index = np.stack([starts, sizes], axis=1).astype("<u8").tobytes()
        check = int(google_crc32c.value(index)).to_bytes(4, "little")
        return b"".join([*parts, index, check])


def _plain(codec: Mapping[str, Any]) -> Any:
    """Return a codec without settings by its name."""
    return codec if codec.get("configuration") else codec["name"]


def put(store: Store, key: str, data: bytes) -> None:
    """Write a file of a store.

    Parameters
    ----------
    store : Store
        zarr's; a file is there as a whole when this returns.
    key : str
    data : bytes

    Raises
    ------
    OSError
        It cannot be written.
    """
    held = default_buffer_prototype().buffer.from_bytes(data)
    if isinstance(store, LocalStore):
        store.set_sync(key, held)
    else:
        sync(store.set(key, held))

"""Blosc chunks whose own lengths are checked before they are decoded.

The library believes the lengths in a chunk's first 16 bytes: a chunk that says it is longer than it
is would be read beyond its end, and end the process.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import zarr
from zarr.codecs import BloscCodec
from zarr.registry import register_codec


class CheckedBlosc(BloscCodec):
    """The codec ``blosc`` as zarr has it, for chunks that anybody may have written."""

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        _check(chunk_bytes, chunk_spec)
        return super()._decode_sync(chunk_bytes, chunk_spec)

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        _check(chunk_bytes, chunk_spec)
        return await super()._decode_single(chunk_bytes, chunk_spec)


def _check(chunk: Any, spec: Any) -> None:
    """Raise RuntimeError, as blosc itself does, for a chunk with other lengths than it has."""
    whole = math.prod(spec.shape) * spec.dtype.item_size
    head = chunk.to_bytes()[:16] if len(chunk) < 64 else chunk.as_numpy_array()[:16].tobytes()
    sizes = struct.unpack_from("<III", head, 4) if len(head) == 16 else (0, 0, 0)
    content, block, length = sizes
    if length != len(chunk) or content != whole or not 0 < block <= max(whole, 1):
        raise RuntimeError(
            f"a chunk of {len(chunk)} bytes for {whole} says that it has {length} bytes for"
            f" {content}: it is damaged"
        )


register_codec("blosc", CheckedBlosc, qualname="nbdask.store.blosc.CheckedBlosc")
zarr.config.set({"codecs.blosc": "nbdask.store.blosc.CheckedBlosc"})

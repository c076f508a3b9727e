"""Files of tiles that are made without zarr."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from nbdask.store.chunk import Encoder, put

BLOSC = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")


def array(shards: tuple[int, ...] | None = (1, 32, 48), **options: Any) -> Any:
    """An array of two planes of 60 x 90 pixels in tiles of 32 x 48."""
    given: dict[str, Any] = {"shape": (2, 60, 90), "chunks": (1, 16, 16) if shards else (1, 32, 48)}
    given |= {"dtype": "float32", "fill_value": np.nan, "compressors": BLOSC, **options}
    return zarr.create_array(MemoryStore(), shards=shards, **given)


@pytest.mark.parametrize("shards", [None, (1, 32, 48)])
@pytest.mark.parametrize(("dtype", "fill"), [("float32", np.nan), ("uint16", 65535)])
@pytest.mark.parametrize("cname", ["lz4", "zstd"])
def test_zarr_reads_what_is_made(shards, dtype, fill, cname) -> None:
    """S-STORE-80: of whole tiles and of those at the far edges, beyond which is the fill value."""
    blosc = BloscCodec(cname=cname, clevel=1, shuffle="bitshuffle")
    made = array(shards, dtype=dtype, fill_value=fill, compressors=blosc)
    encode = Encoder.of(made)
    assert encode is not None
    pixels = np.random.default_rng(1).poisson(0.5, (2, 60, 90)).astype(dtype)
    for plane, row, column in np.ndindex(2, 2, 2):
        part = pixels[plane, 32 * row : 32 * row + 32, 48 * column : 48 * column + 48]
        put(made.store, f"c/{plane}/{row}/{column}", encode(part))
    assert made[...].tobytes() == pixels.tobytes()
    larger = array(shards, shape=(2, 64, 96), dtype=dtype, fill_value=0, compressors=blosc)
    put(larger.store, "c/1/1/1", encode(pixels[1, 32:, 48:]))
    assert np.array_equal(larger[1, 60:, 48:], np.full((4, 48), fill, dtype), equal_nan=True)


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_chunk_has_the_bytes_that_zarr_gives_it(value) -> None:
    """S-STORE-80: so checksums and lengths of files do not depend on who wrote them."""
    made = array(None, config={"write_empty_chunks": True})
    tile = np.full((32, 48), value, dtype=np.float32)
    tile[3, 4] = 7.0
    made[0, :32, :48] = tile
    encode = Encoder.of(made)
    assert encode is not None
    (key,) = [key for key in made.store._store_dict if "c/0/0/0" in key]
    data = made.store._store_dict[key].to_bytes()
    if data[3] != made.dtype.itemsize:
        pytest.skip("zarr with this numcodecs compresses single bytes, whatever their type")
    assert data == encode(tile)


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": None},
        {"compressors": zarr.codecs.ZstdCodec()},
        {"compressors": (BLOSC, zarr.codecs.Crc32cCodec())},
        {"filters": (zarr.codecs.TransposeCodec(order=(0, 2, 1)),)},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
    ],
)
def test_files_of_another_form_are_left_to_zarr(options) -> None:
    """Such as those of a store of an earlier version."""
    assert Encoder.of(array(None, **options)) is None
    assert Encoder.of(array(**options)) is None

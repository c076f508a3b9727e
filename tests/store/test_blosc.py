"""Chunks that anybody may have written are decoded only where their lengths are true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nbdask
from tests.pictured import make


@pytest.mark.parametrize("place", [4, 8, 12])
def test_a_chunk_that_lies_does_not_end_the_process(place: int, tmp_path: Path) -> None:
    """Of its content, its blocks or its own length; the library would read beyond its end."""
    store = make(tmp_path / "run.zarr", tile=16, shape=(16, 16))
    whole = nbdask.open(store)["image"].to_numpy()
    assert np.isfinite(whole).all()
    chunk = store / "image" / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\x3f"
    chunk.write_bytes(data)
    assert len(nbdask.verify(store).faults) == 1
    with pytest.raises(RuntimeError, match="it is damaged"):
        nbdask.open(store)["image"].compute()

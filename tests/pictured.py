"""Small stores for the tests of pyramids, pictures and the viewer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

import nbdask
from nbdask.experiment import Crystal, Detector, Experiment, Sampling, StructureFactors
from nbdask.store.create import quiet_zarr
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter, checksum
from tests.helpers import lose_records

#: Sides that are neither even nor multiples of a tile.
SHAPE = (75, 61)


def experiment(shape: tuple[int, int] = SHAPE) -> Experiment:
    """Return an experiment whose reflections are as large as a pixel or larger."""
    return Experiment(
        crystal=Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), n_cells=(5, 5, 5)),
        structure=StructureFactors(default_F=100.0),
        detector=Detector(pixels_fast=shape[1], pixels_slow=shape[0], pixel_size=4e-4),
        sampling=Sampling(oversample=1),
    )


def make(path: Path, *, tile: int = 8, shape: tuple[int, int] = SHAPE, **options: Any) -> Path:
    """Simulate a store."""
    nbdask.simulate(experiment(shape), path, backend="numpy", tile=tile, threads=1, **options)
    return path


def replace_text(path: Path, text: str) -> None:
    """Write a file at once, as a run does: nobody reads a part of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def image_of(path: Path) -> NDArray[np.float32]:
    """Return the whole image of a store."""
    return np.asarray(StoreReader(path).image[:], dtype=np.float32)


def set_pixels(path: Path, values: NDArray[np.float32]) -> None:
    """Write another image into a store, with records that fit it."""
    reader = StoreReader(path)
    write = TileWriter(path)
    for index, (tile, summary) in enumerate(
        zip(reader.grid, list(reader.summaries()), strict=True)
    ):
        part = values[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        write(index, tile, np.ascontiguousarray(part), summary)
        reader.records.refresh()
        record = reader.record(index)
        assert record is not None
        assert record["crc32c"] == checksum(part)


def forget(path: Path, *tiles: int) -> dict[Path, bytes]:
    """Take away records and pixels of tiles; return the files, so that they can be put back."""
    StoreReader(path).records.settle()
    columns = StoreReader(path).grid.counts[1]
    kept = {}
    for index in tiles:
        row, column = divmod(index, columns)
        file = path / "image" / "c" / str(row) / str(column)
        kept[file] = file.read_bytes()
        file.unlink()
    records = [file for file in (path / "tiles" / "c").rglob("*") if file.is_file()]
    kept |= {file: file.read_bytes() for file in records}
    lose_records(path, *tiles)
    return kept


def put_back(kept: dict[Path, bytes]) -> None:
    """Put files back where they were."""
    for file, data in kept.items():
        file.write_bytes(data)


def flip(file: Path, place: float = 0.5) -> bytes:
    """Change one bit of a file, at a part of its length; return what it was."""
    before = file.read_bytes()
    changed = bytearray(before)
    changed[int(place * (len(before) - 1))] ^= 0x10
    file.write_bytes(changed)
    return before


def reduced(image: NDArray[Any], factor: int, kind: str) -> NDArray[np.float64]:
    """Return an image reduced by a factor, straight from all of its pixels."""
    slow, fast = (-(-side // factor) for side in image.shape)
    padded = np.full((slow * factor, fast * factor), np.nan)
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(slow, factor, fast, factor).transpose(0, 2, 1, 3)
    flat = blocks.reshape(slow, fast, -1)
    known = ~np.isnan(flat).all(axis=2)
    result = np.full((slow, fast), np.nan)
    function = np.nanmax if kind == "max" else np.nanmean
    result[known] = function(flat[known], axis=-1)
    return result


def earlier_layout(path: Path) -> None:
    """Give a store's pyramid the layout that it had at first: all levels of a kind in one group."""
    for level in sorted(path.glob("pyramid/*/*")):
        if level.is_dir():
            (level / "zarr.json").unlink()
            for file in (level / "image").iterdir():
                file.rename(level / file.name)
            (level / "image").rmdir()
            about = json.loads((level / "zarr.json").read_text())
            about["dimension_names"] = ["slow", "fast"]
            (level / "zarr.json").write_text(json.dumps(about))
    about = json.loads((path / "pyramid/zarr.json").read_text())
    del about["attributes"]["layout"]
    (path / "pyramid/zarr.json").write_text(json.dumps(about))
    with quiet_zarr():
        zarr.consolidate_metadata(zarr.storage.LocalStore(path))

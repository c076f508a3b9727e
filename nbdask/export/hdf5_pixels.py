"""The images of a series in HDF5: one dataset (frame, slow, fast), and a mask."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputError
from nbdask.export.files import check_room
from nbdask.export.kinds import FRAMES
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.series import Series
from nbdask.export.target import Target
from nbdask.export.values import INT32_MAX, Clipped, counts32, scaled

#: Longest side of a chunk [pixels].
CHUNK = 512
#: Disk space that is left for HDF5's own records [bytes].
_MARGIN = 64 << 10
#: Bit of the pixel mask for pixels without a measurement: "user defined mask".
MASKED = 1 << 8
#: Value of int32 pixels that were not computed, and of those without a measurement where there is
#: no mask: below what DIALS trusts.
NOTHING, UNMASKED = -1, -2


@dataclass(eq=False)
class _Written:
    """What was written so far."""

    clipped: Clipped = field(default_factory=Clipped)
    masked: int = 0
    marked: int = 0


def compression(name: str | None) -> dict[str, Any]:
    """Return the filter of a dataset.

    Raises
    ------
    InputError
        Its package is missing.
    """
    if name != "bitshuffle":
        # Level 1: noise in the last digits leaves little to gain.
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    try:
        import hdf5plugin
    except ModuleNotFoundError as error:
        raise InputError(
            '--compression bitshuffle needs the package hdf5plugin: pip install "nbdask[io]"'
        ) from error
    return {"compression": hdf5plugin.Bitshuffle(cname="lz4")}


def write_pixels(
    groups: tuple[Any, Any], series: Series, target: Target, options: Options
) -> list[str]:
    """Write images, mask, and least and greatest valid value, a band of chunks at a time.

    Parameters
    ----------
    groups : tuple of two HDF5 groups
        Of the detector, which gets all of it, and of the plot, which gets the images too.
    series : Series
    target : Target
        More frames than ``shots_per_file`` (1000) go to files beside it, to which it links:
        ``NAME_data_000001.h5`` and so on.
    options : Options

    Returns
    -------
    list of str
        What should be reported.
    """
    detector, plot = groups
    done = _Written()
    _limits(detector, series.first, options)
    count = len(series.pictures)
    if count <= (options.shots_per_file or FRAMES):
        data = _dataset(detector, "data", series, options, count)
        for number in range(count):
            mask = _Mask(detector, target, done, number == 0, series.even)
            _frame(data, (number, number), series, options, mask)
        plot["data"] = data
    else:
        _in_parts(groups, series, target, options, done)
    said = [f"{done.masked} pixels masked"] if done.masked else []
    if done.marked:
        value = UNMASKED if options.dtype == "int32" else "NaN"
        said.append(f"{done.marked} masked pixels are {value}: panels differ in width")
    return said + done.clipped.describe(INT32_MAX)


@dataclass(eq=False)
class _Mask:
    """The mask of the pixels without a measurement: those of the first frame.

    There is none where panels differ in width: DIALS cannot read it, nor then the file.
    """

    group: Any
    target: Target
    done: _Written
    wanted: bool
    apart: bool


def _chunk(series: Series) -> tuple[int, int]:
    return (min(CHUNK, series.first.shape[0]), min(CHUNK, series.shape[1]))


def _dataset(group: Any, name: str, series: Series, options: Options, count: int) -> Any:
    """Create the dataset of so many images."""
    shape = series.shape
    data = group.create_dataset(
        name,
        shape=(count, *shape),
        dtype="<i4" if options.dtype == "int32" else "<f4",
        chunks=(1, *_chunk(series)),
        fillvalue=0,
        **compression(options.compression),
    )
    data.attrs["long_name"] = series.first.reader.unit
    return data


def _in_parts(
    groups: tuple[Any, Any], series: Series, target: Target, options: Options, done: _Written
) -> None:
    """Write the images into files beside the first one, which shows them as one dataset."""
    detector, plot = groups
    count, shape = len(series.pictures), series.shape
    per_file = options.shots_per_file or FRAMES
    dtype = "<i4" if options.dtype == "int32" else "<f4"
    whole = h5py.VirtualLayout(shape=(count, *shape), dtype=dtype)
    with ExitStack() as files:
        for part, first in enumerate(range(0, count, per_file), start=1):
            size = min(per_file, count - first)
            path = target.path.with_name(f"{target.path.stem}_data_{part:06d}.h5")
            fresh = files.enter_context(target.companion(path))
            with h5py.File(fresh, "w") as file:
                data = _dataset(file, "entry/data/data", series, options, size)
                for number in range(size):
                    mask = _Mask(detector, target, done, first + number == 0, series.even)
                    _frame(data, (number, first + number), series, options, mask)
            source = h5py.VirtualSource(path.name, "entry/data/data", (size, *shape), dtype)
            whole[first : first + size] = source
            plot[f"data_{part:06d}"] = h5py.ExternalLink(path.name, "/entry/data/data")
        detector.create_virtual_dataset("data", whole, fillvalue=0)
        detector["data"].attrs["long_name"] = series.first.reader.unit
        plot["data"] = detector["data"]


def _limits(group: Any, picture: Picture, options: Options) -> None:
    """Write which numbers count as measured."""
    whole = options.dtype == "int32"
    group["pixel_mask_applied"] = False
    group["bit_depth_readout"] = 32
    valid = picture.greatest_valid(options.factor, options.offset, whole=whole)
    if whole:
        group["saturation_value"] = INT32_MAX if valid is None else int(min(valid, INT32_MAX))
    else:
        group["saturation_value"] = float(INT32_MAX) if valid is None else valid
    group["underload_value"] = 0


def _frame(
    data: Any, numbers: tuple[int, int], series: Series, options: Options, mask: _Mask
) -> None:
    """Write one image, all its panels: its number in the dataset, and in the series."""
    for picture, row in zip(series.panels(numbers[1]), series.rows, strict=False):
        _panel(data, (numbers[0], row), picture, options, mask)


def _panel(
    data: Any, place: tuple[int, int], picture: Picture, options: Options, mask: _Mask
) -> None:
    """Write one panel of an image."""
    number, first = place
    columns = slice(0, picture.shape[1])
    whole, step = options.dtype == "int32", data.chunks[1]
    for start, pixels in picture.bands(multiple=step):
        # Pixels and mask as if incompressible, and what HDF5 itself needs.
        check_room(mask.target.fresh, 2 * pixels.nbytes + _MARGIN)
        rows = slice(first + start, first + start + len(pixels))
        unused = picture.unused(start, pixels)
        if whole:
            counts, lost = counts32(pixels, options.factor, options.offset)
            np.copyto(counts, NOTHING, where=np.isnan(pixels))
            mask.done.clipped = mask.done.clipped.plus(lost)
            values: NDArray[Any] = counts
        else:
            values = scaled(pixels, options.factor, options.offset)
        if not mask.apart and unused.any():
            values = np.where(unused, values.dtype.type(UNMASKED if whole else np.nan), values)
            mask.done.marked += int(unused.sum())
        data[number, rows, columns] = values
        if mask.apart and mask.wanted and unused.any():
            _mask_rows(mask, data, first + start, unused, options)


def _mask_rows(
    mask: _Mask, images: Any, start: int, unused: NDArray[np.bool_], options: Options
) -> None:
    """Write those chunks of the mask that have something to say; the others take no space."""
    chunk = images.chunks[1:]
    if not mask.done.masked:
        mask.group.create_dataset(
            "pixel_mask",
            shape=images.shape[1:],
            dtype="<u4",
            chunks=chunk,
            fillvalue=0,
            **compression(options.compression),
        )
    mask.done.masked += int(unused.sum())
    data = mask.group["pixel_mask"]
    for row in range(0, unused.shape[0], chunk[0]):
        for column in range(0, unused.shape[1], chunk[1]):
            part = unused[row : row + chunk[0], column : column + chunk[1]]
            if part.any():
                low = start + row
                data[low : low + part.shape[0], column : column + part.shape[1]] = part.astype(
                    np.uint32
                ) * np.uint32(MASKED)

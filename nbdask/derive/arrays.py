"""A pipeline applied to NumPy arrays, dask arrays and xarray.DataArrays."""

from __future__ import annotations

import sys
from itertools import accumulate
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.noise_c import CNoise
from nbdask.errors import FieldError
from nbdask.plan.tiles import Tile


class Steps(Protocol):
    """What is applied; see :class:`~.pipeline.Pipeline`."""

    @property
    def seed(self) -> int:
        """What the random numbers depend on."""

    @property
    def halo(self) -> int:
        """Pixels around a region that its result depends on."""

    def check(self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> None:
        """Raise an error if a step cannot be done to an image of this shape (slow, fast)."""

    def split(self) -> Self | None:
        """Return the steps after nanoBragg's own noise; None where it is not the first step."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""

    def fingerprint(self) -> str:
        """Return a text that is another one for other steps."""

    def block(
        self,
        values: NDArray[Any],
        tile: Tile,
        shape: tuple[int, int],
        backend: str = "cpu",
        corner: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        """Return the finished pixels of a tile."""


def apply(pipeline: Steps, image: Any, corner: tuple[int, int], backend: str) -> Any:
    """See :meth:`.pipeline.Pipeline.apply`."""
    xarray = sys.modules.get("xarray")
    if xarray is not None and isinstance(image, xarray.DataArray):
        where = _corner_of(image, corner)
        result = image.copy(data=apply(pipeline, image.data, where, backend))
        result.attrs["pipeline"] = [*image.attrs.get("pipeline", ()), pipeline.to_dict()]
        return result
    if not _is_dask(image):
        image = np.asarray(image)
    if image.ndim != 2 or image.dtype.kind not in "fiub":
        raise FieldError("image", f"{image.ndim}-D {image.dtype}", "a 2-D array of numbers")
    first = tuple(int(n) for n in corner)
    if len(first) != 2 or min(first) < 0:
        raise FieldError("corner", corner, "two whole numbers of at least 0, (slow, fast)")
    frame = _Frame(pipeline, (first[0], first[1]), (image.shape[0], image.shape[1]), backend)
    pipeline.check(frame.shape, frame.corner)
    rest = pipeline.split()
    if _is_dask(image):
        if rest is not None:
            raise FieldError("steps", "poisson_c", "left out: lazy arrays have no first pixel")
        return _lazy(image, frame)
    if rest is not None:
        return apply(rest, CNoise(pipeline.seed).image_rows(image), corner, backend)
    return frame.tile(image, Tile(0, image.shape[0], 0, image.shape[1]))


def _is_dask(image: Any) -> bool:
    """Whether an array is one of dask's, without importing dask for it."""
    array = sys.modules.get("dask.array")
    return array is not None and isinstance(image, array.Array)


def _corner_of(image: Any, corner: tuple[int, int]) -> tuple[int, int]:
    """Return the detector indices of a DataArray's first pixel."""
    found = list(corner)
    for axis, name in enumerate(image.dims[:2]):
        if name not in ("slow", "fast") or name not in image.coords:
            continue
        index = np.asarray(image.coords[name])
        if name != ("slow", "fast")[axis] or not (np.diff(index) == 1).all():
            raise FieldError(
                f"coordinate {name}",
                f"{index[:3].tolist()}...",
                "pixel indices without gaps, (slow, fast); apply the steps first, then select",
            )
        found[axis] = int(index[0]) if index.size else 0
    return found[0], found[1]


class _Frame:
    """An array of pixels as a separate detector whose first pixel has other indices."""

    def __init__(
        self, pipeline: Steps, corner: tuple[int, int], shape: tuple[int, int], backend: str
    ) -> None:
        self.pipeline, self.corner, self.shape, self.backend = pipeline, corner, shape, backend

    def tile(self, values: NDArray[Any], tile: Tile) -> NDArray[np.float32]:
        """Return a tile's finished pixels; ``values`` are those that it needs."""
        return self.pipeline.block(values, tile, self.shape, self.backend, self.corner)

    def __dask_tokenize__(self) -> Any:
        """Name what the pixels depend on."""
        return (type(self).__name__, self.pipeline.fingerprint(), self.corner, self.shape)


def _lazy(image: Any, frame: _Frame) -> Any:
    """Return the lazy result; chunks are those of the image but where halos are longer."""
    import dask.array as da

    source = image
    if frame.pipeline.halo:
        least = [min(frame.pipeline.halo, side) for side in image.shape]
        fitting = map(da.overlap.ensure_minimum_chunksize, least, image.chunks)
        image = image.rechunk(tuple(fitting))
        depth = dict(enumerate(least))
        source = da.overlap.overlap(image, depth=depth, boundary="none", allow_rechunk=False)
    return da.map_blocks(
        _block,
        source,
        frame=frame,
        starts=[[0, *accumulate(sizes)] for sizes in image.chunks],
        dtype=np.float32,
        chunks=image.chunks,
        meta=np.empty((0, 0), dtype=np.float32),
    )


def _block(
    values: NDArray[Any],
    frame: _Frame,
    starts: list[list[int]],
    block_id: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Compute one chunk."""
    (row, column), (slow, fast) = block_id, starts
    tile = Tile(slow[row], slow[row + 1], fast[column], fast[column + 1])
    return frame.tile(values, tile)

"""The image that is exported: a store, or a region of it, read in bands of rows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.pipeline import Pipeline
from nbdask.errors import InputError, InputFileError, StoreError
from nbdask.experiment import Experiment
from nbdask.experiment.sampling import Roi
from nbdask.geometry.model import PixelMask
from nbdask.geometry.panel_frames import BadPixels
from nbdask.inputs.smv import MaskFile, open_mask
from nbdask.plan.tiles import Tile
from nbdask.statistics import combine
from nbdask.store.checked import CheckedImage
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE

if TYPE_CHECKING:  # the Python of DIALS need not have dask
    from nbdask.fill.listen import Progress

#: Steps of a detector whose results are counts, with no photons to be expected any more.
_COUNTING = ("poisson", "poisson_c")

#: Most bytes of the image that are read at a time, where the store's chunks allow it; and most
#: bytes that are passed on at a time, where the format allows it, since writers make copies.
BAND_BYTES, PIECE_BYTES = 64 << 20, 8 << 20


class Band(NamedTuple):
    """Whole rows of the picture.

    Attributes
    ----------
    start : int
        Row of the picture that comes first.
    pixels : (n, columns) float32 array
        Photons; NaN where the store has no pixel yet.
    """

    start: int
    pixels: NDArray[np.float32]


class Scales(NamedTuple):
    """What automatic scales are made of, over the whole image of the store."""

    max: float
    rmsd: float


def scales_of(reader: StoreReader) -> Scales:
    """Return those of a store, of an unfinished one so far; of a series over all its shots."""
    found = reader.attributes.get("statistics")
    if found is None:
        found = combine(reader.summaries()).to_dict()
    return Scales(*(math.nan if found[k] is None else float(found[k]) for k in ("max", "rmsd")))


@dataclass(eq=False)
class Picture:
    """A store's image, or a rectangle of it.

    Parameters
    ----------
    store : path, address or StoreReader
    roi : tuple of 4 ints, optional
        Rows and columns to take: slow_min, slow_max, fast_min, fast_max, inclusive, and cut to the
        detector; None: the whole image.
    incomplete : bool
        Also take a store whose run has not ended.
    progress : callable, optional
        Called with (rows done, rows in all).
    panel : int
        Which panel of a detector with several, where these are taken one by one; None: the store
        must hold one.

    Raises
    ------
    StoreError
        The store is missing, damaged, or not complete, or holds several panels.
    InputError
        A region without a pixel on the detector.
    """

    store: str | os.PathLike[str] | StoreReader
    roi: Roi | None = None
    incomplete: bool = False
    progress: Progress | None = None
    panel: int | None = None
    #: What should be reported of the image itself.
    remarks: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Open the store and settle the region."""
        given = self.store
        self.reader = reader = given if isinstance(given, StoreReader) else StoreReader(given)
        reader.one_shot("export")
        if self.panel is None:
            reader.one_panel("export")
            self.panel = 0
        if reader.attributes["status"] != COMPLETE and not self.incomplete:
            raise StoreError(
                f"{reader.path} is not complete: finish it with --resume first, or export what"
                " is there with --incomplete"
            )
        self._settle()

    def _settle(self) -> None:
        """Settle which pixels are taken."""
        n_slow, n_fast = self._size()
        slow0, slow1, fast0, fast1 = self.roi or (0, n_slow - 1, 0, n_fast - 1)
        if not (0 <= slow0 <= slow1 and 0 <= fast0 <= fast1 and slow0 < n_slow and fast0 < n_fast):
            raise InputError(
                f"--roi {slow0} {slow1} {fast0} {fast1}: must be the first and last pixel along"
                " slow, then along fast, with at least one pixel on the detector of"
                f" {n_slow} (slow) x {n_fast} (fast)"
            )
        #: Detector indices (slow, fast) of the first pixel.
        self.corner = (slow0, fast0)
        #: Rows and columns.
        self.shape = (min(slow1, n_slow - 1) - slow0 + 1, min(fast1, n_fast - 1) - fast0 + 1)

    def _size(self) -> tuple[int, int]:
        """Return the rows and columns of the panel."""
        return self.reader.image_of(self.panel or 0).shape

    def of_panel(self, panel: int) -> Picture:
        """Return the picture of another panel of the same store."""
        other = copy(self)
        other.panel = panel
        other.remarks = []
        for name in ("active", "_mask"):
            other.__dict__.pop(name, None)
        other._settle()
        return other

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment on record."""
        return self.reader.experiment

    @cached_property
    def scales(self) -> Scales:
        """Greatest pixel and standard deviation of the whole image; of an unfinished one so far."""
        return scales_of(self.reader)

    @cached_property
    def counts(self) -> bool:
        """Whether pixels are counts already: photons that were drawn, or what a detector read."""
        if self.reader.unit != "photons":
            return True
        steps = (step for steps in self._pipelines() for step in steps)
        return any(step["step"] in _COUNTING for step in steps)

    @cached_property
    def whole(self) -> bool:
        """Whether all pixels are whole numbers of at least 0: photons that were counted, mostly."""
        steps = next(self._pipelines(), None)
        if not steps or any(step["step"] == "readout" for step in steps):
            return False
        below = any(step["step"] == "offset" and step["value"] < 0.0 for step in steps)
        return not below and Pipeline.from_dict({"steps": steps}).whole

    def _pipelines(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the steps that pixels went through after their photons, those of the last first."""
        attributes = self.reader.attributes
        derived = attributes.get("derived")
        while derived is not None:
            yield derived["pipeline"]["steps"]
            derived = derived["source"].get("derived")
        if "noise" in attributes:
            yield attributes["noise"]["pipeline"]["steps"]

    @cached_property
    def saturation(self) -> float | None:
        """Value of the pixels that the detector saturated; None where none did or can be told."""
        steps = next(self._pipelines(), [])
        kept = [step for step in steps if step["step"] != "rounding"]
        if not kept or kept[-1]["step"] != "saturation":
            return None
        maximum = float(np.float32(kept[-1]["maximum"]))
        return math.floor(maximum + 0.5) if steps[-1]["step"] == "rounding" else maximum

    def greatest_valid(self, scale: float, adc: float, *, whole: bool) -> float | None:
        """Return the greatest number in a file below that of saturated pixels, None without these.

        Parameters
        ----------
        scale, adc : float
            Applied to pixels in the file.
        whole : bool
            The file holds whole numbers, not float32.
        """
        if self.saturation is None:
            return None
        reached = self.saturation * scale + adc
        if whole:
            return float(np.rint(reached)) - 1.0
        return float(np.nextafter(np.float32(reached), np.float32(-np.inf)))

    @cached_property
    def active(self) -> tuple[slice, slice]:
        """Rows and columns of the picture inside the experiment's region of interest."""
        roi = self.experiment.sampling.roi
        if roi is None:
            return slice(0, self.shape[0]), slice(0, self.shape[1])
        limits = ((roi[0], roi[1] + 1), (roi[2], roi[3] + 1))
        parts = []
        for (low, high), corner, size in zip(limits, self.corner, self.shape, strict=True):
            start = min(max(low - corner, 0), size)
            parts.append(slice(start, max(start, min(high - corner, size))))
        return parts[0], parts[1]

    def inside(self, start: int, rows: int) -> tuple[slice, slice]:
        """Return which rows and columns of a band lie in the region of interest.

        Parameters
        ----------
        start, rows : int
            First row of the band, and how many it has.
        """
        active, columns = self.active
        first = min(max(active.start - start, 0), rows)
        return slice(first, max(first, min(active.stop - start, rows))), columns

    def unused(self, start: int, pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which pixels of a band hold no measurement.

        Those outside the region of interest, masked, or not computed (NaN).

        Parameters
        ----------
        start : int
            First row.
        pixels : (n, columns) float32 array

        Returns
        -------
        (n, columns) bool array
        """
        inside = self.inside(start, len(pixels))
        result = np.ones(pixels.shape, np.bool_)
        result[inside] = np.isnan(pixels[inside])
        if self._mask is not None:
            slow, fast = self.corner[0] + start, self.corner[1]
            result |= ~self._mask.read(slow, slow + len(pixels), fast, fast + self.shape[1])
        return result

    def masked(self, rows: slice, columns: slice) -> bool:
        """Whether the mask leaves out all pixels of a rectangle of the picture."""
        if self._mask is None:
            return False
        slow, fast = self.corner
        part = (slow + rows.start, slow + rows.stop, fast + columns.start, fast + columns.stop)
        return not self._mask.read(*part).any()

    @cached_property
    def _mask(self) -> PixelMask | None:
        panels = self.experiment.detector.panels
        mask = self._mask_file()
        if panels and (panels[self.panel or 0].bad or panels[self.panel or 0].bad_areas):
            return BadPixels(panels[self.panel or 0], mask)
        return mask

    def _mask_file(self) -> MaskFile | None:
        path = self.experiment.sampling.mask
        if path is None:
            return None
        try:
            mask = open_mask(path)
        except InputFileError as error:
            self.remarks.append(f"masked pixels are not marked, they are 0 ({error})")
            return None
        if (mask.n_slow, mask.n_fast) != self.reader.grid.shape:
            self.remarks.append(f"masked pixels are not marked, they are 0 ({path} has changed)")
            return None
        return mask

    def bands(self, multiple: int = 1) -> Iterator[Band]:
        """Read the picture from its first row to its last.

        Parameters
        ----------
        multiple : int
            Every band but the last has a multiple of so many rows.

        Raises
        ------
        StoreError
            A tile is damaged.  Bands before may hold pixels of it.
        """
        image = CheckedImage(self.reader, missing=self.reader.attributes["status"] != COMPLETE)
        n_rows, n_columns = self.shape
        chunk = int(self.reader.image.chunks[-2])
        step = math.lcm(chunk, multiple) if multiple > 1 else chunk
        # Where both do not fit into memory together, fewer chunks are read twice.
        if step * n_columns * 4 > 2 * BAND_BYTES and multiple > 1:
            step = multiple * max(1, chunk // multiple)
        step *= max(1, BAND_BYTES // (4 * n_columns * step))
        slow, fast = self.corner
        # So that bands after the first end where chunks end.
        first = step - slow % chunk if multiple == 1 and slow % chunk else step
        rows = max(1, PIECE_BYTES // (4 * n_columns)) if multiple == 1 else step
        start = saturated = 0
        while start < n_rows:
            stop = min(start + (first if start == 0 else step), n_rows)
            part = Tile(slow + start, slow + stop, fast, fast + n_columns, self.panel or 0)
            block = image.read_next(part)
            if self.saturation is not None:
                saturated += int((block >= self.saturation).sum())
            if stop == n_rows:
                image.finish()
                if saturated:
                    many = f"{saturated} pixel{'s' * (saturated != 1)}"
                    self.remarks.append(f"{many} saturated at {self.saturation:g}")
            # Before the rows are passed on: not every reader asks again after the last ones.
            if self.progress is not None:
                self.progress(stop, n_rows)
            for low in range(0, stop - start, rows):
                yield Band(start + low, block[low : low + rows])
            del block
            start = stop

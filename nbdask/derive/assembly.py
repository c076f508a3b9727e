"""Panels put at their place in the plane at right angles to the beam: one picture of them all."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbdask.derive.canvas import scaled
from nbdask.derive.directions import Directions
from nbdask.derive.halving import halved
from nbdask.errors import InputError, in_python
from nbdask.experiment import Detector, DetectorPanel, Experiment
from nbdask.geometry.conventions import directions
from nbdask.geometry.panel_frames import panel_frames
from nbdask.geometry.vectors import Array, array, cross, unit
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import CheckedImage, DamageError, overlapping
from nbdask.store.levels import Flags, Levels
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader

if TYPE_CHECKING:
    import xarray

#: Side of the chunks of an assembled picture [pixels].
CHUNK = 1024
#: Most pixels of a side of a picture.
_MOST = 2**31 - 1
#: Share of a pixel's area below which a panel is seen from its edge, and left out.
_EDGE_ON = 1e-3
Read = Callable[[Tile], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The picture: a flat grid of square pixels, and where each panel lies on it.

    Attributes
    ----------
    panel : DetectorPanel
        The picture as a panel, at the mean distance of the panels along the beam; as seen from the
        source, up is up.
    origins : (panels, 2) float64 array
        Outer corner of each panel's first pixel, (slow, fast) in pixels of the picture.
    steps : (panels, 2, 2) float64 array
        From pixels of the picture to those of a panel: rows slow and fast, columns the same.
    boxes : (panels, 4) int64 array
        Pixels of the picture that a panel may touch: slow from and to, fast from and to.
    sizes : (panels, 2) int64 array
        Pixels of each panel, (slow, fast).
    """

    panel: DetectorPanel
    origins: Array
    steps: Array
    boxes: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of the picture, (slow, fast)."""
        return (self.panel.n_slow, self.panel.n_fast)

    def touched(self, part: Tile) -> list[int]:
        """Return the panels that a part of the picture may hold pixels of."""
        boxes = self.boxes
        found = (boxes[:, 0] < part.slow1) & (boxes[:, 1] > part.slow0)
        found &= (boxes[:, 2] < part.fast1) & (boxes[:, 3] > part.fast0)
        return [int(number) for number in np.flatnonzero(found)]

    def pixels_under(self, panel: int, slow: Array, fast: Array) -> tuple[Array, Array]:
        """Return where places of the picture are on a panel.

        Parameters
        ----------
        panel : int
        slow, fast : float64 arrays that broadcast
            Pixel coordinates of the picture: 0 is the centre of the first pixel.

        Returns
        -------
        slow, fast : float64 arrays
            Pixel coordinates of the panel.
        """
        away = slow + 0.5 - self.origins[panel, 0], fast + 0.5 - self.origins[panel, 1]
        step = self.steps[panel]
        return (
            np.asarray(step[0, 0] * away[0] + step[0, 1] * away[1] - 0.5),
            np.asarray(step[1, 0] * away[0] + step[1, 1] * away[1] - 0.5),
        )

    def find(self, slow: float, fast: float) -> tuple[int, float, float] | None:
        """Return panel and pixel coordinates at a place of the picture; None: there is no panel."""
        row, column = int(np.floor(slow + 0.5)), int(np.floor(fast + 0.5))
        for number in self.touched(Tile(row, row + 1, column, column + 1)):
            s, f = (float(x) for x in self.pixels_under(number, np.array(slow), np.array(fast)))
            inside = -0.5 <= s < self.sizes[number, 0] - 0.5
            if inside and -0.5 <= f < self.sizes[number, 1] - 0.5:
                return number, s, f
        return None

    def assembled(self, read: Read, part: Tile, level: int = 0) -> NDArray[np.float32]:
        """Return a part of the picture: of each pixel the panel's pixel under its centre.

        Parameters
        ----------
        read : callable
            Returns pixels of a panel for a tile.
        part : Tile
        level : int
            Of the panels' pyramids.  Pixels of the picture, and of ``part``, are then half as long
            as those of the panels, so that turned panels lose none of these.

        Returns
        -------
        (n_slow, n_fast) float32 array
            NaN where there is no panel.
        """
        result = np.full(part.shape, np.nan, dtype=np.float32)
        empty = np.ones(part.shape, dtype=np.bool_)
        step = _step(level)
        for number in self.touched(Tile(*(edge * step for edge in part.bounds))):
            self._put(number, read, part, level, result, empty)
        return result

    def _put(
        self,
        number: int,
        read: Read,
        part: Tile,
        level: int,
        result: NDArray[np.float32],
        empty: NDArray[np.bool_],
    ) -> None:
        """Put the pixels of a panel where no other is yet."""
        step = _step(level)
        box = part.intersect(scaled(Tile(*(int(edge) for edge in self.boxes[number])), step))
        if box is None:
            return
        here = (
            slice(box.slow0 - part.slow0, box.slow1 - part.slow0),
            slice(box.fast0 - part.fast0, box.fast1 - part.fast0),
        )
        rows = _centres(box.slow0, box.slow1, step)[:, None]
        columns = _centres(box.fast0, box.fast1, step)[None, :]
        slow, fast = (
            np.floor(x + 0.5).astype(np.int64) for x in self.pixels_under(number, rows, columns)
        )
        n_slow, n_fast = self.sizes[number]
        inside = (slow >= 0) & (slow < n_slow) & (fast >= 0) & (fast < n_fast) & empty[here]
        if not inside.any():
            return
        s, f = slow[inside] >> level, fast[inside] >> level
        need = Tile(int(s.min()), int(s.max()) + 1, int(f.min()), int(f.max()) + 1, number)
        result[here][inside] = read(need)[s - need.slow0, f - need.fast0]
        empty[here][inside] = False


def _step(level: int) -> int:
    """Return the pixels of the picture that stand for one where panels are those of a level."""
    return 1 << max(level - 1, 0)


def _centres(start: int, stop: int, step: int) -> Array:
    """Return the coordinates of the centres of pixels that are ``step`` long."""
    return (np.arange(start, stop, dtype=np.float64) + 0.5) * step - 0.5


def plane_of(experiment: Experiment) -> Plane:
    """Return the picture of an experiment's panels.

    Its pixels are as large as the smallest pitch of any panel; each panel is seen along the beam.

    Parameters
    ----------
    experiment : Experiment
        With ``detector.panels``.
    """
    beam = unit(array(directions(experiment.frame).beam))
    slow, fast = _axes(beam)
    frames = panel_frames(experiment.frame, experiment.detector)
    centres, corners = [], []
    for frame in frames:
        across = frame.n_fast * frame.pitch_fast * frame.fast
        down = frame.n_slow * frame.pitch_slow * frame.slow
        corners += [frame.origin, frame.origin + across, frame.origin + down]
        corners.append(frame.origin + across + down)
        centres.append(frame.origin + 0.5 * (across + down))
    distance = float(np.mean([centre @ beam for centre in centres])) or 1e-3
    pitch = min(min(frame.pitch_fast, frame.pitch_slow) for frame in frames)
    places = np.array([(c @ slow, c @ fast) for c in corners]) / pitch
    low = places.min(axis=0)
    shape = np.maximum(np.ceil(places.max(axis=0) - low - 1e-6), 1).astype(np.int64)
    if shape.max() > _MOST:
        raise InputError(f"an assembled picture of {shape[0]} x {shape[1]} pixels: is too large")
    origin = distance * beam + pitch * (low[0] * slow + low[1] * fast)
    places = places.reshape(-1, 4, 2) - low
    boxes = np.stack([np.floor(places.min(axis=1)), np.ceil(places.max(axis=1))], axis=-1).astype(
        np.int64
    )
    steps = [
        _inverse(
            np.array([(v @ slow, v @ fast) for v in (f.pitch_slow * f.slow, f.pitch_fast * f.fast)])
            / pitch
        )
        for f in frames
    ]
    for number, step in enumerate(steps):
        if not np.isfinite(step).all():
            boxes[number] = 0
    return Plane(
        _as_panel(origin, slow, fast, pitch, shape),
        places[:, 0],
        np.array(steps),
        boxes.reshape(-1, 4),
        np.array([(f.n_slow, f.n_fast) for f in frames], dtype=np.int64),
    )


def _axes(beam: Array) -> tuple[Array, Array]:
    """Return the directions of slow (down) and fast of a picture, as seen from the source."""
    up = np.array([0.0, 1.0, 0.0]) if abs(beam[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    slow = -unit(up - float(up @ beam) * beam)
    return slow, cross(slow, beam)


def _inverse(steps: Array) -> Array:
    """Return how pixels of a panel follow from places; NaN where it is seen from its edge."""
    if abs(float(np.linalg.det(steps))) < _EDGE_ON:
        return np.full((2, 2), np.nan)
    return np.asarray(np.linalg.inv(steps.T))


def _as_panel(
    origin: Array, slow: Array, fast: Array, pitch: float, shape: NDArray[np.int64]
) -> DetectorPanel:
    def triple(values: Array) -> tuple[float, float, float]:
        x, y, z = (float(value) for value in values)
        return (x, y, z)

    return DetectorPanel(
        name="plane",
        n_fast=int(shape[1]),
        n_slow=int(shape[0]),
        pitch_fast=pitch,
        pitch_slow=pitch,
        origin=triple(origin),
        fast=triple(fast),
        slow=triple(slow),
    )


@dataclass(frozen=True, slots=True, eq=False)
class AssembledDirections(Directions):
    """Scattering geometry at places of an assembled picture.

    On a panel everything is that of the panel's pixel, between panels that of the picture's plane.

    Attributes
    ----------
    plane : Plane
    panels : Directions
        Of the panels themselves.
    """

    plane: Plane = None  # type: ignore[assignment]
    panels: Directions = None  # type: ignore[assignment]

    @classmethod
    def of_plane(cls, experiment: Experiment, plane: Plane) -> AssembledDirections:
        """Return the geometry of an experiment on its picture."""
        flat = Detector(panels=(plane.panel,))
        own = Directions.of(experiment.replace(detector=flat), 0)
        values = {item.name: getattr(own, item.name) for item in fields(own)}
        return cls(**values, plane=plane, panels=Directions.of(experiment, 0))

    def scattering(self, slow: ArrayLike, fast: ArrayLike) -> Array:
        """Return scattering vectors at places of the picture; see :class:`Directions`."""
        rows, columns = np.broadcast_arrays(
            np.asarray(slow, dtype=np.float64), np.asarray(fast, dtype=np.float64)
        )
        # Not super(): a class with slots is made anew, and has lost it.
        result = np.array(Directions.scattering(self, rows, columns))
        low = [int(np.floor(x.min())) for x in (rows, columns)]
        high = [int(np.ceil(x.max())) + 1 for x in (rows, columns)]
        # The first panel of several at a place comes last, and stays.
        for number in reversed(self.plane.touched(Tile(low[0], high[0], low[1], high[1]))):
            s, f = self.plane.pixels_under(number, rows, columns)
            n_slow, n_fast = self.plane.sizes[number]
            inside = (s >= -0.5) & (s < n_slow - 0.5) & (f >= -0.5) & (f < n_fast - 0.5)
            if inside.any():
                result[inside] = self.panels.on(number).scattering(s[inside], f[inside])
        return result


class AssembledLevels(Levels):
    """The picture of a store's panels, in place of the image of one.

    Its coarser levels are put together from those of the panels, so spots may be up to the
    diagonal of a panel's pixel at that level from their place.
    """

    def __init__(self, reader: StoreReader, plane: Plane | None = None) -> None:
        self.place, self.reader, self.shot = reader.place, reader, reader.shot
        self.plane = plane or plane_of(reader.experiment)
        slow, fast = self.plane.shape
        self.grid = TileGrid((slow, fast), (min(CHUNK, slow), min(CHUNK, fast)))
        self._own = Levels(self.place, shot=self.shot)
        self.kinds, self.count = self._own.kinds, self._own.count
        self.layout = self._own.layout
        self._image = CheckedImage(reader, missing=True)

    @property
    def pixel_size(self) -> float:
        """Size of a pixel of the picture [m]."""
        return self.plane.panel.pitch_fast

    @property
    def reach(self) -> int:
        """How far from their place coarser levels may show spots [pixels of the level]."""
        if self.count == 0:
            return 0
        panels = self.reader.panels
        longest = max(max(panel.pitch_slow, panel.pitch_fast) for panel in panels)
        return math.ceil(math.sqrt(2.0) * longest / self.pixel_size)

    def again(self) -> AssembledLevels:
        """Return the same of the store as it is now."""
        return AssembledLevels(_at(StoreReader(self.place), self.shot), self.plane)

    def read(self, kind: str, level: int, part: Tile) -> NDArray[np.float32]:
        """Return a part of the picture; NaN between panels, and where nothing is computed yet."""
        try:
            if level == 0:
                return self.plane.assembled(self._image.read, part)
            fine = Tile(*(2 * edge for edge in part.bounds))
            values = self.plane.assembled(partial(self._own.read, kind, level), fine, level)
            return halved(values, kind, (np.ones(values.shape[0]), np.ones(values.shape[1])))
        except DamageError as error:
            error.index = overlapping(self.level_grid(level), part)[0]
            raise

    def done(self, kinds: Iterable[str], level: int) -> Flags:
        """Return which chunks of the picture have all their pixels, (chunks_slow, chunks_fast)."""
        grid = self.level_grid(level)
        flags = np.ones(grid.counts, dtype=np.bool_)
        for panel in np.flatnonzero(~self._own.done(kinds, level).all(axis=(1, 2))):
            box = scaled(Tile(*(int(edge) for edge in self.plane.boxes[panel])), 2**level)
            inside = box.intersect(Tile.of_shape(grid.shape))
            for index in overlapping(grid, inside) if inside else ():
                flags.flat[index] = False
        return flags

    def check(self, index: int) -> None:
        """Read a chunk anew; raise StoreError where a tile under it is damaged."""
        fresh = CheckedImage(_at(StoreReader(self.place), self.shot), missing=True)
        self.plane.assembled(fresh.read, self.grid[index])


def open_levels(
    store: str | os.PathLike[str] | Place, shot: int | None = None, plane: Plane | None = None
) -> Levels:
    """Return the image of a store and its coarser levels, of several panels the picture of them.

    Parameters
    ----------
    store : path, address or Place
    shot : int, optional
        Of a series; None: the image of a store that is none of a series.
    plane : Plane, optional
        The picture of several panels, so that shots whose panels are moved have the same one.

    Raises
    ------
    StoreError
        There is no store, no such shot, or the store is damaged.
    """
    reader = StoreReader(store)
    if shot is None:
        reader.one_shot("preview and view")
    if reader.grid.panels == 1:
        return Levels(reader.place, shot=shot)
    return AssembledLevels(_at(reader, shot), plane)


def _at(reader: StoreReader, shot: int | None) -> StoreReader:
    """Return one shot of a series, or a store of one image as it is."""
    return reader if shot is None else reader.at(shot)


def geometry_of(levels: Levels) -> Directions:
    """Return the scattering geometry at places of what :func:`open_levels` gives."""
    if isinstance(levels, AssembledLevels):
        return AssembledDirections.of_plane(levels.reader.experiment, levels.plane)
    return Directions.of(levels.reader.experiment)


class _Picture:
    """What dask slices: opens the store once in each process."""

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, place: Place, plane: Plane) -> None:
        self.shape, self._place, self._plane = plane.shape, place, plane

    def __getstate__(self) -> tuple[Place, Plane]:
        """Leave the open store behind."""
        return self._place, self._plane

    def __setstate__(self, state: tuple[Place, Plane]) -> None:
        """Reopen it when needed."""
        self.__init__(*state)  # type: ignore[misc]

    @cached_property
    def _image(self) -> CheckedImage:
        return CheckedImage(StoreReader(self._place), missing=True)

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return a part for two slices of steps of 1."""
        ends = [one.indices(side)[:2] for one, side in zip(part, self.shape, strict=True)]
        return self._plane.assembled(self._image.read, Tile(*ends[0], *ends[1]))


@in_python
def assemble(store: str | os.PathLike[str]) -> xarray.DataArray:
    """Return one picture of all panels of a store, each at its place as seen along the beam.

    The picture is the plane at right angles to the beam at the panels' mean distance, as seen from
    the source.  Its pixels are as large as the smallest pitch; each has the value of the panel's
    pixel under its centre, so that no value is changed, but some may appear twice or not at all.

    Parameters
    ----------
    store : path or str
        The store, or its address; it may be unfinished.

    Returns
    -------
    xarray.DataArray
        (slow, fast) float32, lazy; NaN between panels, and where nothing is computed yet.
        Coordinates: indices, and ``x`` and ``y`` [m] of pixel centres in the plane, y up and x
        to the left when looking along the beam; attributes: those of the image, ``distance_m``.

    Raises
    ------
    InputError
        A store of one panel that nanoBragg's flags describe.
    StoreError
        No nbdask store is there; on computing: a tile is damaged.
    """
    import dask.array as da
    import xarray

    reader = StoreReader(store)
    reader.one_shot("assemble")
    if not reader.panels:
        raise InputError(
            f"{reader.path}: has one panel, which is a picture by itself: use nbdask.open"
        )
    plane = plane_of(reader.experiment)
    pixels = da.from_array(
        _Picture(reader.place, plane),
        chunks=(CHUNK, CHUNK),
        name=f"nbdask-assembled-{secrets.token_hex(8)}",
        fancy=False,
        meta=np.empty((0, 0), np.float32),
    )
    panel = plane.panel
    origin, beam = array(panel.origin), cross(array(panel.fast), array(panel.slow))
    rows, columns = (np.arange(side) for side in plane.shape)
    up = -float(origin @ array(panel.slow)) - (rows + 0.5) * panel.pitch_slow
    left = -float(origin @ array(panel.fast)) - (columns + 0.5) * panel.pitch_fast
    metres = {"units": "m"}
    coords = {
        "slow": ("slow", rows, {"units": "pixel"}),
        "fast": ("fast", columns, {"units": "pixel"}),
        "y": ("slow", up, metres | {"long_name": "up in the picture's plane"}),
        "x": ("fast", left, metres | {"long_name": "left in the picture's plane"}),
    }
    kept = ("long_name", "units")
    attributes = {name: reader.image.attrs[name] for name in kept if name in reader.image.attrs}
    attributes["distance_m"] = float(origin @ beam)
    return xarray.DataArray(pixels, coords, ("slow", "fast"), name="image", attrs=attributes)

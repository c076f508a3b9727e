"""What is exported: one store or several in order, each the image of one shot or rotation step."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nbdask.errors import InputError
from nbdask.experiment.sampling import Roi
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.picture import Picture
from nbdask.units import to_degrees

if TYPE_CHECKING:  # the Python of DIALS need not have dask
    from nbdask.fill.listen import Progress

StorePath = str | os.PathLike[str]
#: Differences of places [pixels] and angles [rad] up to which two stores agree.
_SAME_PLACE, _SAME_ANGLE = 1e-6, 1e-8


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation series: angle at its start and width of each image [rad], number of images."""

    start: float
    width: float
    count: int


@dataclass(eq=False)
class Series:
    """The images of one or more stores, of the same detector and wavelength.

    Panels stand below each other in files: rows of the first, of the second, and so on.

    Parameters
    ----------
    stores : path, address, or sequence of these
    roi : tuple of 4 ints, optional
        As for :class:`Picture`.
    incomplete : bool

    Attributes
    ----------
    pictures : tuple of Picture
        One for each image, of its first panel.
    rotation : Rotation or None
        None: stills.

    Raises
    ------
    InputError
        No store; stores of different detectors; rotations that do not follow each other.
    StoreError
        As for :class:`Picture`.
    """

    stores: StorePath | Sequence[StorePath]
    roi: Roi | None = None
    incomplete: bool = False

    def __post_init__(self) -> None:
        """Open the stores and compare them."""
        given = self.stores
        # Whatever is neither is told by the picture.
        paths: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
        if not paths:
            raise InputError("no store to export: give the path of at least one")
        self.pictures = tuple(Picture(path, self.roi, self.incomplete, panel=0) for path in paths)
        first = self.first
        geometry = geometry_of(first)
        angles = [_rotation(first)]
        for picture in self.pictures[1:]:
            _compare(first, geometry, picture)
            angles.append(_rotation(picture))
        self.rotation = _settled(angles, self.pictures)

    @property
    def first(self) -> Picture:
        """The first image."""
        return self.pictures[0]

    @property
    def n_panels(self) -> int:
        """Number of panels."""
        return self.first.experiment.n_panels

    def panels(self, number: int) -> Iterator[Picture]:
        """Yield the panels of an image."""
        yield self.pictures[number]
        for panel in range(1, self.n_panels):
            other = self.pictures[number].of_panel(panel)
            yield other
            self.pictures[number].remarks += other.remarks

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """The row of the file at which each panel begins, and the number of all."""
        sizes = self._sizes()
        return tuple(sum(rows for rows, _ in sizes[:n]) for n in range(len(sizes) + 1))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image in a file that holds all panels."""
        return (self.rows[-1], max(columns for _, columns in self._sizes()))

    @property
    def even(self) -> bool:
        """Whether all panels have the same number of columns."""
        return len({columns for _, columns in self._sizes()}) == 1

    def _sizes(self) -> list[tuple[int, int]]:
        panels = self.first.experiment.detector.panels
        if len(panels) > 1:
            return [(panel.n_slow, panel.n_fast) for panel in panels]
        return [self.first.shape]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What should be reported of the images, of each once."""
        return tuple(dict.fromkeys(text for one in self.pictures for text in one.remarks))

    def only(self, number: int) -> Series:
        """Return the series of one of the images."""
        one = copy(self)
        one.pictures = (self.pictures[number],)
        if self.rotation is not None:
            start = self.rotation.start + number * self.rotation.width
            one.rotation = Rotation(start, self.rotation.width, 1)
        return one

    def watch(self, progress: Progress | None) -> None:
        """Report the rows of all images to ``progress``."""
        if progress is None:
            return
        done = 0

        def report(rows: int, of: int) -> None:
            """Count the rows of whole panels, and those of the one at work."""
            nonlocal done
            progress(done + rows, total)
            done += of if rows == of else 0

        total = self.rows[-1] * len(self.pictures)
        for picture in self.pictures:
            picture.progress = report


def _compare(first: Picture, geometry: Geometry, picture: Picture) -> None:
    """Refuse an image of another detector, beam or kind."""
    other = geometry_of(picture)
    where = f"{picture.reader.path} and {first.reader.path}"
    if picture.experiment.detector.panels != first.experiment.detector.panels:
        raise InputError(f"{where}: different panels: must be equal in one series")
    if picture.shape != first.shape or other.pixel != geometry.pixel:
        raise InputError(f"{where}: detectors of different pixels: must be equal in one series")
    moved = max(
        float(np.max(np.abs(a - b)))
        for a, b in (
            (other.origin, geometry.origin),
            (other.frame.fast * geometry.pixel, geometry.frame.fast * geometry.pixel),
            (other.frame.slow * geometry.pixel, geometry.frame.slow * geometry.pixel),
        )
    )
    if moved > _SAME_PLACE * geometry.pixel:
        raise InputError(f"{where}: detectors at different places: must be equal in one series")
    one, two = picture.experiment, first.experiment
    if abs(one.beam.wavelength / two.beam.wavelength - 1.0) > 1e-9:
        raise InputError(f"{where}: different wavelengths: must be equal in one series")
    if picture.reader.unit != first.reader.unit:
        raise InputError(f"{where}: different units of pixels: must be equal in one series")


def _rotation(picture: Picture) -> tuple[float, float]:
    geometry = geometry_of(picture)
    return geometry.phi0, geometry.osc


def _settled(angles: list[tuple[float, float]], pictures: tuple[Picture, ...]) -> Rotation | None:
    """Return the rotation that the images are steps of, None for stills."""
    start, width = angles[0]
    if all(abs(osc) < _SAME_ANGLE for _, osc in angles):
        return None
    for number, (phi, osc) in enumerate(angles):
        wanted = start + number * width
        if abs(osc - width) > _SAME_ANGLE or abs(phi - wanted) > _SAME_ANGLE * (1 + number):
            raise InputError(
                f"{pictures[number].reader.path}: turns from {_degrees(phi)} by {_degrees(osc)}:"
                f" must be from {_degrees(wanted)} by {_degrees(width)}, to follow the image before"
                " it (stills have no -osc)"
            )
    return Rotation(start, width, len(angles))


def _degrees(angle: float) -> str:
    return f"{to_degrees(angle):.6g} degrees" if math.isfinite(angle) else str(angle)

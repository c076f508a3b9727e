"""What is exported: stores in order, each of one image, or the shots of one store."""

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
from nbdask.export.shots import Shots
from nbdask.store.reader import StoreReader
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
    shots : str, int or slice, optional
        Which shots of a store that holds a series, as ``"A:B"``; None: all.

    Attributes
    ----------
    pictures : sequence of Picture
        One for each image, of its first panel.
    rotation : Rotation or None
        None: stills.

    Raises
    ------
    InputError
        No store; stores of different detectors; rotations that do not follow each other; shots
        that there are not.
    StoreError
        As for :class:`Picture`.
    """

    stores: StorePath | Sequence[StorePath]
    roi: Roi | None = None
    incomplete: bool = False
    shots: object = None

    def __post_init__(self) -> None:
        """Open the stores and compare them."""
        given = self.stores
        # Whatever is neither is told by the picture.
        paths: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
        if not paths:
            raise InputError("no store to export: give the path of at least one")
        self.pictures: Sequence[Picture] = self._opened(paths)
        first = self.first
        geometry = geometry_of(first)
        if isinstance(self.pictures, Shots):
            self.rotation = _rotation_of_shots(self.pictures, geometry)
            return
        angles = [_rotation(first)]
        for picture in self.pictures[1:]:
            _compare(first, geometry, picture)
            angles.append(_rotation(picture))
        self.rotation = _settled(angles, self.pictures)

    def _opened(self, paths: list[Any]) -> Sequence[Picture]:
        """Return the pictures of stores of one image each, or of one store of shots."""
        readers = [StoreReader(path) for path in paths]
        of_shots = next((reader for reader in readers if reader.grid.shots), None)
        if of_shots is None:
            if self.shots is not None:
                raise InputError(
                    f"--shots {self.shots}: {readers[0].path} holds one image: leave --shots out"
                )
            return tuple(Picture(one, self.roi, self.incomplete, panel=0) for one in readers)
        if len(paths) > 1:
            raise InputError(
                f"{of_shots.path} holds {of_shots.grid.shots} shots: must be exported alone"
            )
        return Shots.of(of_shots, self.shots, self.roi, self.incomplete)

    @property
    def of_shots(self) -> Shots | None:
        """The shots, where the images are those of one store."""
        return self.pictures if isinstance(self.pictures, Shots) else None

    @property
    def first_number(self) -> int:
        """Number of the first image in names of files: 1, but that of its shot, from 1."""
        return 1 if self.of_shots is None else self.of_shots.numbers.start + 1

    def settings(self) -> Iterator[Picture]:
        """Yield what is known of every image but its pixels: experiment and place."""
        return iter(self.pictures) if self.of_shots is None else self.of_shots.settings()

    def singles(self) -> Iterator[Series]:
        """Yield the series of every image alone, without its pixels."""
        for number, picture in enumerate(self.settings()):
            one = self.part(number, number + 1)
            one.pictures = (picture,)
            yield one

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
        if self.of_shots is not None:
            return self.of_shots.remarks
        return tuple(dict.fromkeys(text for one in self.pictures for text in one.remarks))

    def part(self, start: int, stop: int) -> Series:
        """Return the series of the images from one to before another."""
        one = copy(self)
        one.pictures = self.pictures[start:stop]
        if self.rotation is not None:
            first = self.rotation.start + start * self.rotation.width
            one.rotation = Rotation(first, self.rotation.width, len(one.pictures))
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
        if self.of_shots is not None:
            self.of_shots.watch(report)
            return
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


def _rotation_of_shots(shots: Shots, geometry: Geometry) -> Rotation | None:
    """Return the rotation that shots are steps of, None for stills, and say which turn."""
    if abs(geometry.osc) < _SAME_ANGLE:
        return None
    if shots.are_steps(geometry.phi0, geometry.osc):
        return Rotation(geometry.phi0, geometry.osc, len(shots))
    shots[0].remarks.append(
        "every shot turns, but not on from the one before it: written as stills"
    )
    return None


def _rotation(picture: Picture) -> tuple[float, float]:
    geometry = geometry_of(picture)
    return geometry.phi0, geometry.osc


def _settled(angles: list[tuple[float, float]], pictures: Sequence[Picture]) -> Rotation | None:
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

"""The shots of a series as pictures, opened one by one when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nbdask.errors import InputError
from nbdask.experiment.sampling import Roi
from nbdask.export.picture import Picture, Scales, scales_of
from nbdask.shots.names import CELL, QUATERNION, SPECTRUM, STAR, TURN
from nbdask.store.reader import StoreReader

if TYPE_CHECKING:
    from nbdask.shots import Series

_SELECTION = re.compile(r"(\d*):(\d*)|(\d+)", re.ASCII)
#: What turns or deforms the crystal, changes the wavelength, or moves the detector under the beam.
_CRYSTAL = (*CELL, *QUATERNION, *TURN, *STAR)
_WAVELENGTH = ("beam.wavelength", "beam.energy", SPECTRUM)
_PLACE = ("detector.", "frame.", "beam.tilt.")
#: Differences of angles [rad] up to which images follow each other.
_SAME_ANGLE = 1e-8
#: Remarks of images that are kept word by word.
_REMARKS = 20


@dataclass(eq=False)
class _Opened:
    """What the pictures of one store share."""

    reader: StoreReader
    series: Series
    roi: Roi | None
    incomplete: bool
    progress: Callable[[int, int], None] | None = None
    last: tuple[int, Picture] | None = None
    remarks: dict[str, None] = field(default_factory=dict)
    more: int = 0

    @cached_property
    def scales(self) -> Scales:
        """Of all shots, so that those of an automatic scale can be compared."""
        return scales_of(self.reader)


class Shots(Sequence[Picture]):
    """Some shots of a store, in order; one picture is held at a time.

    Parameters
    ----------
    opened : _Opened
    numbers : range
        Of the shots, at least one.
    """

    def __init__(self, opened: _Opened, numbers: range) -> None:
        self._opened, self.numbers = opened, numbers

    @classmethod
    def of(cls, reader: StoreReader, selection: object, roi: Roi | None, incomplete: bool) -> Shots:
        """Return those of a store that a selection names, see :func:`selected`.

        Raises
        ------
        InputError
            There are no such shots.
        """
        assert reader.series is not None
        numbers = selected(selection, reader.grid.shots, str(reader.path))
        return cls(_Opened(reader, reader.series, roi, incomplete), numbers)

    def __len__(self) -> int:
        """Return the number of shots."""
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Shots: ...
    def __getitem__(self, place: int | slice) -> Picture | Shots:
        """Return the picture of a shot, or some of the shots."""
        if isinstance(place, slice):
            return Shots(self._opened, self.numbers[place])
        number, opened = self.numbers[place], self._opened
        if opened.last is None or opened.last[0] != number:
            self.remarks  # noqa: B018  (keeps those of the picture before)
            one = opened.reader.at(number)
            picture = Picture(one, opened.roi, opened.incomplete, opened.progress, panel=0)
            picture.__dict__["scales"] = opened.scales  # in place of the shot's own
            opened.last = (number, picture)
        return opened.last[1]

    @property
    def reader(self) -> StoreReader:
        """The whole store."""
        return self._opened.reader

    @property
    def series(self) -> Series:
        """The series on record."""
        return self._opened.series

    @property
    def remarks(self) -> tuple[str, ...]:
        """What should be reported of the pictures so far."""
        opened = self._opened
        if opened.last is not None:
            for text in opened.last[1].remarks:
                if len(opened.remarks) < _REMARKS:
                    opened.remarks[text] = None
                elif text not in opened.remarks:
                    opened.more += 1
            opened.last[1].remarks.clear()
        more = (f"{opened.more} more remarks on other shots",) if opened.more else ()
        return (*opened.remarks, *more)

    def watch(self, report: Callable[[int, int], None]) -> None:
        """Report the rows of every picture."""
        self._opened.progress = report
        self._opened.last = None

    def settings(self) -> Iterator[Picture]:
        """Yield the experiment and the place of every shot, as pictures without pixels."""
        first = self[0]
        for number in self.numbers:
            one = copy(first)
            for name in ("scales", "active", "_mask"):
                one.__dict__.pop(name, None)
            one.__dict__["experiment"] = self.series.shot(number)
            yield one

    @property
    def colours(self) -> bool:
        """Whether wavelengths vary."""
        return len(self) > 1 and any(name in _WAVELENGTH for name in self.series.names)

    @property
    def moving(self) -> str | None:
        """What moves the detector, or the frame that it stands in, from shot to shot."""
        if len(self) == 1:
            return None
        return next((name for name in self.series.names if name.startswith(_PLACE)), None)

    def are_steps(self, start: float, width: float) -> bool:
        """Whether the shots are the steps of one crystal's rotation.

        Parameters
        ----------
        start, width : float
            Of the first one [rad].
        """
        names = self.series.names
        if len(self) == 1:
            return True
        if any(name in _CRYSTAL or ".misset." in name or ".cell." in name for name in names):
            return False
        values = self.series.values(self.numbers.start, self.numbers.stop)
        angles: dict[str, Any] = {"scan.phi0": start, "scan.osc": width, **values}
        wanted = start + width * np.arange(len(self))
        off = np.abs(angles["scan.phi0"] - wanted)
        follow = bool((off <= _SAME_ANGLE * (1 + np.arange(len(self)))).all())
        alike = bool(np.all(np.abs(angles["scan.osc"] - width) <= _SAME_ANGLE))
        return follow and alike and "scan.step" not in names


def selected(selection: object, count: int, name: str) -> range:
    """Return the numbers of shots that are meant.

    Parameters
    ----------
    selection : str, int, slice or None
        ``"A:B"``: from A to before B, either may be left out; a number; None: all.
    count : int
        Shots that there are.
    name : str
        The store, for messages.

    Raises
    ------
    InputError
        It selects no shot, or one that there is not.
    """
    start: int | None = 0
    stop: int | None = count
    if isinstance(selection, slice) and selection.step in (None, 1):
        start, stop = selection.start, selection.stop
    elif selection is not None:
        found = _SELECTION.fullmatch(str(selection).strip())
        if found is None:
            raise InputError(f"--shots {selection}: must be A:B, from shot A to before B, or one")
        first, end, one = found.groups()
        start, stop = int(one or first or 0), int(one) + 1 if one else int(end or count)
    start, stop = 0 if start is None else start, count if stop is None else stop
    if not 0 <= start < stop <= count:
        raise InputError(
            f"--shots {start}:{stop}: {name} holds {count} shots: must be A:B with A below B, from"
            f" 0 to {count}"
        )
    return range(start, stop)

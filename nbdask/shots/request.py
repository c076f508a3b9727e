"""Options of the command line -> a series."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from nbdask.errors import FieldError, FlagError
from nbdask.experiment import Experiment
from nbdask.flags.spectrum import sase_of
from nbdask.shots.parse import (
    parse_cells,
    parse_orientations,
    parse_scan,
    parse_spectra,
    parse_vary,
    whole,
)
from nbdask.shots.series import Series
from nbdask.shots.spectra import SaseSpectra
from nbdask.shots.spectrum_files import read_spectra
from nbdask.shots.text_tables import read_table
from nbdask.shots.variation import Variation

#: What is meant as a number, not as the name of a file.
_NUMBER = re.compile(r"[-+]?[0-9]*[.]?[0-9]+(?:e[-+]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShotsRequest:
    """What is asked for, as it was typed; None: not given.

    Parameters
    ----------
    shots : str or None
        Number of shots, or a file with a table of them.
    orientations : str or None
        ``random[:SEED]``, ``grid[:POINTS]`` or a file.
    scan : str or None
        ``START:STOP:WIDTH`` [degrees].
    cells : str or None
        A file, or ``normal:WIDTH``.
    vary : tuple of str
        ``FIELD=DISTRIBUTION``.
    spectra : str or None
        File of measured spectra.
    spectrum : str or None
        Text of the beam's spectrum: each shot has one of its own where it is a laser's.
    spectrum_seed : int or None
        Seed that was given beside it.
    seed : int or None
        Of all random numbers that have no seed of their own.
    """

    shots: str | None = None
    orientations: str | None = None
    scan: str | None = None
    cells: str | None = None
    vary: tuple[str, ...] = ()
    spectra: str | None = None
    spectrum: str | None = None
    spectrum_seed: int | None = None
    seed: int | None = None

    @property
    def asked(self) -> str | None:
        """The first option that asks for a series; None: one image is asked for."""
        for name in ("shots", "orientations", "scan", "cells", "vary", "spectra"):
            if getattr(self, name) not in (None, ()):
                return f"--{name}"
        return None


def series_of(
    experiment: Experiment, request: ShotsRequest, use: Callable[[str], str] = str
) -> Series:
    """Return the series that options ask for.

    Parameters
    ----------
    experiment : Experiment
        What is common.
    request : ShotsRequest
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError
        Options that are malformed, contradict each other, or do not say how many shots there are.
    InputFileError
        A missing or malformed file.
    FieldError
        Values that cannot be simulated.
    """
    for name in ("shots", "orientations", "scan", "cells", "spectra"):
        text = getattr(request, name)
        if text is not None and not text.strip():
            raise FlagError(f"--{name} '{text}': must not be empty: nbdask simulate --help-series")
    count = None if request.shots is None else _count(request.shots)
    found: list[Variation] = []
    if request.shots is not None and count is None:
        found.append(read_table(use(request.shots)))
    if request.scan is not None:
        experiment, steps = parse_scan(experiment, request.scan)
        found.append(steps)
    if request.orientations is not None:
        rows = [item.rows for item in found if item.rows is not None]
        points = count if count is not None else min(rows, default=None)
        found.append(parse_orientations(experiment, request.orientations, points, use))
    if request.cells is not None:
        found += parse_cells(experiment, request.cells, use)
    found += [parse_vary(experiment, text, use) for text in request.vary]
    found += _spectra(experiment, request, use)
    if count is None and all(item.rows is None for item in found):
        raise FlagError(f"{request.asked}: needs the number of shots, such as --shots 100")
    drawn = [item for item in found if item.is_random]
    if drawn and request.seed is None:
        raise FlagError(
            f"--shot-seed is missing: {drawn[0].names[0]} is drawn at random: give one, such as"
            " --shot-seed 1"
        )
    try:
        series = Series(experiment, count or 0, tuple(found), request.seed or 0)
        series.check()
    except FieldError as error:
        raise FlagError(_in_flags(error)) from None
    return series


def _count(text: str) -> int | None:
    """Return a number of shots, or None where the text is the name of a file."""
    count = whole(text)
    if count is None and _NUMBER.fullmatch(text.strip()):
        raise FlagError(f"--shots {text}: must be a whole number of at least 1, or a file")
    return count


def _spectra(
    experiment: Experiment, request: ShotsRequest, use: Callable[[str], str]
) -> list[Variation]:
    """Return the spectrum of each shot, if there is one."""
    text = request.spectrum
    sase = None
    if text is not None:
        sase = sase_of(text, experiment.beam.wavelength, request.spectrum_seed)
    if request.spectra is not None:
        if text is not None:
            raise FlagError(f"--spectra {request.spectra}: leave out --spectrum {text} beside it")
        return [read_spectra(*parse_spectra(request.spectra, use))]
    return [] if sase is None else [SaseSpectra(*sase)]


def _in_flags(error: FieldError) -> str:
    if error.field == "n_shots":
        return f"--shots {error.given}: must be {error.allowed}"
    if error.field == "shots":
        return f"{error.given}: must be {error.allowed}"
    if error.field == "seed":
        return f"--shot-seed {error.given}: must be {error.allowed}"
    return str(error)

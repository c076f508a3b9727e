"""Texts of options -> variations: distributions, scans, cells, orientations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from nbdask import units
from nbdask.errors import FieldError, FlagError
from nbdask.experiment import Experiment
from nbdask.inputs.text import to_number
from nbdask.shots.crystals import cell_of
from nbdask.shots.distributions import FORMS, Distribution, Steps
from nbdask.shots.held import held_value
from nbdask.shots.names import CELL, FIELDS, field_of
from nbdask.shots.orientation_files import read_orientations
from nbdask.shots.orientations import Grid, Orientations
from nbdask.shots.quantities import converted, quantity
from nbdask.shots.tables import Table
from nbdask.shots.text_tables import read_column, read_rows
from nbdask.shots.variation import MOST_SHOTS, Variation

Use = Callable[[str], str]
_CELLS = "cells, one a line: a b c [Angstrom] alpha beta gamma [degrees]"
_WHOLE = re.compile(r"[0-9]{1,18}")
#: Rounding of the number of images in a scan.
_STEPS_OFF = 1e-6
#: Relative difference up to which edges of a cell are equal.
_EQUAL = 1e-9


def parse_vary(experiment: Experiment, text: str, use: Use) -> Variation:
    """Return what ``--vary FIELD=DISTRIBUTION`` asks for.

    Parameters
    ----------
    experiment : Experiment
        Whose values distributions without a middle of their own have.
    text : str
        ``FIELD=`` and a value, one of ``FORMS``, or ``FILE:COLUMN``.
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError
        The text is malformed, or a value is impossible.
    """
    name, _, asked = (part.strip() for part in text.partition("="))
    if not asked:
        forms = ", ".join(FORMS.values())
        raise FlagError(f"--vary {text}: must be FIELD=VALUE, or FIELD= with {forms}, FILE:COLUMN")
    try:
        return _distribution(experiment, _fields(name), asked, use)
    except FieldError as error:
        raise FlagError(f"--vary {text}: {error}") from None


def _fields(name: str) -> tuple[str, ...]:
    """Return the fields of a name, or of its beginning."""
    below = tuple(field for field in FIELDS if field.startswith(name + "."))
    if name in FIELDS or not below:
        field_of(name)
        return (name,)
    if len({FIELDS[field] for field in below}) > 1:
        raise FieldError("shots", name, f"one of {', '.join(below)}")
    return below


def _distribution(
    experiment: Experiment, fields: tuple[str, ...], asked: str, use: Use
) -> Variation:
    form, mark, rest = asked.partition(":")
    name = fields[0]
    if form == "seed" and not mark:
        return Distribution(fields, "seed")
    if form in FORMS and mark:
        return Distribution(fields, form, _numbers(experiment, name, form, rest.split(",")))
    path, mark, column = asked.rpartition(":")
    if mark and path:
        values = read_column(use(path), column, name)
        return Table(dict.fromkeys(fields, values))
    value, of_held = quantity(name, asked)
    return Distribution(
        fields, "constant", (value * _held(experiment, name) if of_held else value,)
    )


def _held(experiment: Experiment, name: str) -> float:
    held = held_value(experiment, name)
    if held is None:
        allowed = "given in the experiment, where a middle is left out or a part of it is asked for"
        raise FieldError(name, "nothing", allowed)
    return held


def _numbers(
    experiment: Experiment, name: str, form: str, words: Sequence[str]
) -> tuple[float, ...]:
    """Return the numbers of a distribution [SI]."""
    wanted = {"constant": (1,), "uniform": (2,), "seed": (0,)}.get(form, (1, 2))
    if len(words) not in wanted:
        raise FieldError(name, ",".join(words), FORMS[form])
    if form in ("constant", "uniform"):
        pairs = [quantity(name, word) for word in words]
        return tuple(x * _held(experiment, name) if part else x for x, part in pairs)
    held = _held(experiment, name) if len(words) == 1 else None
    middle = held if held is not None else quantity(name, words[0])[0]
    if form == "lognormal":
        # Of the logarithm, so without a unit.
        sigma, part = _plain(name, words[-1])
        return (middle, sigma)
    sigma, part = quantity(name, words[-1])
    if part and middle == 0.0:
        raise FieldError(name, "0", "another value where a part of it is asked for")
    return (middle, sigma * abs(middle) if part else sigma)


def _plain(name: str, word: str) -> tuple[float, bool]:
    """Return a number without unit, or in percent."""
    percent = word.strip().endswith("%")
    value = to_number(word.strip().removesuffix("%").strip())
    if value is None:
        raise FieldError(f"sigma of {name}", word, "that of the logarithm, such as 0.1 or 10%")
    return (units.from_percent(value) if percent else value), percent


def parse_scan(experiment: Experiment, text: str) -> tuple[Experiment, Steps]:
    """Return the experiment of one image of a scan, and the start of each.

    Parameters
    ----------
    experiment : Experiment
        Whose phi steps each image has.
    text : str
        ``START:STOP:WIDTH`` in degrees.

    Raises
    ------
    FlagError
        The text is malformed, or the range is no whole number of images.
    """
    origin = f"--scan {text}"
    numbers = [to_number(word.strip()) for word in text.split(":")]
    if len(numbers) != 3 or None in numbers:
        raise FlagError(f"{origin}: must be START:STOP:WIDTH in degrees, such as 0:180:0.1")
    start, stop, width = (float(number or 0.0) for number in numbers)
    if not width > 0.0 or not stop > start:
        raise FlagError(
            f"{origin}: must have a WIDTH above 0 and a STOP above START; an axis that turns the"
            " other way is its reverse"
        )
    images = (stop - start) / width
    if images > MOST_SHOTS:
        raise FlagError(f"{origin}: {images:.6g} images: must be at most {MOST_SHOTS}")
    count = round(images)
    if count < 1 or abs(images - count) > _STEPS_OFF * max(count, 1):
        raise FlagError(f"{origin}: {images:.6g} images: must be a whole number of them")
    scan = dataclasses.replace(
        experiment.scan, phi0=units.from_degrees(start), osc=units.from_degrees(width)
    )
    return experiment.replace(scan=scan), Steps("scan.phi0", start, width, count)


def parse_cells(experiment: Experiment, text: str, use: Use) -> tuple[Variation, ...]:
    """Return what ``--cells`` asks for.

    Parameters
    ----------
    experiment : Experiment
        Whose cell is the mean of a distribution.
    text : str
        A file of cells, or ``normal:`` with the standard deviation of all edges, of three, or of
        three edges and three angles.
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError, InputFileError
    """
    form, mark, rest = text.partition(":")
    if form != "normal" or not mark:
        path = use(text)
        rows = read_rows(path, _CELLS, 6, 6)
        written = zip(CELL, rows.T, ["A"] * 3 + ["deg"] * 3, strict=True)
        try:
            return (Table({name: converted(name, x, unit) for name, x, unit in written}),)
        except FieldError as error:
            raise FlagError(f"--cells {text}: {error}") from None
    words = rest.split(",")
    if len(words) not in (1, 3, 6):
        raise FlagError(f"--cells {text}: must be a file, or normal: with 1, 3 or 6 widths")
    cell = cell_of(experiment.crystal, experiment.beam)
    groups = _equal_edges(cell) if len(words) == 1 else [(name,) for name in CELL[: len(words)]]
    try:
        return tuple(
            Distribution(
                fields,
                "normal",
                _numbers(experiment, fields[0], "normal", [words[0 if len(words) == 1 else place]]),
            )
            for place, fields in enumerate(groups)
        )
    except FieldError as error:
        raise FlagError(f"--cells {text}: {error}") from None


def _equal_edges(cell: Sequence[float]) -> list[tuple[str, ...]]:
    """Return the edges of a cell, those of one length together: they stay equal."""
    groups: list[list[int]] = []
    for place in range(3):
        for group in groups:
            if abs(cell[group[0]] / cell[place] - 1.0) <= _EQUAL:
                group.append(place)
                break
        else:
            groups.append([place])
    return [tuple(CELL[place] for place in group) for group in groups]


def parse_orientations(
    experiment: Experiment, text: str, n_shots: int | None, use: Use
) -> Variation:
    """Return what ``--orientations`` asks for.

    Parameters
    ----------
    experiment : Experiment
    text : str
        ``random``, ``random:SEED``, ``grid``, ``grid:POINTS`` or a file.
    n_shots : int or None
        Points of a grid that does not say how many; None: not known.
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError, InputFileError
    """
    form, mark, rest = text.partition(":")
    if form in ("random", "grid") and not Path(text).exists():
        if mark and not _WHOLE.fullmatch(rest):
            raise FlagError(f"--orientations {text}: {rest!r} must be a whole number")
        if form == "random":
            return Orientations(int(rest) if mark else None)
        count = int(rest) if mark else n_shots
        if count is None:
            raise FlagError(f"--orientations {text}: needs --shots N, or grid:POINTS")
        try:
            return Grid(count)
        except FieldError as error:
            raise FlagError(f"--orientations {text}: {error}") from None
    try:
        return read_orientations(use(text), experiment)
    except FieldError as error:
        raise FlagError(f"--orientations {text}: {error}") from None


def parse_spectra(text: str, use: Use) -> tuple[str, bool]:
    """Return the path of measured spectra, and whether rows are drawn at random."""
    head, mark, tail = text.rpartition(":")
    drawn = bool(mark) and tail == "random"
    return use(head if drawn else text), drawn


def whole(text: str) -> int | None:
    """Return a number of shots, or None where the text is none."""
    return int(text) if _WHOLE.fullmatch(text.strip()) else None

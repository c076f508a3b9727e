"""``--spectrum``: a file or a formula -> the beam's spectrum."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from nbdask import units
from nbdask.errors import FieldError, FlagError, counted
from nbdask.experiment.beam import Beam
from nbdask.experiment.spectrum import (
    MOST_POINTS,
    POINTS,
    RANGE,
    SASE_POINTS,
    Sase,
    Spectrum,
    gaussian,
    top_hat,
)
from nbdask.flags.builder import Builder
from nbdask.inputs.spectrumfile import UNITS, read_spectrum
from nbdask.inputs.text import to_number

#: Formula -> its numbers, as messages show them.
FORMS = {
    "gauss": "gauss:FWHM[:N]",
    "tophat": "tophat:WIDTH[:N]",
    "sase": "sase:FWHM:SPIKE[:N[:SEED]]",
}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_WIDTH = re.compile(r"(.*?)(eV|keV|%)?", re.IGNORECASE)


def set_spectrum(
    builder: Builder, asked: str | None, seed: int | None, use: Callable[[str], str]
) -> None:
    """Set the spectrum that is asked for; of a file, also the wavelength if none is given.

    Parameters
    ----------
    builder : Builder
    asked : str or None
        FILE, FILE:eV, FILE:A, or one of ``FORMS``.
    seed : int or None
        Of a SASE spectrum.
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError, InputFileError
        What is asked for is malformed, or contradicts other flags.
    """
    if asked is None:
        if seed is not None:
            raise FlagError(f"--spectrum-seed {seed}: needs --spectrum sase:FWHM:SPIKE")
        return
    origin = f"--spectrum {asked}"
    refuse_beside(builder, origin)
    name, *words = str(asked).split(":")
    given = builder.get("beam.wavelength")
    if name in FORMS:
        wavelength = Beam().wavelength if given is None else given
        try:
            spectrum = _of_formula(origin, name, words, wavelength, seed)
        except FieldError as error:
            raise FlagError(f"{origin}: must be {error.allowed}") from None
    else:
        if seed is not None:
            raise FlagError(f"--spectrum-seed {seed}: needs --spectrum {FORMS['sase']}")
        spectrum = _of_file(builder, str(asked), use)
        if given is None:
            builder.set("beam.wavelength", spectrum.mean_wavelength, origin)
        elif abs(spectrum.mean_wavelength / given - 1.0) > 0.01:
            builder.note(
                f"{origin}: its mean, {_energy(spectrum.mean_wavelength):.6g} eV, is not the"
                f" wavelength given, {units.to_angstrom(given):.6g} Angstrom"
                f" ({_energy(given):.6g} eV), on which the orientation matrix and the oversampling"
                " depend"
            )
    put_spectrum(builder, spectrum, origin)


def refuse_beside(builder: Builder, origin: str) -> None:
    """Refuse what else says which wavelengths the beam holds."""
    dispersion = (f"sources.dispersion.{x}" for x in ("range", "step", "count"))
    for field in ("sources.spectrum", "files.sources", *dispersion):
        if builder.get(field) is not None:
            raise FlagError(f"{builder.origins[field]}: must be left out beside {origin}")


def put_spectrum(builder: Builder, spectrum: Spectrum, origin: str) -> None:
    """Set a spectrum, and tell what it is."""
    builder.set("sources.spectrum", spectrum, origin)
    waves = spectrum.wavelengths
    builder.note(
        f"{origin}: {counted(len(waves), 'wavelength')}, {_energy(max(waves)):.7g} to"
        f" {_energy(min(waves)):.7g} eV, mean {_energy(spectrum.mean_wavelength):.7g} eV"
    )


def _energy(wavelength: float) -> float:
    return units.EV_ANGSTROM / units.to_angstrom(wavelength)


def _of_formula(
    origin: str, name: str, words: Sequence[str], wavelength: float, seed: int | None
) -> Spectrum:
    widths = 2 if name == "sase" else 1
    most = 4 if name == "sase" else 2
    if not widths <= len(words) <= most:
        raise FlagError(f"{origin}: must be {FORMS[name]}")
    numbers = [_width(origin, word, _energy(wavelength)) for word in words[:widths]]
    counts = [_count(origin, word) for word in words[widths:]]
    record = origin.removeprefix("--spectrum ")
    if name != "sase":
        if seed is not None:
            raise FlagError(f"--spectrum-seed {seed}: needs --spectrum {FORMS['sase']}")
        make = gaussian if name == "gauss" else top_hat
        return make(wavelength, numbers[0], counts[0] if counts else POINTS, record)
    sase, seed = _sase(origin, numbers, counts, seed)
    if seed is None:
        raise FlagError(f"{origin}: needs a seed, such as --spectrum-seed 1")
    if len(counts) < 2:
        record += f", seed {seed}"
    return sase.shot(wavelength, seed, 0, record)


def sase_of(asked: str, wavelength: float, seed: int | None) -> tuple[Sase, int | None] | None:
    """Return what a text such as ``sase:20eV:1eV`` asks for, and its seed; None: another spectrum.

    Parameters
    ----------
    asked : str
        Of ``--spectrum``.
    wavelength : float
        Of the middle [m].
    seed : int or None
        Given beside it.

    Raises
    ------
    FlagError
        The text is malformed.
    """
    name, *words = asked.split(":")
    if name != "sase":
        return None
    origin = f"--spectrum {asked}"
    if not 2 <= len(words) <= 4:
        raise FlagError(f"{origin}: must be {FORMS['sase']}")
    numbers = [_width(origin, word, _energy(wavelength)) for word in words[:2]]
    return _sase(origin, numbers, [_count(origin, word) for word in words[2:]], seed)


def _sase(
    origin: str, widths: Sequence[float], counts: Sequence[int], seed: int | None
) -> tuple[Sase, int | None]:
    """Return a laser's spectra from numbers, and the seed."""
    if len(counts) == 2:
        if seed is not None:
            raise FlagError(f"--spectrum-seed {seed}: {origin} has a seed of its own: give one")
        seed = counts[1]
    if not widths[1] < widths[0]:
        raise FlagError(f"{origin}: SPIKE must be smaller than FWHM")
    points = counts[0] if counts else SASE_POINTS
    # Two channels or more over a spike show it.
    least = math.ceil(2.0 * RANGE * widths[0] / widths[1] - 1e-9)
    if points < least:
        raise FlagError(
            f"{origin}: {points} points are too few for spikes that narrow: N of {FORMS['sase']}"
            f" must be at least {least}"
        )
    return Sase(widths[0], widths[1], points), seed


def _width(origin: str, word: str, energy: float) -> float:
    """Return a width in eV, keV or percent as a part of the energy."""
    match = _WIDTH.fullmatch(word)
    value = to_number(match.group(1)) if match else None
    if match is None or value is None or value <= 0.0:
        raise FlagError(
            f"{origin}: width {word!r} must be a number above 0 in eV, or with keV or %"
        )
    unit = (match.group(2) or "eV").lower()
    return value / 100.0 if unit == "%" else value * (1000.0 if unit == "kev" else 1.0) / energy


def _count(origin: str, word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", word) or not 1 <= int(word) <= MOST_POINTS:
        raise FlagError(f"{origin}: {word!r} must be a whole number from 1 to {MOST_POINTS}")
    return int(word)


def _of_file(builder: Builder, asked: str, use: Callable[[str], str]) -> Spectrum:
    head, _, unit = asked.rpartition(":")
    named = next((known for known in UNITS if known.lower() == unit.lower()), None)
    path = use(head if head and named else asked)
    if not (head and named) and ":" in asked and not Path(path).exists():
        forms = ", ".join(FORMS.values())
        raise FlagError(f"--spectrum {asked}: must be a file, FILE:eV, FILE:A, or one of {forms}")
    if _is_hdf5(path):
        from nbdask.panels.read import read_geometry

        pairs = read_geometry(path).beam.spectrum
        if not pairs:
            raise FlagError(
                f"--spectrum {asked}: must hold wavelengths with incident_wavelength_weights"
            )
        waves, weights = zip(
            *((wave, weight) for wave, weight in pairs if weight > 0.0), strict=True
        )
        return Spectrum(waves, weights, path)
    waves, weights, notes = read_spectrum(path, named if head else None)
    for note in notes:
        builder.note(note)
    return Spectrum(waves, weights, path)


def _is_hdf5(path: str) -> bool:
    try:
        if not Path(path).is_file():  # opening a pipe waits for its writer
            return False
        with open(path, "rb") as file:
            return file.read(8) == _HDF5
    except OSError:
        return False

"""``write_geometry``: a geometry in another format, and what that cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.panels.model import Instrument
from nbdask.panels.write_crystfel import crystfel_text
from nbdask.panels.write_dxtbx import dxtbx_text
from nbdask.panels.write_nxmx import write_nxmx
from nbdask.panels.write_plain import poni_text, xds_text

_TEXTS: dict[str, Callable[[Instrument], tuple[str, list[str]]]] = {
    ".expt": dxtbx_text,
    ".geom": crystfel_text,
    "poni": poni_text,
    "XDS.INP": xds_text,
}
#: Format by the word or ending that names it, in small letters.
_NAMES = {
    "expt": ".expt",
    "json": ".expt",
    "geom": ".geom",
    "poni": "poni",
    "xds.inp": "XDS.INP",
    "inp": "XDS.INP",
    "nxmx": "nxmx",
    "nxs": "nxmx",
    "h5": "nxmx",
    "hdf5": "nxmx",
}
_ENDINGS = {".expt": ".expt", ".geom": ".geom", "poni": ".poni", "nxmx": ".nxs"}
ALLOWED = ".expt, .geom, nxmx, poni, XDS.INP, or a file name with such an ending"


def target_of(word: str, source: Path, out: Path | None = None) -> tuple[str, Path]:
    """Return the format, and the file to write.

    Parameters
    ----------
    word : str
        A format, or a file name with its ending.
    source : Path
        What is converted: a format alone gives its name with another ending, in this folder.
    out : Path or None
        The file to write.

    Raises
    ------
    InputError
        The word names no format.
    """
    format_ = _NAMES.get(word.lower().lstrip("."))
    path = Path(word)
    if format_ is not None:
        name = "XDS.INP" if format_ == "XDS.INP" else source.stem + _ENDINGS[format_]
        return format_, out or Path(name)
    format_ = _NAMES.get(path.suffix.lower().lstrip(".")) if path.suffix else None
    if format_ is None:
        raise InputError(f"--to {word}: must be {ALLOWED}")
    if out is not None:
        raise InputError(f"--to {word} and -o {out}: both name a file: must be one of them")
    return format_, path


def write_geometry(instrument: Instrument, path: str | Path, format_: str) -> list[str]:
    """Write a geometry; a file that is there is replaced as a whole.

    Parameters
    ----------
    instrument : Instrument
    path : str or Path
    format_ : str
        ``.expt``, ``.geom``, ``nxmx``, ``poni`` or ``XDS.INP``.

    Returns
    -------
    list of str
        What the format does not hold or what was changed for it, one line each.

    Raises
    ------
    InputError
        The format cannot hold this detector, or the file cannot be written.
    """
    if instrument.beam.wavelength is None:
        raise InputError(f"--to {format_}: no wavelength: must be given with --energy")
    if format_ == "nxmx":
        with whole_file(path, "--to", InputError) as fresh:
            return write_nxmx(instrument, fresh)
    text, said = _TEXTS[format_](instrument)
    with whole_file(path, "--to", InputError) as fresh:
        fresh.write_text(text, encoding="utf-8")
    return said

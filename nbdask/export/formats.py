"""The formats that a store can be exported to, and the export itself."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from nbdask.errors import InputError, StoreError, nearest
from nbdask.experiment.sampling import Roi
from nbdask.export.files import fresh_file
from nbdask.export.flagfile import Writer
from nbdask.export.options import Choices, Options
from nbdask.export.picture import Picture
from nbdask.export.smv import check_seed
from nbdask.files import check_target
from nbdask.fill.listen import Progress
from nbdask.plan.memory import format_bytes


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file.

    Parameters
    ----------
    name : str
        What ``--format`` takes.
    suffixes : tuple of str
        Of file names, which select the format; empty: only selected by name.
    writer : str
        ``module:function`` below ``nbdask.export``.
    takes : frozenset of str
        Fields of :class:`Options` that it uses.
    help : str
    only : str or None
        The only kind of pixels, which may be asked for by name.
    """

    name: str
    suffixes: tuple[str, ...]
    writer: str
    takes: frozenset[str]
    help: str
    only: str | None = None


_VALUES = frozenset({"scale", "adc"})
FORMATS = {
    f.name: f
    for f in (
        Format("float", (".bin", ".float"), "floatfile:write_raw", _VALUES, "bare float32"),
        Format("smv", (".img", ".smv"), "smv:write_smv", _VALUES, "SMV, unsigned 16 bits"),
        Format(
            "smv-noise",
            (),
            "smv:write_noise",
            frozenset({"adc", "seed"}),
            "SMV with nanoBragg's own photon noise",
        ),
        Format("pgm", (".pgm",), "pgm:write_pgm", frozenset({"scale"}), "8-bit greymap"),
        Format(
            "nxmx",
            (".h5", ".hdf5", ".nxs"),
            "nexus:write_nexus",
            _VALUES | {"dtype"},
            "NeXus NXmx in HDF5",
        ),
        Format("cbf", (".cbf",), "cbf:write_cbf", _VALUES, "CBF with mini header, int32", "int32"),
        Format(
            "tiff", (".tif", ".tiff"), "tiff:write_tiff", _VALUES | {"dtype"}, "BigTIFF with tiles"
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written.

    Attributes
    ----------
    path : Path
    format : str
    shape : tuple of int
        Pixels, (slow, fast).
    size : int
        Bytes.
    remarks : tuple of str
        Scales, and pixels that did not fit.
    """

    path: Path
    format: str
    shape: tuple[int, int]
    size: int
    remarks: tuple[str, ...]

    def describe(self) -> str:
        """Return what was written, in one line."""
        text = f"{self.path}: {self.format}, {self.shape[0]} (slow) x {self.shape[1]} (fast) pixels"
        return ", ".join([text, format_bytes(self.size), *self.remarks])


def format_of(path: str | os.PathLike[str], name: str | None = None) -> Format:
    """Return the format of a file by its name's ending, or as asked for.

    Parameters
    ----------
    path : path
    name : str, optional
        One of :data:`FORMATS`.

    Raises
    ------
    InputError
        The format cannot be told from either.
    """
    if name is not None:
        if name not in FORMATS:
            close = nearest(name, FORMATS)
            hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(FORMATS)
            raise InputError(f"--format {name}: unknown format ({hint})")
        return FORMATS[name]
    suffix = Path(path).suffix.lower()
    for found in FORMATS.values():
        if suffix in found.suffixes:
            return found
    known = ", ".join(" ".join(f.suffixes) for f in FORMATS.values() if f.suffixes)
    what = f"unknown ending {suffix}" if suffix else "no ending"
    raise InputError(
        f"{path}: {what}; known are {known}, or give --format (one of {', '.join(FORMATS)})"
    )


def _writer(format_: Format) -> Writer:
    module, function = format_.writer.split(":")
    try:
        return getattr(importlib.import_module(f"nbdask.export.{module}"), function)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        raise InputError(
            f'--format {format_.name} needs the package {error.name}: pip install "nbdask[io]"'
        ) from error


def _check_options(format_: Format, options: Options) -> None:
    for name in ("scale", "adc", "dtype", "seed"):
        given = getattr(options, name)
        if given is None or (name == "dtype" and given == format_.only):
            continue
        if name not in format_.takes:
            takers = [f.name for f in FORMATS.values() if name in f.takes]
            raise InputError(
                f"--{name} is not used by {format_.name}: leave it out, or export as"
                f" {' or '.join(takers)}"
            )
    if options.seed is not None:
        check_seed(options.seed, "--seed")


def _file_bytes(format_: Format, picture: Picture) -> int:
    """Return the bytes that a file will have, 0 where compression decides."""
    module = importlib.import_module(f"nbdask.export.{format_.writer.split(':')[0]}")
    size: Any = getattr(module, "file_bytes", None)
    return 0 if size is None else int(size(picture))


class Prepared(NamedTuple):
    """An export that can begin."""

    format: Format
    picture: Picture
    options: Options
    write: Writer


def check_export(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    roi: Roi | None = None,
    incomplete: bool = False,
    overwrite: bool = False,
    **choices: Unpack[Choices],
) -> Prepared:
    """Make sure, without writing anything, that :func:`export` can begin with these arguments.

    Raises
    ------
    NbdaskError
        As :func:`export`.
    """
    _check_arguments(path, roi, choices.get("scale"))
    options = Options(**choices)
    chosen = format_of(path, format)
    _check_options(chosen, options)
    check_target(path, "output", StoreError, overwrite=overwrite)
    picture = Picture(store, roi, incomplete)
    _check_region(picture, roi)
    if chosen.name == "smv-noise" and picture.counts:
        raise InputError(
            f"--format smv-noise: {picture.reader.path} already holds counts with noise; export it"
            " as smv, or export the store that it was made from"
        )
    return Prepared(chosen, picture, options, _writer(chosen))


def export(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    roi: Roi | None = None,
    incomplete: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **choices: Unpack[Choices],
) -> Exported:
    """Write the image of a store into a file that other programs read.

    The image is read and written in bands of rows, so memory does not grow with its height, and
    the file appears under its name only when it is whole.

    Parameters
    ----------
    store : path or address
    path : path
        The file.
    format : str, optional
        One of ``float``, ``smv``, ``smv-noise``, ``pgm``, ``nxmx``, ``cbf``, ``tiff``; None: by the
        ending of ``path``.
    roi : tuple of 4 ints, optional
        Only these pixels: slow_min, slow_max, fast_min, fast_max, inclusive.  The geometry in the
        file is that of the cut-out.
    incomplete : bool
        Export a store whose run has not ended.  Missing pixels are NaN in float files, -1 in
        signed integers (and masked in ``nxmx``), 0 in ``smv`` and ``pgm``.
    overwrite : bool
        Replace an existing file.
    progress : callable, optional
        Called with (rows done, rows in all).
    **choices
        ``scale``, ``adc``, ``dtype`` and ``seed``, the fields of
        :class:`nbdask.export.options.Options`.

    Raises
    ------
    StoreError
        The store is missing, damaged or not complete; the file exists or cannot be written.
    InputError
        An unknown format, an option that it does not have, a region outside the image, a missing
        package.
    """
    chosen, picture, options, write = check_export(
        store, path, format, roi=roi, incomplete=incomplete, overwrite=overwrite, **choices
    )
    picture.progress = progress
    target = Path(path)
    size = _file_bytes(chosen, picture)
    with fresh_file(target, "output", overwrite=overwrite, size=size) as fresh:
        remarks = write(picture, fresh, options)
        written = fresh.stat().st_size
    return Exported(target, chosen.name, picture.shape, written, (*remarks, *picture.remarks))


def _check_arguments(path: object, roi: object, scale: object) -> None:
    """Refuse what is not a path, no region or no scale."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{path!r} is not a path: give that of the file to write, such as 'a.img'")
    if not str(path):
        raise InputError(f"path {path!r} is empty: give that of the file to write, such as a.img")
    if roi is not None:
        four = list(roi) if isinstance(roi, (tuple, list)) else []
        if len(four) != 4 or not all(hasattr(n, "__index__") for n in four):
            raise InputError(
                f"--roi {roi!r}: must be four whole numbers, the first and last pixel along slow,"
                " then along fast"
            )
    if scale is not None:
        if isinstance(scale, (str, bytes)) or not hasattr(scale, "__float__"):
            raise InputError(f"--scale {scale!r}: must be a number above 0")
        # C takes 0 or less for its automatic scale; here leaving it out does that.
        if float(scale) <= 0.0:
            raise InputError(
                f"--scale {float(scale):g}: must be above 0; leave it out for the format's own"
            )


def _check_region(picture: Picture, roi: Roi | None) -> None:
    """Refuse a region that goes beyond the detector."""
    slow, fast = picture.reader.grid.shape
    if roi is not None and (roi[1] >= slow or roi[3] >= fast):
        raise InputError(
            f"--roi {roi[0]} {roi[1]} {roi[2]} {roi[3]}: must be within 0 to {slow - 1} along slow"
            f" and 0 to {fast - 1} along fast"
        )

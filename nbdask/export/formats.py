"""The export of stores into files of a format."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from nbdask.errors import InputError, StoreError, nearest
from nbdask.experiment.sampling import Roi
from nbdask.export.expt import Images, write_list
from nbdask.export.files import fresh_file
from nbdask.export.kinds import FORMATS, FRAMES, PICTURE, SERIES, Format
from nbdask.export.names import numbered, template_of
from nbdask.export.options import Choices, Options
from nbdask.export.picture import Picture
from nbdask.export.sensor import settle_sensor
from nbdask.export.series import Series, StorePath
from nbdask.export.smv import check_seed
from nbdask.export.smv_adsc import not_held
from nbdask.export.target import Target
from nbdask.export.values import INT32_MAX
from nbdask.files import check_target
from nbdask.fill.listen import Progress
from nbdask.plan.memory import format_bytes

#: Remarks of one export that are told.
_REMARKS = 24

_log = logging.getLogger("nbdask.export")

__all__ = ["FORMATS", "Exported", "check_export", "export", "format_of"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes
    ----------
    path : Path
        The file, or the pattern of names with ``#``.
    format : str
    shape : tuple of int
        Pixels, (slow, fast).
    size : int
        Bytes.
    remarks : tuple of str
        Scales, and pixels that did not fit.
    images : int
    beside : tuple of Path
        Further files that belong to it.
    """

    path: Path
    format: str
    shape: tuple[int, int]
    size: int
    remarks: tuple[str, ...]
    images: int = 1
    beside: tuple[Path, ...] = ()

    def describe(self) -> str:
        """Return what was written, in one line."""
        text = f"{self.path}: {self.format}, {self.shape[0]} (slow) x {self.shape[1]} (fast) pixels"
        many = [f"{self.images} images"] if self.images > 1 else []
        beside = [f"with {', '.join(str(path) for path in self.beside)}"] if self.beside else []
        return ", ".join([text, *many, format_bytes(self.size), *self.remarks, *beside])


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


def _writer(format_: Format) -> Callable[..., list[str]]:
    try:
        module = importlib.import_module(format_.module)
    except ModuleNotFoundError as error:
        raise InputError(
            f'--format {format_.name} needs the package {error.name}: pip install "nbdask[io]"'
        ) from error
    function: Callable[..., list[str]] = getattr(module, format_.writer.split(":")[1])
    return function


def _check_options(format_: Format, options: Options) -> None:
    for field in fields(Options):
        name, given = field.name.replace("_", "-"), getattr(options, field.name)
        if given is None or (name == "dtype" and given == format_.only):
            continue
        if field.name not in format_.takes:
            takers = [f.name for f in FORMATS.values() if field.name in f.takes]
            raise InputError(
                f"--{name} is not used by {format_.name}: leave it out, or export as"
                f" {' or '.join(takers)}"
            )
    if options.seed is not None:
        check_seed(options.seed, "--seed")


def _settled(format_: Format, options: Options, series: Series) -> Options:
    """Return the options with the kind of pixels: int32 for whole numbers that stay whole."""
    if options.dtype is not None or "dtype" not in format_.takes:
        return options
    first, factor, offset = series.first, options.factor, options.offset
    pictures = series.pictures if series.of_shots is None else [first]
    stay = factor.is_integer() and offset.is_integer() and offset >= 0.0
    whole = stay and all(
        picture.whole and picture.scales.max * factor + offset <= INT32_MAX for picture in pictures
    )
    return replace(options, dtype="int32" if whole else "float32")


def _file_bytes(format_: Format, picture: Picture) -> int:
    """Return the bytes that a file will have, 0 where compression decides."""
    module = importlib.import_module(format_.module)
    size: Any = getattr(module, "file_bytes", None)
    return 0 if size is None else int(size(picture))


class Prepared(NamedTuple):
    """An export that can begin."""

    format: Format
    series: Series
    options: Options
    write: Callable[..., list[str]]
    paths: list[Path]
    #: Most images of a file.
    per_file: int
    #: Why an experiment list is needed beside the images, and its path.
    truth: tuple[str, Path] | None

    @property
    def picture(self) -> Picture:
        """The first image."""
        return self.series.first


def check_export(
    store: StorePath | Sequence[StorePath],
    path: StorePath,
    format: str | None = None,
    *,
    roi: Roi | None = None,
    incomplete: bool = False,
    overwrite: bool = False,
    shots: str | int | slice | None = None,
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
    if chosen.unit == SERIES or "://" in str(path):
        check_target(path, "output", StoreError, overwrite=overwrite)
    series = Series(store, roi, incomplete, shots)
    options = _settled(chosen, options, series)
    _check_panels(chosen, series, path, roi)
    paths, per_file = _files(chosen, series, Path(path), options)
    for one in paths:
        check_target(one, "output", StoreError, overwrite=overwrite)
    _check_moving(chosen, series, path, per_file)
    _check_region(series.first, roi)
    settle_sensor(series.first.experiment.detector, options.sensor)
    if chosen.name == "smv-noise" and series.first.counts:
        raise InputError(
            f"--format smv-noise: {series.first.reader.path} already holds counts with noise;"
            " export it as smv, or export the store that it was made from"
        )
    truth = _truth(chosen, series, paths, options)
    if truth is not None:
        check_target(truth[1], "output", StoreError, overwrite=overwrite)
    return Prepared(chosen, series, options, _writer(chosen), paths, per_file, truth)


def _files(format_: Format, series: Series, path: Path, options: Options) -> tuple[list[Path], int]:
    """Return the files to write, and the most images that one of them holds."""
    count = len(series.pictures)
    if format_.unit != SERIES:
        return numbered(path, count, series.first_number), 1
    if not format_.splits or "#" not in path.name:
        return [path], count
    per_file = options.shots_per_file or FRAMES
    return numbered(path, -(-count // per_file)), per_file


def _check_moving(format_: Format, series: Series, path: StorePath, per_file: int) -> None:
    """Refuse shots of different detectors in one file that has one detector."""
    shots = series.of_shots
    if shots is None or shots.moving is None or per_file == 1 or format_.name == "expt":
        return
    raise InputError(
        f"{path}: {shots.moving} varies from shot to shot: must be the same in one file of"
        f" {format_.name}; export image_####.cbf, or s_####.nxs with --shots-per-file 1"
    )


def _check_panels(format_: Format, series: Series, path: StorePath, roi: Roi | None) -> None:
    """Refuse several panels in a format of one, and a region of several."""
    if series.n_panels == 1:
        return
    several = f"{series.first.reader.path} holds {series.n_panels} panels"
    if not format_.panels:
        takers = ", ".join(f.name for f in FORMATS.values() if f.panels)
        raise StoreError(
            f"export {path}: {several}: must be a store of one for {format_.name}, or one of the"
            f" formats {takers}"
        )
    if roi is not None:
        raise InputError(f"--roi: {several}: must be left out")


def _truth(
    format_: Format, series: Series, paths: list[Path], options: Options
) -> tuple[str, Path] | None:
    """Return the experiment list that SMV files need beside them, and why."""
    if not format_.name.startswith("smv") or options.header == "c":
        return None
    why = not_held(series)
    if why is None:
        return None
    first = paths[0]
    stem = template_of(first).partition("#")[0].rstrip("_-.") if len(paths) > 1 else first.stem
    return why, first.with_name(f"{stem or first.stem}.expt")


def export(
    store: StorePath | Sequence[StorePath],
    path: StorePath,
    format: str | None = None,
    *,
    roi: Roi | None = None,
    incomplete: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    shots: str | int | slice | None = None,
    **choices: Unpack[Choices],
) -> Exported:
    """Write the images of one or more stores into files that other programs read.

    Images are read and written in bands of rows, so memory does not grow with their height, and
    a file appears under its name only when it is whole.

    Parameters
    ----------
    store : path, address, or sequence of these
        Several are images of one series, in this order: stills, or steps of a rotation.  A store
        of shots is one alone; they are read one by one.
    path : path
        The file.  Of a format with one image in a file the name of several has ``#`` for their
        number, from 1: ``image_####.cbf`` (of shots their own, plus 1).  With ``#`` in the name
        of an ``nxmx`` or ``cxi`` file images go to several of these.
    format : str, optional
        One of ``float``, ``smv``, ``smv-noise``, ``pgm``, ``nxmx``, ``cbf``, ``tiff``, ``cxi``,
        ``geom``, ``expt``; None: by the ending of ``path``.
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
    shots : str, int or slice, optional
        Which shots of a store of these: ``"A:B"``, from A to before B, or one; None: all.
    **choices
        ``scale``, ``adc``, ``dtype``, ``seed``, ``sensor``, ``compression``, ``header``,
        ``images`` and ``shots_per_file``, the fields of :class:`nbdask.export.options.Options`.

    Raises
    ------
    StoreError
        The store is missing, damaged or not complete; the file exists or cannot be written.
    InputError
        An unknown format, an option that it does not have, a region outside the image, a missing
        package, stores that are no series.
    """
    ready = check_export(
        store,
        path,
        format,
        roi=roi,
        incomplete=incomplete,
        overwrite=overwrite,
        shots=shots,
        **choices,
    )
    series, chosen = ready.series, ready.format
    series.watch(progress)
    room = _file_bytes(chosen, series.first) * len(ready.paths)
    remarks: list[str] = []
    size, beside = 0, []
    for number, target in enumerate(ready.paths):
        part = series.part(number * ready.per_file, (number + 1) * ready.per_file)
        with fresh_file(target, "output", overwrite=overwrite, size=room) as fresh:
            place = Target(target, fresh, overwrite)
            if chosen.unit == PICTURE:
                remarks += ready.write(part.first, fresh, ready.options)
            else:
                remarks += ready.write(part, place, ready.options)
            size += fresh.stat().st_size
        _log.info("%s written as %s", target, chosen.name)
        beside += place.beside
        room -= _file_bytes(chosen, series.first)
    if ready.truth is not None:
        why, truth = ready.truth
        _write_truth(series, ready, truth, overwrite)
        remarks.append(why)
        beside.append(truth)
    return Exported(
        Path(path),
        chosen.name,
        series.shape,
        size,
        _few((*remarks, *series.remarks)),
        len(series.pictures),
        tuple(beside),
    )


def _few(remarks: Iterable[str]) -> tuple[str, ...]:
    """Return each remark once, and of many the first ones."""
    once = list(dict.fromkeys(remarks))
    if len(once) <= _REMARKS:
        return tuple(once)
    return (*once[:_REMARKS], f"{len(once) - _REMARKS} more remarks on other images")


def _write_truth(series: Series, ready: Prepared, path: Path, overwrite: bool) -> None:
    """Write the experiment list of images whose headers cannot hold their geometry."""
    sensor = settle_sensor(series.first.experiment.detector, ready.options.sensor)
    with fresh_file(path, "output", overwrite=overwrite) as fresh:
        write_list(series, sensor, Target(path, fresh), Images(tuple(ready.paths)))


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

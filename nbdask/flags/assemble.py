"""Flags with values -> Experiment, in nanoBragg's order of precedence."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nbdask.amplitudes.request import Request
from nbdask.errors import FieldError, FlagError, shown
from nbdask.experiment import checks
from nbdask.experiment.background import Background
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.experiment.experiment import SEMANTICS, Experiment
from nbdask.experiment.frame import LabFrame
from nbdask.experiment.sampling import Roi, Sampling
from nbdask.experiment.scan import Scan
from nbdask.experiment.sources import WEIGHTS, Sources, Spread
from nbdask.experiment.structure import StructureFactors
from nbdask.flags.apply import apply
from nbdask.flags.builder import Builder
from nbdask.flags.crystals import parse_crystals
from nbdask.flags.diffuse import DIFFUSE
from nbdask.flags.files import InputFiles, read_files, read_headers
from nbdask.flags.geometry_request import GeometryRequest
from nbdask.flags.headers import note_header
from nbdask.flags.own import Own, set_own
from nbdask.flags.parse import Given, parse, parse_all
from nbdask.flags.parsed import Outputs, Parsed
from nbdask.flags.placement import finish_placement
from nbdask.flags.table import TABLE
from nbdask.inputs.smv import open_mask
from nbdask.inputs.text import to_number

_log = logging.getLogger("nbdask.flags")


def parse_args(
    argv: Sequence[str],
    *,
    semantics: str = "spec",
    source_weights: str = "ignore",
    pix0: Sequence[float] | None = None,
    amplitudes: Request | None = None,
    ignore_unknown: bool = False,
    geometry: GeometryRequest | str | None = None,
    own: Own | None = None,
    base_dir: Path | None = None,
) -> Parsed:
    """Turn a nanoBragg argument list into an experiment.

    Parameters
    ----------
    argv : sequence of str
        The arguments, without the program's name.
    semantics : str
        ``"spec"`` or ``"c"``.
    source_weights : str
        ``"ignore"`` (as nanoBragg does) or ``"apply"``.
    pix0 : three floats or None
        Lab position [m] of the outer corner of the first pixel; overrides every other placement.
    amplitudes : Request or None
        Structure factors of a model or a reflection file; their cell is used if none is given.
    ignore_unknown : bool
        Pass over arguments that nanoBragg does not know and ignores, with a note.
    geometry : GeometryRequest, str or None
        Geometry file that places the detector; flags that do so are refused.
    own : Own or None
        What nbdask's own options say of beam and crystal.
    base_dir : Path or None
        Folder that relative paths of input files start from; None: the working directory.

    Raises
    ------
    FlagError
        Arguments that cannot be understood, or values that cannot be simulated.
    InputFileError
        A missing or malformed input file.
    FieldError
        A keyword argument of this function that is refused.
    """
    checks.one_of("semantics", semantics, SEMANTICS)
    checks.one_of("source_weights", source_weights, WEIGHTS)
    checks.flag("ignore_unknown", ignore_unknown)
    _log.info("flags: %s", shlex.join(argv))
    if geometry is not None and not isinstance(geometry, GeometryRequest):
        geometry = GeometryRequest(geometry)
    own = own or Own()
    beside = _Beside(semantics, source_weights, pix0, ignore_unknown, geometry, own, base_dir)
    if own.crystals is None:
        return _of_one(argv, amplitudes, beside)
    return parse_crystals(
        InputFiles(base_dir).use(own.crystals),
        lambda more, asked: _of_crystal(argv, more, amplitudes, asked, beside),
    )


class _Beside(NamedTuple):
    """Keywords of :func:`parse_args` that all crystals share."""

    semantics: str
    source_weights: str
    pix0: Sequence[float] | None
    ignore_unknown: bool
    geometry: GeometryRequest | None
    own: Own
    base_dir: Path | None


def _of_crystal(
    argv: Sequence[str],
    more: Sequence[str],
    shared: Request | None,
    own: Request | None,
    beside: _Beside,
) -> Parsed:
    """Return the experiment of one crystal of several: its own amplitudes replace the shared."""
    if own is not None:
        count = len(argv)
        for item in parse_all(argv)[0][::-1]:
            if _names_list(item):
                at = count - item.following - 1
                argv = [*argv[:at], *argv[at + len(item.argv) :]]
    elif any(_names_list(item) for item in parse_all(more)[0]):
        shared = None
    return _of_one([*argv, *more], own or shared, beside)


def _names_list(given: Given) -> bool:
    """Whether a flag names a list of amplitudes."""
    return bool({"files.hkl", "files.dump"} & set(given.flag.targets))


def _of_one(argv: Sequence[str], amplitudes: Request | None, beside: _Beside) -> Parsed:
    """Return the experiment of one crystal."""
    geometry, amplitudes = _share_energy(beside.geometry, amplitudes)
    builder, files = Builder(), InputFiles(beside.base_dir)
    given = _taken(builder, files, argv, beside.ignore_unknown)
    _place(builder, files, beside.pix0, geometry)
    set_own(builder, beside.own, files.use)
    read_files(builder, files, source_weights=beside.source_weights, amplitudes=amplitudes)
    finish_placement(builder, semantics=beside.semantics)
    _finish_rest(builder, given, beside.source_weights)
    try:
        experiment = _build(builder, beside.semantics)
    except FieldError as error:
        raise builder.in_users_spelling(error, _flag_of_field()) from None
    outputs = Outputs(**builder.part("outputs"), dumpfile=builder.get("files.dump"))
    return Parsed(experiment, outputs, tuple(builder.notes), tuple(files.used))


def _share_energy(
    geometry: GeometryRequest | None, amplitudes: Request | None
) -> tuple[GeometryRequest | None, Request | None]:
    """Give the energy to the geometry file where no amplitudes are asked for."""
    if geometry is None or amplitudes is None or amplitudes.model or amplitudes.reflections:
        return geometry, amplitudes
    energy = amplitudes.energy
    number = to_number(energy) if isinstance(energy, str) else energy
    if number is None:
        return geometry, amplitudes
    return replace(geometry, energy=number), replace(amplitudes, energy=None)


def _taken(
    builder: Builder, files: InputFiles, argv: Sequence[str], ignore_unknown: bool
) -> list[Given]:
    """Set what headers and then arguments say; return the flags."""
    given = parse(argv, ignore_unknown=ignore_unknown)
    if ignore_unknown:
        for passed in parse_all(argv)[1]:
            builder.note(f"{passed.text}: ignored, as nanoBragg does")
    headers = read_headers(builder, files, given)
    for item in given:
        apply(builder, item)
    for header in headers:
        note_header(builder, header)
    return given


def _place(
    builder: Builder,
    files: InputFiles,
    pix0: Sequence[float] | None,
    geometry: GeometryRequest | None,
) -> None:
    """Take what places the detector beside the flags: a corner, or a geometry file."""
    if geometry is not None:
        from nbdask.flags.geometry import place_by_file

        place_by_file(builder, replace(geometry, path=files.use(geometry.path)))
        if pix0 is not None:
            raise FlagError("--pix0-vector-mm: --geometry places the detector: must be left out")
    if pix0 is not None:
        if not isinstance(pix0, Iterable):
            raise FieldError("pix0", pix0, "3 finite numbers")
        builder.set("detector.pix0", tuple(pix0), "--pix0-vector-mm")


def from_args(argv: Sequence[str], *, ignore_unknown: bool = False) -> Experiment:
    """Build an experiment from a nanoBragg argument list, without the program's name.

    :func:`parse_args` also gives the notes and the output files.

    Parameters
    ----------
    argv : sequence of str
    ignore_unknown : bool
        Pass over arguments that nanoBragg does not know and ignores.

    Raises
    ------
    FlagError
        Arguments that cannot be understood, or values that cannot be simulated.
    InputFileError
        A missing or malformed input file.
    """
    if isinstance(argv, (str, bytes)):
        raise FlagError(f"{argv!r}: must be a list of arguments, such as text.split() gives")
    return parse_args(argv, ignore_unknown=ignore_unknown).experiment


def _finish_misset(builder: Builder) -> None:
    seed = builder.get("crystal.misset_seed")
    quirk = builder.origins.get("quirk.misset_seed")
    if quirk is not None:
        builder.note(
            f"{quirk}: read as a seed only; nanoBragg also reads it, and the next two arguments, as"
            " the three angles of -misset"
        )
    if builder.get("crystal.misset") != "random":
        if seed is not None:
            builder.note(
                f"{builder.origins['crystal.misset_seed']}: has no effect without -misset random"
            )
            builder.drop("crystal.misset_seed")
    elif seed is None:
        clock = int(time.time()) % (2**31 - 1)
        builder.set("crystal.misset_seed", clock, "-misset random")
        builder.note(
            f"-misset random: the clock gave the seed {clock}; -misset_seed {clock} repeats it"
        )


def _finish_rest(builder: Builder, given: list[Given], source_weights: str) -> None:
    """Settle orientation, sizes, sources and intensity, where several flags meet."""
    _finish_misset(builder)
    _finish_weights(builder, source_weights)
    for field, count in (("crystal.n_cells", 1), ("crystal.size", 0.0)):
        parts = [builder.get(f"{field}.{i}") for i in range(3)]
        if any(part is not None for part in parts):
            builder.values[field] = tuple(count if part is None else part for part in parts)
    _finish_dispersion(builder)
    if builder.get("beam.flux") and builder.get("beam.fluence") is not None:
        exposure, beamsize = builder.get("beam.exposure", 1.0), builder.get("beam.beamsize", 1e-4)
        if exposure > 0.0 and beamsize >= 0.0:
            builder.note(
                f"{builder.origins['beam.fluence']}: has no effect, {builder.origins['beam.flux']}"
                " with exposure and beam size gives the fluence"
            )
    if builder.get("crystal.cell") is None and builder.get("crystal.matrix") is None:
        raise FlagError("no crystal: give -cell a b c alpha beta gamma, or -mat file")


def _finish_dispersion(builder: Builder) -> None:
    width, count = "sources.dispersion.range", "sources.dispersion.count"
    steps = builder.get(count)
    if steps is None or builder.get(width) is not None:
        return
    if width not in builder.values:
        builder.note(f"{builder.origins[count]}: has no effect without -dispersion")
        return
    # A negative width is "not given" in nanoBragg, unlike no width at all, which is 0.
    builder.values[width] = 1.0
    builder.values["sources.dispersion.step"] = 1.0 / steps
    builder.note(
        f"{builder.origins[width]} with {builder.origins[count]}: nanoBragg takes a width of 100"
        " percent"
    )


def _finish_weights(builder: Builder, weights: str) -> None:
    builder.set("sources.weights", weights, "--source-weights " + weights)
    if weights != "ignore" and not builder.get("sources.points"):
        builder.note(f"--source-weights {weights}: has no effect without -sourcefile")


def _spread(builder: Builder, name: str) -> Spread:
    return Spread(**builder.part(f"sources.{name}"))


def _build(builder: Builder, semantics: str) -> Experiment:
    detector = Detector(**builder.part("detector"))
    sampling = builder.part("sampling")
    if "roi" in builder.values:
        builder.origins["sampling.roi"] = builder.origins["roi"]
        if len(detector.panels) > 1:
            flag = builder.origins["roi"]
            raise FlagError(f"{flag}: the detector has several panels: must be left out")
        sampling["roi"] = _roi(builder, detector)
    _check_mask(builder, detector)
    sources: dict[str, Any] = builder.part("sources")
    for name in ("horizontal", "vertical", "dispersion"):
        sources[name] = _spread(builder, name)
    return Experiment(
        crystal=Crystal(**builder.part("crystal")),
        structure=StructureFactors(**builder.part("structure")),
        beam=Beam(**builder.part("beam")),
        frame=LabFrame(**builder.part("frame")),
        detector=detector,
        sources=Sources(**sources),
        scan=Scan(**builder.part("scan")),
        background=Background(**builder.part("background")),
        sampling=Sampling(**sampling),
        semantics=semantics,
    )


def _roi(builder: Builder, detector: Detector) -> Roi | None:
    """Return the region as slow_min, slow_max, fast_min, fast_max; negative: to the edge."""
    argv = builder.origins["roi"]
    xmin, xmax, ymin, ymax = builder.values["roi"]
    bounds: list[int] = []
    for name, low, high, size in (
        ("ymin ymax", ymin, ymax, detector.n_slow),
        ("xmin xmax", xmin, xmax, detector.n_fast),
    ):
        first, last = max(low, 0), high if high >= 0 else size - 1
        if first > last or first >= size:
            raise FlagError(
                f"{argv}: {name} is {low} {high}: must be two pixels in ascending order,"
                f" the first from 0 to {size - 1}"
            )
        bounds += [first, last]
    if min(xmin, xmax, ymin, ymax) < 0:
        builder.note(f"{argv}: negative numbers mean the edge of the detector, as in nanoBragg")
    slow_min, slow_max, fast_min, fast_max = bounds
    return (slow_min, slow_max, fast_min, fast_max)


def _check_mask(builder: Builder, detector: Detector) -> None:
    path = builder.get("sampling.mask")
    if path is None or len(detector.panels) > 1:
        return
    mask = open_mask(path)
    if (mask.n_fast, mask.n_slow) != (detector.n_fast, detector.n_slow):
        raise FlagError(
            f"{builder.origins['sampling.mask']}: has {mask.n_fast} x {mask.n_slow} pixels (fast x"
            f" slow): must be those of the detector, {detector.n_fast} x {detector.n_slow}"
        )


def in_flags(error: FieldError) -> str:
    """Return the refusal of a field with the flag that sets it, where there is one."""
    flag = _flag_of_field().get(error.field)
    given = error.given if isinstance(error.given, str) else shown(error.given)
    return str(error) if flag is None else f"{flag} ({given}): must be {error.allowed}"


def _flag_of_field() -> dict[str, str]:
    found = {target: flag.name for flag in reversed(TABLE) for target in flag.targets}
    found |= {name: f"--{name}" for name in ("energy", "dtype", "compression")}
    found |= {
        f"crystal.{name.replace('_', '.')}": "--" + name.replace("_", "-") for name in DIFFUSE
    }
    return found | {"crystal.mosaic.tolerance": "--domains auto:ERROR"}

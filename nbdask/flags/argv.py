"""Experiment -> nanoBragg's arguments: the way back from :func:`~.assemble.parse_args`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from nbdask import units
from nbdask.errors import FlagError
from nbdask.experiment.experiment import Experiment
from nbdask.experiment.mosaic import Mosaic
from nbdask.flags.convert import CONVERSIONS
from nbdask.flags.row import Flag
from nbdask.flags.table import TABLE

#: The order of the arguments: that in which runs of C were compared.
_ORDER = (
    "Crystal", "Structure factors", "Beam", "Convention", "Detector", "Sources", "Rotation",
    "Sampling", "Output",
)  # fmt: skip
#: SI -> the flag's unit, roughly; the exact number is searched for around it.
_GUESSES: dict[str, Callable[[float], float]] = {
    "plain": lambda x: x,
    "mm": lambda x: x * 1e3,
    "um": lambda x: x * 1e6,
    "microns_water": lambda x: x * 1e6,
    "angstrom": lambda x: x * 1e10,
    "angstrom_product": lambda x: x * 1e10,
    "degrees": units.to_degrees,
    "mrad": lambda x: x * 1e3,
    "percent": lambda x: x * 100.0,
    "inverse_um": lambda x: 1e6 / x,
}


def _inverse_um(depth: float) -> float:
    return math.inf if depth == 0.0 else 1.0 / units.from_um(depth)


def number(value: float, conversion: str = "plain") -> str:
    """Return the shortest text that nanoBragg converts to ``value``.

    Parameters
    ----------
    value : float
        In SI.
    conversion : str
        Name in :data:`~.convert.CONVERSIONS`, or ``"inverse_um"`` (an absorption depth).

    Returns
    -------
    str
        Where no text gives the value to the last bit (as happens with values that never were a
        flag's), one that gives a neighbouring one.
    """
    convert = _inverse_um if conversion == "inverse_um" else CONVERSIONS[conversion]
    guess = _GUESSES[conversion](value)
    for digits in range(1, 18):
        text = f"{guess:.{digits}g}"
        if convert(float(text)) == value:
            return text
    near = [guess]
    for way in (math.inf, -math.inf):
        step = guess
        for _ in range(4):
            step = math.nextafter(step, way)
            near.append(step)
    return repr(min(near, key=lambda x: abs(convert(x) - value)))


def to_args(experiment: Experiment) -> list[str]:
    """Return the nanoBragg arguments that describe an experiment.

    ``parse_args(to_args(e), semantics=e.semantics)`` gives ``e`` again for every experiment that
    came from flags.  Files are named by the paths on record (``structure.path``,
    ``crystal.matrix_file``, ``sources.file``, ``sampling.mask``); of a mask the header counts too,
    so that it must not set what the experiment leaves open.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    list of str
        Without the program's name; seeds stand before what they seed.

    Raises
    ------
    FlagError
        Something that no flag of nanoBragg can say: amplitudes, a matrix or sources without a
        file, weights that count, a place given by ``detector.pix0``, a step of the dispersion.
    """
    _refuse_unsayable(experiment)
    argv: list[str] = []
    for flag in sorted(TABLE, key=_rank):
        write = _by_field if flag.back in _BY_FIELD else _SPECIAL[flag.back]
        argv += write(flag, experiment)
    return argv


def _rank(flag: Flag) -> tuple[int, int]:
    """Return where a flag stands among the arguments."""
    # nanoBragg ignores -curved_det as the last argument; most placement flags set the pivot.
    late = (flag.name in ("-mask", "-pivot")) - (flag.special == "curved")
    return late, _ORDER.index(flag.group)


def _refuse_unsayable(experiment: Experiment) -> None:
    for field, unsayable, why in (*_of_crystals(experiment), *_of_the_rest(experiment)):
        if unsayable:
            raise FlagError(f"{field}: {why}")


def _of_crystals(experiment: Experiment) -> tuple[tuple[str, bool, str], ...]:
    """Return what no flag may say of crystals: field, whether it does not, and why."""
    crystal, structure = experiment.crystal, experiment.structure
    return (
        (
            "crystal.matrix",
            crystal.matrix is not None and crystal.matrix_file is None,
            "nanoBragg reads a matrix from a file: name one",
        ),
        (
            "crystal.cells_matrix",
            crystal.cells_matrix is not None,
            "nanoBragg has cells along the axes only",
        ),
        (
            "crystal.diffuse",
            crystal.diffuse is not None,
            "nanoBragg has no diffuse scattering",
        ),
        (
            "crystal.shape",
            crystal.shape == "spherical",
            "nanoBragg has no spots of equal width in all directions",
        ),
        (
            "crystal.mosaic",
            crystal.mosaic != Mosaic(),
            "nanoBragg has random domains of a cap only",
        ),
        (
            "structure.reflections",
            bool(structure.reflections),
            "nanoBragg reads amplitudes from a file: name one",
        ),
        (
            "structure.scale",
            (structure.scale, structure.b_factor) != (1.0, 0.0),
            "nanoBragg has no scale and no B factor of amplitudes",
        ),
        (
            "structure.recipe",
            structure.recipe is not None,
            "nanoBragg reads amplitudes from a list: write one with nbdask amplitudes",
        ),
        ("lattices", bool(experiment.lattices), "nanoBragg has one crystal"),
    )


def _of_the_rest(experiment: Experiment) -> tuple[tuple[str, bool, str], ...]:
    """Return the same of everything else."""
    sources, width = experiment.sources, experiment.sources.dispersion
    # What nanoBragg makes of a count with a width below 0.
    whole_width = width.count is not None and (width.range, width.step) == (1.0, 1.0 / width.count)
    weights = {point.weight for point in sources.points}
    return (
        (
            "sampling.cutoff",
            experiment.sampling.cutoff is not None,
            "nanoBragg leaves no terms out",
        ),
        (
            "background.materials",
            bool(experiment.background.materials),
            "nanoBragg has only -water",
        ),
        (
            "background.beamstop",
            experiment.background.beamstop is not None or experiment.background.shadow is not None,
            "nanoBragg has no shadows",
        ),
        (
            "detector.panels",
            bool(experiment.detector.panels),
            "nanoBragg has one panel of square pixels",
        ),
        (
            "detector.pix0",
            experiment.detector.pix0 is not None,
            "nanoBragg never uses the numbers of -pix0_vector",
        ),
        (
            "sources.points",
            bool(sources.points) and sources.file is None,
            "nanoBragg reads sources from a file: name one",
        ),
        (
            "sources.spectrum",
            sources.spectrum is not None,
            "nanoBragg ignores the weights of wavelengths",
        ),
        (
            "sources.weights",
            sources.weights == "apply" and len(weights) > 1,
            "nanoBragg ignores the weights of sources",
        ),
        (
            "sources.dispersion.step",
            width.step is not None and not whole_width,
            "no flag of nanoBragg sets it: give a count",
        ),
    )


def _by_field(flag: Flag, experiment: Experiment) -> Iterator[str]:
    """Yield a flag where the field that it sets does not hold its default."""
    always = flag.back == "always"
    if flag.unused or flag.back == "never":
        return
    if not flag.values:
        field, wanted = flag.sets[0]
        if _is_in(experiment, field):
            value, default = _value(experiment, field)
            if value == wanted and (always or value != default):
                yield flag.name
        return
    # A flag with several targets is short for others.
    field = flag.reads or (flag.targets[0] if len(flag.targets) == 1 else "")
    if not _is_in(experiment, field):
        return
    value, default = _value(experiment, field)
    if value is not None and (always or value != default):
        yield flag.name
        for one in value if isinstance(value, tuple) else (value,):
            yield _arg(flag, one)


def _is_in(experiment: Experiment, field: str) -> bool:
    """Whether a field is one of the experiment, not of the outputs or the files."""
    return hasattr(experiment, field.partition(".")[0])


def _value(experiment: Experiment, field: str) -> tuple[Any, Any]:
    """Return what a field holds, and what it holds where nothing is given."""
    *above, name = field.split(".")
    index = above and name.isdigit()
    holder: Any = experiment
    for part in above[: len(above) - bool(index)]:
        holder = getattr(holder, part)
    attribute = above[-1] if index else name
    default: Any = {item.name: item.default for item in dataclasses.fields(holder)}[attribute]
    value = getattr(holder, attribute)
    return (value[int(name)], default[int(name)]) if index else (value, default)


def _arg(flag: Flag, value: Any) -> str:
    if flag.kind == "whole":
        return str(int(value))
    return number(value, flag.convert) if flag.kind == "number" else str(value)


def _cell(flag: Flag, experiment: Experiment) -> Iterator[str]:
    cell = experiment.crystal.cell
    if cell is None:
        return
    yield flag.name
    yield from (number(length, "angstrom") for length in cell[:3])
    # A right angle may have no exact text; nanoBragg takes 0 as one.
    for angle in cell[3:]:
        text = number(angle, "degrees")
        exact = units.from_degrees(float(text)) == angle
        yield text if exact or angle != math.pi / 2 else "0"


def _misset(flag: Flag, experiment: Experiment) -> Iterator[str]:
    """Yield the seed first: nanoBragg takes one behind ``-misset random`` for three angles."""
    misset = experiment.crystal.misset
    if misset == "random":
        yield from ("-misset_seed", str(experiment.crystal.misset_seed), flag.name, "random")
    elif isinstance(misset, tuple):
        yield from (flag.name, *(number(angle, "degrees") for angle in misset))


def _amplitudes(flag: Flag, experiment: Experiment) -> Iterator[str]:
    structure = experiment.structure
    if structure.path is not None and flag.name == _AMPLITUDES.get(structure.format):
        yield from (flag.name, structure.path)


def _sources(flag: Flag, experiment: Experiment) -> Iterator[str]:
    sources = experiment.sources
    if sources.points and sources.file is not None:
        yield from (flag.name, sources.file)


def _dispersion(flag: Flag, experiment: Experiment) -> Iterator[str]:
    width = experiment.sources.dispersion
    if width.step is not None:
        yield from (flag.name, "-1")
    elif width.range is not None:
        yield from (flag.name, number(width.range, flag.convert))


def _custom(flag: Flag, experiment: Experiment) -> Iterator[str]:
    """Yield the one flag that selects CUSTOM and changes nothing else: its numbers are not used."""
    if experiment.frame.convention == "CUSTOM":
        yield from (flag.name, "0", "0", "0")


def _pivot(flag: Flag, experiment: Experiment) -> Iterator[str]:
    pivot = experiment.detector.pivot
    if pivot is not None or experiment.frame.convention == "CUSTOM":
        yield from (flag.name, pivot or "beam")


def _twotheta(flag: Flag, experiment: Experiment) -> Iterator[str]:
    """Yield the angle also behind -twotheta_axis, which nanoBragg takes for the angle too."""
    angle = experiment.detector.twotheta
    if angle != 0.0 or experiment.frame.twotheta_axis is not None:
        yield from (flag.name, number(angle, flag.convert))


def _detector_abs(flag: Flag, experiment: Experiment) -> Iterator[str]:
    attenuation = experiment.detector.attenuation
    if attenuation is not None:
        yield flag.name
        yield "inf" if attenuation == 0.0 else number(attenuation, "inverse_um")


def _roi(flag: Flag, experiment: Experiment) -> Iterator[str]:
    roi = experiment.sampling.roi
    if roi is not None:
        slow0, slow1, fast0, fast1 = roi
        yield from (flag.name, str(fast0), str(fast1), str(slow0), str(slow1))


_BY_FIELD = ("", "always", "never")
_AMPLITUDES = {"hkl": "-hkl", "fdump": "-dump"}
_SPECIAL: dict[str, Callable[[Flag, Experiment], Iterator[str]]] = {
    "cell": _cell,
    "misset": _misset,
    "amplitudes": _amplitudes,
    "sources": _sources,
    "dispersion": _dispersion,
    "custom": _custom,
    "pivot": _pivot,
    "twotheta": _twotheta,
    "detector_abs": _detector_abs,
    "roi": _roi,
}

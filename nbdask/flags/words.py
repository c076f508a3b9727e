"""Experiment -> nanoBragg's words: the way back from :func:`~.assemble.parse_args`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from nbdask import units
from nbdask.errors import FlagError
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.experiment.experiment import Experiment
from nbdask.experiment.frame import LabFrame
from nbdask.experiment.sampling import Sampling
from nbdask.experiment.scan import Scan
from nbdask.experiment.sources import Sources, Spread
from nbdask.flags.convert import CONVERSIONS

_VECTORS = {
    "fast": "-fdet_vector",
    "slow": "-sdet_vector",
    "normal": "-odet_vector",
    "beam": "-beam_vector",
    "polarization": "-polar_vector",
    "spindle": "-spindle_axis",
    "twotheta_axis": "-twotheta_axis",
}
_SHAPES = {"round": "-round_xtal", "gauss": "-gauss_xtal", "tophat": "-tophat_spots"}
#: SI -> the flag's unit, roughly; the exact word is searched for around it.
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
    """Return the shortest word that nanoBragg converts to ``value``.

    Parameters
    ----------
    value : float
        In SI.
    conversion : str
        Name in :data:`~.convert.CONVERSIONS`, or ``"inverse_um"`` (an absorption depth).

    Returns
    -------
    str
        Where no word gives the value to the last bit (as happens with values that never were a
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
    """Return the nanoBragg words that describe an experiment.

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
    return [
        *_crystal(experiment.crystal),
        *_structure(experiment),
        *_beam(experiment.beam),
        *_given("-water", experiment.background.water or None, "microns_water"),
        *_frame(experiment.frame),
        *_detector(experiment.detector, experiment.frame),
        *_sources(experiment.sources),
        *_scan(experiment.scan),
        *_sampling(experiment.sampling),
    ]


def _given(flag: str, value: float | int | None, conversion: str = "plain") -> Iterator[str]:
    """Yield a flag and its word, or nothing where no value is given."""
    if isinstance(value, int):
        yield from (flag, str(value))
    elif value is not None:
        yield from (flag, number(value, conversion))


def _vector(flag: str, values: tuple[float, ...], conversion: str = "plain") -> Iterator[str]:
    yield flag
    yield from (number(value, conversion) for value in values)


def _cannot(field: str, why: str) -> FlagError:
    return FlagError(f"{field}: {why}")


def _crystal(crystal: Crystal) -> Iterator[str]:
    if crystal.matrix is not None:
        if crystal.matrix_file is None:
            raise _cannot("crystal.matrix", "nanoBragg reads a matrix from a file: name one")
        yield from ("-mat", crystal.matrix_file)
    if crystal.cell is not None:
        yield from _vector("-cell", crystal.cell[:3], "angstrom")
        # A right angle may have no exact word; nanoBragg takes 0 as one.
        for angle in crystal.cell[3:]:
            word = number(angle, "degrees")
            exact = units.from_degrees(float(word)) == angle
            yield word if exact or angle != math.pi / 2 else "0"
    if crystal.misset == "random":
        yield from ("-misset_seed", str(crystal.misset_seed), "-misset", "random")
    elif isinstance(crystal.misset, tuple):
        yield from _vector("-misset", crystal.misset, "degrees")
    for letter, count in zip("abc", crystal.n_cells, strict=True):
        yield from (f"-N{letter}", str(int(count)))
    for letter, size in zip("xyz", crystal.size, strict=True):
        yield from _given(f"-xtal_{letter}", size or None, "mm")
    if crystal.cells_matrix is not None:
        raise _cannot("crystal.cells_matrix", "nanoBragg has cells along the axes only")
    if crystal.shape != "square":
        yield _SHAPES[crystal.shape]
    yield from _given("-fudge", None if crystal.fudge == 1.0 else crystal.fudge)
    yield from _given("-mosaic", crystal.mosaic_spread, "degrees")
    yield from _given("-mosaic_dom", crystal.mosaic_domains)
    yield from ("-mosaic_seed", str(crystal.mosaic_seed))


def _structure(experiment: Experiment) -> Iterator[str]:
    structure = experiment.structure
    if structure.reflections:
        raise _cannot("structure.reflections", "nanoBragg reads amplitudes from a file: name one")
    if structure.path is not None:
        yield from ("-hkl" if structure.format == "hkl" else "-dump", structure.path)
    yield from _given("-default_F", structure.default_F or None)
    wanted = experiment.sampling.interpolate
    if wanted is not None:
        yield "-interpolate" if wanted else "-nointerpolate"


def _beam(beam: Beam) -> Iterator[str]:
    plain = Beam()
    yield from ("-lambda", number(beam.wavelength, "angstrom"))
    for flag, name, conversion in (
        ("-fluence", "fluence", "plain"),
        ("-flux", "flux", "plain"),
        ("-exposure", "exposure", "plain"),
        ("-beamsize", "beamsize", "mm"),
        ("-polar", "polarization", "plain"),
    ):
        value = getattr(beam, name)
        yield from _given(flag, None if value == getattr(plain, name) else value, conversion)
    if not beam.polarized:
        yield "-nopolar"


def _frame(frame: LabFrame) -> Iterator[str]:
    if frame.convention != "CUSTOM":
        yield f"-{frame.convention.lower()}"
        return
    # The one flag that selects CUSTOM and changes nothing else: its numbers are not used.
    yield from ("-pix0_vector", "0", "0", "0")
    for name, flag in _VECTORS.items():
        vector = getattr(frame, name)
        if vector is not None:
            yield from _vector(flag, vector)


def _detector(detector: Detector, frame: LabFrame) -> Iterator[str]:
    if detector.pix0 is not None:
        raise _cannot("detector.pix0", "nanoBragg never uses the numbers of -pix0_vector")
    plain = Detector()
    yield from ("-pixel", number(detector.pixel_size, "mm"))
    for axis, letter in (("fast", "f"), ("slow", "s")):
        size, count = getattr(detector, f"size_{axis}"), getattr(detector, f"pixels_{axis}")
        yield from _given(f"-detsize_{letter}", None if size == plain.size_fast else size, "mm")
        if count is not None:
            yield from (f"-detpixels_{letter}", str(count))
    for flag, name, conversion in (
        ("-distance", "distance", "mm"),
        ("-close_distance", "close_distance", "mm"),
        ("-Xbeam", "beam_x", "mm"),
        ("-Ybeam", "beam_y", "mm"),
        ("-Xclose", "close_x", "mm"),
        ("-Yclose", "close_y", "mm"),
        ("-ORGX", "org_x", "plain"),
        ("-ORGY", "org_y", "plain"),
        ("-detector_rotx", "rotx", "degrees"),
        ("-detector_roty", "roty", "degrees"),
        ("-detector_rotz", "rotz", "degrees"),
    ):
        value = getattr(detector, name)
        yield from _given(flag, None if value == getattr(plain, name) else value, conversion)
    # After -twotheta_axis, which nanoBragg takes for the angle too.
    if detector.twotheta != 0.0 or frame.twotheta_axis is not None:
        yield from ("-twotheta", number(detector.twotheta, "degrees"))
    # Last of all, since most flags of the placement set it too.
    if detector.pivot is not None or frame.convention == "CUSTOM":
        yield from ("-pivot", detector.pivot or "beam")
    yield from _sensor(detector)


def _sensor(detector: Detector) -> Iterator[str]:
    if detector.attenuation == 0.0:
        yield from ("-detector_abs", "inf")
    else:
        yield from _given("-detector_abs", detector.attenuation, "inverse_um")
    yield from _given("-detector_thick", detector.thickness or None, "um")
    yield from _given("-detector_thicksteps", detector.thick_steps)
    if detector.curved:
        yield "-curved_det"
    if detector.point_pixel:
        yield "-point_pixel"


def _spread(spread: Spread, letter: str) -> Iterator[str]:
    yield from _given(f"-{letter}divrange", spread.range, "mrad")
    yield from _given(f"-{letter}divstep", spread.step, "mrad")
    yield from _given(f"-{letter}divsteps", spread.count)


def _sources(sources: Sources) -> Iterator[str]:
    if sources.points:
        if sources.file is None:
            raise _cannot("sources.points", "nanoBragg reads sources from a file: name one")
        if sources.weights == "apply" and len({p.weight for p in sources.points}) > 1:
            raise _cannot("sources.weights", "nanoBragg ignores the weights of sources")
        yield from ("-sourcefile", sources.file)
    yield from _spread(sources.horizontal, "h")
    yield from _spread(sources.vertical, "v")
    if not sources.round:
        yield "-square_div"
    width = sources.dispersion
    if width.step is not None:
        # What nanoBragg makes of a count with a width below 0.
        if width.count is None or (width.range, width.step) != (1.0, 1.0 / width.count):
            raise _cannot("sources.dispersion.step", "no flag of nanoBragg sets it: give a count")
        yield from ("-dispersion", "-1", "-dispsteps", str(width.count))
        return
    yield from _given("-dispersion", width.range, "percent")
    yield from _given("-dispsteps", width.count)


def _scan(scan: Scan) -> Iterator[str]:
    yield from _given("-phi", scan.phi0 or None, "degrees")
    yield from _given("-osc", scan.osc, "degrees")
    yield from _given("-phistep", scan.step, "degrees")
    yield from _given("-phisteps", scan.count)


def _sampling(sampling: Sampling) -> Iterator[str]:
    for name in ("thick", "polar", "omega"):
        if getattr(sampling, f"oversample_{name}"):
            yield f"-oversample_{name}"
    yield from _given("-oversample", sampling.oversample)
    yield from _given("-dmin", sampling.dmin or None, "angstrom_product")
    if sampling.mask is not None:
        yield from ("-mask", sampling.mask)
    if sampling.roi is not None:
        slow0, slow1, fast0, fast1 = sampling.roi
        yield from ("-roi", str(fast0), str(fast1), str(slow0), str(slow1))

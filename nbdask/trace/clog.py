"""Reading what nanoBragg C printed: ``-printout`` blocks, and ``TRACE_C:`` lines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbdask.errors import InputFileError
from nbdask.inputs.text import check_regular
from nbdask.trace.names import ALIASES, PRINTOUT_NAMES, TRACE_NAMES, Mapped

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf|nan)"
_TRACE = re.compile(r"TRACE_C:\s*([A-Za-z_][\w^/*]*)\s*[:=]?\s*(.*)")
_BLOCK = re.compile(rf"\s*(\d{{1,10}})\s+(\d{{1,10}}) : stol = ({_NUMBER}) or {_NUMBER}")
_NUMBERS = re.compile(rf"(?<![\w.]){_NUMBER}(?![\w.])")
#: Largest log that is read [bytes].
_MOST = 256 << 20
#: Header lines of C.
_DIRECTION = re.compile(
    r"\s*(?:spindle )?(DIRECTION_OF_DETECTOR_[XYZ]-AXIS|INCIDENT_BEAM_DIRECTION|ROTATION_AXIS)"
    rf"=((?:\s+{_NUMBER}){{3}})\s*$"
)
_FLUENCE = re.compile(rf"\s*(incident fluence): ({_NUMBER}) photons")
_SIZES = re.compile(rf"\s*distance=({_NUMBER}) detsize=\S+\s+pixel=({_NUMBER}) meters")
_SENSOR = re.compile(rf"\s*(sensor) is ({_NUMBER}) m thick")


@dataclass(frozen=True, slots=True)
class LogValue:
    """One quantity in a log.

    Attributes
    ----------
    line : int
        Number of the line, from 1.
    name : str
        As C calls it.
    mapped : Mapped
    numbers : tuple of float
        As printed.
    halves : tuple of float
        Half a unit of the last digit that was printed.
    """

    line: int
    name: str
    mapped: Mapped
    numbers: tuple[float, ...]
    halves: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CLog:
    """What a log holds of one pixel.

    Attributes
    ----------
    path : str
    kind : str
        ``"TRACE_C"`` or ``"-printout"``.
    values : tuple of LogValue
        In the order of the lines.
    unknown : tuple of str
        Names of ``TRACE_C:`` lines that have no counterpart here.
    """

    path: str
    kind: str
    values: tuple[LogValue, ...]
    unknown: tuple[str, ...]


def read_log(path: str, slow: int, fast: int) -> CLog:
    """Read what C printed of one pixel.

    Parameters
    ----------
    path : str
    slow, fast : int
        The pixel.

    Raises
    ------
    InputFileError
        A file that cannot be read, holds nothing of the kind, or is about other pixels.
    """
    lines = _lines(path)
    if any("TRACE_C:" in line for line in lines):
        return _trace_log(path, lines, slow, fast)
    return _printout_log(path, lines, slow, fast)


def _lines(path: str) -> list[str]:
    try:
        check_regular(path, "what C printed of a pixel")
        if Path(path).stat().st_size > _MOST:
            raise InputFileError(f"{path}: is larger than 256 MiB; cut out one pixel")
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputFileError(f"--against {path}: {error.strerror or error}") from error
    except InputFileError as error:
        raise InputFileError(f"--against {error}") from None


def _trace_log(path: str, lines: list[str], slow: int, fast: int) -> CLog:
    values, unknown = [], []
    for number, line in enumerate(lines, 1):
        found = _TRACE.search(line)
        if found is None:
            continue
        name, rest = found.groups()
        tokens = _NUMBERS.findall(rest)
        if name in ("pixel", "pixel_idx") and len(tokens) >= 2:
            _check_pixel(path, number, [float(t) for t in tokens[:2]], slow, fast)
            continue
        mapped = TRACE_NAMES.get(ALIASES.get(name, name))
        if mapped is None or not tokens:
            unknown.append(name)
            continue
        values.append(_value(number, name, mapped, tokens))
    if not values:
        raise InputFileError(f"--against {path}: none of its TRACE_C: lines has a known name")
    return CLog(path, "TRACE_C", tuple(values), tuple(dict.fromkeys(unknown)))


def _check_pixel(path: str, line: int, found: list[float], slow: int, fast: int) -> None:
    # Logs name the two indices in either order.
    if sorted(found) != sorted((slow, fast)):
        raise InputFileError(
            f"--against {path}, line {line}: is about the pixel {found[0]:g}, {found[1]:g}, not"
            f" slow {slow}, fast {fast}"
        )


def _value(line: int, name: str, mapped: Mapped, tokens: list[str]) -> LogValue:
    """Return a value of a ``TRACE_C:`` line; how it was formatted is not known."""
    numbers = tuple(float(t) for t in tokens)
    halves = tuple(_half(t, max(6, _digits(t))) for t in tokens)
    return LogValue(line, name, mapped, numbers, halves)


def _digits(token: str) -> int:
    """Return the significant digits of a printed number."""
    mantissa = re.split("[eE]", token)[0].lstrip("+-").replace(".", "")
    return len(mantissa.lstrip("0"))


def _half(token: str, digits: int) -> float:
    """Return half a unit of the last of some significant digits."""
    value = abs(float(token))
    if value == 0.0 or not math.isfinite(value):
        return 0.0
    return float(0.5 * 10.0 ** (math.floor(math.log10(value)) - digits + 1))


def _printout_log(path: str, lines: list[str], slow: int, fast: int) -> CLog:
    starts = [i for i, line in enumerate(lines) if _BLOCK.match(line)]
    if not starts:
        raise InputFileError(
            f"--against {path}: holds neither TRACE_C: lines nor what -printout prints"
        )
    for start in starts:
        found = _BLOCK.match(lines[start])
        assert found is not None
        if (int(found[1]), int(found[2])) == (fast, slow):
            values = [*_header(lines[: starts[0]]), *_block(path, lines, start)]
            return CLog(path, "-printout", tuple(values), ())
    first = _BLOCK.match(lines[starts[0]])
    assert first is not None
    raise InputFileError(
        f"--against {path}: does not hold the pixel slow {slow}, fast {fast}; its"
        f" {len(starts)} pixels begin with slow {first[2]}, fast {first[1]}"
        " (-printout_pixel takes fast before slow)"
    )


def _general(line: int, name: str, tokens: list[str], digits: int = 6) -> LogValue:
    """Return a value that C printed in the %g format of some digits."""
    numbers = tuple(float(t) for t in tokens)
    halves = tuple(_half(t, digits) for t in tokens)
    return LogValue(line, name, PRINTOUT_NAMES[name], numbers, halves)


def _fixed(line: int, name: str, tokens: list[str], decimals: int) -> LogValue:
    """Return a value that C printed with a fixed number of decimals."""
    numbers = tuple(float(t) for t in tokens)
    halves = (0.5 * 10.0**-decimals,) * len(tokens)
    return LogValue(line, name, PRINTOUT_NAMES[name], numbers, halves)


def _header(lines: list[str]) -> Iterator[LogValue]:
    """Yield what C prints of detector, crystal and beam before the first pixel."""
    for i, line in enumerate(lines):
        if found := _DIRECTION.match(line):
            yield _general(i + 1, found[1], found[2].split())
        elif found := _FLUENCE.match(line) or _SENSOR.match(line):
            yield _general(i + 1, found[1], [found[2]])
        elif found := _SIZES.match(line):
            yield _general(i + 1, "distance", [found[1]])
            yield _general(i + 1, "pixel", [found[2]])
        elif line.startswith("real-space cell vectors"):
            yield from _matrix(lines, i, ("a", "b", "c"))
        elif line.startswith("reciprocal-space cell vectors"):
            yield from _matrix(lines, i, ("a_star", "b_star", "c_star"))


def _matrix(lines: list[str], start: int, names: tuple[str, str, str]) -> Iterator[LogValue]:
    """Yield the three columns of a table of rows X, Y, Z."""
    rows = [_NUMBERS.findall(line.partition(":")[2]) for line in lines[start + 2 : start + 5]]
    if [len(row) for row in rows] != [3, 3, 3]:
        return
    for column, name in enumerate(names):
        yield _fixed(start + 3, name, [row[column] for row in rows], 8)


def _block(path: str, lines: list[str], start: int) -> Iterator[LogValue]:
    """Yield what C prints of one pixel."""
    found = _BLOCK.match(lines[start])
    assert found is not None
    yield _general(start + 1, "stol", [found[3]])
    try:
        rows = [_NUMBERS.findall(line) for line in lines[start + 1 : start + 9]]
        yield _general(start + 2, "at", rows[0][:3])
        yield _fixed(start + 3, "hkl", rows[1][:3], 6)
        whole = tuple(float(t) for t in rows[1][-3:])
        yield LogValue(start + 3, "hkl0", PRINTOUT_NAMES["hkl0"], whole, (0.0,) * 3)
        for name, token in zip(("F_cell", "F_latt", "I"), rows[2], strict=True):
            yield _general(start + 4, name, [token])
        names = ("I/steps", "polar", "omega", "capfrac", "pixel value")
        for i, name in enumerate(names):
            yield _general(start + 5 + i, name, rows[3 + i][-1:], 10)
    except (IndexError, ValueError) as error:
        raise InputFileError(
            f"--against {path}: what -printout prints from line {start + 1} on is cut off"
        ) from error
    yield from _matrix(lines, start + 9, ("cell vector a", "cell vector b", "cell vector c"))

"""``--mosaic-model`` and ``--domains``: how mosaic domains are oriented, and how many there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nbdask.errors import FieldError, FlagError
from nbdask.experiment.checks import MOST_ANGLE
from nbdask.experiment.mosaic import LEAST_TOLERANCE, Mosaic
from nbdask.flags.builder import Builder
from nbdask.inputs.domains import read_domains
from nbdask.inputs.text import to_number
from nbdask.units import from_degrees

_MODELS = "cap, gauss, or gauss:A,B,C (degrees about a, c* x a and c*)"
_DOMAINS = "a number, sobol:N, auto:ERROR (such as auto:1e-3), or a file of orientations"
#: Most domains that a number may ask for.
_MOST = 10**7


def set_mosaic(
    builder: Builder, model: str | None, domains: str | None, use: Callable[[str], str]
) -> None:
    """Set what the options say of mosaic domains.

    Parameters
    ----------
    builder : Builder
    model : str or None
        ``"cap"``, ``"gauss"`` or ``"gauss:A,B,C"``.
    domains : str or None
        ``"N"``, ``"sobol:N"``, ``"auto:ERROR"`` or a file.
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError, InputFileError
        What is asked for is malformed, or contradicts other flags.
    """
    values: dict[str, object] = {}
    if model is not None:
        values |= _of_model(builder, model)
    if domains is not None:
        values |= _of_domains(builder, domains, use)
    if model is not None and "domains" in values:
        raise FlagError(f"--mosaic-model {model}: leave out beside --domains {domains}")
    if not values:
        return
    origin = f"--mosaic-model {model}" if domains is None else f"--domains {domains}"
    try:
        mosaic = Mosaic(**values)  # type: ignore[arg-type]
    except FieldError as error:
        raise FlagError(f"{origin}: must be {error.allowed}") from None
    builder.set("crystal.mosaic", mosaic, origin)


def _of_model(builder: Builder, asked: str) -> dict[str, object]:
    origin = f"--mosaic-model {asked}"
    name, colon, rest = asked.partition(":")
    spread = builder.get("crystal.mosaic_spread")
    if asked in ("cap", "gauss"):
        if not spread:
            raise FlagError(f"{origin}: needs a spread, -mosaic DEGREES" + _three(asked))
        return {"model": asked}
    widths = [to_number(word.strip()) for word in rest.split(",")]
    good = [from_degrees(width) for width in widths if width is not None and width >= 0.0]
    if any(width > MOST_ANGLE for width in good):
        raise FlagError(f"{origin}: must be at most 1000 turns (360000 degrees)")
    if name != "gauss" or not colon or len(good) != 3 or len(widths) != 3:
        raise FlagError(f"{origin}: must be {_MODELS}")
    if spread is not None:
        raise FlagError(f"{builder.origins['crystal.mosaic_spread']}: leave out beside {origin}")
    return {"model": "gauss", "widths": tuple(good)}


def _three(asked: str) -> str:
    return ", or three as gauss:A,B,C" if asked == "gauss" else ""


def _of_domains(builder: Builder, asked: str, use: Callable[[str], str]) -> dict[str, object]:
    origin = f"--domains {asked}"
    number = builder.get("crystal.mosaic_domains")
    if number is not None:
        raise FlagError(f"{builder.origins['crystal.mosaic_domains']}: leave out beside {origin}")
    name, colon, rest = asked.partition(":")
    if asked.isascii() and asked.isdigit():
        name, colon, rest = "random", ":", asked
    if colon and name in ("random", "sobol"):
        if not (rest.isascii() and rest.isdigit() and 1 <= int(rest) <= _MOST):
            raise FlagError(f"{origin}: {rest!r} must be a whole number from 1 to {_MOST}")
        builder.set("crystal.mosaic_domains", int(rest), origin)
        return {"sampling": name}
    if colon and name == "auto":
        error = to_number(rest)
        if error is None or not LEAST_TOLERANCE <= error < 1.0:
            raise FlagError(
                f"{origin}: {rest!r} must be a relative error from {LEAST_TOLERANCE:g} to below 1"
            )
        return {"sampling": "sobol", "tolerance": error}
    path = use(asked)
    if not Path(path).exists():
        raise FlagError(f"{origin}: no such file: must be {_DOMAINS}")
    if builder.get("crystal.mosaic_spread") is not None:
        raise FlagError(f"{builder.origins['crystal.mosaic_spread']}: leave out beside {origin}")
    return {"domains": read_domains(path), "file": path}

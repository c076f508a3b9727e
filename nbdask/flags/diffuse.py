"""``--diffuse-gamma`` and what goes with it: diffuse scattering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbdask.errors import FlagError
from nbdask.experiment.diffuse import Diffuse
from nbdask.flags.builder import Builder
from nbdask.inputs.text import to_number

#: Options, as names of Python.
DIFFUSE = ("diffuse_gamma", "diffuse_sigma", "diffuse_stencil", "diffuse_laue", "diffuse_scale")


def set_diffuse(builder: Builder, asked: Mapping[str, Any]) -> None:
    """Set diffuse scattering; ``asked``: a value or None for each of :data:`DIFFUSE`.

    Raises
    ------
    FlagError
        Numbers that are malformed, or options that lack those which they go with.
    """
    given = [name for name in DIFFUSE if asked[name] is not None]
    if not given:
        return
    for name in DIFFUSE[:2]:
        if asked[name] is None:
            raise FlagError(f"{_option(given[0])} {asked[given[0]]}: needs {_option(name)} too")
    values: dict[str, Any] = {
        "gamma": _lengths("diffuse_gamma", asked["diffuse_gamma"]),
        "sigma": _lengths("diffuse_sigma", asked["diffuse_sigma"]),
    }
    if asked["diffuse_stencil"] is not None:
        values["stencil"] = asked["diffuse_stencil"]
    if asked["diffuse_laue"] is not None:
        values["laue"] = asked["diffuse_laue"]
    else:
        builder.note(
            "--diffuse-gamma without --diffuse-laue: diffuse scattering has no symmetry (P 1)"
        )
    if asked["diffuse_scale"] is not None:
        values |= _scale(asked["diffuse_scale"])
    texts = [f"{_option(name)} {asked[name]}" for name in given]
    builder.set("crystal.diffuse", Diffuse(**values), " ".join(texts))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _lengths(name: str, text: str) -> tuple[float, ...]:
    """Return one or three lengths [m]."""
    numbers = [to_number(word.strip()) for word in str(text).split(",")]
    found = [n * 1e-10 for n in numbers if n is not None and n > 0.0]
    if len(found) != len(numbers) or len(found) not in (1, 3):
        raise FlagError(f"{_option(name)} {text}: must be one or three lengths above 0 (Angstrom)")
    return tuple(found * 3 if len(found) == 1 else found)


def _scale(text: str) -> dict[str, Any]:
    if text == "physical":
        return {"physical": True}
    number = to_number(text)
    if number is None or number < 0.0:
        raise FlagError(f"--diffuse-scale {text}: must be a number of at least 0, or physical")
    return {"scale": number}

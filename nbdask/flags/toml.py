"""Experiments as TOML: the dict form, a table for each part.

Numbers are SI; numbers in a text have their units behind them (see :mod:`.written`)::

    [crystal]
    cell = "70 80 90 A, 90 90 90 deg"

Instead of the parts, a file may hold nanoBragg's arguments::

    [nanobragg]
    flags = "-cell 70 80 90 75 85 95 -default_F 100 -N 5"

with ``semantics``, ``source_weights``, ``pix0`` [m], ``ignore_unknown``, ``geometry`` (and with it
``clen`` [m], ``distance_shift`` [m], ``geometry_mask``, ``geometry_use``, ``geometry_shot``), the
names of :class:`~.own.Own` and a table ``amplitudes`` (the options of models and reflection files)
next to ``flags`` if wanted.
A list ``[[background]]`` may stand for ``[[background.materials]]``.
Relative paths start from the folder of the TOML file.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from nbdask.background.tables import bundled_path
from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.experiment import Experiment
from nbdask.flags.assemble import parse_args
from nbdask.flags.geometry_request import GeometryRequest
from nbdask.flags.own import OWN, own_of
from nbdask.flags.request import request_of
from nbdask.flags.written import by_hand, in_si
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.sourcefile import read_sources
from nbdask.inputs.toml import read_toml

_FLAG_KEYS = (
    "flags", "semantics", "source_weights", "pix0", "ignore_unknown", "geometry", "clen",
    "distance_shift", "geometry_mask", "geometry_use", "geometry_shot", "amplitudes", *OWN,
)  # fmt: skip
#: A list of numbers, one a line, which is written on one line if it is short.
_NUMBERS = re.compile(r"\[\n((?: *[-+.\w]+,\n)+) *\]")
_MOST_ON_A_LINE = 9
_WITH_GEOMETRY = {
    "clen": "clen",
    "distance_shift": "distance_shift",
    "geometry_mask": "mask",
    "geometry_use": "use",
    "geometry_shot": "shot",
}


def from_toml(path: str | Path) -> Experiment:
    """Read an experiment.

    Files that the experiment names get their checksums where the TOML file has none; a
    ``crystal.matrix_file`` without ``matrix`` and a ``sources.file`` without ``points`` are read.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputFileError
        A missing file, or one that is not TOML.
    FieldError
        A field that is unknown, missing or refused.
    FlagError
        Flags that cannot be understood.
    """
    data = in_si(_listed(read_toml(path, "an experiment")))
    folder = Path(path).absolute().parent
    if "nanobragg" in data:
        return _from_flags(data, folder)
    return Experiment.from_dict(_with_files(data, folder))


def to_toml(experiment: Experiment) -> str:
    """Return an experiment as TOML text, which :func:`from_toml` reads back from a file.

    Fields that hold their defaults are left out.  Lengths, angles and the like have users' units
    where these give back every bit, and are plain numbers in SI otherwise.
    """
    return _NUMBERS.sub(_on_one_line, tomli_w.dumps(by_hand(experiment.to_dict())))


def _on_one_line(found: re.Match[str]) -> str:
    words = [line.strip() for line in found[1].splitlines()]
    return found[0] if len(words) > _MOST_ON_A_LINE else f"[{' '.join(words)[:-1]}]"


def _listed(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with a list of materials, and a beam's energy, in their full form."""
    if isinstance(data.get("background"), list):
        data = {**data, "background": {"materials": data["background"]}}
    beam = data.get("beam")
    if not (isinstance(beam, dict) and "energy" in beam):
        return data
    energy = beam["energy"]
    if "wavelength" in beam:
        raise FieldError("beam.energy", energy, "left out beside a wavelength")
    if not (isinstance(energy, str) and energy.endswith("eV")):
        raise FieldError("beam.energy", energy, 'a number with its unit, such as "12.4 keV"')
    rest = {key: value for key, value in beam.items() if key != "energy"}
    return {**data, "beam": {**rest, "wavelength": energy}}


def _from_flags(data: Mapping[str, Any], folder: Path) -> Experiment:
    others = [key for key in data if key != "nanobragg"]
    if others:
        raise FieldError(others[0], data[others[0]], "left out where [nanobragg] flags are given")
    table = data["nanobragg"]
    if not isinstance(table, Mapping):
        raise FieldError("nanobragg", table, "a table with the key flags")
    for key in table:
        if key not in _FLAG_KEYS:
            raise FieldError(f"nanobragg.{key}", table[key], "one of " + ", ".join(_FLAG_KEYS))
    flags = table.get("flags")
    try:
        argv = shlex.split(flags) if isinstance(flags, str) else None
    except ValueError:
        argv = None
    if argv is None:
        raise FieldError("nanobragg.flags", flags, "nanoBragg's flags as one text")
    parsed = parse_args(
        argv,
        semantics=table.get("semantics", "spec"),
        source_weights=table.get("source_weights", "ignore"),
        pix0=table.get("pix0"),
        amplitudes=request_of(table.get("amplitudes"), "nanobragg.amplitudes"),
        ignore_unknown=table.get("ignore_unknown", False),
        geometry=_geometry(table),
        own=own_of(table, "nanobragg"),
        base_dir=folder,
    )
    return parsed.experiment


def _geometry(table: Mapping[str, Any]) -> GeometryRequest | None:
    """Return what is asked of a geometry file."""
    beside = {field: table[key] for key, field in _WITH_GEOMETRY.items() if key in table}
    if "geometry" in table:
        return GeometryRequest(table["geometry"], **beside)
    for key in _WITH_GEOMETRY:
        if key in table:
            raise FieldError(f"nanobragg.{key}", table[key], "left out without geometry")
    return None


def _with_files(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the dict form with absolute paths, checksums and what the files hold."""
    result = {key: dict(part) if isinstance(part, Mapping) else part for key, part in data.items()}
    for part, name, checksum in (
        ("structure", "path", "sha256"),
        ("sampling", "mask", "mask_sha256"),
        ("background", "shadow", "shadow_sha256"),
        ("crystal", "matrix_file", None),
        ("sources", "file", None),
        ("detector", "header_file", None),
        ("detector", "geometry_file", None),
    ):
        table = result.get(part)
        if not isinstance(table, dict) or name not in table:
            continue
        checks.path(f"{part}.{name}", table[name])
        table[name] = os.path.abspath(folder / table[name])
        if checksum is not None and checksum not in table:
            table[checksum] = sha256_of(table[name])
    lattices = result.get("lattices")
    if isinstance(lattices, list):
        result["lattices"] = [
            _with_files(x, folder) if isinstance(x, Mapping) else x for x in lattices
        ]
    background = result.get("background")
    if isinstance(background, dict) and isinstance(background.get("materials"), list):
        background["materials"] = [_material(m, folder) for m in background["materials"]]
    crystal, sources = result.get("crystal"), result.get("sources")
    if isinstance(crystal, dict) and "matrix_file" in crystal and "matrix" not in crystal:
        crystal["matrix"] = read_matrix(crystal["matrix_file"])
    if isinstance(sources, dict) and "file" in sources and "points" not in sources:
        names = ("x", "y", "z", "weight", "wavelength")
        sources["points"] = [
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for row in read_sources(sources["file"])
        ]
    return result


def _material(given: Any, folder: Path) -> Any:
    """Return a material with the absolute path of its table, and the checksum; see Material."""
    if not isinstance(given, Mapping):
        return given
    result = dict(given)
    if "path" in result:
        checks.path("background.materials.path", result["path"])
        result["path"] = os.path.abspath(folder / result["path"])
    if "sha256" not in result and ("path" in result) != ("table" in result):
        path = result["path"] if "path" in result else bundled_path(result["table"])
        result["sha256"] = sha256_of(path)
    return result

"""One file's amplitudes, made for a listing: what ``nbdask amplitudes`` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nbdask.amplitudes import files, make
from nbdask.amplitudes.content import content_of
from nbdask.amplitudes.make import Made
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.scale import Statistics, statistics_of
from nbdask.amplitudes.settle import settle
from nbdask.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A table, its record, and the limit that was asked for [Angstrom]."""

    made: Made
    record: Mapping[str, Any]
    limit: float | None


def request_of(path: str, options: Mapping[str, Any]) -> Request:
    """Return the request of a command line whose file may be of either kind.

    Raises
    ------
    InputFileError
        The file is of neither kind.
    """
    names = {item.name for item in fields(Request)}
    request = Request(**{name: value for name, value in options.items() if name in names})
    if Path(path).is_dir():
        return replace(request, reflections=path)
    content = content_of(path)
    if content.has_atoms and request.model is None and not content.has_reflections:
        return replace(request, model=path)
    return replace(request, reflections=path)


def listing(path: str, request: Request, cell: tuple[float, ...] | None = None) -> Listing:
    """Make the amplitudes of a file.

    Parameters
    ----------
    path : str
        Model, reflections, or a zarr folder of amplitudes.
    request : Request
        As :func:`request_of` gives it.
    cell : tuple of 6 floats, optional
        Of a list that has none [m, rad].

    Raises
    ------
    InputError
        Options that do not go together, or a malformed file.
    """
    if Path(path).is_dir():
        table = files.read_zarr(path).within(request.dmin)
        beside = [name for name in request.given() if name not in ("--dmin", "--reflections")]
        if beside:
            raise InputError(f"{beside[0]}: not with {path}, whose amplitudes are settled")
        if len(table) == 0:
            raise InputError(f"--dmin {request.dmin:g}: {path} has no reflection to there")
        return Listing(Made(table, ()), {}, request.dmin)
    settled = settle(request, cell=cell, compare=True)
    structure = settled.structure
    result = make.made(structure, fill=request.fill is not None)
    result = replace(result, notes=tuple(dict.fromkeys((*settled.notes, *result.notes))))
    recipe = structure.recipe
    assert recipe is not None
    record = {
        "file": structure.path,
        "sha256": structure.sha256,
        "recipe": {f.name: getattr(recipe, f.name) for f in fields(recipe)},
        "notes": list(result.notes),
    }
    return Listing(result, record, request.dmin)


def inspected(path: str, result: Made, limit: float | None, shells: int) -> Statistics:
    """Return the statistics of a table that was made."""
    return statistics_of(path, result.table, model=result.model, d_min=limit, count=shells)

"""Files of amplitudes of the P1 cell: text, MTZ, zarr."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from nbdask.amplitudes.symmetry import Symmetry, codes, settle
from nbdask.amplitudes.table import Table
from nbdask.errors import InputError
from nbdask.files import check_target, sync_tree, whole_file
from nbdask.inputs.text import problem
from nbdask.leftovers import mark, sweep

SUFFIXES = (".hkl", ".mtz", ".zarr")
FORMAT = "nbdask-amplitudes"


def check_out(path: str | Path, overwrite: bool) -> None:
    """Make sure that a file of amplitudes may be written.

    Raises
    ------
    InputError
        Another suffix, no such folder, or something is there already.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {path}: the name must end in {', '.join(SUFFIXES)}")
    if target.suffix.lower() == ".zarr" and target.is_dir():
        if not overwrite:
            raise InputError(f"--out {path} exists already: --overwrite replaces it")
        if not is_zarr(target):
            raise InputError(f"--out {path}: holds something else, which is not replaced")
        return
    check_target(target, "--out", InputError, overwrite=overwrite)


def write(path: str | Path, table: Table, digits: int | None, record: Mapping[str, Any]) -> None:
    """Write a table in the format that the name's suffix asks for.

    Parameters
    ----------
    path : str or Path
        ``.hkl``: text, h k l F of all of P1; ``.mtz``: P1, columns F, or F(+) and F(-), float32;
        ``.zarr``: arrays hkl (int32) and F (float64).
    table : Table
    digits : int or None
        Of text: digits after the point; None: nine significant ones.
    record : mapping
        JSON-able: how the table was made.  Text has no room for it.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".zarr":
        _write_zarr(Path(path), table, record)
        return
    with whole_file(path, "--out", InputError) as fresh:
        if suffix == ".mtz":
            _write_mtz(fresh, table, record)
        else:
            fresh.write_text(text_of(table, digits), encoding="ascii")


def text_of(table: Table, digits: int | None = None) -> str:
    """Return a table as text, one ``h k l F`` a line, sorted; no number is written as -0."""
    # Amplitudes are at least 0; adding 0 turns a negative zero.
    F = np.abs(table.F).tolist()
    form = "{} {} {} {:.9g}\n" if digits is None else "{} {} {} {:." + str(digits) + "f}\n"
    return "".join(
        form.format(h, k, el, f) for (h, k, el), f in zip(table.hkl.tolist(), F, strict=True)
    )


def _write_mtz(path: Path, table: Table, record: Mapping[str, Any]) -> None:
    # One of each pair of mates, the one that sorts last: gemmi's and CCP4's half in P1.
    most = int(np.abs(table.hkl).max())
    mates = np.searchsorted(codes(table.hkl, most), codes(-table.hkl, most))
    el_first = codes(table.hkl[:, ::-1], most)
    half = el_first > codes(-table.hkl[:, ::-1], most)
    columns = [table.hkl[half].astype(np.float64), table.F[half, None]]
    mtz = gemmi.Mtz(with_base=True)
    mtz.title = "nbdask amplitudes of the P1 cell"
    mtz.spacegroup = gemmi.find_spacegroup_by_number(1)
    mtz.set_cell_for_all(table.symmetry.cell)
    mtz.history = ["nbdask: " + json.dumps(dict(record), sort_keys=True)[:60]]
    mtz.add_dataset("nbdask")
    mtz.set_cell_for_all(table.symmetry.cell)
    if table.anomalous:
        mtz.add_column("F(+)", "G")
        mtz.add_column("F(-)", "G")
        columns.append(table.F[mates[half], None])
    else:
        mtz.add_column("F", "F")
    mtz.set_data(np.column_stack(columns).astype(np.float32))
    mtz.write_to_file(str(path))


def _write_zarr(path: Path, table: Table, record: Mapping[str, Any]) -> None:
    target = path.absolute()
    sweep(target.parent, ".", f".{path.name}")
    fresh = target.with_name(f".{mark()}.{path.name}")
    attributes = {
        "format": FORMAT,
        "cell": list(table.symmetry.numbers),
        "space_group": table.symmetry.group.xhm(),
        "anomalous": table.anomalous,
        **record,
    }
    try:
        import zarr

        root = zarr.create_group(str(fresh), zarr_format=3, attributes=attributes)
        root.create_array("hkl", data=table.hkl.astype(np.int32), dimension_names=("n", "hkl"))
        root.create_array("F", data=table.F, dimension_names=("n",))
        sync_tree(fresh)
        if path.exists():
            old = fresh.with_name(fresh.name + ".old")
            path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old)
        else:
            fresh.rename(path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--out {path}: cannot be written: {reason}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def is_zarr(path: str | Path) -> bool:
    """Whether a folder is a table of amplitudes."""
    return _attributes(Path(path)).get("format") == FORMAT


def _attributes(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def read_zarr(path: str | Path) -> Table:
    """Read a table that :func:`write` wrote as zarr.

    Raises
    ------
    InputFileError
        It is none, or damaged.
    """
    what = "a zarr folder that nbdask amplitudes wrote"
    if not is_zarr(path):
        raise problem(path, None, "is a directory", what)
    try:
        import zarr

        root = zarr.open_group(str(path), mode="r", zarr_format=3)
        attributes: dict[str, Any] = dict(root.attrs)
        hkl, F = np.asarray(root["hkl"]), np.asarray(root["F"])
        symmetry: Symmetry = settle(path, attributes["cell"], attributes["space_group"])
        if hkl.ndim != 2 or hkl.shape[1:] != (3,) or F.shape != hkl.shape[:1] or not len(F):
            raise ValueError("shapes of hkl and F")
        anomalous = bool(attributes["anomalous"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise problem(path, None, f"damaged ({error})", what) from None
    return Table(hkl.astype(np.int64), F.astype(np.float64), symmetry, anomalous)

"""Reflection files: their columns, and the choice among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes import shelx
from nbdask.amplitudes.columns import Choice, Column, Raw, chosen, whole_indices
from nbdask.amplitudes.content import Content, content_of
from nbdask.amplitudes.refln import from_cif
from nbdask.amplitudes.symmetry import settle
from nbdask.amplitudes.table import Table, expanded, has_mates
from nbdask.errors import InputFileError
from nbdask.inputs.text import problem, unreadable

WHAT = "reflections in MTZ, mmCIF or SHELX format"
#: Names of calculated amplitudes in MTZ files, and of map coefficients.
_CALCULATED = re.compile(r"(?i)F[-_]?(C|CALC|MODEL)([-_.].*)?|FC_.*")
_OBSERVED = re.compile(r"(?i)F([-_]?(P|O|OBS|NAT|PART.*)\d*)?([-_.].*)?")
_DROPPED = ("x", "-")


@dataclass(frozen=True, slots=True, eq=False)
class Reflections:
    """Amplitudes of a reflection file, expanded to P1.

    Attributes
    ----------
    table : Table
    columns : tuple of str
        Names of the columns that were used.
    notes : tuple of str
        What was chosen and counted.
    counts : dict
        By name, for the record.
    """

    table: Table
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]


def read_reflections(
    path: str | Path,
    *,
    column: str | None = None,
    cell: Sequence[float] | None = None,
    space_group: str | None = None,
    content: Content | None = None,
) -> Reflections:
    """Read the amplitudes of a reflection file and expand them to P1.

    Intensities I become sqrt(max(I, 0)); equivalent observations are merged by mean before.

    Parameters
    ----------
    path : str or Path
        MTZ, mmCIF structure factors or SHELX hkl, also gzipped.
    column : str, optional
        Name of the column; None: the first of F(+)/F(-), I(+)/I(-), F, I, calculated F.
    cell : 6 floats, optional
        [Angstrom, degrees], for files that have none.
    space_group : str, optional
        Symbol; for files that have none, or in place of theirs.
    content : Content, optional
        What :func:`.content.content_of` found, if that was read already.

    Raises
    ------
    InputFileError
        A file that holds no reflections, or not that column, or no cell.
    """
    content = content or content_of(path)
    if not content.has_reflections:
        raise problem(path, None, f"holds {content.what}", WHAT)
    if content.kind == "mtz":
        raw = _from_mtz(path, column, cell, space_group)
    elif content.kind == "cif":
        raw = from_cif(path, content, column, cell, space_group, WHAT)
    else:
        raw = _from_text(path, content.text, cell, space_group)
    choice = chosen(path, raw.columns, column, WHAT)
    return _merged(path, raw, choice)


def _merged(path: str | Path, raw: Raw, choice: Choice) -> Reflections:
    """Drop what is missing, merge, expand."""
    counts = dict.fromkeys(("rows", "missing", "dropped", "negative"), 0)
    counts["rows"] = len(raw.hkl)
    valid = np.ones(len(raw.hkl), dtype=np.bool_)
    if raw.status is not None and not choice.calculated:
        valid = ~np.isin(raw.status, _DROPPED)
        counts["dropped"] = int((~valid).sum())
    parts, indices = [], []
    for column, sign in choice.parts:
        good = valid & ~column.missing()
        counts["missing"] += int((valid & column.missing()).sum())
        values = column.values[good]
        counts["negative"] += int((values < 0.0).sum())
        parts.append(values if choice.intensity else np.abs(values))
        indices.append(sign * raw.hkl[good])
    values, hkl = np.concatenate(parts), np.concatenate(indices)
    if len(values) == 0 or not hkl.any():
        raise problem(path, None, f"no value in column {choice.names[0]}", "one or more")
    apart = choice.anomalous or (raw.apart and has_mates(raw.symmetry, hkl))
    table, merge = expanded(raw.symmetry, hkl, values, mates=apart)
    if choice.intensity:
        root = np.sqrt(np.maximum(table.F, 0.0))
        table = Table(table.hkl, root, table.symmetry, table.anomalous)
    counts |= {"merged": merge.merged, "absent": merge.absent, "filled": merge.filled}
    counts["reflections"] = len(table)
    names = " and ".join(choice.names)
    kind = "intensities" if choice.intensity else "amplitudes"
    where = f" of block {raw.block}" if raw.block else ""
    said = f"{path}: {kind} from column {names}{where}"
    if choice.others:
        said += f" (--column chooses another: {', '.join(choice.others)})"
    if apart and not choice.anomalous:
        said += ", both Friedel mates, which its rows hold"
    return Reflections(table, choice.names, (said, *raw.notes, *_told(path, counts)), counts)


def _told(path: str | Path, counts: dict[str, int]) -> list[str]:
    """Say what was counted, where it is not 0."""
    texts = {
        "missing": "missing values are left out",
        "dropped": "reflections of status x or - are dropped",
        "negative": "values are negative",
        "merged": "reflections are means of several observations",
        "absent": "reflections are extinct in the space group, and kept",
        "filled": "Friedel mates are missing and take the value of the other",
    }
    found = [f"{counts[name]} {text}" for name, text in texts.items() if counts[name]]
    return [f"{path}: {'; '.join(found)}"] if found else []


def _from_mtz(
    path: str | Path, column: str | None, cell: Sequence[float] | None, space_group: str | None
) -> Raw:
    try:
        return _of_mtz(path, gemmi.read_mtz_file(str(path)), column, cell, space_group)
    except InputFileError:
        raise
    except OSError as error:
        raise unreadable(path, error, WHAT) from None
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise problem(path, None, f"damaged MTZ ({reason})", WHAT) from None


def _of_mtz(
    path: str | Path,
    mtz: gemmi.Mtz,
    column: str | None,
    cell: Sequence[float] | None,
    space_group: str | None,
) -> Raw:
    """Return what an MTZ file holds, with the cell of the data set of the column that is taken."""
    if len(mtz.columns) < 3 or mtz.nreflections == 0:
        raise problem(path, None, "an MTZ file without reflections", WHAT)
    data = np.array(mtz.array, dtype=np.float64).reshape(mtz.nreflections, -1)
    # Old files mark missing values by a number.
    data[:, 3:][data[:, 3:] == mtz.valm] = np.nan
    labels = _labels(mtz)
    columns = tuple(
        _mtz_column(labels, place, data)
        for place in range(3, len(labels))
        if labels[place].kind in tuple("FGJK")
    )
    first = chosen(path, columns, column, WHAT).names[0]
    of = next(label for label in labels if label.name == first)
    stated = next((c for c in (of.cell, mtz.cell, *_cells(mtz)) if c.a > 1.0), mtz.cell)
    name = space_group or (mtz.spacegroup.xhm() if mtz.spacegroup else mtz.spacegroup_name)
    symmetry = settle(path, cell or list(stated.parameters), name, mtz.spacegroup_number)
    return Raw(symmetry, whole_indices(path, data[:, :3]), columns)


class _Label(NamedTuple):
    """A column of an MTZ file: its name, which no other has, as labelled, type, data set, cell."""

    name: str
    label: str
    kind: str
    dataset: int
    cell: gemmi.UnitCell


def _cells(mtz: gemmi.Mtz) -> list[gemmi.UnitCell]:
    return [dataset.cell for dataset in mtz.datasets]


def _labels(mtz: gemmi.Mtz) -> list[_Label]:
    """Return the columns; those of equal labels in several data sets have both names."""
    count = Counter(item.label for item in mtz.columns)
    # Old files name data sets that they do not describe.
    known = {dataset.id: (dataset.dataset_name, dataset.cell) for dataset in mtz.datasets}
    found = []
    for item in mtz.columns:
        dataset, cell = known.get(item.dataset_id, (str(item.dataset_id), mtz.cell))
        name = item.label if count[item.label] == 1 else f"{dataset}/{item.label}"
        found.append(_Label(name, item.label, item.type, item.dataset_id, cell))
    return found


def _mtz_column(labels: Sequence[_Label], place: int, data: NDArray[np.float64]) -> Column:
    """Return one column with its sigma and its mate; calculated ones are told by name."""
    name, label, kind, dataset, _ = labels[place]
    beside = [n for n, other in enumerate(labels) if other.dataset == dataset]
    follower = labels[place + 1].kind if place + 1 < len(labels) else ""
    own = [n for n in beside if labels[n].label == f"SIG{label}"]
    after = [place + 1] if follower in tuple("QLM") else []
    sigma = next((data[:, n] for n in own + after), None)
    mate = ""
    if kind == "F" and _CALCULATED.fullmatch(label):
        kind = "C"
    elif kind == "F" and follower == "P" and not _OBSERVED.fullmatch(label):
        kind = "W"
    elif kind in "GK" and not _is_minus(label):
        same = [labels[n] for n in beside if labels[n].kind == kind]
        mates = [m.name for m in same if _is_minus(m.label) and _stem(m.label) == _stem(label)]
        mate = mates[0] if mates else ""
    return Column(name, kind, data[:, place], sigma, mate)


def _is_minus(label: str) -> bool:
    """Return whether a label is that of -h."""
    signs = re.findall(r"\(([+-])\)", label) or re.findall(r"(?i)(plus|minus)", label)
    return (signs or re.findall(r"[+-]", label) or [""])[-1].casefold() in ("-", "minus")


def _stem(label: str) -> str:
    """Return a label without the sign of a Friedel mate."""
    return re.sub(r"(?i)\([+-]\)|[+-]|[-_]?(plus|minus)", "", label)


def _from_text(
    path: str | Path, text: str, cell: Sequence[float] | None, space_group: str | None
) -> Raw:
    found = shelx.parse(path, text)
    notes = []
    group = space_group or found.space_group
    if group is None and found.plain:
        group = "P 1"
    if group is None and found.odd:
        allowed = "a space group that gemmi knows (--space-group names one)"
        raise problem(path, None, found.odd, allowed)
    if group is None:
        group = "P 1"
        notes.append(f"{path}: no symmetry found: taken as P 1 (--space-group names another)")
    symmetry = settle(path, cell or found.cell or [], group)
    return Raw(symmetry, whole_indices(path, found.hkl), found.columns, notes=tuple(notes))

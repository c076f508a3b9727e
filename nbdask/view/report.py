"""A run as one HTML page: figures, pictures, plan, provenance, verification."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from nbdask import html
from nbdask.derive.realised import Realised
from nbdask.errors import InputError, NbdaskError, counted
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.flags import to_toml
from nbdask.plan.memory import format_bytes
from nbdask.shots.describe import describe
from nbdask.statistics import peak_text
from nbdask.store.open import read_summary
from nbdask.store.reader import StoreReader
from nbdask.verification import Verification, verify
from nbdask.view.picture import preview
from nbdask.view.style import Style

_STYLE = (
    "body{font-family:sans-serif;margin:2em;max-width:70em}figure{margin:0 0 1em 0}"
    "img{max-width:100%}td{overflow-wrap:anywhere}pre{overflow-x:auto}"
)
#: Marked spots, shots of a contact sheet, and faults that are named.
_SPOTS, _SHOTS, _FAULTS = 8, 16, 20
_PROVENANCE = (
    "command", "started", "ended", "host", "cpu", "cluster", "nbdask_version", "git_commit",
    "semantics", "backend", "precision", "kernel_version", "fingerprint",
)  # fmt: skip
Rows = list[tuple[str, object]]


def write_run_report(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    check: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verification | None:
    """Write the report of a store.

    Parameters
    ----------
    store : path or str
        It may be unfinished.
    path : path
        ``.html``: one page without scripts and outside references.
    check : bool
        Read every tile and compare it with its checksum, and report what was found.
    overwrite : bool
        Replace an existing file.
    progress : callable, optional
        Called with the tiles that were checked, and those in all.

    Returns
    -------
    Verification or None
        What was found; None without ``check``.

    Raises
    ------
    InputError
        A name that does not end in .html, or a file that exists.
    StoreError
        There is no store, or it cannot be drawn.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {path}: the name must end in .html")
    check_target(target, "--html", InputError, overwrite=overwrite)
    summary = read_summary(store)
    found = verify(store, progress=progress) if check else None
    page = _page(store, summary, found)
    with whole_file(target, "--html", InputError) as fresh:
        fresh.write_text(page, encoding="utf-8")
    return found


def _page(
    store: str | os.PathLike[str], summary: dict[str, Any], found: Verification | None
) -> str:
    attributes = summary["attributes"]
    experiment = None
    with suppress(NbdaskError):  # of another version
        if "experiment" in attributes:
            experiment = Experiment.from_dict(attributes["experiment"])
    name = Path(os.fspath(store)).name
    parts = [
        f"<h1>{escape(name)}</h1>",
        html.table("Image", _image_rows(summary)),
        _pictures(store, summary),
        html.table("Experiment", _experiment_rows(store, experiment)),
        html.table("Plan", _plan_rows(attributes)),
        html.table("Provenance", _provenance_rows(attributes)),
        html.table("Verification", _verification_rows(found)),
    ]
    if experiment is not None:
        text = escape(to_toml(experiment))
        parts.append(
            f"<details><summary>The experiment as TOML</summary><pre>{text}</pre></details>"
        )
    if "derived" in attributes:
        parts.append(html.details("What was derived from what", attributes["derived"]))
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}'
        f" – nbdask</title><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _image_rows(summary: dict[str, Any]) -> Rows:
    attributes, tiles = summary["attributes"], summary["tiles"]
    sides = " x ".join(str(side) for side in summary["shape"])
    rows: Rows = [
        ("pixels", f"{sides}, {summary['unit']}"),
        ("status", f"{attributes['status']}, {tiles['done']} of {tiles['total']} tiles"),
    ]
    found = attributes.get("statistics")
    if found:
        place = (found.get(f"max_{name}") for name in ("slow", "fast", "panel", "shot"))
        rows.append(("brightest", peak_text(found["max"], *place).removeprefix("max ")))
        numbers = [(name, found.get(name)) for name in ("mean", "rms", "rmsd")]
        rows += [(name, "infinite" if x is None else f"{x:.6g}") for name, x in numbers]
    return rows


def _experiment_rows(store: str | os.PathLike[str], experiment: Experiment | None) -> Rows:
    series = StoreReader(store).series
    rows: Rows = [] if series is None else [(name, text) for name, text in describe(series)]
    if experiment is not None and series is None:
        with suppress(NbdaskError):
            rows += Realised.of(experiment).rows()
    return rows or [("none", "the store holds no experiment that this version can read")]


def _plan_rows(attributes: dict[str, Any]) -> Rows:
    plan = attributes.get("plan") or {}
    rows: Rows = []
    for name, value in plan.items():
        text = format_bytes(value) if name.endswith("_bytes") else value
        rows.append((name.replace("_", " "), text))
    for kind, made in attributes.get("made_by", {}).items():
        rows.append(("made by", f"{kind}: {made['tiles']} tiles, {made['seconds']:.6g} s"))
    return rows or [("none", "not on record")]


def _provenance_rows(attributes: dict[str, Any]) -> Rows:
    rows: Rows = [
        (name.replace("_", " "), attributes[name])
        for name in _PROVENANCE
        if attributes.get(name) is not None
    ]
    rows += [
        (f"input ({item['role']})", f"{item['path']} sha256 {item['sha256']}")
        for item in attributes.get("inputs", [])
    ]
    versions = attributes.get("versions", {})
    rows.append(("versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    for verdict in attributes.get("parity", []):
        outcome = "equal" if verdict["ok"] else "different"
        text = f"{outcome}, {verdict['regions']} regions, {verdict['date']}"
        rows.append(("parity with nanoBragg", text))
    rows += [("note", note) for note in attributes.get("notes", [])]
    return rows


def _verification_rows(found: Verification | None) -> Rows:
    if found is None:
        return [("not done", "pixels were not compared with their checksums for this report")]
    word = "all well" if found.ok else "not as it should be"
    rows: Rows = [
        ("outcome", f"{counted(found.tiles, 'tile')} read against their checksums: {word}")
    ]
    rows += [
        (f"tile {fault.index}", f"{fault.kind}: {fault.reason}") for fault in found.faults[:_FAULTS]
    ]
    rows += [("remark", text) for text in (*found.remarks, *found.altered)]
    return rows + [("note", text) for text in found.notes]


def _pictures(store: str | os.PathLike[str], summary: dict[str, Any]) -> str:
    """Return the whole image with rings and spots, or a sheet of shots; why not, if it fails."""
    shots = None
    if "series" in summary["attributes"]:
        count = summary["shape"][0]
        shots = range(0, count, -(-count // _SHOTS))
    single = shots is None or len(shots) == 1
    style = Style(rings=single, spots=_SPOTS if single else 0, size=800)
    with tempfile.TemporaryDirectory() as folder:
        try:
            drawn = preview(store, Path(folder) / "image.png", style=style, shots=shots)
        except NbdaskError as error:
            return f"<p>No picture: {escape(str(error))}</p>"
        source = html.data_uri(Path(drawn.path).read_bytes())
    rows: Rows = [
        (label, f"{spot.photons:.6g} {drawn.unit} at slow, fast {spot.slow}, {spot.fast}")
        for spot, label in zip(drawn.spots, drawn.labels, strict=True)
    ]
    figure = f'<figure><img alt="the image" src="{source}"></figure>'
    return figure + (html.table("Spots that stand out most", rows) if rows else "")

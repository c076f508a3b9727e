"""The viewer's texts as HTML: what is under the pointer, how far the run is, provenance."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

from nbdask.derive.assembly import AssembledLevels
from nbdask.derive.masked import masked_pixels
from nbdask.plan.tiles import Tile
from nbdask.shots import Series
from nbdask.shots.describe import describe_shot
from nbdask.view.keys import HELP
from nbdask.view.scene import Scene

#: Most damaged tiles, or parts of the pyramid, that are named.
_MOST_DAMAGE = 5
#: Attributes of the root that the panel shows, and their names.
_SHOWN = (
    ("command", "command"),
    ("started", "started"),
    ("ended", "ended"),
    ("semantics", "semantics"),
    ("backend", "kernel"),
    ("precision", "precision"),
    ("cluster", "cluster"),
    ("host", "host"),
    ("cpu", "processor"),
    ("nbdask_version", "nbdask"),
    ("git_commit", "commit"),
    ("fingerprint", "fingerprint"),
)


def pointer_text(scene: Scene, slow: float, fast: float, other: Scene | None = None) -> str:
    """Return what is under the pointer: pixel, photons, resolution, Miller indices.

    Parameters
    ----------
    scene : Scene
    slow, fast : float
        Pixel coordinates.
    other : Scene, optional
        What is shown beside it: its photons are told too.
    """
    row, column = math.floor(slow + 0.5), math.floor(fast + 0.5)
    if not (0 <= row < scene.shape[0] and 0 <= column < scene.shape[1]):
        return "<b>outside the detector</b>"
    on_panel: list[tuple[str, str]] = []
    if isinstance(scene.levels, AssembledLevels):
        found = scene.levels.plane.find(slow, fast)
        if found is None:
            return "<b>between the panels</b>"
        name = scene.levels.reader.panels[found[0]].name
        on_panel = [("panel", name), ("its pixel", f"{round(found[1])}, {round(found[2])}")]
    d = float(scene.geometry.resolution(slow, fast)) * 1e10
    h, k, el = (float(x) for x in scene.geometry.miller(slow, fast))
    rotated = " (mid-rotation)" if scene.geometry.model.n_phi > 1 else ""
    rows = [
        ("slow, fast", f"{row}, {column}"),
        *on_panel,
        ("intensity", _photons_text(scene, row, column)),
        *([] if other is None else [("of the other", _photons_text(other, row, column))]),
        ("resolution", f"{d:.4g} Å"),
        ("h, k, l" + rotated, f"{h:.3f}, {k:.3f}, {el:.3f}"),
    ]
    return table_text(rows)


def _photons_text(scene: Scene, row: int, column: int) -> str:
    photons = scene.photons(row, column)
    if scene.tile_at(row, column) in scene.damage.tiles:
        return "damaged"
    if math.isnan(photons):
        return "not computed yet"
    if photons == 0.0 and masked_pixels(scene.levels, Tile(row, row + 1, column, column + 1), 1):
        return "0, masked"
    return f"{photons:.6g} {scene.levels.reader.unit}"


def title_text(scene: Scene, name: str, other: str | None = None, between: str = "|") -> str:
    """Return names and size of what is shown.

    Parameters
    ----------
    scene : Scene
    name : str
        Of the store, as the user gave it; its place is told when the pointer is over it.
    other : str or None
        Of the store beside it, or of what is taken from it.
    between : str
        The sign between both names.
    """
    short, place = html.escape(Path(name).name), html.escape(str(scene.levels.place.name))
    if other is not None:
        short += f" {between} {html.escape(Path(other).name)}"
    shot = "" if scene.shot is None else f", shot {scene.shot}"
    slow, fast = scene.shape
    return (
        f"<b style='font-size:15px;overflow-wrap:anywhere' title='{place}'>{short}</b><br>"
        f"{slow} x {fast} pixels (slow x fast){shot}"
    )


def progress_text(scene: Scene, note: str = "") -> str:
    """Return how far the run and the overview are."""
    p = scene.progress
    if p.error:
        return f"<b>{html.escape(p.error)}</b>"
    state = "complete" if p.complete else f"{p.tiles} of {p.total} tiles computed"
    lines = [f"<b>{state}</b>"]
    if p.shown < p.tiles:
        lines.append(
            f"reading the overview: {p.shown} of {p.tiles} tiles (nbdask pyramid makes this fast)"
        )
    style = "color:#c00000;overflow-wrap:anywhere"
    lines += [f"<span style='{style}'>{html.escape(t)}</span>" for t in _damage_texts(scene)]
    if note:
        lines.append(html.escape(note))
    return "<br>".join(lines)


def _damage_texts(scene: Scene) -> list[str]:
    """Return what is damaged, and what to do."""
    tiles, parts = scene.damage.tiles, scene.damage.parts
    texts = list(parts)[:_MOST_DAMAGE]
    if tiles and isinstance(scene.levels, AssembledLevels):
        texts[:0] = list(tiles.values())[:_MOST_DAMAGE]
    elif tiles:
        numbers = ", ".join(str(index) for index in sorted(tiles)[:_MOST_DAMAGE])
        more = ", …" if len(tiles) > _MOST_DAMAGE else ""
        what = f"tile {numbers} is" if len(tiles) == 1 else f"tiles {numbers}{more} are"
        texts.insert(
            0,
            f"{what} damaged (crossed out): nbdask repair {scene.levels.place.name} computes"
            f" {'it' if len(tiles) == 1 else 'them'} again",
        )
    return texts


def provenance_text(attributes: dict[str, Any]) -> str:
    """Return how a store was made."""
    rows = [(name, str(attributes[key])) for key, name in _SHOWN if attributes.get(key) is not None]
    statistics = attributes.get("statistics") or {}
    rows += [
        (name, f"{value:.6g}" if isinstance(value, float) else str(value))
        for name, value in statistics.items()
    ]
    rows += [
        (item["role"], f"{item['path']} sha256 {item['sha256'][:16]}…")
        for item in attributes.get("inputs", [])
    ]
    rows += [("note", str(note)) for note in attributes.get("notes", [])]
    versions = attributes.get("versions", {})
    rows.append(("versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    return f"<details><summary><b>Provenance</b></summary>{table_text(rows)}</details>"


def keys_text() -> str:
    """Return what the keys do."""
    return f"<details><summary><b>Keys</b></summary>{table_text(list(HELP))}</details>"


def values_text(series: Series | None, shot: int) -> str:
    """Return what varies in a series, as it is in one shot."""
    return "" if series is None else table_text(describe_shot(series, shot))


def table_text(rows: list[tuple[str, str]]) -> str:
    """Return names and values as an HTML table."""
    cells = "".join(
        f"<tr><td style='vertical-align:top;padding-right:8px;color:#666'>{html.escape(name)}</td>"
        f"<td style='overflow-wrap:anywhere'>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table style='font-size:13px;width:100%'>{cells}</table>"

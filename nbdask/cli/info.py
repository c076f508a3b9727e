"""``nbdask info``: what a store holds and how it was made."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import click

from nbdask.cli.running import peak_text
from nbdask.cli.streams import one_line
from nbdask.errors import NbdaskError
from nbdask.experiment import Experiment


@click.command(name="info")
@click.argument("store")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print all attributes, and what follows from the experiment, as JSON.",
)
def command(store: str, as_json: bool) -> None:
    """Show what STORE holds: image, progress, statistics, experiment and provenance."""
    from nbdask.derive.realised import Realised
    from nbdask.store.open import read_summary

    summary = read_summary(store)
    realised = None
    # An experiment of another version may mean nothing here; the rest of the store still does.
    with suppress(NbdaskError):
        if "experiment" in summary["attributes"]:
            realised = Realised.of(Experiment.from_dict(summary["attributes"]["experiment"]))
    if as_json:
        values = None if realised is None else realised.to_dict()
        click.echo(json.dumps(summary | {"realised": values}, indent=2))
        return
    click.echo(_text(store, summary, [] if realised is None else realised.rows()))


def _number(value: float | None) -> str:
    """Return a statistic as text; JSON has no NaN, so that is null in a store."""
    return "nan" if value is None else f"{value:.6g}"


def _text(store: str, summary: dict[str, Any], realised: list[tuple[str, str]]) -> str:
    attributes = summary["attributes"]
    shape, tiles = summary["shape"], summary["tiles"]
    names = ("panels", "slow", "fast")[-len(shape) :]
    sides = " x ".join(f"{side} ({name})" for side, name in zip(shape, names, strict=True))
    lines = [
        f"{store}: image {sides} float32 [{summary['unit']}]",
        f"status       {attributes['status']}, {tiles['done']} of {tiles['total']} tiles of"
        f" {tiles['shape'][0]} x {tiles['shape'][1]}",
    ]
    statistics = attributes.get("statistics")
    if statistics:
        slow, fast, panel = (statistics.get(f"max_{name}") for name in ("slow", "fast", "panel"))
        peak = peak_text(statistics["max"], slow, fast, panel)
        lines.append(
            f"statistics   {peak}; "
            + ", ".join(f"{name} {_number(statistics[name])}" for name in ("mean", "rms", "rmsd"))
        )
    lines += [f"{name:12s} {text}" for name, text in realised]
    lines.append(f"nbdask       {attributes.get('nbdask_version', 'unknown version')}")
    for key in ("semantics", "backend", "precision", "fingerprint", "command", "started", "ended"):
        if attributes.get(key) is not None:
            lines.append(f"{key:12s} {attributes[key]}")
    for kind, made in attributes.get("made_by", {}).items():
        lines.append(f"made by      {kind}: {made['tiles']} tiles, {made['seconds']:.6g} s")
    lines += _origin(attributes.get("derived"))
    for item in attributes.get("inputs", []):
        lines.append(f"input        {item['path']} sha256 {item['sha256'][:16]}...")
    verdicts = attributes.get("parity", [])
    if verdicts:
        last = verdicts[-1]
        lines.append(
            f"parity       {len(verdicts)} comparison(s), the last:"
            f" {'equal' if last['ok'] else 'different'}, {last['regions']} regions,"
            f" worst deviation {_number(last['max_rel'])}, program sha256"
            f" {last['program_sha256'][:16]}..., {last['date']}"
        )
    for note in attributes.get("notes", []):
        lines.append(f"note         {note}")
    versions = attributes.get("versions", {})
    lines.append("versions     " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    return "\n".join(map(one_line, lines))


def _origin(derived: dict[str, Any] | None) -> list[str]:
    """Return what was done to which stores, the last step first."""
    lines: list[str] = []
    while derived is not None:
        source, pipeline = derived["source"], derived["pipeline"]
        lines.append(
            f"{derived['by']:12s} seed {pipeline['seed']}, frame {pipeline['frame']},"
            f" {pipeline['generator']}"
        )
        for step in pipeline["steps"]:
            fields = ", ".join(f"{k} {v}" for k, v in step.items() if k not in ("step", "sha256"))
            lines.append(f"  step       {step['step']} {fields}".rstrip())
        lines.append(f"source       {source['path']} fingerprint {source['fingerprint'][:16]}...")
        derived = source.get("derived")
    return lines

"""``nbdask info``: what a store holds and how it was made."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import click

from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.running import say
from nbdask.cli.streams import one_line
from nbdask.cli.tables import show
from nbdask.errors import NbdaskError, counted
from nbdask.experiment import Experiment
from nbdask.geometry.difference import semantics_note
from nbdask.plan.planes import arrays_of
from nbdask.statistics import peak_text


@click.command(name="info", cls=GroupedCommand)
@click.argument("store")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print all attributes, and what follows from the experiment, as JSON.",
)
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    help="Write a report with pictures, plan, provenance and a check of all pixels instead.",
)
@click.option("--no-verify", is_flag=True, help="Leave the check of all pixels out of the report.")
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
def command(
    store: str, as_json: bool, html_file: str | None, no_verify: bool, overwrite: bool
) -> int | None:
    """Show what STORE holds: image, progress, statistics, experiment and provenance."""
    if html_file is not None:
        if as_json:
            raise click.UsageError("--html and --json: give one of them")
        return _write_report(store, html_file, check=not no_verify, overwrite=overwrite)
    if no_verify or overwrite:
        word = "--no-verify" if no_verify else "--overwrite"
        raise click.UsageError(f"{word} goes with --html")
    _show(store, as_json)
    return None


def _write_report(store: str, report: str, *, check: bool, overwrite: bool) -> int:
    """Write a report; return 1 where the store is not as it should be."""
    from nbdask.view.report import write_run_report

    with bar("reading", quiet=not check) as progress:
        found = write_run_report(store, report, check=check, overwrite=overwrite, progress=progress)
    say(f"wrote {report}")
    if found is None or found.ok:
        return 0
    say(f"{store} is not as it should be: nbdask verify {store} says what to do")
    return 1


def _show(store: str, as_json: bool) -> None:
    """Print what a store holds."""
    from nbdask.derive.realised import Realised
    from nbdask.shots.describe import common, describe
    from nbdask.store.open import read_summary
    from nbdask.store.reader import StoreReader

    summary = read_summary(store)
    notes = list(summary["attributes"].get("notes", []))
    series = StoreReader(store).series
    if series is not None:
        varies = describe(series)
        if as_json:
            click.echo(json.dumps(summary | {"varies": dict(varies)}, indent=2))
        else:
            show(_text(store, summary, [*varies, *common(series)], notes))
        return
    realised = None
    # An experiment of another version may mean nothing here; the rest of the store still does.
    with suppress(NbdaskError):
        if "experiment" in summary["attributes"]:
            experiment = Experiment.from_dict(summary["attributes"]["experiment"])
            realised = Realised.of(experiment)
            # Stores of earlier versions do not tell it.
            note = semantics_note(experiment, steps=realised.steps)
            if note and not any(text.startswith(note.partition(":")[0]) for text in notes):
                notes.append(note)
    if as_json:
        values = None if realised is None else realised.to_dict()
        click.echo(json.dumps(summary | {"realised": values}, indent=2))
        return
    show(_text(store, summary, [] if realised is None else realised.rows(), notes))


def _number(value: float | None) -> str:
    """Return a statistic as text; JSON has no NaN, so that is null in a store."""
    return "nan" if value is None else f"{value:.6g}"


def _text(
    store: str, summary: dict[str, Any], realised: list[tuple[str, str]], notes: list[str]
) -> str:
    attributes = summary["attributes"]
    shape, tiles = summary["shape"], summary["tiles"]
    is_series = "series" in attributes
    names = ("panels", "slow", "fast")[-(len(shape) - is_series) :]
    names = (*(["shots"] if is_series else []), *names)
    sides = " x ".join(f"{side} ({name})" for side, name in zip(shape, names, strict=True))
    lines = [
        f"{store}: image {sides} {summary['dtype']} [{summary['unit']}]",
        f"status       {attributes['status']}, {tiles['done']} of {tiles['total']} tiles of"
        f" {tiles['shape'][0]} x {tiles['shape'][1]}",
    ]
    statistics = attributes.get("statistics")
    if statistics:
        place = (statistics.get(f"max_{name}") for name in ("slow", "fast", "panel", "shot"))
        peak = peak_text(statistics["max"], *place)
        lines.append(
            f"statistics   {peak}; "
            + ", ".join(f"{name} {_number(statistics[name])}" for name in ("mean", "rms", "rmsd"))
        )
    lines += _beside(attributes.get("plan", {}))
    lines += _cutoff(attributes)
    width = max([12, *(len(name) for name, _ in realised)])
    lines += [f"{name:{width}s} {text}" for name, text in realised]
    version, made_from = attributes.get("nbdask_version", "unknown version"), None
    if version is not None:
        made_from = attributes.get("git_commit")
    lines.append(f"nbdask       {version}" + (f", commit {made_from}" if made_from else ""))
    for key in ("semantics", "backend", "precision", "fingerprint", "command", "started", "ended"):
        if attributes.get(key) is not None:
            lines.append(f"{key:12s} {attributes[key]}")
    for kind, made in attributes.get("made_by", {}).items():
        lines.append(f"made by      {kind}: {made['tiles']} tiles, {made['seconds']:.6g} s")
    lines += _origin(attributes.get("derived"))
    if "noise" in attributes:
        lines += _steps("noise", attributes["noise"]["pipeline"])
    for item in attributes.get("inputs", []):
        lines.append(f"input        {item['path']} sha256 {item['sha256'][:16]}...")
    verdicts = attributes.get("parity", [])
    if verdicts:
        last = verdicts[-1]
        lines.append(
            f"parity       {counted(len(verdicts), 'comparison')}, the last:"
            f" {'equal' if last['ok'] else 'different'}, {last['regions']} regions,"
            f" worst deviation {_number(last['max_rel'])}, program sha256"
            f" {last['program_sha256'][:16]}..., {last['date']}"
        )
    lines += [f"note         {note}" for note in notes]
    versions = attributes.get("versions", {})
    lines.append("versions     " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    return "\n".join(map(one_line, lines))


def _steps(by: str, pipeline: dict[str, Any]) -> list[str]:
    """Return the steps of a pipeline."""
    lines = [
        f"{by:12s} seed {pipeline['seed']}, frame {pipeline['frame']}, {pipeline['generator']}"
    ]
    for step in pipeline["steps"]:
        fields = ", ".join(f"{k} {v}" for k, v in step.items() if k not in ("step", "sha256"))
        lines.append(f"  step       {step['step']} {fields}".rstrip())
    return lines


def _beside(plan: dict[str, Any]) -> list[str]:
    """Return which arrays a store has beside the image."""
    lines = [f"planes       {', '.join(arrays_of(plan['planes']))}"] if plan.get("planes") else []
    by = ", ".join(f"{slope['name']} [{slope['unit']}]" for slope in plan.get("gradient", []))
    return [*lines, f"gradient     by {by}"] if by else lines


def _cutoff(attributes: dict[str, Any]) -> list[str]:
    """Return what pixels may lack, and what the check at the end of the run found."""
    cutoff = ((attributes.get("experiment") or {}).get("sampling") or {}).get("cutoff")
    if cutoff is None:
        return []
    line = f"cutoff       {cutoff if isinstance(cutoff, str) else f'{cutoff:g} photons'}"
    found = attributes.get("cutoff_check")
    if found is None:
        return [f"{line}, not checked yet"]
    few, many = found["least_allowed"], found["most_allowed"]
    allowed = f"{few:.6g}" if few == many else f"{few:.6g} to {many:.6g}"
    return [
        f"{line}: of {found['pixels']} pixels checked none lacks more than allowed"
        f" ({allowed}, and rounding); the most is {found['most_lacking']:.3g}"
    ]


def _origin(derived: dict[str, Any] | None) -> list[str]:
    """Return what was done to which stores, the last step first."""
    lines: list[str] = []
    while derived is not None:
        source = derived["source"]
        lines += _steps(derived["by"], derived["pipeline"])
        lines.append(f"source       {source['path']} fingerprint {source['fingerprint'][:16]}...")
        derived = source.get("derived")
    return lines

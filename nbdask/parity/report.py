"""The outcome as a self-contained page, and as lines for the terminal."""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

from nbdask.errors import counted
from nbdask.html import data_uri
from nbdask.parity.measures import Measures
from nbdask.parity.outcome import Outcome, RegionResult
from nbdask.parity.pictures import detector_map

_Pair = tuple[str, str]


def page(outcome: Outcome) -> str:
    """Return the report as one HTML page with all pictures inside."""
    template = Template(files("nbdask.parity").joinpath("report.html").read_text("utf-8"))
    ordered = sorted(outcome.regions, key=lambda r: r.measures.max_rel, reverse=True)
    title = f"{outcome.image} against {outcome.reference}"
    return template.substitute(
        title=html.escape(title),
        verdict=html.escape(verdict_line(outcome)),
        verdict_class="good" if outcome.ok else "bad",
        notes="\n".join(f'<p class="note">{html.escape(n)}</p>' for n in outcome.notes),
        facts=_table(_facts(outcome)),
        map=data_uri(detector_map(outcome)),
        total=_table(_totals(outcome)),
        rows="\n".join(_row(outcome, region) for region in ordered),
        pictures="\n".join(_pictured(outcome, r) for r in ordered if r.pictures or r.argv),
    )


def verdict_line(outcome: Outcome) -> str:
    """Return the verdict in one line."""
    count = len(outcome.regions)
    regions = f"{count} region" + "s" * (count != 1)
    worst = f"worst deviation {outcome.total.max_rel:.2e}, allowed {outcome.thresholds.max_rel:g}"
    if outcome.ok:
        return f"equal: {regions} within all thresholds, {worst}"
    return f"different: {len(outcome.failed)} of {regions} beyond thresholds, {worst}"


def table_lines(outcome: Outcome, most: int = 60) -> list[str]:
    """Return the outcome as lines of text.

    Parameters
    ----------
    outcome : Outcome
    most : int
        Regions to list; beyond, only the worst ones are.
    """
    both = outcome.kind == "parity"
    if not both and not outcome.total.differing:
        return [f"{verdict_line(outcome)} ({_equal(outcome.total)})"]
    head = f"{'slow':>13} {'fast':>13}  {'chosen':9} {'worst':>9} {'mean':>9} {'rmse':>9}"
    head += f" {'max diff':>9} {'1-corr':>8} {'sum-1':>9} {'peaks':>9} {'NaN':>4} {'inf':>4}"
    lines = [head + (f" {'C [s]':>7} {'nbdask':>7}" if both else "")]
    regions: Sequence[RegionResult] = outcome.regions
    if not both:
        regions = [region for region in regions if region.measures.differing]
    hidden = len(outcome.regions) - len(regions)
    if len(regions) > most:
        regions = sorted(regions, key=lambda r: r.measures.max_rel, reverse=True)[:most]
    failed = {id(r) for r in outcome.failed}
    for region in regions:
        line = "  ".join((_line(region, both), *region.before))
        lines.append(line + ("  beyond" if id(region) in failed else ""))
    if len(outcome.regions) - hidden > most:
        rest = len(outcome.regions) - hidden - most
        lines.append(f"... and {rest} regions that deviate less")
    if hidden:
        lines.append(f"{hidden} other regions are equal in every bit")
    for region in outcome.failed[:10]:
        reasons = "; ".join(outcome.thresholds.beyond(region.measures))
        place = (*region.before, f"slow {region.tile.slow0}", f"fast {region.tile.fast0}")
        lines.append(f"{', '.join(place)}: {reasons}")
    found = outcome.total
    lines += [f"{name:20s} {value}" for name, value in _totals(outcome)]
    lines.append(verdict_line(outcome) + (f" ({found.differing} pixels differ)"))
    return lines


def _equal(found: Measures) -> str:
    """Return what there is to say of images that are equal in every bit."""
    odd = [
        f"{n} of them {word}" for n, word in ((found.nan_a, "NaN"), (found.inf_a, "infinite")) if n
    ]
    return ", ".join([f"{found.pixels} pixels, equal in every bit", *odd])


def _line(region: RegionResult, both: bool) -> str:
    t, m = region.tile, region.measures
    text = f"{_span(t.slow0, t.slow1):>13} {_span(t.fast0, t.fast1):>13}  {region.why:9}"
    text += f" {m.max_rel:9.2e} {m.mean_rel:9.2e} {m.rmse:9.2e} {m.max_abs:9.2e}"
    text += f" {1.0 - m.correlation:8.1e} {m.sum_ratio - 1.0:9.1e} {_peaks(m):>9}"
    text += f" {m.nan_a + m.nan_b:>4} {m.inf_a + m.inf_b:>4}"
    if both:
        text += f" {_seconds(region.seconds_reference):>7} {_seconds(region.seconds):>7}"
    return text


def _span(start: int, stop: int) -> str:
    return f"{start}-{stop - 1}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _peaks(found: Measures) -> str:
    peaks = found.peaks
    if not peaks.count:
        return "none"
    return f"{peaks.count - peaks.missing}/{peaks.count} {peaks.distance_max:.1f}"


def _totals(outcome: Outcome) -> list[_Pair]:
    m, peaks = outcome.total, outcome.total.peaks
    slow, fast = m.max_rel_at
    ours, theirs = outcome.seconds()
    rows = [
        ("pixels compared", f"{m.pixels}, {m.differing} of them differ in some bit"),
        ("worst deviation", f"{m.max_rel:.3e} at slow {slow}, fast {fast}"),
        ("mean deviation", f"{m.mean_rel:.3e}"),
        ("rmse", f"{m.rmse:.6g} photons"),
        ("largest difference", f"{m.max_abs:.6g} photons, of at most {m.max_b:.6g}"),
        ("correlation", f"{m.correlation:.15g}"),
        ("ratio of sums", f"{m.sum_ratio:.15g}"),
        (
            "peaks",
            f"{peaks.count}, {peaks.missing} missing, distance mean {peaks.distance_mean:.3g},"
            f" max {peaks.distance_max:.3g} pixels",
        ),
        ("NaN", f"{m.nan_a} in the image, {m.nan_b} in the reference"),
        ("infinite", f"{m.inf_a} in the image, {m.inf_b} in the reference"),
    ]
    if ours is not None and theirs is not None:
        ratio = f", C takes {theirs / ours:.3g} times as long" if ours > 0.0 else ""
        rows.append(("run time", f"nbdask {ours:.3g} s, C {theirs:.3g} s, per thread{ratio}"))
    return rows


def _facts(outcome: Outcome) -> list[_Pair]:
    facts, shape = outcome.facts, outcome.shape
    rows = [
        ("image", outcome.image),
        ("reference", outcome.reference),
        ("shape", f"{shape[0]} x {shape[1]} pixels (slow x fast)"),
    ]
    program = facts.get("program")
    if program:
        rows += [
            ("program", f"{program['path']}, {counted(program['threads'], 'thread')}"),
            ("its SHA-256", program["sha256"]),
        ]
    names = {
        "mode": "C was given",
        "arguments_from": "arguments from",
        "pixels_from": "pixels from",
        "semantics": "semantics",
        "backend": "kernel",
        "precision": "precision",
        "fingerprint": "fingerprint",
        "nbdask_version": "nbdask",
        "date": "date",
    }
    modes = {"roi": "-roi on the whole detector", "window": "small detectors, shifted"}
    for key, name in names.items():
        if facts.get(key) is not None:
            rows.append((name, modes.get(str(facts[key]), str(facts[key]))))
    for item in facts.get("inputs", []):
        rows.append((item["role"], f"{item['path']}, SHA-256 {item['sha256']}"))
    bounds = ", ".join(f"{k} {v:g}" for k, v in outcome.thresholds.to_dict().items())
    return [*rows, ("thresholds", bounds)]


def _table(rows: Iterable[_Pair]) -> str:
    return "\n".join(
        f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows
    )


def _row(outcome: Outcome, region: RegionResult) -> str:
    t, m = region.tile, region.measures
    faults = outcome.thresholds.beyond(m)
    seconds = f"C {_seconds(region.seconds_reference)}, nbdask {_seconds(region.seconds)}"
    cells = [
        f"{t.slow0} to {t.slow1 - 1}",
        f"{t.fast0} to {t.fast1 - 1}",
        ", ".join((region.why, *region.before)),
        f"{m.max_rel:.2e}",
        f"{m.max_rel_at[0]}, {m.max_rel_at[1]}",
        f"{m.mean_rel:.2e}",
        f"{m.rmse:.2e}",
        f"{m.max_abs:.2e}",
        f"{m.correlation:.12f}",
        f"{m.sum_ratio - 1.0:.1e}",
        f"{m.peaks.count - m.peaks.missing} of {m.peaks.count}",
        f"{m.peaks.distance_mean:.2f}, {m.peaks.distance_max:.2f}",
        f"{m.nan_a}, {m.nan_b}",
        seconds if region.seconds_reference is not None else "",
    ]
    mark = f'<td class="bad">{html.escape("; ".join(faults))}</td>' if faults else "<td></td>"
    columns = [f"<td>{html.escape(cell)}</td>" for cell in cells]
    return "<tr>" + "".join([*columns[:3], mark, *columns[3:]]) + "</tr>"


def _pictured(outcome: Outcome, region: RegionResult) -> str:
    place = str(region)
    parts = [
        f"<h2>{html.escape(place[:1].upper() + place[1:])}: {region.measures.max_rel:.2e}</h2>"
    ]
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in region.notes]
    if region.first is not None:
        parts.append(
            f"<p>Pixel {region.first[0]}, {region.first[1]} is compared as the first of a run of"
            " C, which has no earlier rotation to carry over.</p>"
        )
    if region.pictures is not None:
        theirs = "C" if outcome.kind == "parity" else "reference"
        for uri, text in (
            (region.pictures.image, "nbdask" if theirs == "C" else "image"),
            (region.pictures.reference, theirs),
            (region.pictures.deviation, "deviation, 1e-9 to 1e-6"),
        ):
            parts.append(
                f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>'
            )
    if region.argv:
        said = "\n".join(text for text in (region.stdout, region.stderr) if text.strip())
        parts.append(
            "<details><summary>Arguments and output of C</summary>"
            f"<pre>{html.escape(shlex.join(region.argv))}</pre>"
            f"<pre>{html.escape(said)}</pre></details>"
        )
    return "\n".join(parts)

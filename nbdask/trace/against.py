"""The first quantity of a trace that differs from what nanoBragg C printed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nbdask.trace.clog import CLog, LogValue
from nbdask.trace.cursor import Cursor
from nbdask.trace.entries import Entry, LoopIndex, Trace
from nbdask.trace.names import level_of
from nbdask.trace.quantities import QUANTITIES
from nbdask.trace.text import number_text

#: Relative differences that rounding explains, in addition to the digits that C printed.
_TIGHT = 1e-12
_LOOSE = {
    "F_latt_abc": 1e-7,
    "F_latt": 1e-7,
    "F_cell": 1e-8,
    "sum_sub_pixel": 2e-7,
    "I": 2e-7,
    "I/steps": 2e-7,
    "pixel_float64": 2e-7,
    "pixel": 2e-7,
}
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of a log and the value here.

    Attributes
    ----------
    order : int
        Place of the entry in the trace: the order in which the data flow.
    log : LogValue
    entry : Entry
    ours, theirs : tuple of float
        In C's unit, which is that of the log.
    deviation, allowed : float
        Largest difference relative to the largest number, and what rounding explains.
    """

    order: int
    log: LogValue
    entry: Entry
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    deviation: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference."""
        return self.deviation <= self.allowed


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing a trace with a log gave.

    Attributes
    ----------
    log : CLog
    compared : tuple of Compared
        In the order in which the data flow.
    skipped : tuple of str
        Names of the log that were not compared, with the reason.
    """

    log: CLog
    compared: tuple[Compared, ...]
    skipped: tuple[str, ...]

    @property
    def first(self) -> Compared | None:
        """The first quantity that differs; None: all agree."""
        return next((c for c in self.compared if not c.agrees), None)


def compare(trace: Trace, log: CLog, rtol: float | None = None) -> Comparison:
    """Compare a trace with what C printed of the same pixel.

    Parameters
    ----------
    trace : Trace
        With all taps.
    log : CLog
    rtol : float, optional
        Relative difference that passes for every quantity, besides the digits that C printed;
        None: what rounding explains.
    """
    if log.kind == "-printout":
        return _compared(trace, log, _last_indices(trace, log), rtol)
    found = _compared(trace, log, _followed(trace, log), rtol)
    single = not _repeats(log)
    if single and found.first is not None and trace.model.n_steps > 1:
        # Of one evaluation only: the first, or, where it was printed after the loops, the last.
        last = _compared(trace, log, _last_indices(trace, log), rtol)
        if last.first is None or last.first.order > found.first.order:
            return last
    return found


def _repeats(log: CLog) -> bool:
    names = [v.name for v in log.values if level_of(v.mapped.quantity) > 0]
    return len(names) > len(set(names))


def _last_indices(trace: Trace, log: CLog) -> list[LoopIndex]:
    """Return the places of values that were printed after the loops."""
    model, last = trace.model, trace.last
    final = LoopIndex(model.layers - 1, model.oversample**2 - 1, model.n_sources - 1)
    # C loops over all sub-pixels and sources, also where dmin skips the rest.
    ends = (LoopIndex(), LoopIndex(*final[:2]), final, last)
    return [ends[level_of(value.mapped.quantity)] for value in log.values]


def _followed(trace: Trace, log: CLog) -> list[LoopIndex]:
    """Return the place of each value of a log that was printed within the loops."""
    cursor = Cursor(trace)
    return [cursor.loop_index(value.mapped.quantity, value.name) for value in log.values]


def _compared(
    trace: Trace, log: CLog, loop_indices: list[LoopIndex], rtol: float | None
) -> Comparison:
    entries = {(e.name, e.loop_index): (i, e) for i, e in enumerate(trace.entries)}
    done, skipped = [], [f"{name} (no counterpart)" for name in log.unknown]
    for value, loop_index in zip(log.values, loop_indices, strict=True):
        wanted = _candidates(trace, value.mapped.quantity, loop_index)
        found = [entries[key] for key in wanted if key in entries]
        if not found:
            skipped.append(f"{value.name} (not in this trace)")
            continue
        beside = [_beside(trace, *item, value, rtol) for item in found]
        done.append(min(beside, key=lambda c: c.deviation))
    done.sort(key=lambda c: c.order)
    return Comparison(log, tuple(done), tuple(dict.fromkeys(skipped)))


def _candidates(trace: Trace, name: str, loop_index: LoopIndex) -> list[tuple[str, LoopIndex]]:
    """Return the entries that a value of C may be: C keeps some values for later sub-pixels."""
    model, last = trace.model, trace.last
    if name == "solid_angle" and not model.each_omega:
        return [(name, loop_index), (name, LoopIndex(0, 0))]
    # With separate factors for each term, those of the last term are printed.
    if name == "pixel_solid_angle" and model.each_omega:
        return [("solid_angle", LoopIndex(*last[:2]))]
    if name == "pixel_polarization" and model.each_polar:
        return [("polarization", LoopIndex(*last[:3]))]
    if name == "pixel_capture" and model.each_thick:
        return [("capture", LoopIndex(*last[:2]))]
    return [(name, loop_index)]


def _beside(
    trace: Trace, order: int, entry: Entry, value: LogValue, rtol: float | None
) -> Compared:
    """Compare one value of a log with an entry."""
    mapped, numbers, halves = value.mapped, value.numbers, value.halves
    chosen = entry.value if mapped.item is None else (entry.value[mapped.item],)
    ours = tuple(float(x) for x in chosen)
    if mapped.power != 1.0:
        halves = tuple(
            mapped.power * abs(n) ** (mapped.power - 1.0) * half
            for n, half in zip(numbers, halves, strict=True)
        )
        numbers = tuple(n**mapped.power for n in numbers)
    floor = _floor(trace, entry.name)
    allowed = _LOOSE.get(entry.name, _TIGHT) if rtol is None else rtol
    best: tuple[float, tuple[float, ...]] | None = None
    for unit in mapped.units:
        theirs = tuple(n * unit for n in numbers)
        if entry.name in ("F_latt", "F_latt_abc"):  # its sign is not kept, and drops out
            ours, theirs = tuple(map(abs, ours)), tuple(map(abs, theirs))
        deviation = _deviation(ours, theirs, tuple(h * unit for h in halves), floor)
        if best is None or deviation < best[0]:
            best = (deviation, theirs)
    assert best is not None
    return Compared(order, value, entry, ours, best[1], best[0], allowed)


def _floor(trace: Trace, name: str) -> float:
    """Return what a difference is at least relative to."""
    if name in ("q", "sin_theta/lambda"):  # a difference of two unit vectors over lambda
        return 1.0 / float(trace.model.wavelength.max())
    if name in ("hkl", "capture", "pixel_capture"):  # likewise differences
        return 1.0
    # Where a sine goes through 0, C's rounding of its large argument is left.
    return 1e-4 * trace.model.n_cells_total if name in ("F_latt", "F_latt_abc") else _TINY


def _deviation(
    ours: tuple[float, ...], theirs: tuple[float, ...], halves: tuple[float, ...], floor: float
) -> float:
    """Return the largest relative difference beyond the digits that were printed."""
    if len(ours) != len(theirs):
        return math.inf
    scale = max(floor, *(abs(x) for x in (*ours, *theirs) if math.isfinite(x)), _TINY)
    worst = 0.0
    for one, other, half in zip(ours, theirs, halves, strict=True):
        if one == other or (math.isnan(one) and math.isnan(other)):
            continue
        beyond = (abs(one - other) - half * (1.0 + 1e-9)) / scale
        worst = max(worst, math.inf if math.isnan(beyond) else beyond)
    return worst


def report(trace: Trace, found: Comparison) -> str:
    """Describe the result of a comparison."""
    first, log = found.first, found.log
    count = len(found.compared)
    lines = []
    if first is None:
        lines.append(f"all {count} values of {log.path} ({log.kind}) agree")
    else:
        quantity = QUANTITIES[first.entry.name]
        unit = f" [{quantity.unit}]" if quantity.unit else ""
        agree = sum(c.agrees for c in found.compared)
        names = dict.fromkeys(c.entry.name for c in found.compared if not c.agrees)
        lines += [
            f"first difference: {first.entry.name} ({quantity.formula}), {quantity.meaning}",
            f"  where       {first.entry.loop_index.describe(trace.model.oversample)}",
            f"  nbdask      {' '.join(map(number_text, first.ours))}{unit}",
            f"  C           {' '.join(map(number_text, first.theirs))}{unit}, {first.log.name} in"
            f" line {first.log.line} of {log.path}",
            f"  difference  {first.deviation:.2e} relative, beyond the printed digits; rounding"
            f" explains {first.allowed:.0e}",
            f"{agree} of {count} values agree; differing quantities: {', '.join(names)}",
        ]
    if found.skipped:
        lines.append("not compared: " + ", ".join(found.skipped))
    return "\n".join(lines)


def rows(found: Comparison) -> Iterator[dict[str, object]]:
    """Yield the comparison, value by value, as JSON-able dicts."""
    for item in found.compared:
        yield {
            "name": item.entry.name,
            **{k: v for k, v in item.entry.loop_index._asdict().items() if v >= 0},
            "c_name": item.log.name,
            "line": item.log.line,
            "nbdask": list(item.ours),
            "c": list(item.theirs),
            "deviation": item.deviation,
            "allowed": item.allowed,
            "agrees": item.agrees,
        }

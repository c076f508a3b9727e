"""A trace as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from nbdask.trace.entries import Entry, LoopIndex, Trace, Value, counts
from nbdask.trace.quantities import QUANTITIES
from nbdask.trace.recorder import SUMS

_NAME, _FORMULA = 24, 22


def describe(trace: Trace, limit: int = 4) -> str:
    """Return a trace as lines of text, and what was left out of it.

    Parameters
    ----------
    trace : Trace
    limit : int
        Evaluations that are shown; of the sums after each sub-pixel at least 16.
    """
    lines = [*_head(trace)]
    told: set[LoopIndex] = set()
    for entry in trace.entries:
        if entry.shown and entry.loop_index.domain >= 0 and len(told) < limit:
            told.add(entry.loop_index)
    above = {LoopIndex(*loop_index[:n]) for loop_index in told for n in (2, 3)}
    sums = max(limit, SUMS)
    loop_index = None
    for entry in trace.entries:
        if entry.name == "sum_sub_pixel":
            sums -= 1
            if sums < 0:
                continue
        elif not entry.shown or not (
            entry.loop_index.layer < 0 or entry.loop_index in told | above
        ):
            continue
        if entry.loop_index != loop_index:
            loop_index = entry.loop_index
            lines += ["", loop_index.describe(trace.model.oversample)]
        lines += _lines(entry)
    left = trace.selected - len(told)
    if left > 0:
        lines += [
            "",
            f"{left} of {trace.selected} evaluations are not shown: --limit N shows more; --layer,"
            " --sub-pixel, --source, --phi, --domain choose; --json takes all that are chosen",
        ]
    boundaries, most = len(trace.chosen.layer) * len(trace.chosen.sub), max(limit, SUMS)
    if boundaries > most and sums < most:
        lines.append(f"{boundaries - most} of {boundaries} sums after sub-pixels are not shown")
    return "\n".join(lines)


def _head(trace: Trace) -> Iterator[str]:
    model = trace.model
    panel = "" if trace.panel_name is None else f"panel {trace.panel_name}, "
    yield (
        f"{panel}pixel slow {trace.slow}, fast {trace.fast} of {model.n_slow} x {model.n_fast},"
        f" semantics {trace.semantics}"
    )
    parts = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in _counts(trace)]
    yield f"{model.n_steps} evaluations: " + ", ".join(parts)


def _counts(trace: Trace) -> list[tuple[str, int]]:
    return [("phi step" if k == "phi" else k, n) for k, n in counts(trace.model).items()]


def _lines(entry: Entry) -> Iterator[str]:
    quantity = QUANTITIES[entry.name]
    name = entry.name + (f" [{quantity.unit}]" if quantity.unit else "")
    head = f"  {name:{_NAME}s} {quantity.formula:{_FORMULA}s} "
    rows = _rows(entry.value)
    yield head + rows[0]
    yield from (" " * len(head) + row for row in rows[1:])
    for kernel, value in entry.others.items():
        label = f"  {'':{_NAME}s} {kernel:>{_FORMULA}s} "
        yield label + _rows(value)[0] + _distance(entry.value, value)


def _rows(value: Value) -> list[str]:
    """Return numbers in full precision, four to a row where there are many."""
    numbers = [number_text(x) for x in value]
    if len(numbers) <= 4:
        return [" ".join(numbers)]
    return [" ".join(numbers[i : i + 4]) for i in range(0, len(numbers), 4)]


def number_text(value: float | int | str) -> str:
    """Return one value; floats so that reading them gives the same bits."""
    return repr(value) if isinstance(value, float) else str(value)


def _distance(one: Value, other: Value) -> str:
    """Return how far two values are from each other, relative to the largest."""
    numbers = [
        (float(a), float(b))
        for a, b in zip(one, other, strict=False)
        if not isinstance(a, str) and not isinstance(b, str)
    ]
    scale = max((abs(x) for pair in numbers for x in pair), default=0.0)
    if scale == 0.0 or scale != scale:
        return ""
    worst = max(abs(a - b) for a, b in numbers) / scale
    return f"  ({worst:.1e} apart)"

"""The values of a trace, and which evaluations of a pixel it is about."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbdask.errors import InputError, NbdaskError
from nbdask.geometry.model import Model
from nbdask.trace.quantities import QUANTITIES

Value = tuple[float | int | str, ...]


class TraceError(NbdaskError):
    """A traced pixel that is not the kernel's: a mistake in nbdask."""

    exit_code = 1


class LoopIndex(NamedTuple):
    """Where in the loops over a pixel a value belongs; -1: to all of that level."""

    layer: int = -1
    sub: int = -1
    source: int = -1
    phi: int = -1
    domain: int = -1

    def describe(self, oversample: int) -> str:
        """Describe it."""
        levels = []
        if self.layer >= 0:
            slow, fast = divmod(self.sub, oversample)
            levels.append(f"layer {self.layer}, sub-pixel {self.sub} (slow {slow}, fast {fast})")
        if self.source >= 0:
            levels.append(f"source {self.source}")
        if self.phi >= 0:
            levels.append(f"phi step {self.phi}, domain {self.domain}")
        return ", ".join(levels) or "the whole pixel"


@dataclass(slots=True, eq=False)
class Entry:
    """One value of a trace.

    Attributes
    ----------
    name : str
        A key of :data:`~nbdask.trace.quantities.QUANTITIES`.
    loop_index : LoopIndex
    value : tuple
        Numbers in full precision, or a text.
    others : dict
        Kernel -> the values that its own formulas give.
    shown : bool
        False: only kept for comparisons.
    """

    name: str
    loop_index: LoopIndex
    value: Value
    others: dict[str, Value] = field(default_factory=dict)
    shown: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        quantity = QUANTITIES[self.name]
        where = {k: v for k, v in self.loop_index._asdict().items() if v >= 0}
        result: dict[str, Any] = {
            "name": self.name,
            **where,
            "value": _plain(self.value),
            "unit": quantity.unit,
            "formula": quantity.formula,
            "tap": quantity.tap,
        }
        if self.others:
            result["kernels"] = {name: _plain(value) for name, value in self.others.items()}
        return result


def _plain(value: Value) -> Any:
    """Return numbers as JSON has them; it has no NaN and no infinity."""
    found = [repr(x) if isinstance(x, float) and not math.isfinite(x) else x for x in value]
    return found[0] if len(found) == 1 else found


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Everything that is known of one pixel.

    Attributes
    ----------
    slow, fast : int
    semantics : str
    model : Model
    entries : tuple of Entry
        In the order in which the data flow.
    chosen : Selection
        Which evaluations were asked for.
    selected : int
        How many these are.
    recorded : int
        Evaluations of these that are in ``entries``.
    last : LoopIndex
        The last evaluation that counts; all -1 where none does.
    kernels : tuple of str
        Columns other than the reference kernel's.
    notes : tuple of str
    pixel : float
        Photons, rounded to single precision; known whatever taps were asked for.
    panel_name : str or None
        None: there is one panel.
    panel : int
    """

    slow: int
    fast: int
    semantics: str
    model: Model
    entries: tuple[Entry, ...]
    chosen: Selection
    selected: int
    recorded: int
    last: LoopIndex
    kernels: tuple[str, ...]
    notes: tuple[str, ...]
    pixel: float
    panel_name: str | None = None
    panel: int = 0

    def value(self, name: str, loop_index: LoopIndex | None = None) -> Value:
        """Return the value of a quantity.

        Raises
        ------
        KeyError
            It is not in the trace.
        """
        for entry in self.entries:
            if entry.name == name and (loop_index is None or entry.loop_index == loop_index):
                return entry.value
        raise KeyError(name)

    def _panel(self) -> dict[str, Any]:
        return {} if self.panel_name is None else {"panel": self.panel_name, "number": self.panel}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        m = self.model
        return {
            "pixel": {"slow": self.slow, "fast": self.fast} | self._panel(),
            "shape": [m.n_slow, m.n_fast],
            "semantics": self.semantics,
            "counts": counts(m),
            "evaluations": m.n_steps,
            "selected": self.selected,
            "recorded": self.recorded,
            "kernels": ["reference", *self.kernels],
            "notes": list(self.notes),
            "values": [entry.to_dict() for entry in self.entries if entry.shown],
        }


def counts(model: Model) -> dict[str, int]:
    """Return how many there are of each level."""
    return {
        "layer": model.layers,
        "sub-pixel": model.oversample**2,
        "source": model.n_sources,
        "phi": model.n_phi,
        "domain": model.n_domains,
    }


def loop_index_of_step(model: Model, step: int) -> LoopIndex:
    """Return the place of a flat step."""
    rest, domain = divmod(step, model.n_domains)
    rest, phi = divmod(rest, model.n_phi)
    rest, source = divmod(rest, model.n_sources)
    return LoopIndex(*divmod(rest, model.oversample**2), source, phi, domain)


@dataclass(frozen=True, slots=True)
class Selection:
    """Half-open ranges of the evaluations that a trace shows."""

    layer: range
    sub: range
    source: range
    phi: range
    domain: range

    @classmethod
    def of(cls, model: Model, given: dict[str, str | None]) -> Selection:
        """Read ranges such as ``3``, ``0:10`` or ``5:``; what is not given is everything.

        Parameters
        ----------
        model : Model
        given : dict
            ``layer``, ``sub-pixel``, ``source``, ``phi``, ``domain`` -> text or None.

        Raises
        ------
        InputError
            A text that is not a range, or a range out of bounds.
        """
        return cls(*(_range(name, given.get(name), n) for name, n in counts(model).items()))

    def __contains__(self, loop_index: object) -> bool:
        """Whether a place, of any level, is selected."""
        assert isinstance(loop_index, LoopIndex)
        return all(i < 0 or i in r for i, r in zip(loop_index, self._ranges(), strict=True))

    def _ranges(self) -> tuple[range, ...]:
        return (self.layer, self.sub, self.source, self.phi, self.domain)

    @property
    def size(self) -> int:
        """Evaluations that are selected."""
        size = 1
        for part in self._ranges():
            size *= len(part)
        return size

    def steps(self, model: Model) -> Iterator[int]:
        """Yield the flat steps that are selected."""
        for layer in self.layer:
            for sub in self.sub:
                for source in self.source:
                    base = (layer * model.oversample**2 + sub) * model.n_sources + source
                    for phi in self.phi:
                        for domain in self.domain:
                            yield (base * model.n_phi + phi) * model.n_domains + domain


def _range(name: str, text: str | None, count: int) -> range:
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    try:
        start = int(first) if first or not colon else 0
        stop = (int(last) if last else count) if colon else start + 1
    except ValueError:
        start, stop = -1, -1
    if not 0 <= start < stop <= count:
        raise InputError(
            f"--{name} {text}: must be a number or a range such as 0:10 within 0:{count}"
        )
    return range(start, stop)

"""The evaluation that a value printed within C's loops belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbdask.geometry.model import Model
from nbdask.trace.entries import LoopIndex, Trace, loop_index_of_step
from nbdask.trace.names import level_of


@dataclass
class Cursor:
    """Follows the loops of C by the names that come again."""

    trace: Trace
    step: int = 0
    seen: list[set[str]] = field(default_factory=lambda: [set(), set(), set(), set()])

    def __post_init__(self) -> None:
        """Find out which sources dmin keeps C from going on with."""
        self.skipped = {
            entry.loop_index
            for entry in self.trace.entries
            if entry.name == "passes_dmin" and entry.value == (0,)
        }
        model = self.trace.model
        turns = model.n_phi * model.n_domains
        self.lengths = (0, turns * model.n_sources, turns, 1)

    def loop_index(self, quantity: str, name: str) -> LoopIndex:
        """Return the place of the next value of a log."""
        level = level_of(quantity)
        if level == 0:
            return LoopIndex()
        if name in self.seen[level]:
            self._advance(level)
        self.seen[level].add(name)
        whole = loop_index_of_step(self.trace.model, min(self.step, self.trace.model.n_steps - 1))
        return LoopIndex(*whole[: level + 1]) if level < 3 else whole

    def _advance(self, level: int) -> None:
        model: Model = self.trace.model
        length = self.lengths[level]
        self.step += length - self.step % length
        while level == 3 and self.step < model.n_steps:
            loop_index = loop_index_of_step(model, self.step)
            if LoopIndex(*loop_index[:3]) not in self.skipped:
                break
            self.step += self.lengths[2] - self.step % self.lengths[2]
        for deeper in range(level, 4):
            self.seen[deeper].clear()

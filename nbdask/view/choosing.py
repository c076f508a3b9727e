"""The viewer's controls of several stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import bokeh.models

from nbdask.view.rivals import MODES

#: Bokeh's type hints do not cover what its models accept.
models: Any = bokeh.models


class StoreControls:
    """Which store is shown, and which one beside it.

    Parameters
    ----------
    names : sequence of str
    width : int
        Of the controls [pixels of the screen].
    changed : callable
        Called when another choice was made.

    Attributes
    ----------
    all : list of models
        In the order in which they are shown; none for a single store.
    """

    def __init__(self, names: Sequence[str], width: int, changed: Callable[[], None]) -> None:
        self._count, self._changed = len(names), changed
        options = [(str(number), name) for number, name in enumerate(names)]
        self.store = models.Select(title="store", options=options, value="0", name="store")
        self.other = models.Select(title="and", options=options, value="1", name="other")
        self.group = models.RadioButtonGroup(labels=list(MODES), active=0, name="mode")
        self.all: list[Any] = []
        if len(names) == 1:
            return
        for control in (self.store, self.other):
            control.width = width
            control.on_change("value", self._chosen)
        self.group.on_change("active", self._chosen)
        buttons = []
        for label, step in (("previous store", -1), ("next store", 1)):
            button = models.Button(label=label, width=120, name=label)
            button.on_click(partial(self._step, step))
            buttons.append(button)
        self.all = [self.store, models.Row(children=buttons), self.group, self.other]

    @property
    def mode(self) -> str:
        """How they are shown."""
        return MODES[self.group.active]

    @property
    def shown(self) -> int:
        """Number of the store that is shown."""
        return int(self.store.value)

    @property
    def beside(self) -> int | None:
        """Number of the store that is shown with it; None: it is alone."""
        return None if self.group.active == 0 else int(self.other.value)

    def _step(self, step: int) -> None:
        """Choose the store after or before, around the end."""
        self.store.value = str((self.shown + step) % self._count)

    def _chosen(self, name: str, old: object, new: object) -> None:
        """Show what was chosen."""
        self._changed()

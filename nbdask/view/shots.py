"""The viewer's controls of a series: which shot is shown, and playing one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bokeh.models

#: Bokeh's type hints do not cover what its models accept.
models: Any = bokeh.models

#: Between shots while they are played, if they can be read so fast [ms].
STEP = 300
#: The address of the page keeps the shot.
_KEEP = 'window.history.replaceState(null, "", "?shot=" + cb_obj.value + window.location.hash)'


class ShotControls:
    """Slider, number, buttons for the shots before and after, and one that plays them.

    Parameters
    ----------
    count : int
        Shots of the series, at least 2.
    shot : int
        The one that is shown.
    go : callable
        Called with the shot that is wished for.
    is_busy : callable
        Whether a shot is being read.

    Attributes
    ----------
    all : list of models
        In the order in which they are shown.
    """

    def __init__(
        self, count: int, shot: int, go: Callable[[int], None], is_busy: Callable[[], bool]
    ) -> None:
        self._count, self._go, self._is_busy = count, go, is_busy
        self._callback: Any = None
        self._document: Any = None
        self.slider = models.Slider(
            title="shot", start=0, end=count - 1, step=1, value=shot, name="shot"
        )
        self.slider.js_on_change("value", models.CustomJS(code=_KEEP))
        self.slider.on_change("value", self._slid)
        self.number = models.Spinner(
            low=0, high=count - 1, step=1, value=shot, width=90, name="shot number"
        )
        self.number.on_change("value", self._typed)
        before = models.Button(label="previous", width=75, name="previous")
        after = models.Button(label="next", width=60, name="next")
        before.on_click(lambda: self._to(max(0, self.slider.value - 1)))
        after.on_click(lambda: self._to(min(count - 1, self.slider.value + 1)))
        self.play = models.Toggle(label="play", width=60, name="play")
        self.play.on_change("active", self._played)
        row = models.Row(children=[self.number, before, after, self.play])
        self.all = [self.slider, row]

    def join(self, document: Any) -> None:
        """Belong to a tab's document."""
        self._document = document

    def _to(self, shot: int) -> None:
        """Choose a shot."""
        self.slider.value = shot

    def _slid(self, name: str, old: object, new: float) -> None:
        """Show what the slider says."""
        self.number.value = int(new)
        self._go(int(new))

    def _typed(self, name: str, old: object, new: float | None) -> None:
        """Show what was typed; an empty field changes nothing."""
        if new is not None:
            self._to(min(max(0, int(new)), self._count - 1))

    def _played(self, name: str, old: object, new: bool) -> None:
        """Begin or end to play."""
        self.play.label = "stop" if new else "play"
        if new and self._callback is None:
            self._callback = self._document.add_periodic_callback(self._step, STEP)
        elif not new and self._callback is not None:
            self._document.remove_periodic_callback(self._callback)
            self._callback = None

    def _step(self) -> None:
        """Show the next shot, the first after the last; while one is read, wait."""
        if not self._is_busy():
            self._to((int(self.slider.value) + 1) % self._count)

"""What the viewer does when it is asked for places and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import bokeh.events
import bokeh.models

from nbdask.errors import NbdaskError
from nbdask.plan.tiles import Tile
from nbdask.view.finding import MOST_SPOTS, Finding, around
from nbdask.view.marks import Marks
from nbdask.view.measures import Goal, goal_of
from nbdask.view.scene import Scene, Window
from nbdask.view.spots import Spot

#: Bokeh's type hints do not cover what its models accept.
events: Any = bokeh.events
models: Any = bokeh.models


class Sight(Protocol):
    """What a page tells of what it shows."""

    scene: Scene
    plot: Any
    kind: str

    def in_sight(self) -> tuple[Tile, int] | None:
        """Return the visible pixels, and how many are combined along each side; None: none."""

    def look_at(self, slow: float, fast: float, height: float) -> None:
        """Show the part around a pixel."""

    def seen(self, region: Tile, factor: int) -> Window:
        """Return a part as it is shown (in the other thread)."""

    def away(self, work: Callable[[], Any], use: Callable[[Any], None]) -> None:
        """Do work in the other thread, and use its result."""


class Asking:
    """Connects the controls of :class:`~.finding.Finding` with what is in sight.

    Parameters
    ----------
    page : Sight
    found : Finding
    marks : Marks
    """

    def __init__(self, page: Sight, found: Finding, marks: Marks) -> None:
        self._page, self._found, self._marks = page, found, marks
        self._spots: list[tuple[Spot, str]] = []
        found.goto.on_change("value", self._asked)
        found.find.on_click(self.find_spots)
        found.labels.on_change("active", lambda name, old, new: self._mark_spots())
        found.spots.on_change("value", self._chosen)
        found.profile.on_change("active", self._profiled)
        page.plot.on_event(events.Tap, self._tapped)
        page.plot.on_event(events.SelectionGeometry, self._boxed)

    # Places.

    def _asked(self, name: str, old: object, new: str) -> None:
        """Go to what was typed."""
        if not new.strip():
            return
        try:
            goal = goal_of(self._page.scene, new)
        except NbdaskError as error:
            self._found.tell(str(error))
            return
        self._go(goal)

    def _go(self, goal: Goal) -> None:
        page = self._page
        span = abs(page.plot.y_range.end - page.plot.y_range.start)
        self._found.tell(goal.text)
        rings = [] if goal.resolution is None else [goal.resolution]
        self._marks.goal.data = {"x": [goal.fast], "y": [goal.slow]}
        rows, columns = page.scene.shape
        lines = [x for d in rings for x in page.scene.geometry.ring(d, Tile(0, rows, 0, columns))]
        self._marks.wanted.data = {"xs": [x[:, 1] for x in lines], "ys": [x[:, 0] for x in lines]}
        if rings and not lines:
            self._found.tell(f"{goal.text} is nowhere on the detector")
            return
        page.look_at(*around(goal, page.scene, span))

    def find_spots(self) -> None:
        """Look for the spots that stand out most of what is in sight."""
        sight = self._page.in_sight()
        if sight is not None:
            work = partial(self._page.scene.spots, *sight, MOST_SPOTS)
            self._page.away(work, self._spotted)

    def _spotted(self, spots: list[tuple[Spot, str]]) -> None:
        self._spots = spots
        self._found.show_spots(spots, self._page.scene.levels.reader.unit)
        self._mark_spots()

    def _mark_spots(self) -> None:
        named = bool(self._found.labels.active)
        self._marks.show_spots([(s.slow, s.fast, hkl if named else "") for s, hkl in self._spots])

    def _chosen(self, name: str, old: object, new: str) -> None:
        """Go to a spot of the list."""
        if new:
            slow, fast = (int(word) for word in new.split(","))
            self._go(Goal(slow, fast, f"pixel {slow}, {fast}"))

    def forget(self) -> None:
        """Forget spots: another image is shown."""
        if self._spots:
            self._spotted([])

    # Numbers.

    def _boxed(self, event: Any) -> None:
        """Tell the statistics of the box that was drawn."""
        box = event.geometry
        if not event.final or box.get("type") != "rect":
            return
        rows, columns = self._page.scene.shape
        x, y = sorted((box["x0"], box["x1"])), sorted((box["y0"], box["y1"]))
        region = Tile(
            math.floor(y[0] + 0.5), math.floor(y[1] + 0.5) + 1,
            math.floor(x[0] + 0.5), math.floor(x[1] + 0.5) + 1,
        ).intersect(Tile(0, rows, 0, columns))  # fmt: skip
        if region is not None:
            unit = self._page.scene.levels.reader.unit
            self._page.away(
                partial(self._mean, region),
                lambda window: self._found.show_region(window, region, unit),
            )

    def _mean(self, region: Tile) -> Window:
        """Return single pixels, or means where they are too many to be read."""
        return self._page.scene.window("mean", region, 1)

    def _profiled(self, name: str, old: object, new: int) -> None:
        """Begin with another kind of profile."""
        self._found.choose_profile()
        self._marks.line.data = {"x": [], "y": []}
        self.draw_profile()

    def _tapped(self, event: Any) -> None:
        """Take an end of the line."""
        if self._found.mode != "line" or event.x is None:
            return
        whole = self._found.click(float(event.y), float(event.x))
        corners = self._found.corners
        self._marks.line.data = {"x": [f for _, f in corners], "y": [s for s, _ in corners]}
        if whole:
            self.draw_profile()

    def draw_profile(self) -> None:
        """Draw the profile of what is in sight, if one is wanted."""
        sight = self._page.in_sight()
        if sight is None:
            return
        if self._found.mode == "radial":
            use = partial(self._found.show_radial, scene=self._page.scene)
            self._page.away(partial(self._page.scene.window, "mean", *sight), use)
        elif self._found.mode == "line" and len(self._found.corners) == 2:
            self._page.away(partial(self._page.seen, *sight), self._found.show_line)

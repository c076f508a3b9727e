"""The viewer's controls for places and numbers: go to, spots, statistics, profiles."""

from __future__ import annotations

import html
from typing import Any

import bokeh.models
import numpy as np

from nbdask.plan.tiles import Tile
from nbdask.view.measures import Goal, line_profile, radial_profile, region_text
from nbdask.view.scene import Scene, Window
from nbdask.view.spots import Spot
from nbdask.view.texts import table_text

#: Bokeh's type hints do not cover what its models accept.
models: Any = bokeh.models

#: Most spots of the list.
MOST_SPOTS = 25
PROFILES = ("none", "line", "radial")


class Finding:
    """Models of one tab; what they do is the page's.

    Parameters
    ----------
    width : int
        Of the controls [pixels of the screen].

    Attributes
    ----------
    all : list of models
        In the order in which they are shown.
    corners : list of (slow, fast)
        Ends of the line of a profile, as far as they were clicked.
    """

    def __init__(self, width: int) -> None:
        self.goto = models.TextInput(
            placeholder="go to: slow fast, h k l, or 2.5 A", width=width, name="goto"
        )
        self.find = models.Button(label="find spots in sight", width=150, name="find spots")
        self.labels = models.CheckboxGroup(labels=["h k l"], active=[0], name="labels")
        self.spots = models.Select(
            options=[("", "no spots yet")], value="", width=width, visible=False, name="spot"
        )
        self.region = models.Div(text="", name="region", width=width)
        self.profile = models.RadioButtonGroup(
            labels=[f"{name} profile" if name != "none" else "no profile" for name in PROFILES],
            active=0,
            name="profile",
        )
        self.hint = models.Div(text="", name="hint", width=width)
        self.curve = models.ColumnDataSource({"x": [], "y": []}, name="curve")
        self.plot = self._curve_plot(width)
        #: Holds the plot once it is wanted: the first view need not wait for it.
        self.holder = models.Column(children=[])
        self.corners: list[tuple[float, float]] = []
        row = models.Row(children=[self.find, self.labels])
        self.all = [
            self.goto, row, self.spots, self.region, self.profile, self.hint, self.holder,
        ]  # fmt: skip

    def _curve_plot(self, width: int) -> Any:
        plot = models.Plot(
            x_range=models.Range1d(0, 1),
            y_range=models.Range1d(0, 1),
            width=width,
            height=170,
            toolbar_location=None,
            name="curve plot",
        )
        self.axis = models.LinearAxis(axis_label_text_font_style="normal")
        plot.add_layout(self.axis, "below")
        plot.add_layout(models.LinearAxis(), "left")
        plot.add_glyph(self.curve, models.Line(x="x", y="y", line_color="#1f77b4"))
        return plot

    @property
    def mode(self) -> str:
        """Which profile is shown."""
        return PROFILES[self.profile.active]

    def choose_profile(self) -> None:
        """Show or hide what belongs to a profile."""
        self.holder.children = [] if self.mode == "none" else [self.plot]
        self.curve.data = {"x": [], "y": []}
        self.corners = []
        self.hint.text = "click at both ends of a line" if self.mode == "line" else ""

    def click(self, slow: float, fast: float) -> bool:
        """Take an end of the line; return whether there are two by now."""
        self.corners = [*self.corners[-1:], (slow, fast)] if len(self.corners) < 2 else []
        self.corners = self.corners or [(slow, fast)]
        return len(self.corners) == 2

    def show_line(self, window: Window) -> None:
        """Show the profile along the line."""
        self.axis.axis_label = "along the line [pixels]"
        self._show(*line_profile(window, *self.corners))

    def show_radial(self, window: Window, scene: Scene) -> None:
        """Show the mean of what is in sight by resolution."""
        self.axis.axis_label = "1/d [1/Å]"
        self._show(*radial_profile(window, scene.geometry))

    def _show(self, x: Any, y: Any) -> None:
        keep = np.isfinite(y)
        self.curve.data = {"x": x[keep].tolist(), "y": y[keep].tolist()}
        for ends, values in ((self.plot.x_range, x[keep]), (self.plot.y_range, y[keep])):
            if values.size:
                margin = 0.02 * float(np.ptp(values))
                low, high = float(values.min()) - margin, float(values.max()) + margin
                ends.update(start=low, end=high if high > low else low + 1.0)

    def show_spots(self, spots: list[tuple[Spot, str]], unit: str) -> None:
        """List spots, those that stand out most first."""
        self.spots.options = [
            ("", f"{len(spots)} spots: go to"),
            *(
                (f"{s.slow},{s.fast}", f"{hkl}   at {s.slow}, {s.fast}: {s.photons:.5g} {unit}")
                for s, hkl in spots
            ),
        ]
        self.spots.update(value="", visible=True)

    def show_region(self, window: Window, region: Tile, unit: str) -> None:
        """Show the statistics of a region."""
        self.region.text = table_text(region_text(window, region, unit))

    def tell(self, text: str) -> None:
        """Say something about what was asked for."""
        self.hint.text = html.escape(text)


def around(goal: Goal, scene: Scene, span: float) -> tuple[float, float, float]:
    """Return middle (slow, fast) and height in pixels of the part to be shown for a goal.

    Parameters
    ----------
    goal : Goal
    scene : Scene
    span : float
        Height of the part that is in sight now.
    """
    if goal.resolution is None:
        return goal.slow, goal.fast, min(span, 120.0)
    rows, columns = scene.shape
    lines = scene.geometry.ring(goal.resolution, Tile(0, rows, 0, columns))
    if not lines:
        return goal.slow, goal.fast, span
    points = np.concatenate(lines)
    reach = float(np.abs(points - np.array([goal.slow, goal.fast])).max())
    return goal.slow, goal.fast, 2.4 * reach

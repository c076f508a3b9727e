"""What the viewer draws over the image: damaged tiles, rings, spots, a line, the scale."""

from __future__ import annotations

import math
from typing import Any

import bokeh.models

from nbdask.view.columns import marked, ring_columns
from nbdask.view.scene import Scene
from nbdask.view.style import MISSING, RINGS

#: Bokeh's type hints do not cover what its models accept.
models: Any = bokeh.models

#: Colour in which damaged tiles are crossed out.
DAMAGED = "#ff4040"
_NAMED: dict[str, Any] = {
    "x": "x",
    "y": "y",
    "text": "text",
    "text_font_size": "13px",
    "padding": 3,
    "background_fill_color": "black",
    "background_fill_alpha": 0.75,
    "border_radius": 3,
}
_CORNER = "#66ccff"
#: Greatest length of the scale bar, of the width of what is in sight.
_BAR = 0.25


class Marks:
    """Glyphs over the image of one tab.

    Parameters
    ----------
    plot : bokeh.models.Plot
    scene : Scene
    """

    def __init__(self, plot: Any, scene: Scene) -> None:
        self.damaged = models.ColumnDataSource(marked(scene), name="damaged")
        plot.add_glyph(
            self.damaged,
            models.Quad(
                left="left",
                right="right",
                top="top",
                bottom="bottom",
                fill_color=MISSING,
                line_color=DAMAGED,
                line_width=2,
                hatch_pattern="cross",
                hatch_color=DAMAGED,
                hatch_scale=20,
            ),
        )
        self._make_rings(plot, scene)
        self._make_spots(plot)
        self._make_line(plot)
        self._make_scale_bar(plot)

    def _make_rings(self, plot: Any, scene: Scene) -> None:
        """Make lines, names and beam centre, not shown yet."""
        self.lines = models.ColumnDataSource({"xs": [], "ys": []}, name="rings")
        self.names = models.ColumnDataSource({"x": [], "y": [], "text": []})
        self.centre = models.ColumnDataSource({"x": [], "y": []})
        self.move_beam(scene)
        name = models.Text(**_NAMED, text_color=RINGS, text_align="center", text_baseline="middle")
        shapes = (
            (self.lines, models.MultiLine(xs="xs", ys="ys", line_color=RINGS, line_dash="dashed")),
            (self.names, name),
            (self.centre, models.Scatter(marker="cross", size=16, line_color=RINGS)),
        )
        self.rings = [plot.add_glyph(*shape, visible=False) for shape in shapes]

    def _make_spots(self, plot: Any) -> None:
        """Make circles with indices around spots, and a mark where one went to."""
        self.spots = models.ColumnDataSource({"x": [], "y": [], "text": []}, name="spots")
        self.wanted = models.ColumnDataSource({"xs": [], "ys": []}, name="wanted")
        plot.add_glyph(self.wanted, models.MultiLine(xs="xs", ys="ys", line_color="#40ff40"))
        self.goal = models.ColumnDataSource({"x": [], "y": []}, name="goal")
        circle = models.Scatter(size=18, fill_color=None, line_color=_CORNER, line_width=1.5)
        name = models.Text(**_NAMED, text_color=_CORNER, x_offset=10, y_offset=-8)
        for glyph in (circle, name):
            plot.add_glyph(self.spots, glyph)
        cross = models.Scatter(marker="cross", size=30, line_color="#40ff40", line_width=1.5)
        plot.add_glyph(self.goal, cross)

    def _make_line(self, plot: Any) -> None:
        """Make the line of a profile, and the box of statistics."""
        self.line = models.ColumnDataSource({"x": [], "y": []}, name="line")
        shown = {"line_color": "#40ff40", "line_width": 2}
        plot.add_glyph(self.line, models.Line(x="x", y="y", **shown))
        plot.add_glyph(self.line, models.Scatter(size=8, fill_color=None, **shown))

    def _make_scale_bar(self, plot: Any) -> None:
        """Make a bar with its length below."""
        self.bar = models.ColumnDataSource(
            {"x0": [], "x1": [], "y": [], "x": [], "text": []}, name="scale bar"
        )
        line = models.Segment(x0="x0", x1="x1", y0="y", y1="y", line_color="white", line_width=4)
        plot.add_glyph(self.bar, line)
        middle = {"text_align": "center", "text_baseline": "top", "y_offset": 4}
        plot.add_glyph(self.bar, models.Text(**_NAMED, text_color="white", **middle))

    def show_scale(self, left: float, right: float, low: float, high: float, pitch: float) -> None:
        """Show the scale in the lower left corner of what is in sight.

        Parameters
        ----------
        left, right, low, high : float
            Ends of the axes [pixels].
        pitch : float
            Distance of pixels [m].
        """
        length, text = round_length((right - left) * pitch * _BAR)
        start = left + 0.04 * (right - left)
        end = start + length / pitch
        y = low + 0.07 * (high - low)
        self.bar.data = {
            "x0": [start], "x1": [end], "y": [y], "x": [(start + end) / 2], "text": [text],
        }  # fmt: skip

    def move_beam(self, scene: Scene) -> None:
        """Mark the beam centre of a scene."""
        slow, fast = scene.geometry.beam_centre
        self.centre.data = {"x": [fast], "y": [slow]}

    def show_rings(self, rings: list[Any]) -> None:
        """Show rings: of each its resolution, lines, and the place of its name."""
        self.lines.data, self.names.data = ring_columns(rings)

    def show_spots(self, spots: list[tuple[int, int, str]]) -> None:
        """Show circles and names: of each slow, fast and text."""
        self.spots.data = {
            "x": [fast for _, fast, _ in spots],
            "y": [slow for slow, _, _ in spots],
            "text": [text for _, _, text in spots],
        }


def round_length(most: float) -> tuple[float, str]:
    """Return the greatest length [m] of 1, 2 or 5 times a power of ten up to ``most``; its name."""
    power = 10.0 ** math.floor(math.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most * (1.0 + 1e-9))
    for unit, name in ((1.0, "m"), (1e-2, "cm"), (1e-3, "mm"), (1e-6, "µm")):
        if length >= unit * (1.0 - 1e-9):
            return length, f"{length / unit:g} {name}"
    return length, f"{length / 1e-9:g} nm"

"""The viewer's colours: scales, sliders in their own units, automatic contrast, histogram."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import bokeh.models
import numpy as np
from bokeh import palettes

from nbdask.view.contrast import centre_of, choose
from nbdask.view.scene import Window
from nbdask.view.style import MISSING

#: Bokeh's type hints do not cover what its models accept.
models: Any = bokeh.models

PALETTES: dict[str, tuple[str, ...]] = {
    "inferno": palettes.Inferno256,
    "viridis": palettes.Viridis256,
    "magma": palettes.Magma256,
    "turbo": palettes.Turbo256,
    "grey": palettes.Greys256,
    "grey, inverted": palettes.Greys256[::-1],
}
#: Of a difference: blue below 0, red above.
_DIVERGING = palettes.RdBu11
#: The logarithmic slider reaches so many powers of ten below the upper end, the linear one so many
#: times beyond it.
_DECADES, _BEYOND = 8.0, 4.0
_BINS, _STEPS = 60, 1000
#: Percentile of the deviations that gets the last colour of a difference.
_DIFFERENCE = 99.9


class Contrasts:
    """Scales of colours with their controls.

    Parameters
    ----------
    overview : Window
        The whole image, from which the first contrast is.
    unit : str
        Of its values.
    width : int
        Of the controls [pixels of the screen].
    changed : callable
        Called when another scale is chosen.

    Attributes
    ----------
    log, linear, difference : models
        The scales.
    glyphs : dict of str to list of models
        The images of each scale, by its id.
    all : list of models
        In the order in which they are shown.
    """

    def __init__(
        self, overview: Window, unit: str, width: int, changed: Callable[[], None]
    ) -> None:
        self._changed, self._window = changed, overview
        self._compared = False
        self.glyphs: dict[str, list[Any]] = {}
        low, high = overview.contrast
        options: dict[str, Any] = {"palette": PALETTES["inferno"], "nan_color": MISSING}
        self.log = models.LogColorMapper(low=low, high=high, name="log", **options)
        self.linear = models.LinearColorMapper(low=0.0, high=high, name="linear", **options)
        self.difference = models.LinearColorMapper(
            palette=_DIVERGING, low=-1.0, high=1.0, nan_color=MISSING, name="difference"
        )
        self._make_sliders(unit, width)
        self._make_histogram(width)
        self.scale = models.RadioButtonGroup(
            labels=["logarithmic", "linear"], active=0, name="scale"
        )
        self.scale.on_change("active", self._scaled)
        auto = models.Button(label="auto contrast", width=110, name="auto")
        auto.on_click(self.choose)
        self.colours = models.Select(
            title="colours", options=list(PALETTES), value="inferno", width=130, name="colours"
        )
        self.colours.on_change("value", self._coloured)
        row = models.Row(children=[self.scale, auto])
        self.all = [self.histogram, self.slider, self.linear_slider, row, self.colours]
        self.choose()

    @property
    def mapper(self) -> Any:
        """The scale that is in use."""
        return self.difference if self._compared else (self.log, self.linear)[self.scale.active]

    def _make_sliders(self, unit: str, width: int) -> None:
        """Make one for each scale; colours follow them in the browser, without the server."""
        whole: Any = {"start": 0.0, "end": 1.0, "value": (0.0, 1.0), "width": width}
        self.slider = models.RangeSlider(
            title=f"contrast [log10 {unit}]", step=0.05, name="contrast", **whole
        )
        self.linear_slider = models.RangeSlider(
            title=f"contrast [{unit}]",
            step=0.001,
            format="0.[000]a",
            visible=False,
            name="linear contrast",
            **whole,
        )
        logarithmic = "mapper.setv({low: 10 ** low, high: 10 ** Math.max(high, low + 0.05)})"
        linear = "mapper.setv({low, high: Math.max(high, low + cb_obj.step)})"
        for slider, mapper, code in (
            (self.slider, self.log, logarithmic),
            (self.linear_slider, self.linear, linear),
        ):
            code = f"const [low, high] = cb_obj.value\n{code}"
            slider.js_on_change("value", models.CustomJS(args={"mapper": mapper}, code=code))

    def _make_histogram(self, width: int) -> None:
        """Make the plot of how many pixels have which value."""
        self.counts = models.ColumnDataSource({"left": [], "right": [], "top": []}, name="counts")
        self.histogram = models.Plot(
            x_range=models.Range1d(0, 1),
            y_range=models.Range1d(0, 1),
            width=width,
            height=70,
            min_border=0,
            toolbar=models.Toolbar(tools=[], logo=None),
            toolbar_location=None,
            outline_line_color=None,
            name="histogram",
        )
        self.histogram.add_glyph(
            self.counts,
            models.Quad(
                left="left", right="right", top="top", bottom=0, fill_color="#777", line_color=None
            ),
        )

    def draw(self, plot: Any, sources: Sequence[Any]) -> Any:
        """Draw images in the scale that is in use; return it.

        Each scale has glyphs of its own, made when it is first used: Bokeh's images do not follow
        when they get another one.
        """
        mapper = self.mapper
        if mapper.id not in self.glyphs:
            names = {name: name for name in ("image", "x", "y", "dw", "dh")}
            self.glyphs[mapper.id] = [
                plot.add_glyph(source, models.Image(color_mapper=mapper, **names), level="image")
                for source in sources
            ]
        for owner, glyphs in self.glyphs.items():
            for glyph in glyphs:
                glyph.visible = owner == mapper.id
        return mapper

    def see(self, window: Window, difference: bool = False) -> None:
        """Take what is in sight: its histogram; of a difference, its colours too."""
        self._window = window
        if difference != self._compared:
            self._compared = difference
            self._changed()
        if difference:
            sizes = np.abs(window.values[np.isfinite(window.values)])
            most = float(np.percentile(sizes, _DIFFERENCE)) if sizes.size else 0.0
            most = most or float(sizes.max(initial=0.0)) or 1.0
            self.difference.update(low=-most, high=most)
        self._count()

    def _count(self) -> None:
        slider = (self.slider, self.linear_slider)[self.scale.active]
        values = self._window.values[np.isfinite(self._window.values)].astype(np.float64)
        if self.scale.active == 0:
            values = np.log10(values[values > 0.0])
        counts, edges = np.histogram(values, bins=_BINS, range=(slider.start, slider.end))
        self.histogram.y_range.end = max(1.0, 1.05 * math.log10(counts.max() + 1.0))
        self.histogram.x_range.update(start=slider.start, end=slider.end)
        self.counts.data = {
            "left": edges[:-1].tolist(),
            "right": edges[1:].tolist(),
            "top": np.log10(counts + 1.0).tolist(),
        }

    def choose(self) -> None:
        """Choose both contrasts by what is in sight."""
        window = self._window
        centre = None
        if window.beam is not None:
            centre = centre_of(window.region, window.factor, window.beam)
        low, high = window.contrast
        ends = (math.log10(low), math.log10(high))
        self.log.update(low=low, high=high)
        self.slider.update(start=ends[1] - _DECADES, end=ends[1] + 2.0, value=ends)
        low, high = choose(window.values, log=False, centre=centre)
        self.linear.update(low=low, high=high)
        end = _BEYOND * high
        self.linear_slider.update(start=0.0, end=end, step=end / _STEPS, value=(low, high))
        self._count()

    def _scaled(self, name: str, old: object, new: int) -> None:
        """Change between logarithmic and linear colours."""
        self.slider.visible, self.linear_slider.visible = new == 0, new == 1
        self._count()
        self._changed()

    def _coloured(self, name: str, old: object, new: str) -> None:
        """Change the colours."""
        for mapper in (self.log, self.linear):
            mapper.palette = list(PALETTES[new])

"""The viewer's page: the image with its controls, as a Bokeh document of one browser tab."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import bokeh.events
import bokeh.models
from bokeh import palettes
from bokeh.document import Document

from nbdask.plan.tiles import Tile
from nbdask.view.contrast import choose
from nbdask.view.labels import label_positions
from nbdask.view.scene import Scene, Window
from nbdask.view.style import MISSING, RINGS
from nbdask.view.texts import pointer_text, progress_text, provenance_text

#: Bokeh's type hints do not cover what its models accept.
events: Any = bokeh.events
models: Any = bokeh.models

PALETTES: dict[str, tuple[str, ...]] = {
    "inferno": palettes.Inferno256,
    "viridis": palettes.Viridis256,
    "magma": palettes.Magma256,
    "turbo": palettes.Turbo256,
    "grey": palettes.Greys256,
    "grey, inverted": palettes.Greys256[::-1],
}
_KINDS = [("max", "brightest pixel (spots stay)"), ("mean", "mean (photons per pixel)")]
#: The contrast slider reaches so many powers of ten below the brightest pixel.
_DECADES = 8.0
#: Frame before the browser reports its size [pixels]; pause between looks for changes [ms].
_FRAME, _NEWS = 800, 500
_PANEL = 340
#: Height and width of the name of a ring [pixels of the screen].
_NAME = (24, 64)
#: Colour in which damaged tiles are crossed out.
DAMAGED = "#ff4040"


class Page:
    """One tab: its models, and what happens when the user moves or zooms.

    Images are read in another thread; while one is read, only the latest request is kept.

    Parameters
    ----------
    scene : Scene
    pool : ThreadPoolExecutor
        Of one thread, shared by all tabs.

    Attributes
    ----------
    document : Document
        That of the tab, once :meth:`show` was called.
    """

    document: Document

    def __init__(self, scene: Scene, pool: ThreadPoolExecutor) -> None:
        self.scene, self.pool = scene, pool
        self.kind = _KINDS[0][0]
        self._wanted: tuple[float, float, float, float] | None = None
        self._sides: dict[str, int] = {}
        self._fitted = self._moving = False
        self._busy = False
        self._pointer: tuple[float, float] | None = None
        self._pointer_busy = False
        self._version = scene.progress.version
        overview = scene.overview(self.kind)
        self._make_mappers(overview)
        self._make_figure(overview)
        self._make_controls()
        shown = [self.status, self.pointer, *self._controls, self.provenance]
        side = models.Column(children=shown, width=_PANEL, name="panel")
        self._root = models.Row(children=[self.plot, side], sizing_mode="stretch_both")

    def show(self, document: Document) -> None:
        """Become what a tab shows.

        Parameters
        ----------
        document : Document
            Of the tab, empty.
        """
        self.document = document
        document.add_root(self._root)
        document.add_periodic_callback(self._news, _NEWS)

    def _make_mappers(self, overview: Window) -> None:
        """Make the two scales of colours."""
        low, high = choose(overview.values)
        options: dict[str, Any] = {
            "palette": PALETTES["inferno"],
            "low": low,
            "high": high,
            "nan_color": MISSING,
        }
        self.log = models.LogColorMapper(**options, name="log")
        self.linear = models.LinearColorMapper(**options, name="linear")

    def _make_figure(self, overview: Window) -> None:
        """Make the plot: axes, tools, both images, colour bar."""
        slow, fast = self.scene.shape
        self.plot = models.Plot(
            x_range=models.Range1d(-0.5, fast - 0.5),
            # Rows run downwards, as in every picture of a detector.
            y_range=models.Range1d(slow - 0.5, -0.5),
            sizing_mode="stretch_both",
            # Room for the longest numbers, so that zooming does not change the frame.
            min_border_left=80,
            min_border_bottom=50,
            background_fill_color="#404040",
            lod_threshold=None,
            output_backend="canvas",
            name="plot",
        )
        for name, side in (("fast", "below"), ("slow", "left")):
            label = f"{name} [pixels]"
            axis = models.LinearAxis(axis_label=label, axis_label_text_font_style="normal")
            self.plot.add_layout(axis, side)
        wheel = models.WheelZoomTool()
        box = models.BoxZoomTool(match_aspect=True)
        self.plot.toolbar = models.Toolbar(
            tools=[models.PanTool(), wheel, box, models.ResetTool()], active_scroll=wheel, logo=None
        )
        self.base = models.ColumnDataSource(_columns(overview), name="base")
        # Empty until the browser has reported the size of the frame.
        self.detail = models.ColumnDataSource(
            {name: [] for name in _columns(overview)}, name="detail"
        )
        self.images = [
            self.plot.add_glyph(
                source,
                models.Image(image="image", x="x", y="y", dw="dw", dh="dh", color_mapper=self.log),
            )
            for source in (self.base, self.detail)
        ]
        self.bar = models.ColorBar(
            color_mapper=self.log,
            title=f"{self.scene.levels.reader.unit} per pixel",
            title_text_font_style="normal",
            width=12,
        )
        self.plot.add_layout(self.bar, "right")
        self._make_marks()
        self._make_rings()
        # Not the event of ranges: it comes half a second after the last turn of the wheel.
        for axis in (self.plot.x_range, self.plot.y_range):
            for end in ("start", "end"):
                axis.on_change(end, self._moved)
        self.plot.on_event(events.MouseMove, self._hovered)
        for side in ("inner_width", "inner_height"):
            self.plot.on_change(side, self._resized)

    def _make_marks(self) -> None:
        """Cross out damaged tiles."""
        self.marks = models.ColumnDataSource(self._marked(), name="damaged")
        self.plot.add_glyph(
            self.marks,
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

    def _marked(self) -> dict[str, list[float]]:
        """Return the edges of damaged tiles."""
        tiles = [self.scene.levels.grid[index] for index in self.scene.damage.tiles]
        return {
            "left": [tile.fast0 - 0.5 for tile in tiles],
            "right": [tile.fast1 - 0.5 for tile in tiles],
            "top": [tile.slow0 - 0.5 for tile in tiles],
            "bottom": [tile.slow1 - 0.5 for tile in tiles],
        }

    def _make_rings(self) -> None:
        """Make lines, names and beam centre, not shown yet."""
        self.lines = models.ColumnDataSource({"xs": [], "ys": []}, name="rings")
        self.names = models.ColumnDataSource({"x": [], "y": [], "text": []})
        slow, fast = self.scene.geometry.beam_centre
        centre = models.ColumnDataSource({"x": [fast], "y": [slow]})
        shapes = (
            (self.lines, models.MultiLine(xs="xs", ys="ys", line_color=RINGS, line_dash="dashed")),
            (
                self.names,
                models.Text(
                    x="x",
                    y="y",
                    text="text",
                    text_color=RINGS,
                    text_font_size="13px",
                    text_align="center",
                    text_baseline="middle",
                    padding=3,
                    background_fill_color="black",
                    background_fill_alpha=0.75,
                    border_radius=3,
                ),
            ),
            (centre, models.Scatter(marker="cross", size=16, line_color=RINGS)),
        )
        self.rings = [self.plot.add_glyph(*shape, visible=False) for shape in shapes]

    def _make_controls(self) -> None:
        """Make what is next to the plot."""
        low, high = math.log10(self.log.low), math.log10(self.log.high)
        self.status = models.Div(text=progress_text(self.scene), name="status")
        self.pointer = models.Div(
            text="move the pointer over the image", min_height=95, name="pointer"
        )
        self.provenance = models.Div(
            text=provenance_text(self.scene.levels.reader.attributes), width=_PANEL - 20
        )
        self.contrast = models.RangeSlider(
            title=f"contrast [log10 {self.scene.levels.reader.unit}]",
            start=high - _DECADES,
            end=high + 2.0,
            step=0.05,
            value=(low, high),
            name="contrast",
        )
        # In the browser itself: colours follow the slider without asking the server.
        self.contrast.js_on_change(
            "value",
            models.CustomJS(
                args={"mappers": [self.log, self.linear]},
                code="""const [low, high] = cb_obj.value
for (const mapper of mappers) mapper.setv({low: 10 ** low, high: 10 ** Math.max(high, low + 0.05)})
""",
            ),
        )
        self.scale = models.RadioButtonGroup(
            labels=["logarithmic", "linear"], active=0, name="scale"
        )
        self.scale.on_change("active", self._scaled)
        self.colours = models.Select(title="colours", options=list(PALETTES), value="inferno")
        self.colours.on_change("value", self._coloured)
        self.choice = models.Select(title="when zoomed out, show", options=_KINDS, value=self.kind)
        self.choice.on_change("value", self._chosen)
        self.switch = models.CheckboxGroup(labels=["resolution rings, beam centre"], active=[])
        self.switch.on_change("active", self._switched)
        self._controls = [self.contrast, self.scale, self.colours, self.choice, self.switch]

    # User events.

    def _moved(self, name: str, old: object, new: object) -> None:
        """Read the visible part, once all four ends of the axes are known."""
        if not self._moving:
            self._moving = True
            self.document.add_next_tick_callback(self._arrived)

    def _arrived(self) -> None:
        """Read what is visible by now."""
        self._moving = False
        self._again()

    def _resized(self, name: str, old: object, new: int) -> None:
        """Give both axes one scale: at first for the whole image, then that of the visible part."""
        self._sides[name] = new
        if len(self._sides) < 2:
            return
        width, height = self._frame()
        x, y = self.plot.x_range, self.plot.y_range
        slow, fast = self.scene.shape
        whole = max(fast / width, slow / height)
        middles = ((fast - 1) / 2, (slow - 1) / 2)
        for axis, middle, half in zip(
            (x, y), middles, (whole * width / 2, -whole * height / 2), strict=True
        ):
            axis.update(reset_start=middle - half, reset_end=middle + half)
        if not self._fitted:
            self._fitted = True
            for axis in (x, y):
                axis.update(start=axis.reset_start, end=axis.reset_end)
        else:
            # The numbers along the axis below change the width as one zooms, never the height.
            middle = (x.start + x.end) / 2
            half = abs(y.end - y.start) / height * width / 2
            x.update(start=middle - half, end=middle + half)
        self._again()

    def _hovered(self, event: Any) -> None:
        """Note where the pointer is, and tell what is there."""
        if event.x is None or event.y is None:
            return
        self._pointer = (float(event.y), float(event.x))
        self._tell()

    def _scaled(self, name: str, old: object, new: int) -> None:
        """Change between logarithmic and linear colours."""
        mapper = (self.log, self.linear)[new]
        for image in self.images:
            image.glyph.color_mapper = mapper
        self.bar.color_mapper = mapper

    def _coloured(self, name: str, old: object, new: str) -> None:
        """Change the colours."""
        for mapper in (self.log, self.linear):
            mapper.palette = list(PALETTES[new])

    def _chosen(self, name: str, old: object, new: str) -> None:
        """Change between brightest pixel and mean."""
        self.kind = new
        self.base.data = _columns(self.scene.overview(new))
        self._again()

    def _switched(self, name: str, old: object, new: list[int]) -> None:
        """Show or hide the rings."""
        for glyph in self.rings:
            glyph.visible = bool(new)
        self._again()

    def _news(self) -> None:
        """Show what was computed or read meanwhile."""
        version = self.scene.progress.version
        if version == self._version:
            return
        self._version = version
        self.base.data = _columns(self.scene.overview(self.kind))
        self.status.text = progress_text(self.scene)
        self.marks.data = self._marked()
        self.provenance.text = provenance_text(self.scene.levels.reader.attributes)
        self._again()

    # Reading, in the other thread.

    def _frame(self) -> tuple[int, int]:
        """Return width and height of the frame [pixels of the screen]."""
        return self._sides.get("inner_width", _FRAME), self._sides.get("inner_height", _FRAME)

    def _again(self) -> None:
        """Read what is in sight now, or after what is being read."""
        x, y = self.plot.x_range, self.plot.y_range
        self._wanted = (x.start, x.end, y.start, y.end)
        if not self._busy:
            self._read()

    def _read(self) -> None:
        """Begin to read the part that was wished for last."""
        wanted, self._wanted = self._wanted, None
        assert wanted is not None
        region = self._in_sight(wanted)
        if region is None:
            return
        width, height = self._frame()
        across = max(abs(wanted[1] - wanted[0]) / width, abs(wanted[3] - wanted[2]) / height)
        # Between 0.6 and 1.2 pixels of the level for each of the screen.
        factor = 2 ** max(0, round(math.log2(max(across, 1e-9)) + 0.25))
        self._busy = True
        rings = self.rings[0].visible
        self._away(partial(self._work, region, factor, rings), self._shown)

    def _in_sight(self, wanted: tuple[float, float, float, float]) -> Tile | None:
        """Return the visible pixels of the image, or None."""
        x0, x1 = sorted(wanted[:2])
        y0, y1 = sorted(wanted[2:])
        slow, fast = self.scene.shape
        part = Tile(
            math.floor(y0 + 0.5), math.ceil(y1 + 0.5), math.floor(x0 + 0.5), math.ceil(x1 + 0.5)
        )
        return part.intersect(Tile(0, slow, 0, fast))

    def _work(self, region: Tile, factor: int, rings: bool) -> tuple[Window, list[Any]]:
        """Return the visible part, and resolution, lines and label position of each ring."""
        window = self.scene.window(self.kind, region, factor)
        if not rings:
            return window, []
        geometry = self.scene.geometry
        lines = {d: geometry.ring(d, region) for d in geometry.rings(region)}
        found = [(d, some) for d, some in lines.items() if some]
        size = (_NAME[0] * factor, _NAME[1] * factor)
        contrast = choose(window.values)
        points = label_positions(
            [some for _, some in found], window.values, window.region, contrast, size
        )
        return window, [(*one, at) for one, at in zip(found, points, strict=True)]

    def _shown(self, result: tuple[Window, list[Any]]) -> None:
        """Show what was read."""
        window, rings = result
        self.detail.data = _columns(window)
        if rings:
            lines = [line for _, found, _ in rings for line in found]
            self.lines.data = {
                "xs": [line[:, 1] for line in lines],
                "ys": [line[:, 0] for line in lines],
            }
            self.names.data = {
                "x": [float(at[1]) for _, _, at in rings],
                "y": [float(at[0]) for _, _, at in rings],
                "text": [f"{d * 1e10:.3g} Å" for d, _, _ in rings],
            }

    def _tell(self) -> None:
        """Begin to find out what is under the pointer, unless that is under way."""
        if self._pointer_busy or self._pointer is None:
            return
        slow, fast = self._pointer
        self._pointer, self._pointer_busy = None, True
        self._away(partial(pointer_text, self.scene, slow, fast), self._told)

    def _told(self, text: str) -> None:
        """Show what is under the pointer."""
        self.pointer.text = text

    def _away(self, work: Callable[[], Any], use: Callable[[Any], None]) -> None:
        """Do work in the other thread, and use its result in this tab's turn."""
        self.pool.submit(work).add_done_callback(
            lambda future: self.document.add_next_tick_callback(partial(self._back, future, use))
        )

    def _back(self, future: Future[Any], use: Callable[[Any], None]) -> None:
        """Use the result of the other thread, or show its error; go on with later wishes."""
        error = future.exception()
        if error is None:
            use(future.result())
        else:
            self.status.text = progress_text(self.scene, str(error))
        if use == self._told:
            self._pointer_busy = False
            self._tell()
        else:
            self._busy = False
            if self._wanted is not None:
                self._read()


def _columns(window: Window) -> dict[str, list[Any]]:
    """Return a window as Bokeh takes it; a whole number is the centre of a pixel."""
    region = window.region
    return {
        "image": [window.values],
        "x": [region.fast0 - 0.5],
        "y": [region.slow0 - 0.5],
        "dw": [region.shape[1]],
        "dh": [region.shape[0]],
        "factor": [window.factor],
    }

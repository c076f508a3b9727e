"""The viewer's page: the image with its controls, as a Bokeh document of one browser tab."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import bokeh.events
import bokeh.models
from bokeh.document import Document

from nbdask.plan.tiles import Tile
from nbdask.view.asking import Asking
from nbdask.view.choosing import StoreControls
from nbdask.view.columns import columns, marked
from nbdask.view.contrasts import Contrasts
from nbdask.view.finding import Finding
from nbdask.view.keys import FIT
from nbdask.view.labels import label_positions
from nbdask.view.marks import Marks
from nbdask.view.rivals import DIFFERENCE, Stores, combined
from nbdask.view.scene import Scene, Window
from nbdask.view.scenes import Scenes
from nbdask.view.shots import ShotControls
from nbdask.view.sight import Ends, factor_of, region_of
from nbdask.view.texts import (
    keys_text,
    pointer_text,
    progress_text,
    provenance_text,
    title_text,
    values_text,
)

#: Bokeh's type hints do not cover what its models accept.
events: Any = bokeh.events
models: Any = bokeh.models

_KINDS = [("max", "brightest pixel (spots stay)"), ("mean", "mean (photons per pixel)")]
#: Frame before the browser reports its size [pixels]; pause between looks for changes [ms].
_FRAME, _NEWS = 800, 500
_PANEL = 340
#: Height and width of the name of a ring [pixels of the screen].
_NAME = (24, 64)
#: On narrow pages the controls are below the image.
_NARROW = """
:host { overflow: hidden; }
@media (max-width: 900px) { :host { flex-direction: column; overflow-y: auto; } }
"""
_PLOT_NARROW = "@media (max-width: 900px) { :host { flex: none; height: 62vh; width: 100%; } }"
_ENDED = """
status.text = "<b style='color:#c00000'>the viewer has ended: start nbdask view again</b>"
"""
_SIDE = """
:host { overflow-y: auto; max-height: 100%; box-sizing: border-box; flex: none; }
@media (max-width: 900px) { :host { overflow: visible; max-height: none; margin-left: 20px; } }
"""


class Page:
    """One tab: its models, and what happens when the user moves or zooms.

    Images are read in another thread; while one is read, only the latest request is kept.

    Parameters
    ----------
    stores : Stores
    pool : ThreadPoolExecutor
        Of one thread, shared by all tabs.
    shot : int
        Of a series, the one that is shown first.

    Attributes
    ----------
    document : Document
        That of the tab, once :meth:`show` was called.
    scene : Scene
        What is shown.
    plot : bokeh.models.Plot
    kind : str
        ``"max"`` or ``"mean"``.
    """

    document: Document

    def __init__(self, stores: Stores, pool: ThreadPoolExecutor, shot: int = 0) -> None:
        self.stores, self.pool = stores, pool
        self.scenes = stores.all[0]
        self.scene = scene = self.scenes.at(shot)
        #: Beside it, and how: of several stores.
        self._other: Scene | None = None
        self._image_wanted: tuple[int, int] | None = None
        self._image_busy = False
        self.kind = _KINDS[0][0]
        self._wanted: Ends | None = None
        self._sides: dict[str, int] = {}
        self._moving = False
        self._busy = False
        self._pointer: tuple[float, float] | None = None
        self._pointer_busy = False
        self._version = scene.progress.version
        overview = scene.overview(self.kind)
        unit = scene.levels.reader.unit
        self.contrasts = Contrasts(overview, unit, _PANEL - 40, self._recoloured)
        self._make_figure(overview)
        self.marks = Marks(self.plot, scene)
        self.found = Finding(_PANEL - 40)
        self.asking = Asking(self, self.found, self.marks)
        self._make_controls()
        self._shots: ShotControls | None = None
        first = [self.title, self.status, *self.choices.all]
        if self.scenes.count > 1:
            busy = partial(getattr, self, "_image_busy")
            self._shots = ShotControls(self.scenes.count, shot, self._go, busy)
            first += [*self._shots.all, self.values]
        shown = [*first, self.pointer, *self._controls, *self.found.all, self.provenance, self.keys]
        side = models.Column(children=shown, width=_PANEL, stylesheets=[_SIDE], name="panel")
        self._root = models.Row(
            children=[self.plot, side], sizing_mode="stretch_both", stylesheets=[_NARROW]
        )

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
        ended = models.CustomJS(args={"status": self.status}, code=_ENDED)
        document.js_on_event("connection_lost", ended)
        if self._shots is not None:
            self._shots.join(document)

    def _make_figure(self, overview: Window) -> None:
        """Make the plot: axes, tools, both images, colour bar."""
        slow, fast = self.scene.shape
        self.plot = models.Plot(
            x_range=models.Range1d(-0.5, fast - 0.5),
            # Rows run downwards, as in every picture of a detector.
            y_range=models.Range1d(slow - 0.5, -0.5),
            sizing_mode="stretch_both",
            min_border_left=80,  # Room for the longest numbers: the frame stays as it is.
            min_border_bottom=50,
            background_fill_color="#404040",
            lod_threshold=None,
            output_backend="canvas",
            stylesheets=[_PLOT_NARROW],
            name="plot",
        )
        for name, side in (("fast", "below"), ("slow", "left")):
            label = f"{name} [pixels]"
            axis = models.LinearAxis(axis_label=label, axis_label_text_font_style="normal")
            self.plot.add_layout(axis, side)
        wheel = models.WheelZoomTool()
        box = models.BoxZoomTool(match_aspect=True)
        region = models.BoxSelectTool(description="statistics of a region")
        save = models.SaveTool(filename=Path(self.stores.names[0]).stem)
        self.plot.toolbar = models.Toolbar(
            tools=[models.PanTool(), wheel, box, region, save, models.ResetTool()],
            active_scroll=wheel,
            logo=None,
        )
        self.base = models.ColumnDataSource(columns(overview), name="base")
        # Empty until the browser has reported the size of the frame.
        self.detail = models.ColumnDataSource(
            {name: [] for name in columns(overview)}, name="detail"
        )
        mapper = self.contrasts.draw(self.plot, (self.base, self.detail))
        self.bar = models.ColorBar(
            color_mapper=mapper,
            title=f"{self.scene.levels.reader.unit} per pixel",
            title_text_font_style="normal",
            width=12,
        )
        self.plot.add_layout(self.bar, "right")
        # Not the event of ranges: it comes half a second after the last turn of the wheel.
        for axis in (self.plot.x_range, self.plot.y_range):
            for end in ("start", "end"):
                axis.on_change(end, self._moved)
        self.plot.on_event(events.MouseMove, self._hovered)
        fit = models.CustomJS(args={"plot": self.plot, "fast": fast, "slow": slow}, code=FIT)
        for side in ("inner_width", "inner_height"):
            self.plot.js_on_change(side, fit)
            self.plot.on_change(side, self._resized)

    def _make_controls(self) -> None:
        """Make what is next to the plot."""
        self.title = models.Div(text=title_text(self.scene, self.stores.names[0]), name="title")
        self.status = models.Div(text=progress_text(self.scene), name="status")
        self.values = models.Div(text=values_text(self.scenes.series, self.scene.shot or 0))
        self.pointer = models.Div(
            text="move the pointer over the image", min_height=95, name="pointer"
        )
        self.provenance = models.Div(
            text=provenance_text(self.scene.levels.reader.attributes), width=_PANEL - 40
        )
        self.choice = models.Select(
            title="when zoomed out, show", options=_KINDS, value=self.kind, name="kind"
        )
        self.choice.on_change("value", self._chosen)
        self.switch = models.CheckboxGroup(
            labels=["resolution rings, beam centre"], active=[], name="switch"
        )
        self.switch.on_change("active", self._switched)
        self._controls = [*self.contrasts.all, self.choice, self.switch]
        self.choices = StoreControls(self.stores.names, _PANEL - 40, lambda: self._go(self._shot))
        self.keys = models.Div(text=keys_text(), width=_PANEL - 40)

    @property
    def _shot(self) -> int:
        """The shot that is chosen."""
        return 0 if self._shots is None else int(self._shots.slider.value)

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
        """Read what is in sight of the frame's new size, to which the browser has set the axes."""
        self._sides[name] = new
        if len(self._sides) == 2:
            self._moved(name, old, new)

    def _hovered(self, event: Any) -> None:
        """Note where the pointer is, and tell what is there."""
        if event.x is None or event.y is None:
            return
        self._pointer = (float(event.y), float(event.x))
        self._tell()

    def _recoloured(self) -> None:
        """Use the scale of colours that is chosen."""
        self.bar.color_mapper = self.contrasts.draw(self.plot, (self.base, self.detail))

    def _chosen(self, name: str, old: object, new: str) -> None:
        """Change between brightest pixel and mean."""
        self.kind = new
        self._renew()
        self._again()

    def _switched(self, name: str, old: object, new: list[int]) -> None:
        """Show or hide the rings."""
        for glyph in self.marks.rings:
            glyph.visible = bool(new)
        self._again()

    def _news(self) -> None:
        """Show what was computed or read meanwhile."""
        version = self._news_of()
        if version == self._version:
            return
        self._version = version
        self._renew()
        self._again()

    def _news_of(self) -> int:
        """Return a number that increases when there is something new."""
        other = 0 if self._other is None else self._other.progress.version
        return self.scene.progress.version + other

    def _renew(self) -> None:
        """Show the scene as it is: image, damaged tiles, texts."""
        overview = self.scene.overview(self.kind)
        if self._other is not None:
            overview = self._combined(overview, self._other.overview(self.kind))
        self.base.data = columns(overview)
        names, beside = self.stores.names, self.choices.beside
        other = None if self._other is None or beside is None else names[beside]
        sign = "\N{MINUS SIGN}" if self.choices.mode == DIFFERENCE else "|"
        self.title.text = title_text(self.scene, names[self.choices.shown], other, sign)
        self.status.text = progress_text(self.scene)
        self.marks.damaged.data = marked(self.scene)
        self.provenance.text = provenance_text(self.scene.levels.reader.attributes)

    # Another shot, or another store.

    def _go(self, shot: int) -> None:
        """Read a shot of the chosen store now, or after what is being read."""
        self._image_wanted = (self.choices.shown, shot)
        if not self._image_busy:
            self._open()

    def _open(self) -> None:
        """Begin to read the image that was wished for last."""
        assert self._image_wanted is not None
        (store, shot), self._image_wanted = self._image_wanted, None
        self._image_busy = True
        scenes = self.stores.all[store]
        beside = self.choices.beside
        other = None if beside is None else self.stores.all[beside]
        self.away(partial(self._read_image, scenes, other, shot), self._changed, self._opened)

    def _read_image(
        self, scenes: Scenes, other: Scenes | None, shot: int
    ) -> tuple[Scenes, Scene, Scene | None]:
        """Return a shot, and that of another store."""
        found = [None if x is None else x.at(shot) for x in (scenes, other)]
        for scene in found:
            if scene is not None:
                scene.overview(self.kind)
        assert found[0] is not None
        return scenes, found[0], found[1]

    def _changed(self, result: tuple[Scenes, Scene, Scene | None]) -> None:
        """Show another image, in the part, colours and contrast that there were."""
        self.scenes, self.scene, self._other = result
        self._version = self._news_of()
        self.marks.move_beam(self.scene)
        self.values.text = values_text(self.scenes.series, self.scene.shot or 0)
        self.asking.forget()
        self._renew()

    def _opened(self) -> None:
        """Go on with what was wished for meanwhile."""
        self._image_busy = False
        if self._image_wanted is not None:
            self._open()
        else:
            self._again()

    # Reading, in the other thread.

    def _frame(self) -> tuple[int, int]:
        """Return width and height of the frame [pixels of the screen]."""
        return self._sides.get("inner_width", _FRAME), self._sides.get("inner_height", _FRAME)

    def _again(self) -> None:
        """Read what is in sight now, or after what is being read."""
        self._wanted = self._ends()
        if not (self._busy or self._image_busy):
            self._read()

    def _ends(self) -> Ends:
        x, y = self.plot.x_range, self.plot.y_range
        return (x.start, x.end, y.start, y.end)

    def _read(self) -> None:
        """Begin to read the part that was wished for last."""
        wanted, self._wanted = self._wanted, None
        assert wanted is not None
        region = region_of(wanted, self.scene.shape)
        if region is None:
            return
        self._busy = True
        rings = self.marks.rings[0].visible
        self.away(
            partial(self._work, region, factor_of(wanted, self._frame()), rings),
            self._shown,
            self._done,
        )

    def _done(self) -> None:
        """Go on with what was wished for meanwhile."""
        self._busy = False
        if self._wanted is not None and not self._image_busy:
            self._read()

    def in_sight(self) -> tuple[Tile, int] | None:
        """Return the visible pixels, and how many are combined along each side; None: none."""
        ends = self._ends()
        region = region_of(ends, self.scene.shape)
        return None if region is None else (region, factor_of(ends, self._frame()))

    def look_at(self, slow: float, fast: float, height: float) -> None:
        """Show the part around a pixel."""
        width, frame = self._frame()
        half = height / 2
        self.plot.y_range.update(start=slow + half, end=slow - half)
        half *= width / frame
        self.plot.x_range.update(start=fast - half, end=fast + half)

    def seen(self, region: Tile, factor: int) -> Window:
        """Return a part as it is shown."""
        scene, other = self.scene, self._other
        window = scene.window(self.kind, region, factor)
        if other is None:
            return window
        return self._combined(window, other.window(self.kind, region, factor))

    def _combined(self, window: Window, other: Window) -> Window:
        middle = (self.plot.x_range.start + self.plot.x_range.end) / 2
        return combined(self.choices.mode, window, other, middle)

    def _work(self, region: Tile, factor: int, rings: bool) -> tuple[Window, list[Any]]:
        """Return the visible part, and resolution, lines and label position of each ring."""
        window = self.seen(region, factor)
        if not rings:
            return window, []
        geometry = self.scene.geometry
        lines = {d: geometry.ring(d, region) for d in geometry.rings(region)}
        found = [(d, some) for d, some in lines.items() if some]
        size = (_NAME[0] * factor, _NAME[1] * factor)
        contrast = window.contrast
        points = label_positions(
            [some for _, some in found], window.values, window.region, contrast, size
        )
        return window, [(*one, at) for one, at in zip(found, points, strict=True)]

    def _shown(self, result: tuple[Window, list[Any]]) -> None:
        """Show what was read."""
        window, rings = result
        self.detail.data = columns(window)
        self.marks.show_scale(*self._ends(), self.scene.pitch)
        if rings:
            self.marks.show_rings(rings)
        difference = self._other is not None and self.choices.mode == DIFFERENCE
        self.contrasts.see(window, difference)
        self.asking.draw_profile()

    def _tell(self) -> None:
        """Begin to find out what is under the pointer, unless that is under way."""
        if self._pointer_busy or self._pointer is None:
            return
        slow, fast = self._pointer
        self._pointer, self._pointer_busy = None, True
        work = partial(pointer_text, self.scene, slow, fast, self._other)
        self.away(work, partial(setattr, self.pointer, "text"), self._told)

    def _told(self) -> None:
        """Tell where the pointer is by now."""
        self._pointer_busy = False
        self._tell()

    def away(
        self,
        work: Callable[[], Any],
        use: Callable[[Any], None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Do work in the other thread; use its result in this tab's turn, and go on.

        Parameters
        ----------
        work : callable
        use : callable
            Not called if the work fails, which is shown.
        then : callable
            Called in any case.
        """
        self.pool.submit(work).add_done_callback(
            lambda future: self.document.add_next_tick_callback(
                partial(self._back, future, use, then)
            )
        )

    def _back(
        self, future: Future[Any], use: Callable[[Any], None], then: Callable[[], None]
    ) -> None:
        """Use the result of the other thread, or show its error."""
        error = future.exception()
        if error is None:
            use(future.result())
        else:
            self.status.text = progress_text(self.scene, str(error))
        then()

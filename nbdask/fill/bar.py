"""A bar in notebooks and on terminals, for programs that call nbdask; drawn by tqdm."""

from __future__ import annotations

import sys
import warnings
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from nbdask.cluster.news import Crew, News
from nbdask.fill.listen import Listener, Start
from nbdask.graph.tasks import TileResult


def is_wanted() -> bool:
    """Return whether somebody would see a bar, and what draws it is there."""
    if find_spec("tqdm") is None:
        return _in_notebook()
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Drawn:
    """A bar of plain HTML, drawn by IPython alone; as much of tqdm's as is used here."""

    def __init__(self, total: int, initial: int) -> None:
        self.total, self.n, self._text = total, initial, ""
        display = import_module("IPython.display")
        self._html = display.HTML
        self._handle = display.display(self._html(self._page()), display_id=True)

    def _page(self) -> str:
        return (
            f'<progress value="{self.n}" max="{self.total}" style="width:20em"></progress>'
            f" nbdask: {self.n} of {self.total} tiles {escape(self._text)}"
        )

    def update(self, more: int) -> None:
        """Count tiles."""
        self.n += more
        self._handle.update(self._html(self._page()))

    def set_postfix_str(self, text: str) -> None:
        """Say something behind the numbers."""
        self._text = text
        self.update(0)

    def close(self) -> None:
        """Let it stand."""


class Bar(Listener):
    """Draws the tiles done, with how many workers there are."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._crew = ""

    def begin(self, start: Start) -> None:
        """Draw it, unless all is there."""
        if start.done == start.tiles:
            return
        if find_spec("tqdm") is None:
            self._bar = _Drawn(start.tiles, start.done)
            return
        with warnings.catch_warnings():
            # Without widgets it is drawn as text, which is as well.
            warnings.simplefilter("ignore")
            tqdm = import_module("tqdm.auto").tqdm
            self._bar = tqdm(
                total=start.tiles,
                initial=start.done,
                unit="tile",
                desc="nbdask",
                file=sys.stderr,
            )

    def tile(self, result: TileResult, done: int) -> None:
        """Count a tile."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def news(self, news: News) -> None:
        """Show how many workers there are, where that changed."""
        if news.event == "crew" and self._bar is not None:
            text = Crew(**news.facts).brief()
            if text != self._crew:
                self._crew = text
                self._bar.set_postfix_str(text)

    def end(self, complete: bool) -> None:
        """Let it stand."""
        if self._bar is not None:
            self._bar.close()

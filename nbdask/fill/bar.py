"""A bar in notebooks and on terminals, for programs that call nbdask; drawn by tqdm."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from nbdask.cluster.news import Crew, News
from nbdask.fill.listen import Listener, Start
from nbdask.graph.tasks import TileResult


def is_wanted() -> bool:
    """Return whether somebody would see a bar, and tqdm is there to draw it."""
    if find_spec("tqdm") is None:
        return False
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class Bar(Listener):
    """Draws the tiles done, with how many workers there are."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._crew = ""

    def begin(self, start: Start) -> None:
        """Draw it, unless all is there."""
        if start.done == start.tiles:
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

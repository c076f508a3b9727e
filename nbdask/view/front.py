"""The first page for the browser: the whole image as a plain picture, then BokehJS.

Neither needs Bokeh in Python, whose import takes longer than all else that the viewer does before
it can answer; so both are in the browser while it is imported.  The last script waits for it.
"""

from __future__ import annotations

import asyncio
import html
import io
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import (
    Application,
    ErrorHandler,
    OutputTransform,
    RequestHandler,
    StaticFileHandler,
)

from nbdask.html import data_uri
from nbdask.view.keys import SCRIPT
from nbdask.view.scene import Window

#: Inferno at equal steps (matplotlib, CC0), which need not be imported then, and the colour of what
#: is not computed yet.
_INFERNO = (
    "000003 050418 10092f 200c4a 32095d 450a69 570f6d 66156e 781c6d 892269 992864 ab2e5d bb3754"
    " c93f4a d74b3e e35832 ed6825 f47a16 f98c09 fba007 fbb318 f8c931 f3de52 f1f079 fcfea4"
)
_GREY = (128, 128, 128)
#: What this machine may be called in an address.
_NAMES = ("127.0.0.1", "localhost", "[::1]")
#: Scripts of BokehJS that the page needs; those for tables, formulas and WebGL are half of all.
SCRIPTS = ("bokeh.min.js", "bokeh-widgets.min.js")
#: Seconds by which the last script waits, so that making the session does not hold up the others.
#: The browser is still reading them by then.
_AFTER = 0.15
#: Element that Bokeh fills.
_ELEMENT = "page"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
html, body {{ height: 100%; margin: 0; }}
#first {{ position: absolute; left: 80px; top: 5px; width: calc(100% - 520px);
  height: calc(100% - 55px); object-fit: contain; }}
@media (max-width: 900px) {{
  #first {{ width: calc(100% - 160px); height: calc(62vh - 55px); }}
}}
#page {{ position: absolute; inset: 0; }}
</style>
</head>
<body>
<img id="first" elementtiming="first" alt="the whole image" src="{picture}">
<div id="{element}"></div>
{scripts}
</body>
</html>
"""


class Front(Application):
    """The page itself, its scripts, and Bokeh's server once there is one.

    Parameters
    ----------
    word : str
        First part of all paths.
    title : str
    overview : Window
        The whole image, reduced.
    scripts : Path
        Folder of BokehJS.
    """

    def __init__(self, word: str, title: str, overview: Window, scripts: Path) -> None:
        self._word, self._title = word, title
        self.page = _page(word, title, overview)
        self.shots = 0
        self._overview_at: Callable[[int], Window] = lambda _: overview
        self.target = f"/{word}/app"
        self._ready = asyncio.Event()
        super().__init__(
            [
                (rf"/{word}", _First),
                (rf"/{word}/start.js", _Start),
                (rf"/js/({'|'.join(SCRIPTS)})", StaticFileHandler, {"path": str(scripts)}),
            ]
        )

    def show_shots(self, count: int, overview_at: Callable[[int], Window]) -> None:
        """Let addresses name a shot of a series.

        Parameters
        ----------
        count : int
        overview_at : callable
            Returns the whole image of a shot, reduced.
        """
        self.shots, self._overview_at = count, overview_at
        self.page = self.page_of(0)

    def page_of(self, shot: int) -> str:
        """Return the page of a shot."""
        return _page(self._word, self._title, self._overview_at(shot), shot)

    def join(self, server: Application) -> None:
        """Let Bokeh's server, which answers below ``target``, take part."""
        server.transforms.append(_SameOrigin)
        self.add_handlers(r".*", [(rf"{self.target}/.*", server)])
        self._ready.set()

    async def joined(self) -> None:
        """Wait until :meth:`join` was called."""
        await self._ready.wait()

    def find_handler(self, request: HTTPServerRequest, **keywords: Any) -> Any:
        """Answer only who calls this machine by its own names.

        A page of elsewhere could let its own name mean this machine, and would then be of the same
        origin as ours.
        """
        if request.host_name not in _NAMES:
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return super().find_handler(request, **keywords)


class _SameOrigin(OutputTransform):
    """Takes back that Bokeh lets pages of any origin read its answers."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Leave out the headers that say so."""
        for name in [name for name in headers if name.startswith("Access-Control-")]:
            del headers[name]
        return status_code, headers, chunk


class _First(RequestHandler):
    """The page before Bokeh fills it."""

    def get(self) -> None:
        """Answer at once."""
        front = self.application
        assert isinstance(front, Front)
        self.set_header("Cache-Control", "no-store")
        word = self.get_query_argument("shot", None)
        if word is None or not front.shots:
            self.write(front.page)
        elif word.isascii() and word.isdigit() and int(word) < front.shots:
            self.write(front.page_of(int(word)))
        else:
            self.set_status(404)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"?shot={word}: must be a whole number from 0 to {front.shots - 1}\n")


class _Start(RequestHandler):
    """The script that lets Bokeh fill the page."""

    async def get(self) -> None:
        """Lead on to that of a fresh session, once there can be one."""
        front = self.application
        assert isinstance(front, Front)
        await front.joined()
        await asyncio.sleep(_AFTER)
        wanted = {
            "bokeh-autoload-element": _ELEMENT,
            "bokeh-app-path": front.target,
            "bokeh-absolute-url": f"http://{self.request.host}{front.target}",
            "resources": "none",
        }
        shot = self.get_query_argument("shot", "0")
        if front.shots and shot.isascii() and shot.isdigit() and int(shot) < front.shots:
            wanted["shot"] = shot
        self.redirect(f"{front.target}/autoload.js?{urlencode(wanted)}")


def _page(word: str, title: str, overview: Window, shot: int | None = None) -> str:
    """Return the page: picture, element, scripts."""
    start = f"/{word}/start.js" if shot is None else f"/{word}/start.js?shot={shot}"
    # The same address in every run, so that browsers keep the scripts, compiled.
    files = [f"/js/{name}?v={version('bokeh')}" for name in SCRIPTS] + [start]
    return _PAGE.format(
        title=html.escape(title),
        picture=data_uri(picture(overview)),
        element=_ELEMENT,
        scripts="\n".join(f'<script src="{file}"></script>' for file in files)
        + f"\n<script>{SCRIPT}</script>",
    )


def picture(overview: Window) -> bytes:
    """Return the whole image as PNG, in the colours that the page begins with.

    Parameters
    ----------
    overview : Window
        Pixels beyond the image are NaN, and grey like those not computed yet.
    """
    low, high = overview.contrast
    with np.errstate(divide="ignore", invalid="ignore"):
        position = np.log(overview.values / np.float32(low)) / np.float32(np.log(high / low))
    index = np.clip(np.nan_to_num(position * 255.0, nan=-1.0, neginf=0.0) + 1.0, 1.0, 255.0)
    index[np.isnan(overview.values)] = 0.0
    drawn = Image.fromarray(index.astype(np.uint8))
    drawn.putpalette(_colours().tobytes())
    held = io.BytesIO()
    drawn.save(held, format="PNG", compress_level=1)
    return held.getvalue()


def _colours() -> NDArray[np.uint8]:
    """Return 256 colours: the first for what is missing, then inferno's."""
    known = np.array([list(bytes.fromhex(colour)) for colour in _INFERNO.split()])
    at = np.linspace(0.0, len(known) - 1.0, 255)
    smooth = [np.interp(at, np.arange(len(known)), known[:, channel]) for channel in range(3)]
    return np.concatenate([[_GREY], np.rint(np.stack(smooth, axis=1))]).astype(np.uint8)

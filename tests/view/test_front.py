"""What the viewer's server answers: the page, its picture, its scripts, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("bokeh")

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from nbdask.plan.tiles import Tile
from nbdask.view.front import SCRIPTS, Front, picture
from nbdask.view.scene import Window

WORD = "0123abcd"
Fetch = Callable[..., Awaitable[HTTPResponse]]


def window(values: np.ndarray) -> Window:
    """An overview in which each number is a pixel of the image."""
    array = np.asarray(values, dtype=np.float32)
    return Window(array, Tile(0, array.shape[0], 0, array.shape[1]), 1)


def drawn(values: np.ndarray) -> np.ndarray:
    """The colours of the first picture, as PIL reads them."""
    with Image.open(io.BytesIO(picture(window(values)))) as read:
        assert read.format == "PNG"
        return np.asarray(read.convert("RGB")).astype(int)


@pytest.fixture
def front(tmp_path: Path) -> Front:
    """The page of a small image, with scripts of one line."""
    for name in SCRIPTS:
        (tmp_path / name).write_text(f"// {name}\n")
    (tmp_path / "secret.js").write_text("secret")
    return Front(WORD, "run <7> – nbdask", window(np.eye(5) + 0.1), tmp_path)


def served(front: Application, use: Callable[[Fetch], Awaitable[None]]) -> None:
    """Serve a page on a free port of this machine while it is used."""

    async def run() -> None:
        listening, port = bind_unused_port()
        server = HTTPServer(front)
        server.add_sockets([listening])
        client = AsyncHTTPClient(force_instance=True)

        async def fetch(path: str, **options: object) -> HTTPResponse:
            """Ask for a path; any answer will do."""
            return await client.fetch(
                f"http://127.0.0.1:{port}{path}", raise_error=False, **options
            )

        try:
            await use(fetch)
        finally:
            client.close()
            server.stop()
            await server.close_all_connections()

    asyncio.run(run())


class Page(HTMLParser):
    """Addresses of scripts and pictures, and the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.pictures: list[str] = []
        self.elements: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a tag names."""
        values = dict(attrs)
        if tag == "script":
            self.scripts += [values["src"] or ""] if "src" in values else []
        if tag == "img":
            self.pictures.append(values["src"] or "")
        if "id" in values:
            self.elements.append(values["id"] or "")


def test_page_holds_picture_and_scripts(front: Front) -> None:
    """At once, never from a cache; the title is escaped; the last script starts the session."""

    async def use(fetch: Fetch) -> None:
        answer = await fetch(f"/{WORD}")
        assert answer.code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        text = answer.body.decode()
        assert "<title>run &lt;7&gt; – nbdask</title>" in text
        page = Page(text)
        assert [urlsplit(s).path for s in page.scripts] == [
            *(f"/js/{name}" for name in SCRIPTS),
            f"/{WORD}/start.js",
        ]
        assert page.elements == ["first", "page"]
        (source,) = page.pictures
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as read:
            assert read.size == (5, 5)
        for script in page.scripts[:-1]:
            found = await fetch(script)
            assert found.code == 200
            assert found.body.decode() == f"// {Path(urlsplit(script).path).name}\n"

    served(front, use)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/index.html",
        "/0123abce",
        f"/{WORD}/",
        f"/{WORD}x",
        f"/{WORD}/other.js",
        "/js/secret.js",
        "/js/../secret.js",
        "/js/%2e%2e/secret.js",
        "/js/",
        "/app",
        f"/{WORD}/app/ws",
    ],
)
def test_other_paths_are_not_found(front: Front, path: str) -> None:
    """Neither without the word, nor files beside the scripts, nor Bokeh before it is there."""

    async def use(fetch: Fetch) -> None:
        answer = await fetch(path)
        assert answer.code == 404
        assert b"secret" not in answer.body

    served(front, use)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(front: Front, method: str) -> None:
    """The page is to be read."""

    async def use(fetch: Fetch) -> None:
        body = None if method == "DELETE" else ""
        assert (await fetch(f"/{WORD}", method=method, body=body)).code == 405

    served(front, use)


class Autoload(RequestHandler):
    """Stands where Bokeh's server answers."""

    def get(self) -> None:
        """Say which arguments came."""
        self.write(self.request.uri or "")


def test_the_session_waits_for_bokeh(front: Front) -> None:
    """The start script is answered once the server has joined, with where its session is."""

    async def use(fetch: Fetch) -> None:
        with pytest.raises(HTTPTimeoutError):  # however long it is waited for
            await fetch(f"/{WORD}/start.js", follow_redirects=False, request_timeout=0.5)
        asked = asyncio.ensure_future(fetch(f"/{WORD}/start.js", follow_redirects=False))
        page = await fetch(f"/{WORD}")  # others are served meanwhile
        assert page.code == 200
        assert not asked.done()
        front.join(Application([(rf"/{WORD}/app/autoload.js", Autoload)]))
        answer = await asked
        assert answer.code == 302
        address = urlsplit(answer.headers["Location"])
        assert address.path == f"/{WORD}/app/autoload.js"
        wanted = {key: value[0] for key, value in parse_qs(address.query).items()}
        assert wanted["bokeh-app-path"] == f"/{WORD}/app"
        assert wanted["bokeh-autoload-element"] == "page"
        assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/{WORD}/app", wanted["bokeh-absolute-url"])
        assert wanted["resources"] == "none"
        followed = await fetch(answer.headers["Location"])
        assert followed.body.decode() == answer.headers["Location"]

    served(front, use)


def test_colours_of_the_first_picture() -> None:
    """Brighter pixels are brighter; zeros are the darkest colour; NaN is grey."""
    values = np.array([[0.0, 1.0, 10.0, 100.0, np.nan]])
    found = drawn(values)[0]
    assert found[4].tolist() == [128, 128, 128]
    sums = found[:4].sum(axis=1)
    assert (np.diff(sums[1:]) > 0).all()
    assert sums[0] == sums.min()
    assert sums[0] < 20


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (64, 5)])
def test_shape_of_the_first_picture(shape: tuple[int, int]) -> None:
    """Rows run down, columns to the right."""
    values = np.zeros(shape)
    values[-1, 0] = 5.0
    found = drawn(values)
    assert found.shape == (*shape, 3)
    bright = np.argwhere(found.sum(axis=2) > found.sum(axis=2).min())
    assert bright.tolist() == ([[shape[0] - 1, 0]] if values.size > 1 else [])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0])
def test_pictures_of_images_without_light(value: float) -> None:
    """One colour, no warning."""
    found = drawn(np.full((4, 4), value))
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 1


def test_the_picture_is_small() -> None:
    """One byte for each pixel, and those packed."""
    assert len(picture(window(np.zeros((500, 500))))) < 3000

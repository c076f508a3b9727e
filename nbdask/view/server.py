"""The viewer's server: one store, one page, for this machine alone."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbdask.errors import InputError
from nbdask.store.levels import MAX
from nbdask.view.scene import Scene

if TYPE_CHECKING:
    from bokeh.document import Document

    from nbdask.view.front import Front
    from nbdask.view.page import Page

HOST = "127.0.0.1"
#: Taken when no port is asked for and it is free.
PORT = 5006


def serve(
    path: str | os.PathLike[str],
    *,
    port: int | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show a store in the browser until the process is interrupted.

    Parameters
    ----------
    path : path or str
        The store, or its address; it may be unfinished.
    port : int, optional
        None: 5006, or any that is free.
    ready : callable, optional
        Called in another thread with the page's address once it can be opened.  The address holds
        a random word, so that other users of this machine do not find the page.

    Raises
    ------
    InputError
        The port is taken, or the package bokeh is missing.
    StoreError
        There is no store, or it is damaged.
    """
    found = importlib.util.find_spec("bokeh")
    if found is None or found.origin is None:
        raise InputError(
            "the viewer needs the package bokeh: pip install 'nbdask[view]'; nbdask preview draws"
            " pictures without it"
        )
    scripts = Path(found.origin).parent / "server" / "static" / "js"
    listening = _listen(port)
    try:
        scene = Scene(path)
        asyncio.run(_Server(scene, scripts).run(listening, ready))
    finally:
        listening.close()


class _Server:
    """Serves one store.

    Parameters
    ----------
    scene : Scene
    scripts : Path
        Folder of BokehJS.
    """

    def __init__(self, scene: Scene, scripts: Path) -> None:
        self._scene, self._scripts = scene, scripts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nbdask-page")
        #: Made ahead of the tab that will show it.
        self._spare: Page | None = None
        # Bokeh 3.10 and later fill the documents of new tabs in threads.
        self._taking = threading.Lock()
        self._loop: asyncio.AbstractEventLoop

    async def run(self, listening: socket.socket, ready: Callable[[str], None] | None) -> None:
        """Serve until the process is interrupted.

        Parameters
        ----------
        listening : socket
        ready : callable, optional
            As of :func:`serve`.
        """
        from tornado.httpserver import HTTPServer

        from nbdask.view.front import Front

        word, port = secrets.token_hex(8), int(listening.getsockname()[1])
        scene, loop, end = self._scene, asyncio.get_running_loop(), asyncio.Event()
        self._loop = loop
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        title = f"{Path(str(scene.levels.place.name)).name} – nbdask"
        front = Front(word, title, scene.overview(MAX), self._scripts)
        http = HTTPServer(front)
        http.add_sockets([listening])
        before = {
            name: signal.signal(name, lambda *_: loop.call_soon_threadsafe(end.set))
            for name in (signal.SIGINT, signal.SIGTERM)
        }
        server = None
        try:
            if ready is not None:
                told = loop.run_in_executor(None, ready, f"http://{HOST}:{port}/{word}")
            made = loop.run_in_executor(None, self._import)
            ended = asyncio.ensure_future(end.wait())
            either: set[asyncio.Future[Any]] = {made, ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if made.done():
                made.result()
                server = self._join(front, http, port)
                scene.start()
            await ended
            if ready is not None:
                await told
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
            if server is not None:
                server.stop()
            else:
                http.stop()
            scene.stop()

    def _import(self) -> None:
        """Import Bokeh and make the first page; the first takes it longest."""
        import bokeh.server.server

        from nbdask.view.page import Page

        assert bokeh.server.server
        self._spare = Page(self._scene, self._pool)

    def _join(self, front: Front, http: Any, port: int) -> Any:
        """Let Bokeh's server answer what belongs to it; return it, started."""
        from bokeh.application import Application
        from bokeh.application.handlers.function import FunctionHandler
        from bokeh.server.server import BaseServer
        from bokeh.server.tornado import BokehTornado
        from bokeh.settings import settings
        from tornado.ioloop import IOLoop

        # Of what this program makes itself; it takes as long as making it.
        settings.perform_document_validation = False
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        bokeh: Any = BokehTornado(
            {front.target: Application(FunctionHandler(self._show))},
            use_index=False,
            extra_websocket_origins=[f"{HOST}:{port}", f"localhost:{port}"],
        )
        server = BaseServer(IOLoop.current(), bokeh, http)
        server.start()
        front.join(bokeh)
        return server

    def _show(self, document: Document) -> None:
        """Fill the document of a new tab."""
        with self._taking:
            page, self._spare = self._spare, None
        if page is None:
            from nbdask.view.page import Page

            page = Page(self._scene, self._pool)
        page.show(document)
        # While the browser still reads BokehJS.
        self._loop.call_soon_threadsafe(self._work_ahead, document)

    def _work_ahead(self, document: Document) -> None:
        """Serialize what the tab will ask for in a moment, and make the next tab's page."""
        _serialize(document)
        if self._spare is None:
            from nbdask.view.page import Page

            self._spare = Page(self._scene, self._pool)


def _serialize(document: Any) -> None:
    """Keep the JSON of a document for the one time that it is asked for, unless it changes."""
    kept, changes = document.to_json(), list[Any]()
    document.on_change(changes.append)

    def to_json(**options: Any) -> Any:
        """Return what was kept, once."""
        del document.to_json  # this function: the class's own again
        document.remove_on_change(changes.append)
        return document.to_json(**options) if changes else kept

    document.to_json = to_json


def _listen(asked: int | None) -> socket.socket:
    """Return a socket of this machine alone that browsers can connect to from now on.

    Raises
    ------
    InputError
        The port that was asked for is taken.
    """
    for port in (PORT, 0) if asked is None else (asked,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen(128)
        except OSError:
            listening.close()
            continue
        listening.setblocking(False)
        return listening
    raise InputError(f"--port {asked}: is taken or not allowed; leave it out and one is chosen")

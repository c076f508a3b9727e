"""The viewer's server: one store, one page, for this machine alone."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer

from nbdask.errors import InputError
from nbdask.store.levels import MAX
from nbdask.view.front import Front
from nbdask.view.rivals import Stores

_log = logging.getLogger("nbdask.view")

if TYPE_CHECKING:
    from nbdask.view.tabs import Tabs

HOST = "127.0.0.1"
#: The default port, if it is free.
PORT = 5006


def serve(
    *paths: str | os.PathLike[str],
    port: int | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show a store, or several, in the browser until the process is interrupted.

    Parameters
    ----------
    *paths : path or str
        Stores, or their addresses; they may be unfinished.  Several have equal numbers of pixels.
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
        stores = Stores(paths)
        asyncio.run(_Server(stores, scripts).run(listening, ready))
    finally:
        listening.close()


class _Server:
    """Serves stores.

    Parameters
    ----------
    stores : Stores
    scripts : Path
        Folder of BokehJS.
    """

    def __init__(self, stores: Stores, scripts: Path) -> None:
        self._stores, self._scripts = stores, scripts
        self._tabs: Tabs
        self._loop: asyncio.AbstractEventLoop

    async def run(self, listening: socket.socket, ready: Callable[[str], None] | None) -> None:
        """Serve until the process is interrupted.

        Parameters
        ----------
        listening : socket
        ready : callable, optional
            As of :func:`serve`.
        """
        word, port = secrets.token_hex(8), int(listening.getsockname()[1])
        scenes, loop, end = self._stores.all[0], asyncio.get_running_loop(), asyncio.Event()
        store = scenes.first.levels.place.name
        self._loop = loop
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        title = f"{Path(str(store)).name} – nbdask"
        _log.info("serving %s at port %d", store, port)
        front = Front(word, title, scenes.first.overview(MAX), self._scripts)
        if scenes.count:
            front.show_shots(scenes.count, lambda shot: scenes.at(shot).overview(MAX))
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
                server = self._tabs.join(front, http, (f"{HOST}:{port}", f"localhost:{port}"))
                self._stores.start()
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
            self._stores.stop()

    def _import(self) -> None:
        """Import Bokeh and make the first page; the first takes it longest."""
        # While the page shows that it is loading.
        from nbdask.view.tabs import Tabs

        self._tabs = Tabs(self._stores, self._loop)


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

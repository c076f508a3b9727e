"""The viewer's server: one store, one page, for this machine alone."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nbdask.errors import InputError
from nbdask.view.scene import Scene

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
        Called with the page's address once it can be opened.  The address holds a random word, so
        that other users of this machine do not find the page.

    Raises
    ------
    InputError
        The port is taken, or the package bokeh is missing.
    StoreError
        There is no store, or it is damaged.
    """
    if importlib.util.find_spec("bokeh") is None:
        raise InputError(
            "the viewer needs the package bokeh: pip install 'nbdask[view]'; nbdask preview draws"
            " pictures without it"
        )
    listening = _port(port)
    scene = Scene(path)
    server, address = _server(scene, listening)
    before = {}

    def stop(*_: object) -> None:
        server.io_loop.add_callback_from_signal(server.io_loop.stop)

    for name in (signal.SIGINT, signal.SIGTERM):
        before[name] = signal.signal(name, stop)
    scene.start()
    try:
        server.start()
        if ready is not None:
            ready(address)
        server.io_loop.start()
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        server.stop()
        scene.stop()


def _server(scene: Scene, port: int) -> tuple[Any, str]:
    """Return Bokeh's server, not started, and the page's address."""
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.document import Document
    from bokeh.server.server import Server
    from bokeh.settings import settings

    from nbdask.view.page import Page

    # Whatever the environment says: scripts come from here and never from another machine.
    settings.resources = "server"
    logging.getLogger("bokeh").setLevel(logging.ERROR)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    pool = ThreadPoolExecutor(1, thread_name_prefix="nbdask-page")

    def make(document: Document) -> None:
        Page(scene, document, pool)

    # The first document takes Bokeh longest: not while somebody waits for the page.
    first = Document()
    make(first)
    first.to_json()
    first.clear()
    word = secrets.token_hex(8)
    server: Any = Server(
        {f"/{word}": Application(FunctionHandler(make))},
        address=HOST,
        port=port,
        use_index=False,
        allow_websocket_origin=[f"{HOST}:{port}", f"localhost:{port}"],
    )
    application = server._tornado
    plain = application.resources

    def needed(absolute_url: str | bool | None = None) -> Any:
        """Leave out the scripts of tables, formulas and WebGL, more than half of all."""
        return plain(absolute_url).clone(components=["bokeh", "bokeh-widgets"])

    application.resources = needed
    return server, f"http://{HOST}:{port}/{word}"


def _port(asked: int | None) -> int:
    """Return a port that is free on this machine.

    Raises
    ------
    InputError
        The one that was asked for is not.
    """
    for port in (PORT, 0) if asked is None else (asked,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"--port {asked}: is taken or not allowed; leave it out and one is chosen")

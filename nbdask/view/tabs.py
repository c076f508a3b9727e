"""The viewer's tabs: Bokeh's part of the server, and pages that are made ahead of their tab."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.settings import settings
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from nbdask.view.front import Front
from nbdask.view.page import Page
from nbdask.view.rivals import Stores


class Tabs:
    """Fills the documents of tabs.

    Parameters
    ----------
    stores : Stores
    loop : AbstractEventLoop
        That of the server.
    """

    def __init__(self, stores: Stores, loop: asyncio.AbstractEventLoop) -> None:
        self._stores, self._loop = stores, loop
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nbdask-page")
        #: Made ahead of the tab that will show it.
        self._spare: Page | None = Page(stores, self._pool)
        # Bokeh 3.10 and later fill the documents of new tabs in threads.
        self._taking = threading.Lock()

    def join(self, front: Front, http: HTTPServer, origins: Sequence[str]) -> Any:
        """Let Bokeh's server answer what belongs to it; return it, started."""
        # Of what this program makes itself; it takes as long as making it.
        settings.perform_document_validation = False
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        bokeh: Any = BokehTornado(
            {front.target: Application(FunctionHandler(self._show))},
            use_index=False,
            extra_websocket_origins=list(origins),
        )
        server = BaseServer(IOLoop.current(), bokeh, http)
        server.start()
        front.join(bokeh)
        return server

    def _show(self, document: Document) -> None:
        """Fill the document of a new tab."""
        shot = _shot_of(document)
        page = None
        if shot == 0:
            with self._taking:
                page, self._spare = self._spare, None
        if page is None:
            page = Page(self._stores, self._pool, shot)
        page.show(document)
        # While the browser still reads BokehJS.
        self._loop.call_soon_threadsafe(self._work_ahead, document)

    def _work_ahead(self, document: Document) -> None:
        """Serialize what the tab will ask for in a moment, and make the next tab's page."""
        _serialize(document)
        if self._spare is None:
            self._spare = Page(self._stores, self._pool)


def _shot_of(document: Document) -> int:
    """Return the shot that the tab's address names; the page before it has refused others."""
    context: Any = document.session_context
    request = None if context is None else context.request
    word = ((request.arguments if request else {}).get("shot") or ["0"])[0]
    return int(word)


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

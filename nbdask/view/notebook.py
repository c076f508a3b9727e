"""The viewer inside a notebook: ``nbdask.view(store)``."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from html import escape
from typing import Any

from nbdask.errors import StoreError
from nbdask.store.reader import StoreReader


class NotebookViewer:
    """A viewer that runs in a process of its own, until it is closed or Python ends.

    Attributes
    ----------
    address : str
        Of its page, on the machine that runs Python.
    height : int
        Of the frame in the notebook [pixels of the screen].
    """

    def __init__(self, process: subprocess.Popen[str], address: str, height: int) -> None:
        self._process, self.address, self.height = process, address, height
        atexit.register(self.close)

    def close(self) -> None:
        """End the viewer."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> NotebookViewer:
        """Return itself; leaving ends the viewer."""
        return self

    def __exit__(self, *_: Any) -> None:
        """End the viewer."""
        self.close()

    def __repr__(self) -> str:
        return f"<nbdask viewer at {self.address}>"

    def _repr_html_(self) -> str:
        """Show the page in a frame."""
        return (
            f'<iframe src="{escape(self.address)}" width="100%" height="{self.height}"'
            ' style="border:1px solid #ccc"></iframe>'
        )


def view(*stores: str | os.PathLike[str], height: int = 640) -> NotebookViewer:
    """Start the viewer, and show it in a notebook.

    Parameters
    ----------
    *stores : path or str
        Stores, or their addresses; they may be unfinished.
    height : int
        Of the frame [pixels of the screen].

    Returns
    -------
    NotebookViewer
        A notebook shows it as a frame; the browser has to run on the same machine, or to reach the
        port by a tunnel.

    Raises
    ------
    StoreError
        There is no store, or the viewer cannot start.
    """
    if not stores:
        raise StoreError("nbdask.view: must be given the path of a store")
    paths = [os.fspath(store) for store in stores]
    for path in paths:
        StoreReader(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "nbdask", "view", "--no-browser", *paths],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C in the notebook's terminal is not for it.
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    address = process.stdout.readline().strip()
    if not address:
        said = process.stderr.read().strip()
        process.wait()
        raise StoreError(said.removeprefix("nbdask: error: ") or "the viewer did not start")
    return NotebookViewer(process, address, height)

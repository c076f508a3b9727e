"""What the server of the viewer hands to a tab."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("bokeh")

from bokeh.client import pull_session
from bokeh.document import Document
from bokeh.models import Div, Slider

import nbdask
from nbdask.view.tabs import _serialize
from tests.helpers import PATIENCE
from tests.pictured import make
from tests.view.test_shots import SERIES


def test_a_store_is_served_until_ctrl_c(tmp_path: Path) -> None:
    """The page, its session over a socket with what it says of the store, and a clean end."""
    store = make(tmp_path / "run.zarr", tile=16)
    process = subprocess.Popen(
        [sys.executable, "-m", "nbdask", "view", str(store), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urlopen(address, timeout=PATIENCE) as answer:
            assert "run.zarr" in answer.read().decode()
        # Answered once Bokeh's server is there.
        with urlopen(f"{address}/start.js", timeout=PATIENCE) as answer:
            assert "token" in answer.read().decode()
            assert answer.headers["Access-Control-Allow-Origin"] is None
        for name in ("elsewhere.example", "127.0.0.1.example:80"):
            asked = Request(f"{address}/start.js", headers={"Host": name})
            with pytest.raises(HTTPError, match="403"):
                urlopen(asked, timeout=PATIENCE)
        session = pull_session(url=f"{address}/app")
        status = session.document.get_model_by_name("status")
        assert isinstance(status, Div)
        assert "complete" in status.text
        session.close()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert said.splitlines() == ["nbdask: Ctrl-C ends the viewer", "nbdask: viewer ended"]


def test_a_page_that_changed_since_it_was_serialized_is_sent_as_it_is() -> None:
    """Once from what was kept, then anew; a change in between is not lost."""
    for change in (False, True):
        text = Div(text="before")
        document = Document()
        document.add_root(text)
        _serialize(document)
        if change:
            text.text = "after"
        first = document.to_json(deferred=False)
        assert ("after" in str(first)) == change
        text.text = "later"
        assert "later" in str(document.to_json())


@pytest.mark.long
def test_the_address_names_a_shot(tmp_path: Path) -> None:
    """It is shown first; a shot that is not there is one line."""
    store = tmp_path / "run.zarr"
    nbdask.simulate(SERIES, store, tile=8, threads=1, progress=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "nbdask", "view", str(store), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urlopen(f"{address}?shot=3", timeout=PATIENCE) as answer:
            assert "start.js?shot=3" in answer.read().decode()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{address}?shot=9", timeout=PATIENCE)
        with urlopen(f"{address}/start.js?shot=3", timeout=PATIENCE) as answer:
            assert "shot=3" in answer.url
            token = answer.read().decode().split('"token":"')[1].split('"')[0]
        session = pull_session(url=f"{address}/app", arguments={"shot": "3"})
        assert token
        slider = session.document.get_model_by_name("shot")
        assert isinstance(slider, Slider)
        assert slider.value == 3
        session.close()
    finally:
        process.kill()
        process.communicate()

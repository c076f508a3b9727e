"""The bar of programs that call nbdask."""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.cluster.news import Crew, News
from nbdask.fill import bar
from nbdask.fill.listen import Start
from tests.helpers import small_experiment

needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="needs tqdm")
FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 16 -pixel 0.3 -oversample 1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look_at(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let standard error be a terminal; tqdm's thread, which outlives the bar, is not wanted."""
    if find_spec("tqdm") is not None:
        monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def draw(out: Path, **options) -> None:
    nbdask.simulate(small_experiment(), out, backend="numpy", tile=16, **options)


@needs_tqdm
def test_a_script_on_a_terminal_gets_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told not to, or it has a function of its own."""
    screen = look_at(monkeypatch)
    draw(tmp_path / "a.zarr", progress=False)
    draw(tmp_path / "b.zarr", progress=None)
    draw(tmp_path / "c.zarr", progress=lambda done, tiles: None)
    assert screen.getvalue() == ""
    draw(tmp_path / "d.zarr")
    assert "nbdask: 100%" in screen.getvalue()
    assert "tile/s" in screen.getvalue()


@needs_tqdm
def test_the_command_line_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bar of tqdm."""
    screen = look_at(monkeypatch)
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--out", str(tmp_path / "a.zarr")]
    assert main(argv) == 0
    assert "nbdask: 100%" not in screen.getvalue()
    assert "100 %" in screen.getvalue()


def test_where_nobody_looks_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No terminal, no notebook; or a terminal without tqdm."""
    draw(tmp_path / "a.zarr")
    assert capsys.readouterr().err == ""
    screen = look_at(monkeypatch)
    monkeypatch.setattr(bar, "find_spec", lambda name: None)
    assert not bar.is_wanted()
    assert screen.getvalue() == ""


def test_notebooks_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the shell that runs their cells; IPython on a terminal is a terminal."""

    class ZMQInteractiveShell:
        pass

    for shell, expected in ((ZMQInteractiveShell(), True), (None, False)):
        module = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", module)
        assert bar._in_notebook() == expected


@needs_tqdm
def test_workers_are_shown_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When their number changes; a store that is complete has no bar."""
    screen = look_at(monkeypatch)
    shown = bar.Bar()
    shown.begin(Start("a.zarr", 3, 3, 0, None, None))
    shown.news(News("crew", "", asdict(Crew(2, 2, 1))))
    shown.end(True)
    assert screen.getvalue() == ""
    shown.begin(Start("a.zarr", 3, 1, 0, None, None))
    shown.news(News("crew", "", asdict(Crew(2, 2, 1))))
    shown.end(False)
    assert "1/2 workers" in screen.getvalue()


def test_a_notebook_without_tqdm_gets_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPython alone draws it: first nothing done, then all."""
    pages: list[str] = []

    def display(page: str, display_id: bool) -> SimpleNamespace:
        pages.append(page)
        return SimpleNamespace(update=pages.append)

    shell = type("ZMQInteractiveShell", (), {})()
    notebook = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    shown = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr(bar, "find_spec", lambda name: None)
    draw(tmp_path / "a.zarr")
    assert '<progress value="0"' in pages[0]
    words = pages[-1].split('"')
    assert words[1] == words[3] != "0"

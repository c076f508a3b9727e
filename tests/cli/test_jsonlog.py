"""``--log json``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from nbdask.cli.jsonlines import is_wanted, json_lines
from nbdask.cli.main import main
from nbdask.cluster.news import News, ignore, tell
from nbdask.kernels.reference import ReferenceKernel

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 16 -pixel 0.3 -oversample 1"


def run(out: Path, *more: str) -> int:
    argv = ["simulate", *FLAGS.split(), "--backend", "numpy", "--tile", "8", "--threads", "1"]
    return main([*argv, "--out", str(out), *more])


def events(text: str) -> list[dict[str, Any]]:
    """Return what was written; every line is an event with a time."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(list(event)[:2] == ["time", "event"] for event in found)
    return found


def test_every_line_is_an_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Start, each tile, notes, the end with statistics; results stay on standard output."""
    assert run(tmp_path / "a.zarr", "--log", "json") == 0
    said = capsys.readouterr()
    assert "16 x 16 pixels" in said.out
    start, *tiles, note, _, end = events(said.err)
    assert (start["event"], start["tiles"], start["done"]) == ("start", 4, 0)
    assert start["plan"]["tile"] == [8, 8]
    assert [(t["event"], t["done"], t["tiles"]) for t in tiles] == [
        ("tile", n, 4) for n in range(1, 5)
    ]
    assert sorted((t["tile"], *t["slow"], *t["fast"]) for t in tiles)[-1] == (3, 8, 16, 8, 16)
    assert note["event"] == "note"
    assert note["text"].startswith("-cell: the angles realised")
    assert (end["event"], end["status"], end["exit_code"]) == ("end", "complete", 0)
    assert end["statistics"]["pixels"] == 256


def test_failures_are_events_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tile that is tried again, one that fails for good, an error before the run."""
    tries: list[int] = []

    class Broken(ReferenceKernel):
        def partial(self, model, tile, steps, mask):
            if tile.slow0 == 8:
                tries.append(tile.fast0)
                if tile.fast0 or tries.count(0) == 1:
                    raise OSError("no luck")
            return super().partial(model, tile, steps, mask)

    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    monkeypatch.setattr("nbdask.graph.context.get_kernel", lambda *_: Broken())
    assert run(tmp_path / "a.zarr", "--log=json") == 1
    found = events(capsys.readouterr().err)
    told = [(event["event"], event["tile"]) for event in found if "error" in event]
    assert sorted(told) == [("failed", 3), ("retry", 2), ("retry", 3), ("retry", 3)]
    assert all("no luck" in event["error"] for event in found if "error" in event)
    assert (found[-1]["event"], found[-1]["status"], found[-1]["done"]) == ("end", "incomplete", 3)
    assert run(tmp_path / "a.zarr", "--log", "json") == 2
    error, end = events(capsys.readouterr().err)
    assert error["event"] == "error"
    assert "exists already" in error["text"]
    assert (end["status"], end["exit_code"]) == ("failed", 2)


def test_shards_have_events_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of their own tiles."""
    assert run(tmp_path / "a.zarr", "--log", "json", "--shard", "1/2", "--quiet") == 0
    start, *tiles, end = events(capsys.readouterr().err)
    assert (start["event"], start["tiles"]) == ("start", 2)
    assert [event["event"] for event in tiles] == ["tile", "tile"]
    assert (end["event"], end["status"]) == ("end", "complete")


def test_what_is_logged_becomes_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Once: what the cluster tells is an event already."""
    with json_lines():
        logging.getLogger("nbdask").warning("nbdask: one")
        tell(ignore, "lost", "two")
        print("half", end="", file=sys.stderr)
    found = events(capsys.readouterr().err)
    assert [(event["event"], event["text"]) for event in found[-1:]] == [("text", "half")]
    assert "two" not in [event["text"] for event in found]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("simulate --log json", True), ("simulate --log=json -N 1", True),
     ("simulate --log text", False), ("--log", False), ("simulate json --log", False)],
)  # fmt: skip
def test_the_option_is_seen_before_the_others(words: str, wanted: bool) -> None:
    """So that errors in these are events."""
    assert is_wanted(words.split()) == wanted


def test_wrong_flags_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "-nonsense", "--log", "json"]) == 2
    error, end = events(capsys.readouterr().err)
    assert "-nonsense" in error["text"]
    assert end["status"] == "failed"


def test_only_what_happens_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Not how many workers there are every second."""
    from nbdask.cli.jsonlog import JsonLog

    log = JsonLog()
    with json_lines():
        log.news(News("crew", "", {"workers": 3}))
        log.news(News("lost", "worker a is lost", {"worker": "a", "workers": 2}))
    (lost,) = events(capsys.readouterr().err)
    assert (lost["event"], lost["worker"], lost["text"]) == ("lost", "a", "worker a is lost")

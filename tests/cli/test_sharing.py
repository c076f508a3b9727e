"""``--shard``, ``nbdask status`` and ``nbdask finish``: what they refuse, print and return."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from nbdask.cli import sharing
from nbdask.cli.main import main
from nbdask.cli.running import resume_command, without_shard
from nbdask.cli.status import ranges
from nbdask.errors import UnfinishedError
from nbdask.fill import shard as fill_shard_module
from nbdask.shards import status

FLAGS = "-cell 70 80 90 90 90 90 -default_F 10 -lambda 1 -N 5 -oversample 3 -detpixels 32"
ARGV = ["simulate", *FLAGS.split(), "--backend", "numpy", "--tile", "8"]

MORE = ["-detpixels", "1024", "-oversample", "20", "-phisteps", "100", "-osc", "1"]


def test_from_the_first_shard_to_the_last(tmp_path, capsys, monkeypatch) -> None:
    """What each says, its exit code, and what status says in between; the commands do it."""
    monkeypatch.chdir(tmp_path)
    argv = [*ARGV, "--out", "run.zarr"]
    assert main([*argv, "--shard", "2/3"]) == 0
    assert capsys.readouterr().out == "run.zarr: shard 2/3: 5 tiles computed, 0 were there\n"
    assert main(["status", "run.zarr"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "run.zarr: running, 5 of 16 tiles done",
        "shards    1 of 3 complete, 0 begun, 2 missing",
        "missing   1,3",
    ]
    assert told[3].startswith("to go on  ")
    assert told[3].endswith(" --tile 8 --out run.zarr --shard NUMBER/3")
    assert told[4].startswith("or        ")
    assert told[4].endswith(" --tile 8 --out run.zarr --resume")
    assert main(["finish", "run.zarr"]) == 1
    assert "5 of 16 tiles done" in capsys.readouterr().out
    for number in (1, 3):
        words = shlex.split(told[3].partition("to go on")[2].replace("NUMBER", str(number)))
        assert main(words[1:]) == 0
    assert capsys.readouterr().out.endswith(
        "shard 3/3: 6 tiles computed, 0 were there; the store is complete\n"
    )
    assert main(["status", "run.zarr"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run.zarr: complete, 16 of 16 tiles done",
        "shards    3 of 3 complete, 0 begun, 0 missing",
    ]
    assert main(["finish", "run.zarr", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_status_as_json(tmp_path, capsys, monkeypatch) -> None:
    """Everything that the text says; each of the commands is enough."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fill_shard_module, "finish", lambda *_: None)
    for number in (1, 2):
        assert main([*ARGV, "--out", "run.zarr", f"--shard={number}/2"]) == 0
        capsys.readouterr()
        assert main(["status", "run.zarr", "--json"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert found["tiles"] == {"done": 8 * number, "total": 16}
        missing = [] if number == 2 else [2]
        complete = list(range(1, number + 1))
        assert found["shards"] == {
            "count": 2, "complete": complete, "begun": [], "missing": missing
        }  # fmt: skip
    assert found["commands"] == ["nbdask finish run.zarr"]
    assert found["status"] == "running"
    assert main(["finish", "run.zarr"]) == 0


def test_status_of_a_store_without_shards(tmp_path, capsys) -> None:
    """Tiles alone; a store that is not there is refused as everywhere."""
    store = tmp_path / "run.zarr"
    assert main([*ARGV, "--out", str(store), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["status", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: complete, 16 of 16 tiles done\n"
    for name in ("status", "finish"):
        assert main([name, str(tmp_path / "none.zarr")]) == 2
        assert "none.zarr does not exist" in capsys.readouterr().err


REFUSED = [
    ("--shard 0/200", "--shard 0/200: must be NUMBER/COUNT with a number from 1 to the count"),
    ("--shard 201/200", "--shard 201/200: must be NUMBER/COUNT with a number from 1 to the count"),
    ("--shard 3", "--shard 3: must be NUMBER/COUNT with a number from 1 to the count"),
    ("--shard 1/2 --overwrite", "--overwrite with --shard 1/2: no shard may delete what others"),
    ("--shard 1/2 --cluster local", "--shard 1/2 with --cluster local: a shard runs on threads"),
    ("--shard 1/2 --workers 2", "--workers 2 needs --cluster local"),
    ("--shard 1/2 --noise n.zarr --seed 1", "--noise with --shard 1/2: needs the whole image"),
    ("--shard 1/2 --seed 1", "--seed with --shard 1/2: needs the whole image"),
    ("--shard 1/2 --pyramid", "--pyramid with --shard 1/2: needs the whole image"),
    ("--shard 1/2 -floatfile f.bin", "-floatfile with --shard 1/2: needs the whole image"),
    ("--shard 1/2 -noisefile f.img", "-noisefile with --shard 1/2: needs the whole image"),
    ("--shard 1/2 -printout", "-printout with --shard 1/2: needs the whole image"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_a_shard_cannot_stand_beside(tmp_path, capsys, monkeypatch, words, line) -> None:
    """One line, exit code 2, nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main([*ARGV, "--out", "run.zarr", *words.split()]) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if "error:" in text]
    assert line in said
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_planned_for_all_shards(tmp_path, capsys) -> None:
    """So that there are tiles for each of them."""
    tiles = []
    for words in ([], ["--shard", "1/50"]):
        assert main([*ARGV[:-2], *MORE, "--threads", "1", "--dry-run", *words]) == 0
        (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("tiles")]
        tiles.append(int(line.split()[5]))
    assert tiles[1] >= 200 > tiles[0]


def test_a_log_tells_how_far_a_shard_is(tmp_path, capsys, monkeypatch) -> None:
    """A plain line a minute; with --quiet none."""
    monkeypatch.setattr(sharing, "_PAUSE", 0.0)
    argv = [*ARGV, "--out", str(tmp_path / "run.zarr"), "--threads", "1"]
    assert main([*argv, "--shard", "1/8"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "shard" in line]
    assert told == ["nbdask: shard 1/8: 1 of 2 tiles", "nbdask: shard 1/8: 2 of 2 tiles"]
    assert main([*argv, "--shard", "2/8", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "nbdask: interrupted; the store keeps all finished tiles"),
        (UnfinishedError(["tile 3: no luck"]), 1, "nbdask: error: 1 tile failed on every try"),
    ],
    ids=["stopped", "unfinished"],
)
def test_the_same_command_goes_on(tmp_path, capsys, monkeypatch, error, code, said) -> None:
    """Whatever ends a shard, it is printed as it was given."""

    def end(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("nbdask.shards.simulate_shard", end)
    argv = [*ARGV, "--out", str(tmp_path / "run.zarr"), "--shard", "1/2"]
    assert main(argv) == code
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(said)
    assert shlex.split(told[-1])[1:] == argv


def test_the_command_on_record_is_that_of_all_shards(tmp_path: Path) -> None:
    """And of the run that finishes the rest."""
    argv = ["nbdask", "simulate", "-N", "5", "--shard", "3/4", "--out", "a b", "--shard=1/2"]
    assert without_shard(argv) == ["nbdask", "simulate", "-N", "5", "--out", "a b"]
    assert resume_command(argv) == "nbdask simulate -N 5 --out 'a b' --resume"
    store = tmp_path / "run.zarr"
    assert main([*ARGV, "--out", str(store), "--shard", "1/2", "--quiet"]) == 0
    assert "--shard" not in str(status(store).command)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([1, 2, 3], "1-3"), ([1, 3, 4, 9], "1,3-4,9")],
    ids=["none", "one", "run", "several"],
)
def test_numbers_as_sbatch_takes_them(numbers: list[int], text: str) -> None:
    """For --array."""
    assert ranges(numbers) == text

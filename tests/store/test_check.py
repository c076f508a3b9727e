"""Metadata and records that no store has: one line from every command, and records are mended."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import nbdask
from nbdask.cli.main import main
from nbdask.store import schema
from nbdask.store.check import FormatError
from nbdask.store.reader import StoreReader
from tests.helpers import sampled, small_experiment

#: What is done with a store that stands for STORE, in a folder that stands for DIR.
COMMANDS = (
    "verify STORE",
    "info STORE",
    "export STORE DIR/a.img",
    "preview STORE -o DIR/a.png",
    "noise STORE --out DIR/n.zarr --seed 1 --quiet",
    "compare STORE STORE",
    "trace 3 4 STORE",
    "repair STORE --quiet",
    "pyramid STORE --quiet",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store of 6 tiles."""
    store = tmp_path_factory.mktemp("made") / "a.zarr"
    nbdask.simulate(small_experiment(), store, backend="numpy", tile=12)
    return store


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "a.zarr"))


def commands(store: Path) -> Iterator[list[str]]:
    """Yield the commands for a store."""
    folder = store.parent / "out"
    for line in COMMANDS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield line.replace("STORE", str(store)).replace("DIR", str(folder)).split()


@pytest.mark.parametrize("value", sampled([np.nan, np.inf, -np.inf, -7.0, 0.5, 1e300], 6))
@pytest.mark.parametrize("field", ["n_evaluated", "max_fast", "crc32c", "bytes", "done"])
def test_a_record_that_cannot_be_right(store, made, capsys, field, value) -> None:
    """Verify names it, nothing else trips over it, repair brings the old one back."""
    array: Any = zarr.open_array(store / "tiles", mode="r+")
    array[1, 0, schema.FIELDS.index(field)] = value
    found = nbdask.verify(store).faults
    assert [(fault.index, fault.kind) for fault in found] == [(2, "corrupt")]
    assert f"{field} of its record is" in found[0].reason
    assert not StoreReader(store).done()[2]
    assert main(["export", str(store), str(store.parent / "a.img")]) == 2
    assert f"{field} of its record is" in capsys.readouterr().err
    assert [fault.index for fault in nbdask.repair(store).faults] == [2]
    assert nbdask.verify(store).ok
    assert StoreReader(store).attributes["statistics"] == StoreReader(made).attributes["statistics"]


def test_a_root_that_says_only_whose_it_is(store, capsys) -> None:
    """One line from every command, and nothing is written."""
    root = {"zarr_format": 3, "node_type": "group", "attributes": {"format": "nbdask"}}
    (store / "zarr.json").write_text(json.dumps(root))
    for words in commands(store):
        assert main(words) == 2
        said = capsys.readouterr().err.strip()
        assert said.endswith(f"{store} is damaged: its root has no attribute format_version")
        assert "\n" not in said


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([262144, 262144], "image has the shape (262144, 262144), the plan [32, 24]"),
        ("all", "slow/c/0 does not hold 262144 coordinates, as the image has"),
    ],
)
def test_a_shape_that_the_files_do_not_have(store, shape, said) -> None:
    """Refused before anybody makes room for it, also where all metadata agree."""
    sides = [262144, 262144]
    changed: dict[str, Any] = {"image": {"shape": sides}}
    if shape == "all":
        counts = [-(-side // 12) for side in sides] + [len(schema.FIELDS)]
        grid: Any = {"name": "regular", "configuration": {"chunk_shape": [1, 1024, counts[2]]}}
        changed |= {"tiles": {"shape": counts, "chunk_grid": grid}, "slow": {"shape": sides[:1]}}
        changed |= {"fast": {"shape": sides[:1]}}
        root = json.loads((store / "zarr.json").read_text())
        root["attributes"]["plan"]["shape"] = sides
        (store / "zarr.json").write_text(json.dumps(root))
    for name, change in changed.items():
        data = json.loads((store / name / "zarr.json").read_text())
        (store / name / "zarr.json").write_text(json.dumps(data | change))
    with pytest.raises(FormatError) as caught:
        StoreReader(store)
    assert str(caught.value) == f"{store} is damaged: {said}"


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every entry of nested tables and lists."""
    if path:
        yield path
    entries = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in entries:
        yield from places(value, (*path, key))


WRONG: tuple[Any, ...] = (None, -1, 10**30, 0.5, float("nan"), "x", [], {}, [[1]], True)


@pytest.mark.parametrize(
    ("seed", "count", "every"), [(1, 40, False), pytest.param(2, 100, True, marks=pytest.mark.long)]
)
def test_no_value_leads_to_a_traceback(store, capsys, seed, count, every) -> None:
    """Any entry of root, image or records replaced or taken away: exit codes as documented."""
    draw = random.Random(seed)
    texts = {name: (store / name).read_text() for name in ("zarr.json", "image/zarr.json")}
    texts["tiles/zarr.json"] = (store / "tiles/zarr.json").read_text()
    whole = store.with_name("whole.zarr")
    shutil.copytree(store, whole)
    for _ in range(count):
        name = draw.choice(["zarr.json", "zarr.json", *texts])
        data = json.loads(texts[name])
        data.pop("consolidated_metadata", None)
        place = draw.choice(list(places(data)))
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        value = draw.choice(WRONG)
        if draw.random() < 0.2:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        (store / name).write_text(json.dumps(data))
        chosen = list(commands(store)) if every else [draw.choice(list(commands(store)))]
        for words in chosen:
            code = main(words)
            said = capsys.readouterr().err
            assert code in (0, 1, 2, 5), (words, name, place, value, said)
            assert "Traceback" not in said, (words, name, place, value)
        if every:
            shutil.rmtree(store)
            shutil.copytree(whole, store)
        (store / name).write_text(texts[name])
        for other, text in texts.items():
            (store / other).write_text(text)

"""Paths: what may be created, replaced, and what is never deleted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nbdask
from nbdask.errors import StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.store.address import place_of, read_root
from nbdask.store.create import create_store
from nbdask.store.local import check_free, new_folder
from nbdask.store.schema import FORMAT
from tests.helpers import ROOT, small_experiment

GRID = TileGrid((20, 30), (8, 16))


def make_store(path: Path, **attributes) -> None:
    """Create a small store without pixels."""
    create_store(path, GRID, {"format": FORMAT, **attributes}, pixel_size=1e-4)


def _root(path: Path) -> dict:
    """Return the attributes of a store but for its manifest."""
    found = read_root(path)
    assert found is not None
    return {name: value for name, value in found.items() if name != "manifest"}


def test_a_new_store_is_made_whole(tmp_path) -> None:
    """Only the store is there afterwards, with its attributes."""
    make_store(tmp_path / "a.zarr", mark=1)
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert _root(tmp_path / "a.zarr") == {"format": FORMAT, "mark": 1}


def test_an_existing_store_is_refused(tmp_path) -> None:
    """Without --overwrite nothing is touched, and the message names the flag."""
    make_store(tmp_path / "a.zarr", mark=1)
    with pytest.raises(StoreError, match=r"exists already.*--overwrite"):
        create_store(tmp_path / "a.zarr", GRID, {"format": FORMAT}, pixel_size=1e-4)
    assert _root(tmp_path / "a.zarr") == {"format": FORMAT, "mark": 1}


def test_overwrite_replaces_a_store(tmp_path) -> None:
    """The new store takes the old one's place and nothing is left over."""
    make_store(tmp_path / "a.zarr", mark=1)
    attributes = {"format": FORMAT, "mark": 2}
    create_store(tmp_path / "a.zarr", GRID, attributes, pixel_size=1e-4, overwrite=True)
    assert _root(tmp_path / "a.zarr") == attributes
    assert os.listdir(tmp_path) == ["a.zarr"]


def make_other(path: Path, kind: str) -> None:
    """Put something that is not (only) an nbdask store at ``path``."""
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("mine")
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "other zarr":
        path.mkdir()
        root = {"zarr_format": 3, "node_type": "group", "attributes": {"format": "other"}}
        (path / "zarr.json").write_text(json.dumps(root))
    elif kind == "link":
        make_store(path.with_name("real.zarr"))
        path.symlink_to(path.with_name("real.zarr"))
    else:
        make_store(path)
        (path / "notes.txt").write_text("mine")


KINDS = ["file", "folder", "empty folder", "other zarr", "link", "store with a user's file"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_store_is_never_deleted(tmp_path, kind, overwrite) -> None:
    """Files, folders, other people's zarr groups, links, and stores that hold more stay."""
    path = tmp_path / "a.zarr"
    make_other(path, kind)
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(StoreError):
        create_store(path, GRID, {"format": FORMAT}, pixel_size=1e-4, overwrite=overwrite)
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_a_missing_folder_is_named(tmp_path) -> None:
    """No folders are made on the way to the store."""
    with pytest.raises(StoreError, match=r"folder .*/no/where does not exist"):
        make_store(tmp_path / "no" / "where" / "a.zarr")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path) -> None:
    """Permission is checked before anything is computed."""
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="no permission"):
        check_free(tmp_path / "a.zarr", overwrite=False)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "disk full")])
def test_a_failed_start_leaves_nothing(tmp_path, error) -> None:
    """Whatever goes wrong while the store is made, nothing of it remains; an old one stays."""
    make_store(tmp_path / "old.zarr", mark=1)
    for name in ("old.zarr", "new.zarr"):
        kind = StoreError if isinstance(error, OSError) else type(error)
        with pytest.raises(kind), new_folder(tmp_path / name, overwrite=True) as folder:  # noqa: PT012
            (folder / "something").write_text("x")
            raise error
    assert os.listdir(tmp_path) == ["old.zarr"]
    assert _root(tmp_path / "old.zarr") == {"format": FORMAT, "mark": 1}


def test_a_path_taken_in_the_meantime_is_not_replaced(tmp_path) -> None:
    """Another process that made the path while ours was prepared keeps it."""
    path = tmp_path / "a.zarr"
    with pytest.raises(StoreError, match="exists already"), new_folder(path, False):  # noqa: PT012
        path.mkdir()
        (path / "theirs").write_text("x")
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "a.zarr",
        "a.zarr/theirs",
    ]


@pytest.mark.parametrize("out", ["gs://bucket/run.zarr", "s3://bucket", "s3:///run.zarr"])
def test_other_addresses_are_refused(out) -> None:
    """Other kinds of object storage, and addresses without bucket or name."""
    with pytest.raises(StoreError, match="--out"):
        place_of(out)


def test_a_folder_that_is_no_store_gets_a_name_in_it(tmp_path) -> None:
    """As with --out . for the working folder."""
    with pytest.raises(StoreError, match=r"it is not a store; name a new one, such as .*run\.zarr"):
        check_free(tmp_path, overwrite=False)


def test_a_link_to_a_store_is_told_from_what_is_no_store(tmp_path) -> None:
    """--overwrite would replace the link, so the path behind it is named."""
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=r"is a symbolic link, .* leads to, .*a\.zarr"):
        check_free(tmp_path / "link.zarr", overwrite=True)


_KILLED = """
import os, sys
from nbdask.store import local
from nbdask.store.address import place_of
import tests.store.test_place as test
calls, rename, after = [], os.rename, int(sys.argv[2])
def killed(source, target):
    if len(calls) == after:
        os._exit(9)
    calls.append(target)
    rename(source, target)
os.rename = killed
remove = local.shutil.rmtree
local.shutil.rmtree = lambda *a, **k: os._exit(9) if len(calls) == after else remove(*a, **k)
attributes = {"format": "nbdask", "mark": 2}
test.create_store(sys.argv[1], test.GRID, attributes, pixel_size=1e-4, overwrite=True)
"""


@pytest.mark.parametrize(
    ("renamed", "mark"),
    [(1, 1), *(pytest.param(n, n or 1, marks=pytest.mark.long) for n in (0, 2))],
)
def test_what_a_killed_creation_leaves_is_swept(tmp_path, renamed, mark) -> None:
    """Killed before, between and after the renames: one whole store is left, and nothing else."""
    path = tmp_path / "a.zarr"
    make_store(path, mark=1)
    command = [sys.executable, "-c", _KILLED, str(path), str(renamed)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == 9
    assert len(os.listdir(tmp_path)) == 2
    place_of(path).sweep()
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert _root(path) == {"format": FORMAT, "mark": mark}


def test_what_only_looks_like_it_stays(tmp_path) -> None:
    """Other names, links, folders that hold a user's files."""
    (tmp_path / ".a.zarr.0123456789ab.new").mkdir()
    (tmp_path / ".a.zarr.0123456789ab.new" / "thesis.tex").write_text("mine")
    (tmp_path / ".a.zarr.new").mkdir()
    (tmp_path / ".b.zarr.0123456789ab.new").mkdir()
    (tmp_path / ".a.zarr.ba9876543210.old").symlink_to(tmp_path / ".a.zarr.new")
    before = sorted(os.listdir(tmp_path))
    assert place_of(tmp_path / "a.zarr").sweep() == 0
    assert sorted(os.listdir(tmp_path)) == before


def test_the_next_run_sweeps(tmp_path) -> None:
    """And refuses to overwrite a store that has come back."""
    make_store(tmp_path / ".a.zarr.0123456789ab.new")
    options = {"backend": "numpy", "tile": 12}
    nbdask.simulate(small_experiment(), tmp_path / "a.zarr", **options)
    assert os.listdir(tmp_path) == ["a.zarr"]
    (tmp_path / "a.zarr").rename(tmp_path / ".a.zarr.0123456789ab.old")
    with pytest.raises(StoreError, match=r"a\.zarr exists already: --overwrite replaces it"):
        nbdask.simulate(small_experiment(), tmp_path / "a.zarr", **options)
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert nbdask.verify(tmp_path / "a.zarr").ok

"""Whatever of a store means something is covered: verify finds any change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import nbdask
from nbdask.cli.main import main
from nbdask.derive.pyramid import build_pyramid
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from tests.helpers import small_experiment

WRITTEN = "the root's attributes are not those that were written: their digest differs"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store with a pyramid."""
    store = tmp_path_factory.mktemp("made") / "a.zarr"
    nbdask.simulate(small_experiment(), store, backend="numpy", tile=12)
    build_pyramid(store, smallest=8)
    return store


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "a.zarr"))


def edit(file: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def test_all_is_well_with_what_was_written(store, capsys) -> None:
    """Also after attributes were changed by nbdask itself."""
    update_attributes(store, {"mark": [1, 2.5, None]})
    found = nbdask.verify(store)
    assert found.ok
    assert found.notes == ()


ROOTS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "cell": (
        lambda root: root["attributes"]["experiment"]["crystal"].update(
            cell=[8e-9] * 3 + [1.5] * 3
        ),
        {WRITTEN, "the fingerprint is not that of the experiment"},
    ),
    "fingerprint": (
        lambda root: root["attributes"].update(fingerprint="0" * 64),
        {WRITTEN, "the fingerprint is not that of the experiment"},
    ),
    "backend": (lambda root: root["attributes"].update(backend="cuda"), {WRITTEN}),
    "one more": (lambda root: root["attributes"].update(mine=1), {WRITTEN}),
    "consolidated": (
        lambda root: root["consolidated_metadata"]["metadata"]["image"].update(fill_value=0.0),
        {"the consolidated metadata of image are not those of the array itself"},
    ),
    "no consolidated": (
        lambda root: root["consolidated_metadata"]["metadata"].pop("pyramid/max/1"),
        {"the consolidated metadata of pyramid/max/1 are not those of the array itself"},
    ),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_changed_root(store, capsys, name) -> None:
    """Verify says what is not as it was written, and that it cannot be mended."""
    change, said = ROOTS[name]
    edit(store / "zarr.json", change)
    assert set(nbdask.verify(store).altered) == said
    assert main(["verify", str(store)]) == 1
    assert "cannot be mended: take a copy, or simulate again" in capsys.readouterr().out


def test_reversed_coordinates(store) -> None:
    """They are recomputed."""
    array = zarr.open_array(store / "slow", mode="r+")
    array[:] = np.asarray(array[:])[::-1]
    assert nbdask.verify(store).altered == ("the coordinates slow are not 0, 1, 2, ...",)


def test_repair_tells_what_it_cannot_mend(store, capsys) -> None:
    """With exit code 1, as verify."""
    array = zarr.open_array(store / "slow", mode="r+")
    array[:] = np.asarray(array[:])[::-1]
    assert main(["repair", str(store)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "the coordinates slow are not 0, 1, 2, ..."
    assert "what was altered cannot be mended" in told[1]


def test_another_pixel_size(store) -> None:
    """On an axis: neither as written, nor as in the root, nor that of the experiment."""
    edit(store / "fast" / "zarr.json", lambda data: data["attributes"].update(pixel_size_m=1.0))
    edit(store / "zarr.json", lambda root: root["consolidated_metadata"]["metadata"].pop("fast"))
    assert set(nbdask.verify(store).altered) == {
        "the metadata of fast are not those that were written",
        "the consolidated metadata of fast are not those of the array itself",
        "the pixel size of fast is not the experiment's",
    }


@pytest.mark.parametrize("array", ["image", "tiles", "pyramid/mean/1/image"])
def test_other_metadata_of_an_array(store, array) -> None:
    """Whatever stands in them."""
    edit(store / array / "zarr.json", lambda data: data["attributes"].update(units="adu"))
    (remark,) = nbdask.verify(store).remarks
    assert remark.startswith(f"the metadata of {array} are not those that were written: nbdask ")
    assert nbdask.verify(store).altered == ()


@pytest.mark.parametrize("array", ["image", "tiles", "slow", "pyramid", "pyramid/mean/1/image"])
@pytest.mark.parametrize("change", ["gone", "cut", "other"])
def test_metadata_are_written_again(store, made, capsys, array, change) -> None:
    """S-STORE-85: from the copy in the root, which has the digest on record; pixels stay."""
    file = store / array / "zarr.json"
    if change == "gone":
        file.unlink()
    elif change == "cut":
        file.write_bytes(file.read_bytes()[:40])
    else:
        edit(file, lambda data: data["attributes"].update(units="adu"))
    assert main(["repair", str(store)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"the metadata of {array} were not those that were written: written again"
    assert told[1].endswith("0 tiles computed again, complete")
    assert nbdask.verify(store).ok
    assert json.loads(file.read_text()) == json.loads((made / array / "zarr.json").read_text())
    assert nbdask.repair(store).mended == ()


def test_metadata_without_a_sound_copy_stay(store) -> None:
    """S-STORE-85: what is on record tells what they were, and neither the file nor the copy is."""
    edit(store / "zarr.json", ROOTS["consolidated"][0])
    file = store / "image" / "zarr.json"
    file.write_text("{")
    with pytest.raises(nbdask.NbdaskError, match="metadata of its arrays cannot be read"):
        nbdask.repair(store)
    assert file.read_text() == "{"


def test_a_change_does_not_vouch_for_an_earlier_one(store) -> None:
    """A digest that is wrong stays wrong when nbdask changes another attribute."""
    edit(store / "zarr.json", ROOTS["backend"][0])
    update_attributes(store, {"mark": 1})
    assert nbdask.verify(store).altered == (WRITTEN,)


def test_every_byte_of_a_record_counts(store) -> None:
    """Also of what no pixel tells: time spent, evaluations outside the list."""
    file = store / "tiles/c/0/0/0"
    for place in range(0, file.stat().st_size, 7):
        data = bytearray(file.read_bytes())
        data[place] ^= 16
        file.write_bytes(data)
        assert [fault.index for fault in nbdask.verify(store).faults] == list(range(6))
        data[place] ^= 16
        file.write_bytes(data)
    assert nbdask.verify(store).ok
    assert StoreReader(store).attributes["format_version"] == 3


def test_a_pyramid_whose_builder_was_killed_is_noted_by_the_next(made, tmp_path) -> None:
    """Its arrays are there, and the root does not know of them yet."""
    store = tmp_path / "b.zarr"
    nbdask.simulate(small_experiment(), store, backend="numpy", tile=12)
    root = (store / "zarr.json").read_bytes()
    build_pyramid(store, kinds=["max"], smallest=8)
    one = (store / "zarr.json").read_bytes()
    build_pyramid(store, smallest=8)
    both = json.loads((store / "zarr.json").read_bytes())["attributes"]["manifest"]
    for before in (root, one):
        (store / "zarr.json").write_bytes(before)
        build_pyramid(store, smallest=8)
        found = StoreReader(store).attributes
        assert found["manifest"] == both
        assert "ome" in found
        assert nbdask.verify(store).ok

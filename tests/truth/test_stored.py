"""Truth beside the image: written, read, replaced; for xarray and pandas."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import nbdask
from nbdask.derive.pyramid import build_pyramid
from nbdask.errors import FieldError, InputError, StoreError
from nbdask.shots import MeasuredSpectra, Series, Table
from nbdask.store.tables import TableWriter
from nbdask.truth import stored
from nbdask.truth.compute import Wanted, computed
from nbdask.truth.stored import ground_truth
from tests.export.stores import store_of
from tests.panels.several import several
from tests.truth.support import experiment

#: Nobody cuts the power.
write_truth = partial(stored.write_truth, durability="fast")


#: Shots of one crystal that turns.
TURNING = Series(
    experiment("-detpixels 16 -pixel 2 -N 5 -nointerpolate"),
    5,
    (Table({"scan.phi0": np.radians(7.0) * np.arange(5)}),),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of one image, whose pixels nobody looks at."""
    e = experiment("-detpixels 40 -pixel 1 -N 7 -nointerpolate")
    return store_of(tmp_path / "a.zarr", e, np.ones((40, 40), np.float32))


def same(one: xarray.Dataset | None, other: xarray.Dataset | None) -> None:
    """Compare all columns, bit for bit, and their attributes."""
    assert one is not None
    assert other is not None
    assert set(one.variables) == set(other.variables)
    for name in one.data_vars:
        assert np.array_equal(one[name].values, other[name].values), name
        assert one[name].dtype == other[name].dtype
        assert one[name].attrs == other[name].attrs


def test_what_is_kept_is_what_was_computed(store: Path) -> None:
    """Table and reflections; with the limit of photons that they were made with."""
    before = ground_truth(store, reflections=True, least=3.0)
    image = (store / "image").stat().st_mtime_ns
    done = write_truth(store, Wanted(True, 3.0))
    assert done.reflections == int(before.shots["n_reflections"].sum()) > 0
    after = ground_truth(store, reflections=True)
    assert after.shots.attrs["least_photons"] == 3.0
    assert after.shots.attrs["frame"].startswith("common: z along the beam")
    same(after.shots, before.shots)
    same(after.reflections, before.reflections)
    assert (store / "image").stat().st_mtime_ns == image
    assert nbdask.verify(store).ok
    more = ground_truth(store, reflections=True, least=0.0)
    assert int(more.shots["n_reflections"].sum()) > done.reflections


@pytest.mark.long
def test_others_read_the_group(store: Path) -> None:
    """xarray alone, also as a tree; a pyramid and truth do not mind each other."""
    write_truth(store, Wanted(True))
    build_pyramid(store, smallest=16)
    with xarray.open_zarr(store, group="truth") as found:
        assert found["photons"].attrs["units"] == "photon"
        assert found["h"].dims == ("reflection",)
        assert found["reciprocal_matrix"].dims == ("shot", "crystal", "xyz", "abc")
    with xarray.open_datatree(store, engine="zarr") as tree:
        assert set(tree.children) == {"truth", "pyramid"}
    write_truth(store, Wanted(True), overwrite=True)
    found = nbdask.verify(store)
    assert found.ok
    assert not found.altered


def test_a_change_is_noticed(store: Path) -> None:
    """A byte of a chunk, and of the group's metadata."""
    write_truth(store, Wanted(True))
    for name, reads in (("photons/c/0", True), ("zarr.json", False)):
        path = store / "truth" / name
        held = path.read_bytes()
        place = len(held) // 2
        path.write_bytes(held[:place] + bytes([held[place] ^ 1]) + held[place + 1 :])
        if reads:
            damaged = ground_truth(store, reflections=True).reflections
            assert damaged is not None
            with pytest.raises(Exception, match=r"[Cc]hecksum|CRC|crc|blosc|damaged"):
                damaged["photons"].load()
        else:
            assert not nbdask.verify(store).ok
        path.write_bytes(held)
    assert nbdask.verify(store).ok


def test_it_is_replaced_only_when_told(store: Path) -> None:
    """And then as a whole: no column of the earlier one stays."""
    write_truth(store, Wanted(True))
    with pytest.raises(StoreError, match="holds the group truth already: --overwrite"):
        write_truth(store, Wanted())
    write_truth(store, Wanted(), overwrite=True)
    with xarray.open_zarr(store, group="truth") as found:
        assert "photons" not in found
        assert "least_photons" not in found.attrs
    assert nbdask.verify(store).ok
    assert ground_truth(store, reflections=True).reflections is not None


def test_a_killed_writer_leaves_none(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote is no truth, and the next one starts anew."""

    def killed(self: Any, attributes: Any) -> None:
        """Stop before the group is there."""
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TableWriter, "_close", killed)
        with pytest.raises(KeyboardInterrupt):
            write_truth(store, Wanted(True))
    assert (store / "truth" / "h").exists()
    assert nbdask.verify(store).ok
    truth = ground_truth(store)
    assert truth.reflections is None
    write_truth(store, Wanted())
    with xarray.open_zarr(store, group="truth") as found:
        assert "h" not in found


@pytest.mark.long
def test_shots_are_found_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a series, kept in pieces, give each the reflections of its own."""
    path = tmp_path / "a.zarr"
    nbdask.simulate(TURNING, path, durability="fast", progress=False)
    monkeypatch.setattr(stored, "_REFLECTIONS", 37)
    monkeypatch.setattr(stored, "_SHOTS", 2)
    told: list[tuple[int, int]] = []
    done = write_truth(path, Wanted(True), progress=lambda *counts: told.append(counts))
    assert told == [(number + 1, 5) for number in range(5)]
    assert nbdask.verify(path).ok
    whole = ground_truth(path, reflections=True)
    assert done.reflections == sum(whole.shots["n_reflections"].values)
    with nbdask.open(path) as opened:
        images = opened["image"].values.astype(np.float64)
    for number in range(5):
        alone = computed(TURNING.shot(number), [0], Wanted(True))
        same(whole.of_shot(number), alone.reflections)
        total = float(whole.of_shot(number)["photons"].sum())
        lost = float(whole.shots["photons_left_out"][number])
        assert total + lost == pytest.approx(images[number].sum(), rel=1e-6)
    some = ground_truth(path, shots=[3, 1], reflections=True)
    assert some.shots["shot"].values.tolist() == [3, 1]
    same(some.of_shot(1), whole.of_shot(1))
    table = some.to_pandas(reflections=True)
    assert set(table["shot"]) == {1, 3}
    assert len(table) == len(table[table["shot"] == 3]) + whole.shots["n_reflections"].values[1]
    for wrong in (5, -1, 1.5, True, "1", [0, 5]):
        with pytest.raises(FieldError, match="at least 0 and at most 4"):
            ground_truth(path, shots=wrong)  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="one or more numbers of shots"):
        ground_truth(path, shots=[])


def test_a_series_needs_no_store() -> None:
    """Any of its shots, also with spectra of their own, and by numbers of any kind."""
    for shots in (np.int64(1), [1], np.array([1]), range(1, 2)):
        assert ground_truth(TURNING, shots=shots).shots["phi"].values == pytest.approx([7.0])
    some = ground_truth(TURNING, shots=slice(1, 3))
    assert some.shots["phi"].values == pytest.approx([7.0, 14.0])
    assert some.shots["spectrum_index"].values.tolist() == [-1, -1]
    spectra = MeasuredSpectra(np.array([1e-10, 1.1e-10]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    lit = ground_truth(replace(TURNING, n_shots=2, variations=(spectra,)), reflections=True)
    assert lit.shots["spectrum_index"].values.tolist() == [0, 1]
    assert lit.shots["wavelength"].values == pytest.approx([1.0 / (0.5 + 0.5 / 1.1), 1.0])
    assert set(lit.of_shot(1)["wavelength_centroid"].values.round(6)) == {1.0}


def test_tables_for_pandas(store: Path) -> None:
    """Flat: columns of several numbers become several."""
    truth = ground_truth(store)
    table = truth.to_pandas()
    assert len(table) == 1
    assert table["cell_0"][0] == pytest.approx(40.0)
    matrix = truth.shots["reciprocal_matrix"].values[0, 0]
    assert table["reciprocal_matrix_2_1"][0] == matrix[2, 1]
    for action in (lambda: truth.to_pandas(reflections=True), lambda: truth.of_shot(0)):
        with pytest.raises(InputError, match="asked for with reflections=True"):
            action()
    with pytest.raises(FieldError, match="at least 0"):
        ground_truth(store, reflections=True, least=-1.0)


def test_reflections_of_several_panels() -> None:
    """Each has the number of its panel and its place on it."""
    truth = ground_truth(several(), reflections=True, least=0.0)
    assert truth.reflections is not None
    panels = truth.reflections["panel_number"].values
    assert set(panels) == {0, 1, 2}
    assert (np.diff(panels) >= 0).all()
    for number, panel in enumerate(several().detector.panels):
        own = truth.reflections.isel(reflection=panels == number)
        assert own["fast_centroid"].values.max() < panel.n_fast - 1 + 1e-9
        assert own["slow_centroid"].values.max() < panel.n_slow - 1 + 1e-9

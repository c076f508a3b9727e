"""The accessor on a shot of a series and on a panel: what it knows is that shot's."""

from __future__ import annotations

import numpy as np
import pytest

import nbdask
from nbdask.errors import InputError
from nbdask.shots import Orientations, Series, Table
from nbdask.shots.spectra import MeasuredSpectra
from tests.panels.several import several
from tests.test_run_shots import COMMON

WAVES = Table({"beam.wavelength": np.array([1.0e-10, 1.1e-10, 1.2e-10])})
SERIES = Series(COMMON, 3, (Orientations(1), WAVES), 3)
BY = "crystal.turn.x,detector.distance"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A store of the series."""
    out = tmp_path_factory.mktemp("shots") / "s.zarr"
    nbdask.simulate(SERIES, out, progress=False)
    return nbdask.open(out)


@pytest.mark.parametrize("where", ["image", "dataset", "lazy"])
def test_gradients_are_those_of_the_shot(opened, where) -> None:
    """From an opened store and without one, lazy, of the pixels that are selected."""
    held = {"image": opened.image, "dataset": opened, "lazy": nbdask.series(SERIES)}[where]
    part = held.isel(shot=2, slow=slice(3, 9))
    found = part.nbdask.gradient(BY)
    assert found.chunks is not None
    assert found.dims == ("parameter", "slow", "fast")
    wanted = nbdask.gradient(SERIES.shot(2), BY)["gradient"][:, 3:9]
    assert found.values.tobytes() == wanted.values.tobytes()


def test_the_geometry_is_that_of_the_shot(opened) -> None:
    """A wavelength that varies changes the resolution."""
    one, other = (opened.image.isel(shot=n).nbdask.resolution().values for n in (0, 2))
    assert np.allclose(other, 1.2 * one, rtol=1e-12)
    assert opened.isel(shot=1).nbdask.experiment == SERIES.shot(1)


def test_a_series_as_a_whole_asks_for_a_shot(opened) -> None:
    """In one line."""
    with pytest.raises(InputError, match=r"image.isel\(shot=0\).nbdask"):
        opened.image.nbdask.gradient(BY)


def test_spectra_vary_too() -> None:
    """Each shot has its own."""
    spectra = MeasuredSpectra((0.99e-10, 1.01e-10), [[1.0, 2.0], [2.0, 1.0]])
    series = Series(COMMON, 2, (spectra,), 1)
    found = nbdask.series(series).isel(shot=1).nbdask.gradient(BY)
    wanted = nbdask.gradient(series.shot(1), BY)["gradient"]
    assert found.values.tobytes() == wanted.values.tobytes()


def test_a_panel() -> None:
    """Its own derivatives, of the pixels that are left."""
    image = nbdask.image(several()).isel(panel=1)
    found = image[2:5].nbdask.gradient("detector.shift.z")
    wanted = nbdask.gradient(several(), "detector.shift.z")["gradient"][:, 1, 2:5]
    assert found.values.tobytes() == wanted.values.tobytes()

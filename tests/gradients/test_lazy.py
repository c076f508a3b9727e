"""Lazy gradients: names, units, chunks, regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import BackendError, FieldError, InputError
from nbdask.experiment import Sampling
from tests.gradients.support import BASE, KINDS, planes_of
from tests.helpers import image_of

NAMES = ["crystal.turn", "detector.distance"]


def test_dimensions_units_and_values() -> None:
    """A plane for each parameter, whose name, unit and value stand beside it."""
    found = nbdask.gradient(BASE, NAMES, tile=4)
    assert found["gradient"].dims == ("parameter", "slow", "fast")
    assert found["gradient"].shape == (4, 6, 7)
    assert found["gradient"].chunks == ((4,), (4, 2), (4, 3))
    assert list(found["parameter"].values)[-1] == "detector.distance"
    assert list(found["unit"].values) == ["rad", "rad", "rad", "m"]
    assert found["value"].values[-1] == 0.1
    assert found.attrs["fingerprint"] == BASE.fingerprint()
    assert np.allclose(found["image"], image_of(BASE), rtol=3e-7, atol=0)


@pytest.mark.parametrize("tile", [1, (2, 7), (6, 3)], ids=str)
@pytest.mark.parametrize("kind", ["mosaic and phi", "carried over"])
def test_planes_do_not_depend_on_tiles(kind: str, tile: int | tuple[int, int]) -> None:
    """Bit for bit."""
    whole = nbdask.gradient(KINDS[kind], NAMES)["gradient"].values
    assert np.array_equal(nbdask.gradient(KINDS[kind], NAMES, tile=tile)["gradient"].values, whole)


def test_a_region_of_interest_has_zeros_around() -> None:
    """As the image."""
    experiment = replace(BASE, sampling=Sampling(oversample=1, roi=(1, 4, 2, 5)))
    found = nbdask.gradient(experiment, NAMES, tile=(3, 7), backend="numpy").compute()
    assert not found["gradient"][:, 0].any()
    assert not found["gradient"][:, :, 6].any()
    whole = planes_of(BASE, NAMES)
    assert np.array_equal(found["gradient"][:, 1:5, 2:6], whole[1:, 1:5, 2:6])


def test_an_image_knows_its_gradient() -> None:
    """Of the pixels that it still holds."""
    part = nbdask.image(BASE)[2:4, 1:5]
    found = part.nbdask.gradient("crystal.turn.x", backend="numpy")
    assert found.shape == (1, 2, 4)
    assert np.array_equal(found[0], planes_of(BASE, "crystal.turn.x")[1, 2:4, 1:5])


def test_equal_gradients_have_equal_names() -> None:
    """So that dask computes them once."""
    one, same = (nbdask.gradient(BASE, NAMES)["gradient"].data.name for _ in range(2))
    assert one == same
    assert nbdask.gradient(BASE, NAMES[:1])["gradient"].data.name != one


@pytest.mark.parametrize(
    ("experiment", "names", "options", "error"),
    [
        ("no experiment", NAMES, {}, InputError),
        (BASE, "crystal.mosaic_spread", {}, FieldError),
        (BASE, NAMES, {"backend": "cuda"}, BackendError),
        (BASE, NAMES, {"tile": 0}, FieldError),
    ],
    ids=["experiment", "parameter", "backend", "tile"],
)
def test_what_cannot_be_differentiated_is_refused(
    experiment: object, names: object, options: dict, error: type[Exception]
) -> None:
    """Before anything is computed."""
    with pytest.raises(error):
        nbdask.gradient(experiment, names, **options)

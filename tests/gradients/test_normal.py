"""Normal equations: the sums of planes, whatever the tiles, masks and kinds of arrays."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import xarray

import nbdask
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Sampling
from nbdask.gradients.normal import LEAST_VARIANCE
from tests.gradients.support import BASE, planes_of

NAMES = "crystal.turn,crystal.cell.a,detector.distance"
RANDOM = np.random.default_rng(4)
DATA = RANDOM.poisson(planes_of(BASE, ())[0] * 1.1 + 2.0).astype(float)


def test_sums_are_those_of_the_planes() -> None:
    """Of J J^T / V, J r / V and r^2 / V, with the model's own variance."""
    found = nbdask.normal_equations(BASE, DATA, NAMES, background=2.0, readout=1.5)
    image, *planes = planes_of(BASE, NAMES).reshape(6, -1)
    jacobian, variance = np.array(planes), image + 2.0 + 1.5**2
    residual = DATA.reshape(-1) - 2.0 - image
    assert np.allclose(found.hessian, jacobian / variance @ jacobian.T, rtol=1e-9)
    assert np.allclose(found.gradient, jacobian @ (residual / variance), rtol=1e-9)
    assert found.chi2 == pytest.approx((residual**2 / variance).sum())
    assert found.pixels == DATA.size
    assert found.names[-1] == "detector.distance"
    assert found.units == ("rad", "rad", "rad", "m", "m")


def test_the_loss_falls_as_the_gradient_says() -> None:
    """Half its slope, of a deviance that is 0 where data and model agree."""
    step = 1e-4 * BASE.beam.fluence

    def loss(fluence: float) -> float:
        experiment = replace(BASE, beam=replace(BASE.beam, fluence=fluence))
        return nbdask.normal_equations(
            experiment, DATA, "beam.fluence", background=2.0, readout=1.0
        ).loss

    fluence = BASE.beam.fluence
    slope = (loss(fluence + step) - loss(fluence - step)) / 2 / step
    found = nbdask.normal_equations(BASE, DATA, "beam.fluence", background=2.0, readout=1.0)
    assert -2.0 * found.gradient[0] == pytest.approx(slope, rel=1e-5)
    same = nbdask.normal_equations(BASE, planes_of(BASE, ())[0] + 2.0, NAMES, background=2.0)
    assert abs(same.loss) < 1e-9


@pytest.mark.parametrize("kind", ["numpy", "dask", "xarray", "list"])
def test_any_array_will_do_and_tiles_do_not_matter(kind: str) -> None:
    """To the rounding of sums."""
    made = {
        "numpy": DATA,
        "dask": da.from_array(DATA, 5),
        "xarray": xarray.DataArray(DATA, dims=("slow", "fast")),
        "list": DATA.tolist(),
    }[kind]
    whole = nbdask.normal_equations(BASE, DATA, NAMES, background=1.0)
    found = nbdask.normal_equations(BASE, made, NAMES, background=1.0, tile=(4, 3))
    assert np.allclose(found.hessian, whole.hessian, rtol=1e-12)
    assert found.loss == pytest.approx(whole.loss, rel=1e-12)
    numbers = (np.int64(4), np.int32(3))
    again = nbdask.normal_equations(BASE, made, NAMES, background=1.0, tile=numbers)
    assert np.array_equal(again.hessian, found.hessian)


def test_pixels_that_are_masked_missing_or_outside_do_not_count() -> None:
    """Neither as numbers nor in the sums."""
    mask = np.ones(DATA.shape, dtype=bool)
    mask[0] = False
    holes = np.where(mask, DATA, np.nan)
    masked = nbdask.normal_equations(BASE, DATA, NAMES, mask=mask, background=1.0)
    missing = nbdask.normal_equations(BASE, holes, NAMES, background=1.0)
    roi = replace(BASE, sampling=Sampling(oversample=1, roi=(1, 5, 0, 6)))
    outside = nbdask.normal_equations(roi, DATA, NAMES, background=1.0)
    assert masked.pixels == missing.pixels == outside.pixels == 35
    assert np.array_equal(masked.hessian, missing.hessian)
    assert np.allclose(masked.hessian, outside.hessian, rtol=1e-12)


def test_robust_sums_do_not_heed_a_wild_pixel() -> None:
    """It counts by its size, and pulls less."""
    wild = DATA.copy()
    wild[2, 3] += 1000.0
    plain = nbdask.normal_equations(BASE, wild, NAMES, background=2.0)
    robust = nbdask.normal_equations(BASE, wild, NAMES, background=2.0, robust=3.0)
    assert robust.loss < 0.1 * plain.chi2
    tame = nbdask.normal_equations(BASE, DATA, NAMES, background=2.0)
    pulled, held = plain.gradient - tame.gradient, robust.gradient - tame.gradient
    assert (np.abs(held) < 0.5 * np.abs(pulled)).all()
    assert robust.chi2 == plain.chi2


def test_variances_have_a_floor() -> None:
    """Where neither model nor background has a photon."""
    found = nbdask.normal_equations(BASE, DATA * 0.0, NAMES)
    assert np.isfinite(found.hessian).all()
    assert LEAST_VARIANCE > 0.0


@pytest.mark.parametrize(
    ("data", "options", "error"),
    [
        (DATA[1:], {}, InputError),
        (DATA, {"readout": -1.0}, FieldError),
        (DATA, {"readout": 1e300}, FieldError),
        (DATA, {"robust": 0.0}, FieldError),
        ([[1.0, 2.0], [3.0]], {}, FieldError),
        (xarray.Dataset({"image": (("slow", "fast"), DATA)}), {}, FieldError),
        (DATA, {"mask": [[True], [True, False]]}, FieldError),
        (DATA, {"tile": 1.5}, FieldError),
        (DATA, {"tile": True}, FieldError),
    ],
    ids=[
        "shape",
        "readout",
        "its square",
        "robust",
        "ragged",
        "dataset",
        "ragged mask",
        "tile",
        "no number",
    ],
)
def test_wrong_data_and_errors_are_refused(data: object, options: dict, error: type) -> None:
    """In one line."""
    with pytest.raises(error):
        nbdask.normal_equations(BASE, data, NAMES, **options)

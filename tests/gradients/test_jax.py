"""``nbdask.jax.render`` against JAX's own check of derivatives, where it is installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import FieldError, InputError
from nbdask.experiment import StructureFactors
from nbdask.gradients.rendered import Rendering
from tests.gradients.support import BASE
from tests.helpers import reflections
from tests.panels.several import several

jax = pytest.importorskip("jax", reason="jax is not installed")
from jax.test_util import check_grads  # noqa: E402

from nbdask.jax import render  # noqa: E402

NAMES = ("crystal.cell.a", "crystal.turn.x", "crystal.turn.y", "detector.distance")
UNITS = np.array([1e-9, 0.1, 0.1, 0.1])
VALUES = np.array([7.0, 0.3, -0.2, 1.0])
MOVES = ("crystal.turn.y", "detector.turn.x", "detector.shift.y", "panel.tilted.turn.x",
         "panel.skew 2.shift.z")  # fmt: skip
MOVE_UNITS = np.array([0.1, 0.01, 1e-3, 0.01, 1e-3])


@pytest.fixture(autouse=True)
def wide():
    """Numbers of 64 bits, for these tests alone."""
    with jax.enable_x64(True):
        yield


@pytest.mark.long
@pytest.mark.parametrize(
    ("experiment", "names", "units", "values"),
    [
        (BASE, NAMES, UNITS, VALUES),
        (several(), MOVES, MOVE_UNITS, np.array([0.3, 0.5, 0.7, 0.6, -0.3])),
    ],
)
def test_derivatives_pass_the_check(experiment, names, units, values) -> None:
    """Relative 1e-6 of differences, of turns that are not small and of panels as well."""
    scale = float(render(experiment, dict(zip(names, values * units, strict=True))).max())

    def image(values):
        return render(experiment, dict(zip(names, values * units, strict=True))) / scale

    check_grads(image, (jax.numpy.array(values),), 1, ["rev"], rtol=1e-6, atol=1e-7, eps=1e-6)


def test_the_image_and_its_shape_are_those_of_nbdask() -> None:
    """To the bit, compiled or not, one by one or mapped."""
    wanted = Rendering(BASE, NAMES).at(VALUES * UNITS).image()

    def image(values):
        return render(BASE, dict(zip(NAMES, values, strict=True)))

    values = jax.numpy.array(VALUES * UNITS)
    assert np.asarray(image(values)).tobytes() == wanted.tobytes()
    assert np.asarray(jax.jit(image)(values)).tobytes() == wanted.tobytes()
    both = jax.vmap(image)(jax.numpy.stack([values, values]))
    assert np.asarray(both[1]).tobytes() == wanted.tobytes()
    assert render(several(), {}).shape == (3, 11, 14)


def test_amplitudes_have_derivatives() -> None:
    """In the order of the reflections; also within a compiled step of an optimizer."""
    rows = reflections(2)
    experiment = replace(BASE, structure=StructureFactors(reflections=rows))
    f = jax.numpy.array([row[3] for row in rows])

    def total(amplitudes, fluence):
        return render(experiment, {"beam.fluence": fluence}, amplitudes).sum()

    value, found = jax.jit(jax.value_and_grad(total, (0, 1)))(f, 1e24)
    assert float((found[0] * f).sum()) == pytest.approx(2.0 * float(value), rel=1e-10)
    assert float(found[1]) == pytest.approx(float(value) / 1e24, rel=1e-10)


def test_what_cannot_be_rendered_is_refused() -> None:
    """Names, values, numbers of 32 bits."""
    with pytest.raises(FieldError, match="parameters"):
        render(BASE, {"crystal.size": 1.0})
    with pytest.raises(Exception, match=r"beam.wavelength = -1"):
        np.asarray(render(BASE, {"beam.wavelength": -1.0}))
    with jax.enable_x64(False), pytest.raises(InputError, match="64-bit numbers"):
        render(BASE, {"beam.wavelength": 1e-10})

"""``nbdask.torch.render`` against PyTorch's own check of derivatives, where it is installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError
from nbdask.experiment import StructureFactors
from nbdask.gradients.change import turned
from tests.gradients.support import BASE, KINDS, image64
from tests.helpers import reflections
from tests.panels.several import several

torch = pytest.importorskip("torch")
from nbdask.torch import render  # noqa: E402

NAMES = ("crystal.cell.a", "crystal.turn.x", "crystal.turn.y", "detector.distance")
UNITS = torch.tensor([1e-9, 0.1, 0.1, 0.1], dtype=torch.float64)
VALUES = torch.tensor([7.0, 0.3, -0.2, 1.0], dtype=torch.float64)
PANELS = several()
MOVES = ("crystal.turn.y", "detector.turn.x", "detector.shift.y", "panel.tilted.turn.x",
         "panel.skew 2.shift.z")  # fmt: skip
MOVE_UNITS = torch.tensor([0.1, 0.01, 1e-3, 0.01, 1e-3], dtype=torch.float64)


@pytest.mark.long
def test_derivatives_pass_the_check() -> None:
    """Relative 1e-6 of differences, of a turn that is not small as well."""

    def image(values):
        named = dict(zip(NAMES, values * UNITS, strict=True))
        return render(BASE, named) * 1e3

    values = VALUES.clone().requires_grad_()
    assert torch.autograd.gradcheck(image, values, eps=1e-6, rtol=1e-6, atol=1e-6)


def test_the_image_is_that_of_the_values() -> None:
    """To the rounding of turned axes."""
    named = dict(zip(NAMES, VALUES * UNITS, strict=True))
    expected = image64(turned(BASE, np.array([0.03, -0.02, 0.0])))
    assert np.allclose(render(BASE, named).numpy(), expected, rtol=1e-9)


def test_amplitudes_have_derivatives() -> None:
    """In the order of the reflections."""
    rows = reflections(2)
    experiment = replace(BASE, structure=StructureFactors(reflections=rows))
    f = torch.tensor([row[3] for row in rows], dtype=torch.float64, requires_grad=True)
    image = render(experiment, {}, f)
    image.sum().backward()
    twice = 2.0 * float(image.detach().sum())
    assert float((f.grad * f.detach()).sum()) == pytest.approx(twice, rel=1e-10)
    best = int(f.grad.abs().argmax())
    changed = [f.detach().clone(), f.detach().clone()]
    changed[0][best] += 0.01
    changed[1][best] -= 0.01
    plus, minus = (float(render(experiment, {}, g).sum()) for g in changed)
    assert float(f.grad[best]) == pytest.approx((plus - minus) / 0.02, rel=1e-6)


@pytest.mark.long
def test_panels_that_move_pass_the_check() -> None:
    """All of them and single ones, turned and shifted; three dimensions."""
    scale = float(render(PANELS, {}).max())

    def image(values):
        named = dict(zip(MOVES, values * MOVE_UNITS, strict=True))
        return render(PANELS, named) / scale

    values = torch.tensor([0.3, 0.5, 0.7, 0.6, -0.3], dtype=torch.float64, requires_grad=True)
    assert image(values).shape == (3, 11, 14)
    assert torch.autograd.gradcheck(image, values, eps=1e-6, rtol=1e-6, atol=1e-7)


def test_what_cannot_be_rendered_is_refused() -> None:
    """Names and amplitudes."""
    with pytest.raises(FieldError, match="parameters"):
        render(BASE, {"crystal.size": torch.tensor(1.0)})
    with pytest.raises(FieldError, match="reflections"):
        render(KINDS["square"], {}, torch.ones(3))
    assert nbdask.gradient is not None

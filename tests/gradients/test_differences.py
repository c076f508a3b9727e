"""Every derivative of every kind of experiment against differences of the eighth order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbdask.geometry.build import build_model
from nbdask.gradients.change import stepped
from nbdask.gradients.parameters import FIELDS, parameters_of, refusal, value_of
from tests.gradients.support import KINDS, image64, planes_of

#: Of differences of the eighth order.
WEIGHTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
#: Jumps of a list, of carried angles, of rounding to single precision are no part of a derivative.
LEFT = {"list", "interpolated", "carried over"}

pytestmark = pytest.mark.long


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LEFT])
def test_planes_are_the_slopes_of_the_image(kind: str) -> None:
    """To 1e-9 of each plane's largest value, at the best of some steps."""
    experiment = KINDS[kind]
    model = build_model(experiment)
    names = [name for name in FIELDS if refusal(experiment, name, model) is None]
    names = [name for name in names if FIELDS[name].field not in ("n_cells", "mosaic_spread")]
    image, *planes = planes_of(experiment, names)
    for name, plane in zip(names, planes, strict=True):
        parameters, top = parameters_of(name), float(np.abs(plane).max())
        value = abs(value_of(experiment, name) or math.inf)
        if top * value < 1e-6 * float(image.max()):
            continue  # Nothing is left of it in differences.
        least = math.inf
        for part in (1e-2, 3e-3, 1e-3, 3e-4):
            step = min(part * float(image.max()) / top, 10.0 * part * value)
            slope = sum(
                weight
                * (
                    image64(stepped(experiment, parameters, [count * step]))
                    - image64(stepped(experiment, parameters, [-count * step]))
                )
                for count, weight in WEIGHTS.items()
            )
            least = min(least, float(np.abs(slope / step - plane).max()) / top)
            if least < 1e-9:
                break
        assert least < 1e-9, name

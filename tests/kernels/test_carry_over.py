"""The first evaluation of an image: found once for each panel, and no model is kept for it."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace

import pytest

from nbdask.experiment import Scan
from nbdask.geometry.build import build_model
from nbdask.kernels import carry_over
from nbdask.kernels.carry_over import FirstEvaluation, find_first_evaluation
from tests.helpers import small_experiment

EXPERIMENT = small_experiment(scan=Scan(phi0=0.0, osc=math.radians(1.0), count=2), semantics="c")


def test_every_tile_asks_and_one_search_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is evaluated."""
    model = build_model(EXPERIMENT)
    never = replace(model, dmin=1.0)
    assert find_first_evaluation(model) == FirstEvaluation(0, 0, 0)
    assert find_first_evaluation(never) is None
    monkeypatch.setattr(carry_over, "_search", None)
    assert find_first_evaluation(model) == FirstEvaluation(0, 0, 0)
    assert find_first_evaluation(never) is None


def test_a_model_that_nobody_holds_is_let_go() -> None:
    """With its table of amplitudes, which may be large."""
    model = build_model(EXPERIMENT)
    find_first_evaluation(model)
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None

"""What the compiled loops of derivatives read of a model and its basis."""

from __future__ import annotations

import gc
import weakref

from nbdask.geometry.build import build_model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.pack import pack_basis
from nbdask.gradients.parameters import parameters_of
from tests.gradients.support import with_crystal


def test_a_basis_is_packed_once_and_not_kept_alive() -> None:
    """Tasks share what they read, and a fit's models and bases go with their steps."""
    experiment = with_crystal()
    model = build_model(experiment)
    basis = basis_of(experiment, model, parameters_of("crystal.turn"))
    packed = pack_basis(model, basis)
    assert pack_basis(model, basis) is packed
    assert pack_basis(model, basis, pulled=True) is not packed
    assert pack_basis(build_model(experiment), basis) is not packed
    seen = weakref.ref(model), weakref.ref(basis)
    del model, basis
    gc.collect()
    assert [one() for one in seen] == [None, None]

"""nanoBragg's own noise as a step."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from nbdask import derive
from nbdask.derive.noise_c import CNoise
from nbdask.errors import FieldError

IMAGE = np.random.default_rng(1).exponential(20.0, (40, 50)).astype(np.float32)


def test_whole_images_in_memory() -> None:
    """The very counts of the sequence; steps that look at one pixel may follow."""
    counts = CNoise(7).image_rows(IMAGE)
    assert np.array_equal(derive.Pipeline((derive.PoissonC(),), 7).apply(IMAGE), counts)
    more = derive.Pipeline((derive.PoissonC(), derive.Offset(40.0)), 7)
    assert np.array_equal(more.apply(IMAGE), counts + 40)


@pytest.mark.parametrize(
    "steps",
    [
        (derive.Offset(1.0), derive.PoissonC()),
        (derive.PoissonC(), derive.PoissonC()),
        (derive.PoissonC(), derive.GaussianPSF(1.0)),
    ],
)
def test_what_the_sequence_does_not_allow(steps) -> None:
    """It begins with the first pixel of the source and looks at one pixel at a time."""
    with pytest.raises(FieldError, match="steps"):
        derive.Pipeline(steps, 7).apply(IMAGE)


def test_lazy_arrays_are_refused() -> None:
    """A chunk alone has no place in the sequence."""
    with pytest.raises(FieldError, match="lazy arrays"):
        derive.Pipeline((derive.PoissonC(),), 7).apply(da.from_array(IMAGE, chunks=20))

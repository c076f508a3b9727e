"""Sizes as text, and bytes of tasks."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from nbdask.errors import PlanError
from nbdask.experiment import StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan import memory
from tests.helpers import reflections, small_experiment


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (1000, 1000),
        ("4e9", 4_000_000_000),
        ("2GB", 2_000_000_000),
        ("1.5 GiB", 3 << 29),
        ("800M", 800 << 20),
        ("512kib", 512 << 10),
        ("3 b", 3),
    ],
)
def test_sizes_are_read(text, count) -> None:
    """Decimal and binary units, with or without a blank, in any case."""
    assert memory.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "5 XB", "1.2.3", "GB", None])
def test_other_text_is_refused(text) -> None:
    """The message names the flag and what was given."""
    with pytest.raises(PlanError, match="--memory-limit"):
        memory.parse_bytes(text)


def test_sizes_are_shown() -> None:
    """Sizes for people carry a binary unit."""
    assert memory.format_bytes(12) == "12 B"
    assert memory.format_bytes(3 << 29) == "1.5 GiB"
    assert memory.format_bytes(5 << 41) == "10.0 TiB"


def test_model_bytes_counts_every_array() -> None:
    """The bytes of the model are at least those of its tables."""
    model = build_model(small_experiment())
    values = [getattr(model, field.name) for field in fields(model)]
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    assert memory.model_bytes(model) == sum(a.nbytes for a in arrays) > 0


def test_task_bytes_grow_with_pixels_and_ranges() -> None:
    """A split tile holds more planes, a bigger one more pixels."""
    model, need = build_model(small_experiment()), ReferenceKernel().working_bytes
    whole = memory.task_bytes(model, 1 << 20, 1, need)
    assert whole > need(model, 1 << 20) + (1 << 20) * 8
    assert memory.task_bytes(model, 1 << 20, 3, need) > whole
    assert memory.task_bytes(model, 1 << 22, 1, need) > 3 * whole


def test_model_bytes_counts_the_copy_of_squared_amplitudes() -> None:
    """A list that is not interpolated is held twice: as it is, and squared with a border."""
    structure = StructureFactors(reflections=reflections(3))
    model = build_model(small_experiment(structure=structure))
    assert not model.interpolate
    arrays = [getattr(model, field.name) for field in fields(model)]
    alone = sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
    size = np.array(model.f_grid.shape) + 2
    assert memory.model_bytes(model) == alone + 8 * int(np.prod(size))
    assert memory.model_bytes(replace(model, interpolate=True)) == alone

"""Errors of work that is simply done again."""

from __future__ import annotations

import pytest

from nbdask.cluster.watch import ClusterLostError
from nbdask.errors import StoreError, UnfinishedError
from nbdask.fill.again import repeatable


def test_nobody_is_told_of_an_option_that_is_not_there() -> None:
    """The advice is the same command; kind and exit code of the error stay."""
    with (
        pytest.raises(ClusterLostError, match=r"run the same command to compute") as lost,
        repeatable("a.zarr"),
    ):
        raise ClusterLostError("run the same command with --resume to compute what is missing")
    assert lost.value.exit_code == 1
    with pytest.raises(StoreError) as failed, repeatable("a.zarr"):
        raise UnfinishedError(["tile 3: no", "tile 4: no"])
    assert str(failed.value) == (
        "a.zarr: 2 parts failed on every try: tile 3: no; tile 4: no; the same command tries"
        " them again"
    )

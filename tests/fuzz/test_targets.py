"""A few inputs for every target; ``python -m tests.fuzz`` feeds many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.inputs import amplitudes
from tests.fuzz.targets import Target, targets

NAMES = (
    *(
        "hkl",
        "fdump",
        "matrix",
        "sources",
        "domains",
        "spectrum",
        "header",
        "mask",
        "toml",
        "pipeline",
        "map",
    ),
    *("log", "costs", "flags", "values", "store"),
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """All targets, in a folder of their own."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(amplitudes, "MAX_VALUES", amplitudes.MAX_VALUES)  # put back at the end
        yield targets(Path(folder))


def test_every_target_is_fed(known: dict[str, Target]) -> None:
    """None is left out below."""
    assert tuple(known) == NAMES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_nearly_right_is_read_or_refused(name: str, known: dict[str, Target]) -> None:
    """Any error but those that nbdask means fails the test, and hypothesis shrinks the input."""
    target = known[name]

    @settings(max_examples=5 if name == "store" else 40, deadline=None)
    @given(st.randoms(use_true_random=False))
    def feed(chance: Random) -> None:
        target.feed(target.draw(chance))

    feed()

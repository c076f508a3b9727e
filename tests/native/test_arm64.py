"""The arm64 library loads on arm64."""

from __future__ import annotations

import pytest

from tests.native import arm64


@pytest.mark.long
@pytest.mark.skipif(arm64.missing() is not None, reason=str(arm64.missing()))
def test_the_arm64_library_loads() -> None:
    code = (
        "import platform; from nbdask.native import library as it; print(platform.machine());"
        "print(it.missing_note()); print(*it.levels()); print(it.recipe())"
    )
    machine, note, levels, recipe = arm64.run(code).splitlines()
    assert (machine, note, levels) == ("aarch64", "None", "aarch64")
    assert "-ffp-contract=off" in recipe

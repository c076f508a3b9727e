"""What users of Python are told."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbdask
from nbdask.errors import ClusterError, InputError, StoreError, in_python, nearest
from tests.helpers import small_experiment


@pytest.mark.parametrize("call", [nbdask.image, lambda given: nbdask.simulate(given, "a.zarr")])
@pytest.mark.parametrize("given", [None, "-cell 70", {"crystal": {}}])
def test_what_is_no_experiment_is_refused(call, given) -> None:
    """With the ways to make one."""
    with pytest.raises(InputError, match=r"must be an nbdask\.Experiment, such as .*from_args"):
        call(given)


@pytest.mark.parametrize("call", [nbdask.open, nbdask.verify, nbdask.repair])
@pytest.mark.parametrize("given", [None, 7, b"a.zarr"])
def test_what_is_no_path_is_refused(call, given) -> None:
    """In one line."""
    with pytest.raises(StoreError, match=r"is not a path: give "):
        call(given)


def test_arguments_are_named_beside_options(tmp_path: Path) -> None:
    """The message keeps the command line's words; a note says which arguments these are."""
    nbdask.simulate(small_experiment(), tmp_path / "a.zarr", backend="numpy", threads=1)
    with pytest.raises(StoreError) as found:
        nbdask.simulate(small_experiment(), tmp_path / "a.zarr", backend="numpy")
    assert found.value.__notes__ == ["In Python: --out is out=..., --overwrite is overwrite=..."]
    with pytest.raises(ClusterError) as other:
        nbdask.simulate(
            small_experiment(), tmp_path / "b.zarr", backend="numpy", cluster="slurm", workers=1
        )
    assert "--memory is jobs=JobOptions(memory=...)" in other.value.__notes__[0]


def test_other_errors_have_no_note() -> None:
    """Nothing is added where no option is named."""

    @in_python
    def fail() -> None:
        raise InputError("a -- b")

    with pytest.raises(InputError) as found:
        fail()
    assert not hasattr(found.value, "__notes__")


def test_only_near_words_are_suggested() -> None:
    """Those that begin alike before those that look alike; capitals and dashes do not count."""
    known = ["-lambda", "-roi", "-osc", "-mosaic", "-mosflm", "-ORGX"]
    assert nearest("-lamda", known) == ["-lambda"]
    assert nearest("--LAMBDA", known, most=3) == ["-lambda"]
    assert nearest("-orgx", known, most=3) == ["-ORGX"]
    assert nearest("-mos", known, most=2) == ["-mosaic", "-mosflm"]
    assert nearest("-foo", known, most=3) == []
    assert nearest("-x", known, most=3) == []

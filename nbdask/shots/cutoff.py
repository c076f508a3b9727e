"""A cutoff that is given beside an experiment or a series, and which kernels take one."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from nbdask.errors import BackendError
from nbdask.experiment import Experiment
from nbdask.shots.series import Series

Subject = TypeVar("Subject", Experiment, Series, Experiment | Series)


def with_cutoff(work: Subject, cutoff: float | str | None) -> Subject:
    """Return an experiment or series with a cutoff; for None, and of anything else, the same."""
    if cutoff is None or not isinstance(work, Experiment | Series):
        return work
    common = work if isinstance(work, Experiment) else work.experiment
    given = common.replace(sampling=replace(common.sampling, cutoff=cutoff))
    return given if isinstance(work, Experiment) else replace(work, experiment=given)


def check_cutoff(work: Experiment | Series, backend: str) -> None:
    """Refuse a cutoff with a kernel that leaves nothing out.

    Raises
    ------
    BackendError
        Any but the processor's.
    """
    common = work if isinstance(work, Experiment) else work.experiment
    if common.sampling.cutoff is not None and backend != "cpu":
        raise BackendError(
            f"--cutoff {common.sampling.cutoff}: terms are left out with --backend cpu only, not"
            f" with {backend}"
        )

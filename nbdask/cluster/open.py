"""Spec -> cluster, started or reached for as long as it is needed."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from nbdask.cluster.executor import Executor
from nbdask.cluster.kinds import kind_of
from nbdask.cluster.spec import ClusterSpec

_log = logging.getLogger("nbdask.cluster")


def open_cluster(spec: ClusterSpec) -> AbstractContextManager[Executor]:
    """Start what a spec asks for, and always end it afterwards.

    Returns
    -------
    context manager
        Gives an Executor.

    Raises
    ------
    ClusterError
        It cannot be started.
    """
    layout = spec.layout
    _log.info("%s: %d workers of %d threads", spec.kind, layout.workers, layout.threads)
    return kind_of(spec.kind).open_spec(spec)

"""Work that has no ``--resume``: the same command, given again, does what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nbdask.errors import ClusterError, StoreError, UnfinishedError, counted

#: Reasons that are told.
_MOST = 3


@contextmanager
def repeatable(name: object) -> Iterator[None]:
    """Word errors of such work.

    Parameters
    ----------
    name : Path or str
        The store, for messages.

    Raises
    ------
    StoreError
        Parts failed on every try.
    ClusterError
        As it was raised, but for the advice to resume.
    """
    try:
        yield
    except UnfinishedError as error:
        why = "; ".join(error.tiles[:_MOST])
        raise StoreError(
            f"{name}: {counted(len(error.tiles), 'part')} failed on every try: {why}; the same"
            " command"
            " tries them again"
        ) from error
    except ClusterError as error:
        error.args = (str(error).replace(" with --resume", ""), *error.args[1:])
        raise

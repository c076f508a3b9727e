"""The run that ``large_kills`` kills: small tiles, each slowed down and put on a list when begun.

    python -m benchmarks.large_kill_job STORE LIST CLUSTER [resume]

Worker processes import this module too, so the same holds in them; workers of a running scheduler
do so by ``--preload benchmarks.large_kill_job`` with the list named by ``NBDASK_KILL_LIST``.
"""

from __future__ import annotations

import math
import os
import sys
import time

from nbdask.cluster import copies
from nbdask.flags import from_args
from nbdask.geometry.model import Model
from nbdask.kernels.interface import Mask, Partial
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.run import simulate

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -pixel 0.2 -detpixels 96 -oversample 1"
TILE, TILES = 12, 64
#: Tasks that run at once, in every kind of run.
AT_ONCE = 2
#: Seconds by which each tile is slowed down, so that a kill finds it in any state; the variable
#: gives another number.
SLOWER_BY = "NBDASK_KILL_SLOWER"
SLOWER = float(os.environ.get(SLOWER_BY, "0.03"))

#: Variable that names a file: while it is there, a process begins no more tiles than it says, so
#: that a kill finds the run in the middle on however busy a machine.
HOLD = "NBDASK_KILL_HOLD"
#: Variable that names the list.
LIST = "NBDASK_KILL_LIST"
_partial = ReferenceKernel.partial
#: Stamp of the file that holds -> tiles that this process began since.
_since: dict[int, int] = {}


def hold() -> None:
    """Wait while the file that holds is there and says so."""
    path = os.environ.get(HOLD, "")
    try:
        stamp = os.stat(path).st_mtime_ns
        with open(path) as file:
            limit = int(file.read() or "0")
    except FileNotFoundError:
        return
    _since[stamp] = _since.get(stamp, 0) + 1
    while _since[stamp] > limit and os.path.exists(path):
        time.sleep(0.01)


def _noted(
    self: ReferenceKernel, model: Model, tile: Tile, steps: StepRange, mask: Mask | None
) -> Partial:
    """Put the tile on the list, as one write that no kill can split, then evaluate it."""
    hold()
    handle = os.open(os.environ[LIST], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{tile.slow0} {tile.fast0}\n".encode())
    os.close(handle)
    time.sleep(SLOWER)
    return _partial(self, model, tile, steps, mask)


def main() -> None:
    """Begin the run, or finish it."""
    store, listed, cluster, *more = sys.argv[1:]
    os.environ[LIST] = listed
    alone, running = cluster == "threads", ":" in cluster
    # What a kill costs is counted, not what idle workers begin beside slow ones.
    copies.LATE = math.inf
    simulate(
        from_args(FLAGS.split()),
        store,
        backend="numpy",
        tile=TILE,
        cluster=cluster,
        workers=None if alone else AT_ONCE,
        threads=AT_ONCE if alone else None if running else 1,
        resume=bool(more),
    )


if __name__ in ("__main__", "__mp_main__") or LIST in os.environ:
    ReferenceKernel.partial = _noted  # type: ignore[method-assign]
if __name__ == "__main__":
    main()

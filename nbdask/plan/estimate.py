"""The time of a run: its parts, and which of them it waits for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nbdask.plan import leading
from nbdask.plan.cost import Costs

#: Bytes of a pixel in the store: smooth images of which every pixel differs leave 3.5.
STORED = 3.5
#: Times that writing a tile waits as long as for a small file: two files and their folders.
SYNCS = 7
#: Seconds between a job's start and its worker's first task: an interpreter from a network's disk,
#: and the number of workers is looked at every 5 s.
JOB_SECONDS = 10.0
#: Seconds that a pixel's sum takes to be added to another, and to reach another process first.
MERGED, MOVED = 3e-9, 2e-8


@dataclass(frozen=True, slots=True)
class Workers:
    """How many tasks run at once.

    Parameters
    ----------
    workers : int
        Processes that evaluate tiles.
    threads : int
        Tasks at a time in each.
    processes : int
        Processes in all, the one that leads included.
    cores : int
        Cores that all of them share; 0: each thread has one of its own.
    queued : bool
        Whether workers are jobs, which wait in a queue for a time that nobody knows.
    """

    workers: int = 1
    threads: int = 1
    processes: int = 1
    cores: int = 0
    queued: bool = False

    @property
    def total(self) -> int:
        """Tasks that run at once."""
        return self.workers * self.threads

    def times(self, count: int) -> Workers:
        """Return so many of the same, each with a machine of its own."""
        return replace(self, workers=self.workers * count, cores=self.cores * count)

    @property
    def at_once(self) -> int:
        """Tasks that compute at the same time: no more than there are cores."""
        return min(self.total, self.cores) if self.cores else self.total

    @property
    def led(self) -> bool:
        """Whether a scheduler and a leading process hand out tasks to others."""
        return self.processes > 1


@dataclass(frozen=True, slots=True)
class Storage:
    """How fast the storage takes a file.

    Parameters
    ----------
    latency : float
        Seconds until a small file is safe; 0: nobody waits for that.
    bandwidth : float
        Bytes per second of one writer.
    measured : bool
        Whether at the store's own place.
    """

    latency: float = 0.001
    bandwidth: float = 5e8
    measured: bool = False

    def __str__(self) -> str:
        """Return its speed in words."""
        if not self.measured:
            return "storage not measured"
        return f"storage {self.bandwidth / 1e6:.0f} MB/s"

    def seconds(self, size: float) -> float:
        """Return the seconds that writing a tile of so many bytes waits for the storage."""
        return SYNCS * self.latency + size / self.bandwidth


@dataclass(frozen=True, slots=True)
class Pieces:
    """The work of a run, in seconds of one thread.

    Parameters
    ----------
    tiles, working : int
        All of them, and those that touch the region of interest.
    ranges : int
        Step ranges of a tile.
    pixels : int
        Of a full tile.
    evaluating : float
        All evaluations (of a GPU, where they run on one).
    finishing : float
        What is done once for each pixel.
    fullest : float
        All of that for the fullest tile.
    size : float
        Bytes that are written.
    on_device : bool
        Whether a GPU evaluates while threads do the rest.
    copied : int
        Pixels of files that are made of the finished store.
    """

    tiles: int
    working: int
    ranges: int
    pixels: int
    evaluating: float
    finishing: float
    fullest: float
    size: float
    on_device: bool = False
    copied: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of a run and of its parts.

    Attributes
    ----------
    total : float
    start : float
        Interpreter, imports, workers.
    computing : float
        Evaluations.
    writing : float
        What is done once for each pixel and tile, and waiting for the storage.
    leading : float
        Scheduler and leading process, which work meanwhile.
    tail : float
        While the last tasks run and not every thread has one.
    outputs : float
        Files that are made of the finished store.
    limit : str
        What the run waits for most, in words.
    storage : Storage
        That it is written to.
    """

    total: float
    start: float
    computing: float
    writing: float
    leading: float
    tail: float
    outputs: float
    limit: str
    storage: Storage

    def parts(self) -> str:
        """Return the parts that count, in one line."""
        names = ("start", "computing", "writing", "leading", "last tasks", "further files")
        values = (
            *(self.start, self.computing, self.writing, self.leading, self.tail),
            self.outputs,
        )
        shown = [
            f"{name} {format_seconds(value)}"
            for name, value in zip(names, values, strict=True)
            if value >= 0.01 * self.total
        ]
        return ", ".join(shown)


def estimate(pieces: Pieces, workers: Workers, costs: Costs, storage: Storage) -> Estimate:
    """Return the time that work takes.

    Parameters
    ----------
    pieces : Pieces
    workers : Workers
    costs : Costs
    storage : Storage

    Notes
    -----
    Some threads evaluate while others write, so the sum of both is shared out among them, but not
    what a process's interpreter does.  The leading process works meanwhile, on a core of its own or
    on one that it takes from the others.
    """
    start = start_seconds(workers, costs)
    cores, threads = workers.at_once, workers.total
    computing, writing = _computing(pieces, workers), _writing(pieces, workers, costs, storage)
    busy = max(computing, writing) if pieces.on_device else computing + writing
    tail = _tail(pieces, workers)
    led = _leading(pieces, workers, busy * cores / max(pieces.tiles, 1))
    working = busy + tail
    if workers.led and workers.cores and threads >= workers.cores:
        working += led / workers.cores  # the leading process takes its share of the cores
    outputs = costs.of_run("copy") * pieces.copied
    parts = {
        "the start": start,
        "computing": computing,
        "writing": writing,
        "the last tasks": tail,
        "the leading process": led,
        "further files": outputs,
    }
    limit = max(parts, key=parts.__getitem__)
    total = start + max(working, led) + outputs
    return Estimate(total, start, computing, writing, led, tail, outputs, limit, storage)


def start_seconds(workers: Workers, costs: Costs) -> float:
    """Return the seconds before the first tile and after the last."""
    start = costs.of_run("start")
    if workers.queued:
        return start + JOB_SECONDS
    if workers.led:
        crowd = workers.workers / workers.cores if workers.cores else 1.0
        start += costs.of_run("workers") * max(1.0, crowd)
    return start


def _computing(pieces: Pieces, workers: Workers) -> float:
    """Return the seconds of all evaluations, and of adding up what step ranges give."""
    if pieces.on_device:
        return pieces.evaluating / workers.workers
    return (pieces.evaluating + pieces.working * _merging(pieces, workers)) / workers.at_once


def _merging(pieces: Pieces, workers: Workers) -> float:
    """Return the seconds of adding up the step ranges of a tile."""
    moved = MOVED if workers.workers > 1 else 0.0
    return (pieces.ranges - 1) * pieces.pixels * (MERGED + moved)


def _writing(pieces: Pieces, workers: Workers, costs: Costs, storage: Storage) -> float:
    """Return the seconds of what is done once for each pixel and tile."""
    # A process has one interpreter, which does the files of one tile after another.
    files = pieces.tiles * costs.of_run("tile") / min(workers.workers, workers.at_once)
    waiting = pieces.tiles * storage.seconds(pieces.size / pieces.tiles)
    shared = files + pieces.finishing / workers.at_once + waiting / workers.total
    # Processes of one machine share its disk; others are taken to have a way of their own.
    disks = 1 if workers.cores or not workers.led else workers.workers
    return max(shared, pieces.size / storage.bandwidth / disks)


def _leading(pieces: Pieces, workers: Workers, tile: float) -> float:
    """Return the seconds that scheduler and leading process work.

    Parameters
    ----------
    pieces : Pieces
    workers : Workers
    tile : float
        Seconds of a tile on one thread.
    """
    if not workers.led:
        return 0.0
    if pieces.ranges > 1:
        parts = 2 * pieces.ranges - 1
        return pieces.tiles * (leading.TASK + parts * leading.PART)
    # The first ones travel alone, since nobody knows yet how long they take.
    alone = min(pieces.tiles, workers.total + leading.ahead(workers.total))
    rest = (pieces.tiles - alone) / leading.together(max(tile, 1e-9), workers.total)
    return (alone + rest) * leading.TASK + pieces.tiles * leading.TILE


def _tail(pieces: Pieces, workers: Workers) -> float:
    """Return the seconds in which not all threads work: the last round is not a full one."""
    if pieces.on_device:
        return 0.0
    threads, count = workers.total, 1
    if workers.led and pieces.ranges == 1 and pieces.tiles > threads + leading.ahead(threads):
        count = leading.together(max(pieces.fullest, 1e-9), threads)
    task = pieces.fullest * count / pieces.ranges
    rounds = pieces.working * pieces.ranges / count / workers.at_once
    # A tile that was cut is added up and written by one thread.
    ending = pieces.finishing / pieces.tiles if pieces.ranges > 1 else 0.0
    return (math.ceil(rounds) - rounds) * task + _merging(pieces, workers) + ending


def format_seconds(seconds: float) -> str:
    """Return a duration for people: ``"3.1 s"``, ``"12 min"``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

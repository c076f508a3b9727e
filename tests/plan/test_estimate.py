"""The time of a run, part by part."""

from __future__ import annotations

import pytest

from nbdask.plan import leading
from nbdask.plan.cost import Costs
from nbdask.plan.estimate import JOB_SECONDS, SYNCS, Estimate, Pieces, Storage, Workers, estimate

COSTS = Costs({}, {"run/start": 1e9, "run/workers": 2e9, "run/tile": 1e6, "run/copy": 30.0})
#: Storage that nobody waits for.
MEMORY = Storage(0.0, 1e12)


def pieces(**changes) -> Pieces:
    """Return 100 tiles of a second, in which finishing takes no time."""
    usual = {
        "tiles": 100, "working": 100, "ranges": 1, "pixels": 10_000, "evaluating": 100.0,
        "finishing": 0.0, "fullest": 1.0, "size": 4e6,
    }  # fmt: skip
    return Pieces(**{**usual, **changes})


def told(workers: Workers, storage: Storage = MEMORY, **changes) -> Estimate:
    return estimate(pieces(**changes), workers, COSTS, storage)


def test_work_is_shared_by_the_threads_that_have_a_core() -> None:
    """Start, then all tiles; more threads than cores compute no faster."""
    one = told(Workers())
    assert one.total == pytest.approx(1.0 + 100.0 + 0.1, abs=0.01)
    assert one.limit == "computing"
    assert told(Workers(1, 4, 1)).computing == pytest.approx(25.0)
    assert told(Workers(1, 4, 1, cores=2)).computing == pytest.approx(50.0)


def test_the_last_round_is_rarely_full() -> None:
    """100 tasks on 64 threads take two rounds."""
    found = told(Workers(1, 64, 1))
    assert found.computing + found.tail == pytest.approx(2.0)
    assert told(Workers(1, 50, 1)).tail == pytest.approx(0.0)


def test_one_process_does_the_files_one_after_another() -> None:
    """Many tiny tiles take as long on many threads, less in several processes."""
    tiny = {"tiles": 10_000, "working": 10_000, "evaluating": 1.0, "fullest": 1e-3}
    assert told(Workers(1, 8, 1), **tiny).writing == pytest.approx(10.0, rel=0.01)
    assert told(Workers(8, 1, 9), **tiny).writing == pytest.approx(10.0 / 8, rel=0.01)
    assert told(Workers(1, 8, 1), **tiny).limit == "writing"


def test_storage_is_waited_for() -> None:
    """For small files; and nobody writes faster than the disk that processes share."""
    slow = Storage(0.01, 1e12)
    assert told(Workers(), slow).writing == pytest.approx(100 * (SYNCS * 0.01 + 0.001))
    narrow = Storage(0.0, 1e5)
    assert told(Workers(1, 8, 1), narrow).writing == pytest.approx(40.0)
    assert told(Workers(8, 1, 9, cores=8), narrow).writing == pytest.approx(40.0)
    assert told(Workers(8, 1, 9), narrow).writing == pytest.approx(5.0, rel=0.01)
    assert str(narrow) == "storage not measured"
    assert str(Storage(0.0, 2.5e8, measured=True)) == "storage 250 MB/s"


def test_the_leading_process_limits_thousands_of_threads() -> None:
    """Each task costs it some milliseconds; tiles that travel together cost less."""
    found = told(
        Workers(1000, 8, 1001, queued=True),
        tiles=200_000, working=200_000, evaluating=2e5, fullest=1.0,
    )  # fmt: skip
    alone = 8064 * leading.TASK + 200_000 * leading.TILE
    parcels = (200_000 - 8064) / 48 * leading.TASK
    assert found.leading == pytest.approx(alone + parcels, rel=0.02)
    cut = told(Workers(1000, 8, 1001), ranges=100, tiles=1000, working=1000, evaluating=1000.0)
    assert cut.leading > 100_000 * leading.PART
    assert cut.limit == "the leading process"
    assert cut.total >= cut.leading
    assert "leading " in cut.parts()
    assert told(Workers(1, 8, 1)).leading == 0.0


def test_the_leading_process_takes_its_share_of_the_cores() -> None:
    """Where it runs on the machine whose cores all work."""
    here, elsewhere = (told(Workers(2, 1, 3, cores=n), ranges=10) for n in (2, 0))
    assert here.total == pytest.approx(elsewhere.total + here.leading / 2)


def test_shards_have_machines_of_their_own() -> None:
    """Cores too."""
    assert Workers(1, 4, 1, cores=2).times(3) == Workers(3, 4, 1, cores=6)
    assert Workers(1, 4, 1, cores=2).times(3).at_once == 6


def test_workers_take_time_to_start() -> None:
    """More than there are cores take longer; a job's worker starts slowly."""
    starts = [
        told(workers).start
        for workers in (
            Workers(1, 2, 1, 2), Workers(2, 1, 3, 2), Workers(8, 1, 9, 2), Workers(8, 1, 9, 0, True)
        )
    ]  # fmt: skip
    assert starts == [1.0, 3.0, 9.0, 1.0 + JOB_SECONDS]


def test_step_ranges_are_added_up_and_moved() -> None:
    """That takes longer between processes."""
    sums = [told(Workers(n, 2 // n, n), ranges=10, evaluating=0.0).computing for n in (1, 2)]
    assert 0 < sums[0] < sums[1]


def test_further_files_come_last() -> None:
    """So many pixels more."""
    plain, copied = told(Workers()), told(Workers(), copied=100_000_000)
    assert copied.total == pytest.approx(plain.total + 3.0)
    assert "further files 3 s" in copied.parts()


@pytest.mark.parametrize(("seconds", "tasks"), [(0.0, 1), (0.0026, 1), (26.0, 100)])
def test_leading_bounds_the_tasks_worth_making(seconds, tasks) -> None:
    """Beyond, handing them out takes longer than a thread's share of the work."""
    assert leading.most_tasks(seconds) == tasks

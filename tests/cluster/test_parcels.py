"""How tiles are packed, and how many travel together."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbdask.cluster import parcels
from nbdask.cluster.parcels import Pace, Reply, go_through, limit, pack
from nbdask.cluster.tries import Failure
from nbdask.graph.build import tile_graphs
from nbdask.plan.leading import MOST_TILES
from nbdask.plan.tiles import TileGrid
from tests.cluster.test_executors import Item, items


class Here:
    """A worker with one task."""

    address = "tcp://127.0.0.1:1"
    task = SimpleNamespace(state="executing")
    state = SimpleNamespace(tasks={"key": task})

    def get_current_task(self) -> str:
        return "key"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be a worker."""
    monkeypatch.setattr(parcels, "get_worker", Here)


def double(run: str, number: int) -> int:
    """Return twice the number; 3 fails."""
    if number == 3:
        raise OSError("no luck")
    return 2 * number


def result(graph: dict, key: object) -> object:
    """Compute a graph without dask."""
    function, *arguments = graph[key]
    return function(*(result(graph, a) if a in graph else a for a in map(_hashable, arguments)))


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def test_each_tile_of_a_parcel_has_its_own_fate() -> None:
    """One task for all; the failure of one is told with its worker, the others are results."""
    parcel = pack("r", 7, list(items(double, "r", 5)), 10.0)
    assert list(parcel.graph) == [parcel.key]
    reply = result(parcel.graph, parcel.key)
    assert isinstance(reply, Reply)
    assert [value for value in reply.values if not isinstance(value, Failure)] == [0, 2, 4, 8]
    assert reply.values[3].worker == reply.worker == Here.address
    assert reply.seconds > 0


def test_parcels_say_what_they_hold() -> None:
    """On a scheduler's pages: where the tile is, how many others come with it."""
    run, tiles = "r", list(tile_graphs("r", range(3), 1, TileGrid((8, 24), (8, 8))))
    keys = [pack(run, 7, tiles[:count], 1.0).key for count in (1, 3)]
    assert keys == [
        ("tiles-r", 7, "slow 0 to 8, fast 0 to 8"),
        ("tiles-r", 7, "slow 0 to 8, fast 0 to 8 and 2 more"),
    ]


def test_a_late_parcel_comes_back_with_what_is_left() -> None:
    """No tile is begun once the time is over."""
    _, payload, _ = pack("r", 7, list(items(double, "r", 3)), 0.0).graph["tiles-r", 7, "and 2 more"]
    assert go_through(payload, 0.0).values == [0]


def test_a_parcel_that_nobody_waits_for_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the tile in hand."""
    _, payload, _ = pack("r", 7, list(items(double, "r", 3)), 0.0).graph["tiles-r", 7, "and 2 more"]
    monkeypatch.setattr(Here.task, "state", "cancelled")
    assert go_through(payload, 10.0).values == [0]


def test_a_tile_in_parts_travels_alone() -> None:
    """Its parts stay tasks of their own; a part that fails is the reply."""
    tile = ("tile", 0)
    graph = {("part", n): (double, "r", n) for n in (1, 3)}
    for number, expected in ((1, 2), (3, None)):
        part = ("part", number)
        parcel = pack("r", 7, [Item(tile, {**graph, tile: (int, part)})], 10.0)
        assert set(parcel.graph) == {*graph, tile}
        (value,) = result(parcel.graph, parcel.key).values
        assert value == expected or (expected is None and isinstance(value, Failure))


@pytest.mark.parametrize(
    ("threads", "tile", "expected"),
    [
        (4, 0.001, MOST_TILES),
        (4, 0.05, 20),
        (4, 0.3, 1),
        (1000, 0.3, 20),
        (1000, 10.0, 1),
        (10000, 1.0, 60),
    ],
)
def test_short_tiles_and_those_of_many_workers_travel_together(threads, tile, expected) -> None:
    """About a second of short ones; more where the scheduler could not keep up otherwise."""
    pace = Pace()
    assert pace.tiles(threads) == 1
    pace.learn(Reply("", [0] * 2, 2 * tile))
    assert abs(pace.tiles(threads) - expected) <= 1
    assert limit(threads) >= tile * pace.tiles(threads) or expected == 1

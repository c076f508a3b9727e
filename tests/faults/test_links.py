"""The network link of one worker is cut in the middle of a run: several hosts, real links."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import large_kill_job, large_kills
from nbdask.cluster.security import write_credentials
from tests.cluster import hosts as hosts_module
from tests.cluster.hosts import Hosts, hosts
from tests.cluster.pools import command, environment, tiles_done
from tests.helpers import PATIENCE, wait_until

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

PORT = 8786
ARGV = [*large_kill_job.FLAGS.split(), "--backend", "numpy", "--tile", str(large_kill_job.TILE)]
#: distributed takes a silent peer for dead after this long (it allows no less than 11 s): soon
#: where a link is cut for good, late where it is to be ridden out.
SILENCE = {"tls": "11s", "tcp": "300s"}
#: nbdask whose idle workers do not begin what others have in hand: what cuts cost is counted here.
NO_COPIES = (
    "from nbdask.cluster import copies; copies.LATE = float('inf');"
    " from nbdask.cli.main import entry; entry()"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an undisturbed run."""
    return large_kills.whole(tmp_path_factory.mktemp("whole"))


class Network:
    """Scheduler and run on host 0, a worker on host 1 and one on host 2."""

    def __init__(self, made: Hosts, folder: Path, tls: bool) -> None:
        self.hosts, self.store, self._list = made, folder, folder / "begun.list"
        self.variables = dict(write_credentials(folder / "credentials")) if tls else {}
        silence = SILENCE["tls" if tls else "tcp"]
        self.variables["DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP"] = silence
        self.address = f"{'tls' if tls else 'tcp'}://{made.address(0)}:{PORT}"
        self._folder = folder
        self._dask(0, "scheduler", "--port", str(PORT))
        self.workers = [self.worker(number) for number in (1, 2)]

    def _dask(self, number: int, what: str, *argv: str) -> subprocess.Popen[str]:
        start = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard"]
        listed = {large_kill_job.LIST: str(self._list)}
        where = ["--host", self.hosts.address(number), "--protocol", self.address[:3]]
        with open(self._folder / f"{what}{number}.log", "a") as log:
            return self.hosts.start(
                number,
                [*start, *where, *argv],
                env=environment(**self.variables, **listed),
                stdout=log,
                stderr=log,
            )

    def worker(self, number: int) -> subprocess.Popen[str]:
        """Start a worker of one thread."""
        argv = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder)]
        preload = ["--preload", "benchmarks.large_kill_job"]
        return self._dask(number, "worker", self.address, *argv, *preload)

    def begin(self, store: Path) -> None:
        """Take another store, of which no tile was started."""
        self.store = store
        self._list.write_bytes(b"")

    def run(self, *more: str) -> subprocess.Popen[str]:
        """Start the run on both workers."""
        options = ["--cluster", self.address, "--workers", "2", "--quiet", *more]
        words = command(self.store, *options, argv=ARGV)
        return self.hosts.start(
            0,
            [words[0], "-c", NO_COPIES, *words[3:]],
            env=environment(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @property
    def redone(self) -> int:
        """Tiles that were started more than once."""
        return self._list.read_bytes().count(b"\n") - large_kill_job.TILES


@pytest.fixture(scope="module")
def linked(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Network]:
    """Three hosts; with the parameter "tls" they talk TLS."""
    reason = hosts_module.missing()
    if reason is not None:
        pytest.skip(reason)
    with hosts(3) as made:
        yield Network(made, tmp_path_factory.mktemp("network"), request.param == "tls")


@pytest.fixture
def network(linked: Network, tmp_path: Path) -> Network:
    """The hosts, for a store of its own."""
    linked.begin(tmp_path / "a.zarr")
    return linked


@pytest.mark.parametrize("linked", ["tcp"], indirect=True)
def test_a_short_cut_is_ridden_out(network: Network, whole: Path) -> None:
    """Both workers stay, nothing is computed twice, the bits are the same."""
    process = network.run()
    wait_until(lambda: tiles_done(network.store) >= 5)
    network.hosts.cut(1)
    time.sleep(2)
    assert process.poll() is None
    network.hosts.heal(1)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert large_kills.differences(whole, network.store) == []
    assert network.redone == 0
    assert [worker.poll() for worker in network.workers] == [None, None]


@pytest.mark.parametrize("linked", ["tls"], indirect=True)
def test_a_long_cut_costs_only_what_was_in_flight(network: Network, whole: Path) -> None:
    """The other worker finishes the run; the user is told of the loss, which is for good."""
    process = network.run()
    wait_until(lambda: tiles_done(network.store) >= 5)
    network.hosts.cut(1)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert large_kills.differences(whole, network.store) == []
    # The worker that is cut off goes on with what it has, a parcel in hand and one ahead.
    assert network.redone <= large_kills.IN_FLIGHT["local"] + 2 * large_kills.WITH_IT
    assert f"worker tls://{network.hosts.address(1)}:" in said
    assert "is lost, 1 is left: the run goes on; start a new one" in said
    network.hosts.heal(1)
    # It ends as if all were well, and does not come back: hence the warning.
    assert network.workers[0].wait(timeout=PATIENCE) == 0
    assert network.workers[1].poll() is None


@pytest.mark.parametrize("linked", ["tcp"], indirect=True)
def test_a_run_cut_off_from_all_workers_resumes(network: Network, whole: Path) -> None:
    """Both links cut, then the run killed: resumed with new workers it gives the same bits."""
    process = network.run()
    wait_until(lambda: tiles_done(network.store) >= 5)
    for number in (1, 2):
        network.hosts.cut(number)
    time.sleep(1)
    process.kill()
    process.communicate()
    assert tiles_done(network.store) < large_kill_job.TILES
    for number, worker in enumerate(network.workers, start=1):
        network.hosts.heal(number)
        worker.kill()
        network.worker(number)
    again = network.run("--resume")
    _, said = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, said
    assert large_kills.differences(whole, network.store) == []
    assert network.redone <= large_kills.IN_FLIGHT["local"]

"""What a worker must have, credentials of a run, and small rules of clusters."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from distributed import Client, Security
from distributed.comm.core import CommClosedError
from distributed.protocol.pickle import dumps, loads

from nbdask.cluster import distributed
from nbdask.cluster.dashboard import dashboard_of
from nbdask.cluster.devices import device_orders
from nbdask.cluster.distributed import (
    HISTORY,
    ClusterLostError,
    as_variables,
    ask_all,
    pages,
)
from nbdask.cluster.gate import make_check, make_facts, make_forget, make_plugin, refusal
from nbdask.cluster.open import open_cluster
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.security import main, temporary_security, write_credentials
from nbdask.cluster.spec import KINDS, QUEUES, SHARE, ClusterSpec
from nbdask.cluster.threads import ThreadsExecutor
from nbdask.errors import ClusterError
from nbdask.kernels.registry import get_kernel
from nbdask.plan.estimate import Workers
from nbdask.plan.machine import available_cores
from nbdask.version import __version__
from tests.helpers import PATIENCE


@dataclass
class Plain:
    """A setup that needs no kernel."""

    run: str = "abc"

    def install(self) -> None:
        """Nothing to do."""

    def remove(self) -> None:
        """Nothing to undo."""


@dataclass
class Needing(Plain):
    """A setup whose tasks need a kernel."""

    requires: tuple[str, str, str] = ("numpy", "float64", "")


def version_of(backend: str) -> str:
    """The version of a kernel here."""
    return get_kernel(backend, "float64").version


def test_a_process_like_this_one_may_take_part() -> None:
    """Without needs, and with those of its own kernel; also after it has travelled."""
    needing = Needing(requires=("numpy", "float64", version_of("numpy")))
    for setup in (Plain(), needing):
        check = make_check(setup)
        assert check() is None
        assert loads(dumps(check))() is None


@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        (("numpy", "float64", "0"), r"kernel numpy is version .* there, 0 here"),
        (("fortran", "float64", "1"), r"kernel fortran: .*fortran"),
        (("numpy", "mixed", "1"), r"kernel numpy: .*mixed"),
    ],
)
def test_another_kernel_may_not(requires: tuple[str, str, str], reason: str) -> None:
    """Another version, a kernel or a precision that there is not."""
    found = make_check(Needing(requires=requires))()
    assert found is not None
    assert re.match(reason, found)


def test_another_nbdask_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a process without any."""
    check = make_check(Plain())
    monkeypatch.setattr("nbdask.version.__version__", "9.9")
    assert check() == f"nbdask is version 9.9 there, {__version__} here"
    monkeypatch.setitem(sys.modules, "nbdask.version", None)
    assert check() == f"nbdask is not installed there, {__version__} is needed"


def test_what_travels_needs_no_nbdask(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pickled as it is, so that a process without nbdask can say so."""
    needing = Needing(requires=("numpy", "float64", version_of("numpy")))
    payloads = [dumps(made) for made in (make_check(needing), make_facts(), make_forget())]
    for name in [name for name in sys.modules if name.partition(".")[0] == "nbdask"]:
        monkeypatch.setitem(sys.modules, name, None)
    check, facts, forget = (loads(payload) for payload in payloads)
    assert "is not installed there" in check()
    worker = SimpleNamespace(
        state=SimpleNamespace(nthreads=2), memory_manager=SimpleNamespace(memory_limit=5)
    )
    assert facts(dask_worker=worker) == (2, 5)
    forget(dask_scheduler=SimpleNamespace(extensions={}))


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("no kernel.", "worker w1 is refused: no kernel: install nbdask"),
        ("no kernel", "worker w1 is refused: no kernel: install nbdask"),
        ("ends with ...", "worker w1 is refused: ends with ..: install nbdask"),
    ],
)
def test_refusals_in_one_line(reason: str, line: str) -> None:
    """With the version to install."""
    found = refusal("w1", reason)
    assert found.startswith(line)
    assert __version__ in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("limit", "wanted"), [(10**9, 10**9), (None, 0), (0, 0), (2.5e9, 2500000000)]
)
def test_facts_of_a_worker(limit: Any, wanted: int) -> None:
    """Its threads, and the bytes that it may use; 0: any."""
    worker = SimpleNamespace(
        state=SimpleNamespace(nthreads=3), memory_manager=SimpleNamespace(memory_limit=limit)
    )
    facts: Any = make_facts()
    assert facts(dask_worker=worker) == (3, wanted)


def test_a_scheduler_forgets_what_is_done() -> None:
    """Notes on graphs, whatever else a span holds; schedulers without spans too."""
    notes: dict[str, Any] = {"collections": [1, 2, 3], "other": "kept"}
    spans = SimpleNamespace(
        spans={"a": SimpleNamespace(_metadata=notes), "b": SimpleNamespace(_metadata=None), "c": 1}
    )
    make_forget()(dask_scheduler=SimpleNamespace(extensions={"spans": spans}))
    assert notes == {"collections": [], "other": "kept"}
    make_forget()(dask_scheduler=SimpleNamespace(extensions={}))


def test_plugins_are_named_by_their_run() -> None:
    """So that each is taken out by itself; one that was never set up has nothing to undo."""
    one, other = make_plugin(Plain("one")), make_plugin(Plain("other"))
    assert (one.name, other.name) == ("nbdask-one", "nbdask-other")
    assert one.idempotent
    one.teardown(SimpleNamespace())


def test_credentials_for_scripts(tmp_path: Path) -> None:
    """Two files that only this user can read, and variables that name them for every role."""
    folder = tmp_path / "new" / "deep"
    variables = write_credentials(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("cert", "key"):
        path = folder / f"{name}.pem"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().startswith("-----BEGIN ")
    prefix = "DASK_DISTRIBUTED__COMM__"
    assert variables[prefix + "REQUIRE_ENCRYPTION"] == "True"
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        assert variables[f"{prefix}TLS__{role}__CERT"] == str(folder / "cert.pem")
        assert variables[f"{prefix}TLS__{role}__KEY"] == str(folder / "key.pem")
    before = (folder / "key.pem").read_text()
    write_credentials(folder)
    assert (folder / "key.pem").read_text() != before


def test_a_folder_for_credentials_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that others may enter, or a link to one, is refused, and what to do is said."""
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("own")
    for name, said in (("open", "has mode 0755"), ("link", "is a link, or another user's")):
        assert main([str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / name / "key.pem").exists()
    assert main([str(tmp_path / "own")]) == 0


@pytest.mark.long
def test_nobody_else_gets_into_a_local_cluster() -> None:
    """Neither unprotected nor with other credentials; no page is shown."""
    with open_cluster(ClusterSpec("local", 1, 1)) as executor:
        client = executor.client  # type: ignore[attr-defined]
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert dashboard_of(executor) is None
        for security in (None, Security.temporary()):
            talk = "tls" if security else "tcp"
            with pytest.raises(OSError, match=r"Timed out|closed|certificate|Connection"):
                Client(address.replace("tls", talk), security=security, timeout=2)
        page = client.dashboard_link.removesuffix("status")
        for name in ("status", "info/main/workers.html", "json/identity.json", "metrics"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(page + name, timeout=PATIENCE)
        assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3


def test_credentials_are_new_each_time() -> None:
    """No two runs share a key; files are never written."""
    one, other = temporary_security(), temporary_security()
    assert one.require_encryption
    assert one.tls_scheduler_key != other.tls_scheduler_key


def test_lines_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluated, they set the variables, whatever the folder is called."""
    folder = tmp_path / "it's a $folder"
    assert main([str(folder)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    done = subprocess.run(
        ["/bin/sh", "-c", said.out + 'printf %s "$DASK_DISTRIBUTED__COMM__TLS__CA_FILE"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == str(folder / "cert.pem")
    for line in said.out.splitlines():
        assert line.startswith("export DASK_DISTRIBUTED__COMM__")
        assert len(shlex.split(line)) == 2


@pytest.mark.parametrize("argv", [[], ["a", "b"], ["--help"], ["-x"]])
def test_how_credentials_are_asked_for(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One folder."""
    assert main(argv) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "usage: python -m nbdask.cluster.security FOLDER\n")


def test_folders_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    (tmp_path / "file").write_text("x")
    assert main([str(tmp_path / "file")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("nbdask: error: ")
    assert said.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "x"


def test_credentials_need_a_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and how to do without; nothing is written."""

    def absent() -> None:
        raise ImportError("no module named cryptography")

    monkeypatch.setattr("distributed.security.Security.temporary", absent)
    with pytest.raises(ClusterError, match="TLS needs the package cryptography: pip install"):
        temporary_security()
    assert main([str(tmp_path / "a")]) == 2
    assert "set nbdask.tls to false" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("devices", "workers", "orders"),
    [
        (("0",), 1, ["0"]),
        (("0", "1"), 2, ["0,1", "1,0"]),
        (("4", "5", "6"), 2, ["4,5,6", "5,6,4"]),
        (("GPU-a", "GPU-b"), 1, ["GPU-a,GPU-b"]),
        ((), 0, []),
    ],
)
def test_each_worker_sees_its_gpu_first(devices: Any, workers: int, orders: list[str]) -> None:
    """And all the others behind it."""
    assert device_orders(devices, workers) == orders


def test_variables_say_what_the_configuration_says() -> None:
    """As dask reads them: capitals, two underscores for a dot."""
    import dask

    variables = as_variables(HISTORY | pages(False))
    assert len(variables) == len(HISTORY) + 2
    found = dask.config.collect_env(variables)
    for name, value in HISTORY.items():
        assert dask.config.get(name, config=found) == value


def test_a_cluster_of_threads_is_this_process() -> None:
    """It has no page to look at."""
    with open_cluster(ClusterSpec("threads", 1, 2)) as executor:
        assert isinstance(executor, ThreadsExecutor)
        assert executor.threads == 2
        assert dashboard_of(executor) is None


@pytest.mark.parametrize("kind", [*KINDS, "tcp", "tls", "scheduler-file"])
def test_which_clusters_compute_here(kind: str) -> None:
    """Threads, processes and GPUs of this machine; the leading process is counted beside."""
    spec = ClusterSpec(kind, 3, 2)
    assert spec.here == (kind in ("threads", "local", "cuda"))
    cores, queued = available_cores() if spec.here else 0, kind in QUEUES
    assert spec.layout == Workers(3, 2, 3 if kind == "threads" else 4, cores, queued)
    assert spec.layout.total == 6


@pytest.mark.parametrize("memory", [None, 10**9, 64 << 30])
def test_plans_use_a_share_of_the_memory(memory: int | None) -> None:
    """The rest is the interpreter's."""
    limit = ClusterSpec("slurm", 1, 1, memory=memory).memory_limit
    assert limit == (None if memory is None else int(SHARE * memory))


def test_equal_specs_may_wait_differently() -> None:
    """How long a run is patient is no part of what it is."""
    assert ClusterSpec("local", 2, 1, wait=5) == ClusterSpec("local", 2, 1, wait=50)
    assert ClusterSpec("local", 2, 1) != ClusterSpec("local", 2, 1, tls=False)


@pytest.mark.parametrize("kind", ["threads:2", "local:", "cuda:0", "slurm:long", "mpi:4"])
def test_kinds_take_nothing_behind_them(kind: str) -> None:
    """The message repeats what is too much."""
    name, _, rest = kind.partition(":")
    with pytest.raises(ClusterError, match=f"--cluster {name} takes no :{rest}$"):
        parse_cluster(kind)


@pytest.mark.parametrize("kind", QUEUES)
def test_queues_need_workers_and_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are asked for before any package or command is looked for."""
    import dask

    monkeypatch.setenv("PATH", os.devnull)
    with dask.config.set({"nbdask": {}}):
        with pytest.raises(
            ClusterError, match=f"--cluster {kind}: the number of workers is missing"
        ):
            parse_cluster(kind)
        with pytest.raises(ClusterError, match=f"--cluster {kind}: the memory of a worker"):
            parse_cluster(kind, 2)


@pytest.mark.parametrize("failures", [0, 3])
def test_workers_are_asked_again_where_one_has_just_died(monkeypatch, failures) -> None:
    """Until the scheduler misses it, what goes to all workers fails."""
    monkeypatch.setattr(distributed, "LOOK", 0.0)
    left = iter(range(failures))

    def ask() -> str:
        if next(left, None) is not None:
            raise CommClosedError("Stream is closed")
        return "answer"

    assert ask_all(SimpleNamespace(status="running"), ask) == "answer"
    assert next(left, None) is None


@pytest.mark.parametrize(
    ("status", "error"), [("running", ClusterLostError), ("closed", CommClosedError)]
)
def test_asking_ends(monkeypatch, status, error) -> None:
    """A worker that stays silent is not waited for without end, a lost scheduler not at all."""
    monkeypatch.setattr(distributed, "LOOK", 0.0)
    monkeypatch.setattr(distributed, "DYING", 0.0 if status == "running" else 1e9)

    def ask() -> None:
        raise CommClosedError("Stream is closed")

    with pytest.raises(error, match="Stream is closed"):
        ask_all(SimpleNamespace(status=status), ask)

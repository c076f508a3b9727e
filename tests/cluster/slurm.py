"""A real Slurm of one node on loopback, for the time of some tests.

Needs root and Debian's packages slurm-wlm, slurm-client and munge; nothing under /etc is touched:
key, sockets, state and logs live in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.helpers import PATIENCE, wait_until

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "squeue", "sinfo")
#: Daemons and the pid files that they write, in the order in which they are ended.
DAEMONS = (("slurmd", "slurmd.pid"), ("slurmctld", "slurmctld.pid"), ("munged", "munged.pid"))
PARTITION = "test"

CONFIGURATION = """\
ClusterName=nbdasktest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={ctld}
SlurmdPort={slurmd}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=3
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={slurmd} CPUs={cpus} RealMemory=8192
PartitionName={partition} Nodes=n1 Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Say why Slurm cannot be started here; None: it can."""
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not on the path: {', '.join(absent)}" if absent else None


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def _start_munge(folder: Path) -> None:
    munge = folder / "munge"
    munge.mkdir()
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o400)
    for path in (munge, munge / "key"):
        shutil.chown(path, "munge", "munge")
    options = {
        "key-file": munge / "key",
        "socket": munge / "socket",
        "pid-file": munge / "munged.pid",
        "log-file": munge / "munged.log",
        "seed-file": munge / "seed",
    }
    argv = [f"--{name}={path}" for name, path in options.items()]
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--init-groups"]
    subprocess.run([*as_munge, "munged", "--force", *argv], check=True)


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done = subprocess.run(
            ["sinfo", "-h", "-o", "%t"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip() == "idle":
            return
        time.sleep(0.1)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    raise RuntimeError(f"Slurm's node does not come up\n{logs}")


def _ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def _stop(folder: Path) -> None:
    """End the daemons whose pid files are in the folder, and nothing else."""
    for program, name in DAEMONS:
        path = (folder / "munge" / name) if program == "munged" else folder / name
        try:
            pid = int(path.read_text())
            if Path(f"/proc/{pid}/comm").read_text().strip() != program:
                continue
            os.kill(pid, signal.SIGTERM)
            wait_until(partial(_ended, pid))
        except (OSError, ValueError):
            continue


@contextmanager
def slurm(folder: Path, cpus: int = 4) -> Iterator[dict[str, str]]:
    """Start Slurm; yield the environment in which its commands work; end it.

    Parameters
    ----------
    folder : Path
        New folder, not inside one that others may not enter.
    cpus : int
        Processors that the node pretends to have.
    """
    folder.mkdir(mode=0o755)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    text = CONFIGURATION.format(
        folder=folder,
        host=socket.gethostname().split(".")[0],
        ctld=_free_port(),
        slurmd=_free_port(),
        cpus=cpus,
        partition=PARTITION,
    )
    (folder / "slurm.conf").write_text(text)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        _start_munge(folder)
        subprocess.run(["slurmctld", "-f", folder / "slurm.conf"], env=environment, check=True)
        subprocess.run(
            ["slurmd", "-f", folder / "slurm.conf", "-N", "n1"], env=environment, check=True
        )
        _wait_until_idle(environment, folder)
        yield environment
    finally:
        cancel_all(environment)
        _stop(folder)


def jobs(environment: dict[str, str]) -> list[str]:
    """Numbers of all jobs that wait, run or end."""
    done = subprocess.run(
        ["squeue", "-h", "-o", "%i"], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def cancel(environment: dict[str, str], *numbers: str) -> None:
    """Cancel jobs."""
    subprocess.run(["scancel", *numbers], env=environment, check=False, capture_output=True)


def cancel_all(environment: dict[str, str]) -> None:
    """Cancel everything and wait until it is gone: a slurmd that stops would leave its jobs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        left = jobs(environment)
        if not left:
            return
        cancel(environment, *left)
        time.sleep(0.2)

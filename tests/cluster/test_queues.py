"""What batch systems say of jobs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nbdask.cluster import queues
from nbdask.cluster.queues import Job, Queue, ask, describe, reason_of
from nbdask.cluster.spec import QUEUES

SLURM = "11|RUNNING|None\n12|PENDING|Resources\n13_[2-5]|PENDING|Priority\n99|PENDING|Other\n"
PBS = """Job Id: 11.server
    Job_Name = nbdask
    job_state = R
    comment = Job run at Mon Nov 30 at 10:00 on (node1:ncpus=1)
Job Id: 12.server
    job_state = Q
    comment = Not Running: Insufficient amount of resource:
\t ncpus
Job Id: 13[].server
    job_state = H
"""
SGE = """job-ID  prior   name       user   state submit/start at     queue
------------------------------------------------------------------
     11 0.55500 nbdask     me     r     11/30/2026 10:00:00 all.q@node1  1
     12 0.00000 nbdask     me     qw    11/30/2026 10:00:00              1
     13 0.00000 nbdask     me     hqw   11/30/2026 10:00:00              1
"""
LSF = "11|RUN|-\n12|PEND|Job slot limit reached;\n13|PSUSP| The job was suspended by the user;\n"
HTCONDOR = "11.0 2 undefined\n12.0 1 undefined\n13.0 5 out of disk on the node\n"
#: What is said of jobs 11, which runs, and 12 and 13, which wait.
SAID = {
    "slurm": (SLURM, "Resources", "Priority"),
    "pbs": (PBS, "Not Running: Insufficient amount of resource: ncpus", ""),
    "sge": (SGE, "", "held"),
    "lsf": (LSF, "Job slot limit reached", "The job was suspended by the user"),
    "htcondor": (HTCONDOR, "", "out of disk on the node"),
}


def speak(
    monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str, text: str, code: int = 0
) -> None:
    """Put the command of a batch system on the path that says a text."""
    (folder / "said").write_text(text)
    name = queues._SYSTEMS[kind][0](["1"])[0]
    script = folder / name
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\ncat {folder}/said\nexit {code}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize("kind", QUEUES)
def test_every_system_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Which jobs wait, and why in its own words; jobs of others are left out."""
    text, second, third = SAID[kind]
    # Some give an error where one of the jobs is gone, and tell of the others.
    speak(monkeypatch, tmp_path, kind, text, code=1)
    found = ask(kind, ["11", "12", "13"])
    assert [queues._number(job.number) for job in found] == ["11", "12", "13"]
    assert [job.pending for job in found] == [False, True, True]
    assert [job.reason for job in found[1:]] == [second, third]


def test_the_queue_is_asked_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again before half a minute; one that gives no answer is no error."""
    speak(monkeypatch, tmp_path, "slurm", SLURM)
    queue, expected = Queue("slurm", lambda: ["12"]), [Job("12", True, "Resources")]
    # Nothing yet, unless the answer is there before the first look.
    assert queue.jobs() in ([], expected)
    join()
    assert queue.jobs() == queue.jobs() == expected
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
    monkeypatch.setattr(queues, "ASK", 0.0)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    queue.jobs()
    join()
    assert queue._jobs == []


def join() -> None:
    """Wait until the answer is there."""
    for thread in threading.enumerate():
        if thread.name == "nbdask-queue":
            thread.join()


def test_no_jobs_no_question(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before the first is submitted."""
    speak(monkeypatch, tmp_path, "slurm", SLURM)
    queue = Queue("slurm", list)
    queue.jobs()
    join()
    assert not (tmp_path / "asked").exists()


def test_pending_jobs_in_words() -> None:
    """Few numbers, the commonest reason."""
    jobs = [Job(str(n), n > 1, "Priority" if n > 2 else "Resources") for n in range(1, 9)]
    assert describe(jobs) == "jobs 2, 3, 4, 5 and 3 more pending (Priority)"
    assert describe(jobs[:2]) == "job 2 pending (Resources)"
    assert describe(jobs[:1]) == ""
    assert reason_of(jobs[:1]) == ""
    assert describe([Job("1", True, "")]) == "job 1 pending"

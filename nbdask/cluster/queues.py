"""What a batch system says of the jobs that it was given, each in its own words."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Seconds between two questions to the batch system, and until it has to answer.
ASK, ANSWER = 30.0, 20.0


class Job(NamedTuple):
    """A job: its number, whether it waits, and why, as far as the batch system says."""

    number: str
    pending: bool
    reason: str


def _slurm(ids: Sequence[str]) -> list[str]:
    return ["squeue", "--noheader", "--array", "--format=%i|%T|%r", "--jobs=" + ",".join(ids)]


def _slurm_jobs(text: str) -> list[Job]:
    rows = [line.strip().split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return [
        Job(number, state in ("PENDING", "CONFIGURING"), _plain(reason))
        for number, state, reason in rows
    ]


def _pbs(ids: Sequence[str]) -> list[str]:
    return ["qstat", "-f", *ids]


def _pbs_jobs(text: str) -> list[Job]:
    found = []
    # A line that goes on begins with a tab.
    for part in re.split(r"^Job Id: *", text.replace("\n\t", ""), flags=re.MULTILINE)[1:]:
        state = re.search(r"^ *job_state = (\S+)", part, re.MULTILINE)
        comment = re.search(r"^ *comment = (.*)", part, re.MULTILINE)
        waits = state is not None and state.group(1) in ("Q", "H", "W", "T")
        found.append(Job(part.split()[0], waits, _plain(comment.group(1) if comment else "")))
    return found


def _sge(ids: Sequence[str]) -> list[str]:
    return ["qstat"]


def _sge_jobs(text: str) -> list[Job]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[0].isdigit():
            error = "error" if "E" in words[4] else ""
            found.append(
                Job(words[0], "qw" in words[4], "held" if words[4].startswith("h") else error)
            )
    return found


def _lsf(ids: Sequence[str]) -> list[str]:
    return ["bjobs", "-noheader", "-o", "jobid stat pend_reason delimiter='|'", *ids]


def _lsf_jobs(text: str) -> list[Job]:
    rows = [line.strip().split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return [
        Job(number, state in ("PEND", "PSUSP"), _plain(reason)) for number, state, reason in rows
    ]


def _htcondor(ids: Sequence[str]) -> list[str]:
    return ["condor_q", *ids, "-autoformat:j", "JobStatus", "HoldReason"]


def _htcondor_jobs(text: str) -> list[Job]:
    rows = [line.split(maxsplit=2) for line in text.splitlines() if len(line.split()) >= 2]
    return [
        Job(row[0], row[1] in ("1", "5"), "" if row[2:] in ([], ["undefined"]) else row[2])
        for row in rows
    ]


#: Kind -> its command for some jobs, and what its answer says.
_SYSTEMS: dict[str, tuple[Callable[[Sequence[str]], list[str]], Callable[[str], list[Job]]]] = {
    "slurm": (_slurm, _slurm_jobs),
    "pbs": (_pbs, _pbs_jobs),
    "sge": (_sge, _sge_jobs),
    "lsf": (_lsf, _lsf_jobs),
    "htcondor": (_htcondor, _htcondor_jobs),
}


def _plain(reason: str) -> str:
    """Return a reason on one line, nothing where there is none."""
    text = " ".join(reason.split()).strip("'\" ;")
    return "" if text in ("None", "-", "(null)") else text


def ask(kind: str, ids: Sequence[str]) -> list[Job]:
    """Ask a batch system for jobs; those that it no longer knows are left out.

    Raises
    ------
    OSError, subprocess.SubprocessError
        It gives no answer.
    """
    command, read = _SYSTEMS[kind]
    wanted = {_number(name) for name in ids}
    # Some end with an error where one of the jobs is gone, and tell of the others all the same.
    done = subprocess.run(
        command(ids),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=ANSWER,
        check=False,
    )
    return [job for job in read(done.stdout) if _number(job.number) in wanted]


def _number(name: str) -> str:
    """Return the number of a job without its array's index and its server's name."""
    return re.split(r"[._\[]", name, maxsplit=1)[0]


class Queue:
    """The jobs of a run; asked for beside the run, now and then.

    Parameters
    ----------
    kind : str
        The batch system.
    ids : callable
        Returns the numbers of the jobs that were submitted and not ended.
    """

    def __init__(self, kind: str, ids: Callable[[], list[str]]) -> None:
        self._kind, self._ids = kind, ids
        self._asked = -ASK
        self._asking: threading.Thread | None = None
        self._jobs: list[Job] = []

    def jobs(self) -> list[Job]:
        """Return what was last said, and ask again where that is long ago."""
        busy = self._asking is not None and self._asking.is_alive()
        if not busy and time.monotonic() - self._asked >= ASK and (ids := self._ids()):
            self._asked = time.monotonic()
            self._asking = threading.Thread(
                target=self._ask, args=(ids,), daemon=True, name="nbdask-queue"
            )
            self._asking.start()
        return self._jobs

    def _ask(self, ids: list[str]) -> None:
        try:
            self._jobs = ask(self._kind, ids)
        except (OSError, subprocess.SubprocessError):
            self._jobs = []


def reason_of(jobs: Sequence[Job]) -> str:
    """Return the reason that most of the pending jobs have."""
    reasons = Counter(job.reason for job in jobs if job.pending and job.reason)
    return reasons.most_common(1)[0][0] if reasons else ""


def describe(jobs: Sequence[Job], most: int = 4) -> str:
    """Return the pending jobs in words, the numbers of the first ones and the reason of most."""
    waiting = [job for job in jobs if job.pending]
    if not waiting:
        return ""
    names = ", ".join(job.number for job in waiting[:most])
    more = f" and {len(waiting) - most} more" if len(waiting) > most else ""
    plural = "jobs" if len(waiting) > 1 else "job"
    reason = reason_of(waiting)
    return f"{plural} {names}{more} pending" + (f" ({reason})" if reason else "")

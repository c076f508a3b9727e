"""Jobs that are asked for together are submitted as one job array, where Slurm takes them."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

#: Seconds in which jobs are collected, and jobs of an array at most (Slurm's default is 1001).
GATHER, MOST = 0.05, 1000

#: Runs a command and returns what it printed; raises RuntimeError where it fails.
Call = Callable[[list[str]], Awaitable[str]]


class Wanted(NamedTuple):
    """A job to be submitted.

    Parameters
    ----------
    name : str
        Of its worker.
    script : str
        The text of its script, which differs from that of others in this name alone.
    file : str
        The script's file.
    """

    name: str
    script: str
    file: str


class Batch:
    """Collects jobs and submits them.

    Parameters
    ----------
    command : list of str
        That submits a script.
    call : callable
    """

    def __init__(self, command: Sequence[str], call: Call) -> None:
        self._command, self._call = list(command), call
        self._waiting: list[tuple[Wanted, asyncio.Future[str]]] = []
        self._sending: set[asyncio.Task[None]] = set()
        self.refused = False

    async def submit(self, job: Wanted) -> str:
        """Return what the command prints for a job; that of an array has the job's own number.

        Raises
        ------
        RuntimeError
            It is refused.
        """
        if self.refused:
            return await self._alone(job)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, answer))
        if len(self._waiting) == 1:
            task = asyncio.ensure_future(self._send())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return await answer

    async def _send(self) -> None:
        await asyncio.sleep(GATHER)
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST):
            group = waiting[start : start + MOST]
            for (_, answer), said in zip(group, await self._answers(group), strict=True):
                if answer.cancelled():
                    continue
                if isinstance(said, BaseException):
                    answer.set_exception(said)
                else:
                    answer.set_result(said)

    async def _answers(
        self, group: Sequence[tuple[Wanted, asyncio.Future[str]]]
    ) -> Sequence[str | BaseException]:
        """Submit as an array; one by one where that is refused, as some sites do."""
        jobs = [job for job, _ in group]
        text = array_script(jobs)
        if text is not None and not self.refused:
            try:
                return await self._array(text, len(jobs))
            except (RuntimeError, OSError):
                self.refused = True
        return await asyncio.gather(*map(self._alone, jobs), return_exceptions=True)

    async def _alone(self, job: Wanted) -> str:
        return await self._call([*self._command, job.file])

    async def _array(self, text: str, count: int) -> list[str]:
        with tempfile.TemporaryDirectory(prefix="nbdask-") as folder:
            file = Path(folder) / "array.sh"
            file.write_text(text)
            said = await self._call([*self._command, f"--array=0-{count - 1}", str(file)])
        return [f"{said.strip()}_{number}" for number in range(count)]


def array_script(jobs: Sequence[Wanted]) -> str | None:
    """Return one script for all jobs, each of which finds the name of its worker by its number.

    Parameters
    ----------
    jobs : sequence of Wanted

    Returns
    -------
    str or None
        None for a single job, and where scripts differ in more than the name.
    """
    texts = {job.script.replace(f"--name {job.name} ", '--name "$1" ') for job in jobs}
    if len(jobs) < 2 or len(texts) > 1:
        return None
    before, word, after = texts.pop().partition('--name "$1" ')
    if not word:
        return None
    head, newline, line = before.rpartition("\n")
    names = " ".join(shlex.quote(job.name) for job in jobs)
    pick = f'set -- {names}\nshift "$SLURM_ARRAY_TASK_ID"\n'
    return head + newline + pick + line + word + after

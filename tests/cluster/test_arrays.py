"""Jobs that are submitted together: a batch system that only writes down what it is told."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from nbdask.cluster import arrays
from nbdask.cluster.arrays import Batch, Wanted, array_script

SCRIPT = "#!/bin/sh\n#SBATCH -n 1\n\nexport A=1\npython -m worker --name {} --nthreads 3\n"


def wanted(name: str) -> Wanted:
    """A job."""
    return Wanted(name, SCRIPT.format(name), f"{name}.sh")


class System:
    """Takes arrays, or refuses them."""

    def __init__(self, *, arrays_too: bool = True) -> None:
        self.calls: list[list[str]] = []
        self.texts: list[str] = []
        self.arrays_too = arrays_too

    async def call(self, words: list[str]) -> str:
        self.calls.append(words)
        if any(word.startswith("--array") for word in words):
            if not self.arrays_too:
                raise RuntimeError("no arrays")
            self.texts.append(Path(words[-1]).read_text())
        elif words[-1] == "bad.sh":
            raise RuntimeError("bad")
        return f"Submitted batch job {10 * len(self.calls)}\n"


def submitted(system: System, *names: str) -> list[str | BaseException]:
    """Submit jobs at the same moment."""

    async def together() -> list[str | BaseException]:
        batch = Batch(["sbatch"], system.call)
        jobs = [batch.submit(wanted(name)) for name in names]
        return await asyncio.gather(*jobs, return_exceptions=True)

    return asyncio.run(together())


def test_jobs_that_come_together_are_one_array() -> None:
    """One command, and a number for each."""
    system = System()
    found = submitted(system, "w-0", "w-1", "w-2")
    assert found == [f"Submitted batch job 10_{n}" for n in range(3)]
    ((command, option, _),) = system.calls
    assert (command, option) == ("sbatch", "--array=0-2")


def test_a_job_alone_is_no_array() -> None:
    """It is submitted as ever."""
    system = System()
    assert submitted(system, "w-0") == ["Submitted batch job 10\n"]
    assert system.calls == [["sbatch", "w-0.sh"]]


def test_where_arrays_are_refused_jobs_go_one_by_one() -> None:
    """The error of a single one is its own."""
    system = System(arrays_too=False)
    first, bad, last = submitted(system, "w-0", "bad", "w-2")
    assert (str(first), str(last)) == ("Submitted batch job 20\n", "Submitted batch job 40\n")
    assert isinstance(bad, RuntimeError)
    assert [call[-1] for call in system.calls[1:]] == ["w-0.sh", "bad.sh", "w-2.sh"]


def test_arrays_have_a_longest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm takes a thousand jobs."""
    monkeypatch.setattr(arrays, "MOST", 2)
    system = System()
    found = submitted(system, *(f"w-{n}" for n in range(5)))
    assert [str(text).split()[-1] for text in found] == ["10_0", "10_1", "20_0", "20_1", "30"]


def test_each_job_of_an_array_takes_its_own_name(tmp_path: Path) -> None:
    """Whatever shell runs it; names may hold spaces."""
    text = array_script([wanted(name) for name in ("w-0", "my w-1")])
    assert text is not None
    file = tmp_path / "array.sh"
    file.write_text(text.replace("python -m worker", "echo"))
    for number, name in enumerate(("w-0", "my w-1")):
        done = subprocess.run(
            ["sh", file],
            env={"SLURM_ARRAY_TASK_ID": str(number)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"--name {name} --nthreads 3\n"


def test_scripts_that_differ_are_no_array() -> None:
    """Nor those in which the name does not stand."""
    one = wanted("w-0")
    other = Wanted("w-1", SCRIPT.format("w-1").replace("3", "4"), "b.sh")
    assert array_script([one, other]) is None
    assert array_script([Wanted(n, "echo", "a.sh") for n in ("a", "b")]) is None

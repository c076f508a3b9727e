"""Kill exports, noise, pyramids and workers with SIGKILL at random moments, repeat, and compare.

    python -m benchmarks.output_kills [--moments 60] [--seed 1] [--json FILE]

In turn an export to SMV, noise, a pyramid, and one worker of noise on two worker processes are
killed after a random share of the time that an undisturbed one takes.  Then the same command is
given again (noise with ``--resume``; an export over what may be there).  Good: what is at the place
just after the kill is whole or not there, ``verify`` finds nothing afterwards, and every byte of
pixels is that of the undisturbed one.  Exit status 1: one was not.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbdask
from benchmarks.large_memory import descendants, role
from benchmarks.machine import facts

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -pixel 0.05 -detpixels 1536 -oversample 1"
#: Name -> arguments, STORE read, OUT written; and what is compared, below OUT.
JOBS = {
    "export": ("export STORE OUT --format smv --overwrite --quiet", ""),
    "noise": ("noise STORE --out OUT --seed 3 --psf-gauss 2px --quiet", "image/c"),
    "pyramid": ("pyramid OUT --quiet --threads 2", "pyramid"),
    "noise, worker": (
        "noise STORE --out OUT --seed 3 --psf-gauss 2px --quiet --cluster local --workers 2",
        "image/c",
    ),
}
_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one kill.

    Attributes
    ----------
    job : str
    share : float
        Of the time of an undisturbed one after which it was killed.
    killed : bool
        Whether it was still at work then.
    left : str
        What was at the place: "nothing", "part" (of a store) or "whole".
    same : bool
        Whether the bytes are those of the undisturbed one after the same command again.
    sound : bool
        Whether ``verify`` finds nothing, and nothing is left beside the output.
    """

    job: str
    share: float
    killed: bool
    left: str
    same: bool
    sound: bool

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        return self.same and self.sound and (self.job != "export" or self.left != "part")


def start(job: str, store: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a command."""
    words = JOBS[job][0].replace("STORE", str(store)).replace("OUT", str(out)).split()
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "nbdask", *words, *more]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=out.parent, env=environment, stdout=quiet, stderr=quiet)


def prepared(job: str, store: Path, folder: Path) -> Path:
    """Return the place of an output; a pyramid is added to a copy of the store."""
    folder.mkdir()
    out = folder / ("out.img" if job == "export" else "out.zarr")
    if job == "pyramid":
        shutil.copytree(store, out)
    return out


def content(job: str, out: Path) -> dict[str, bytes]:
    """Return what is compared."""
    if not out.is_dir():
        return {"": out.read_bytes()} if out.exists() else {}
    below = out / JOBS[job][1]
    files = (path for path in below.rglob("*") if path.is_file())
    return {
        str(path.relative_to(below)): path.read_bytes()
        for path in files
        if not path.name.endswith(".partial")
    }


def kill_once(
    job: str, store: Path, folder: Path, whole: dict[str, bytes], usual: float, share: float
) -> Outcome:
    """Start a command, kill it or a worker of it, give it again, compare."""
    out = prepared(job, store, folder)
    begun, process = time.monotonic(), start(job, store, out)
    time.sleep(max(0.0, share * usual - (time.monotonic() - begun)))
    killed = process.poll() is None
    family = descendants(process.pid) if killed else []
    victims = family
    if job.endswith("worker"):
        victims = [pid for pid in family if role(pid, process.pid) == "worker"][:1]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    code = process.wait(timeout=_SECONDS)
    found = content(job, out)
    left = "nothing" if not found else "whole" if found == whole else "part"
    if code != 0 or not job.endswith("worker"):
        resume = ["--resume"] if job.startswith("noise") and out.exists() else []
        process = start(job, store, out, *resume)
        if process.wait(timeout=_SECONDS) != 0:
            return Outcome(job, share, killed, left, same=False, sound=False)
    beside = [path.name for path in folder.iterdir() if path != out and path.suffix != ".img"]
    sound = not beside and (job == "export" or nbdask.verify(out).ok)
    return Outcome(job, share, killed, left, content(job, out) == whole, sound)


def main() -> int:
    """Kill, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the outcomes here too")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="nbdask-kills-") as name:
        base = Path(name)
        store = base / "source.zarr"
        nbdask.simulate(nbdask.from_args(FLAGS.split()), store, tile=128)
        whole: dict[str, tuple[dict[str, bytes], float]] = {}
        for job in JOBS:
            out = prepared(job, store, base / f"whole {job}".replace(" ", "-").replace(",", ""))
            begun = time.monotonic()
            if start(job, store, out).wait(timeout=_SECONDS) != 0:
                raise RuntimeError(f"{job} failed undisturbed")
            whole[job] = content(job, out), time.monotonic() - begun
        print("job            killed at  at work  left     bytes equal  sound")
        for number in range(options.moments):
            job = list(JOBS)[number % len(JOBS)]
            share = random.Random(options.seed + number).uniform(0.3, 1.0)
            folder = base / str(number)
            one = kill_once(job, store, folder, *whole[job], share)
            outcomes.append(one)
            print(
                f"{job:14s} {share:9.2f}  {one.killed!s:7s}  {one.left:7s}  {one.same!s:11s}"
                f"  {one.sound}",
                flush=True,
            )
            shutil.rmtree(folder)
    if options.json is not None:
        record: dict[str, Any] = {"machine": facts(), "outcomes": [asdict(one) for one in outcomes]}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    good = sum(one.good for one in outcomes)
    print(f"{good} of {len(outcomes)} as they should be")
    return 0 if good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

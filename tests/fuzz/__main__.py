"""Feed many inputs: ``python -m tests.fuzz --inputs 1000000``, or ``--seconds 60`` in all.

A find is an error that nbdask does not mean, more than 5 s of processor time or a minute in all, or
more than 1 GiB; its input is kept in a folder, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from types import FrameType

from tests.fuzz.targets import Target, targets

#: Seconds of the processor, seconds in all and bytes that one input may take.
MOST_SECONDS, MOST_WAIT, MOST_BYTES = 5, 60, 1 << 30
#: Finds of a target after which it is left.
_MOST_FINDS = 20


class Hang(BaseException):
    """One input took too long."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hang(f"more than {MOST_SECONDS} s of processor time, or {MOST_WAIT} s in all")


def _watch(on: bool) -> None:
    """Begin or end to count an input's seconds; a busy machine makes no find."""
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS if on else 0)
    signal.setitimer(signal.ITIMER_REAL, MOST_WAIT if on else 0)


def _hold_memory() -> None:
    """Let this process grow by so much only."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def feed(target: Target, seed: int, inputs: int, end: float, kept: Path) -> tuple[int, int, int]:
    """Feed a target; return the inputs fed, those accepted, and the finds."""
    chance = random.Random(f"{seed}/{target.name}")
    fed = accepted = 0
    finds: dict[str, str] = {}
    while fed < inputs and time.monotonic() < end and len(finds) < _MOST_FINDS:
        data = target.draw(chance)
        fed += 1
        _watch(True)
        try:
            accepted += target.feed(data)
        except (Exception, Hang) as error:
            _watch(False)
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            if place not in finds:
                finds[place] = f"{error}"[:200]
                kept.mkdir(exist_ok=True)
                name = f"{target.name}-{len(finds)}"
                (kept / name).write_bytes(data)
                (kept / f"{name}.txt").write_text(traceback.format_exc(), errors="replace")
                print(f"FIND {target.name}: {place}: {finds[place]!r} ({kept / name})", flush=True)
        finally:
            _watch(False)
    return fed, accepted, len(finds)


def main() -> int:
    """Feed all targets, or those named."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="targets [all]")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all [%(default)s]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="in all [no end]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="[%(default)s]")
    given = parser.parse_args()
    kept = given.finds.absolute()
    warnings.simplefilter("ignore")
    for kind in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind, _too_long)
    with tempfile.TemporaryDirectory(prefix="nbdask-fuzz-") as name:
        os.chdir(name)
        known = targets(Path(name))
        chosen = [known[n] for n in given.names or known]
        _hold_memory()
        total = found = 0
        for number, target in enumerate(chosen):
            left = len(chosen) - number
            start = time.monotonic()
            share = given.seconds - (start - _BEGUN)
            end = start + share / left
            fed, accepted, finds = feed(target, given.seed, given.inputs // len(chosen), end, kept)
            total, found = total + fed, found + finds
            seconds = time.monotonic() - start
            print(
                f"{target.name:9s} {fed:8d} inputs, {accepted} accepted, {finds} finds,"
                f" {seconds:.0f} s",
                flush=True,
            )
        print(f"{total} inputs, {found} finds")
        os.chdir("/")
    return 1 if found else 0


_BEGUN = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())

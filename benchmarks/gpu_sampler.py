"""Clocks, power and throttling of a GPU while something else runs."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from typing import Any

_FIELDS = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu")
_REASONS = "clocks_event_reasons.active"
#: Milliseconds between two samples.
_EVERY = 200


class Sampler:
    """Reads what nvidia-smi says five times a second, until it is closed.

    Parameters
    ----------
    program : str or None
        nvidia-smi, or a program that takes its options; None: no samples.
    """

    def __init__(self, program: str | None) -> None:
        self._program = program if program and shutil.which(program) else None
        self._samples: list[tuple[float, list[float], str]] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Sampler:
        if self._program is not None:
            argv = [
                self._program,
                f"--query-gpu={','.join((*_FIELDS, _REASONS))}",
                "--format=csv,noheader,nounits",
                f"--loop-ms={_EVERY}",
                "--id=0",
            ]
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *rest: object) -> None:
        if self._process is not None and self._reader is not None:
            self._process.terminate()
            self._reader.join(5)
            self._process.wait(5)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            columns = [word.strip() for word in line.split(",")]
            if len(columns) != len(_FIELDS) + 1:
                continue
            numbers = [float(word) if _is_number(word) else float("nan") for word in columns[:-1]]
            self._samples.append((time.time(), numbers, columns[-1]))

    def between(self, begin: float, end: float) -> dict[str, Any]:
        """Return the medians of the samples between two times, and what slowed the clocks."""
        found = [sample for sample in list(self._samples) if begin <= sample[0] <= end]
        return _medians(found)

    def summary(self) -> dict[str, Any]:
        """Return the medians of all samples."""
        return _medians(list(self._samples))


def _medians(samples: list[tuple[float, list[float], str]]) -> dict[str, Any]:
    if not samples:
        return {"samples": 0}
    columns = zip(*(numbers for _, numbers, _ in samples), strict=True)
    medians = dict(zip(_FIELDS, (statistics.median(column) for column in columns), strict=True))
    return {
        "samples": len(samples),
        "clock_hertz": 1e6 * medians["clocks.sm"],
        "least_clock_hertz": 1e6 * min(numbers[0] for _, numbers, _ in samples),
        "watts": medians["power.draw"],
        "degrees": medians["temperature.gpu"],
        "busy_percent": medians["utilization.gpu"],
        # A mask of bits: 1 idle, 4 power limit, 8 slowdown, 32 and 64 temperature.
        "reasons": sorted({reason for _, _, reason in samples}),
    }


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

"""Recorded output of the C program for single pixels, and errors planted in formulas."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from nbdask.experiment import Experiment
from nbdask.flags import parse_args
from tests.helpers import GOLDEN

DATA = Path(__file__).parent / "data"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "cases.json").read_text())


@lru_cache
def experiment(name: str, semantics: str = "c") -> Experiment:
    """Return the experiment of a recorded case."""
    argv = CASES[name]["arguments"].split()
    return parse_args(argv, semantics=semantics, base_dir=GOLDEN / "inputs").experiment


def pixel(name: str) -> tuple[int, int]:
    """Return the recorded pixel, (slow, fast)."""
    return (CASES[name]["slow"], CASES[name]["fast"])


def log(name: str, kind: str) -> str:
    """Return the path of what C printed: ``"trace"`` or ``"printout"``."""
    return str(DATA / f"{name}.{kind}.log")


def plant(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], wrong: Callable[..., Any]
) -> None:
    """Put a wrong formula in the place of a right one, in every module that knows it.

    ``wrong`` gets the right result and the arguments.
    """

    def planted(*args: Any, **keywords: Any) -> Any:
        return wrong(function(*args, **keywords), *args)

    found = 0
    for name, module in list(sys.modules.items()):
        if not name.startswith("nbdask."):
            continue
        for key, value in list(vars(module).items()):
            if value is function:
                monkeypatch.setattr(module, key, planted)
                found += 1
    assert found

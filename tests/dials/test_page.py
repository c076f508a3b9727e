"""The commands of docs/dials.md, as they stand."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.dials.program import Dials
from tests.helpers import ROOT

pytestmark = pytest.mark.long


PAGE = (ROOT / "docs" / "dials.md").read_text()
SCRIPTS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)


def typed(dials: Dials, folder: Path, script: str) -> str:
    """Run a script of the page in a folder, and return what it prints."""
    program = folder / "bin" / "nbdask"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m nbdask "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    return dials.run(folder, "env", f"PATH={path}", "bash", "-e", "-c", script)


def test_steps_of_a_rotation_are_indexed(dials: Dials, tmp_path: Path) -> None:
    """The first script, up to an indexed crystal."""
    typed(dials, tmp_path, SCRIPTS[0])
    truth = dials.look(tmp_path, "compare", "truth.expt", "indexed.expt")
    assert truth["angle"] < 0.1


def test_a_scan_is_integrated_and_compared(dials: Dials, tmp_path: Path) -> None:
    """The second script prints how well intensities agree with photons."""
    said = typed(dials, tmp_path, SCRIPTS[1]).splitlines()[-1]
    found = re.fullmatch(r"(\d+) reflections, correlation ([\d.]+)", said)
    assert found is not None, said
    assert int(found[1]) > 100
    assert float(found[2]) > 0.99


def test_stills_are_indexed(dials: Dials, tmp_path: Path) -> None:
    """The third script, each with the crystal that it has in the list."""
    assert len(SCRIPTS) == 3
    typed(dials, tmp_path, SCRIPTS[2])
    found = dials.look(tmp_path, "stills", "truth.expt", "idx-0000_refined.expt")
    assert len(found) == 3
    assert all(one["same_lattice"] and one["angle"] < 0.1 for one in found)

"""The commands of docs/dials.md, as they stand."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.long


def test_the_commands_of_the_page_run(dials, tmp_path: Path) -> None:
    """Up to an indexed crystal."""
    (script,) = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "docs" / "dials.md").read_text(), re.M | re.S
    )
    program = tmp_path / "bin" / "nbdask"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m nbdask "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    dials.run(tmp_path, "env", f"PATH={path}", "bash", "-e", "-c", script)
    truth = dials.look(tmp_path, "compare", "truth.expt", "indexed.expt")
    assert truth["angle"] < 0.1

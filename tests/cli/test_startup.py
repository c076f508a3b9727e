"""A command's own process leaves CuPy out, which zarr would import; others get everything."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

from nbdask.cli.startup import absent

FLAGS = "-cell 70 80 90 90 90 90 -default_F 10 -N 2 -detpixels 8 -distance 100 -lambda 1"


def run(tmp_path, *argv):
    """Run Python with a CuPy that leaves a mark when it is imported; return if it was."""
    package = tmp_path / "fakes" / "cupy"
    package.mkdir(parents=True, exist_ok=True)
    mark = tmp_path / "mark"
    mark.unlink(missing_ok=True)
    text = f"from pathlib import Path\nPath({str(mark)!r}).touch()\nraise ImportError('a fake')\n"
    (package / "__init__.py").write_text(text)
    path = os.pathsep.join([str(package.parent), *filter(None, sys.path)])
    subprocess.run([sys.executable, *argv], env={**os.environ, "PYTHONPATH": path}, check=True)
    return mark.exists()


def test_a_command_does_not_import_what_it_does_not_use(tmp_path):
    """The run is complete, and CuPy was not imported."""
    store = tmp_path / "a.zarr"
    argv = ["-m", "nbdask", "simulate", *FLAGS.split(), "--backend", "numpy", "--quiet"]
    assert not run(tmp_path, *argv, "--out", str(store))
    assert (store / "zarr.json").exists()


def test_a_program_that_calls_the_library_gets_everything(tmp_path):
    """Without the command, zarr finds what is installed."""
    assert run(tmp_path, "-c", "import nbdask.store.local")


def test_a_hidden_module_is_found_again_afterwards():
    """Also where it was imported before, and after an error."""
    with absent("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json
    with absent("wave"), pytest.raises(ImportError, match="wave"):
        importlib.import_module("wave")
    assert "wave" not in sys.modules
    assert importlib.import_module("wave").__name__ == "wave"

"""Compiled kernels on disk: where they are kept, and that a second process only loads them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nbdask.kernels import cache
from nbdask.kernels.numba_kernel import NumbaKernel
from nbdask.kernels.numba_warmup import warm_models
from nbdask.kernels.processor import has_wide_vectors

ROOT = Path(cache.__file__).parents[2]

#: Evaluates one pixel, then prints whether it had to compile, and whether Numba was imported.
SCRIPT = """
import sys
from nbdask.kernels.numba_kernel import NumbaKernel
from nbdask.kernels.numba_warmup import run_once, warm_models
model = next(warm_models())
kernel = NumbaKernel(sys.argv[1])
needed = kernel.needs_compiling(model)
run_once(kernel, model)
print(needed, kernel.needs_compiling(model), "numba" in sys.modules)
"""


@pytest.fixture(autouse=True)
def fresh_answers(monkeypatch):
    """Forget the folder that this process settled on, before and after."""
    for name in (cache.VARIABLE, "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    cache.cache_directory.cache_clear()
    yield
    cache.cache_directory.cache_clear()


def run(script, *arguments, **environment):
    """Run a script in a process of its own; return its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_variable_prevails(monkeypatch, tmp_path):
    """NBDASK_CACHE_DIR, then Numba's own variable, then XDG, then the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.base_directory() == tmp_path / "home" / ".cache" / "nbdask"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.base_directory() == tmp_path / "xdg" / "nbdask"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert cache.base_directory() == tmp_path / "numba"
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "ours"))
    assert cache.base_directory() == tmp_path / "ours"


def test_the_folder_names_the_versions(monkeypatch, tmp_path):
    """Python and Numba are part of the path, so that no version reads another's code."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    folder = cache.configure()
    assert folder.parent == tmp_path
    assert folder.is_dir()
    assert folder.name.startswith(f"{sys.implementation.cache_tag}-")
    assert "-numba0." in folder.name
    assert cache.describe() == str(folder)


def test_a_home_that_cannot_be_written(monkeypatch, tmp_path):
    """A private directory for temporary files stands in."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(blocked / "cache"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = cache.cache_directory().parent
    assert folder == tmp_path / f"nbdask-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_directory_that_others_can_write_is_not_trusted(monkeypatch, tmp_path):
    """Compiled code is run as it is, so a shared directory is passed over."""
    shared = tmp_path / f"nbdask-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(tmp_path / "own"))
    assert cache._private_directory() == tmp_path / "own"


def test_code_belongs_to_its_processor(monkeypatch, tmp_path):
    """One processor's compiled code says nothing about another's."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    assert not cache.is_warm()
    (folder,) = cache.code_folders("this processor")
    assert [folder] != cache.code_folders("another one")
    folder.mkdir(parents=True)
    (folder / ".half-written").touch()
    assert not cache.is_warm()
    (folder / "some-loop").touch()
    assert cache.is_warm()


@pytest.mark.long
def test_a_second_process_loads_what_the_first_compiled(tmp_path):
    """The first compiles and says so beforehand; the next loads it, and does without Numba."""
    environment = {cache.VARIABLE: str(tmp_path)}
    assert run(SCRIPT, "float64", **environment) == "True False True"
    assert run(SCRIPT, "float64", **environment) == "False False False"


def test_numba_keeps_its_own_place_for_others(tmp_path):
    """Only nbdask's functions go to nbdask's directory."""
    script = """
import numba
before = numba.config.CACHE_DIR
import nbdask.kernels.numba_kernel
print(numba.config.CACHE_DIR == before)
"""
    assert run(script, **{cache.VARIABLE: str(tmp_path)}) == "True"


def test_warm_up_reaches_every_version_of_the_loops():
    """Each kind of crystal and amplitude, in both precisions, under names of their own."""
    names = {
        NumbaKernel(precision).variant(model)
        for precision in ("float64", "mixed")
        for model in warm_models(rare=True)
    }
    lattices = {name.split("-")[0] for name in names}
    expected = {
        "FewOdd3", "Few3", "FewOdd5", "Few5", "Grating", "NarrowGrating", "Sphere", "Gauss",
        "NarrowGauss", "NarrowSphere", "NarrowTophat", "Tophat", "Products",
    }  # fmt: skip
    if has_wide_vectors():
        expected |= {"NarrowFew", "NarrowMore"}
    assert lattices == expected
    for lattice in lattices - {"Products"}:
        nearest = "NarrowAmplitude" if lattice.startswith("Narrow") else "NearestAmplitude"
        for amplitude in ("ConstantAmplitude", nearest, "TricubicAmplitude"):
            assert {f"{lattice}-{amplitude}-Once", f"{lattice}-{amplitude}-Each"} <= names
            if lattice.startswith("Narrow") and amplitude != "TricubicAmplitude":
                assert f"{lattice}-{amplitude}-Once-Lit" in names

"""Which compiled library is chosen, and what is said where there is none."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpy.random import mtrand

from nbdask.errors import BackendError, InputError
from nbdask.native import library, sources

ROOT = Path(sources.FOLDER).parents[1]
NEEDED = {
    "x86-64-v3": "ssse3 sse4_1 sse4_2 popcnt cx16 lahf_lm avx avx2 bmi1 bmi2 f16c fma abm movbe",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}
QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing loaded before, no level forced."""
    monkeypatch.delenv(library.VARIABLE, raising=False)
    _forget()
    yield
    _forget()


def _forget() -> None:
    library.load.cache_clear()
    library._opened.cache_clear()


def test_there_is_a_library() -> None:
    assert library.missing_note() is None
    assert library.available()


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of features")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels of x86-64")
def test_the_best_level_is_the_one_that_the_system_lists() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split(":")[1].split())
    best = "x86-64"
    for name in ("x86-64-v3", "x86-64-v4"):
        if not set(NEEDED[name].split()) <= flags:
            break
        best = name
    known = sources.LEVELS["x86_64"]
    assert library.levels() == known[known.index(best) :]
    assert library.level() == best


@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 (package qemu-user-static) is not there")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels of x86-64")
@pytest.mark.parametrize(
    ("processor", "levels"),
    [
        ("Nehalem", "x86-64"),
        ("IvyBridge", "x86-64"),
        ("Haswell", "x86-64-v3 x86-64"),
        ("Haswell,-fma", "x86-64"),
        ("Haswell,-xsave", "x86-64"),
        # Of AVX-512 the emulator has nothing.
        ("Skylake-Server", "x86-64-v3 x86-64"),
    ],
)
def test_older_processors_get_what_they_can_run(processor: str, levels: str) -> None:
    code = (
        "from nbdask.native import library; print(*library.levels()); print(library.level());"
        "print(library.library()._name)"
    )
    done = subprocess.run(
        [str(QEMU), "-cpu", processor, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    chosen = levels.split()[0]
    assert done.stdout.splitlines() == [levels, chosen, str(sources.library_path(chosen))]


@pytest.mark.parametrize("name", library.levels() if library.available() else ())
def test_a_level_can_be_forced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, name)
    assert library.level() == name
    assert library.library()._name == str(sources.library_path(name))
    march = "armv8-a" if name == "aarch64" else name
    assert any(word in library.recipe() for word in (f"={march} ", f"={march.replace('-', '_')} "))


@pytest.mark.parametrize("name", ["avx2", "x86-64-v5", "aarch64 "])
def test_an_unknown_level_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, name)
    here = ", ".join(library.levels())
    with pytest.raises(InputError) as refused:
        library.library()
    assert str(refused.value) == f"{library.VARIABLE}={name}: must be one of {here} here"
    with pytest.raises(InputError):
        library.check_choice()


def _refused() -> str:
    """The note, which is the error's one line too."""
    note = library.missing_note()
    assert not library.available()
    with pytest.raises(BackendError) as refused:
        library.library()
    assert str(refused.value) == note
    assert note is not None
    assert "\n" not in note
    return note


def test_without_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIBRARIES", tmp_path)
    assert _refused() == (
        "no compiled kernel: none was built (no C++ compiler, or NBDASK_NO_NATIVE was set); numpy "
        "takes about 30 times as long; to fix it: install g++ (11 or newer) or clang++ (14 or "
        "newer), then pip install --force-reinstall --no-deps --no-cache-dir . in nbdask's sources"
    )


def test_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert _refused() == (
        "no compiled kernel: there is none for s390x; numpy takes about 30 times as long"
    )


def test_a_broken_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIBRARIES", tmp_path)
    lowest = sources.LEVELS[sources.machine_name(platform.machine())][-1]
    sources.library_path(lowest).write_bytes(b"not a library")
    assert "it cannot be loaded (" in _refused()


@pytest.mark.skipif(sys.platform != "linux", reason="a test of ELF files")
def test_a_library_cut_short(tmp_path: Path) -> None:
    """To load it would end the process with a bus error, with no word of the reason."""
    levels = sources.LEVELS[sources.machine_name(platform.machine())]
    for name in levels:
        whole = sources.library_path(name).read_bytes()
        sources.library_path(name, tmp_path).write_bytes(whole[: len(whole) // 2])
    code = (
        "from pathlib import Path\nfrom nbdask.native import library, sources\n"
        f"sources.LIBRARIES = Path({str(tmp_path)!r})\nprint(library.missing_note())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert "it cannot be loaded (" in done.stdout
    assert "file too short" in done.stdout


def test_a_library_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that loads, but has none of the functions."""
    monkeypatch.setattr(sources, "LIBRARIES", tmp_path)
    lowest = sources.LEVELS[sources.machine_name(platform.machine())][-1]
    shutil.copy(mtrand.__file__, sources.library_path(lowest))
    assert "it cannot be loaded (" in _refused()


def test_a_library_of_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editable install has after its sources changed."""
    changed = shutil.copytree(sources.SOURCES, tmp_path / "src")
    monkeypatch.setattr(sources, "SOURCES", changed)
    assert library.available()
    _forget()
    with (changed / "level.cpp").open("a") as file:
        file.write("\n")
    assert "no compiled kernel: it is older than its C++ sources; " in _refused()


def test_the_digest_is_of_what_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names count as contents do; files of another kind do not."""
    monkeypatch.setattr(sources, "SOURCES", tmp_path)
    (tmp_path / "a.h").write_text("1")
    first = sources.digest()
    (tmp_path / "a.cu").write_text("2")
    assert sources.digest() == first
    (tmp_path / "a.h").rename(tmp_path / "b.h")
    assert sources.digest() != first


@pytest.mark.parametrize(("given", "name"), [("AMD64", "x86_64"), ("arm64", "aarch64")])
def test_other_names_of_machines(given: str, name: str) -> None:
    assert sources.machine_name(given) == name
    assert name in sources.LEVELS


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not on the path")
@pytest.mark.skipif(sys.platform != "linux", reason="ELF files")
@pytest.mark.parametrize("name", library.levels() if library.available() else ())
def test_libraries_show_and_need_little(name: str) -> None:
    """Nothing but nb_ functions is to be seen, and nothing of the C++ runtime is needed."""
    path = str(sources.library_path(name))
    symbols = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True)
    rows = [line.split()[-2:] for line in symbols.stdout.splitlines()]
    shown = [symbol for kind, symbol in rows if kind not in "Uw"]
    assert [symbol for symbol in shown if not symbol.startswith("nb_")] == []
    assert {"nb_level", "nb_sources", "nb_recipe"} <= set(shown)
    needs = [symbol for kind, symbol in rows if kind == "U"]
    assert [symbol for symbol in needs if symbol.startswith("_Z")] == []

"""The build hook: compilers, levels, wheels with and without a library."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nbdask.native import sources

ROOT = Path(__file__).parents[1]
HOOK = ROOT / "hatch_build.py"
SHIPPED = (
    "hatch_build.py",
    "hatch_version.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    ".gitignore",
    "nbdask",
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not all((ROOT / name).exists() for name in SHIPPED), reason="no sources beside the tests"
    ),
]
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler on the path"
)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hook, without variables of the outside that steer it."""
    for name in ("CXX", "NBDASK_NO_NATIVE"):
        monkeypatch.delenv(name, raising=False)
    return _hook()


def _hook() -> Any:
    spec = importlib.util.spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bare(hook: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hook on a machine without compilers."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(hook.importlib.util, "find_spec", lambda name: None)
    return hook


@pytest.fixture
def builder(hook: Any, tmp_path: Path) -> Any:
    """A build of the smallest source, elsewhere."""
    made = hook.Builder(hook.this_target(), tmp_path / "lib")
    made.units = [sources.SOURCES / "level.cpp"]
    return made


def _compiler(folder: Path, body: str) -> str:
    """A compiler that is a script around the real one."""
    real = shutil.which("g++") or shutil.which("clang++")
    script = folder / "compiler"
    script.write_text(f'#!/bin/sh\n{body}\nexec {real} "$@"\n')
    script.chmod(0o755)
    return str(script)


def _wheel_hook(hook: Any) -> Any:
    kind: Any = type("WheelHook", (hook.NativeBuildHook,), {"target_name": "wheel"})
    return kind.__new__(kind)


def test_every_level_has_its_flags(hook: Any) -> None:
    levels = {level for known in sources.LEVELS.values() for level in known}
    assert set(hook.LEVEL_FLAGS) == levels


@needs_compiler
def test_all_levels_are_built(builder: Any) -> None:
    levels = builder.target.levels
    paths = builder.build(levels)
    assert paths == [sources.library_path(level, builder.folder) for level in levels]
    assert all(sources.digest().encode() in path.read_bytes() for path in paths)
    assert sorted(builder.folder.iterdir()) == sorted(paths)


@needs_compiler
def test_what_is_current_is_kept(builder: Any, hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built again only where sources, compiler or flags differ, or if told to."""
    level = builder.target.levels[-1]

    def number() -> int:
        return int(builder.build([level])[0].stat().st_ino)

    first = number()
    assert number() == first
    builder.digest = "0" * 32
    second = number()
    assert second != first
    monkeypatch.setattr(hook, "FLAGS", (*hook.FLAGS, "-DNB_OTHER"))
    third = number()
    assert third != second
    builder.force = True
    assert number() != third


@needs_compiler
def test_a_level_that_cannot_be_compiled_is_left_out(
    builder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    levels = builder.target.levels
    flag = f"-march={levels[0]}" if len(levels) > 1 else "-c"
    builder.folder.mkdir()
    old = sources.library_path(levels[0], builder.folder)
    old.write_bytes(b"of another compiler")
    monkeypatch.setenv(
        "CXX", _compiler(tmp_path, f'case "$*" in *{flag}*level.cpp*) echo no >&2; exit 3;; esac')
    )
    assert builder.build(levels) == [
        sources.library_path(level, builder.folder) for level in levels[1:]
    ]
    assert f"warning: no library for {levels[0]}: " in capfd.readouterr().err
    assert not old.exists()


@needs_compiler
@pytest.mark.parametrize(
    "body",
    [
        "exit 1",
        '[ "$1" = --version ] && exit 1',
        'for last; do :; done; [ "$1" = --version ] || : > "$last"; exit 4',
    ],
)
def test_a_named_compiler_that_fails_is_passed_over(
    body: str, hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", _compiler(tmp_path, body))
    found = hook.find_compiler(hook.this_target(), tmp_path)
    assert found.command in (("g++",), ("clang++",))


@needs_compiler
def test_what_is_no_program_is_passed_over(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "g++"
    broken.write_bytes(b"\x7fELF of nothing")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    found = hook.find_compiler(hook.this_target(), tmp_path)
    assert found.command in (("g++",), ("clang++",))


@needs_compiler
@pytest.mark.parametrize(
    "old", ["-U__clang__ -U__GNUC__ -D__GNUC__=10", "-D__clang__ -D__clang_major__=13"]
)
def test_old_compilers_are_refused(
    old: str,
    hook: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As they are by the test program's own question for the version."""
    script = _compiler(tmp_path, f'set -- {old} "$@"')
    monkeypatch.setenv("CXX", script)
    found = hook.find_compiler(hook.this_target(), tmp_path)
    assert found.command != (script,)
    assert "or newer is needed" in capfd.readouterr().err


def test_without_a_compiler_nothing_is_built(bare: Any, tmp_path: Path) -> None:
    target = bare.this_target()
    assert bare.Builder(target, tmp_path).build(target.levels) == []
    data: dict[str, Any] = {"force_include": {}}
    made = _wheel_hook(bare)
    made.initialize("standard", data)
    made.notes.cleanup()
    assert data.keys() == {"force_include"}
    assert list(data["force_include"].values()) == ["nbdask/_build.py"]


@pytest.mark.parametrize(("there", "asked"), [(True, True), (False, False)])
def test_zig_is_asked_for_only_where_it_can_be_had(
    there: bool, asked: bool, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requirement that pip cannot meet would end the install."""
    wheel_hook = _wheel_hook(bare)
    monkeypatch.setattr(bare, "ziglang_can_be_had", lambda: there)
    assert wheel_hook.dependencies() == ([bare.ZIGLANG] if asked else [])
    monkeypatch.setenv("NBDASK_NO_NATIVE", "1")
    assert wheel_hook.dependencies() == []


@pytest.mark.parametrize("variable", [None, "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"])
def test_a_constraint_keeps_zig_away(
    variable: str | None, hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is pip's own: here from a folder with a wheel by that name."""
    with zipfile.ZipFile(tmp_path / "ziglang-0.13.0-py3-none-any.whl", "w") as wheel:
        info = "ziglang-0.13.0.dist-info"
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: ziglang\nVersion: 0.13.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (tmp_path / "constraints").write_text("ziglang<0\n")
    for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path / "constraints"))
    assert hook.ziglang_can_be_had() is (variable is None)


@needs_compiler
def test_no_compiler_is_asked_of_pip_where_there_is_one(hook: Any) -> None:
    assert _wheel_hook(hook).dependencies() == []


@pytest.mark.parametrize(
    ("machine", "system", "tag"),
    [
        ("x86_64", "linux-gnu", "linux_x86_64"),
        ("aarch64", "linux-musl", "linux_aarch64"),
        ("aarch64", "macos", "macosx_11_0_arm64"),
        ("x86_64", "macos", "macosx_11_0_x86_64"),
    ],
)
def test_tags(machine: str, system: str, tag: str, hook: Any) -> None:
    target = hook.Target(machine, system)
    assert target.tag == tag
    assert target.levels == sources.LEVELS[machine]
    assert hook.Target(machine, "win32").levels == ()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the package without git, and without libraries."""
    folder = tmp_path_factory.mktemp("copy")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("lib", "__pycache__")
            )
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    """Variables for pip: its own, and nothing that steers the hook."""
    left = ("CXX", "NBDASK_NO_NATIVE", "NBDASK_PROCESSOR", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in left}


def _pip(*words: str | Path, **options: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _wheel(source: Path, out: Path, environment: dict[str, str]) -> Path:
    _pip("wheel", "-v", "--no-deps", "--wheel-dir", out, source, env=environment)
    (made,) = out.glob("*.whl")
    return made


def _libraries(wheel: Path) -> list[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return [name for name in names if name.startswith("nbdask/native/lib/")]


def _installed(wheel: Path, folder: Path, environment: dict[str, str]) -> list[str]:
    """What the installed package says of its library."""
    _pip("install", "--no-deps", "--target", folder, wheel, env=environment)
    code = (
        "from nbdask.native import library as it; print(it.__file__); print(it.missing_note());"
        "print(it.recipe() if it.available() else '')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    path, *rest = done.stdout.splitlines()
    assert Path(path).is_relative_to(folder)
    return rest


@pytest.mark.long
@needs_compiler
def test_a_wheel_from_the_sources_as_packed(
    copy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """From the unpacked sdist, without git: libraries, headers, one tag for all Pythons."""
    _pip("install", "--target", tmp_path / "tools", "hatchling>=1.25", env=environment)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(tmp_path / "tools")},
        check=True,
    )
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = _wheel(unpacked, tmp_path / "wheel", environment)
    held = _hook().this_target()
    assert wheel.name.endswith(f"-py3-none-{held.tag}.whl")
    assert len(_libraries(wheel)) == len(held.levels)
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {f"nbdask/native/src/{path.name}" for path in sources.SOURCES.iterdir()}
    assert shipped <= set(names)
    note, recipe = _installed(wheel, tmp_path / "site", environment)
    assert note == "None"
    assert "-ffp-contract=off" in recipe


@pytest.mark.long
def test_a_wheel_without_a_compiler_asks_pip_for_zig(
    copy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """With nothing on the path, as on a bare machine with Python alone."""
    (tmp_path / "bin").mkdir()
    environment["PATH"] = str(tmp_path / "bin")
    wheel = _wheel(copy, tmp_path / "wheel", environment)
    target = _hook().this_target()
    assert len(_libraries(wheel)) == len(target.levels)
    note, recipe = _installed(wheel, tmp_path / "site", environment)
    assert note == "None"
    assert "-fno-sanitize=all" in recipe


@pytest.mark.long
@pytest.mark.parametrize("way", ["NBDASK_NO_NATIVE", "constraint"])
def test_a_wheel_with_neither(
    way: str, copy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "bin").mkdir()
    environment["PATH"] = str(tmp_path / "bin")
    if way == "constraint":
        (tmp_path / "constraints").write_text("ziglang<0\n")
        environment["PIP_CONSTRAINT"] = str(tmp_path / "constraints")
    else:
        environment["NBDASK_NO_NATIVE"] = "1"
    wheel = _wheel(copy, tmp_path / "wheel", environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert _libraries(wheel) == []
    note, _ = _installed(wheel, tmp_path / "site", environment)
    assert note.startswith("no compiled kernel: none was built")

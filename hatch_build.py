"""Build hook: compile the C++ of ``nbdask/native`` once for every level of processor.

``python hatch_build.py`` builds the libraries in place; docs/installing.md says which compilers
serve.  An install never fails for want of one: what cannot be compiled is left out with a warning.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:

    class BuildHookInterface:
        """What is used of hatchling's."""

        target_name: str

else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    except ImportError:  # Run by hand, where hatchling need not be installed.
        BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
NATIVE = runpy.run_path(str(ROOT / "nbdask" / "native" / "sources.py"))
VERSION = runpy.run_path(str(ROOT / "hatch_version.py"))
#: Set to 1: no library is built.
NO_NATIVE = "NBDASK_NO_NATIVE"
#: A compiler that pip can fetch, for machines without one.
ZIGLANG = "ziglang>=0.13,<0.18"
#: The oldest macOS that the libraries run on.
MACOS = "11.0"
FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-fno-exceptions",
    "-fno-rtti",
)
LEVEL_FLAGS = {
    "x86-64-v4": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
    "x86-64-v3": ("-march=x86-64-v3",),
    "x86-64": ("-march=x86-64",),
    "aarch64": ("-march=armv8-a",),
}
#: Compiled and linked by every compiler before it is used.
TRIAL = """
#include <cmath>
#if defined(__clang__) && __clang_major__ < 14
#error "clang++ 14 or newer is needed"
#elif !defined(__clang__) && __GNUC__ < 11
#error "g++ 11 or newer is needed"
#endif
extern "C" __attribute__((visibility("default"))) double nb_trial(double x) {
    return std::fma(x, x, std::floor(x));
}
"""


class CompileError(RuntimeError):
    """What a compiler said when it failed."""


class Target(NamedTuple):
    """The machine and system that the libraries are for."""

    machine: str
    system: str

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of this machine, the best first; none where there is no library for it."""
        known: tuple[str, ...] = NATIVE["LEVELS"].get(self.machine, ())
        return known if self.system in ("linux-gnu", "linux-musl", "macos") else ()

    @property
    def tag(self) -> str:
        """The last part of a wheel's tag."""
        if self.system != "macos":
            return f"linux_{self.machine}"
        machine = "arm64" if self.machine == "aarch64" else self.machine
        return f"macosx_{MACOS.replace('.', '_')}_{machine}"

    def path(self, level: str, folder: Path) -> Path:
        """Return the place of a library."""
        system = "darwin" if self.system == "macos" else "linux"
        path: Path = NATIVE["library_path"](level, folder, system)
        return path


class Compiler(NamedTuple):
    """The command of a compiler, and whether it is zig, whose processors have other names."""

    command: tuple[str, ...]
    zig: bool = False

    def flags(self, target: Target, level: str) -> list[str]:
        """Return the flags for one level."""
        own = list(LEVEL_FLAGS[level])
        if self.zig:
            # zig optimizes for the machine that it runs on unless it is told which one is meant.
            version = {"linux-gnu": ".2.17", "macos": f".{MACOS}"}.get(target.system, "")
            place = f"{target.machine}-{target.system}{version}"
            cpu = "generic" if level == "aarch64" else level.replace("-", "_")
            own = ["-target", place, f"-mcpu={cpu}", *own[1:], "-fno-sanitize=all"]
        elif target.system == "macos":
            own += [f"-mmacosx-version-min={MACOS}"]
        return [*FLAGS, *own]

    def name(self, scratch: Path) -> str:
        """Return the first line that the compiler says about itself."""
        return (self.run(["--version"], scratch).splitlines() or [""])[0]

    def link_flags(self, target: Target) -> list[str]:
        """Return what keeps a library free of the C++ runtime, so that it needs libm alone."""
        if self.zig:
            return ["-shared", "-s", "-nostdlib++", "-lm"]
        if target.system == "macos":
            return ["-shared"]
        return ["-shared", "-s", "-Wl,--as-needed", "-lm"]

    def run(self, arguments: Sequence[str | Path], scratch: Path) -> str:
        """Run the compiler and return what it printed."""
        command = [*self.command, *map(str, arguments)]
        # zig fills a cache: not in the user's home.
        cache = {f"ZIG_{kind}_CACHE_DIR": str(scratch / "zig") for kind in ("GLOBAL", "LOCAL")}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, **cache}
            )
        except OSError as error:
            raise CompileError(f"{shlex.join(command)}: {error}") from error
        if done.returncode:
            raise CompileError(f"{shlex.join(command)}: {done.returncode}\n{done.stderr}")
        sys.stderr.write(done.stderr)
        return done.stdout


def this_target() -> Target:
    """Return the target that this Python runs on."""
    machine = NATIVE["machine_name"](platform.machine())
    if sys.platform == "darwin":
        return Target(machine, "macos")
    if sys.platform == "linux" and sys.maxsize > 2**32:
        host = str(sysconfig.get_config_var("HOST_GNU_TYPE"))
        return Target(machine, "linux-musl" if "musl" in host else "linux-gnu")
    return Target(machine, sys.platform)


def say(text: str) -> None:
    """Print a line where pip shows it."""
    print(text, file=sys.stderr, flush=True)


def candidates(target: Target) -> Iterator[Compiler]:
    """Yield the compilers to try, the preferred one first."""
    named = os.environ.get("CXX")
    if named and named.strip():
        yield Compiler(tuple(shlex.split(named)))
    if target == this_target():
        yield from (Compiler((name,)) for name in ("g++", "clang++"))
    if importlib.util.find_spec("ziglang") is not None:
        yield Compiler((sys.executable, "-m", "ziglang", "c++"), zig=True)


def find_compiler(target: Target, scratch: Path) -> Compiler | None:
    """Return the first compiler that makes a library of a small program."""
    source = scratch / "trial.cpp"
    source.write_text(TRIAL)
    for compiler in candidates(target):
        if shutil.which(compiler.command[0]) is None:
            continue
        flags = compiler.flags(target, target.levels[-1])
        made = source.with_suffix(".o")
        try:
            compiler.name(scratch)
            compiler.run([*flags, "-c", source, "-o", made], scratch)
            link = compiler.link_flags(target)
            compiler.run([*flags, made, *link, "-o", scratch / "trial.so"], scratch)
        except CompileError as error:
            say(f"warning: a compiler that cannot be used: {error}")
        else:
            return compiler
    return None


class Builder:
    """One build of the libraries.

    Parameters
    ----------
    target : Target
    folder : Path
        Where the libraries go.
    force : bool
        Compile what is up to date as well.
    """

    def __init__(self, target: Target, folder: Path, force: bool = False) -> None:
        self.target, self.folder, self.force = target, folder, force
        self.digest: str = NATIVE["digest"]()
        self.units = sorted(NATIVE["SOURCES"].glob("*.cpp"))

    def build(self, levels: Sequence[str]) -> list[Path]:
        """Return the libraries of the levels that could be compiled; none without a compiler."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as name:
            scratch = Path(name)
            compiler = find_compiler(self.target, scratch) if levels else None
            if compiler is None:
                return []
            return self._build(compiler, levels, scratch)

    def _build(self, compiler: Compiler, levels: Sequence[str], scratch: Path) -> list[Path]:
        says = compiler.name(scratch)
        link = compiler.link_flags(self.target)
        recipes = {
            level: " ".join([says, *compiler.flags(self.target, level), *link]) for level in levels
        }
        paths = {level: self.target.path(level, self.folder) for level in levels}
        old = [lv for lv in levels if self.force or not self._is_current(paths[lv], recipes[lv])]
        failed = set()
        with ThreadPoolExecutor(_cores()) as pool:
            # All units of all levels at once, then each level's link as its units are there.
            jobs = {
                level: [
                    pool.submit(self._compile, compiler, level, recipes[level], unit, scratch)
                    for unit in self.units
                ]
                for level in old
            }
            for level, parts in jobs.items():
                try:
                    self._link(compiler, parts, paths[level], scratch)
                except CompileError as error:
                    failed.add(level)
                    paths[level].unlink(missing_ok=True)
                    say(f"warning: no library for {level}: {error}")
        return [path for level, path in paths.items() if level not in failed]

    def _is_current(self, path: Path, recipe: str) -> bool:
        """Whether a library was made from the same sources by the same compiler and flags."""
        held = path.read_bytes() if path.is_file() else b""
        return self.digest.encode() in held and recipe.encode() in held

    def _compile(
        self, compiler: Compiler, level: str, recipe: str, unit: Path, scratch: Path
    ) -> Path:
        made = scratch / f"{level}-{unit.stem}.o"
        defines = [
            f"-D{name}={json.dumps(text)}"
            for name, text in (("NB_SOURCES", self.digest), ("NB_RECIPE", recipe))
        ]
        flags = compiler.flags(self.target, level)
        compiler.run([*flags, *defines, "-c", unit, "-o", made], scratch)
        return made

    def _link(
        self, compiler: Compiler, parts: list[Future[Path]], path: Path, scratch: Path
    ) -> None:
        objects = [part.result() for part in parts]
        flags = compiler.flags(self.target, path.stem.removeprefix("nbdask-"))
        made = scratch / path.name
        link = compiler.link_flags(self.target)
        compiler.run([*flags, *objects, *link, "-o", made], scratch)
        # A process that has the old one loaded keeps it.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.copyfile(made, beside)
        beside.replace(path)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ziglang_can_be_had() -> bool:
    """Whether pip finds a ziglang for this machine; a requirement that it cannot find is fatal.

    pip's isolated build environment is the same Python with another search path: ``-I`` leaves it,
    so that pip's own settings count, those of its command line excepted.  Where the frontend is not
    pip, there is nobody to ask, and it is taken to be there.
    """
    ask = ["-I", "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
    files = [os.environ.get(name) for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")]
    done = subprocess.run(
        [sys.executable, *ask, ZIGLANG],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_CONSTRAINT": " ".join(filter(None, files))},
    )
    return done.returncode == 0 or "No module named pip" in done.stderr


class NativeBuildHook(BuildHookInterface):
    """What hatchling calls."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for zig where no compiler is found."""
        target = this_target()
        if os.environ.get(NO_NATIVE) or not target.levels or self.target_name == "sdist":
            return []
        with tempfile.TemporaryDirectory() as name:
            if find_compiler(target, Path(name)) is not None or not ziglang_can_be_had():
                return []
        return [ZIGLANG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the libraries into the wheel; the sdist gets the commit alone."""
        if version != "editable":
            self._keep_commit(build_data)
        if os.environ.get(NO_NATIVE) or self.target_name == "sdist":
            return
        target = this_target()
        folder: Path = NATIVE["LIBRARIES"]
        place = folder if folder.exists() else folder.parent
        if version != "editable" and not os.access(place, os.W_OK):
            # Gone with the program: hatchling copies the files after this function.
            self.scratch = tempfile.TemporaryDirectory()
            folder = Path(self.scratch.name)
        built = Builder(target, folder).build(target.levels)
        if target.levels and target.path(target.levels[-1], folder) not in built:
            built = []
        if not built:
            say("warning: no C++ compiler was found; nbdask is built without its fast kernel")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{target.tag}"
        for path in built:
            build_data["force_include"][str(path)] = f"nbdask/native/lib/{path.name}"

    def _keep_commit(self, build_data: dict[str, Any]) -> None:
        """Put version and commit into what is built."""
        # Gone with the program, as below.
        self.notes = tempfile.TemporaryDirectory()
        made = Path(self.notes.name, "_build.py")
        made.write_text(VERSION["module_text"]())
        build_data["force_include"][str(made)] = "nbdask/_build.py"


def main() -> int:
    """Build the libraries in place, or with --target those of another machine."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--target",
        help="for instance aarch64-linux-gnu or x86_64-macos: $CXX or zig compiles for it, into "
        "build/native",
    )
    parser.add_argument("--level", action="append", help="build this level alone; repeatable")
    parser.add_argument("--force", action="store_true", help="compile what is up to date as well")
    options = parser.parse_args()
    target, folder = this_target(), NATIVE["LIBRARIES"]
    if options.target:
        target = Target(*options.target.split("-", 1))
        folder = ROOT / "build" / "native" / options.target
    levels = options.level or target.levels
    if not levels or not set(levels) <= set(target.levels):
        parser.error(f"levels of {'-'.join(target)}: {', '.join(target.levels) or 'none'}")
    built = Builder(target, folder, options.force).build(levels)
    for path in built:
        print(path)
    return 0 if len(built) == len(levels) else 1


if __name__ == "__main__":
    sys.exit(main())

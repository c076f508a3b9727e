"""Build hook: compile the C++ of ``nbdask/native`` once for every level of processor.

``python hatch_build.py`` builds the libraries in place; see docs/installing.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NATIVE = runpy.run_path(str(ROOT / "nbdask" / "native" / "sources.py"))
FLAGS = (
    "-std=c++17 -O3 -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-trapping-math "
    "-fopenmp-simd -fno-exceptions -fno-rtti"
).split()
#: Flags that belong to one level.
LEVEL_FLAGS = {
    "x86-64-v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "x86-64-v3": ["-march=x86-64-v3"],
    "x86-64": ["-march=x86-64"],
    "aarch64": ["-march=armv8-a"],
}


def find_compiler() -> list[str] | None:
    """Return the command of a C++ compiler that works here."""
    for command in filter(None, (os.environ.get("CXX"), "g++", "clang++")):
        words = shlex.split(command)
        if shutil.which(words[0]):
            return words
    return None


def version_of(compiler: list[str]) -> str:
    """Return the first line that a compiler says about itself."""
    done = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def build_level(compiler: list[str], level: str, force: bool, pool: ThreadPoolExecutor) -> Path:
    """Compile the library of one level, unless it is there already."""
    flags = [*FLAGS, *LEVEL_FLAGS[level]]
    recipe = " ".join([version_of(compiler), *flags])
    sources = NATIVE["digest"]()
    target: Path = NATIVE["library_path"](level)
    if not force and target.is_file():
        held = target.read_bytes()
        if sources.encode() in held and recipe.encode() in held:
            return target
    defines = [f'-DNB_SOURCES="{sources}"', f'-DNB_RECIPE="{recipe}"']
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        units = sorted(NATIVE["SOURCES"].glob("*.cpp"))
        objects = [Path(scratch) / f"{unit.stem}.o" for unit in units]
        jobs = [
            pool.submit(run, [*compiler, *flags, *defines, "-c", str(unit), "-o", str(out)])
            for unit, out in zip(units, objects, strict=True)
        ]
        for job in jobs:
            job.result()
        made = Path(scratch) / target.name
        run([*compiler, *flags, "-shared", *map(str, objects), "-o", str(made), "-lm"])
        made.replace(target)
    return target


def run(command: list[str]) -> None:
    """Run a compiler; its messages go into the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")
    sys.stderr.write(done.stderr)


def build(levels: list[str], force: bool = False) -> list[Path]:
    """Build the libraries of several levels side by side; one that fails is left out."""
    compiler = find_compiler()
    if compiler is None:
        print("no C++ compiler was found", file=sys.stderr)
        return []
    built = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(len(levels)) as outer, ThreadPoolExecutor(cores) as pool:
        jobs = {lv: outer.submit(build_level, compiler, lv, force, pool) for lv in levels}
        for level, job in jobs.items():
            try:
                built.append(job.result())
            except RuntimeError as error:
                print(f"warning: no library for {level}: {error}", file=sys.stderr)
    return built


def main() -> int:
    """Build in place."""
    known = NATIVE["LEVELS"].get(NATIVE["machine_name"](platform.machine()), ())
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--level", action="append", choices=known)
    parser.add_argument("--force", action="store_true", help="compile what is up to date as well")
    options = parser.parse_args()
    levels = options.level or list(known)
    built = build(levels, options.force)
    print(*built, sep="\n")
    return 0 if len(built) == len(levels) else 1


if __name__ == "__main__":
    sys.exit(main())

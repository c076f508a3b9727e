"""The folders of the package import each other in one direction only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import nbdask

PACKAGE = Path(nbdask.__file__).parent
DOCS = Path(__file__).parents[1] / "docs" / "architecture.md"
ORDER = (
    {"errors", "files", "html", "statistics", "units", "version"},
    {"native"},
    {"inputs"},
    {"experiment"},
    {"geometry"},
    {"plan"},
    {"physics"},
    {"kernels"},
    {"store"},
    {"graph"},
    {"cluster"},
    {"fill"},
    {"run"},
    {"calibrate", "lazy"},
    {"derive"},
    {"export", "verification"},
    {"parity", "trace"},
    {"accessor", "view"},
    {"example"},
    {"cli"},
)
LEVEL = {part: level for level, parts in enumerate(ORDER) for part in parts}
#: Names at the top (``import nbdask`` itself, ``python -m nbdask``) may import everything.
TOP = {"__init__", "__main__"}
#: Packages that only these parts may import.
HOMES = {
    "zarr": {"store"},
    "obstore": {"store"},
    "xarray": {"store", "lazy", "derive", "accessor"},
    "dask": {"store", "graph", "cluster", "run", "lazy", "derive", "accessor"},
    "distributed": {"graph", "cluster", "run"},
    "cupy": {"kernels"},
    "gemmi": {"inputs", "example"},
    "PIL": {"html", "export", "parity", "view", "example"},
    "matplotlib": {"view"},
    "bokeh": {"view"},
    "h5py": {"export"},
    "hdf5plugin": {"export"},
    "fabio": {"export"},
    "tifffile": {"export"},
    "click": {"cli"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Name of the part (folder or top-level module) that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def imported_names(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and dotted name of everything that a file imports, relative imports resolved."""
    return tuple(_imported_names(path))


def _imported_names(path: Path) -> Iterator[tuple[int, str]]:
    package = ["nbdask", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else package[: len(package) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def upward_imports(path: Path) -> list[str]:
    """Imports of a file that reach a part of the same or a higher level other than its own."""
    own = part_of(path)
    found = []
    for line, name in imported_names(path):
        pieces = name.split(".")
        if pieces[0] != "nbdask" or len(pieces) < 2 or pieces[1] == own:
            continue
        if pieces[1] not in LEVEL:
            found.append(f"{path.name}:{line} imports {name} from the top of the package")
        elif LEVEL[pieces[1]] >= LEVEL[own]:
            found.append(f"{path.name}:{line} {own} imports {name}")
    return found


def test_every_part_has_a_level() -> None:
    """No folder or module of the package is missing from the order."""
    parts = {part_of(path) for path in FILES} - TOP
    assert parts <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    """A module imports only from its own part or from lower ones."""
    if part_of(path) not in TOP:
        assert upward_imports(path) == []


def test_documentation_gives_the_same_order() -> None:
    """The order that docs/architecture.md states is the order that is tested."""
    text = re.sub(r"\s+", " ", DOCS.read_text())
    line = " < ".join(", ".join(p for p in sorted(parts)) for parts in ORDER)
    stated = next(m for m in re.findall(r"`([^`]* < [^`]*)`", text))
    ordered = " < ".join(", ".join(sorted(part.split(", "))) for part in stated.split(" < "))
    assert ordered == line


@pytest.mark.parametrize("package", HOMES)
def test_packages_are_imported_only_where_they_belong(package: str) -> None:
    """For instance zarr only in store/: what changes with a new zarr is in one place."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in FILES
        if part_of(path) not in HOMES[package]
        for line, name in imported_names(path)
        if name.split(".")[0] == package
    ]
    assert found == []


@pytest.mark.parametrize("module", ["nbdask", "nbdask.cli.main"])
def test_start_up_stays_light(module: str) -> None:
    """Starting the command line loads none of the packages that a plain run can do without."""
    code = (
        f"import sys, {module}\n"
        "heavy = ('distributed', 'xarray', 'pandas', 'matplotlib', 'gemmi', 'PIL')\n"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.split() == []

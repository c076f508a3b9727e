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
    {"leftovers"},
    {"errors", "files", "html", "statistics", "units", "version"},
    {"counter", "elementary", "native"},
    {"inputs"},
    {"panels"},
    {"experiment"},
    {"background"},
    {"amplitudes"},
    {"flags"},
    {"geometry"},
    {"shots"},
    {"plan"},
    {"physics"},
    {"kernels"},
    {"gradients"},
    {"store"},
    {"graph"},
    {"cluster"},
    {"fill"},
    {"result"},
    {"prepare"},
    {"simulation"},
    {"run"},
    {"calibrate", "lazy"},
    {"derive", "truth"},
    {"export", "jax", "shards", "shot_data", "torch", "verification"},
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
    "filelock": {"store"},
    "zarr": {"store", "amplitudes"},
    "obstore": {"store"},
    "xarray": {"store", "lazy", "derive", "gradients", "accessor", "truth"},
    "dask": {"plan", "store", "graph", "cluster", "run", "lazy", "derive", "gradients", "accessor"},
    "distributed": {"graph", "cluster", "run"},
    "cupy": {"kernels"},
    "gemmi": {"amplitudes", "background", "example", "panels", "truth"},
    "PIL": {"html", "export", "view"},
    "matplotlib": {"accessor", "parity", "view"},
    "bokeh": {"view"},
    "dxtbx": {"export"},
    "h5py": {"export", "panels"},
    "hdf5plugin": {"export"},
    "fabio": {"export"},
    "tifffile": {"export"},
    "jax": {"jax"},
    "torch": {"torch"},
    "click": {"cli"},
}
#: Imports inside functions that are meant: why, module, what it imports (or below).
INNER = {
    "the package is optional": {
        ("cluster.devices", "dask_cuda"),
        ("export.hdf5_pixels", "hdf5plugin"),
        ("kernels.cuda_device", "cupy"),
        ("kernels.cuda_nvrtc", "cupy"),
        ("panels.masks", "h5py"),
        ("panels.nxmx", "h5py"),
        ("panels.write_nxmx", "h5py"),
        ("shots.text_tables", "pandas"),
        ("store.address", "nbdask.store.remote"),
        ("view.server", "nbdask.view.tabs"),
    },
    "help and errors of usage come without what only the work needs": {
        ("cli.amplitudes", "nbdask.amplitudes"),
        ("cli.amplitudes", "nbdask.view"),
        ("cli.outputs", "nbdask.store"),
        ("cli.calibrate", "nbdask.calibrate"),
        ("cli.compare", "nbdask.parity"),
        ("cli.example", "nbdask.example"),
        ("cli.example", "nbdask.prepare"),
        ("cli.example", "nbdask.run"),
        ("cli.example", "nbdask.view"),
        ("cli.export", "nbdask.export"),
        ("cli.finish", "nbdask.shards"),
        ("cli.fit", "nbdask.gradients"),
        ("cli.fit", "nbdask.shot_data"),
        ("cli.fit", "nbdask.store"),
        ("cli.geometry", "nbdask.panels"),
        ("cli.geometry", "nbdask.view"),
        ("cli.reading", "nbdask.gradients"),
        ("cli.reading", "nbdask.store"),
        ("cli.info", "nbdask.derive"),
        ("cli.info", "nbdask.shots"),
        ("cli.info", "nbdask.store"),
        ("cli.info", "nbdask.view.report"),
        ("cli.comparison", "nbdask.parity"),
        ("cli.noise", "nbdask.derive"),
        ("cli.noise", "nbdask.store"),
        ("cli.options", "nbdask.cluster"),
        ("cli.options", "nbdask.panels"),
        ("cli.parity", "nbdask.cli.parity_run"),
        ("cli.completion", "nbdask.cli.main"),
        ("cli.manual", "nbdask.cli.main"),
        ("cli.preview", "nbdask.derive"),
        ("cli.preview", "nbdask.store"),
        ("cli.preview", "nbdask.view"),
        ("cli.pyramid", "nbdask.derive"),
        ("cli.pyramid", "nbdask.store"),
        ("cli.repair", "nbdask.verification"),
        ("cli.running", "nbdask.prepare"),
        ("cli.sharing", "nbdask.prepare"),
        ("cli.shot_options", "nbdask.shots"),
        ("cli.sharing", "nbdask.shards"),
        ("cli.simulate", "nbdask.prepare"),
        ("cli.simulate", "nbdask.run"),
        ("cli.status", "nbdask.shards"),
        ("cli.trace", "nbdask.store"),
        ("cli.trace", "nbdask.trace.stored"),
        ("cli.truth", "nbdask.store"),
        ("cli.truth", "nbdask.truth"),
        ("cli.truth", "nbdask.truth.compute"),
        ("cli.truth", "nbdask.truth.stored"),
        ("cli.verify", "nbdask.verification"),
        ("cli.view", "nbdask.view"),
    },
    "a run starts without what only some of its options need": {
        ("amplitudes.files", "zarr"),
        ("cli.simulate", "nbdask.derive"),
        ("cli.simulate", "nbdask.export"),
        ("cli.simulate", "nbdask.shots"),
        ("cli.simulate", "nbdask.trace"),
        ("cli.simulate", "nbdask.truth.compute"),
        ("cli.simulate", "nbdask.truth.stored"),
        ("cli.truth", "nbdask.truth.mtz"),
        ("flags.files", "nbdask.amplitudes.settle"),
        ("flags.spectrum", "nbdask.panels.read"),
        ("geometry.amplitude_fields", "nbdask.amplitudes.make"),
        ("geometry.diffuse", "nbdask.amplitudes.laue"),
        ("geometry.energies", "nbdask.amplitudes.make"),
        ("parity.inputs", "nbdask.amplitudes.make"),
        ("flags.assemble", "nbdask.flags.geometry"),
    },
    "the command line starts without it, and most often ends without it": {
        ("cli.main", "nbdask.flags"),
        ("cli.argv", "nbdask.flags"),
        ("cli.groups", "nbdask.flags"),
        ("errors", "difflib"),
    },
    "zarr takes longest to import: an experiment or plan that is refused does not wait for it": {
        ("run", "nbdask.fill.filler"),
        ("result", "nbdask.store"),
        ("prepare", "nbdask.store"),
        ("simulation", "nbdask.store"),
        ("store.address", "nbdask.store.local"),
    },
    "few of those who import the module need it, and it takes long to import": {
        ("accessor", "matplotlib.colors"),
        ("derive.arrays", "dask.array"),
        ("derive.assembly", "dask.array"),
        ("derive.assembly", "xarray"),
        ("derive.directions", "contourpy"),
        ("html", "PIL"),
        ("panels.write_dxtbx", "gemmi"),
        ("parity.pictures", "matplotlib"),
        ("plan.memory", "dask.utils"),
        ("store.lazy", "dask.array"),
        ("store.lockfile", "filelock"),
        ("store.open", "xarray"),
        ("store.tables", "xarray"),
    },
}
#: Wheels have _build.py besides, which only names their commit.
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "_build.py")


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
        parts = name.split(".")
        if parts[0] != "nbdask" or len(parts) < 2 or parts[1] == own:
            continue
        if parts[1] not in LEVEL:
            found.append(f"{path.name}:{line} imports {name} from the top of the package")
        elif LEVEL[parts[1]] >= LEVEL[own]:
            found.append(f"{path.name}:{line} {own} imports {name}")
    return found


def module_of(path: Path) -> str:
    """Dotted name of a module below the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@cache
def inner_imports() -> frozenset[tuple[str, str]]:
    """Module and what it imports inside a function, of the whole package."""
    return frozenset((module_of(path), name) for path in FILES for name in _inner_names(path))


def _inner_names(path: Path) -> Iterator[str]:
    for function in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
                    yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(name: str, above: str) -> bool:
    """Whether a dotted name is another one, or begins with it."""
    return name == above or name.startswith(above + ".")


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda p: p.name)
def test_no_circles_inside_a_folder(folder: Path) -> None:
    """The modules of a folder can be read in an order in which each needs only those before it."""
    modules = {path.stem: path for path in folder.glob("*.py")}
    package = ".".join(["nbdask", *folder.relative_to(PACKAGE).parts])
    left = {
        stem: {
            other
            for other in modules
            for _, name in imported_names(path)
            if other not in (stem, "__init__") and is_below(name, f"{package}.{other}")
        }
        for stem, path in modules.items()
    }
    while free := {stem for stem, needed in left.items() if not needed}:
        left = {stem: needed - free for stem, needed in left.items() if stem not in free}
    assert left == {}


def test_imports_inside_functions_have_a_reason() -> None:
    """Every other import stands at the top of its module."""
    meant = {pair for pairs in INNER.values() for pair in pairs}
    found = [
        f"{module} imports {name} inside a function"
        for module, name in sorted(inner_imports())
        if not any(module == where and is_below(name, what) for where, what in meant)
    ]
    assert found == []


def test_reasons_for_imports_inside_functions_are_needed() -> None:
    """An import that has moved to the top is no longer listed."""
    unused = [
        (where, what)
        for pairs in INNER.values()
        for where, what in sorted(pairs)
        if not any(m == where and is_below(name, what) for m, name in inner_imports())
    ]
    assert unused == []


def test_every_part_has_a_level() -> None:
    """No folder or module of the package is missing from the order."""
    parts = {part_of(path) for path in FILES} - TOP
    assert parts <= set(LEVEL)


def test_imports_go_downwards() -> None:
    """A module imports only from its own part or from lower ones."""
    found = {path: upward_imports(path) for path in FILES if part_of(path) not in TOP}
    assert {path: upward for path, upward in found.items() if upward} == {}


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

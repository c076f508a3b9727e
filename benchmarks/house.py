"""How well the package is kept: circles of imports, lengths, arguments, types, messages, tests.

    python -m benchmarks.house [ROOT] [--list]

ROOT is a checkout, by default this one; with ``--list`` the places are named too.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LONG = 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """A module, read but not imported."""

    name: str
    path: Path
    tree: ast.Module = field(repr=False)
    lines: int

    @property
    def folder(self) -> str:
        """Name of the package that the module is part of."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def read(root: Path, top: str) -> dict[str, Module]:
    """Return the modules below a folder by their dotted names."""
    found = {}
    for path in sorted((root / top).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        found[name] = Module(name, path, ast.parse(text, str(path)), len(text.splitlines()))
    return found


def imports(module: Module, known: dict[str, Module]) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it that stands."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.folder.split(".")
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in known else base)
    return {name for name in found if name in known}


def circles(modules: dict[str, Module]) -> list[list[str]]:
    """Return the sets of modules of one folder that reach each other through it."""
    edges = {
        name: {n for n in imports(module, modules) if modules[n].folder == module.folder}
        for name, module in modules.items()
    }
    reach = {name: _reached(name, edges) for name in edges}
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in edges
        if name in reach[name]
    }
    return sorted(list(group) for group in groups)


def _reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        fresh = edges[left.pop()] - seen
        seen |= fresh
        left += fresh
    return seen


def functions(module: Module) -> Iterator[Function]:
    """Yield every function of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def arguments(function: Function) -> int:
    """Return how many arguments a function takes, itself and its class left out."""
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([n for n in names if n not in ("self", "cls")])


def length(function: Function) -> int:
    """Return the lines of a function, from its ``def`` on."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def inner_imports(module: Module) -> set[int]:
    """Return the lines of the imports that stand in functions."""
    return {
        node.lineno
        for function in functions(module)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }


def of_any_type(module: Module) -> list[int]:
    """Return the lines of annotations that hold ``Any``."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.arg):
            places = [node.annotation]
        elif isinstance(node, Function):
            places = [node.returns]
        elif isinstance(node, ast.AnnAssign):
            places = [node.annotation]
        else:
            continue
        for place in places:
            if place is not None and any(
                isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(place)
            ):
                found.append(place.lineno)
    return found


def raises(module: Module) -> Iterator[tuple[int, bool]]:
    """Yield line, and whether a value goes into the message, of each error that is made."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            given = (*node.exc.args, *(word.value for word in node.exc.keywords))
            parts = (part for one in given for part in ast.walk(one))
            yield node.lineno, any(isinstance(p, (ast.Name, ast.Attribute)) for p in parts)


def main() -> None:
    """Print the measures."""
    parser = argparse.ArgumentParser(description="Measures of the source.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--list", action="store_true", help="name the places too")
    options = parser.parse_args()
    modules, tests = read(options.root, "nbdask"), read(options.root, "tests")
    native = [p for p in (options.root / "nbdask").rglob("*") if p.suffix in (".h", ".cpp", ".cu")]

    def show(label: str, value: object, places: list[str] | None = None) -> None:
        print(f"{label:<46}{value}")
        for place in (places or []) if options.list else []:
            print(f"    {place}")

    every = [(m, f) for m in modules.values() for f in functions(m)]
    loops = circles(modules)
    show("circles inside folders", len(loops), [" ".join(loop) for loop in loops])
    lines = sum(m.lines for m in modules.values())
    show("lines of the package, Python", lines)
    show("lines of the package, C++ and CUDA", sum(len(p.read_text().splitlines()) for p in native))
    long = [f"{m.name}:{f.lineno} {f.name} {length(f)}" for m, f in every if length(f) > LONG]
    show(f"functions over {LONG} lines", len(long), long)
    most = max(arguments(f) for _, f in every)
    holders = [f"{m.name}:{f.lineno} {f.name}" for m, f in every if arguments(f) == most]
    show("most arguments of a function", most, holders)
    many = [f"{m.name}:{f.lineno} {f.name}" for m, f in every if arguments(f) > 9]
    show("functions with more than 9 arguments", len(many), many)
    loose = [f"{m.name}:{line}" for m in modules.values() for line in of_any_type(m)]
    show("annotations with Any", len(loose), loose)
    inner = [f"{m.name}:{line}" for m in modules.values() for line in sorted(inner_imports(m))]
    show("imports inside functions", len(inner), inner)
    made = [(f"{m.name}:{line}", told) for m in modules.values() for line, told in raises(m)]
    mute = [place for place, told in made if not told]
    share = 1 - len(mute) / len(made)
    show("raises that carry a value", f"{100 * share:.1f} % of {len(made)}", mute)
    tested = sum(m.lines for m in tests.values())
    show("test lines per line of the package", f"{tested / lines:.2f}")


if __name__ == "__main__":
    main()

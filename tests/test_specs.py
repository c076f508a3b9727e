"""The table of requirements is complete and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPECS = ROOT / "specs"
TABLE = SPECS / "requirements.md"
PAGES = sorted(p for p in SPECS.glob("*.md") if p.name not in ("README.md", "requirements.md"))
REQUIREMENT = re.compile(r"^\*\*(S-[A-Z]+-\d\d)\*\* \S", re.MULTILINE)
ROW = re.compile(r"^\| (S-[A-Z]+-\d\d) \| (.+) \|$", re.MULTILINE)


def requirements() -> list[str]:
    """Numbers of all requirements, page by page."""
    return [number for page in PAGES for number in REQUIREMENT.findall(page.read_text())]


def rows() -> dict[str, list[str]]:
    """Tests of each requirement, as the table names them."""
    return {number: re.findall(r"`([^`]+)`", cell) for number, cell in ROW.findall(table_text())}


def table_text() -> str:
    """Text of the table's page."""
    return TABLE.read_text()


@cache
def names_of_tests(path: Path) -> set[str]:
    """Names of a test file's tests, ``Class::test`` for those in classes."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(), str(path)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (n for n in node.body if isinstance(n, ast.FunctionDef))
            names |= {f"{node.name}::{n.name}" for n in inner}
    return {name for name in names if name.split("::")[-1].startswith("test_")}


def test_requirements_are_unique() -> None:
    """No number is given twice, and every page has requirements of its own prefix only."""
    found = requirements()
    assert len(found) > 100
    assert len(found) == len(set(found))
    for page in PAGES:
        prefixes = {n.rsplit("-", 1)[0] for n in REQUIREMENT.findall(page.read_text())}
        assert len(prefixes) == 1, page.name


def test_no_line_looks_like_a_requirement_without_being_one() -> None:
    """A misspelt number would otherwise escape the table."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            if line.startswith("**S"):
                assert REQUIREMENT.match(line), f"{page.name}: {line}"


def test_table_lists_every_requirement_once() -> None:
    """Table and pages hold the same numbers, and none stands twice in the table."""
    listed = [number for number, _ in ROW.findall(table_text())]
    assert len(listed) == len(set(listed))
    assert set(requirements()) - set(listed) == set()
    assert set(listed) - set(requirements()) == set()


def test_named_tests_exist() -> None:
    """Each row names at least one test, as path::name, that its file really holds."""
    for number, names in rows().items():
        assert names, number
        for name in names:
            path, _, function = name.partition("::")
            assert (ROOT / path).is_file(), f"{number}: no file {path}"
            assert function in names_of_tests(ROOT / path), f"{number}: no test {name}"


def test_references_between_pages_exist() -> None:
    """Every number mentioned anywhere in the specification is a requirement."""
    known = set(requirements())
    for page in [*PAGES, SPECS / "README.md"]:
        mentioned = set(re.findall(r"S-[A-Z]+-\d\d", page.read_text()))
        assert mentioned <= known, page.name

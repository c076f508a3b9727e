"""Every formula of the C++ headers names its rules, and calls no function of a library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nbdask.native.sources import SOURCES

SPECS = Path(__file__).parents[2] / "specs"
HEADERS = ("formulas.h", "lattice.h", "rays.h", "amplitude.h", "finish.h", "slopes.h",
           "slope_steps.h", "slope_narrow.h", "planes.h")  # fmt: skip
RULE = re.compile(r"\bS-[A-Z]+-\d\d\b")
#: A function, the comment above it, and a template's words between the two.
FUNCTION = re.compile(
    r"((?:^//[^\n]*\n)*)(?:^template [^\n]*\n)?^NB_INLINE [\w&]+ (\w+)\(", re.MULTILINE
)
#: What compilers put in the place of a call, or what is exact.
CALLED = ("fma", "sqrt", "floor", "ceil", "rint")
LIBRARY = re.compile(
    r"\b(a?(sin|cos|tan)h?|atan2|exp[2m]?1?|log[12]?[0p]?|pow|hypot|cbrt|fmod|remainder|erf"
    r"|[tl]gamma|l?round|nearbyint|fmin|fmax|fabs|trunc)f?\("
)


def functions(header):
    """Return each function of a header, with the rules in the comment above it."""
    text = (SOURCES / header).read_text()
    return [(name, set(RULE.findall(comment))) for comment, name in FUNCTION.findall(text)]


def table():
    """Return the rules of each function, as the page about numbers has them."""
    found = {}
    for line in (SPECS / "numbers.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for name in re.findall(r"`(\w+)`", cells[1]) if len(cells) == 7 else ():
            found[name] = set(RULE.findall(cells[3])), cells[2], cells[4], cells[5]
    return found


def known():
    """Return all rules of the specification."""
    pages = (page.read_text() for page in SPECS.glob("*.md"))
    return {rule for page in pages for rule in re.findall(r"^\*\*(S-[A-Z]+-\d\d)\*\*", page, re.M)}


@pytest.mark.parametrize("header", HEADERS)
def test_every_formula_names_its_rules(header):
    """In the comment above it and in the table, the same ones; and they exist."""
    text = (SOURCES / header).read_text()
    found = functions(header)
    assert len(found) == len(re.findall(r"^NB_INLINE ", text, re.MULTILINE))
    rows, rules = table(), known()
    for name, named in found:
        assert named, f"{header}: {name} names no rule"
        assert named <= rules, f"{header}: {name}"
        listed, files, unit, source = rows[name]
        assert named == listed, name
        assert header in files, name
        assert unit, name
        assert source, name


def test_the_table_has_no_other_formulas():
    """What was taken away is not listed any more."""
    names = {name for header in HEADERS for name, _ in functions(header)}
    assert set(table()) == names
    assert len(names) > 30


def test_no_function_of_a_library_is_called():
    """Nothing but what is exact or rounded once; other libraries would have other bits."""
    for path in (
        *(SOURCES / header for header in HEADERS),
        *(SOURCES / f"cpu{part}" for part in (".cpp", "_block.h", "_terms.h")),
        SOURCES / "slopes.cpp",
        SOURCES / "slope_card.h",
        SOURCES / "planes.cpp",
    ):
        text = re.sub(r"//[^\n]*", "", path.read_text())
        assert LIBRARY.search(text) is None, path.name
    text = "".join((SOURCES / header).read_text() for header in HEADERS)
    assert all(re.search(rf"\b{name}\(", text) for name in CALLED)

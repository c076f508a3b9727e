"""Reading C's output: digits, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbdask.errors import InputFileError
from nbdask.trace.clog import read_log
from nbdask.trace.names import ALIASES, PRINTOUT_NAMES, TRACE_NAMES
from nbdask.trace.quantities import QUANTITIES
from tests.trace.support import log, pixel

DOCS = Path(__file__).parents[2] / "docs" / "trace.md"


def values(name: str, kind: str) -> dict[str, Any]:
    """Return the last numbers and half digits of each name."""
    read = read_log(log(name, kind), *pixel(name))
    return {v.name: (v.numbers, v.halves) for v in read.values}


def test_digits_that_were_printed() -> None:
    """%g has 6 digits, factors 10, indices 6 decimals, cell vectors 8, a trace what it shows."""
    found = values("gauss", "printout")
    assert found["stol"] == ((9.51842e7,), (pytest.approx(50.0),))
    assert found["I/steps"][1] == (pytest.approx(0.5e-4),)
    assert found["polar"][1] == (pytest.approx(0.5e-10),)
    assert found["hkl"][1] == (0.5e-6,) * 3
    assert found["cell vector a"] == ((60.0, 0.0, 0.0), (0.5e-8,) * 3)
    assert found["hkl0"] == ((0.0, 0.0, 1.0), (0.0,) * 3)
    # Zeros at the end are not printed, so that few digits may stand for many: 6 are believed.
    assert values("gauss", "trace")["F_cell"] == ((50.0,), (pytest.approx(0.5e-4),))


def test_every_name_leads_to_a_quantity() -> None:
    """Both tables and the other spellings."""
    for mapped in (*TRACE_NAMES.values(), *PRINTOUT_NAMES.values()):
        assert mapped.quantity in QUANTITIES
    assert set(ALIASES.values()) <= set(TRACE_NAMES)


def test_documentation_lists_every_name() -> None:
    """The table of names in the documentation is the one in the code."""
    text = DOCS.read_text()
    missing = [n for n in (*TRACE_NAMES, *ALIASES) if f"`{n}`" not in text]
    assert missing == []
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    stated = {row[1].split("`")[1]: row[2].split("`")[1] for row in rows if len(row) == 6}
    assert {n: m.quantity for n, m in TRACE_NAMES.items()} == {
        n: q for n, q in stated.items() if n in TRACE_NAMES
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "holds neither TRACE_C: lines nor what -printout prints"),
        ("TRACE_C: nothing_known 1 2\n", "none of its TRACE_C: lines has a known name"),
        ("TRACE_C: pixel=(3,4)\nTRACE_C: polar 1\n", "line 1: is about the pixel 3, 4, not slow"),
        ("   3    4 : stol = 1 or 2\nat 1 2 3\n", r"pixels begin with slow 4, fast 3"),
        ("  14   12 : stol = 1 or 2\nat 1 2 3\nhkl= 1 2\n", "from line 1 on is cut off"),
    ],
)
def test_files_that_are_no_such_log(content: str | None, message: str, tmp_path: Path) -> None:
    """One line that says what is wrong."""
    path = tmp_path / "c.log"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputFileError, match=message) as caught:
        read_log(str(path), 12, 14)
    assert str(caught.value).startswith(f"--against {path}")


def test_a_folder_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Neither ends in a traceback."""
    with pytest.raises(InputFileError, match="directory"):
        read_log(str(tmp_path), 12, 14)
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputFileError, match="holds neither"):
        read_log(str(tmp_path / "x.bin"), 12, 14)


def test_the_right_pixel_of_many(tmp_path: Path) -> None:
    """-printout without a pixel prints them all."""
    lines = Path(log("gauss", "printout")).read_text()
    other = lines[lines.index("  14   12 :") :].replace("  14   12 :", "   1    2 :")
    path = tmp_path / "c.log"
    path.write_text(lines.replace("  14   12 :", other + "  14   12 :"))
    read = read_log(str(path), 12, 14)
    assert read.values[-4].numbers == (3.417304039,)
    assert read_log(str(path), 2, 1).values[-4].line < read.values[-4].line

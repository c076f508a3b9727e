"""Structure factors and background images against the numbers of other programs: a table.

    python -m benchmarks.oracle_table [--inputs FOLDER] [--markdown FILE]

FOLDER (or NBDASK_INPUTS) holds ``oracle.json`` with numbers of cctbx for files in ``models/`` and
``reflections/``, and ``background/`` with images of nonBragg.  Exit status 1 if a number is beyond
its bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes import calculate
from nbdask.amplitudes.calculate import structure_factors
from nbdask.amplitudes.lists import read_reflections
from nbdask.amplitudes.make import made
from nbdask.amplitudes.models import read_model
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.settle import SOLVENT, settle
from nbdask.amplitudes.symmetry import unique_indices
from tests.amplitudes.support import INPUTS
from tests.background.test_images import cases, images_of

#: Of the rms of F, by method.
WITHIN = {"direct": 1e-6, "map": 2e-5}


class Line(NamedTuple):
    """One line of the table: what is compared, how, the deviation, and what it may be."""

    what: str
    how: str
    deviation: float
    bound: float

    @property
    def good(self) -> bool:
        """Whether it is within its bound."""
        return self.deviation <= self.bound


def of_models(inputs: Path, case: dict[str, Any]) -> Iterator[Line]:
    """Compare F of a model: both methods, with and without f' and f'', solvent, expansion."""
    name = case["file"]
    path, d_min = inputs / "models" / name, case["d_min"]
    model, hkl = read_model(path), np.array(case["hkl"], dtype=np.int32)
    terms = {element: tuple(pair) for element, pair in case["anomalous"]["fp_fdp"].items()}
    for method, within in WITHIN.items():
        sums = structure_factors(model, hkl, d_min, solvent=None, method=method)
        for how, given, expected in (
            (f"F, {method}", {}, case["plain"]["F"]),
            (f"F with f', f'', {method}", terms, case["anomalous"]["F_plus"]),
        ):
            yield Line(name, how, _worst(sums.at(given)[0], expected), within)
    coarse = unique_indices(name, model.symmetry, 8.0)
    with_it, without = (
        np.abs(structure_factors(model, coarse, 8.0, solvent=s, method="direct").at({})[0]).mean()
        for s in (SOLVENT, None)
    )
    ratio = case["bulk_solvent"]["shells"][0]["ratio"]
    yield Line(name, "solvent above 8 A, ratio", abs(float(with_it / without) - ratio), 0.05)
    whole = case["p1"]
    table = made(settle(Request(model=str(path), dmin=whole["d_min"])).structure).table
    missing = float(len(table) != whole["n"])
    yield Line(
        name, f"P1, {whole['n']} indices: sum", missing + _off(table.F, whole["sum_F"]), 1e-6
    )


def _worst(found: NDArray[np.complex128], pairs: list[list[float]]) -> float:
    """Return the largest difference of complex numbers, over the rms."""
    expected = np.array(pairs) @ [1.0, 1.0j]
    return float(np.abs(found - expected).max() / np.sqrt((np.abs(found) ** 2).mean()))


def _off(found: NDArray[np.float64], total: float) -> float:
    """Return how far a sum is from another, relative."""
    return abs(float(found.sum()) / total - 1.0)


def of_lists(inputs: Path, case: dict[str, Any]) -> Iterator[Line]:
    """Compare every column of amplitudes or intensities of a reflection file."""
    name = case["file"]
    for column in case["arrays"]:
        if column["kind"] == "other":
            continue
        labels = column["labels"].split(",")
        label = next(
            x for x in labels if (x.split("_refln")[0] in ("", x)) and not x.endswith("sf")
        )
        found = read_reflections(inputs / "reflections" / name, column=label)
        values = {tuple(h): f for h, f in zip(found.table.hkl.tolist(), found.table.F, strict=True)}
        apart = [abs(values[h, k, el] - f) for h, k, el, f in column["entries"]]
        count = column["n_p1"]
        missing = float(len(found.table) != count)
        counts = (found.counts["negative"], found.counts["filled"])
        missing += counts != (column["negative"], column["friedel_mates_filled"])
        missing += _off(found.table.F, column["sum_p1"]) > 1e-6
        worst = missing + max(apart) / column["max_p1"]
        yield Line(name, f"{label.removeprefix('_refln.')}, {count} indices", worst, 1e-6)


def of_backgrounds() -> Iterator[Line]:
    """Compare images of amorphous materials, pixel by pixel."""
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = images_of(case, Path(folder))
        worst = float(np.max(np.abs(ours / theirs - 1.0)))
        yield Line(case["name"], f"image of {case['stol']}, each pixel", worst, 2e-7)


def lines_of(inputs: Path) -> Iterator[Line]:
    """Yield all lines of the table."""
    known = json.loads((inputs / "oracle.json").read_text())
    # Amplitudes by maps also where direct sums would be taken.
    calculate.FEW_TERMS = 0
    for case in known["models"]["cases"]:
        yield from of_models(inputs, case)
    for case in known["reflections"]["cases"]:
        yield from of_lists(inputs, case)
    yield from of_backgrounds()


def markdown(lines: list[Line]) -> str:
    """Return the table as Markdown."""
    good = sum(line.good for line in lines)
    head = [
        f"{good} of {len(lines)} within their bounds. F: largest difference over the rms of F, 200"
        " indices of each model; lists: largest difference over the maximum, where the number of"
        " indices, their sum, negative values and filled mates are also equal; images: largest"
        " relative difference. Numbers by cctbx and nonBragg.",
        "",
        "| file | what | deviation | bound |",
        "|---|---|--:|--:|",
    ]
    rows = [
        f"| {x.what} | {x.how} | {x.deviation:.1e}{'' if x.good else ' BEYOND'} | {x.bound:g} |"
        for x in lines
    ]
    return "\n".join([*head, *rows]) + "\n"


def main() -> int:
    """Compare everything; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare amplitudes with other programs.")
    parser.add_argument("--inputs", type=Path, default=INPUTS)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = []
    for line in lines_of(options.inputs):
        print(f"{line.what:20s} {line.how:36s} {line.deviation:9.1e} {line.bound:g}", flush=True)
        lines.append(line)
    if options.markdown:
        options.markdown.write_text(markdown(lines))
    return 0 if all(line.good for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Structure factors of files of others, against the numbers of another program."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from nbdask.amplitudes.calculate import structure_factors
from nbdask.amplitudes.lists import read_reflections
from nbdask.amplitudes.make import made
from nbdask.amplitudes.models import read_model
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.settle import SOLVENT, settle
from nbdask.amplitudes.symmetry import unique_indices
from tests.amplitudes.support import INPUTS

pytestmark = pytest.mark.skipif(
    not (INPUTS / "oracle.json").is_file(), reason="NBDASK_INPUTS does not name the files of others"
)
LARGE = [pytest.param(name, marks=pytest.mark.long) for name in ("2erl.pdb", "4bs7.pdb")]
MODELS = ("1yjp.pdb", "4oz7.pdb", "1orc.pdb", "5i55.cif", *LARGE)
LISTS = (
    "5e5z.mtz",
    "phaser_1.mtz",
    "data_merged.mtz",
    "9lyz_fmodel.mtz",
    "1yjp-sf.cif",
    "r5wkdsf.ent",
    "4aap-sf-subset.cif",
)


@cache
def oracle(part: str) -> dict[str, Any]:
    """Cases by file."""
    cases = json.loads((INPUTS / "oracle.json").read_text())[part]["cases"]
    return {case["file"]: case for case in cases}


def numbers(pairs: list[list[float]]) -> np.ndarray:
    """Complex numbers of pairs."""
    return np.array(pairs) @ [1.0, 1.0j]


@pytest.mark.parametrize(("method", "within"), [("direct", 1e-6), ("map", 2e-5)])
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, method: str, within: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """F with and without f' and f'', both mates; the set of indices."""
    monkeypatch.setattr("nbdask.amplitudes.calculate.FEW_TERMS", 0)
    case, model = oracle("models")[name], read_model(INPUTS / "models" / name)
    hkl, d_min = np.array(case["hkl"], dtype=np.int32), case["d_min"]
    assert len(unique_indices(name, model.symmetry, d_min)) == case["plain"]["n_asu"]
    anomalous = case["anomalous"]
    terms = {element: tuple(pair) for element, pair in anomalous["fp_fdp"].items()}
    for dispersion, plus, minus in (
        ({}, case["plain"]["F"], None),
        (terms, anomalous["F_plus"], anomalous["F_minus"]),
    ):
        found = structure_factors(model, hkl, d_min, solvent=None, method=method).at(dispersion)
        rms = np.sqrt((np.abs(found[0]) ** 2).mean())
        assert np.abs(found[0] - numbers(plus)).max() < within * rms
        if minus is not None:
            # The other program gives the conjugate of F(-h).
            assert np.abs(np.abs(found[1]) - np.abs(numbers(minus))).max() < within * rms


@pytest.mark.parametrize("name", MODELS)
def test_solvent(name: str) -> None:
    """Mean |F| with and without solvent, above 8 Angstrom, to 0.05 of their ratio."""
    case, model = oracle("models")[name], read_model(INPUTS / "models" / name)
    hkl = unique_indices(name, model.symmetry, 8.0)
    with_it, without = (
        structure_factors(model, hkl, 8.0, solvent=solvent, method="direct").at({})[0]
        for solvent in (SOLVENT, None)
    )
    ratio = np.abs(with_it).mean() / np.abs(without).mean()
    assert ratio == pytest.approx(case["bulk_solvent"]["shells"][0]["ratio"], abs=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_expansion_of_models(name: str) -> None:
    """All of P1, absent reflections left out."""
    case = oracle("models")[name]["p1"]
    request = Request(model=str(INPUTS / "models" / name), dmin=case["d_min"])
    table = made(settle(request).structure).table
    assert len(table) == case["n"]
    assert table.F.sum() == pytest.approx(case["sum_F"], rel=1e-6)


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str) -> None:
    """Every column of amplitudes or intensities: indices, sum and single values."""
    for array in oracle("reflections")[name]["arrays"]:
        if array["kind"] == "other":
            continue
        label = next(x for x in array["labels"].split(",") if x.split("_refln")[0] in ("", x)
                     and not x.endswith("sf"))  # fmt: skip
        found = read_reflections(INPUTS / "reflections" / name, column=label)
        assert len(found.table) == array["n_p1"]
        assert found.table.F.sum() == pytest.approx(array["sum_p1"], rel=1e-6)
        values = {tuple(h): f for h, f in zip(found.table.hkl.tolist(), found.table.F, strict=True)}
        for h, k, el, f in array["entries"]:
            assert abs(values[h, k, el] - f) < 1e-6 * array["max_p1"]
        assert found.counts["negative"] == array["negative"]
        assert found.counts["filled"] == array["friedel_mates_filled"]

"""A trace against what the C program printed: recorded numbers, and errors planted in formulas."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask import units
from nbdask.geometry import rotation, vectors
from nbdask.physics import factors, lattice, position, scattering, structure_factor
from nbdask.trace.against import compare, report, rows
from nbdask.trace.clog import read_log
from nbdask.trace.walk import trace_pixel
from tests.helpers import GOLDEN
from tests.trace.support import CASES, experiment, log, pixel, plant


def found_in(name: str, kind: str, path: str | None = None, semantics: str = "c") -> Any:
    """Return the comparison of a case with its recorded log, or another one."""
    trace = trace_pixel(experiment(name, semantics), *pixel(name))
    return compare(trace, read_log(path or log(name, kind), *pixel(name)))


@pytest.mark.parametrize("name", CASES)
def test_every_value_that_c_printed_agrees(name: str) -> None:
    """Each value of each evaluation to 15 digits, and what -printout tells of the last one."""
    inner = found_in(name, "trace")
    assert inner.first is None, report(trace_pixel(experiment(name), *pixel(name)), inner)
    assert inner.skipped == ()
    names = {c.entry.name for c in inner.compared}
    assert {"position", "q", "rotated_a", "hkl", "F_latt", "F_cell", "I", "pixel"} <= names
    last = found_in(name, "printout")
    assert last.first is None
    assert {"a", "c*", "fast", "hkl_nearest", "I/steps", "pixel"} <= {
        c.entry.name for c in last.compared
    }
    assert len(last.compared) == 30


def scaled(by: float) -> Callable[..., Any]:
    """Return an error: the result times a factor."""
    return lambda right, *_: right * by


def moved(right: Any, *_: Any) -> Any:
    """Return an error: sub-pixels 1 um beside their place."""
    return (right[0], right[1] + 1e-6, right[2])


#: Formula, error, case, the name that C's inner values give away, and the one of -printout.
ERRORS = [
    (position.sub_pixel_positions, moved, "square", "position", "position"),
    (factors.solid_angle, scaled(1.001), "square", "solid_angle", "pixel_solid_angle"),
    (
        scattering.scattering_vector,
        lambda q, *_: scattering.Scattering(q.x, q.y * 1.0001, q.z),
        "sources",
        "q",
        "sin_theta/lambda",
    ),
    (
        vectors.rotate_about,
        lambda right, v, axis, angle: vectors.rotate_about(v, axis, 1.001 * angle),
        "phi_mosaic",
        "rotated_a",
        "rotated_a",
    ),
    (scattering.miller_index, scaled(1.0001), "tilted_twotheta", "hkl", "hkl"),
    (scattering.nearest, lambda x, *_: x + 1.0, "phi_mosaic", "hkl_nearest", "hkl_nearest"),
    (lattice.grating, scaled(1.001), "dmin", "F_latt_abc", "F_latt"),
    (lattice.sphere, scaled(1.001), "round_list", "F_latt", "F_latt"),
    (lattice.spot_radius_squared, scaled(1.001), "gauss", "F_latt", "F_latt"),
    (
        structure_factor.cubic_weights,
        lambda w, *_: (w[0], w[1] * 1.01, w[2], w[3]),
        "tricubic",
        "F_cell",
        "F_cell",
    ),
    (
        factors.polarization_factor,
        scaled(1.001),
        "sources",
        "pixel_polarization",
        "pixel_polarization",
    ),
    (factors.capture_fraction, scaled(1.001), "layers_water", "pixel_capture", "pixel_capture"),
]


@pytest.mark.parametrize(
    ("formula", "error", "name", "inner", "outer"), ERRORS, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_wrong_formula_is_found_by_its_name(
    formula: Any, error: Any, name: str, inner: str, outer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first quantity that differs is the one whose formula has the mistake."""
    if formula is vectors.rotate_about:
        right = vectors.rotate_about
        monkeypatch.setattr(
            rotation, "rotate_about", lambda v, axis, angle: right(v, axis, angle * 1.001)
        )
    else:
        plant(monkeypatch, formula, error)
    first = found_in(name, "trace").first
    assert first is not None
    assert first.entry.name == inner
    line = Path(log(name, "trace")).read_text().splitlines()[first.log.line - 1]
    assert first.log.name in line
    last = found_in(name, "printout").first
    assert last is not None
    assert last.entry.name == outer


def test_a_small_error_needs_the_digits_of_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index off by 1e-9 is found among 15 digits; -printout has 6 decimals."""
    plant(monkeypatch, scattering.miller_index, lambda h, *_: h + 1e-9)
    first = found_in("phi_mosaic", "trace").first
    assert first is not None
    assert first.entry.name == "hkl"
    assert 2e-10 < first.deviation < 2e-9
    assert found_in("phi_mosaic", "printout").first is None


def test_a_wrong_constant_is_found_before_what_follows_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """r_e^2, which C prints after the sums, comes before them in the flow of the data."""
    monkeypatch.setattr(units, "R_E_SQR", units.R_E_SQR * 1.01)
    found = found_in("gauss", "trace")
    assert found.first.entry.name == "r_e^2"
    assert {c.entry.name for c in found.compared if not c.agrees} == {
        "r_e^2",
        "pixel_float64",
        "pixel",
    }


def test_the_carry_over_of_rotations_is_what_differs_under_spec() -> None:
    """The first difference is the cell vector at phi = 0, and the report names its rule."""
    trace = trace_pixel(experiment("phi_mosaic", "spec"), *pixel("phi_mosaic"))
    found = compare(trace, read_log(log("phi_mosaic", "trace"), *pixel("phi_mosaic")))
    assert found.first is not None
    assert found.first.entry.name == "rotated_a"
    assert found.first.entry.loop_index.phi == 0
    text = report(trace, found)
    assert "first difference: rotated_a (S-SCAN-04)" in text
    assert "rot_a_angstroms in line 15 of" in text


def kept(name: str, keep: Callable[[int, int], bool], path: Path) -> str:
    """Write a log in which of each inner name only some of the values are printed."""
    lines = Path(log(name, "trace")).read_text().splitlines()
    names = [line.split()[1] for line in lines]
    result = []
    for i, line in enumerate(lines):
        number, count = names[:i].count(names[i]), names.count(names[i])
        if count == 1 or keep(number, count):
            result.append(line)
    path.write_text("\n".join(result) + "\n")
    return str(path)


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_log_of_one_evaluation(which: str, tmp_path: Path) -> None:
    """Programs that print only the first evaluation, or after the loops the last, are followed."""
    path = kept(
        "phi_mosaic", lambda i, n: i == (0 if which == "first" else n - 1), tmp_path / "c.log"
    )
    found = found_in("phi_mosaic", "trace", path)
    assert found.first is None
    phi = {c.entry.loop_index.phi for c in found.compared if c.entry.name == "hkl"}
    assert phi == {0 if which == "first" else 2}


def test_spellings_and_units_of_other_programs(tmp_path: Path) -> None:
    """Names with = or :, brackets, units behind, and q in 1/Angstrom."""
    lines = []
    for line in Path(log("gauss", "trace")).read_text().splitlines():
        name, *values = line.split()[1:]
        if name == "scattering_vec_A_inv":
            values = [f"{float(x) * 1e-10:.15g}" for x in values]
        if name == "pix0_vector_meters":
            lines.append(f"  TRACE_C: pix0_vector=({', '.join(values)})")
        elif name == "pixel_pos_meters":
            lines.append(f"TRACE_C: pixel_pos {' '.join(values)} [m]")
        elif name == "polar":
            lines.append(f"TRACE_C: polar: {values[0]}")
        else:
            lines.append(f"TRACE_C: {name} {' '.join(values)}")
    lines.append("TRACE_C: something_else 1 2 3")
    path = tmp_path / "c.log"
    path.write_text("TRACE_C: pixel_idx (12, 14)\n" + "\n".join(lines) + "\n")
    found = found_in("gauss", "trace", str(path))
    assert found.first is None
    assert found.skipped == ("something_else (no counterpart)",)
    assert len(found.compared) == len(found_in("gauss", "trace").compared)


def test_a_tolerance_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """--rtol holds for every quantity; the rows say how far each is off."""
    plant(monkeypatch, factors.polarization_factor, scaled(1.0 + 1e-6))
    trace = trace_pixel(experiment("square"), *pixel("square"))
    read = read_log(log("square", "trace"), *pixel("square"))
    assert compare(trace, read, 1e-5).first is None
    strict = compare(trace, read, 1e-8)
    assert strict.first is not None
    off = [row["name"] for row in rows(strict) if not row["agrees"]]
    assert off == ["pixel_polarization", "pixel_float64", "pixel"]


@pytest.mark.c_binary
@pytest.mark.parametrize("name", ["square", "tricubic", "sources", "layers_water"])
def test_the_c_program_itself(name: str, tmp_path: Path) -> None:
    """Its whole output with -printout, as it comes."""
    for item in (GOLDEN / "inputs").iterdir():
        (tmp_path / item.name).write_bytes(item.read_bytes())
    slow, fast = pixel(name)
    argv = [os.environ["NB_C_BIN"], *CASES[name]["arguments"].split()]
    argv += ["-printout", "-printout_pixel", str(fast), str(slow), "-nonoise", "-nopgm"]
    done = subprocess.run(
        argv,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "c.log").write_text(done.stdout)
    found = found_in(name, "printout", str(tmp_path / "c.log"))
    assert found.first is None
    assert len(found.compared) == 30
    assert np.isfinite([c.deviation for c in found.compared]).all()

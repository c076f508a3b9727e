"""Tables of amplitudes: files, curves, and the bundled ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask.background import make
from nbdask.background.formula import curve_of, exp_of, molecules, signed_square
from nbdask.background.tables import BUNDLED, DATA, Table, load_table, read_table
from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import Material

RAGGED = np.array([0.0, 0.7, 1.0, 1.9, 2.3, 4.0, 4.1])


def lagrange(x: NDArray, y: NDArray, at: float) -> float:
    """The rule as it is stated, one point at a time."""
    if at < x[0]:
        return float(y[0] + (y[1] - y[0]) / (x[1] - x[0]) * (at - x[0]))
    if at >= x[-1]:
        return float(y[-1] + (y[-1] - y[-2]) / (x[-1] - x[-2]) * (at - x[-1]))
    below = int(np.searchsorted(x, at, side="right")) - 1
    used = range(max(below - 1, 0), min(below + 3, len(x)))
    total = 0.0
    for i in used:
        others = [j for j in used if j != i]
        total += y[i] * np.prod([(at - x[j]) / (x[i] - x[j]) for j in others])
    return float(total)


@pytest.mark.parametrize("count", [3, 4, 7])
def test_curve_is_the_stated_rule(count: int) -> None:
    """Cubics inside, parabolas in the outer intervals, lines outside."""
    x, y = RAGGED[:count], np.random.default_rng(1).normal(size=count)
    places = np.linspace(-1.0, 5.0, 241)
    found = curve_of(Table(x, y))(places)
    np.testing.assert_allclose(found, [lagrange(x, y, at) for at in places], rtol=1e-12, atol=1e-12)


def test_cubic_tables_are_reproduced() -> None:
    """Four points determine a cubic; between the outer points only three are used."""
    y = 1.0 - 2.0 * RAGGED + 0.5 * RAGGED**3
    curve = curve_of(Table(RAGGED, y))
    inside = np.linspace(0.7, 4.0, 50)
    np.testing.assert_allclose(curve(inside), 1.0 - 2.0 * inside + 0.5 * inside**3, rtol=1e-12)
    np.testing.assert_array_equal(curve(RAGGED), y)


def test_roughness_tells_rounded_tables_from_smooth_ones() -> None:
    """A table with six digits cannot be interpolated to 1e-7, one with twelve can."""
    x = np.linspace(0.0, 1.0, 501)
    smooth = np.exp(-8.0 * x * x)
    fine, coarse = curve_of(Table(x, smooth)), curve_of(Table(x, smooth.round(5)))
    assert np.median(fine.roughness()[5:-5]) < 1e-9
    assert np.median(coarse.roughness()[5:-5]) > 1e-7
    assert fine.roughness().shape == (502,)


def test_signed_squares() -> None:
    """A negative amplitude takes photons away, or counts as 0."""
    amplitude = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(signed_square(amplitude, False), [-4.0, 0.0, 9.0])
    np.testing.assert_array_equal(signed_square(amplitude, True), [0.0, 0.0, 9.0])


def test_molecules_of_a_cube_of_water() -> None:
    """0.1 mm of water have 3.346e16 molecules."""
    assert molecules(1e-4, 1e-8, 1000.0, 0.018) == pytest.approx(3.34563433e16, rel=1e-8)


def test_exponential_of_basic_operations() -> None:
    """To 1e-12, which a sensor's layers need."""
    x = np.linspace(-600.0, 600.0, 1001)
    np.testing.assert_allclose(exp_of(x), np.exp(x), rtol=2e-12)


def test_files_are_read_as_lines_of_two_numbers(tmp_path: Path) -> None:
    """Other lines are passed over; further columns too; 4 stol and Q are divided."""
    path = tmp_path / "a.stol"
    path.write_text("# x y\n0 1 i\n\nword 3\n0.5 2 i\n1.0 4\n")
    table = read_table(path)
    np.testing.assert_allclose(table.stol, [0.0, 0.5e10, 1e10])
    np.testing.assert_array_equal(table.amplitude, [1.0, 2.0, 4.0])
    np.testing.assert_allclose(read_table(path, "4stol").stol, table.stol / 4.0)
    np.testing.assert_allclose(read_table(path, "Q").stol, table.stol / (4.0 * np.pi))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 1\n0.2 2\n0.1 3\n", "line 3: 0.1 after 0.2: must be ascending"),
        ("0 1\n0.2 2\n", "2 points: must be at least 3 points"),
        ("-1 1\n0.2 2\n0.3 1\n", "line 1: -1: must be sin\\(theta\\)/lambda of at least 0"),
    ],
)
def test_tables_that_are_refused(text: str, says: str, tmp_path: Path) -> None:
    """With the line at fault."""
    path = tmp_path / "a.stol"
    path.write_text(text)
    with pytest.raises(InputFileError, match=says):
        read_table(path)


def test_changed_tables_are_refused(tmp_path: Path) -> None:
    """Both a file and a bundled table have to be those of the experiment."""
    path = tmp_path / "a.stol"
    path.write_text("0 1\n0.2 2\n0.3 1\n")
    with pytest.raises(InputFileError, match="has changed"):
        load_table(Material(1e-4, path=str(path), sha256="0" * 64))
    with pytest.raises(InputFileError, match="bundled table water has changed"):
        load_table(Material(1e-4, table="water", sha256="0" * 64))
    with pytest.raises(FieldError, match="'mud': must be one of water"):
        load_table(Material(1e-4, table="mud"))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_are_those_of_the_maker(name: str) -> None:
    """The files can be made again, to all their digits but the last."""
    assert set(BUNDLED) == set(make.MAKERS)
    found = read_table(DATA / f"{name}.stol")
    np.testing.assert_allclose(found.stol, 1e10 * make.points(name), rtol=1e-6, atol=1e4)
    np.testing.assert_allclose(
        found.amplitude, np.sqrt(make.MAKERS[name][0](make.points(name))), rtol=1e-10
    )


def test_water_obeys_what_is_known_of_it() -> None:
    """S(0) of the compressibility; alone beyond 0.9; greatest near 0.16 to 0.17 per Angstrom."""
    stol = make.points("water")
    squared = make.water(stol)
    assert squared[0] == pytest.approx(100.0 * make.FORWARD, rel=1e-3)
    assert 0.155 < stol[squared.argmax()] < 0.175
    assert squared.min() > 2.0 or stol[squared.argmin()] > 0.5
    o, h = make.form_factor("O", stol[-1:]), make.form_factor("H", stol[-1:])
    assert squared[-1] == pytest.approx(float((o * o + 2 * h * h)[0]), rel=0.1)


def test_gases_and_solids_at_their_limits() -> None:
    """Forward all electrons of a molecule together, of polyimide those of each atom."""
    zero = np.zeros(1)
    air = 0.7808 * 14.0**2 + 0.2095 * 16.0**2 + 0.0093 * 18.0**2
    assert make.air(zero)[0] == pytest.approx(air, rel=2e-3)
    assert make.helium(zero)[0] == pytest.approx(4.0, rel=2e-3)
    kapton = 22 * 36.0 + 10 * 1.0 + 2 * 49.0 + 5 * 64.0
    assert make.kapton(zero)[0] == pytest.approx(kapton, rel=2e-3)


def test_ice_has_its_rings() -> None:
    """d of the first rings of hexagonal ice, and the strength of one from the cell's contents."""
    stol = make.points("ice")
    squared = make.ice(stol)
    tops = np.flatnonzero((squared[1:-1] > squared[2:]) & (squared[1:-1] > squared[:-2])) + 1
    d = 0.5 / stol[tops]
    for known in (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.92):
        assert np.abs(d - known).min() < 0.015
    # 002 alone: all oxygen atoms in phase but for z; 2 of 4 pi q^2 directions.
    z = 0.0623
    o = make.form_factor("O", np.array([1.0 / make.ICE_C]))[0]
    h = make.form_factor("H", np.array([1.0 / make.ICE_C]))[0]
    waves = [4.0 * np.cos(4.0 * np.pi * x) for x in (z, 0.1989, 0.0181)]
    factor = o * waves[0] + 0.5 * h * (waves[1] + 3.0 * waves[2])
    volume = make.ICE_A**2 * make.ICE_C * np.sqrt(0.75)
    q = 2.0 / make.ICE_C
    strength = (
        2.0 * factor**2 * np.exp(-make.ICE_B * q * q / 2.0) / (4.0 * volume * 4.0 * np.pi * q * q)
    )
    ring = strength / (2.0 * make.ICE_SPREAD * np.sqrt(2.0 * np.pi))
    at = np.abs(stol - q / 2.0).argmin()
    diffuse = (1.0 - np.exp(-2.0 * make.ICE_B * stol[at] ** 2)) * (
        make.form_factor("O", stol[at : at + 1])[0] ** 2
        + 2.0 * make.form_factor("H", stol[at : at + 1])[0] ** 2
    )
    near = np.exp(-0.5 * ((2.0 * stol[at] - q) / (2.0 * make.ICE_SPREAD)) ** 2)
    assert squared[at] == pytest.approx(ring * near + diffuse, rel=0.01)

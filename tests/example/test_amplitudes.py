"""Structure factors against what is known of these crystals without any program."""

from __future__ import annotations

import math

import gemmi
import pytest

from nbdask.example.amplitudes import amplitudes
from nbdask.example.crystals import MINERALS, Mineral


def table(name: str, d_min: float = 0.8) -> dict[tuple[int, int, int], float]:
    """Amplitudes by index."""
    return {(h, k, el): f for h, k, el, f in amplitudes(MINERALS[name], d_min)}


def form_factor(name: str, element: str, hkl: tuple[int, int, int]) -> float:
    """f(s) exp(-8 pi^2 U s^2) of one atom."""
    mineral = MINERALS[name]
    stol2 = gemmi.UnitCell(*mineral.cell).calculate_1_d2(list(hkl)) / 4.0
    u = next(site.u for site in mineral.sites if site.element == element)
    f = gemmi.Element(element).it92.calculate_sf(stol2)
    return float(f * math.exp(-8.0 * math.pi**2 * u * stol2))


@pytest.mark.parametrize(
    ("hkl", "sign"), [((1, 1, 1), -1), ((3, 1, 1), -1), ((2, 0, 0), 1), ((2, 2, 0), 1)]
)
def test_halite_sum_and_difference(hkl: tuple[int, int, int], sign: int) -> None:
    """Rock salt: four times the sum of the ions for even indices, their difference for odd."""
    sodium, chlorine = form_factor("halite", "Na", hkl), form_factor("halite", "Cl", hkl)
    assert table("halite")[hkl] == pytest.approx(4.0 * abs(chlorine + sign * sodium), rel=1e-6)


def test_silicon_amplitudes() -> None:
    """Diamond structure: 4 sqrt(2) f for odd indices, 8 f where h + k + l = 4n."""
    found = table("silicon")
    f111, f220 = form_factor("silicon", "Si", (1, 1, 1)), form_factor("silicon", "Si", (2, 2, 0))
    assert found[1, 1, 1] == pytest.approx(4.0 * math.sqrt(2.0) * f111, rel=1e-6)
    assert found[2, 2, 0] == pytest.approx(8.0 * f220, rel=1e-6)


@pytest.mark.parametrize("name", ["halite", "silicon"])
def test_face_centring_extinctions(name: str) -> None:
    """Indices of mixed parity are extinct."""
    assert all(h % 2 == k % 2 == el % 2 for h, k, el in table(name))


def test_diamond_glide_extinctions() -> None:
    """Fd-3m: even indices with h + k + l = 4n + 2 are extinct, (2, 2, 2) among them."""
    found = table("silicon")
    assert all((h + k + el) % 4 == 0 for h, k, el in found if h % 2 == 0)
    assert (2, 2, 2) not in found
    assert (4, 0, 0) in found


def test_garnet_extinctions() -> None:
    """Ia-3d: h + k + l even throughout, h = 4n on the axes, and 2h + l = 4n for (h, h, l)."""
    found = table("pyrope", 1.0)
    assert all((h + k + el) % 2 == 0 for h, k, el in found)
    assert all(h % 4 == 0 for h, k, el in found if k == el == 0)
    assert all((2 * h + el) % 4 == 0 for h, k, el in found if h == k and el % 2 == 0)
    assert (4, 0, 0) in found


def test_quartz_screw_axis_extinctions() -> None:
    """P3221: (0, 0, l) only for l = 3n."""
    found = table("quartz")
    assert {el for h, k, el in found if h == k == 0} == {-6, -3, 3, 6}


@pytest.mark.parametrize("name", MINERALS)
def test_friedel_mates_are_equal(name: str) -> None:
    """F(hkl) = F(-h -k -l): there is no anomalous scattering, and both mates are listed."""
    found = table(name, 1.0)
    assert all(found[-h, -k, -el] == pytest.approx(f, rel=1e-9) for (h, k, el), f in found.items())


@pytest.mark.long
@pytest.mark.parametrize("name", MINERALS)
def test_symmetry_equivalents_are_equal(name: str) -> None:
    """Every reflection has the amplitude of all its images under the space group."""
    found = table(name, 1.0)
    group = gemmi.find_spacegroup_by_name(MINERALS[name].spacegroup)
    operations = group.operations().sym_ops
    for hkl, f in found.items():
        for operation in operations:
            h, k, el = operation.apply_to_hkl(list(hkl))
            assert found[h, k, el] == pytest.approx(f, rel=1e-6)


def test_list_is_sorted_and_complete() -> None:
    """All indices within the sphere appear once, in order, without (0, 0, 0)."""
    mineral = MINERALS["quartz"]
    cell = gemmi.UnitCell(*mineral.cell)
    rows = [r[:3] for r in amplitudes(mineral, 1.5)]
    assert rows == sorted(set(rows))
    assert (0, 0, 0) not in rows
    assert min(cell.calculate_d(list(r)) for r in rows) >= 1.5
    # (1, 0, 0) at 4.26 A and (1, 0, 1) at 3.34 A are the two innermost lines of quartz.
    assert cell.calculate_d([1, 0, 0]) == pytest.approx(4.257, abs=0.002)
    assert {(1, 0, 0), (1, 0, 1)} <= set(rows)


def test_unknown_space_group() -> None:
    """A symbol that gemmi does not know is refused."""
    mineral = Mineral("nonsense", "Q 5", (5.0, 5.0, 5.0, 90.0, 90.0, 90.0), (), 1.0, "")
    with pytest.raises(ValueError, match="Q 5"):
        amplitudes(mineral)

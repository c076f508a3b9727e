"""What is said of anomalous scattering where the beam has a spectrum."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nbdask.amplitudes.request import Request
from nbdask.amplitudes.settle import settle
from tests.amplitudes.support import pdb, write_mtz

#: Two wavelengths [m].
WAVES = (0.97e-10, 0.98e-10)


def notes_of(request: Request, spectrum=WAVES) -> list[str]:
    """Return what is said."""
    found = settle(request, wavelength=0.975e-10, spectrum=spectrum)
    return list(found.notes)


def test_one_note_tells_of_the_energies(tmp_path: Path) -> None:
    """S-SF-07: how many energies there are, and none that contradicts it."""
    (tmp_path / "m.pdb").write_text(pdb())
    request = Request(model=str(tmp_path / "m.pdb"), dmin=4.0)
    told = [note for note in notes_of(request) if "f', f''" in note]
    assert len(told) == 1
    assert "f', f'' at each of 2 photon energies" in told[0]
    assert "at 12" not in told[0]
    (single,) = [note for note in notes_of(request, ()) if "f', f'' at" in note]
    assert "f', f'' at 12716.33 eV" in single
    fixed = notes_of(replace(request, energy="12000"))
    assert any("f', f'' at 12000 eV" in note for note in fixed)
    assert not any("each of" in note for note in fixed)


@pytest.mark.parametrize("spectrum", [(), WAVES[:1], WAVES])
def test_lists_have_one_table_for_all_wavelengths(spectrum, tmp_path: Path) -> None:
    """S-SF-07: said once where there are several."""
    path = write_mtz(tmp_path / "a.mtz", [("FP", "F")], [(1, 2, 3, 5), (0, 4, 0, 7)])
    notes = notes_of(Request(reflections=str(path)), spectrum)
    assert sum("the same F at all 2 wavelengths" in note for note in notes) == (len(spectrum) > 1)

"""Files with measured spectra."""

from __future__ import annotations

import pytest

from nbdask import units
from nbdask.errors import InputFileError
from nbdask.inputs.spectrumfile import read_spectrum


def written(tmp_path, text):
    """Return the path of a file with this text."""
    path = tmp_path / "spectrum.lam"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "unit", "waves"),
    [
        ("9500 1\n9510 2\n", None, [units.from_ev(9500.0), units.from_ev(9510.0)]),
        ("# measured\n9500\t1 x\n\n9510, 2 # last\n", None, [units.from_ev(9500.0)]),
        ("wavelength,weight\n1.3,1\n1.31,2\n", None, [1.3e-10, 1.31e-10]),
        ("9.5 1\n9.51 2\n", "keV", [units.from_ev(9500.0)]),
        ("100 1\n110 2\n", "eV", [units.from_ev(100.0)]),
        ("9.5 1\n9.6 0\n9.7 2\n", "A", [9.5e-10, 9.7e-10]),
    ],
)
def test_columns(tmp_path, text, unit, waves):
    """Energies and wavelengths, recognized or named; points without weight are left out."""
    found, weights, notes = read_spectrum(written(tmp_path, text), unit)
    assert found[: len(waves)] == pytest.approx(waves, rel=1e-12)
    assert weights == (1.0, 2.0)
    assert (unit is None) == any("is taken for" in note for note in notes)


def test_noise_below_zero_counts_as_zero_and_is_said(tmp_path):
    """Detectors of spectra have an offset."""
    found, _, notes = read_spectrum(written(tmp_path, "9500 1\n9501 -0.1\n9502 2\n"))
    assert len(found) == 2
    assert "1 weight below 0, counted as 0" in notes[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no point with a weight above 0"),
        ("9500 0\n", "no point with a weight above 0"),
        ("9500 1\n9501\n", "line 2: found '9501'"),
        ("9500 1\nnan 2\n", "line 2: found 'nan 2'"),
        ("9500 1\n-3 2\n", "line 2: -3 in the first column"),
        ("100 1\n110 2\n", "must be named behind the file as :eV, :keV or :A"),
        ("1.2 1\n9000 2\n", "must be named behind the file as :eV, :keV or :A"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, said):
    """In one line that names the file."""
    path = written(tmp_path, text)
    with pytest.raises(InputFileError, match=said) as caught:
        read_spectrum(path)
    assert str(caught.value).startswith(str(path))

"""Spectra of shots: SASE and measured ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import Spectrum
from nbdask.experiment.spectrum import Sase
from nbdask.experiment.structure import Recipe
from nbdask.shots import MeasuredSpectra, SaseSpectra, Series, Table
from nbdask.shots.names import SPECTRUM
from nbdask.shots.spectra import with_spectrum
from nbdask.shots.spectrum_files import read_spectra
from nbdask.units import from_ev
from tests.shots.test_series import BASE

SASE = Sase(0.002, 0.0002, 51)
WAVES = np.array([1.0e-10, 1.01e-10, 1.02e-10])
WEIGHTS = np.arange(1.0, 31.0).reshape(10, 3)


def test_each_shot_of_a_laser_has_its_own_spectrum() -> None:
    """That of seed and number, about the shot's wavelength."""
    waves = Table({"beam.wavelength": np.linspace(1e-10, 1.1e-10, 6)})
    series = Series(BASE, 6, (SaseSpectra(SASE), waves), seed=8)
    for number in (0, 5):
        shot = series.shot(number)
        assert shot.sources.spectrum == SASE.shot(shot.beam.wavelength, 8, number)
    own = Series(BASE, 6, (SaseSpectra(SASE, seed=3),), seed=8)
    assert own.shot(2).sources.spectrum == SASE.shot(1e-10, 3, 2)
    assert series.values()[SPECTRUM].tolist() == [0, 1, 2, 3, 4, 5]


def test_measured_spectra_in_order_and_at_random() -> None:
    """Row n, or a row that is drawn: all come, about equally often."""
    in_order = Series(BASE, variations=(MeasuredSpectra(WAVES, WEIGHTS),))
    assert in_order.n_shots == 10
    found = in_order.shot(7).sources.spectrum
    assert found == Spectrum(tuple(WAVES.tolist()), tuple(WEIGHTS[7].tolist()))
    drawn = Series(BASE, 5000, (MeasuredSpectra(WAVES, WEIGHTS, drawn=True),), seed=2)
    rows = drawn.values()[SPECTRUM].astype(int)
    assert 400 < np.bincount(rows, minlength=10).min() <= np.bincount(rows).max() < 600
    shot = drawn.shot(3).sources.spectrum
    assert shot is not None
    assert shot.weights == tuple(WEIGHTS[rows[3]].tolist())


def test_the_dict_form_gives_large_spectra_beside() -> None:
    """And small ones itself."""
    many = MeasuredSpectra(np.linspace(1e-10, 1.1e-10, 101), np.ones((200, 101)))
    for spectra in (many, MeasuredSpectra(WAVES, WEIGHTS, drawn=True)):
        series = Series(BASE, 4, (spectra,), seed=2)
        assert Series.from_dict(series.to_dict(), series.tables()) == series
    assert len(many.tables()) == 1
    assert many != MeasuredSpectra(many.wavelengths, many.weights, drawn=True)
    assert hash(many) == hash(MeasuredSpectra(many.wavelengths, many.weights))


def test_amplitudes_for_energies_need_those_energies() -> None:
    """Their tables are common to all shots."""
    own = Spectrum((1.0e-10, 1.1e-10), (1.0, 1.0))
    recipe = Recipe(
        d_min=2.0,
        dispersion=(("Fe", 0.0, 0.0),),
        energies=(1.0, 2.0),
        anomalous=((1.0, 2.0), (3.0, 4.0)),
    )
    structure = nbdask.StructureFactors(path="m.pdb", format="model", recipe=recipe)
    sources = dataclasses.replace(BASE.sources, spectrum=own)
    base = BASE.replace(structure=structure, sources=sources)
    other = dataclasses.replace(own, weights=(2.0, 1.0))
    assert with_spectrum(base, other).sources.spectrum == other
    with pytest.raises(FieldError, match="energies of the experiment's own"):
        with_spectrum(base, Spectrum((1.0e-10, 1.2e-10), (1.0, 1.0)))
    with pytest.raises(FieldError, match="made for the energies"):
        Series(base, shots={"beam.energy": np.ones(2)})


@pytest.mark.parametrize(
    ("waves", "weights", "message"),
    [
        (WAVES, WEIGHTS[0], "a row of as many weights"),
        (WAVES, WEIGHTS[:, :2], "a row of as many weights"),
        (WAVES, -WEIGHTS, "of row 0"),
        (WAVES, WEIGHTS * 0.0, "of row 0"),
        (-WAVES, WEIGHTS, "wavelengths"),
        (WAVES, WEIGHTS[:0], "and a row"),
    ],
)
def test_impossible_spectra_are_refused(waves: object, weights: object, message: str) -> None:
    """By the row."""
    with pytest.raises(FieldError, match=message):
        MeasuredSpectra(waves, weights)


def test_files_of_spectra(tmp_path: Path) -> None:
    """Text and NumPy archives; negative weights are noise."""
    energies = np.array([9500.0, 9510.0])
    weights = np.array([[1.0, -2.0], [3.0, 4.0]])
    np.savez(tmp_path / "s.npz", energies=energies, weights=weights)
    (tmp_path / "s.txt").write_text("# eV\n9500 9510\n1 -2\n3 4\n")
    for name in ("s.npz", "s.txt"):
        found = read_spectra(str(tmp_path / name), drawn=False)
        assert found.wavelengths.tolist() == [from_ev(9500.0), from_ev(9510.0)]
        assert found.weights.tolist() == [[1.0, 0.0], [3.0, 4.0]]
    (tmp_path / "bad.npz").write_bytes(b"PK")
    (tmp_path / "bad.txt").write_text("-1 2\n1 1\n")
    (tmp_path / "one.txt").write_text("9500 9510\n")
    for name in ("bad.npz", "bad.txt", "one.txt"):
        with pytest.raises(InputFileError, match=name) as caught:
            read_spectra(str(tmp_path / name), drawn=False)
        assert "\n" not in str(caught.value)

"""``--spectrum``: formulas, files, the wavelength that follows, and what contradicts it."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from nbdask import units
from nbdask.errors import FlagError, InputFileError
from nbdask.experiment.spectrum import Sase, gaussian, top_hat
from nbdask.flags import Own, from_toml, parse_args, to_args
from nbdask.panels.read import read_geometry
from nbdask.panels.write import write_geometry
from tests.panels.samples import write_nexus

ARGS = ["-cell", "70", "80", "90", "90", "90", "90", "-default_F", "10", "-N", "3"]


def spectrum_of(asked, *more, seed=None):
    """Return what is parsed, and the spectrum."""
    parsed = parse_args([*ARGS, *more], own=Own(spectrum=asked, spectrum_seed=seed))
    return parsed, parsed.experiment.sources.spectrum


def test_formulas():
    """Widths in eV, keV or percent of the energy of the beam."""
    energy = units.EV_ANGSTROM / 1.0
    for asked, made in (
        ("gauss:1%:5", gaussian(1e-10, 0.01, 5)),
        ("gauss:20eV", gaussian(1e-10, 20.0 / energy, 21)),
        ("tophat:0.1keV:4", top_hat(1e-10, 100.0 / energy, 4)),
        ("sase:0.4%:0.05%:151:7", Sase(0.004, 0.0005, 151).shot(1e-10, 7, 0)),
    ):
        found = spectrum_of(asked)[1]
        assert found.wavelengths == pytest.approx(made.wavelengths)
        assert found.weights == pytest.approx(made.weights)
        assert found.origin == asked
    assert spectrum_of("sase:0.4%:0.05%", seed=7)[1].weights == pytest.approx(made.weights)


def test_a_file_gives_the_wavelength(tmp_path):
    """That of its mean energy, unless one is given; then a note tells of a difference."""
    path = tmp_path / "beam.txt"
    path.write_text("9000 1\n9020 3\n")
    parsed, found = spectrum_of(f"{path}:eV")
    assert parsed.experiment.beam.wavelength == pytest.approx(units.from_ev(9015.0))
    assert found.origin == str(path)
    assert str(path) in parsed.files
    parsed, _ = spectrum_of(str(path), "-lambda", "1")
    assert parsed.experiment.beam.wavelength == 1e-10
    assert any("its mean, 9015 eV, is not the wavelength given" in note for note in parsed.notes)


def test_wavelengths_of_a_nexus_file(tmp_path):
    """Its weights are those of the beam; a file of one wavelength has no spectrum."""
    path = write_nexus(tmp_path / "beam.nxs")
    with pytest.raises(FlagError, match="must hold wavelengths with incident_wavelength_weights"):
        spectrum_of(str(path))
    pairs = ((1.1e-10, 1.0), (1.2e-10, 0.0), (1.3e-10, 3.0))
    found = read_geometry(path)
    instrument = replace(found, beam=replace(found.beam, spectrum=pairs))
    write_geometry(instrument, tmp_path / "several.nxs", "nxmx")
    parsed, spectrum = spectrum_of(str(tmp_path / "several.nxs"))
    assert spectrum.wavelengths == pytest.approx((1.1e-10, 1.3e-10))
    assert spectrum.weights == (1.0, 3.0)
    assert parsed.experiment.beam.wavelength == pytest.approx(4.0 / (1.0 / 1.1 + 3.0 / 1.3) * 1e-10)


def test_toml_and_the_way_back(tmp_path):
    """A TOML file may hold it beside flags, or in full; nanoBragg has no flag for it."""
    path = tmp_path / "run.toml"
    path.write_text(f'[nanobragg]\nflags = "{" ".join(ARGS)}"\nspectrum = "gauss:20eV:3"\n')
    experiment = from_toml(path)
    assert experiment.sources.spectrum == spectrum_of("gauss:20eV:3")[1]
    assert type(experiment).from_dict(experiment.to_dict()) == experiment
    with pytest.raises(FlagError, match=r"sources\.spectrum: nanoBragg ignores"):
        to_args(experiment)
    path.write_text(f'[nanobragg]\nflags = "{" ".join(ARGS)}"\nspectrum = 3\n')
    with pytest.raises(Exception, match=r"nanobragg\.spectrum"):
        from_toml(path)


def test_where_it_came_from_does_not_count():
    """The fingerprint is that of the wavelengths and weights."""
    one = spectrum_of("gauss:20eV:3")[0].experiment
    other = spectrum_of("gauss:0.02keV:3")[0].experiment
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != spectrum_of("gauss:21eV:3")[0].experiment.fingerprint()


@pytest.mark.parametrize(
    ("asked", "seed", "more", "said"),
    [
        ("gauss", None, (), "must be gauss:FWHM[:N]"),
        ("gauss:1:2:3", None, (), "must be gauss:FWHM[:N]"),
        ("gauss:wide", None, (), "width 'wide' must be a number above 0"),
        ("gauss:-3", None, (), "width '-3' must be a number above 0"),
        ("gauss:20:0", None, (), "'0' must be a whole number from 1"),
        ("gauss:20:1e3", None, (), "'1e3' must be a whole number from 1"),
        ("gauss:90%", None, (), "narrower: energies must be above 0"),
        ("gauss:20", 3, (), "--spectrum-seed 3: needs --spectrum sase"),
        (None, 3, (), "--spectrum-seed 3: needs --spectrum sase"),
        ("sase:20:2", None, (), "needs a seed"),
        ("sase:20:2:151:4", 3, (), "has a seed of its own"),
        ("sase:20:30", 3, (), "SPIKE must be smaller than FWHM"),
        ("sase:20:0.1", 3, (), "151 points are too few for spikes that narrow"),
        ("gaus:20", None, (), "must be a file, FILE:eV, FILE:A, or one of gauss"),
        ("gauss:20", None, ("-dispersion", "1"), "-dispersion 1: must be left out beside"),
    ],
)
def test_what_is_refused(asked, seed, more, said):
    """In one line."""
    with pytest.raises(FlagError, match=re.escape(said)) as caught:
        spectrum_of(asked, *more, seed=seed)
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path):
    """A missing one, and a list of sources beside a spectrum."""
    with pytest.raises(InputFileError, match="no such file"):
        spectrum_of(str(tmp_path / "missing.lam"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputFileError, match="is a device, pipe or socket"):
        spectrum_of(str(tmp_path / "pipe"))
    sources = tmp_path / "sources.txt"
    sources.write_text("-10 0 0\n")
    with pytest.raises(FlagError, match="must be left out beside"):
        spectrum_of("gauss:20", "-sourcefile", str(sources))

"""Amplitudes of a model over an absorption edge: a table for each energy of a spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.amplitudes.make import made
from nbdask.amplitudes.request import Request
from nbdask.errors import FieldError, InputFileError
from nbdask.flags import Own, parse_args
from nbdask.geometry.build import build_model
from nbdask.inputs import amplitudes
from nbdask.plan.memory import model_bytes
from nbdask.units import to_angstrom
from tests.amplitudes.support import pdb
from tests.helpers import deviation, tile_image

#: Over the K edge of selenium, 12658 eV.
ARGS = "-N 6 -detpixels 24 -distance 60 -pixel 3 -misset 10 20 30 -oversample 1 -energy 12658"


@pytest.fixture
def request_of(tmp_path):
    """Return what makes a request of a model with selenium."""
    path = tmp_path / "se.pdb"
    path.write_text(pdb())
    return lambda **more: Request(model=str(path), dmin=2.0, **more)


def experiment_of(request, spectrum=None, args=ARGS):
    """Return an experiment of flags."""
    return parse_args(args.split(), amplitudes=request, own=Own(spectrum=spectrum)).experiment


def test_image_over_an_edge_is_the_sum_of_single_wavelengths(request_of):
    """To 1e-6, and the tables do differ."""
    whole = experiment_of(request_of(), "gauss:60eV:5")
    spectrum, model = whole.sources.spectrum, build_model(whole)
    assert model.n_tables == 5
    total = np.zeros(whole.shape)
    for wave, weight in zip(spectrum.wavelengths, spectrum.weights, strict=True):
        args = ARGS.replace("-energy 12658", f"-lambda {to_angstrom(wave)!r}")
        one = tile_image(build_model(experiment_of(request_of(), args=args)))
        total += one.astype(np.float64) * weight / sum(spectrum.weights)
    found = tile_image(model)
    assert deviation(found, total) < 1e-6
    fixed = tile_image(build_model(experiment_of(request_of(energy=12658), "gauss:60eV:5")))
    assert deviation(found, fixed) > 1e-3


def test_tables_are_those_of_single_energies(request_of):
    """To the last bit; the same f' and f'' share one."""
    model = build_model(experiment_of(request_of(), "tophat:60eV:3"))
    for number, energy in ((0, 12638), (1, 12658), (2, 12678)):
        alone = experiment_of(request_of(energy=energy))
        table = made(alone.structure).table
        grid = model.grid_of(number)
        assert np.allclose(grid[tuple((table.hkl - model.f_min).T)], table.F, rtol=1e-12)
    one = build_model(experiment_of(request_of(energy="off"), "tophat:60eV:3"))
    assert one.n_tables == 1
    assert one.f_table.tolist() == [0, 0, 0]


def test_one_point_keeps_the_bits(request_of):
    """Of the image without a spectrum."""
    plain = build_model(experiment_of(request_of()))
    point = build_model(experiment_of(request_of(), "gauss:60eV:1"))
    assert np.array_equal(tile_image(plain), tile_image(point))


def test_memory_is_in_the_plan_and_too_much_is_refused(request_of, monkeypatch):
    """Before the tables are made."""
    one = model_bytes(build_model(experiment_of(request_of())))
    many = build_model(experiment_of(request_of(), "tophat:60eV:9"))
    assert model_bytes(many) > 5 * one
    monkeypatch.setattr(amplitudes, "MAX_VALUES", 2 * many.f_grid.size)
    with pytest.raises(InputFileError, match=r"9 tables of .* give --spectrum fewer points"):
        build_model(experiment_of(request_of(), "tophat:60eV:9"))


def test_rows_and_wavelengths_belong_together(request_of):
    """A recipe for another spectrum is refused, and so is one of the wrong length."""
    whole = experiment_of(request_of(), "tophat:60eV:3")
    data = whole.to_dict()
    assert type(whole).from_dict(data) == whole
    data["structure"]["recipe"]["anomalous"].pop()
    with pytest.raises(FieldError, match="a row for each of the recipe's energies"):
        type(whole).from_dict(data)
    data["structure"]["recipe"]["energies"].pop()
    with pytest.raises(FieldError, match="each of the 3 wavelengths"):
        type(whole).from_dict(data)

"""specs/scaling-and-statistics.md, the part on photons per pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment import Beam, Crystal, Sampling, Scan, Sources, Spread, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.interface import merge
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.specs.support import SKEW, experiment, pixels, with_detector


def rich():
    """Return an experiment with two of everything that is summed."""
    return with_detector(
        experiment(
            crystal=Crystal(cell=SKEW, n_cells=(3, 4, 5), mosaic_spread=0.01, mosaic_domains=2),
            scan=Scan(0.1, 0.1, None, 2),
            sources=Sources(dispersion=Spread(0.02, None, 3)),
            sampling=Sampling(oversample=2),
        ),
        thickness=2e-4,
        thick_steps=2,
    )


def test_normalisation() -> None:
    """Everything that is summed divides, except layers."""
    model = build_model(rich())
    expected = units.R_E_SQR * units.DEFAULT_FLUENCE / (3 * 2 * 2 * 4)
    assert model.scale == pytest.approx(expected, rel=1e-14)
    assert model.n_steps == 2 * 3 * 2 * 2 * 4


def test_fluence_from_flux() -> None:
    """Flux times exposure over the beam's area; else the fluence itself."""
    beam = Beam(flux=1e12, exposure=0.5, beamsize=1e-4)
    assert beam.effective_fluence == pytest.approx(1e12 * 0.5 / 1e-8, rel=1e-12)
    for kept in (replace(beam, flux=0.0), replace(beam, exposure=0.0), replace(beam, beamsize=-1)):
        assert kept.effective_fluence == units.DEFAULT_FLUENCE


@pytest.mark.parametrize("factor", [2.0, 0.125])
def test_intensity_scales_with_fluence_and_squared_amplitude(factor: float) -> None:
    """By powers of two, so that not a bit changes."""
    base = experiment()
    beam = replace(base.beam, fluence=base.beam.fluence * factor**2)
    np.testing.assert_array_equal(pixels(base.replace(beam=beam)), pixels(base) * factor**2)
    structure = StructureFactors(default_F=10.0 * factor)
    np.testing.assert_array_equal(
        pixels(base.replace(structure=structure)), pixels(base) * factor**2
    )


def test_region_of_interest() -> None:
    """Both limits belong to it, outside is 0, and it is cut to the detector."""
    base = experiment()
    part = pixels(base.replace(sampling=Sampling(oversample=1, roi=(3, 50, 4, 9))))
    np.testing.assert_array_equal(part[3:, 4:10], pixels(base)[3:, 4:10])
    assert part[3:, 4:10].min() > 0
    part[3:, 4:10] = 0
    assert not part.any()


@pytest.mark.parametrize("roi", [(12, 20, 0, 5), (0, 5, 16, 20), (5, 3, 0, 5)])
def test_region_beside_the_detector(roi: tuple) -> None:
    """A region without a pixel is a mistake."""
    with pytest.raises(FieldError, match=r"sampling\.roi"):
        experiment(sampling=Sampling(roi=roi))


@pytest.mark.parametrize(("tile", "steps"), [((5, 7), 96), ((12, 16), 7), ((3, 16), 1)])
def test_tiles_and_step_ranges_do_not_matter(tile: tuple, steps: int) -> None:
    """Cut in any way, no pixel moves by more than one unit in the last place."""
    exp = rich()
    model, kernel = build_model(exp), ReferenceKernel()
    whole = pixels(exp)
    joined = np.full(exp.shape, np.nan, dtype=np.float32)
    for piece in TileGrid(exp.shape, tile):
        parts = [
            kernel.partial(model, piece, part, None) for part in split_steps(model.n_steps, steps)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = merge(total, part)
        place = (slice(piece.slow0, piece.slow1), slice(piece.fast0, piece.fast1))
        joined[place] = kernel.finish(model, piece, total, None)
    np.testing.assert_array_max_ulp(joined, whole, maxulp=1)


def test_repetition_gives_the_same_bits() -> None:
    """Nothing depends on chance or on what ran before."""
    model, kernel, tile = build_model(rich()), ReferenceKernel(), Tile(0, 12, 0, 16)
    sums = [kernel.partial(model, tile, StepRange(0, model.n_steps), None).total for _ in "ab"]
    np.testing.assert_array_equal(sums[0], sums[1])

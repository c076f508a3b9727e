"""Photons by reflection: in NumPy and compiled, and against the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.experiment import Background, Crystal, Diffuse, Experiment, Sampling, Sources, Spread
from nbdask.experiment.lattice import Lattice
from nbdask.geometry.build import build_model
from nbdask.native import library
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.truth import compiled, reference
from nbdask.truth.factors import photons_per_unit
from nbdask.truth.sums import CODE, PHOTONS, merged
from tests.panels.several import several
from tests.truth.support import experiment, photons, sums

SMALL = "-detpixels 24 -pixel 0.4 -N 7 -nointerpolate"
#: What kinds of evaluations there are.
FLAGS = {
    "few cells": "-N 4 -dispersion 2 -dispsteps 3",
    "even cells": "-Na 6 -Nb 3 -Nc 8 -oversample 2",
    "many cells": "-mosaic 1 -mosaic_dom 3 -osc 1 -phisteps 3",
    "round": "-round_xtal -hdivrange 2 -hdivsteps 3",
    "gauss": "-gauss_xtal -N 3 -osc 2 -phisteps 2",
    "tophat": "-tophat_spots -N 2 -oversample 3",
    "interpolated": "-interpolate",
    "each factor": "-detector_abs 0.5 -detector_thick 0.2 -detector_thicksteps 3"
    " -oversample_thick -oversample_polar -oversample_omega -polar 0.8",
    "limit": "-dmin 6",
    "region": "-roi 3 17 5 20",
    "curved": "-curved_det",
    "point": "-point_pixel",
}


def of_kind(kind: str) -> Experiment:
    """Return the experiment of one of the kinds, with amplitudes that differ."""
    e = experiment(f"{SMALL} {FLAGS[kind]}")
    rng = np.random.default_rng(1)
    hkl = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rows = [
        (*map(int, row), float(F)) for row, F in zip(hkl, rng.uniform(1, 99, len(hkl)), strict=True)
    ]
    return e.replace(structure=replace(e.structure, reflections=tuple(rows)))


def others() -> dict[str, Callable[[], Experiment]]:
    """Return experiments that flags do not make."""
    crystal = experiment(SMALL).crystal
    spherical = replace(crystal, shape="spherical", centring="C")
    turned = replace(crystal, misset=(0.3, 0.1, 0.2))
    base = partial(experiment, SMALL)
    return {
        "centred": lambda: base().replace(crystal=spherical),
        "crystals": lambda: base().replace(lattices=(Lattice(crystal=turned, weight=0.3),)),
        "weighted": lambda: base().replace(
            sources=Sources(dispersion=Spread(range=0.02, count=3)),
            crystal=replace(
                crystal,
                mosaic=replace(crystal.mosaic, domains=((1, 0, 0, 0, 2.0), (0.6, 0.8, 0, 0, 0.5))),
            ),
        ),
        "panels": several,
    }


CASES: dict[str, Callable[[], Experiment]] = {k: partial(of_kind, k) for k in FLAGS} | others()


@pytest.mark.parametrize("case", CASES)
def test_compiled_sums_are_those_of_numpy(case: str) -> None:
    """Every reflection's photons and centroid, whatever kind of evaluation it comes from."""
    e = CASES[case]()
    found, wanted = sums(e), sums(e, reference.sums_of)
    assert len(found) == e.n_panels
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other) == len(e.singles)
        for rows, theirs in zip(one, other, strict=True):
            least = 1e-9 * theirs[:, PHOTONS].max()
            kept, their_kept = (r[r[:, PHOTONS] > least] for r in (rows, theirs))
            assert len(kept) > 3
            assert np.array_equal(kept[:, CODE], their_kept[:, CODE])
            assert kept == pytest.approx(their_kept, rel=1e-8, abs=1e-9 * least)


@pytest.mark.parametrize("case", CASES)
def test_all_reflections_together_are_the_image(case: str) -> None:
    """To the rounding of its pixels."""
    e = CASES[case]()
    total = sum(float(rows[:, PHOTONS].sum()) for panel in sums(e) for rows in panel)
    assert total == pytest.approx(photons(e).sum(), rel=1e-6)


def test_no_background_is_in_it() -> None:
    """Water, materials and diffuse scattering are of no reflection; a beam stop counts."""
    bare = experiment(f"{SMALL} -oversample 2")
    water = bare.replace(background=Background(water=1e-5))
    diffuse = bare.replace(
        crystal=replace(bare.crystal, diffuse=Diffuse(gamma=(3e-9,) * 3, sigma=(5e-11,) * 3))
    )
    (rows,) = sums(bare)[0]
    for other in (water, diffuse):
        assert photons(other).sum() > 1.001 * photons(bare).sum()
        assert np.array_equal(sums(other)[0][0], rows)
    stopped = bare.replace(background=Background(beamstop=(2e-3, 0.0, 0.0)))
    (fewer,) = sums(stopped)[0]
    assert fewer[:, PHOTONS].sum() == pytest.approx(photons(stopped).sum(), rel=1e-6)
    assert fewer[:, PHOTONS].sum() < 0.99 * rows[:, PHOTONS].sum()


def test_bits_depend_on_neither_threads_nor_levels() -> None:
    """Blocks are the same ones, and merged in their order."""
    e = experiment("-detpixels 150 -pixel 0.1 -N 7 -nointerpolate")
    one, many = sums(e, threads=1), sums(e, threads=3)
    assert np.array_equal(one[0][0], many[0][0])
    for level in library.levels():
        assert np.array_equal(sums(e, partial(compiled.sums_of, level=level))[0][0], one[0][0])


def test_tiles_merge_to_the_whole() -> None:
    """Whatever the blocks are, but for the last digits."""
    model = build_model(experiment(f"{SMALL} -oversample 2"))
    phi = np.zeros(1)

    def part(tile: Tile) -> Any:
        """Return the sums of one tile."""
        return compiled.sums_of(model, tile, None, photons_per_unit(model, tile, None), phi)

    whole = part(Tile(0, 24, 0, 24))
    small = merged(part(tile) for tile in TileGrid((24, 24), (7, 5)))
    assert np.array_equal(small[:, CODE], whole[:, CODE])
    assert small == pytest.approx(whole, rel=1e-12)


def test_what_cannot_be_told_apart_is_refused() -> None:
    """C's running product, and indices that do not fit."""
    running = experiment(f"{SMALL} -oversample_omega").replace(semantics="c")
    with pytest.raises(InputError, match="use --semantics spec"):
        sums(running)
    huge = Experiment(
        crystal=Crystal(cell=(1e-5, 1e-5, 1e-5, 1.5707963, 1.5707963, 1.5707963)),
        structure=running.structure,
        detector=running.detector,
        sampling=Sampling(oversample=1),
    )
    with pytest.raises(InputError, match="must be below 65536"):
        sums(huge)


def test_masked_pixels_have_no_photons() -> None:
    """Nor do reflections that lie on them alone."""
    e = several()
    image = photons(e)
    assert (image[1][:, 2:4] == 0.0).all()
    (rows,) = sums(e)[1]
    assert rows[:, PHOTONS].sum() == pytest.approx(image[1].sum(), rel=1e-6)

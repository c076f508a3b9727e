"""Laws that every image obeys, on the reference kernel."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.vectors import array, rotate_xyz
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import (
    deviation,
    image_of,
    reflections,
    small_experiment,
    tile_image,
    tile_sum,
    ulps,
    whole,
)

CRYSTAL = Crystal(
    cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
    n_cells=(3, 4, 5),
    mosaic_spread=0.01,
    mosaic_domains=3,
)


def rich_experiment(**parts: object):
    """Several sources, steps, domains, layers and sub-pixels at once."""
    values: dict[str, object] = {
        "crystal": CRYSTAL,
        "sources": Sources(horizontal=Spread(range=0.004, count=3)),
        "scan": Scan(phi0=0.1, osc=0.02, count=2),
        "detector": Detector(
            pixels_fast=24, pixels_slow=32, pixel_size=4e-4, thickness=3e-4, thick_steps=2
        ),
        "sampling": Sampling(oversample=2),
        "beam": Beam(polarization=0.7),
        "background": Background(water=1e-6),
    }
    values.update(parts)
    return small_experiment(**values)


@pytest.mark.long
@given(st.integers(6, 40), st.integers(6, 40))
@example(1, 40)
@example(40, 1)
@settings(max_examples=8, deadline=None)
def test_tiles_join_to_the_whole(slow: int, fast: int) -> None:
    """However the detector is cut, every pixel is the same to the bit."""
    model = build_model(rich_experiment())
    full = tile_image(model)
    joined = np.full(full.shape, np.nan, dtype=np.float32)
    for tile in TileGrid(full.shape, (slow, fast)):
        joined[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = tile_image(model, tile=tile)
    assert np.array_equal(joined, full)


@pytest.mark.long
@pytest.mark.parametrize("each", ["none", "all"])
@given(per_task=st.integers(1, 200))
@settings(max_examples=12, deadline=None)
def test_step_ranges_sum_to_the_unsplit_image(each: str, per_task: int) -> None:
    """Ranges may begin and end anywhere, also within a sub-pixel; also for running products."""
    on = each == "all"
    sampling = Sampling(oversample=2, oversample_thick=on, oversample_polar=on, oversample_omega=on)
    experiment = rich_experiment(sampling=sampling, semantics="c" if on else "spec")
    model = build_model(experiment)
    assert model.running_product == on
    tile = Tile(3, 9, 2, 15)
    one = tile_image(model, tile=tile)
    split = tile_image(model, tile=tile, ranges=split_steps(model.n_steps, per_task))
    assert ulps(one, split) <= 1


@given(
    st.floats(-3, 3, allow_subnormal=False),
    st.floats(-1.5, 1.5, allow_subnormal=False),
    st.floats(-3, 3, allow_subnormal=False),
)
@settings(max_examples=20, deadline=None)
def test_turning_the_whole_experiment_in_space_changes_nothing(
    rotx: float, roty: float, rotz: float
) -> None:
    """Beam, detector, polarization, spindle, sources and crystal turned together: same image."""

    def frame(turn) -> LabFrame:
        names = {
            "fast": (0.0, 0.1, 1.0),
            "slow": (0.0, -1.0, 0.1),
            "normal": (2.0, 0.0, 0.0),
            "beam": (1.0, 0.02, 0.01),
            "polarization": (0.0, 0.0, 1.0),
            "spindle": (0.0, 0.3, 1.0),
            "twotheta_axis": (0.0, 1.0, 0.0),
        }
        return LabFrame("CUSTOM", **{k: turn(v) for k, v in names.items()})

    def image(turn):
        matrix = np.array([turn((0.0143, 0, 0)), turn((0.001, 0.0125, 0)), turn((0, 0.002, 0.011))])
        points = tuple(SourcePoint(*turn(p)) for p in ((-10, 0.02, 0.0), (-10, 0.0, -0.03)))
        return image_of(
            small_experiment(
                crystal=Crystal(matrix=tuple(matrix.T.ravel()), n_cells=(4, 3, 5)),
                frame=frame(turn),
                beam=Beam(polarization=0.8),
                scan=Scan(phi0=0.2, osc=0.1, count=2),
                sources=Sources(points=points),
                detector=Detector(
                    pixels_fast=12, pixels_slow=16, pixel_size=8e-4, twotheta=0.2, pivot="sample"
                ),
            )
        )

    def turned(v):
        return tuple(float(c) for c in rotate_xyz(array(v), rotx, roty, rotz))

    assert deviation(image(turned), image(lambda v: tuple(float(c) for c in v))) < 1e-6


@given(st.floats(1e-3, 1e3))
@settings(max_examples=10, deadline=None)
def test_intensity_scales_with_fluence_and_with_f_squared(factor: float) -> None:
    """Twice the photons, twice the image; twice the amplitudes, four times."""
    plain = image_of(small_experiment())
    brighter = image_of(small_experiment(beam=Beam(fluence=Beam().fluence * factor)))
    stronger = image_of(small_experiment(structure=StructureFactors(default_F=100.0 * factor)))
    assert deviation(brighter, plain * factor) < 3e-7
    assert deviation(stronger, plain * factor**2) < 3e-7


def test_carry_over_only_under_c_semantics_and_not_in_the_first_pixel() -> None:
    """At phi = 0 spec rotates by 0; C keeps the last rotation, but for its first evaluation."""
    scan = Scan(phi0=0.0, osc=0.2, count=4)
    spec = image_of(small_experiment(scan=scan))
    c = image_of(small_experiment(scan=scan, semantics="c"))
    shifted = image_of(small_experiment(scan=Scan(phi0=0.05, osc=0.15, count=3)))
    last = image_of(small_experiment(scan=Scan(phi0=0.15)))
    expected = (3 * shifted.astype(float) + last) / 4
    assert deviation(c[1:], expected[1:]) < 3e-7
    assert deviation(c[0, 1:], expected[0, 1:]) < 3e-7
    assert c[0, 0] == spec[0, 0]
    assert abs(c[0, 0] / expected[0, 0] - 1) > 1e-3
    assert deviation(spec, c) > 0.1


def test_semantics_agree_where_nothing_history_dependent_is_asked_for() -> None:
    """Without a step at phi = 0 and without oversample flags the two are one."""
    assert np.array_equal(image_of(rich_experiment()), image_of(rich_experiment(semantics="c")))


@pytest.mark.parametrize("flag", ["oversample_thick", "oversample_polar", "oversample_omega"])
def test_factor_applied_to_each_term_under_spec(flag: str) -> None:
    """Spec: the sum over sub-pixels of each one's own image, background with the pixel's factor."""
    experiment = rich_experiment(sampling=Sampling(oversample=2, **{flag: True}))
    each, once = image_of(experiment), image_of(rich_experiment())
    assert 0 < deviation(each, once) < 1.2
    dry = replace(experiment, background=Background())
    plain = rich_experiment(background=Background())
    water = each.astype(float) - image_of(dry)
    assert deviation(water, once.astype(float) - image_of(plain)) < 1e-4


def test_one_sub_pixel_one_source_one_layer_makes_the_flags_idle_under_spec() -> None:
    """With nothing to resample, a factor per term is the factor per pixel."""
    flags = {"oversample_thick": True, "oversample_polar": True, "oversample_omega": True}
    plain = image_of(small_experiment(beam=Beam(polarization=0.5)))
    each = image_of(
        small_experiment(beam=Beam(polarization=0.5), sampling=Sampling(oversample=1, **flags))
    )
    assert ulps(plain, each) <= 1


def test_weights_applied_equal_separate_images_of_each_source() -> None:
    """A weighted sum of two sources is the weighted mean of their images."""
    places = ((-10.0, 0.02, 0.0), (-10.0, 0.0, -0.03))
    single = [
        image_of(small_experiment(sources=Sources(points=(SourcePoint(*p),)))).astype(float)
        for p in places
    ]
    points = tuple(SourcePoint(*p, weight=w) for p, w in zip(places, (3.0, 1.0), strict=True))
    both = image_of(small_experiment(sources=Sources(points=points, weights="apply")))
    # One polarization factor per pixel: that of the first source.
    model = [
        build_model(small_experiment(sources=Sources(points=(SourcePoint(*p),)))) for p in places
    ]
    factor = [np.asarray(_polarization(m)) for m in model]
    expected = (3 * single[0] + single[1] * factor[0] / factor[1]) / 4
    assert deviation(both, expected) < 1e-6
    ignored = image_of(small_experiment(sources=Sources(points=points)))
    assert deviation(ignored, (single[0] + single[1] * factor[0] / factor[1]) / 2) < 1e-6


def _polarization(model):
    from nbdask.kernels.reference import pixel_polarization

    return pixel_polarization(model, whole(model))


def test_roi_leaves_zeros_outside_and_the_same_pixels_inside() -> None:
    """A region of interest selects, it does not change."""
    full = image_of(small_experiment())
    part = image_of(small_experiment(sampling=Sampling(oversample=1, roi=(5, 12, 3, 20))))
    assert np.array_equal(part[5:13, 3:21], full[5:13, 3:21])
    assert np.count_nonzero(part) == np.count_nonzero(full[5:13, 3:21])


def test_dmin_beyond_every_pixel_leaves_only_zeros() -> None:
    """Terms beyond the limit are skipped; without a passing source there is no factor either."""
    image = image_of(
        small_experiment(
            sampling=Sampling(oversample=1, dmin=1e-6), background=Background(water=1e-6)
        )
    )
    assert np.count_nonzero(image) <= 1


def test_water_alone_is_flat_but_for_the_pixel_factors() -> None:
    """Background / (polarization * solid angle) is one number."""
    crystal = replace(CRYSTAL, shape="tophat", fudge=1e12)
    model = build_model(small_experiment(crystal=crystal, background=Background(water=1e-5)))
    from nbdask.physics.factors import solid_angle
    from nbdask.physics.position import sub_pixel_rays

    tile = whole(model)
    omega = solid_angle(model, sub_pixel_rays(model, tile, 0, 0, 0))
    flat = tile_image(model) / (omega * _polarization(model))
    assert np.ptp(flat) / flat.mean() < 1e-6
    assert flat.mean() == pytest.approx(model.scale * model.background)


def test_interpolation_outside_is_counted_over_the_tile() -> None:
    """Evaluations whose neighbourhood leaves the list are told, not hidden."""
    structure = StructureFactors(reflections=reflections(limit=3), default_F=1.0)
    experiment = small_experiment(
        structure=structure, sampling=Sampling(oversample=1, interpolate=True)
    )
    model = build_model(experiment)
    total = tile_sum(model, _kernel(), whole(model), [StepRange(0, model.n_steps)])
    assert 0 < total.outside < model.n_slow * model.n_fast


def _kernel():
    from nbdask.kernels.reference import ReferenceKernel

    return ReferenceKernel()


def test_auto_interpolation_looks_at_the_counts_as_given() -> None:
    """Sample sizes set the number of cells but not the choice of interpolation."""
    listed = StructureFactors(reflections=reflections(limit=3))
    sized = Crystal(cell=CRYSTAL.cell, size=(5e-8, 5e-8, 5e-8))
    model = build_model(small_experiment(crystal=sized, structure=listed))
    assert model.interpolate
    assert model.n_cells.min() > 2
    counted = build_model(
        small_experiment(crystal=Crystal(cell=CRYSTAL.cell, n_cells=(3, 3, 3)), structure=listed)
    )
    assert not counted.interpolate


def test_a_pixel_seen_by_hand() -> None:
    """One pixel computed with nothing but the math module."""
    right = math.pi / 2
    experiment = small_experiment(
        crystal=Crystal(cell=(1e-8, 1e-8, 1e-8, right, right, right), n_cells=(2, 3, 4)),
        detector=Detector(pixels_fast=5, pixels_slow=7, pixel_size=1e-3),
    )
    image = image_of(experiment)
    slow, fast = 2, 4
    # MOSFLM: beam +x, fast +z, slow -y; centre at (size + pixel) / 2 + pixel / 2.
    z = (fast + 0.5) * 1e-3 - 3.5e-3
    y = -((slow + 0.5) * 1e-3 - 4.5e-3)
    path = math.sqrt(0.1**2 + y**2 + z**2)
    q = [(0.1 / path - 1) / 1e-10, y / path / 1e-10, z / path / 1e-10]
    factor = 1.0
    for component, cells in zip(q, (2, 3, 4), strict=True):
        index = component * 1e-8
        factor *= math.sin(cells * math.pi * index) / math.sin(math.pi * index)
    cosine = 0.1 / path
    expected = (100.0 * factor) ** 2 * 0.5 * (1 + cosine**2) * 1e-6 / path**2 * cosine
    assert image[slow, fast] == pytest.approx(expected, rel=2e-6)

"""The tests that every kernel has to pass, whatever it runs on: classes to be inherited.

A subclass has a fixture ``kernel``: each test runs for every kernel that it gives.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import Crystal, Detector, Sampling, Scan, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.carry_over import find_first_evaluation
from nbdask.kernels.interface import Kernel, merge
from nbdask.physics.position import sub_pixel_rays
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import deviation, image_of, small_experiment, tile_image, ulps, whole
from tests.kernels.features import CASES, compare, compare_feature, crystal, model_of

#: Bound of the worst deviation from the NumPy kernel by precision.
BOUNDS = {"float64": 1e-9, "mixed": 1e-5, "pairs": 1e-5}
RICH = "sources, phi and sub-pixels"
#: Features that differ in what a tile, a mask or a range of steps has to do with them.
FEW = [("list", "spec"), (RICH, "spec"), ("all factors", "spec"), ("all factors", "c"),
       ("interpolated", "spec"), ("dmin", "spec"), ("factors, many cells, water", "c")]  # fmt: skip
few = pytest.mark.parametrize(("name", "semantics"), FEW)


def same(ours, theirs):
    """Return whether two arrays hold the same bits."""
    return ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()


def all_steps(model):
    """Return the range of all steps."""
    return StepRange(0, model.n_steps)


def random_mask(tile, share=0.3):
    """Return a mask with some rows closed, and pixels here and there."""
    mask = np.random.default_rng(3).random(tile.shape) < share
    mask[5:9] = False
    return mask


class KernelTests:
    """What holds for any kernel by itself."""

    def test_is_a_kernel(self, kernel):
        """It says what it is and needs a number of bytes that grows with the tile."""
        checked: Kernel = kernel
        assert checked.name
        assert checked.version
        assert checked.precision in BOUNDS
        model = model_of("list")
        part = replace(model, roi=(3, 8, 3, 8))
        assert checked.working_bytes(model, 10**6) >= checked.working_bytes(model, 1) > 0
        assert checked.working_bytes(part, 10**6) >= checked.working_bytes(part, 1) + 10**7

    @few
    @pytest.mark.parametrize("shape", [(1, 24), (32, 1), (7, 5), (3, 24)])
    def test_tiles_join_to_the_whole(self, kernel, name, semantics, shape):
        """Rows, columns and ragged tiles give every pixel the same value to the bit."""
        model = model_of(name, semantics)
        full = tile_image(model, kernel)
        joined = np.full(full.shape, np.nan, dtype=np.float32)
        for tile in TileGrid(full.shape, shape):
            part = tile_image(model, kernel, tile)
            joined[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = part
        assert same(joined, full)

    @pytest.mark.parametrize("size", [1, 31, 32, 33, 479, 480, 481, 1000])
    def test_tiles_of_any_size(self, kernel, size):
        """Wherever blocks of pixels end, also in a list of pixels: the same bits."""
        detector = Detector(pixels_fast=1003, pixels_slow=2, pixel_size=2e-5)
        model = build_model(small_experiment(detector=detector, crystal=crystal((40, 1, 23))))
        row = Tile(1, 2, 0, 1003)
        full = kernel.partial(model, row, all_steps(model), None).total[0]
        begin = (1003 - size) // 2
        tile = Tile(1, 2, begin, begin + size)
        total = kernel.partial(model, tile, all_steps(model), None).total[0]
        assert same(total, full[begin : begin + size])
        mask = np.zeros(row.shape, dtype=np.bool_)
        mask[0, np.random.default_rng(size).permutation(1003)[:size]] = True
        listed = kernel.partial(model, row, all_steps(model), mask).total[0]
        assert same(listed[mask[0]], full[mask[0]])
        assert not listed[~mask[0]].any()

    @few
    def test_single_pixels(self, kernel, name, semantics):
        """A tile of one pixel has the bits that the pixel has in the whole."""
        model = model_of(name, semantics)
        full = tile_image(model, kernel)
        for slow, fast in [(0, 0), (31, 23), (17, 5), (16, 12)]:
            one = tile_image(model, kernel, Tile(slow, slow + 1, fast, fast + 1))
            assert same(one[0, 0], full[slow, fast])

    @few
    @pytest.mark.parametrize("per_task", [1, 7, 31])
    def test_step_ranges_merge_to_the_whole(self, kernel, name, semantics, per_task):
        """Ranges that begin and end inside sub-pixels and sources give the same image to 1 ulp."""
        model = model_of(name, semantics)
        tile = Tile(12, 17, 7, 14)
        full = tile_image(model, kernel, tile)
        ranges = split_steps(model.n_steps, per_task)
        if kernel.precision == "float64":
            assert ulps(tile_image(model, kernel, tile, ranges), full) <= 1
        else:
            assert deviation(tile_image(model, kernel, tile, ranges), full) <= 1e-6

    def test_ranges_between_billions_of_steps(self, kernel):
        """A range far beyond 2^32 steps is that of the same sub-pixel of a small experiment."""
        across, turns = 1000, 5000
        model = build_model(small_experiment(sampling=Sampling(oversample=across)))
        model = replace(model, axes=np.repeat(model.axes, turns, axis=0), n_phi=turns)
        assert model.n_steps > 2**32
        tile = Tile(4, 5, 3, 6)
        outer = across * across - 7
        steps = StepRange(outer * turns + 5, outer * turns + 18)
        total = kernel.partial(model, tile, steps, None).total
        # Of pixels as small as a sub-pixel, the first of which is where that one is.
        slow, fast = divmod(outer, across)
        size = model.pitch_fast / across
        axes = model.axes[:13]
        for column in range(3):
            aside = (3 * across + column * across + fast) * size
            origin = model.origin + aside * model.fast + (4 * across + slow) * size * model.slow
            small = replace(model, origin=origin, oversample=1, axes=axes)
            small = replace(small, pitch_fast=size, pitch_slow=size, area=size * size)
            small = replace(small, n_phi=13)
            one = kernel.partial(small, Tile(0, 1, 0, 1), StepRange(0, 13), None).total
            bound = 1e-9 if kernel.precision == "float64" else 1e-5
            assert total[0, column] == pytest.approx(one[0, 0], rel=bound)

    @few
    def test_an_empty_range_changes_nothing(self, kernel, name, semantics):
        """It sums to 0, with gain 1, and merges with anything."""
        model, tile = model_of(name, semantics), Tile(2, 5, 3, 9)
        full = kernel.partial(model, tile, all_steps(model), None)
        for place in (0, 1, model.n_steps):
            empty = kernel.partial(model, tile, StepRange(place, place), None)
            assert not empty.total.any()
            assert empty.outside == 0
            both = merge(empty, full)
            assert same(both.total, full.total)
            if full.gain is not None:
                assert same(both.gain, full.gain)

    @few
    def test_masked_pixels_are_left_out(self, kernel, name, semantics):
        """Total 0, gain 1, photons 0 where the mask is False; unchanged where it is True."""
        model = model_of(name, semantics)
        tile = whole(model)
        mask = random_mask(tile)
        full = kernel.partial(model, tile, all_steps(model), None)
        part = kernel.partial(model, tile, all_steps(model), mask)
        assert same(part.total, np.where(mask, full.total, 0.0))
        assert part.outside <= full.outside
        if full.gain is not None:
            assert same(part.gain, np.where(mask, full.gain, 1.0))
        image = kernel.finish(model, tile, part, mask)
        whole_image = kernel.finish(model, tile, full, None)
        assert same(image, np.where(mask, whole_image, np.float32(0.0)))

    @few
    def test_nothing_is_evaluated_under_a_closed_mask(self, kernel, name, semantics):
        """A tile without a single pixel to do is all zeros."""
        model = model_of(name, semantics)
        tile = whole(model)
        closed = np.zeros(tile.shape, dtype=np.bool_)
        partial = kernel.partial(model, tile, all_steps(model), closed)
        assert not partial.total.any()
        assert partial.outside == 0
        if model.running_product:
            assert (partial.gain == 1.0).all()
        assert not kernel.finish(model, tile, partial, closed).any()
        image, outside = kernel.image(model, tile, closed)
        assert not image.any()
        assert outside == 0

    @few
    def test_image_is_sum_and_finish(self, kernel, name, semantics):
        """All in one call gives the same bits and the same count."""
        model, tile = model_of(name, semantics), Tile(3, 30, 2, 19)
        for mask in (None, random_mask(tile, 0.7)):
            partial = kernel.partial(model, tile, all_steps(model), mask)
            image, outside = kernel.image(model, tile, mask)
            assert image.dtype == np.float32
            assert same(image, kernel.finish(model, tile, partial, mask))
            assert outside == partial.outside

    def test_interpolation_counts_what_leaves_the_list(self, kernel):
        """The case where counts are compared does have some evaluations outside."""
        model = model_of("interpolated")
        outside = kernel.partial(model, whole(model), all_steps(model), None).outside
        assert 0 < outside < model.n_steps * whole(model).pixels

    @pytest.mark.parametrize("name", ["few cells, odd", "interpolated", "all factors"])
    def test_threads_repeat_the_bits(self, kernel, name):
        """Eight threads with one kernel and one model: always the same numbers."""
        model = model_of(name, "c")
        tiles = list(TileGrid(whole(model).shape, (8, 24))) * 4
        alone = [tile_image(model, kernel, tile) for tile in tiles[:4]] * 4
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda tile: tile_image(model, kernel, tile), tiles))
        for one, other in zip(alone, together, strict=True):
            assert same(one, other)

    @few
    def test_models_from_another_process_give_the_same_bits(self, kernel, name, semantics):
        """Arrays come back read-only, and numbers may be of other types."""
        model, tile = model_of(name, semantics), Tile(3, 12, 2, 19)
        changed = {"curved": np.bool_(model.curved), "layers": np.int64(model.layers)}
        for part in ("axes", "f_grid", "incident", "fast", "origin", "n_cells", "star"):
            changed[part] = getattr(model, part).copy()
            changed[part].setflags(write=False)
        other = pickle.loads(pickle.dumps(replace(model, **changed)))
        full = kernel.partial(model, tile, all_steps(model), None)
        again = kernel.partial(other, tile, StepRange(np.int64(0), model.n_steps), None)
        assert same(full.total, again.total)
        again.total.setflags(write=False)
        photons = kernel.finish(other, tile, again, None)
        assert same(photons, kernel.finish(model, tile, full, None))

    def test_an_unknown_precision_is_refused(self, kernel):
        """The message names the flag."""
        with pytest.raises(BackendError, match=r"--precision = 'float16': "):
            type(kernel)("float16")


class ComparedTests(KernelTests):
    """What holds for a kernel that is measured by the NumPy one."""

    @pytest.mark.parametrize(("name", "semantics"), CASES)
    def test_every_feature_equals_the_reference_kernel(self, kernel, name, semantics):
        """Sums, gains, counts and photons."""
        compare_feature(name, semantics, kernel, BOUNDS[kernel.precision])

    def test_the_first_pixel_of_c(self, kernel):
        """Its first evaluation keeps no rotation, as nothing came before it."""
        experiment = small_experiment(
            scan=Scan(phi0=0.0, osc=0.2, count=4), crystal=crystal(), semantics="c"
        )
        model = build_model(experiment)
        assert model.first_axes is not None
        first = find_first_evaluation(model)
        assert first is not None
        assert (first.slow, first.fast) == (0, 0)
        image = image_of(experiment, kernel)
        assert deviation(image, image_of(experiment)) <= BOUNDS[kernel.precision] + 1.2e-7
        plain, _ = kernel.image(model, whole(model), None)
        assert plain[0, 0] != image[0, 0]
        assert same(plain.ravel()[1:], image.ravel()[1:])

    def test_a_pixel_in_the_direct_beam(self, kernel):
        """q is exactly 0: all cells scatter in phase, and dmin leaves the pixel in."""
        for name in ("list", "few cells, even", "many cells", "round", "gauss", "tophat"):
            model = model_of(name)
            ray = sub_pixel_rays(model, Tile(16, 17, 12, 13), 0, 0, 0)
            beam = np.array([[part[0, 0] for part in ray[:3]]])
            model = replace(model, incident=beam, dmin=1e-10)
            compare(model, kernel, BOUNDS[kernel.precision])

    def test_halves_go_down(self, kernel):
        """An index exactly between two reflections takes the amplitude of the lower one."""
        listed = tuple((h, k, el, 5.0 + h + 2 * k + 3 * el) for h, k, el in np.ndindex(2, 2, 2))
        experiment = small_experiment(
            crystal=Crystal(cell=(1e-8, 1e-8, 1e-8, *(np.pi / 2,) * 3), n_cells=(1, 1, 1)),
            structure=StructureFactors(reflections=listed, default_F=7.0),
            sampling=Sampling(oversample=1, interpolate=False),
        )
        # Every pixel at one place along z, and no incident light to subtract: q is z / wavelength.
        model = replace(
            build_model(experiment),
            incident=np.zeros((1, 3)),
            wavelength=np.array([2e-8]),
            axes=1e-8 * np.eye(3)[None],
            fast=np.zeros(3),
            slow=np.zeros(3),
            origin=np.array([0.0, 0.0, 0.125]),
        )
        total = kernel.partial(model, Tile(0, 1, 0, 1), StepRange(0, 1), None).total
        assert total[0, 0] == pytest.approx(25.0, rel=1e-6)  # 0 0 1/2 takes 0 0 0

    @pytest.mark.parametrize("domains", [63, 64, 65, 150])
    def test_many_orientations(self, kernel, domains):
        """Ranges may begin and end anywhere in their table."""
        model = build_model(small_experiment(crystal=crystal(mosaic_domains=domains)))
        compare(model, kernel, BOUNDS[kernel.precision])
        tile = Tile(10, 14, 5, 12)
        parts = [kernel.partial(model, tile, steps, None) for steps in split_steps(domains, 29)]
        full = kernel.partial(model, tile, all_steps(model), None)
        bound = 1e-13 if kernel.precision == "float64" else 1e-6
        assert deviation(sum(p.total for p in parts), full.total) < bound

    def test_sources_without_light(self, kernel):
        """A weight of 0 adds nothing, and other weights count."""
        model = model_of(RICH)
        model = replace(model, oversample=1, weight=np.arange(len(model.weight)) * 0.3)
        compare(model, kernel, BOUNDS[kernel.precision])

    def test_a_tile_at_the_far_corner_of_a_huge_detector(self, kernel):
        """Pixel indices beyond 32 bits of flat index, 70000 x 70000 pixels."""
        detector = Detector(pixels_fast=70000, pixels_slow=70000, pixel_size=1e-5)
        model = build_model(small_experiment(detector=detector))
        tile = Tile(69990, 70000, 69960, 70000)
        bound = BOUNDS[kernel.precision] + 1.2e-7
        assert deviation(tile_image(model, kernel, tile), tile_image(model, tile=tile)) <= bound

    def test_a_gauss_spot_far_away_is_exactly_zero(self, kernel):
        """Its terms vanish rather than become garbage."""
        model = model_of("factors, gauss")
        model = replace(model, n_cells=np.array([300.0, 300.0, 300.0]), each_polar=False)
        total = kernel.partial(model, whole(model), all_steps(model), None).total
        assert np.isfinite(total).all()
        assert (total == 0.0).mean() > 0.9

    @pytest.mark.parametrize("cells", [(1000, 900, 1), (30000, 2, 70000)])
    def test_large_crystals_stay_finite(self, kernel, cells):
        """Lattice factors near 1e12 neither overflow nor lose their digits."""
        model = build_model(small_experiment(crystal=crystal(cells)))
        total = kernel.partial(model, whole(model), all_steps(model), None).total
        assert np.isfinite(total).all()
        # The spacing of the zeros is 1 / N, and mixed precision counts in 2^-32.
        fine = kernel.precision == "float64"
        bound = 1e-9 * max(cells) if fine else 1e-5 * max(1.0, max(cells) / 100)
        compare(model, kernel, bound)

"""The compiled loops: the bits of the NumPy references on every processor level."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask import counter, derive, elementary
from nbdask.derive import compiled, convolution, photons
from nbdask.derive.block import Block
from nbdask.derive.noise_c import CNoise
from nbdask.errors import BackendError
from nbdask.geometry.lcg import MinimalStandard
from nbdask.native import library as native
from tests.helpers import sampled

BLOCK = Block((7, 2**32 - 2100), 2**63 + 12345, 3, 16)
REFERENCE = BLOCK._replace(backend="numpy")
#: Blocks of 256 pixels and vectors of up to 16 are filled, begun, or passed by one.
SHAPES = [(0, 5), (5, 0), (1, 1), (3, 7), (2, 16), (2, 17), (2, 255), (2, 256), (2, 257), (1, 2001)]
LEVELS = native.levels() if native.available() else ()
PSFS = [
    derive.GaussianPSF(0.01),
    derive.GaussianPSF(0.5),
    derive.GaussianPSF(1.7),
    derive.GaussianPSF(6.0, radius=9),
    derive.FibrePSF(0.01),
    derive.FibrePSF(0.4),
    derive.FibrePSF(1.3),
    derive.FibrePSF(5.0, radius=7),
]


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One level after another serves."""
    monkeypatch.setenv(native.VARIABLE, request.param)
    assert native.library() is native.load(request.param)
    return str(request.param)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nothing was compiled."""

    def missing() -> None:
        raise BackendError("no compiled kernel: install a compiler")

    for module in ("derive.compiled", "derive.noise_c", "native.library"):
        monkeypatch.setattr(f"nbdask.{module}.library", missing)


def same_bits(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    """Equal shapes and bytes: signs of zeros count."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_every_level_is_built() -> None:
    """The tests below would otherwise be skipped."""
    assert LEVELS


@pytest.mark.parametrize("low", [1e-4, 1e-1, 5.0, 9.5, 10.0, 1e2, 1e5, 1e9])
def test_poisson(level: str, low: float) -> None:
    """Means from 1e-4 to 1e12, and around the change of method, all branches."""
    high = {5.0: 15.0, 9.5: 10.5, 1e9: 1e12}.get(low, 1e3 * low)
    means = np.exp(np.random.default_rng(0).uniform(np.log(low), np.log(high), (40, 600)))
    assert same_bits(BLOCK.poisson(means.copy()), REFERENCE.poisson(means))


def test_poisson_of_mixed_and_special_values(level: str) -> None:
    """Neighbours that go different ways."""
    random = np.random.default_rng(1)
    means = np.exp(random.uniform(np.log(1e-4), np.log(1e9), (60, 700)))
    special = [0.0, -0.0, -3.0, -np.inf, np.nan, np.inf, 1e-300, 5e-324, 1e300, 1.7e308, 10.0]
    places = random.uniform(size=means.shape) < 0.3
    means[places] = random.choice(special, places.sum())
    means[:, :3] = np.nextafter(10.0, [0.0, 10.0, 20.0])
    with np.errstate(all="ignore"):
        expected = REFERENCE.poisson(means)
    assert same_bits(BLOCK.poisson(means.copy()), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_odd_shapes(level: str, shape: tuple[int, int]) -> None:
    """No pixel is left out, and none beside the array is written."""
    means = np.exp(np.random.default_rng(2).uniform(-3.0, 9.0, shape))
    around = np.full(means.size + 2, -7.0)
    inside = around[1:-1].reshape(shape)
    for backend, expected in (
        (compiled.poisson, REFERENCE.poisson(means)),
        (compiled.normal, REFERENCE.normal(shape)),
    ):
        inside[:] = means
        backend(inside, BLOCK._numbers())
        assert same_bits(inside, expected)
        assert around[0] == around[-1] == -7.0


def test_normal(level: str) -> None:
    """Centre and tails of the distribution."""
    found = BLOCK.normal((300, 2100))
    assert same_bits(found, REFERENCE.normal((300, 2100)))
    assert np.abs(found).max() > 4.5


def test_streams_differ(level: str) -> None:
    """Place, seed, frame and stream reach the generator."""
    for other in (
        Block((0, 0), 0, 0, 0),
        Block((2**32 - 5, 9), 1, 2**32 - 1, 255),
        Block((1, 2), 2**64 - 1, 7, 16),
        Block((2, 1), 2**32, 7, 17),
    ):
        assert same_bits(other.normal((5, 40)), other._replace(backend="numpy").normal((5, 40)))
        means = np.full((5, 40), 30.0)
        expected = other._replace(backend="numpy").poisson(means)
        assert same_bits(other.poisson(means.copy()), expected)


@pytest.mark.parametrize("step", PSFS, ids=str)
@pytest.mark.parametrize(
    "shape", sampled([(33, 47), (1, 1), (2, 100), (5, 64), (9, 33), (0, 7), (7, 0)], 3)
)
def test_spread(level: str, step, shape: tuple[int, int]) -> None:
    """Sums in the same order; widths of whole vectors, parts of them, and none."""
    halo = step.halo
    size = (shape[0] + 2 * halo, shape[1] + 2 * halo)
    padded = np.random.default_rng(3).normal(0.0, 100.0, size)
    padded[::3, ::2] = -0.0
    assert same_bits(
        BLOCK.convolve(padded, step.weights()),
        np.ascontiguousarray(REFERENCE.convolve(padded, step.weights())),
    )


def test_spread_of_infinity_and_nan(level: str) -> None:
    """They reach as far as the weights do, and no farther."""
    padded = np.ones((31, 70))
    padded[5, 9], padded[20, 50] = np.inf, np.nan
    for weights in (convolution.gaussian_weights(1.0, 4), convolution.fibre_quadrant(0.02, 4)):
        found = BLOCK.convolve(padded, weights)
        with np.errstate(invalid="ignore"):
            expected = REFERENCE.convolve(padded, weights)
        assert np.array_equal(found, expected, equal_nan=True)
        assert not np.isfinite(found).all()
        assert np.isfinite(found).any()


class PlainC:
    """nanoBragg's noise in plain Python: single precision by NumPy, functions of the system."""

    def __init__(self, seed: int) -> None:
        self.uniform: Callable[[], np.float32] = MinimalStandard(seed).uniform
        self.spare: np.float32 | None = None

    def photons(self, mean: np.float32) -> np.float32:
        """The next deviate."""
        if mean > 1e6:
            return np.float32(float(mean) + math.sqrt(mean) * float(self.normal()))
        return self.product(mean) if mean < 12.0 else self.rejection(mean)

    def normal(self) -> np.float32:
        """By Box and Muller."""
        if self.spare is not None:
            kept, self.spare = self.spare, None
            return kept
        while True:
            a = np.float32(2.0 * float(self.uniform()) - 1.0)
            b = np.float32(2.0 * float(self.uniform()) - 1.0)
            square = a * a + b * b
            if 0.0 != square < 1.0:
                break
        factor = np.float32(math.sqrt(-2.0 * math.log(square) / float(square)))
        self.spare = a * factor
        return b * factor

    def product(self, mean: np.float32) -> np.float32:
        """Below 12."""
        limit, count, left = np.float32(math.exp(-float(mean))), 0, self.uniform()
        while left > limit:
            count += 1
            left *= self.uniform()
        return np.float32(count)

    def rejection(self, mean: np.float32) -> np.float32:
        """From 12 on."""
        root, log = np.float32(math.sqrt(2.0 * float(mean))), np.float32(math.log(mean))
        g = mean * log - self.log_gamma(np.float32(float(mean) + 1.0))
        while True:
            y = np.float32(math.tan(math.pi * float(self.uniform())))
            value = root * y + mean
            if value < 0.0:
                continue
            value = np.floor(value)
            power = value * log - self.log_gamma(np.float32(float(value) + 1.0)) - g
            height = np.float32(0.9 * (1.0 + float(y * y)) * math.exp(float(power)))
            if not self.uniform() > height:
                return value

    @staticmethod
    def log_gamma(x: np.float32) -> np.float32:
        """Lanczos."""
        y, head, series = float(x), float(x) + 5.5, 1.000000000190015
        head -= (y + 0.5) * math.log(head)
        for term in (
            76.18009172947146,
            -86.50532032941677,
            24.01409824083091,
            -1.231739572450155,
            0.1208650973866179e-2,
            -0.5395239384953e-5,
        ):
            y += 1.0
            series += term / y
        return np.float32(-head + math.log(2.5066282746310005 * series / float(x)))


@pytest.mark.parametrize("seed", [0, 77, 2**31 + 5])
def test_nanobraggs_own_noise(level: str, seed: int) -> None:
    """All three methods in turn, equal means after another, empty rows."""
    random = np.random.default_rng(seed)
    means = np.exp(random.uniform(np.log(1e-3), np.log(1e8), 3000)).astype(np.float32)
    means[1000:2000] = np.repeat(random.uniform(0.1, 3000.0, 50), 20)
    ours, theirs = CNoise(seed), PlainC(seed)
    found = [ours.image_rows(part[None])[0] for part in np.split(means, [0, 1, 700, 700, 2999])]
    expected = np.array([theirs.photons(mean) for mean in means], dtype=np.float32)
    assert same_bits(np.concatenate(found), expected)


def test_arrays_that_are_refused() -> None:
    """Rather than read as something else."""
    numbers = BLOCK._numbers()
    for wrong in (np.ones((4, 4), np.float32), np.ones((4, 4))[:, ::2], np.ones((4, 4)).T[1:]):
        with pytest.raises(TypeError, match="must be contiguous and of float64"):
            compiled.poisson(wrong, numbers)
    with pytest.raises(TypeError, match="must be contiguous and of float64"):
        compiled.convolve(np.ones((9, 9)), np.ones(3, np.float32))


def test_means_in_any_layout() -> None:
    """Steps may hand over views."""
    means = np.random.default_rng(4).uniform(0.0, 50.0, (60, 50)).T
    assert np.array_equal(BLOCK.poisson(means.copy()), BLOCK.poisson(means))


@pytest.mark.usefixtures("no_library")
def test_numpy_serves_where_nothing_is_compiled() -> None:
    """With the same bits."""
    means = np.random.default_rng(5).uniform(0.0, 50.0, (20, 30))
    expected = photons.poisson(means.copy(), BLOCK.corner, BLOCK.seed, BLOCK.frame, BLOCK.stream)
    assert np.array_equal(BLOCK.poisson(means), expected)
    u, _ = counter.pixel_uniforms((4, 5), BLOCK.corner, BLOCK.seed, BLOCK.frame, BLOCK.stream, 0)
    assert np.array_equal(BLOCK.normal((4, 5)), elementary.normal(u))
    assert BLOCK.convolve(np.ones((9, 9)), np.array([0.5, 0.25])).shape == (7, 7)


@pytest.mark.usefixtures("no_library")
def test_nanobraggs_own_noise_is_refused_where_nothing_is_compiled() -> None:
    """In one line."""
    with pytest.raises(BackendError, match=r"own noise needs compiled code: no compiled kernel"):
        CNoise(1)
    with pytest.raises(BackendError, match=r"own noise needs compiled code: no compiled kernel"):
        derive.Pipeline((derive.PoissonC(),)).apply(np.ones((3, 3), np.float32))

"""The GPU's derivatives, compiled for this machine's processor, against those of its own loops."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nbdask
from nbdask.errors import BackendError
from nbdask.experiment import Experiment, Lattice, Sampling, Scan, StructureFactors
from nbdask.gradients.card import CardSlopes, slope_program
from nbdask.gradients.compiled import CpuSlopes, Pull
from nbdask.gradients.pack import pack_basis
from nbdask.gradients.planes import tile_planes
from nbdask.gradients.work import card_slopes
from nbdask.kernels.cuda_device import unusable
from nbdask.kernels.cuda_host import HostLauncher
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_nvrtc import OPTIONS
from nbdask.kernels.cuda_pack import gpu_pack
from nbdask.native import library
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.gradients.support import KINDS, with_crystal
from tests.gradients.test_compiled import ALL, everything
from tests.helpers import evaluated, reflections, whole

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path"),
    pytest.mark.skipif(not library.available(), reason="there is no compiled library"),
]
HOST = "cuda-host"
DOMAINS = replace(
    with_crystal(mosaic_spread=0.02, mosaic_domains=3),
    structure=StructureFactors(reflections=reflections(4)),
    scan=Scan(phi0=0.1, osc=0.05, count=2),
)


@pytest.mark.parametrize("kind", ALL)
def test_planes_are_those_of_the_processor(kind: str) -> None:
    """Bit by bit, of all parameters at once."""
    model, basis, names = everything(ALL[kind])
    tile = whole(model)
    mask = evaluated(model, tile)
    found = tile_planes(card_slopes(HOST), model, basis, tile, mask)
    expected = tile_planes(CpuSlopes(), model, basis, tile, mask)
    assert np.array_equal(found, expected), names


@pytest.mark.parametrize("kind", ["sub-pixels, layers, colours", "mosaic and phi", "list"])
def test_bits_do_not_depend_on_tiles_masks_and_ranges(kind: str) -> None:
    """Of planes of pixels here and there; ranges of steps add up."""
    model, basis, _ = everything(KINDS[kind])
    kernel, tile = card_slopes(HOST), whole(model)
    full = kernel.planes(model, basis, tile, None)
    assert np.array_equal(kernel.planes(model, basis, Tile(1, 5, 2, 6), None), full[:, 1:5, 2:6])
    mask = np.arange(tile.pixels).reshape(tile.shape) % 3 == 0
    masked = kernel.planes(model, basis, tile, mask)
    assert np.array_equal(masked[:, mask], full[:, mask])
    assert not masked[:, ~mask].any()
    edges = sorted({0, 1, model.n_steps // 2 + 1, model.n_steps})
    sums = sum(kernel.sums(model, basis, tile, StepRange(a, b), None) for a, b in pairwise(edges))
    again = kernel.finish(model, basis, tile, sums, None)
    assert np.allclose(again, full, rtol=1e-12, atol=1e-13 * np.abs(full).max())


@pytest.mark.parametrize("kind", [k for k in ALL if k != "carried over"])
def test_the_adjoint_is_the_transpose(kind: str) -> None:
    """(c, J) is J^T c, also by amplitudes and sources as the processor has them."""
    experiment = ALL[kind]
    model, _, names = everything(experiment)
    c = np.random.default_rng(7).normal(size=experiment.shape)
    listed = model.f_grid.size > 0
    found, expected = (
        nbdask.adjoint(
            experiment, c, names, amplitudes=listed, sources=True, backend=backend, tile=5
        )
        for backend in (HOST, "cpu")
    )
    planes = nbdask.gradient(experiment, names, backend="cpu")["gradient"].values
    sizes = np.abs(c * planes).sum(axis=(1, 2))
    for name, plane, size in zip(names, planes, sizes, strict=True):
        assert abs(found.values[name] - (c * plane).sum()) <= 1e-12 * size, name
    for which in ("source_weights", "source_wavelengths"):
        one, other = getattr(found, which), getattr(expected, which)
        assert np.abs(one - other).max() <= 1e-11 * np.abs(other).max()
    if listed:
        assert found.amplitudes is not None
        assert expected.amplitudes is not None
        one, other = found.amplitudes.values, expected.amplitudes.values
        assert np.abs(one - other).max() <= 1e-12 * np.abs(other).max()


def test_sums_by_amplitudes_have_the_same_bits_in_any_order() -> None:
    """Pixels in another order, or one by one in reverse: whole numbers add up to the same."""
    model, basis, _ = everything(DOMAINS)
    kernel, tile = card_slopes(HOST), whole(model)
    pull = np.random.default_rng(2).normal(size=tile.shape)
    first = kernel.pulled(model, basis, tile, None, Pull(pull, amplitudes=True))
    assert np.array_equal(
        first.table, kernel.pulled(model, basis, tile, None, Pull(pull, amplitudes=True)).table
    )
    several = CardSlopes(CudaKernel("float64", HostLauncher()))
    assert np.array_equal(
        first.table, several.pulled(model, basis, tile, None, Pull(pull, amplitudes=True)).table
    )


@pytest.mark.long
def test_threads_of_a_block_sum_up_the_same() -> None:
    """With 8 threads of the system to a block, barriers have to be where they must be."""
    experiment = replace(DOMAINS, sampling=Sampling(oversample=1, dmin=2.2e-10))
    model, basis, _ = everything(experiment)
    tile, kernel = whole(model), card_slopes(HOST)
    several = CardSlopes(CudaKernel("float64", HostLauncher(threads=8)))
    planes = kernel.planes(model, basis, tile, None)
    assert np.array_equal(several.planes(model, basis, tile, None), planes)
    pull = np.random.default_rng(2).normal(size=tile.shape)
    one, other = (
        k.pulled(model, basis, tile, None, Pull(pull, amplitudes=True, sources=True))
        for k in (several, kernel)
    )
    assert np.array_equal(one.table, other.table)
    assert np.allclose(one.values, other.values, rtol=1e-10)
    assert np.allclose(one.sources, other.sources, rtol=1e-10)


@pytest.mark.parametrize("robust", [None, 2.0])
def test_normal_equations_are_those_of_the_processor(robust: float | None) -> None:
    """Loss, gradient and Hessian; pixels without data do not count."""
    names = "crystal.turn,crystal.cell,beam.fluence,detector.distance"
    image = nbdask.gradient(DOMAINS, "beam.fluence")["image"].values
    data = np.random.default_rng(4).poisson(image + 2.0).astype(np.float64)
    data[1, 2] = np.nan
    found, expected = (
        nbdask.normal_equations(
            DOMAINS, data, names, background=2.0, readout=1.5, robust=robust, backend=b, tile=4
        )
        for b in (HOST, "cpu")
    )
    assert found.pixels == expected.pixels == data.size - 1
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    assert found.chi2 == pytest.approx(expected.chi2, rel=1e-12)
    scale = np.sqrt(np.diag(expected.hessian))
    assert np.abs((found.gradient - expected.gradient) / scale).max() <= 1e-10 * expected.loss
    away = (found.hessian - expected.hessian) / np.outer(scale, scale)
    assert np.abs(away).max() <= 1e-12


def test_several_crystals_add_up() -> None:
    """Planes, and adjoints by a list that they share."""
    other = replace(DOMAINS.crystal, shape="gauss", misset=(0.3, 0.1, 0.0))
    experiment: Experiment = DOMAINS.replace(lattices=(Lattice(other, 0.5),), weight=0.8)
    names = "beam.fluence,crystal.turn,lattices.0.crystal.turn.x,detector.distance"
    ours, theirs = (nbdask.gradient(experiment, names, backend=b) for b in (HOST, "cpu"))
    assert np.array_equal(ours["gradient"], theirs["gradient"])
    c = np.random.default_rng(7).normal(size=experiment.shape)
    found, expected = (
        nbdask.adjoint(experiment, c, names, amplitudes=True, backend=b) for b in (HOST, "cpu")
    )
    top = float(np.abs(expected.amplitudes).max())
    assert np.allclose(found.amplitudes, expected.amplitudes, rtol=0.0, atol=1e-12 * top)
    size = np.abs(c * theirs["gradient"].values).sum(axis=(1, 2))
    for name, most in zip(found.values, size, strict=True):
        assert abs(found.values[name] - expected.values[name]) <= 1e-12 * most


def test_where_there_is_no_gpu_one_line_says_so() -> None:
    """Before anything is computed; a curved detector is left to NumPy."""
    if unusable() is None:
        pytest.skip("there is a GPU")
    for ask in (
        lambda: nbdask.gradient(KINDS["list"], "crystal.turn", backend="cuda"),
        lambda: nbdask.adjoint(KINDS["list"], np.ones((6, 7)), backend="cuda"),
        lambda: nbdask.normal_equations(
            KINDS["list"], np.ones((6, 7)), "crystal.turn", backend="cuda"
        ),
    ):
        with pytest.raises(BackendError, match=r"^--backend cuda: "):
            ask()
    with pytest.raises(BackendError, match="curved"):
        nbdask.gradient(KINDS["point pixels, curved"], "crystal.turn", backend="cuda")
    with pytest.raises(BackendError, match="one of auto, cpu, cuda, numpy"):
        nbdask.gradient(KINDS["list"], "crystal.turn", backend="opencl")


def test_what_no_sum_holds_is_refused() -> None:
    """A cotangent that is no number would be lost in whole numbers."""
    c = np.ones(DOMAINS.shape)
    c[2, 3] = np.nan
    with pytest.raises(BackendError, match="no sum by amplitudes can hold"):
        nbdask.adjoint(DOMAINS, c, amplitudes=True, backend=HOST)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["list", "gauss", "round", "interpolated", "many cells"])
def test_the_text_is_one_for_gpus(kind: str) -> None:
    """NVIDIA's compiler takes it; no GPU is needed."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc")
    model, basis, _ = everything(KINDS[kind])
    values = gpu_pack(model, "float64").values
    program = slope_program(values, pack_basis(model, basis).how)
    macros = [f"-D{name}={value}" for name, value in program.defines]
    try:
        made = nvrtc.createProgram(program.text, "slope_card.cu", (), ())
    except RuntimeError:
        pytest.skip("nvrtc is not there")
    nvrtc.compileProgram(made, ["--gpu-architecture=compute_80", *OPTIONS, *macros])
    for entry in program.entries:
        assert re.search(rf"\.entry {entry}\(", nvrtc.getPTX(made).decode())

"""The structure that the loops are called with: one layout in C++ and in NumPy; its values."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import BackendError, PlanError
from nbdask.geometry.model import GAUSS
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.cuda_pack import gpu_pack
from nbdask.kernels.pack import FRAMES, arguments, pack
from nbdask.kernels.params import AXES_ROW, CODES, PARAMS, SOURCE_ROW, struct_of
from nbdask.native import library
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.kernels.compiled import Formulas, needs_compiler
from tests.kernels.features import FEATURES, PRODUCTS, model_of

#: Codes by what they choose.
LATTICES = ("FEW_ODD", "FEW", "GRATING", "SPHERE", "GAUSS", "TOPHAT", "NODES")
GPU_LATTICES = ("CARD_GRATING", "CARD_GAUSS")


@needs_compiler
def test_every_field_is_where_the_compiler_puts_it(tmp_path):
    """Offsets, one by one, and the whole size."""
    formulas = Formulas(tmp_path)
    assert formulas.layout(-1) == PARAMS.itemsize
    for number, name in enumerate(PARAMS.names):
        assert formulas.layout(number) == PARAMS.fields[name][1], name


@pytest.mark.skipif(not library.available(), reason="there is no compiled library")
def test_the_library_has_the_same_size():
    """Every level that can be loaded here."""
    for level in library.levels():
        size = library.load(level).nb_params_size
        size.restype = ctypes.c_longlong
        assert size() == PARAMS.itemsize


def test_codes_are_those_of_the_text():
    """Enumerations count from 0, and rows have the lengths that are written there."""
    for names in (LATTICES + GPU_LATTICES, ("CONSTANT", "NEAREST", "TRICUBIC"),
                  ("ONCE", "EACH", "PRODUCTS")):  # fmt: skip
        assert [CODES[name] for name in names] == list(range(len(names)))
    assert (AXES_ROW, SOURCE_ROW) == (10, 12)
    assert PARAMS["few"].shape == (3, 5)
    assert PARAMS["minimum"].subdtype[0] == np.int32


def test_a_structure_needs_all_of_its_fields():
    """No field is left to chance, and no number is cut short."""
    with pytest.raises(ValueError, match="a value for each"):
        struct_of({"fast": 0.0})
    values = dict.fromkeys(PARAMS.names, 0)
    assert struct_of(values)["kahn"] == 0.0
    with pytest.raises(ValueError, match="a value for each"):
        struct_of(values | {"other": 0.0})
    with pytest.raises(OverflowError):
        struct_of(values | {"outer1": 2**31})


def test_a_model_is_packed_once():
    """Tables are shared by all tasks of a process."""
    model = model_of("list")
    assert pack(model) is pack(model)
    assert pack(model).table is pack(model).table


@pytest.mark.parametrize("name", FEATURES)
def test_tables_hold_the_model(name):
    """Cell vectors, sources, and squared amplitudes with a border of the default."""
    model = model_of(name)
    packed = pack(model)
    assert set(packed.values) == {*(PARAMS.names or ()), FRAMES}
    assert len(packed.values[FRAMES]) == 1
    assert np.array_equal(packed.axes[:, :9], model.axes.reshape(-1, 9))
    assert packed.axes.shape[1] == AXES_ROW
    assert np.array_equal(packed.sources[:, :3], model.incident)
    assert np.array_equal(packed.sources[:, 3], 1.0 / model.wavelength)
    assert np.array_equal(packed.sources[:, 4], model.weight)
    assert np.array_equal(packed.sources[:, 5:11], np.hstack([model.polar_e, model.polar_b]))
    if packed.values["amplitude"] == CODES["NEAREST"]:
        size = [n + 2 for n in model.f_grid.shape]
        table = packed.table[: np.prod(size)].reshape(size)
        assert np.array_equal(table[1:-1, 1:-1, 1:-1], model.f_grid**2)
        for face in (table[0], table[-1], table[:, 0], table[:, -1], table[..., 0], table[..., -1]):
            assert (face == model.default_F**2).all()
        assert list(packed.values["minimum"]) == list(model.f_min - 1)
    if model.diffuse is not None:
        rows = packed.table[packed.values["laue_at"] :]
        assert np.array_equal(rows, model.diffuse.forms.reshape(-1))


def test_features_use_every_version_of_the_loops():
    """None of them is left untried by the tests of the kernels."""
    every = {
        (lattice, amplitude, factors)
        for lattice in LATTICES
        for amplitude in ("CONSTANT", "NEAREST", "TRICUBIC")
        for factors in ("ONCE",)
    }
    used = set()
    for name, semantics in [*((n, "spec") for n in FEATURES), *((n, "c") for n in PRODUCTS)]:
        values = pack(model_of(name, semantics)).values
        used.add((values["lattice"], values["amplitude"], values["factors"]))
    assert {tuple(CODES[part] for part in version) for version in every} <= used
    assert {version[2] for version in used} == {0, 1, 2}
    degrees = {pack(model_of(name)).values["degree"] for name in FEATURES}
    assert degrees == {0, 2, 4}


def test_features_use_every_lattice_factor_of_a_gpu():
    """In float32 too."""
    used = {
        gpu_pack(model_of(name), precision).values["lattice"]
        for name in FEATURES
        for precision in ("float64", "mixed", "pairs")
    }
    assert used == {CODES[name] for name in LATTICES + GPU_LATTICES}


def test_running_products_have_no_polynomials():
    """Terms that are exactly 0 matter to them, and a polynomial has none."""
    assert pack(model_of("all factors")).values["lattice"] == CODES["FEW_ODD"]
    assert pack(model_of("all factors", "c")).values["lattice"] == CODES["GRATING"]


@pytest.mark.parametrize("name", ["gauss", "tophat"])
def test_spots_as_a_triangle(name):
    """|R d|^2 is the quadratic form of the reciprocal vectors, in units of the spot's own."""
    model = model_of(name)
    r = np.zeros((3, 3))
    r[np.triu_indices(3)] = pack(model).values["triangle"]
    away = np.array([0.1, -0.3, 0.2])
    radius = np.sum((away @ model.star) ** 2) * model.n_cells_total**2 * model.fudge
    unit = 0.63 * np.log(2) / 2 if model.shape == GAUSS else 0.3969
    assert np.sum((r @ away) ** 2) == pytest.approx(radius / unit, rel=1e-13)


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ((0, 24), (0, 2, 0, 3, 0, 4)),
        ((0, 1), (0, 1, 0, 1, 0, 1)),
        ((5, 6), (0, 1, 1, 2, 1, 2)),
        ((11, 13), (0, 2, 2, 1, 3, 1)),
        ((12, 24), (1, 2, 0, 3, 0, 4)),
        ((3, 20), (0, 2, 0, 2, 3, 4)),
    ],
)
def test_ranges_of_steps(steps, place):
    """Flat steps become sub-pixels, sources and orientations: 2 x 3 x 4 of them."""
    values = {**dict.fromkeys(PARAMS.names, 0), "sources": 3, "turns": 4, FRAMES: ({},)}
    told = arguments(values, Tile(2, 5, 7, 18), StepRange(*steps), None)
    names = ("outer0", "outer1", "source0", "source1", "turn0", "turn1")
    assert tuple(told[name] for name in names) == place
    assert (told["slow0"], told["fast0"], told["width"], told["count"]) == (2, 7, 11, 33)
    assert not told["listed"]
    listed = arguments(values, Tile(2, 5, 7, 18), StepRange(*steps), np.array([3, 4]))
    assert (listed["count"], listed["listed"]) == (2, 1)


def test_what_cannot_be_indexed_is_refused():
    """More than 2^31 amplitudes, or pixels of a tile, with the way out."""
    model = model_of("list")
    wide = np.broadcast_to(np.zeros((1, 1, 1)), (2000, 1000, 1100))
    large = replace(model, f_grid=wide, interpolate=False)
    with pytest.raises(PlanError, match=r"2000 x 1000 x 1100 indices.*leave out reflections"):
        pack(large)
    with pytest.raises(PlanError, match=r"65536 x 32768 pixels: .* give a smaller --tile"):
        CpuKernel().partial(model, Tile(0, 65536, 0, 32768), StepRange(0, 1), None)


def test_an_unknown_precision_is_refused():
    """The message names the flag and what is allowed."""
    with pytest.raises(BackendError, match=r"--precision = 'pairs': must be float64 or mixed"):
        CpuKernel("pairs")

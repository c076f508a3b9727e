"""Lines of ``TRACE_C:`` logs: spellings, digits, pixels, and what is passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import InputFileError
from nbdask.run import simulate
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.trace.clog import CLog, read_log
from nbdask.trace.stored import compare_stored
from nbdask.trace.walk import trace_pixel
from tests.helpers import small_experiment
from tests.pictured import set_pixels

QUICK = settings(max_examples=40, deadline=None)


def read(folder: Path, *lines: str, slow: int = 3, fast: int = 4) -> CLog:
    """Read a log of some lines."""
    path = folder / "c.log"
    path.write_text("\n".join(lines) + "\n")
    return read_log(str(path), slow, fast)


@pytest.mark.parametrize(
    ("line", "name", "numbers"),
    [
        ("TRACE_C: polar 0.9", "polar", (0.9,)),
        ("TRACE_C: polar = 0.9", "polar", (0.9,)),
        ("TRACE_C: polar: 0.9", "polar", (0.9,)),
        ("TRACE_C:polar 0.9", "polar", (0.9,)),
        ("nanoBragg: TRACE_C: hkl_frac 1 -2.5 3e-1", "hkl_frac", (1.0, -2.5, 0.3)),
        ("TRACE_C: hkl_frac (1, 2, 3)", "hkl_frac", (1.0, 2.0, 3.0)),
        ("TRACE_C: hkl_frac = [1;2;3]", "hkl_frac", (1.0, 2.0, 3.0)),
        ("TRACE_C: F_cell .5", "F_cell", (0.5,)),
        ("TRACE_C: F_cell 5.", "F_cell", (5.0,)),
        ("TRACE_C: F_cell +1.5E+02", "F_cell", (150.0,)),
        ("TRACE_C: fdet 0 0 1", "fdet", (0.0, 0.0, 1.0)),
        ("TRACE_C: lambda 1e-10", "lambda", (1e-10,)),
    ],
)
def test_ways_to_write_a_value(tmp_path: Path, line: str, name: str, numbers: tuple) -> None:
    """Whatever stands between name and numbers, and around them."""
    (value,) = read(tmp_path, "noise", line).values
    assert (value.name, value.numbers, value.line) == (name, numbers, 2)


@QUICK
@given(
    st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: abs(x) > 1e-6), st.integers(6, 15)
)
def test_half_a_unit_of_the_last_digit(value: float, digits: int) -> None:
    """What was printed with some digits is within half a unit of what was meant."""
    import tempfile

    text = f"{value:.{digits}g}"
    with tempfile.TemporaryDirectory() as folder:
        (found,) = read(Path(folder), f"TRACE_C: F_cell {text}").values
    assert found.numbers == (float(text),)
    assert abs(float(text) - value) <= found.halves[0] * (1 + 1e-9)
    # Never wider than six digits make it.
    assert found.halves[0] <= 5.1e-6 * abs(float(text)) * (1 + 1e-9)


@pytest.mark.parametrize("text", ["0", "0.0", "-0", "nan", "inf", "-inf"])
def test_numbers_without_digits_are_exact(tmp_path: Path, text: str) -> None:
    """Zero, infinity and NaN."""
    (value,) = read(tmp_path, f"TRACE_C: F_cell {text}").values
    assert value.halves == (0.0,)


def test_names_without_counterpart_are_listed_once(tmp_path: Path) -> None:
    """In order; so are names without numbers; the others are read."""
    log = read(
        tmp_path,
        "TRACE_C: misset 1 2 3",
        "TRACE_C: polar 1",
        "TRACE_C: misset 1 2 3",
        "TRACE_C: F_cell none",
        "other text",
    )
    assert log.kind == "TRACE_C"
    assert log.unknown == ("misset", "F_cell")
    assert [value.name for value in log.values] == ["polar"]


@pytest.mark.parametrize("line", ["pixel 3 4", "pixel 4 3", "pixel_idx = (3, 4)", "pixel: 3.0 4.0"])
def test_the_pixel_of_a_log(tmp_path: Path, line: str) -> None:
    """In either order; another one is refused with the line."""
    assert len(read(tmp_path, f"TRACE_C: {line}", "TRACE_C: polar 1").values) == 1
    with pytest.raises(InputFileError, match=r"line 1: is about the pixel \d, \d, not slow 3, fas"):
        read(tmp_path, f"TRACE_C: {line}", "TRACE_C: polar 1", fast=5)


def test_a_huge_log_is_refused_unread(tmp_path: Path) -> None:
    """With what to do; a sparse file takes no room."""
    path = tmp_path / "c.log"
    with open(path, "wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(InputFileError, match="larger than 256 MiB; cut out one pixel"):
        read_log(str(path), 0, 0)


def test_the_header_before_the_first_pixel(tmp_path: Path) -> None:
    """Directions, sizes, fluence, sensor and cell vectors in C's own words."""
    block = [
        "   4    3 : stol = 1e8 or 2e8",
        "at 1 2 3",
        "hkl= 0.1 0.2 0.3  hkl0= 0 0 0",
        " F_cell=1  F_latt=2   I = 3",
        "I/steps 4",
        "polar 5",
        "omega 6",
        "capfrac 7",
        "pixel 8",
    ]
    head = [
        "DIRECTION_OF_DETECTOR_X-AXIS= 0 0 1",
        "spindle ROTATION_AXIS= 0 1 0",
        "  distance=0.1 detsize=0.1x0.1  pixel=0.0001 meters",
        "  sensor is 0.00032 m thick",
        "incident fluence: 1.26e+29 photons/m^2",
        "real-space cell vectors (Angstrom):",
        "     a         b         c",
        "X: 1.0 2.0 3.0",
        "Y: 4.0 5.0 6.0",
        "Z: 7.0 8.0 9.0",
        "DIRECTION_OF_DETECTOR_Y-AXIS= broken",
    ]
    log = read(tmp_path, *head, *block)
    assert log.kind == "-printout"
    values = {value.name: value.numbers for value in log.values}
    assert values["DIRECTION_OF_DETECTOR_X-AXIS"] == (0.0, 0.0, 1.0)
    assert values["ROTATION_AXIS"] == (0.0, 1.0, 0.0)
    assert (values["distance"], values["pixel"]) == ((0.1,), (0.0001,))
    assert (values["sensor"], values["incident fluence"]) == ((0.00032,), (1.26e29,))
    assert (values["a"], values["b"], values["c"]) == ((1, 4, 7), (2, 5, 8), (3, 6, 9))
    assert "DIRECTION_OF_DETECTOR_Y-AXIS" not in values
    assert values["hkl0"] == (0.0, 0.0, 0.0)
    names = ("F_cell", "F_latt", "I", "I/steps", "polar", "omega", "capfrac", "pixel value")
    assert [values[name][0] for name in names] == [float(n) for n in range(1, 9)]
    cut = read(tmp_path, *head[:7], *block)
    assert "a" not in {value.name for value in cut.values}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in tiles of 16 pixels."""
    path = tmp_path_factory.mktemp("stored") / "run.zarr"
    simulate(small_experiment(), path, backend="numpy", tile=16, threads=1)
    return path


def test_the_pixel_that_a_store_holds(made: Path) -> None:
    """Bit for bit, or apart by rounding, or another one with what the kernel gives now."""
    experiment = small_experiment()
    found = trace_pixel(experiment, 5, 6)
    same, line = compare_stored(made, found, experiment)
    assert same
    assert line.endswith("the traced pixel bit for bit")
    assert line.startswith(f"{made} (numpy, float64) holds ")
    from nbdask.store.reader import StoreReader

    image = np.asarray(StoreReader(made).image[:])
    before = image.copy()
    for factor, alike, words in (
        (1 + 1e-7, True, "(rounding)"),
        (1.5, False, "the numpy kernel gives"),
    ):
        image[5, 6] = before[5, 6] * np.float32(factor)
        set_pixels(made, image)
        same, line = compare_stored(made, found, experiment)
        assert same is alike
        assert words in line
    assert line.endswith("the stored pixel differs, see nbdask verify")
    image[5, 6] = np.nan
    set_pixels(made, image)
    assert compare_stored(made, found, experiment)[1].endswith("this tile is not computed yet")
    set_pixels(made, before)


SOURCE = {"path": "a.zarr", "fingerprint": "0", "pixels_sha256": "0"}
DERIVED = {"version": 1, "pipeline": {}, "source": SOURCE}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"derived": DERIVED}, "with noise or detector effects added"),
        ({"noise": {"version": 1, "pipeline": {}}}, "with noise or detector effects added"),
        ({"semantics": "c"}, "computed under --semantics c"),
    ],
)
def test_stores_that_hold_something_else(made: Path, attributes: dict, words: str) -> None:
    """It is said, and is no fault."""
    experiment = small_experiment()
    found = trace_pixel(experiment, 5, 6)
    before = (made / "zarr.json").read_bytes()
    try:
        update_attributes(place_of(made), attributes)
        same, line = compare_stored(made, found, experiment)
    finally:
        (made / "zarr.json").write_bytes(before)
    assert same
    assert line.endswith(words)

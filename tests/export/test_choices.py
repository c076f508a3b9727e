"""What a user may choose of an exported file, and how its format is found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import InputError
from nbdask.export.formats import FORMATS, Exported, check_export, export, format_of
from nbdask.export.options import DTYPES, Options
from tests.export.stores import experiment_of, picture_of, store_of


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 150 x 230 pixels that all tests read."""
    image = picture_of((150, 230))
    folder = tmp_path_factory.mktemp("choices")
    return store_of(folder / "a.zarr", experiment_of(150, 230), image, tile=(128, 128))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.bin", "float"),
        ("a.float", "float"),
        ("a.img", "smv"),
        ("a.smv", "smv"),
        ("a.pgm", "pgm"),
        ("a.h5", "nxmx"),
        ("a.hdf5", "nxmx"),
        ("a.nxs", "nxmx"),
        ("a.cbf", "cbf"),
        ("a.tif", "tiff"),
        ("a.tiff", "tiff"),
        ("A.CBF", "cbf"),
        ("folder.h5/a.img", "smv"),
        ("two.h5.tif", "tiff"),
    ],
)
def test_endings_tell_the_format(name, wanted) -> None:
    """Capitals do not matter; only the last ending of the last part counts."""
    assert format_of(name).name == wanted
    assert format_of(Path(name)).name == wanted


def test_no_ending_belongs_to_two_formats() -> None:
    """Each is small letters with a dot, and leads to one format."""
    endings = [suffix for found in FORMATS.values() for suffix in found.suffixes]
    assert len(endings) == len(set(endings))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in endings)


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_wins_over_the_ending(name) -> None:
    """Whatever the file is called."""
    assert format_of("a.h5", name) is FORMATS[name]
    assert format_of("no-ending", name) is FORMATS[name]


@pytest.mark.parametrize(
    ("given_", "hint"),
    [
        ("nxmxx", "did you mean nxmx?"),
        ("TIFF", "did you mean tiff?"),
        ("cfb", "did you mean cbf?"),
        ("smv-nois", "did you mean smv-noise?"),
        ("jpeg2000", "one of float, smv, smv-noise, pgm, nxmx, cbf, tiff, cxi, geom, expt"),
    ],
)
def test_unknown_formats_are_refused_with_the_nearest(given_, hint) -> None:
    """Or with all of them, where none is near."""
    with pytest.raises(InputError) as caught:
        format_of("a.img", given_)
    assert str(caught.value) == f"--format {given_}: unknown format ({hint})"


@settings(max_examples=40, deadline=None)
@given(st.text("abcxyz019", min_size=1, max_size=6))
def test_endings_without_a_format_name_all_that_have_one(ending) -> None:
    """The message has the ending, every known one, and every format."""
    suffix = f".{ending}"
    if any(suffix in found.suffixes for found in FORMATS.values()):
        assert format_of(f"a{suffix}").name in FORMATS
        return
    with pytest.raises(InputError) as caught:
        format_of(f"a{suffix}")
    text = str(caught.value)
    assert f"unknown ending {suffix}; known are" in text
    for found in FORMATS.values():
        assert found.name in text
        assert all(known in text for known in found.suffixes)


@pytest.mark.parametrize("name", ["scale", "adc"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(name, value) -> None:
    """Neither a scale nor an offset can be anything else."""
    with pytest.raises(InputError, match=f"--{name} {value}: must be a finite number"):
        Options(**{name: value})


@pytest.mark.parametrize("dtype", ["int16", "float64", "uint16", "", "Float32"])
def test_kinds_of_pixels(dtype) -> None:
    """Two there are."""
    with pytest.raises(InputError, match=f"--dtype {dtype}: must be float32 or int32"):
        Options(dtype=dtype)
    assert [Options(dtype=known).dtype for known in DTYPES] == list(DTYPES)


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(-1e6, 1e6, allow_subnormal=False))
def test_what_is_given_is_taken(scale, adc) -> None:
    """Left out, a format without an automatic scale multiplies by 1 and adds nothing."""
    options = Options(scale, adc)
    assert (options.factor, options.offset) == (scale, adc)
    assert (Options().factor, Options().offset) == (1.0, 0.0)
    assert (Options(scale=scale).offset, Options(adc=adc).factor) == (0.0, 1.0)


#: Format, option -> whether it means something, as the documentation's table has it.
MEANS = {
    ("float", "scale"): True, ("float", "adc"): True, ("float", "dtype"): False,
    ("float", "seed"): False, ("smv", "scale"): True, ("smv", "adc"): True,
    ("smv", "dtype"): False, ("smv", "seed"): False, ("smv-noise", "scale"): False,
    ("smv-noise", "adc"): True, ("smv-noise", "dtype"): False, ("smv-noise", "seed"): True,
    ("pgm", "scale"): True, ("pgm", "adc"): False, ("pgm", "dtype"): False,
    ("pgm", "seed"): False, ("nxmx", "scale"): True, ("nxmx", "adc"): True,
    ("nxmx", "dtype"): True, ("nxmx", "seed"): False, ("cbf", "scale"): True,
    ("cbf", "adc"): True, ("cbf", "dtype"): True, ("cbf", "seed"): False,
    ("tiff", "scale"): True, ("tiff", "adc"): True, ("tiff", "dtype"): True,
    ("tiff", "seed"): False, ("cxi", "scale"): True, ("cxi", "adc"): True,
    ("cxi", "dtype"): True, ("cxi", "seed"): False,
}  # fmt: skip
VALUES = {"scale": 2.0, "adc": 5.0, "dtype": "int32", "seed": 3}


@pytest.mark.parametrize(("format_", "option"), MEANS)
def test_options_that_mean_nothing_are_refused(kept, tmp_path, format_, option) -> None:
    """Before anything is written, with the formats that take them; the others pass."""
    target = tmp_path / "a.file"
    choice = {option: VALUES[option]}
    if MEANS[format_, option]:
        check_export(kept, target, format_, **choice)
    else:
        with pytest.raises(InputError) as caught:
            check_export(kept, target, format_, **choice)
        said = str(caught.value)
        assert said.startswith(f"--{option} is not used by {format_}: leave it out, or export as ")
        takers = {name for (name, known), means in MEANS.items() if known == option and means}
        if option == "dtype":
            takers.discard("cbf")  # it has one kind only, which may be asked for
        assert set(said.rpartition("export as ")[2].split(" or ")) == takers
    assert not target.exists()


@pytest.mark.parametrize(
    ("roi", "message"),
    [
        ("0 1 0 1", "must be four whole numbers"),
        ([1, 2, 3], "must be four whole numbers"),
        ((1, 2, 3, 4, 5), "must be four whole numbers"),
        ((0.0, 1, 0, 1), "must be four whole numbers"),
        ({0, 1, 2, 3}, "must be four whole numbers"),
        ((-1, 3, 0, 3), "--roi -1 3 0 3: must be the first and last pixel"),
        ((3, 2, 0, 3), "--roi 3 2 0 3: must be the first and last pixel"),
        ((0, 3, 9, 8), "--roi 0 3 9 8: must be the first and last pixel"),
        ((150, 151, 0, 3), "with at least one pixel on the detector of 150 (slow) x 230 (fast)"),
        ((0, 149, 0, 230), "must be within 0 to 149 along slow and 0 to 229 along fast"),
    ],
)
def test_regions_that_are_refused(kept, tmp_path, roi, message) -> None:
    """One line; no file."""
    with pytest.raises(InputError) as caught:
        export(kept, tmp_path / "a.bin", roi=roi)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("scale", [0, 0.0, -3])
def test_scales_that_are_not_above_0(kept, tmp_path, scale) -> None:
    """C takes them for its automatic scale; here that is said by leaving it out."""
    with pytest.raises(InputError, match="must be above 0; leave it out for the format's own"):
        export(kept, tmp_path / "a.img", scale=scale)


@pytest.mark.parametrize("path", [None, 3, ["a.img"], b"a.img"])
def test_what_is_no_path(kept, path) -> None:
    """The value is shown."""
    with pytest.raises(InputError, match="is not a path: give that of the file to write"):
        export(kept, path)


def test_a_check_writes_nothing_and_an_export_says_what_it_wrote(kept, tmp_path) -> None:
    """Size, shape and format of the file that is there."""
    target = tmp_path / "a.bin"
    check_export(kept, target)
    assert not target.exists()
    done = export(kept, target, roi=(2, 5, 10, 19))
    assert done == Exported(target, "float", (4, 10), 160, ())
    assert target.stat().st_size == done.size
    assert done.describe() == f"{target}: float, 4 (slow) x 10 (fast) pixels, 160 B"


def test_remarks_follow_the_size(tmp_path) -> None:
    """In their order, after commas."""
    text = Exported(tmp_path / "x", "pgm", (1, 2), 3000, ("scale 2", "5 pixels lost")).describe()
    assert text.endswith("2.9 KiB, scale 2, 5 pixels lost")

"""The traced pixel is the kernel's, and what leads to it adds up."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.amplitudes.request import Request
from nbdask.errors import BackendError, InputError
from nbdask.experiment import (
    Background,
    Crystal,
    Diffuse,
    Material,
    Mosaic,
    Sampling,
    Scan,
    Sources,
    StructureFactors,
)
from nbdask.experiment.sources import Spread
from nbdask.flags import Own, parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.trace import walk
from nbdask.trace.entries import LoopIndex, TraceError
from nbdask.trace.quantities import QUANTITIES, TAPS
from nbdask.trace.text import describe
from nbdask.trace.walk import trace_pixel
from tests.amplitudes.support import pdb
from tests.helpers import image_of, reflections, small_experiment, tile_image
from tests.trace.support import CASES, experiment, pixel

#: Shown of what no experiment of the traces has.
RARE = ("amplitude_table", "domain_weight", "pitch_slow", "pixel_area")
SPECS = Path(__file__).parents[2] / "specs"


@pytest.mark.parametrize("semantics", ["spec", "c"])
@pytest.mark.parametrize("name", CASES)
def test_traced_pixel_is_the_kernels_bit_for_bit(name: str, semantics: str) -> None:
    """Traced alone, it has the bits that it has in the whole image."""
    image = tile_image(build_model(experiment(name, semantics)), ReferenceKernel())
    for slow, fast in (pixel(name), (0, 0), (image.shape[0] - 1, 2)):
        trace = trace_pixel(experiment(name, semantics), slow, fast, most=1)
        assert np.float32(trace.pixel).tobytes() == image[slow, fast].tobytes()


def test_a_pixel_that_is_not_the_kernels_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is made in every trace, to the last bit."""
    right = walk.kernel_pixel

    def other(*args: object) -> np.float32:
        value: np.float32 = np.nextafter(right(*args), np.float32(np.inf))  # type: ignore[arg-type]
        return value

    monkeypatch.setattr(walk, "kernel_pixel", other)
    with pytest.raises(TraceError, match=r"the traced pixel is .* the reference kernel's"):
        trace_pixel(experiment("square"), *pixel("square"))


@pytest.mark.parametrize("name", ["sources", "phi_mosaic", "layers_water"])
def test_terms_add_up_to_the_running_sums_and_the_pixel(name: str) -> None:
    """Term by term, sub-pixel by sub-pixel, and through the final factors."""
    trace = trace_pixel(experiment(name), *pixel(name))
    model = trace.model
    running = float(trace.value("background")[0])
    for entry in trace.entries:
        if entry.name == "term":
            running += float(entry.value[0])
        elif entry.name == "sum":
            assert entry.value[0] == pytest.approx(running, rel=1e-13)
    last = [e for e in trace.entries if e.name == "sum_sub_pixel"][-1]
    assert last.value == trace.value("I")
    assert last.loop_index == LoopIndex(model.layers - 1, model.oversample**2 - 1)
    factors = ("pixel_capture", "pixel_polarization", "pixel_solid_angle")
    whole = float(trace.value("I/steps")[0])
    for factor in factors:
        whole *= float(trace.value(factor)[0])
    whole *= float(trace.value("fluence")[0]) * float(trace.value("r_e^2")[0])
    assert trace.pixel == pytest.approx(whole, rel=1e-6)


def test_values_follow_from_each_other() -> None:
    """F_latt from its parts, indices from vectors, the amplitude from its 64 neighbours."""
    trace = trace_pixel(experiment("tricubic"), *pixel("tricubic"))
    q = np.array(trace.value("q"), dtype=float)
    hkl = np.array(trace.value("hkl"), dtype=float)
    axes = [np.array(trace.value(f"rotated_{n}"), dtype=float) for n in "abc"]
    assert np.allclose([a @ q for a in axes], hkl, rtol=1e-13)
    stars = [np.array(trace.value(f"rotated_{n}*"), dtype=float) for n in "abc"]
    assert np.allclose(sum(x * s for x, s in zip(hkl, stars, strict=True)), q, rtol=1e-9)
    product = np.prod([float(x) for x in trace.value("F_latt_abc")])
    assert trace.value("F_latt")[0] == pytest.approx(product, rel=1e-15)
    assert trace.value("F_cell_from") == ("interpolation",)
    block = np.array(trace.value("neighbours"), dtype=float).reshape(4, 4, 4)
    first = np.array(trace.value("neighbours_at"), dtype=float)
    weights = []
    for x, base in zip(hkl, first, strict=True):
        nodes = base + np.arange(4)
        weights.append(
            [
                np.prod([(x - m) / (n - m) for m in nodes if m != n])  # Lagrange
                for n in nodes
            ]
        )
    value = np.einsum("i,j,k,ijk", *weights, block)
    assert trace.value("F_cell")[0] == pytest.approx(value, rel=1e-12)


def test_where_an_amplitude_is_from() -> None:
    """From the list, from outside of it, without one, with neighbours outside."""
    sampling = Sampling(oversample=1)
    crystal = Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), n_cells=(5, 5, 5))
    inner = StructureFactors(reflections=reflections(9), default_F=3.0)
    tiny = StructureFactors(reflections=reflections(1)[:2], default_F=3.0)
    made = small_experiment(structure=inner, sampling=sampling, crystal=crystal)
    assert trace_pixel(made, 16, 12).value("F_cell_from") == ("list",)
    made = small_experiment(structure=tiny, sampling=sampling, crystal=crystal)
    outside = trace_pixel(made, 0, 0)
    assert outside.value("F_cell_from") == ("default_F, outside the list",)
    assert outside.value("F_cell") == (3.0,)
    assert trace_pixel(small_experiment(), 1, 1).value("F_cell_from") == ("default_F, no list",)
    made = small_experiment(structure=tiny, sampling=Sampling(oversample=1, interpolate=True))
    trace = trace_pixel(made, 0, 0)
    assert trace.value("F_cell_from") == ("default_F, neighbours outside the list",)
    assert any("1 evaluations need structure factors outside" in note for note in trace.notes)


def test_every_quantity_has_a_tap_and_formulas_that_exist() -> None:
    """Names in the trace are in the table; its numbers are requirements of the specification."""
    pages = "".join(p.read_text() for p in SPECS.glob("*.md") if p.name != "requirements.md")
    known = set(re.findall(r"^\*\*(S-[A-Z]+-\d\d)\*\*", pages, re.MULTILINE))
    for quantity in QUANTITIES.values():
        numbers = re.findall(r"S-[A-Z]+-\d\d", quantity.formula)
        assert numbers
        assert set(numbers) <= known
        assert quantity.tap in TAPS
    seen: set[str] = set()
    for name in CASES:
        seen |= {e.name for e in trace_pixel(experiment(name), *pixel(name)).entries}
    moving = Diffuse((5e-9, 5e-9, 5e-9), (5e-11, 5e-11, 5e-11), stencil=0)
    soft = Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), diffuse=moving)
    seen |= {e.name for e in trace_pixel(small_experiment(crystal=soft), 3, 4).entries}
    wet = Background(materials=(Material(1e-4, table="water"),), beamstop=(1e-3, 0.0, 0.0))
    seen |= {e.name for e in trace_pixel(small_experiment(background=wet), 3, 4).entries}
    assert seen == set(QUANTITIES) - {"F_latt^2", "F_cell^2", *RARE}


def test_a_trace_shows_the_weights_of_domains() -> None:
    """Where they are not all 1."""
    domains = ((1.0, 0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0, 3.0))
    crystal = replace(small_experiment().crystal, mosaic=Mosaic(domains=domains))
    entries = trace_pixel(small_experiment(crystal=crystal), 3, 5).entries
    assert [e.value[0] for e in entries if e.name == "domain_weight"] == [0.5, 1.5]


def test_a_trace_names_the_table_of_each_source(tmp_path: Path) -> None:
    """Where a spectrum has several, over an absorption edge; one table is not worth a line."""
    (tmp_path / "se.pdb").write_text(pdb())
    for spectrum, numbers in (("tophat:60eV:2", [0, 1]), ("tophat:60eV:1", [])):
        parsed = parse_args(
            ["-N", "3", "-detpixels", "16", "-energy", "12658", "-oversample", "1"],
            amplitudes=Request(model=str(tmp_path / "se.pdb"), dmin=4.0),
            own=Own(spectrum=spectrum),
        )
        entries = trace_pixel(parsed.experiment, 3, 5).entries
        assert [e.value[0] for e in entries if e.name == "amplitude_table"] == numbers


def test_taps_choose_quantities() -> None:
    """One group alone."""
    trace = trace_pixel(experiment("square"), 1, 1, taps=["capture"])
    assert {e.name for e in trace.entries} == {"sensor", "capture", "pixel_capture"}
    with pytest.raises(InputError, match="--taps colour: must be some of geometry, "):
        trace_pixel(experiment("square"), 1, 1, taps=["colour"])


MANY = small_experiment(
    crystal=Crystal(
        cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
        n_cells=(3, 3, 3),
        mosaic_spread=0.01,
        mosaic_domains=10,
    ),
    scan=Scan(osc=0.02, count=3),
    sources=Sources(dispersion=Spread(range=0.02, count=3)),
    sampling=Sampling(oversample=2),
)


def test_selection_and_limit() -> None:
    """Ranges choose; what is left out is said; sums are of all evaluations."""
    chosen = {"sub-pixel": "2", "source": "1:", "phi": "0:2", "domain": ":3"}
    trace = trace_pixel(MANY, 3, 4, chosen=chosen)
    loop_indices = {e.loop_index for e in trace.entries if e.name == "hkl" and e.shown}
    assert loop_indices == {
        LoopIndex(0, 2, source, phi, domain)
        for source in (1, 2)
        for phi in (0, 1)
        for domain in (0, 1, 2)
    }
    assert trace.selected == trace.recorded == 12
    few = trace_pixel(MANY, 3, 4, chosen=chosen, most=5)
    assert (few.selected, few.recorded) == (12, 5)
    assert few.pixel == trace.pixel
    assert sum(e.name == "sum_sub_pixel" for e in few.entries) == 1
    text = describe(few, 5)
    assert "7 of 12 evaluations are not shown: --limit N shows more" in text
    assert "360 evaluations: 1 layer, 4 sub-pixels, 3 sources, 3 phi steps, 10 domains" in text
    assert len(text.splitlines()) < 200
    for name, value in (("phi", "3"), ("phi", "2:2"), ("domain", "x"), ("layer", "-1")):
        with pytest.raises(InputError, match=f"--{name} {value}: must be a number or a range"):
            trace_pixel(MANY, 3, 4, chosen={name: value})


def test_a_long_pixel_stays_short() -> None:
    """Of 360 evaluations the default tells four, with the last kept for comparisons only."""
    trace = trace_pixel(MANY, 3, 4, most=4)
    assert sum(e.name == "term" for e in trace.entries) == 5
    assert sum(e.name == "term" for e in trace.entries if e.shown) == 4
    assert trace.last == LoopIndex(0, 3, 2, 2, 9)
    assert len(trace.to_dict()["values"]) < 200


def test_sums_after_many_sub_pixels() -> None:
    """16 of them whatever the limit of evaluations, and a line on the others."""
    made = small_experiment(sampling=Sampling(oversample=5))
    said: list[str] = []
    trace = trace_pixel(made, 3, 4, most=1, report=said.append)
    assert said == []
    text = describe(trace, 1)
    assert text.count("  sum_sub_pixel ") == 16
    assert text.endswith("9 of 25 sums after sub-pixels are not shown")
    assert describe(trace_pixel(made, 3, 4), 25).count("  sum_sub_pixel ") == 25


def test_a_long_wait_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many evaluations there are, and about how long they take."""
    monkeypatch.setattr(walk, "LONG", 100)
    said: list[str] = []
    trace_pixel(MANY, 3, 4, most=1, report=said.append)
    assert said == ["360 evaluations, one by one: about 0 s"]


def test_pixels_that_are_not_evaluated() -> None:
    """Outside the region of interest the pixel is 0 and a note says why."""
    made = small_experiment(sampling=Sampling(oversample=1, roi=(2, 5, 3, 9)))
    trace = trace_pixel(made, 0, 0)
    assert trace.pixel == 0.0
    assert any("outside the region of interest" in note for note in trace.notes)
    assert trace_pixel(made, 2, 3).pixel == image_of(made)[2, 3] > 0.0
    with pytest.raises(InputError, match=r"pixel slow 32, fast 0: must lie on the detector of 32"):
        trace_pixel(made, 32, 0)


@pytest.mark.parametrize("name", ["square", "layers_water"])
def test_cpu_side_by_side(name: str) -> None:
    """Its own values stand beside the reference's and agree; its pixel is its kernel's."""
    trace = trace_pixel(experiment(name), *pixel(name), kernels=["reference", "cpu"])
    beside = {e.name for e in trace.entries if e.others}
    assert beside == {
        "d",
        "R",
        "solid_angle",
        "capture",
        "q",
        "polarization",
        "hkl",
        "F_latt^2",
        "F_cell^2",
        "term",
        "sum_sub_pixel",
        "I",
        "pixel",
    }
    for entry in trace.entries:
        if entry.others:
            theirs = np.array(entry.others["cpu"], dtype=float)
            ours = np.array(entry.value, dtype=float)
            assert np.abs(theirs - ours).max() <= 1e-11 * max(np.abs(ours).max(), 1.0)
    slow, fast = pixel(name)
    image = tile_image(build_model(experiment(name)), get_kernel("cpu"))
    assert np.float32(next(iter(trace.entries[-1].others.values()))[0]) == image[slow, fast]
    assert " apart)" in describe(trace)


def test_a_wrong_compiled_formula_shows_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns are not copies of each other."""
    from nbdask.physics import factors
    from tests.trace.support import plant

    plant(monkeypatch, factors.solid_angle, lambda right, *_: right * 1.01)
    trace = trace_pixel(experiment("square"), *pixel("square"), kernels=["cpu"])
    off = {
        e.name
        for e in trace.entries
        if e.others and abs(float(e.others["cpu"][0]) / float(e.value[0]) - 1.0) > 1e-3
    }
    assert off == {"solid_angle", "pixel"}


def test_kernels_that_there_are_not() -> None:
    """An unknown name, and one that cannot run here."""
    with pytest.raises(InputError, match="--kernels fortran: must be some of reference, cpu"):
        trace_pixel(experiment("square"), 1, 1, kernels=["fortran"])


def test_a_kernel_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the registry says of it, with the option that asked."""

    def absent(name: str) -> None:
        raise BackendError(f"--backend {name} needs a device")

    monkeypatch.setattr(walk, "get_kernel", absent)
    with pytest.raises(BackendError, match=r"--kernels cuda: --backend cuda needs a device"):
        trace_pixel(experiment("square"), 1, 1, kernels=["cuda"])


def test_other_kernels_need_no_formulas_of_their_own() -> None:
    """A kernel without a probe still shows its terms, sums and pixel."""
    kernel = get_kernel("numpy")
    trace = trace_pixel(experiment("sources"), *pixel("sources"))
    pixel_tile = walk.Tile(5, 6, 9, 10)
    walk._fill("cuda", kernel, trace.model, pixel_tile, trace.entries)
    beside = {e.name for e in trace.entries if e.others}
    assert beside == {"term", "sum_sub_pixel", "I", "pixel"}
    for entry in trace.entries:
        if entry.others:
            assert entry.others["cuda"][0] == pytest.approx(entry.value[0], rel=1e-14)

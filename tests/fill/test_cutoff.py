"""A run with a cutoff: what is on record, what is computed again, what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import BackendError, FieldError, StoreError
from nbdask.experiment import Beam, Crystal, Sampling, StructureFactors
from nbdask.fill.cutoff import CUTOFF, CutoffError
from nbdask.flags import Own, from_args, from_toml, parse_args, to_toml
from nbdask.kernels.cpu import CpuKernel
from nbdask.parity.against_c import Request, parity
from nbdask.parity.binary import Binary
from nbdask.parity.errors import ParityUsageError
from nbdask.shards import simulate_shard
from nbdask.store.reader import StoreReader
from nbdask.trace.stored import compare_stored
from nbdask.trace.walk import trace_pixel
from tests.helpers import lose_records, reflections, small_experiment

PLAIN = small_experiment(
    crystal=Crystal(
        cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
        n_cells=(36, 47, 29),
        mosaic_spread=0.01,
        mosaic_domains=20,
    ),
    structure=StructureFactors(reflections=reflections(9), default_F=3.0),
    beam=Beam(fluence=1e24),
)
CUT = PLAIN.replace(sampling=Sampling(oversample=1, cutoff=0.3))
FLAGS = "-cell 70 80 90 75 85 95 -N 30 -default_F 50 -mosaic 0.5 -mosaic_dom 20 -oversample 1"
FLAGS += " -lambda 1 -distance 100 -detpixels 40 -pixel 0.2 -fluence 1e27"


def pixels(store):
    """Return a store's pixels."""
    return StoreReader(store).image[...]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with a cutoff."""
    path = tmp_path_factory.mktemp("cutoff") / "cut.zarr"
    nbdask.simulate(CUT, path, tile=10, progress=None)
    return path


def test_a_run_is_checked(store):
    """Up to 256 pixels, of which none lacks more than it may, and some something."""
    found = StoreReader(store).attributes[CUTOFF]
    assert found["cutoff"] == 0.3
    assert found["pixels"] == 256
    assert 0.0 < found["most_lacking"] <= 0.3
    assert found["allowed_there"] == found["least_allowed"] == found["most_allowed"] == 0.3


def test_pixels_lack_photons_of_a_run_without(store, tmp_path):
    """In the whole image no more than is allowed; without a cutoff nothing is recorded."""
    full = tmp_path / "full.zarr"
    nbdask.simulate(PLAIN, full, progress=None)
    lacking = pixels(full).astype(float) - pixels(store)
    assert 0.0 < lacking.max() <= 0.3 + 2e-7 * pixels(full).max()
    assert CUTOFF not in StoreReader(full).attributes


@pytest.mark.long
def test_a_cutoff_is_part_of_the_experiment(store):
    """Its fingerprint, what is resumed, recomputed, repaired and computed in pieces."""
    assert CUT.fingerprint() != PLAIN.fingerprint()
    before = pixels(store)
    assert nbdask.verify(store, recompute=20).ok
    lose_records(store, 3)
    with pytest.raises(StoreError, match=r"sampling\.cutoff: 0\.3 -> default"):
        nbdask.simulate(PLAIN, store, tile=10, resume=True, progress=None)
    nbdask.simulate(CUT, store, tile=10, resume=True, progress=None)
    assert np.array_equal(pixels(store), before)
    assert np.array_equal(nbdask.image(PLAIN, tile=11, cutoff=0.3), before)
    assert not np.array_equal(nbdask.image(PLAIN), before)


@pytest.mark.long
def test_shards_and_the_end_of_a_store(tmp_path, store):
    """The last shard checks; the pixels are those of one run."""
    path = tmp_path / "shards.zarr"
    for shard in ("1/2", "2/2"):
        simulate_shard(CUT, path, shard)
    assert StoreReader(path).attributes[CUTOFF]["pixels"] == 256
    assert np.array_equal(pixels(path), pixels(store))


@pytest.mark.long
def test_series(tmp_path):
    """Pixels of some shots are checked; shots are those of single images."""
    shots = nbdask.Series(CUT, n_shots=3)
    path = tmp_path / "shots.zarr"
    nbdask.simulate(shots, path, progress=None)
    assert StoreReader(path).attributes[CUTOFF]["pixels"] > 200
    assert np.array_equal(pixels(path)[1], np.asarray(nbdask.image(CUT)))


def test_a_pixel_that_lacks_too_much_ends_the_run(tmp_path, monkeypatch, capsys):
    """With exit code 1, a line that names it, and a store that is not complete."""
    right = CpuKernel._sum_cut

    def wrong(self, model, *rest):
        total, done = right(self, model, *rest)
        return 0.5 * total, done

    monkeypatch.setattr(CpuKernel, "_sum_cut", wrong)
    path = tmp_path / "cut.zarr"
    with pytest.raises(CutoffError, match=r"lacks .* photons, and --cutoff 0\.3 allows 0\.3"):
        nbdask.simulate(CUT, path, progress=None)
    assert StoreReader(path).attributes["status"] == "running"
    argv = ["simulate", *FLAGS.split(), "--cutoff", "1", "--out", str(tmp_path / "b.zarr")]
    assert main(argv) == 1
    assert "photons, and --cutoff 1.0 allows 1:" in capsys.readouterr().err


@pytest.mark.long
def test_rounding_of_mixed_precision_is_not_lacking(tmp_path):
    """Its loops of all terms differ by up to 1e-5 from those of the terms that are kept."""
    flags = "-cell 70 80 90 90 90 90 -default_F 100 -N 300 -lambda 1 -distance 100 -detpixels 128"
    flags += " -pixel 0.2 -oversample 1 -mosaic 0.5 -mosaic_domains 50 -fluence 1e28"
    flags += " -misset 10 20 30 -roi 0 15 16 31"
    made = parse_args(flags.split(), own=Own(cutoff="2")).experiment
    path = tmp_path / "cut.zarr"
    nbdask.simulate(made, path, precision="mixed", progress=None)
    attributes = StoreReader(path).attributes  # pixel (21, 5), 4.5 photons of 7e6 away, is checked
    assert attributes["status"] == "complete"
    assert attributes[CUTOFF]["most_lacking"] <= 2.0


def test_info_shows_the_cutoff(store, capsys):
    """What pixels may lack, and what was found."""
    assert main(["info", str(store)]) == 0
    told = capsys.readouterr().out
    assert "cutoff       0.3 photons: of 256 pixels checked none lacks more than allowed" in told


def test_other_kernels_refuse_a_cutoff(tmp_path):
    """Before anything is written."""
    path = tmp_path / "cut.zarr"
    with pytest.raises(BackendError, match=r"--backend cpu only, not with numpy"):
        nbdask.simulate(CUT, path, backend="numpy", progress=None)
    with pytest.raises(BackendError, match="cuda"):
        nbdask.simulate(CUT, path, backend="cuda-host", progress=None)
    assert not path.exists()


def test_parity_refuses_a_cutoff(store):
    """C adds all terms."""
    with pytest.raises(ParityUsageError, match=r"--cutoff 0\.3: .* without --cutoff"):
        parity(store, Request(Binary("/bin/true", "0")))


@pytest.mark.parametrize("given", [0.0, -1.0, "much", float("nan"), True])
def test_what_is_no_cutoff(given):
    """Photons above 0, or auto."""
    with pytest.raises(FieldError, match=r"sampling\.cutoff"):
        Sampling(cutoff=given)


def test_flags_and_toml_say_it(tmp_path, capsys):
    """A number or a text, in a file too; dry runs show what is kept."""
    path = tmp_path / "run.toml"
    for text, value in (("0.25", 0.25), ('"0.25"', 0.25), ('"auto"', "auto")):
        path.write_text(f'[nanobragg]\nflags = "{FLAGS}"\ncutoff = {text}\n')
        assert from_toml(path).sampling.cutoff == value
    made = from_args(FLAGS.split())
    made = made.replace(sampling=dataclasses.replace(made.sampling, cutoff=0.25))
    path.write_text(to_toml(made))
    assert from_toml(path) == made
    main(["simulate", *FLAGS.split(), "--cutoff", "100", "--dry-run"])
    assert "% is done" in capsys.readouterr().out
    for wrong in ("x", "0", "-1", "nan"):
        assert main(["simulate", *FLAGS.split(), "--cutoff", wrong, "--dry-run"]) == 2
        assert (
            f'--cutoff {wrong}: must be a number of photons above 0, or "auto"'
            in capsys.readouterr().err
        )


def test_auto_is_on_record(tmp_path, capsys):
    """As it was asked for, with what it allows where there is no background."""
    path = tmp_path / "cut.zarr"
    nbdask.simulate(nbdask.from_args(FLAGS.split()), path, cutoff="auto", progress=None)
    found = StoreReader(path).attributes[CUTOFF]
    assert (found["cutoff"], found["allowed_there"]) == ("auto", 1e-4)
    assert main(["info", str(path)]) == 0
    assert (
        "cutoff       auto: of 256 pixels checked none lacks more than" in capsys.readouterr().out
    )


def test_a_traced_pixel_is_the_stored_one_but_for_the_cutoff(store, capsys):
    """A trace has all terms."""
    full, cut = (np.asarray(nbdask.image(one), dtype=float) for one in (PLAIN, CUT))
    slow, fast = np.unravel_index(np.argmax((full - cut) / full), full.shape)
    assert main(["trace", str(slow), str(fast), str(store)]) == 0
    assert "(--cutoff 0.3)" in capsys.readouterr().err


def test_a_trace_knows_the_cutoff_of_its_own_pixel(tmp_path, monkeypatch):
    """With its precision's rounding, in a store that was never checked."""

    def cut_off(place, attributes):
        raise KeyboardInterrupt

    monkeypatch.setattr("nbdask.fill.close.checked_cutoff", cut_off)
    path = tmp_path / "cut.zarr"
    with pytest.raises(KeyboardInterrupt):
        nbdask.simulate(CUT, path, precision="mixed", progress=None)
    assert CUTOFF not in StoreReader(path).attributes
    held = pixels(path)
    slow, fast = np.unravel_index(np.argmax(held), held.shape)
    trace, most = trace_pixel(CUT, int(slow), int(fast)), float(held.max())
    assert 2e-5 * most < 0.3
    for lacks, same in ((0.2, True), (0.3 + 0.9e-5 * most, True), (0.3 + 2e-5 * most, False)):
        one = dataclasses.replace(trace, pixel=most + lacks)
        assert compare_stored(path, one, CUT)[0] == same
    assert not compare_stored(path, dataclasses.replace(trace, pixel=most - 0.2), CUT)[0]

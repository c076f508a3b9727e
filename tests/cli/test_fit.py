"""``nbdask fit``: data, flags, results, refusals."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main

FLAGS = shlex.split(
    "-cell 41 47 53 90 90 90 -N 9 -misset 20 10 5 -default_F 100 -detpixels 24 -pixel 0.8"
    " -distance 50 -lambda 1.2 -fluence 1e27 -oversample 1"
)
WRONG = ["20.05" if word == "20" else word for word in FLAGS]
REFINE = ["--refine", "crystal.misset.x,beam.fluence", "--background-photons", "1"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.npy"
    np.save(path, nbdask.image(nbdask.from_args(FLAGS)).values + 1.0)
    return path


def test_values_are_printed_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A table, a TOML file of the experiment, a JSON file of all numbers."""
    out, numbers = tmp_path / "found.toml", tmp_path / "found.json"
    files = ["--out", str(out), "--json", str(numbers)]
    assert main(["fit", str(data), *WRONG, *REFINE, *files]) == 0
    said = capsys.readouterr()
    assert "crystal.misset.x" in said.out
    assert "step 1" in said.err
    found = nbdask.from_toml(out)
    assert found.crystal.misset[0] == pytest.approx(np.radians(20.0), abs=1e-6)
    held = json.loads(numbers.read_text())
    assert held["converged"]
    assert main(["fit", str(data), *WRONG, *REFINE, *files]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["fit", str(data), *WRONG, *REFINE, "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["parameters"] == held["parameters"]
    assert "crystal.misset.x" in said.err


def test_a_store_brings_its_experiment(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """So that nothing else need be said."""
    store = tmp_path / "a.zarr"
    nbdask.simulate(nbdask.from_args(FLAGS), store)
    assert (
        main(
            ["fit", str(store), "--refine", "crystal.turn", "--background-photons", "1", "--quiet"]
        )
        == 0
    )
    assert capsys.readouterr().out.startswith("parameter")


def test_several_images_are_fitted_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared and own parameters; files of each, a report, bounds, blur."""
    monkeypatch.chdir(tmp_path)
    for name, misset in (("a", "20"), ("b", "40")):
        flags = [misset if word == "20" else word for word in FLAGS]
        nbdask.simulate(nbdask.from_args(flags), f"{name}.zarr", progress=False)
    names = ["--refine", "beam.fluence", "--shared", "detector.distance"]
    more = ["--blur", "1", "--bounds", "beam.fluence=1e20:1e30", "--background-photons", "0.1"]
    files = ["--out", "found.toml", "--report", "fit.html", "--json", "fit.json"]
    assert main(["fit", "a.zarr", "b.zarr", *names, *more, *files, "--iterations", "1"]) in (0, 1)
    said = capsys.readouterr().out
    assert said.count("detector.distance") == 1
    assert "2 shots" in said
    assert nbdask.from_toml("found-1.toml").crystal.misset[0] == pytest.approx(np.radians(40.0))
    assert len(json.loads(Path("fit.json").read_text())["shots"]) == 2
    assert Path("fit.html").stat().st_size > 1000


def test_a_fit_that_is_stopped_tells_how_to_go_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two steps: exit code 130; then the same values as without."""
    state = ["--state", str(tmp_path / "fit.json")]
    command = ["fit", str(data), *WRONG, *REFINE]
    assert main(command) == 0
    whole = capsys.readouterr().out

    told: list[str] = []

    def stop(text: str) -> None:
        told.append(text)
        if text.startswith("step"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nbdask.cli.fit.say", stop)
        assert main([*command, *state]) == 130
        assert "keeps the steps" in told[-1]
        assert main(command) == 130
        assert "would have kept" in told[-1]
    held = json.loads((tmp_path / "fit.json").read_text())
    assert len(held["standing"]["losses"]) == 2
    assert main([*command, *state, "--resume"]) == 0
    assert capsys.readouterr().out == whole
    assert main([*command, *state]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_empty_file_is_no_interrupt(tmp_path: Path, capsys) -> None:
    """numpy says of it that its end was reached, which a terminal says too."""
    (tmp_path / "a.npy").touch()
    assert main(["fit", str(tmp_path / "a.npy"), *FLAGS, "--refine", "scan.phi0"]) == 2
    assert "a.npy: not a readable .npy file" in capsys.readouterr().err


@pytest.mark.filterwarnings("error")
def test_data_larger_than_any_file_is_refused_in_one_line(tmp_path: Path, capsys) -> None:
    """Its size in bytes is beyond numpy's integers, which numpy warns of."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000, 9000000000), }".ljust(
        117
    )
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + b"\n" + bytes(64)
    )
    assert main(["fit", str(tmp_path / "a.npy"), *FLAGS, "--refine", "scan.phi0"]) == 2
    assert "not a readable .npy file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--refine", "scan.phi0"], "DATA is missing"),
        (["a.npy", *FLAGS], "--refine is missing"),
        (["a.npy", *FLAGS, "--refine", "phi"], "--refine = 'phi': must be a name"),
        (["a.npy", *FLAGS, "--shared", ","], "--shared = ',': must be at least one name"),
        (["a.npy", "--refine", "scan.phi0"], "holds no experiment"),
        (["a.npy", *FLAGS, "--refine", "scan.phi0"], "not a readable"),
        (["a.npy", *FLAGS, "--refine", "scan.phi0", "--resume"], "needs --state"),
        (["a.npy", *FLAGS, "--refine", "scan.phi0", "--blur", "x"], "numbers of pixels"),
        (["a.npy", *FLAGS, "--refine", "scan.phi0", "--bounds", "a=2:1"], "NAME=LOW:HIGH"),
        (["a.npy", *FLAGS, "--refine", "scan.phi0", "--report", "a.pdf"], "must end in"),
    ],
    ids=[
        "data",
        "refine",
        "name",
        "names",
        "experiment",
        "file",
        "resume",
        "blur",
        "bounds",
        "report",
    ],
)
def test_what_is_missing_is_named(
    words: list[str], said: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    """In one line, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    if said not in ("DATA is missing", "not a readable"):
        np.save("a.npy", np.zeros((24, 24)))
    assert main(["fit", *words]) == 2
    assert said in capsys.readouterr().err

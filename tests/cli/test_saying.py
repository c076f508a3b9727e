"""What commands print: info's lines and JSON, addresses of the viewer, measured figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask import derive
from nbdask.cli.main import main
from nbdask.derive.noise import noise
from nbdask.derive.realised import Realised
from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from tests.pictured import SHAPE, forget, make

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store of six tiles."""
    return make(tmp_path_factory.mktemp("saying") / "run.zarr", tile=32)


@pytest.fixture
def store(kept: Path) -> Any:
    """The same; its attributes are put back afterwards."""
    before = (kept / "zarr.json").read_bytes()
    yield kept
    (kept / "zarr.json").write_bytes(before)


def told(capsys: Captured, *argv: object) -> str:
    """What a command that succeeds prints."""
    assert main([str(word) for word in argv]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def lines_of(text: str) -> dict[str, str]:
    """Names and values of info's lines."""
    rows = [line.split(None, 1) for line in text.splitlines()[1:]]
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


def test_info_of_a_run(store: Path, capsys: Captured) -> None:
    """Image, status, statistics and provenance, one a line."""
    text = told(capsys, "info", store)
    assert text.splitlines()[0] == (
        f"{store}: image {SHAPE[0]} (slow) x {SHAPE[1]} (fast) float32 [photons]"
    )
    rows = lines_of(text)
    attributes = StoreReader(store).attributes
    statistics = attributes["statistics"]
    assert rows["status"] == "complete, 6 of 6 tiles of 32 x 32"
    assert rows["statistics"].startswith(f"max {statistics['max']:.7g} at slow ")
    assert f"mean {statistics['mean']:.6g}, rms {statistics['rms']:.6g}" in rows["statistics"]
    for name in ("semantics", "backend", "precision", "fingerprint", "started", "ended"):
        assert rows[name] == attributes[name]
    assert "numpy " in rows["versions"]
    assert "parity" not in rows


def test_info_tells_what_follows_from_the_experiment(store: Path, capsys: Captured) -> None:
    """The same values as lines and as JSON, computed from the experiment on record."""
    rows = lines_of(told(capsys, "info", store))
    data = json.loads(told(capsys, "info", store, "--json"))["realised"]
    expected = Realised.of(Experiment.from_dict(StoreReader(store).attributes["experiment"]))
    assert data == expected.to_dict()
    for name, text in expected.rows():
        assert rows[name] == text


def test_info_as_json(store: Path, capsys: Captured) -> None:
    """All attributes, and how many tiles are there."""
    data = json.loads(told(capsys, "info", store, "--json"))
    assert data["attributes"] == StoreReader(store).attributes
    assert data["shape"] == list(SHAPE)
    assert (data["tiles"]["done"], data["tiles"]["total"]) == (6, 6)
    assert data["unit"] == "photons"


def test_info_of_an_unfinished_run(tmp_path: Path, capsys: Captured) -> None:
    """How many tiles there are; no statistics yet."""
    path = make(tmp_path / "run.zarr", tile=32)
    forget(path, 0, 3)
    update_attributes(place_of(path), {"status": "running", "statistics": None, "ended": None})
    rows = lines_of(told(capsys, "info", path))
    assert rows["status"] == "running, 4 of 6 tiles of 32 x 32"
    assert not {"statistics", "ended"} & set(rows)


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"notes": ["mind <this>"]}, "note         mind <this>"),
        (
            {"inputs": [{"role": "mask", "path": "m.img", "sha256": "ab" * 32}]},
            "input        m.img sha256 abababababababab...",
        ),
        ({"nbdask_version": None}, "nbdask       None"),
        ({"command": "nbdask simulate -N 5"}, "command      nbdask simulate -N 5"),
    ],
)
def test_info_tells_what_else_is_on_record(
    store: Path, attributes: dict[str, Any], line: str, capsys: Captured
) -> None:
    """Notes, input files, the command."""
    update_attributes(place_of(store), attributes)
    assert line in told(capsys, "info", store).splitlines()


def test_info_of_verdicts(store: Path, capsys: Captured) -> None:
    """Their number, and the last one; infinite deviations are null in JSON."""
    verdict = {
        "ok": False,
        "regions": 3,
        "max_rel": None,
        "program_sha256": "cd" * 32,
        "date": "2026-01-02",
    }
    good = {**verdict, "ok": True, "max_rel": 1.25e-8}
    for verdicts, argv in (
        ([verdict], "1 comparison, the last: different, 3 regions, worst deviation nan"),
        ([verdict, good], "2 comparisons, the last: equal, 3 regions, worst deviation 1.25e-08"),
    ):
        update_attributes(place_of(store), {"parity": verdicts})
        rows = lines_of(told(capsys, "info", store))
        assert rows["parity"].startswith(argv)
        assert "program sha256 cdcdcdcdcdcdcdcd..., 2026-01-02" in rows["parity"]


def test_info_of_statistics_that_are_no_numbers(store: Path, capsys: Captured) -> None:
    """Infinite pixels, NaN means, images without light."""
    statistics = dict(StoreReader(store).attributes["statistics"])
    update_attributes(place_of(store), {"statistics": {**statistics, "max": None, "rms": None}})
    rows = lines_of(told(capsys, "info", store))
    assert "max infinite at slow" in rows["statistics"]
    assert "rms nan" in rows["statistics"]
    update_attributes(place_of(store), {"statistics": {**statistics, "max_slow": -1}})
    assert lines_of(told(capsys, "info", store))["statistics"].startswith("no pixel above 0; mean")


def test_info_of_derived_stores(kept: Path, tmp_path: Path, capsys: Captured) -> None:
    """Every step back to the simulation, the last first; maps without their checksum."""
    np.save(tmp_path / "map.npy", np.ones(SHAPE))
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    noise(kept, first, derive.Pipeline((derive.Poisson(),), seed=4), threads=1)
    gain = derive.Gain(2.0, str(tmp_path / "map.npy"))
    noise(first, second, derive.Pipeline((gain, derive.Rounding())), threads=1)
    lines = told(capsys, "info", second).splitlines()
    assert lines[0].endswith("float32 [adu]")
    at = next(n for n, line in enumerate(lines) if line.startswith("noise "))
    assert lines[at] == "noise        seed 0, frame 0, philox4x32-10"
    assert lines[at + 1] == f"  step       gain factor 2.0, map {tmp_path}/map.npy"
    assert lines[at + 2] == "  step       rounding"
    assert lines[at + 3].startswith(f"source       {first} fingerprint ")
    assert lines[at + 4] == "noise        seed 4, frame 0, philox4x32-10"
    assert lines[at + 5] == "  step       poisson"
    assert lines[at + 6].startswith(f"source       {kept} fingerprint ")


@pytest.mark.parametrize("browser", [True, False])
def test_the_viewer_tells_its_address(
    browser: bool, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """On standard output; it is opened unless told not to; then how it ends."""
    pytest.importorskip("bokeh")
    opened: list[str] = []
    asked: list[tuple[tuple[str, ...], int | None]] = []

    def serve(*paths: str, port: int | None, ready: Any) -> None:
        asked.append((paths, port))
        ready("http://127.0.0.1:5006/word")

    monkeypatch.setattr("nbdask.view.server.serve", serve)
    monkeypatch.setattr("webbrowser.open", opened.append)
    argv = ["view", "run.zarr", "b.zarr", "--port", "8000"]
    assert main(argv if browser else [*argv, "--no-browser"]) == 0
    said = capsys.readouterr()
    assert said.out == "http://127.0.0.1:5006/word\n"
    assert said.err == "nbdask: Ctrl-C ends the viewer\nnbdask: viewer ended\n"
    assert asked == [(("run.zarr", "b.zarr"), 8000)]
    assert opened == (["http://127.0.0.1:5006/word"] if browser else [])


def test_a_viewer_that_cannot_start(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """One line; it does not say that it ended."""
    pytest.importorskip("bokeh")

    def serve(*_: Any, **__: Any) -> None:
        raise InputError("--port 8000: is taken")

    monkeypatch.setattr("nbdask.view.server.serve", serve)
    assert main(["view", "run.zarr", "--port", "8000"]) == 2
    assert capsys.readouterr().err == "nbdask: error: --port 8000: is taken\n"


def test_measured_figures_are_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Each as it is known, of every precision of the kernel; then where they are kept."""
    seen: list[tuple[str, tuple[str, ...]]] = []

    def calibrate(backend: str, precisions: Any, *, report: Any) -> Path:
        seen.append((backend, tuple(precisions)))
        report("numpy/float64/square/constant", 12.3456)
        return Path("/cache/costs.json")

    monkeypatch.setattr("nbdask.calibrate.calibrate", calibrate)
    assert main(["calibrate", "--backend", "numpy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["numpy/float64/square/constant", "12.346", "ns"]
    assert lines[1] == "/cache/costs.json: the figures that plans on this machine now use"
    assert main(["calibrate"]) == 0
    capsys.readouterr()
    assert [backend for backend, _ in seen] == ["numpy", "cpu"]
    assert main(["calibrate", "--backend", "numpy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ns"] == {"numpy/float64/square/constant": 12.3456}
    assert found["file"] == "/cache/costs.json"
    assert seen[0][1] == ("float64",)
    assert set(seen[1][1]) == {"float64", "mixed"}


def test_what_was_mended_as_json(tmp_path: Path, capsys: Captured) -> None:
    """Of each tile what was wrong with it."""
    path = make(tmp_path / "run.zarr", tile=32)
    forget(path, 2)
    assert main(["repair", str(path), "--threads", "1", "--json"]) == 0
    (tile,) = json.loads(capsys.readouterr().out)["repaired"]
    assert (tile["tile"], tile["kind"]) == (2, "missing")


def test_the_plan_and_the_image_as_json(tmp_path: Path, capsys: Captured) -> None:
    """The plan with --dry-run, else what was made; no shard has the whole image."""
    words = ["-cell", "70", "-default_F", "100", "-N", "5", "-detpixels", "64", "--json"]
    assert main(["simulate", *words, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["plan"]["shape"] == [64, 64]
    assert told["realised"]["n_cells"] == [5, 5, 5]
    assert len(told["fingerprint"]) == 64
    out, noisy = str(tmp_path / "run.zarr"), str(tmp_path / "noisy.zarr")
    assert main(["simulate", *words, "--out", out, "--shard", "1/2"]) == 2
    assert "--json: no shard" in capsys.readouterr().err
    assert main(["simulate", *words, "--out", out, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["simulate", *words, "--out", out, "--overwrite", "-printout"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert expected["shape"] == [64, 64]
    assert expected["statistics"]["max"] > 0.0
    assert main(["noise", out, "--out", noisy, "--seed", "1", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["store"] == noisy
    assert counted["statistics"]["max"] != expected["statistics"]["max"]


def test_what_was_made_as_json(tmp_path: Path, capsys: Captured) -> None:
    """Of finish, preview, export and pyramid; nothing with --quiet."""
    store = str(make(tmp_path / "run.zarr", tile=32))
    picture, *files = (str(tmp_path / name) for name in ("a.png", "a_1.img", "a.bin"))
    found = []
    for words in (
        ["finish", store],
        ["preview", store, "-o", picture, "--spots", "2", "--size", "64"],
        ["export", store, *files],
        ["pyramid", store],
    ):
        assert main([*words, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
        again = {"preview": ["--overwrite"], "export": ["--overwrite"]}.get(words[0], [])
        assert main([*words, "--json", "--quiet", *again]) == 0
        assert capsys.readouterr().out == ""
    finished, drawn, written, built = found
    assert (finished["status"], finished["commands"]) == ("complete", [])
    assert (drawn["picture"], drawn["factor"], drawn["missing"]) == (picture, 2, 0.0)
    assert [spot["label"][:6] for spot in drawn["spots"]] == ["h k l "] * 2
    assert drawn["high"] > drawn["low"] > 0.0
    assert [(file["path"], file["format"]) for file in written] == list(
        zip(files, ("smv", "float"), strict=True)
    )
    assert [file["size"] for file in written] == [Path(file).stat().st_size for file in files]
    assert built["kinds"] == ["max", "mean"]


@pytest.mark.parametrize("quiet", [False, True])
def test_verify_repair_and_pyramid(quiet: bool, tmp_path: Path, capsys: Captured) -> None:
    """What was found and done; nothing with --quiet, where the exit code says it."""
    path = make(tmp_path / "run.zarr", tile=32)
    forget(path, 2)
    more = ["--quiet"] if quiet else []
    said = []
    for argv, code in (
        (["verify", str(path)], 1),
        (["repair", str(path)], 0),
        (["verify", str(path), "--recompute", "1", "--seed", "3"], 0),
        (["pyramid", str(path), "--kind", "mean"], 0),
    ):
        assert main([*argv, "--threads", "1", *more]) == code
        said.append(capsys.readouterr().out)
    if quiet:
        assert said == [""] * 4
        return
    assert f"{path}: 6 tiles read, 1 missing; nbdask repair {path} computes missing" in said[0]
    assert f"{path}: 1 tile computed again, complete" in said[1]
    assert f"{path}: 6 tiles read, 1 recomputed, all well" in said[2]
    assert str(path) in said[3]

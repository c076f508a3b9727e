"""``nbdask preview``, ``pyramid`` and ``view``, used as a user would."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.derive.pyramid import build_pyramid
from tests.pictured import SHAPE, earlier_layout, flip, forget, make, set_pixels


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A complete store."""
    return make(tmp_path_factory.mktemp("looking") / "run.zarr", tile=32)


def said(capsys) -> str:
    """The one line of an error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("nbdask: error: ")
    return str(lines[0])


def test_preview_says_what_it_drew(store, tmp_path, capsys) -> None:
    """Range of photons and spots; nothing with --quiet; other words for other pictures."""
    target = tmp_path / "a.png"
    argv = ["preview", str(store), "-o", str(target), "--size", "64"]
    assert main([*argv, "--spots", "2", "--resolution-rings", "--axes", "mm"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{target}: colours from ")
    assert "photons per pixel, max of 2 x 2 pixels" in out[0]
    assert len([line for line in out if line.startswith("spot at slow ")]) == 2
    before = target.read_bytes()
    linear = ["--linear", "--percentile", "50", "--colormap", "gray_r", "--downsample", "mean"]
    assert main([*argv, *linear, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert target.read_bytes() != before
    assert main([*argv, "--range", "2", "50", "--overwrite"]) == 0
    assert "colours from 2 to 50 photons per pixel" in capsys.readouterr().out


def test_preview_of_darkness(store, tmp_path, capsys) -> None:
    """A black picture is said to be one."""
    dark = Path(shutil.copytree(store, tmp_path / "run.zarr"))
    set_pixels(dark, np.zeros(SHAPE, np.float32))
    assert main(["preview", str(dark), "-o", str(tmp_path / "a.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a.png: no pixel above 0\n"


def test_preview_of_an_unfinished_store(tmp_path, capsys) -> None:
    """How much of it is grey."""
    store = make(tmp_path / "run.zarr", tile=32)
    forget(store, 0)
    assert main(["preview", str(store), "-o", str(tmp_path / "a.png")]) == 0
    assert "22.4% not computed yet (grey)" in capsys.readouterr().out


@pytest.mark.parametrize("place", [0.0, 0.5])
def test_preview_draws_nothing_damaged(store, tmp_path, capsys, place) -> None:
    """A flipped bit in a tile, or in the pyramid: one line with what to do, and no picture."""
    copy, target = tmp_path / "run.zarr", tmp_path / "a.png"
    shutil.copytree(store, copy)
    argv = ["preview", str(copy), "-o", str(target), "--size", "64"]
    before = flip(copy / "image" / "c" / "1" / "0", place)
    assert main(argv) == 2
    line = said(capsys)
    assert "tile 2 (slow 32 to 64, fast 0 to 32) is damaged" in line
    assert f"nbdask repair {copy} computes them again" in line
    (copy / "image" / "c" / "1" / "0").write_bytes(before)
    build_pyramid(copy, smallest=40)
    flip(copy / "pyramid" / "max" / "1" / "image" / "c" / "0" / "0", place)
    assert main(argv) == 2
    line = said(capsys)
    assert "pyramid/max/1/image/c/0/0, a part of its pyramid, is damaged" in line
    assert f"delete it, then nbdask pyramid {copy} builds it again" in line
    assert not target.exists()
    assert main([*argv, "--roi", "0", "31", "0", "31"]) == 0


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["preview", "STORE"], "--output"),
        (["preview", "STORE", "-o", "STORE/a.png"], "must lie outside the store"),
        (["preview", "STORE", "-o", "a.txt"], ".png, .svg, .pdf"),
        (["preview", "none.zarr", "-o", "a.png"], "does not exist"),
        (["preview", "STORE", "-o", "a.png", "--roi", "0", "99", "0", "5"], "within 0 to 74"),
        (["preview", "STORE", "-o", "a.png", "--colourmap", "gray"], "--colormap"),
        (["preview", "STORE", "-o", "a.png", "--percentile", "101"], "at most 100"),
        (["preview", "STORE", "-o", "a.png", "--size", "5"], "64 to 16384"),
        (["pyramid", "none.zarr"], "does not exist"),
        (["pyramid", "STORE", "--kind", "median"], "median"),
        (["view", "none.zarr", "--no-browser"], "does not exist"),
        (["view", "STORE", "--port", "99999"], "99999"),
    ],
)
def test_mistakes_are_one_line(store, tmp_path, monkeypatch, capsys, argv, names) -> None:
    """Exit code 2, what is wrong, nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("STORE", str(store)) for word in argv]) == 2
    assert names in said(capsys)
    assert list(tmp_path.iterdir()) == []


def test_pyramid_and_what_it_says(tmp_path, capsys) -> None:
    """Levels and chunks; chunks that wait; that there is nothing to do."""
    store = make(tmp_path / "run.zarr", tile=128, shape=(600, 130))
    kept = forget(store, 0)
    assert main(["pyramid", str(store), "--kind", "max", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "1 levels (max) down to 300 x 65 pixels, 2 chunks built, 1 wait for tiles" in out
    for file, data in kept.items():
        file.write_bytes(data)
    assert main(["pyramid", str(store), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["pyramid", str(store)]) == 0
    assert "0 chunks built" in capsys.readouterr().out


def test_pyramid_of_the_earlier_layout(tmp_path, capsys) -> None:
    """Is told, with the option that builds it anew; then no more."""
    store = make(tmp_path / "run.zarr", shape=(520, 520), tile=260)
    assert main(["pyramid", str(store), "--quiet"]) == 0
    earlier_layout(store)
    assert main(["pyramid", str(store)]) == 0
    assert f"nbdask pyramid {store} --rebuild builds it anew" in capsys.readouterr().err
    assert main(["pyramid", str(store), "--rebuild"]) == 0
    told = capsys.readouterr()
    assert "1 chunks built" in told.out
    assert "earlier" not in told.err


def test_pyramid_of_a_small_image(store, capsys) -> None:
    """It needs no levels."""
    assert main(["pyramid", str(store)]) == 0
    assert "needs no coarser levels" in capsys.readouterr().out


def test_simulate_builds_a_pyramid(tmp_path) -> None:
    """With --pyramid the levels are there when the run ends."""
    argv = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 520 -pixel 0.3 -oversample 1"
    options = ["--backend", "numpy", "--tile", "260", "--pyramid", "--quiet"]
    out = ["--out", str(tmp_path / "run.zarr")]
    assert main(["simulate", *argv.split(), *options, *out]) == 0
    files = (tmp_path / "run.zarr" / "pyramid").rglob("c/*/*")
    assert sorted(str(p.relative_to(tmp_path)) for p in files if p.is_file()) == [
        f"run.zarr/pyramid/{kind}/1/image/c/0/0" for kind in ("max", "mean")
    ]


@pytest.mark.long
def test_pyramid_by_workers(tmp_path, capsys) -> None:
    """As noise and simulate have it; options of jobs are refused as there."""
    copy = make(tmp_path / "run.zarr", tile=32)
    assert main(["pyramid", str(copy), "--cluster", "local", "--memory", "1GB"]) == 2
    assert "--memory is for jobs of a batch system" in said(capsys)
    assert not (copy / "pyramid").exists()
    argv = ["pyramid", str(copy), "--cluster", "local", "--workers", "2", "--threads", "1"]
    assert main(argv) == 0
    assert "needs no coarser levels" in capsys.readouterr().out


def test_a_pyramid_that_is_stopped(store, tmp_path, capsys, monkeypatch) -> None:
    """The line says how to go on."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbdask.derive.pyramid.build_pyramid", stopped)
    for more in ([], ["--rebuild"]):
        assert main(["pyramid", str(store), *more]) == 130
        words = "".join(f" without {word}" for word in more)
        line = f"nbdask: interrupted; the same command{words} builds what is missing\n"
        assert capsys.readouterr().err == line

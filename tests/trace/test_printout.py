"""-printout and -printout_pixel print what the C program prints, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.experiment import Sampling
from nbdask.run import simulate
from nbdask.trace.printout import printout
from tests.helpers import small_experiment
from tests.trace.support import CASES, experiment, log, pixel


def recorded(name: str) -> list[str]:
    """Return the lines that C printed of the recorded pixel."""
    lines = Path(log(name, "printout")).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if " : stol = " in line)
    return lines[start:]


@pytest.mark.parametrize("name", CASES)
def test_one_pixel_in_the_words_of_c(name: str, tmp_path: Path) -> None:
    """All fourteen lines, with the pixel as the store holds it."""
    slow, fast = pixel(name)
    store = tmp_path / "run.zarr"
    simulate(experiment(name), store, backend="numpy")
    found = printout(experiment(name), store, (fast, slow))
    assert found.text.splitlines() == recorded(name)
    assert found.notes == ()


def test_all_pixels_and_the_bound(tmp_path: Path) -> None:
    """Every pixel of the region in raster order; beyond the bound the first, and a note."""
    made = small_experiment(sampling=Sampling(oversample=1, roi=(2, 5, 3, 9)))
    store = tmp_path / "run.zarr"
    simulate(made, store, backend="numpy")
    lines = printout(made, store).text.splitlines()
    heads = [tuple(map(int, line[:9].split())) for line in lines if " : stol = " in line]
    assert heads == [(fast, slow) for slow in range(2, 6) for fast in range(3, 10)]
    alone = printout(made, store, (4, 3)).text.splitlines()
    at = heads.index((4, 3)) * 14
    assert lines[at : at + 14] == alone
    assert printout(made, store, (-1, -1)).text.splitlines() == lines
    cut = printout(made, store, most=9)
    assert cut.text.splitlines() == lines[: 9 * 14]
    assert "the first 9 of 28 pixels are printed; -printout_pixel FAST SLOW" in cut.notes[0]
    beside = printout(made, store, (0, 0))
    assert beside.text == ""
    assert "-printout_pixel 0 0 (fast, slow) is not in the region" in beside.notes[0]


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags of nbdask simulate, on standard output, before the closing lines."""
    name = "gauss"
    slow, fast = pixel(name)
    argv = ["simulate", *CASES[name]["arguments"].split(), "--backend", "numpy"]
    flags = ["-printout", "-printout_pixel", str(fast), str(slow)]
    assert main([*argv, *flags, "--out", str(tmp_path / "run.zarr")]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:14] == recorded(name)
    assert "photons" not in out[14]
    flags = ["-printout", "-printout_pixel", "999", "0", "--quiet"]
    assert main([*argv, *flags, "--out", str(tmp_path / "second.zarr")]) == 0
    assert capsys.readouterr().out == ""


def test_where_nothing_passes_dmin(tmp_path: Path) -> None:
    """Indices and amplitudes are 0 there, and the pixel too."""
    made = small_experiment(sampling=Sampling(oversample=1, dmin=1e-6))
    store = tmp_path / "run.zarr"
    simulate(made, store, backend="numpy")
    lines = printout(made, store, (2, 3)).text.splitlines()
    assert lines[2] == "hkl= 0.000000 0.000000 0.000000  hkl0= 0 0 0"
    assert lines[3] == " F_cell=0  F_latt=0   I = 0"
    assert np.float32(lines[8].split()[1]) == 0.0

"""Images of amorphous materials against those of nonBragg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.flags import Own, parse_args
from nbdask.geometry.build import build_model
from nbdask.physics.coarse import amorphous_photons
from tests.amplitudes.support import INPUTS
from tests.helpers import whole

FOLDER = INPUTS / "background"
#: The program's own directions, and what it leaves out of nanoBragg's flags.
WORDS = """-fdet_vector 0 0 1 -sdet_vector 0 -1 0 -odet_vector 1 0 0 -beam_vector 1 0 0
    -polar_vector 0 0 1 -cell 50 50 50 90 90 90 -default_F 1e-150 -N 1"""
FRAME = WORDS.split()


def cases() -> list[Any]:
    """The program's command lines."""
    path = FOLDER / "background.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


@pytest.mark.skipif(not cases(), reason="NBDASK_INPUTS does not name the images of others")
@pytest.mark.parametrize("number", range(3))
def test_images_of_another_program(number: int, tmp_path: Path) -> None:
    """To 1e-7, that is to the rounding of its image."""
    found, expected = images_of(cases()[number], tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def images_of(case: dict[str, Any], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return our image of a case and the program's; ``folder``: for a file of sources."""
    words = [w for w in case["command"].split() if w not in ("-noprogress", "-nonoise", "-nopgm")]
    values = {words[i]: float(words[i + 1]) for i in range(len(words) - 1) if _number(words[i + 1])}
    dropped = ("-stol", "-density", "-MW", "-sample_thick", "-floatfile", "-Xbeam", "-Ybeam")
    kept = [w for i, w in enumerate(words) if w not in dropped and words[i - 1] not in dropped]
    mean = 1.0
    if case["source_file"]:
        rows = case["source_file"]
        (folder / "src.txt").write_text("".join(" ".join(map(str, r)) + "\n" for r in rows))
        # Our weights have a mean of 1.
        mean = float(np.mean([r[3] for r in rows]))
    size, n = values["-pixel"], values["-detpixels"]
    x, y = (n * size - size) / 2.0, (n * size + size) / 2.0
    x, y = values.get("-Xbeam", x), values.get("-Ybeam", y)
    turn = np.radians(values.get("-twotheta", 0.0))
    d = values["-distance"]
    corner = (d * np.cos(turn) - x * np.sin(turn), y, -d * np.sin(turn) - x * np.cos(turn))
    sheet = f":{values['-sample_thick']}mm:{values['-density']}:{values['-MW']}"
    parsed = parse_args(
        [*FRAME, *(["-oversample", "1"] if "-oversample" not in kept else []), *kept],
        source_weights="apply" if case["source_file"] else "ignore",
        pix0=tuple(v * 1e-3 for v in corner),
        own=Own(background=(f"{FOLDER / case['stol']}{sheet}",)),
        semantics="c",
        base_dir=folder,
    )
    model = build_model(parsed.experiment)
    with np.load(FOLDER / case["image"]) as file:
        expected = file[file.files[0]]
    return mean * amorphous_photons(model, whole(model), None), expected


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

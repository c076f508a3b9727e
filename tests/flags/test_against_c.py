"""Odd combinations of flags mean what they mean to the C program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nbdask.flags import parse_args
from tests.helpers import PARITY, deviation, image_of

COMMON = "-default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.4 -detpixels 32 -oversample 1 "
CELL = "-cell 70 80 90 "

LINES = [
    "-cell 70 80 90 75 85 95 -cell 50",
    "-cell 70",
    "-cell 70 80 90 75",
    "-cell 70 0 90 0 85",
    CELL + "-fdet_vector 0 0.1 1 -mosflm",
    CELL + "-fdet_vector 0 0.1 1 -mosflm -sdet_vector 0 -1 0 -twotheta 5",
    CELL + "-twotheta_axis 0.6 0 0.8",
    CELL + "-twotheta_axis 0.6 0 0.8 -twotheta 7 -Xbeam 5",
    CELL + "-detpixels 0 -detsize 9.6",
    CELL + "-detsize 5",
    CELL + "-wavelength 1.2 -pixel_size 0.3 -mosaicity 0.3",
    CELL + "-osc -1 -phistep 0.3",
    CELL + "-phi 1 -phisteps 0 -osc 1",
    CELL + "-phi 1 -osc 1 -phistep -3 -phisteps 3",
    CELL + "-osc 2 -phistep 0 -phisteps 3",
    CELL + "-dispsteps 4",
    CELL + "-dispersion -1 -dispsteps 3",
    CELL + "-dispersion -1",
    CELL + "-hdivsteps 3 -hdivrange -1",
    CELL + "-hdivrange 3 -hdivsteps -2",
    CELL + "-divergence 2 -hdivrange 0",
    CELL + "-vdivstep 0.5",
    CELL + "-mosaic -2 -mosaic_dom 5",
    CELL + "-mosaic 1 -mosaic_dom 0 -mosaic_seed -4",
    CELL + "-detector_thick 450 -detector_abs inf",
    CELL + "-detector_abs 0 -detector_thick 450",
    CELL + "-detector_thick 450 -thicksteps -1",
    CELL + "-thicksteps 4",
    CELL + "-roi -1 20 5 -1",
    CELL + "-roi 3 100 5 9",
    CELL + "-nopolar -polar 0.5",
    CELL + "-polar 0.5 -nopolar",
    CELL + "-curved_det",
    CELL + "-curved_det -nopgm",
    CELL + "-energy 9000 -lambda 1.1",
    CELL + "-lambda 1.1 -energy 9000",
    CELL + "-xds -fdet_vector 0 0 1 -twotheta 4 -ORGX 10",
    CELL + "-dials -fdet_vector 0 0.1 1 -detector_rotx 4 -ORGX 3",
    CELL + "-pivot beam -fdet_vector 0 0 1 -Xclose 3 -Ybeam 4",
    CELL + "-distance -80",
    CELL + "-close_distance -80",
    CELL + "-oversample 0",
    CELL + "-oversample_thickness",
    CELL + "-misset 5 6 7 -misset_seed 3 -nopgm",
    CELL + "-misset_seed -7 -misset rand -nopgm",
    CELL + "-xtalsize 0.00005 -xtal_y 0",
    CELL + "-heights 0.00004",
    CELL + "-beamsize -1 -flux 1e20",
    CELL + "-exposure 0 -flux 1e20",
]

#: Those of which C makes an empty image.
EMPTY = {
    CELL + "-detector_abs 0 -detector_thick 450",
    CELL + "-close_distance -80",
    CELL + "-oversample_thickness",
}


@pytest.mark.c_binary
@pytest.mark.parametrize("line", LINES)
def test_same_image_as_the_c_program(tmp_path: Path, line: str) -> None:
    """The image of the assembled experiment is the one that C makes of the same words."""
    argv = (COMMON + line).split()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [os.environ["NB_C_BIN"], *argv],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
    )
    experiment = parse_args(argv, semantics="c", base_dir=tmp_path).experiment
    image = np.fromfile(tmp_path / "floatimage.bin", dtype="<f4").reshape(experiment.shape)
    assert (image.max() > 0.0) == (line not in EMPTY)
    assert deviation(image_of(experiment), image) <= PARITY

"""Small geometry files of the tests' own writing, and the folder of real ones."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_NAMED = os.environ.get("NBDASK_INPUTS")
#: Real files with positions computed independently; tests skip without them.
INPUTS = Path(_NAMED) if _NAMED else Path(__file__).parents[3] / "shared" / "inputs"

GEOM = """\
; two panels, the second one turned, sheared and with pitches of its own
photon_energy = 9000 eV
clen = 100 mm ; sample to detector
res = 10000
adu_per_photon = 2
max_adu = 7000
data = /entry/data
dim0 = %
dim1 = ss
dim2 = fs
mask_edge_pixels = 1

a/min_fs = 0
a/max_fs = 9
a/min_ss = 0
a/max_ss = 4
a/corner_x = 20
a/corner_y = -30.5
a/fs = x
a/ss = y

b/min_fs = 0.0
b/max_fs = 9.0
b/min_ss = 5
b/max_ss = 8
b/corner_x = -50
b/corner_y = 10
b/coffset = 0.002
b/fs = +0.6x -.8y
b/ss = 0.8x + 0.65y + 0.1z
b/mask_edge_pixels = 0

bad_stripe/min_fs = 3
bad_stripe/max_fs = 4
bad_stripe/min_ss = 4
bad_stripe/max_ss = 6
bad_one/panel = b
bad_one/min_fs = 0
bad_one/max_fs = 0
bad_one/min_ss = 8
bad_one/max_ss = 8
bad_beam/min_x = 20
bad_beam/max_x = 21.5
bad_beam/min_y = -31
bad_beam/max_y = -29
rigid_group_q0 = a,b
rigid_group_collection_all = q0
"""

XDS = """\
JOB= XYCORR ! a comment ORGX= 1
NX= 20 NY= 10 QX= 0.1 QY= 0.2
ORGX= 9.5 ORGY= 4.5 DETECTOR_DISTANCE= 100
ORGX= 10.5
DIRECTION_OF_DETECTOR_X-AXIS= 1 0 0
DIRECTION_OF_DETECTOR_Y-AXIS= 0 1 0
INCIDENT_BEAM_DIRECTION= 0 0 2
X-RAY_WAVELENGTH= 1.5
ROTATION_AXIS= 1 0 0 OSCILLATION_RANGE= 0.5
DATA_RANGE= 3 12 STARTING_FRAME= 1 STARTING_ANGLE= 10
FRACTION_OF_POLARIZATION= 0.9 POLARIZATION_PLANE_NORMAL= 0 1 0
SENSOR_THICKNESS= 0.32 SILICON= 3.5
MINIMUM_VALID_PIXEL_VALUE= 0 OVERLOAD= 1000
UNTRUSTED_RECTANGLE= 2 5 0 11
UNTRUSTED_RECTANGLE= 0 21 9 11
"""

XPARM_NEW = """\
 XPARM.XDS    VERSION Jan 1, 2020
     1       82.0000    0.1500  1.0 0.0 0.0
       1.0       0.0       0.0       1.0
    75     10.0     20.0     30.0  90.000  90.000  90.000
      10 0 0
      0 20 0
      0 0 30
         {count}      20      10    0.1    0.2
     10.5      4.5     100
       1 0 0
       0 1 0
       0 0 1
"""
XPARM_OLD = """\
 1 82.0 0.15 1.0 0.0 0.0
 1.0 0.0 0.0 1.0
 20 10 0.1 0.2
 100 10.5 4.5
 1 0 0
 0 1 0
 0 0 1
 75 10 20 30 90 90 90
 10 0 0
 0 20 0
 0 0 30
"""


def panel(**changes: Any) -> dict[str, Any]:
    """A panel of dxtbx."""
    return {
        "name": "P",
        "fast_axis": [1.0, 0.0, 0.0],
        "slow_axis": [0.0, -1.0, 0.0],
        "origin": [-5.0, 4.0, 0.0],
        "image_size": [100, 80],
        "pixel_size": [0.1, 0.2],
        "raw_image_offset": [0, 0],
        "trusted_range": [0.0, 5000.0],
        "thickness": 0.45,
        "material": "Si",
        "mu": 3.2,
        "mask": [[10, 0, 12, 80], [90, 70, 200, 200]],
        "gain": 1.5,
        **changes,
    }


def expt(**changes: Any) -> dict[str, Any]:
    """An experiment list: a detector of two panels, the second in a group of its own."""
    group = {"name": "root", "fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0]}
    arm = {"name": "arm", "fast_axis": [0, 2, 0], "slow_axis": [-1, 0, 0], "origin": [1, 2, 3]}
    whole = {
        "__id__": "ExperimentList",
        "experiment": [
            {"beam": 0, "detector": 0, "crystal": 0, "goniometer": 0, "scan": 0},
            {"beam": 1, "detector": 0},
        ],
        "beam": [
            {
                "direction": [0.01, 0.0, 1.0],
                "wavelength": 1.2,
                "polarization_normal": [0, 1, 0],
                "polarization_fraction": 0.99,
            },
            {"direction": [0.0, 0.0, 1.0], "wavelength": 1.3},
        ],
        "detector": [
            {
                "panels": [panel(), panel(name="Q", origin=[4.0, 1.0, 0.5])],
                "hierarchy": {
                    **group,
                    "origin": [0.0, 0.0, -150.0],
                    "children": [{"panel": 0}, {**arm, "children": [{"panel": 1}]}],
                },
            }
        ],
        "goniometer": [
            {
                "axes": [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
                "angles": [0.0, 90.0, 0.0],
                "names": ["phi", "chi", "omega"],
                "scan_axis": 2,
            }
        ],
        "scan": [{"image_range": [1, 10], "oscillation": [5.0, 0.5]}],
        "crystal": [
            {
                "real_space_a": [10, 0, 0],
                "real_space_b": [0, 20, 0],
                "real_space_c": [0, 0, 30],
                "space_group_hall_symbol": " P 1",
                "ML_half_mosaicity_deg": 0.1,
                "ML_domain_size_ang": 1000.0,
            }
        ],
    }
    return {**copy.deepcopy(whole), **changes}


def write_expt(path: Path, data: Any) -> Path:
    """Write an experiment list."""
    path.write_text(json.dumps(data))
    return path


def put(group: Any, name: str, value: Any, **attributes: Any) -> Any:
    """Write a field with attributes."""
    group[name] = value
    group[name].attrs.update(attributes)
    return group[name]


def put_modules(detector: Any) -> None:
    """Write two modules: one on an offset of its own, one on the arm itself."""
    home = "/entry/instrument/detector/transformations"
    for number in range(2):
        module = detector[f"m{number}"]
        module["data_origin"] = [20 * number, 0]
        module["data_size"] = [20, 60]
        on = "./module_offset" if number == 0 else f"{home}/arm"
        put(
            module,
            "fast_pixel_direction",
            0.1,
            units="mm",
            vector=[-1.0, 0.0, 0.0],
            offset=[0.0, 0.0, 0.0] if number == 0 else [0.0, 0.007, 0.0],
            offset_units="m",
            transformation_type="translation",
            depends_on="." if number == 0 else on,
        )
        put(
            module,
            "slow_pixel_direction",
            200.0,
            units="um",
            vector=[0.0, -1.0, 0.0],
            transformation_type="translation",
            depends_on="." if number == 0 else on,
        )
    put(
        detector,
        "m0/module_offset",
        3.0,
        units="mm",
        vector=[1.0, 0.0, 0.0],
        transformation_type="translation",
        depends_on="../transformations/arm",
    )


def write_nexus(path: Path) -> Path:
    """Write a small NXmx file: two modules on an arm that is turned about y."""
    with h5py.File(path, "w") as file:
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/instrument/beam", "NXbeam"),
            ("entry/instrument/detector", "NXdetector"),
            ("entry/instrument/detector/transformations", "NXtransformations"),
            ("entry/instrument/detector/m0", "NXdetector_module"),
            ("entry/instrument/detector/m1", "NXdetector_module"),
            ("entry/data", "NXdata"),
        ):
            file.create_group(name).attrs["NX_class"] = kind
        file["entry/definition"] = "NXmx"
        put(file, "entry/instrument/beam/incident_wavelength", 0.12, units="nm")
        file.create_dataset("entry/data/data", shape=(3, 40, 60), dtype="i4", chunks=(1, 40, 60))
        detector = file["entry/instrument/detector"]
        detector["sensor_material"] = "Si"
        put(detector, "sensor_thickness", 450.0, units="um")
        detector["saturation_value"] = 1000
        mask = np.zeros((40, 60), dtype="u4")
        mask[25, 7] = 1
        detector["pixel_mask"] = mask
        put(
            detector,
            "transformations/rail",
            10.0,
            units="cm",
            vector=[0.0, 0.0, 1.0],
            transformation_type="translation",
            depends_on=".",
        )
        put(
            detector,
            "transformations/arm",
            [0.0, 30.0, 0.0],
            units="deg",
            depends_on="rail",
            transformation_type="rotation",
            vector=[0.0, 1.0, 0.0],
            offset=[0.0, 5.0, 0.0],
            offset_units="mm",
        )
        put_modules(detector)
    return path

"""Run by the Python of DIALS: prints what dxtbx reads from files, as JSON.

python look.py models FILE...              one entry for each file
python look.py compare TRUTH.expt INDEXED.expt
python look.py predict TRUTH.expt STRONG.refl
python look.py stills TRUTH.expt INDEXED.expt      a crystal for each indexed image
python look.py spots STRONG.refl                   image, place and counts of every spot
python look.py integrated TRUTH.expt INTEGRATED.expt INTEGRATED.refl
"""

from __future__ import annotations

import json
import sys

import numpy as np


def read(path):
    """Return the experiments of an experiment list, or of an image."""
    from dxtbx.model.experiment_list import ExperimentListFactory

    if path.endswith(".expt"):
        return ExperimentListFactory.from_json_file(path, check_format=True)
    return ExperimentListFactory.from_filenames([path])


def models(path):
    """Return the first experiment's models, and some pixels."""
    found = read(path)
    one = found[0]
    panels = [
        {
            "origin": panel.get_origin(),
            "fast": panel.get_fast_axis(),
            "slow": panel.get_slow_axis(),
            "size": panel.get_image_size(),
            "pitch": panel.get_pixel_size(),
            "material": panel.get_material(),
            "thickness": panel.get_thickness(),
            "mu": panel.get_mu(),
            "trusted": panel.get_trusted_range(),
        }
        for panel in one.detector
    ]
    try:
        number, place = one.detector.get_ray_intersection(one.beam.get_s0())
        centre = [number, *one.detector[number].millimeter_to_pixel(place)]
    except RuntimeError:  # the beam passes by
        centre = None
    raw = [] if one.imageset is None else one.imageset.get_raw_data(0)
    return {
        "count": len(found),
        "panels": panels,
        "wavelength": one.beam.get_wavelength(),
        "source": one.beam.get_sample_to_source_direction(),
        "centre": centre,
        "axis": None if one.goniometer is None else one.goniometer.get_rotation_axis(),
        "oscillation": None if one.scan is None else one.scan.get_oscillation(),
        "images": None if one.scan is None else one.scan.get_image_range(),
        "still": one.scan is None or one.scan.is_still(),
        "crystal": None if one.crystal is None else one.crystal.get_A(),
        "format": "" if one.imageset is None else one.imageset.get_format_class().__name__,
        "pixels": [panel.as_numpy_array().tolist() for panel in raw],
    }


def matrix(crystal):
    """Return the matrix A of a crystal."""
    return np.array(crystal.get_A()).reshape(3, 3)


def setting_of(true, found):
    """Return the whole numbers by which the indices of a crystal become those of the true one."""
    return np.rint(np.linalg.inv(matrix(true)) @ matrix(found))


def against(true, crystal):
    """Return cell and misorientation of a crystal, whatever setting of the lattice was chosen."""
    setting = setting_of(true, crystal)
    u, _, v = np.linalg.svd(matrix(crystal) @ np.linalg.inv(matrix(true) @ setting))
    angle = np.degrees(np.arccos(min(1.0, 0.5 * (np.trace(u @ v) - 1.0))))
    same = abs(abs(np.linalg.det(setting)) - 1.0) < 1e-6
    cell = crystal.get_unit_cell().parameters()
    return {"cell": cell, "angle": angle, "same_lattice": bool(same)}


def compare(truth, indexed):
    """Return cell and misorientation of the first indexed crystal."""
    return against(read(truth)[0].crystal, read(indexed)[0].crystal)


def stills(truth, indexed):
    """Return cell and misorientation of the crystal of each indexed image, with its number."""
    true = {one.imageset.indices()[0]: one.crystal for one in read(truth)}
    numbers = [one.imageset.indices()[0] for one in read(indexed)]
    crystals = [one.crystal for one in read(indexed)]
    return [
        {"image": number, **against(true[number], crystal)}
        for number, crystal in zip(numbers, crystals, strict=True)
    ]


def spots(strong):
    """Return image (from 0), place [pixels] and counts of spots."""
    from dials.array_family import flex

    table = flex.reflection_table.from_file(strong)
    fast, slow, image = np.array(table["xyzobs.px.value"]).T
    return {
        "image": np.floor(image).astype(int).tolist(),
        "fast": fast.tolist(),
        "slow": slow.tolist(),
        "counts": list(table["intensity.sum.value"]),
    }


def integrated(truth, experiments, reflections):
    """Return what was integrated, with the indices of the crystal that was simulated."""
    from dials.array_family import flex

    table = flex.reflection_table.from_file(reflections)
    setting = setting_of(read(truth)[0].crystal, read(experiments)[0].crystal)
    place = np.array(table["xyzobs.px.value"])
    return {
        "hkl": (np.array(table["miller_index"]) @ setting.T).astype(int).tolist(),
        "place": place.tolist(),
        "sum": list(table["intensity.sum.value"]),
        "profile": list(table["intensity.prf.value"]),
        "summed": list(table.get_flags(table.flags.integrated_sum)),
        "fitted": list(table.get_flags(table.flags.integrated_prf)),
        "correction": list(table["lp"]),
        "partiality": list(table["partiality"]),
        "resolution": list(table["d"]),
    }


def predict(truth, strong):
    """Return how far the brighter half of the spots is from where the truth predicts them."""
    from dials.array_family import flex
    from scipy.spatial import cKDTree

    predicted = flex.reflection_table.from_predictions_multi(read(truth))
    spots = flex.reflection_table.from_file(strong)
    where = np.column_stack([predicted["panel"], np.array(predicted["xyzcal.px"])])
    seen = np.column_stack([spots["panel"], np.array(spots["xyzobs.px.value"])])
    bright = np.array(spots["intensity.sum.value"])
    seen = seen[bright > np.median(bright)]
    scale = np.array([1e4, 1.0, 1.0, 2.0])
    distance, index = cKDTree(where * scale).query(seen * scale)
    off = (seen - where[index])[distance < 3.0][:, 1:3]
    return {
        "spots": len(off),
        "median": np.median(np.hypot(*off.T)),
        "shift": np.median(off, axis=0).tolist(),
    }


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    if command == "models":
        print(json.dumps({path: models(path) for path in paths}))
    else:
        known = (compare, predict, stills, spots, integrated)
        print(json.dumps({one.__name__: one for one in known}[command](*paths)))

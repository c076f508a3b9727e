"""Experiment lists of dxtbx (``.expt``): what is true of the images, crystal included."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbdask.export.geometry import geometry_of
from nbdask.export.instrument import crystal_of, instrument_of
from nbdask.export.names import number_of, numbered, template_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.options import Options
from nbdask.export.sensor import Sensor, settle_sensor
from nbdask.export.series import Series
from nbdask.export.target import Target
from nbdask.panels.write_dxtbx import crystal_entry, dxtbx_lists

#: Endings of files that hold one image each.
_SINGLE = (".cbf", ".img", ".smv")


@dataclass(frozen=True, slots=True)
class Images:
    """The files of the images that an experiment list belongs to.

    Parameters
    ----------
    paths : tuple of Path
        One that holds all images, or one for each.
    together : bool
        One holds all.
    """

    paths: tuple[Path, ...]
    together: bool


def images_of(name: str | os.PathLike[str], count: int) -> Images:
    """Return the files that a name, or a pattern with ``#``, stands for."""
    path = Path(name)
    if path.suffix.lower() in _SINGLE:
        return Images(tuple(numbered(path, count)), together=False)
    return Images((path,), together=True)


def write_expt(series: Series, target: Target, options: Options) -> list[str]:
    """Write the experiment list of a series.

    ``images``: the file, or pattern of files with ``#``, of the images.
    """
    sensor = settle_sensor(series.first.experiment.detector, options.sensor)
    images = None if options.images is None else images_of(options.images, len(series.pictures))
    text, said = expt_text(series, sensor, target.path.parent, images)
    target.fresh.write_text(text, encoding="utf-8")
    if images is None:
        said.append("without images (name them with --images, or export them in the same command)")
    return said


def expt_text(
    series: Series, sensor: Sensor, folder: Path, images: Images | None
) -> tuple[str, list[str]]:
    """Return the experiment list of a series, and what it does not hold.

    Parameters
    ----------
    series : Series
    sensor : Sensor
        The parallax of its depth is corrected only where a depth was simulated.
    folder : Path
        Of the list: names of images are relative to it.
    images : Images or None

    Returns
    -------
    text : str
    said : list of str
    """
    lists, said = truth_lists(series, sensor)
    count = len(series.pictures)
    if series.rotation is None:
        turn = lab_to_nexus(geometry_of(series.first))
        crystals = [crystal_of(one, turn, still=True) for one in series.pictures]
        lists["crystal"] = [crystal_entry(crystal) for crystal in crystals]
        common = lists["experiment"][0]
        lists["experiment"] = [{**common, "crystal": number} for number in range(count)]
        if images is not None:
            lists["imageset"] = [_still(images, folder, number) for number in range(count)]
    elif images is not None:
        lists["imageset"] = [_sweep(images, folder, count)]
        first = None if images.together else number_of(images.paths[0])
        if first is not None:
            lists["scan"][0]["image_range"] = [first, first + count - 1]
    if images is not None:
        for number, experiment in enumerate(lists["experiment"]):
            experiment["imageset"] = number
    return json.dumps(lists, indent=2) + "\n", said


def truth_lists(series: Series, sensor: Sensor) -> tuple[dict[str, Any], list[str]]:
    """Return the lists of the first experiment without images, and what they do not hold."""
    instrument = instrument_of(series, sensor)
    if sensor.attenuation == 0.0:
        panels = (replace(panel, thickness=0.0, material="") for panel in instrument.panels)
        instrument = replace(instrument, panels=tuple(panels))
    lists, said = dxtbx_lists(instrument)
    return lists, [text for text in said if not text.startswith("trusted values")]


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.absolute(), folder.absolute())


_PLAIN: dict[str, Any] = {
    "mask": None,
    "gain": None,
    "pedestal": None,
    "dx": None,
    "dy": None,
    "params": {},
}


def _still(images: Images, folder: Path, number: int) -> dict[str, Any]:
    """Return the image set of one still."""
    path = images.paths[0 if images.together else number]
    found: dict[str, Any] = {"__id__": "ImageSet", "images": [_relative(path, folder)]}
    if images.together:
        found["single_file_indices"] = [number]
    return {**found, **_PLAIN}


def _sweep(images: Images, folder: Path, count: int) -> dict[str, Any]:
    """Return the image set of a rotation series."""
    path = images.paths[0]
    if images.together:
        name = {"template": _relative(path, folder), "single_file_indices": list(range(count))}
    else:
        name = {"template": _relative(path.with_name(template_of(path)), folder)}
    return {"__id__": "ImageSequence", **name, **_PLAIN}

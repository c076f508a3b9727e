"""Experiment lists of dxtbx (``.expt``): what is true of the images, crystal included."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nbdask.export.geometry import geometry_of
from nbdask.export.instrument import crystal_of, instrument_of
from nbdask.export.kinds import FRAMES
from nbdask.export.names import number_of, numbered, template_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.options import Options
from nbdask.export.sensor import Sensor, settle_sensor
from nbdask.export.series import Series
from nbdask.export.target import Target
from nbdask.panels.write_dxtbx import crystal_entry, dxtbx_lists

#: Endings of files that hold one image each.
_SINGLE = (".cbf", ".img", ".smv")


class _Many(list[Any]):
    """A list for JSON whose members are made one by one, while they are written."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        super().__init__([None])  # not empty
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


@dataclass(frozen=True, slots=True)
class Images:
    """The files of the images that an experiment list belongs to.

    Parameters
    ----------
    paths : tuple of Path
    per_file : int
        Images that each of them holds, the last one perhaps fewer; 0: one, without numbers.
    """

    paths: tuple[Path, ...]
    per_file: int = 0

    def at(self, number: int) -> tuple[Path, int | None]:
        """Return file and place of an image in it; None: it is alone there."""
        if not self.per_file:
            return self.paths[number], None
        return self.paths[number // self.per_file], number % self.per_file


def images_of(
    name: str | os.PathLike[str], series: Series, shots_per_file: int | None = None
) -> Images:
    """Return the files that a name, or a pattern with ``#``, stands for."""
    path, count = Path(name), len(series.pictures)
    if path.suffix.lower() in _SINGLE:
        return Images(tuple(numbered(path, count, series.first_number)))
    if "#" not in path.name:
        return Images((path,), count)
    per_file = shots_per_file or FRAMES
    return Images(tuple(numbered(path, -(-count // per_file))), per_file)


def write_expt(series: Series, target: Target, options: Options) -> list[str]:
    """Write the experiment list of a series.

    ``images``: the file, or pattern of files with ``#``, of the images.
    """
    sensor = settle_sensor(series.first.experiment.detector, options.sensor)
    images = None
    if options.images is not None:
        images = images_of(options.images, series, options.shots_per_file)
    said = write_list(series, sensor, target, images)
    if images is None:
        said.append("without images (name them with --images, or export them in the same command)")
    return said


def write_list(series: Series, sensor: Sensor, target: Target, images: Images | None) -> list[str]:
    """Write an experiment list piece by piece, and return what it does not hold.

    Parameters as of :func:`expt_text`; ``target`` is the file.
    """
    lists, said = _lists(series, sensor, target.path.parent, images)
    with target.fresh.open("w", encoding="utf-8") as handle:
        handle.writelines(_text(lists))
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
    lists, said = _lists(series, sensor, folder, images)
    return "".join(_text(lists)), said


def _text(lists: dict[str, Any]) -> Iterator[str]:
    """Yield the file, in small pieces."""
    yield from json.JSONEncoder(indent=2).iterencode(lists)
    yield "\n"


def _lists(
    series: Series, sensor: Sensor, folder: Path, images: Images | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the content of an experiment list, and what it does not hold."""
    lists, said = truth_lists(series, sensor)
    if series.rotation is None:
        _add_stills(lists, series, sensor, images is not None)
        if images is not None:
            numbers = range(len(series.pictures))
            lists["imageset"] = _Many(lambda: (_still(images, folder, n) for n in numbers))
    elif images is not None:
        _add_sweeps(lists, images, folder, series.rotation.count)
    return lists, said


def _add_stills(lists: dict[str, Any], series: Series, sensor: Sensor, with_images: bool) -> None:
    """Make every image an experiment, with its crystal; with its beam and detector if they vary."""
    common, shots = lists["experiment"][0], series.of_shots
    varied = ["crystal", *(["imageset"] if with_images else [])]
    if shots is not None and (shots.moving or shots.colours):
        for key in ("beam", "detector"):
            lists[key] = _Many(partial(_varied, series, sensor, key))
            varied.append(key)
    numbers = range(len(series.pictures))
    lists["experiment"] = _Many(lambda: ({**common, **dict.fromkeys(varied, n)} for n in numbers))
    lists["crystal"] = _Many(
        lambda: (
            crystal_entry(crystal_of(one, lab_to_nexus(geometry_of(one)), still=True))
            for one in series.settings()
        )
    )


def _varied(series: Series, sensor: Sensor, key: str) -> Iterator[Any]:
    """Yield beam or detector of every image."""
    return (truth_lists(one, sensor)[0][key][0] for one in series.singles())


def _add_sweeps(lists: dict[str, Any], images: Images, folder: Path, count: int) -> None:
    """Name the files of a rotation; those of several images are a sweep each."""
    (common,), (scan,) = lists["experiment"], lists["scan"]
    size = images.per_file or count
    for key in ("experiment", "scan", "imageset"):
        lists[key] = []
    for number, start in enumerate(range(0, count, size)):
        path, many = images.paths[number], min(size, count - start)
        first = 1 if images.per_file else number_of(path) or 1
        begin, width = scan["oscillation"]
        lists["scan"].append(
            {
                **scan,
                "image_range": [first, first + many - 1],
                "oscillation": [begin + start * width, width],
                "exposure_time": [0.0] * many,
                "epochs": [0.0] * many,
            }
        )
        lists["imageset"].append(_sweep(images, folder, number, many))
        lists["experiment"].append({**common, "scan": number, "imageset": number})


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
    path, place = images.at(number)
    found: dict[str, Any] = {"__id__": "ImageSet", "images": [_relative(path, folder)]}
    if place is not None:
        found["single_file_indices"] = [place]
    return {**found, **_PLAIN}


def _sweep(images: Images, folder: Path, number: int, count: int) -> dict[str, Any]:
    """Return the image set of a rotation in one file, or in files of one image."""
    path = images.paths[number]
    if images.per_file:
        name = {"template": _relative(path, folder), "single_file_indices": list(range(count))}
    else:
        name = {"template": _relative(path.with_name(template_of(path)), folder)}
    return {"__id__": "ImageSequence", **name, **_PLAIN}

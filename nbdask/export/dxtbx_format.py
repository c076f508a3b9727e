"""Lets dxtbx, and so DIALS, open stores of nbdask: ``dials.import run.zarr``.

This module is loaded by dxtbx, through the entry point ``dxtbx.format``, in the Python of DIALS;
nothing else imports it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from dxtbx import IncorrectFormatError, flumpy
from dxtbx.format.Format import Format
from dxtbx.format.FormatMultiImage import FormatMultiImage
from dxtbx.model import Experiment
from dxtbx.model.experiment_list import ExperimentListFactory

from nbdask.export.expt import truth_lists
from nbdask.export.sensor import settle_sensor
from nbdask.export.series import Series
from nbdask.store.schema import FORMAT

#: The file of a store by which it is known; dxtbx looks at the files of a folder.
_ROOT = "zarr.json"


class FormatNbdask(FormatMultiImage, Format):  # type: ignore[misc]
    """A complete store of nbdask: one image, with the geometry of its experiment."""

    def __init__(self, image_file: str, **kwargs: Any) -> None:
        if not self.understand(image_file):
            raise IncorrectFormatError(self, image_file)
        FormatMultiImage.__init__(self, **kwargs)
        Format.__init__(self, image_file, **kwargs)

    @staticmethod
    def understand(image_file: str) -> bool:
        """Whether this is the root of a store."""
        if os.path.basename(image_file) != _ROOT:
            return False
        try:
            with open(image_file, encoding="utf-8") as handle:
                root = json.load(handle)
            return bool(root["attributes"]["format"] == FORMAT)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _start(self) -> None:
        """Open the store, and make dxtbx's models of it."""
        self._series = Series(Path(self._image_file).parent)
        sensor = settle_sensor(self._series.first.experiment.detector, None)
        lists, _ = truth_lists(self._series, sensor)
        lists["crystal"] = []
        lists["experiment"][0].pop("crystal", None)
        self._found: Experiment = ExperimentListFactory.from_dict(lists, check_format=False)[0]
        for panel in self._found.detector:
            panel.set_type("SENSOR_PAD")

    def _detector(self) -> Any:
        return self._found.detector

    def _beam(self, index: int | None = None) -> Any:
        return self._found.beam

    def _goniometer(self) -> Any:
        return self._found.goniometer

    def _scan(self) -> Any:
        return self._found.scan

    def get_num_images(self) -> int:
        """Return 1."""
        return 1

    def get_static_mask(self, index: int | None = None, goniometer: Any = None) -> Any:
        """Return which pixels of each panel are not masked; None where none is."""
        valid = [
            np.concatenate([~panel.unused(start, pixels) for start, pixels in panel.bands()])
            for panel in self._series.panels(0)
        ]
        if all(part.all() for part in valid):
            return None
        return tuple(flumpy.from_numpy(part) for part in valid)

    def get_raw_data(self, index: int | None = None) -> Any:
        """Return the pixels of each panel, float32."""
        return tuple(
            flumpy.from_numpy(np.concatenate([pixels for _, pixels in panel.bands()]))
            for panel in self._series.panels(0)
        )

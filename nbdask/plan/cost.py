"""Cost of an evaluation: nanoseconds by backend, precision and feature.

The figures come from the defaults of the kernels, or from a file that a measurement on this
machine left in the cache folder.  They decide the size of tiles and step ranges, and the estimate
of a run's time; no pixel depends on them.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.geometry.model import SHAPE_CODES, Model
from nbdask.plan.machine import cpu_name

#: What amplitudes cost: one number for all, the nearest grid point, tricubic interpolation.
AMPLITUDES = ("constant", "list", "tricubic")
SHAPES = tuple(SHAPE_CODES)

#: Mixed precision against float64 where it was not measured.
MIXED_FACTOR = 0.6
#: A factor evaluated for every term instead of once per pixel costs about this much more.
EACH_TERM_FACTOR = 1.5
#: A halo of diffuse scattering: one reciprocal cell and one rotation, compiled and in NumPy.
HALO_SECONDS = (2e-9, 2.5e-8)
#: An evaluation of the loops of planes, against one of the image's in float64: compiled, in NumPy.
PLANES_FACTOR = (1.5, 2.4)
#: The same of derivatives, however many there are.
SLOPES_FACTOR = (2.5, 6.0)
#: Amorphous background, seconds of a pixel: interpolation, then for each of the pixels that are
#: computed each sub-pixel and layer, source, material; the share that is computed for the grid.
COARSE_SECONDS, PLACE_SECONDS, SOURCE_SECONDS, MATERIAL_SECONDS = 5e-8, 4e-8, 4e-8, 2.5e-8
COARSE_SHARE = 1 / 20
#: Nanoseconds of a run, whatever its kernel: from the command to the first tile and after the last
#: one; what worker processes add, as many as there are cores; what the interpreter does for a tile
#: of any size, which is handed out and written in two small files; what a pixel takes that is
#: copied to a file beside the finished store.
RUN = {"run/start": 1.2e9, "run/workers": 3e9, "run/tile": 2.2e6, "run/copy": 30.0}


@dataclass(frozen=True)
class Costs:
    """Nanoseconds by key, with the place they come from.

    Parameters
    ----------
    defaults : mapping of str to float
        Nanoseconds of one thread: ``backend/precision/shape/amplitudes`` per evaluation, and
        ``backend/precision/pixel`` per pixel once (finish, check, write).
    measured : mapping of str to float
        Figures of this machine; they prevail over the defaults.
    source : str
        Where they come from, for the record.
    """

    defaults: Mapping[str, float]
    measured: Mapping[str, float] = field(default_factory=dict)
    source: str = "defaults"

    def lookup(self, key: str) -> float:
        """Return the nanoseconds for ``backend/precision/...``."""
        for known in (self.measured, self.defaults, RUN):
            if key in known:
                return known[key]
        backend, precision, rest = key.split("/", 2)
        if precision == "float64":
            raise KeyError(key)
        factor = 1.0 if rest == "pixel" else MIXED_FACTOR
        return factor * self.lookup(f"{backend}/float64/{rest}")

    def of_gpu(self, figures: Mapping[str, float]) -> Costs:
        """Return these figures with those of a GPU, which prevail.

        Parameters
        ----------
        figures : mapping of str to float
            Nanoseconds of an evaluation on the whole GPU; keys as in :class:`Costs`.
        """
        if not figures:
            return self
        measured = {**self.measured, **figures}
        return Costs(self.defaults, measured, "estimated from a GPU's clock and units")

    def per_evaluation(self, model: Model, backend: str, precision: str) -> float:
        """Return the seconds of one evaluation (pixel x step) on one thread."""
        if model.lattices:
            parts = [share.model for share in model.lattices]
            seconds = sum(
                part.n_steps * self.per_evaluation(part, backend, precision) for part in parts
            )
            return seconds / model.n_steps
        key = f"{backend}/{precision}/{SHAPES[model.shape]}/{amplitudes_of(model)}"
        factor = EACH_TERM_FACTOR if model.each_thick or model.each_polar or model.each_omega else 1
        seconds = 1e-9 * self.lookup(key) * factor
        if model.diffuse is not None:
            cells = (2 * model.diffuse.stencil + 1) ** 3
            seconds += cells * len(model.diffuse.forms) * HALO_SECONDS[backend == "numpy"]
        return seconds

    def of_planes(self, model: Model, backend: str) -> float:
        """Return the seconds that one evaluation adds where further planes are asked for."""
        if model.diffuse is not None:
            model = replace(model, diffuse=None)
        return PLANES_FACTOR[backend == "numpy"] * self.per_evaluation(model, backend, "float64")

    def of_slopes(self, model: Model, backend: str) -> float:
        """Return the seconds that one evaluation adds where the image is differentiated."""
        return SLOPES_FACTOR[backend == "numpy"] * self.per_evaluation(model, backend, "float64")

    def background(self, model: Model) -> float:
        """Return the seconds of a pixel's amorphous background, at most."""
        materials = len(model.amorphous)
        if not materials:
            return 0.0
        places = model.layers * model.oversample**2
        each = PLACE_SECONDS + model.n_sources * (SOURCE_SECONDS + materials * MATERIAL_SECONDS)
        share = 1.0 if any(m.rough for m in model.amorphous) else COARSE_SHARE
        return COARSE_SECONDS + share * places * each

    def of_run(self, part: str) -> float:
        """Return the seconds of a part of :data:`RUN`, such as ``"start"``."""
        return 1e-9 * self.lookup(f"run/{part}")

    def per_pixel(self, backend: str, precision: str) -> float:
        """Return the seconds that a pixel costs once: finishing, checking, writing it."""
        return 1e-9 * self.lookup(f"{backend}/{precision}/pixel")


def amplitudes_of(model: Model) -> str:
    """Return which of ``AMPLITUDES`` the model uses."""
    if model.f_grid.size == 0:
        return "constant"
    return "tricubic" if model.interpolate else "list"


def cache_folder() -> Path:
    """Return the folder of measured figures: ``NBDASK_CACHE_DIR``, or the user's cache folder."""
    given = os.environ.get("NBDASK_CACHE_DIR")
    if given:
        return Path(os.path.expanduser(given))
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "nbdask"


def costs_file() -> Path:
    """Return the file that holds the measured figures, one entry per processor model."""
    return cache_folder() / "costs.json"


def load_costs(defaults: Mapping[str, float], path: Path | None = None) -> Costs:
    """Return the figures measured on this processor model, or the defaults.

    Parameters
    ----------
    defaults : mapping of str to float
        As in :class:`Costs`.
    path : Path or None
        The file; None: :func:`costs_file`.  A missing or unreadable file is no error.
    """
    path = costs_file() if path is None else path
    try:
        entry = _machines(path)[cpu_name()]["nanoseconds"]
        found = {str(key): float(value) for key, value in entry.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Costs(defaults)
    measured = {key: value for key, value in found.items() if 0.0 < value < math.inf}
    return Costs(defaults, measured, str(path))


def _machines(path: Path) -> Any:
    """Return what a file of figures holds of each processor model; ValueError where it is none."""
    if not path.is_file():
        raise ValueError
    try:
        return json.loads(path.read_text())["machines"]
    except RecursionError:
        raise ValueError from None


def check_writable(path: Path) -> None:
    """Raise InputError where figures could not be written to a file; its folder is made.

    Raises
    ------
    InputError
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path.parent}: {error.strerror or error}: must be a folder that you may write to"
            " (NBDASK_CACHE_DIR names another one)"
        ) from None


def save_costs(measured: Mapping[str, float], path: Path | None = None) -> Path:
    """Write figures measured on this machine, keeping those of other processor models.

    Parameters
    ----------
    measured : mapping of str to float
        Nanoseconds, keys as in :class:`Costs`.
    path : Path or None
        The file; None: :func:`costs_file`.

    Returns
    -------
    Path
        The file, replaced as a whole.
    """
    path = costs_file() if path is None else path
    try:
        machines = dict(_machines(path))
    except (OSError, ValueError, KeyError, TypeError):
        machines = {}
    machines[cpu_name()] = {"nanoseconds": {k: round(v, 4) for k, v in sorted(measured.items())}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as fresh:
        fresh.write_text(json.dumps({"format": 1, "machines": machines}, indent=1) + "\n")
    return path

"""Bytes: of a task, of a run, and as text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields

import numpy as np

from nbdask.errors import PlanError
from nbdask.geometry.model import Model

#: Resident bytes of a process after its imports and compilation, before any tile.
PROCESS_BYTES = 320 << 20
#: Amplitude tables from this size on are mapped from a file instead of held in memory.
MAPPED_BYTES = 64 << 20
#: Share of the machine's memory that a plan may use when no limit is given.
DEFAULT_SHARE = 0.7
#: Planes of 8 bytes that the amorphous background of a tile needs at most.
BACKGROUND_PLANES = 12
#: Planes of 8 bytes of a tile's moments: sum, wavelength, indices, gain.
MOMENT_PLANES = 6


def parse_bytes(value: int | float | str, name: str = "--memory-limit") -> int:
    """Read a number of bytes such as ``4000000000``, ``"4GB"``, ``"1.5 GiB"`` or ``"800M"``.

    Parameters
    ----------
    value : int, float or str
        kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB and bare K, M, G, T of 1024.
    name : str
        The flag that an error names.

    Raises
    ------
    PlanError
        Not a number of bytes above 0.
    """
    from dask.utils import parse_bytes as parsed

    text = str(value).strip().lower()
    # dask takes a bare K, M, G or T for a power of 1000.
    text = re.sub(r"(?<=[\d. ])[kmgt]$", r"\g<0>ib", text)
    with suppress(ValueError, OverflowError):
        plain = text.isascii() and "_" not in text and text[:1] in tuple("0123456789.")
        if plain and 1 <= (count := int(parsed(text))) < 2**63:
            return count
    raise PlanError(f"{name} = {value!r}: must be a size above 0 such as 800MB, 2GiB or 4e9")


def format_bytes(count: float) -> str:
    """Return a number of bytes for people: ``"1.5 GiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def model_bytes(model: Model) -> int:
    """Return the bytes of the model's arrays, which every process holds once.

    A large amplitude table is not counted: it is mapped, and gives way when memory is short.  The
    squared amplitudes that kernels look up without interpolation are: they have a border of their
    own, and every process makes them for itself.
    """
    if model.lattices:
        return sum(model_bytes(share.model) for share in model.lattices)
    # Not the slots: in Python 3.11.2 and before that of weak references cannot be read.
    arrays = {field.name: getattr(model, field.name) for field in fields(model)}
    for name in ("f_grid", "f_more"):
        if arrays[name].nbytes >= MAPPED_BYTES:
            del arrays[name]
    squared = 0
    if model.f_grid.size and not model.interpolate:
        squared = 8 * model.n_tables * math.prod(n + 2 for n in model.f_grid.shape)
    elif model.n_tables > 1:
        # Tables that follow one another.
        squared = model.f_grid.nbytes + model.f_more.nbytes
    return squared + sum(a.nbytes for a in arrays.values() if isinstance(a, np.ndarray))


def task_bytes(
    model: Model,
    pixels: int,
    ranges: int,
    working_bytes: Callable[[Model, int], int],
    arrays: int = 0,
) -> int:
    """Return the most bytes that one running task and its share of waiting results need.

    Parameters
    ----------
    model : Model
    pixels : int
        Pixels of a tile.
    ranges : int
        Step ranges per tile.
    working_bytes : callable
        The kernel's own need for a model and a number of pixels.
    arrays : int
        Further planes of the image.

    Returns
    -------
    int
        The kernel's working memory, its result planes (float64: sum, and gain for a running
        product), two more sets of planes while ranges are merged, the mask, the float32 image
        and its encoded copy on their way to the store.
    """
    planes = 16 if model.running_product else 8
    sets = 1 if ranges == 1 else 4
    mask = int(any(frame.mask is not None for frame in model.panels or (model,)))
    background = BACKGROUND_PLANES * 8 if model.is_finished_later else 0
    own = pixels * (sets * planes + mask + 12)
    if arrays:
        # Of the moments there are two more sets while they are summed and divided.
        own += pixels * ((sets + 2) * MOMENT_PLANES * 8 + arrays * 8)
    # The kernel's own need has passed when the background is added.
    return max(working_bytes(model, pixels) + own, own + pixels * background)


def slope_bytes(slopes: int) -> int:
    """Return the bytes of a pixel's derivatives: planes, what is stored of them, its encoded copy.

    Parameters
    ----------
    slopes : int
        Parameters; 0: none are computed.
    """
    return 8 * (1 + 3 * slopes) if slopes else 0


def process_bytes(task: int, model: int, threads: int) -> int:
    """Return the bytes of one process: its own, the model's, and its running tasks'.

    Parameters
    ----------
    task : int
        Bytes of one running task.
    model : int
        Bytes of the model.
    threads : int
        Tasks that run at once in the process.
    """
    return PROCESS_BYTES + model + threads * task

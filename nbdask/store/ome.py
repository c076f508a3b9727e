"""OME-Zarr metadata of a store with a pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbdask.store import schema

VERSION = "0.5"


#: Types of the axes that may come before those of space.
_BEFORE = {schema.SHOT: "time", schema.PANEL: "channel"}


def root_metadata(dims: Sequence[str], size: float) -> dict[str, Any]:
    """Return the metadata of the root: the image, which is level 0.

    OME-Zarr wants the axes to have the names of the arrays' dimensions, and those of the levels
    are others; so the levels of each kind are an image of their own.

    Parameters
    ----------
    dims : sequence of str
        Dimensions of the image.
    size : float
        Pixel size of the image [m].

    Returns
    -------
    dict
        The value of the attribute ``ome``.
    """
    return ome_image("image", dims, {0: schema.IMAGE}, size, {})


def ome_image(
    name: str, axes: Sequence[str], paths: Mapping[int, str], size: float, what: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of one multiscale image.

    Parameters
    ----------
    name : str
    axes : sequence of str
        Two, and before them those of shots and panels.  Panels may have any pitches, so theirs are
        pixels of the panel, not metres.
    paths : mapping
        Level -> its array.
    size : float
        Pixel size of the image [m].
    what : mapping
        Further fields.
    """
    several = schema.PANEL in axes
    unit: dict[str, str] = {} if several else {"unit": "meter"}
    named: list[dict[str, str]] = [{"name": axis, "type": "space", **unit} for axis in axes[-2:]]
    named = [*({"name": axis, "type": _BEFORE[axis]} for axis in axes[:-2]), *named]
    datasets = [
        _dataset(path, level, 1.0 if several else size, len(axes) - 2)
        for level, path in paths.items()
    ]
    image = {"name": name, **what, "axes": named, "datasets": datasets}
    return {"version": VERSION, "multiscales": [image]}


def _dataset(path: str, level: int, size: float, before: int) -> dict[str, Any]:
    """Return a level with its scale and the place of its first pixel's centre.

    Places count from the centre of the image's first pixel.
    """
    scale, shift = size * 2**level, size * (2**level - 1) / 2
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*[1.0] * before, scale, scale]}]
    if level:
        moved = [*[0.0] * before, shift, shift]
        transforms.append({"type": "translation", "translation": moved})
    return {"path": path, "coordinateTransformations": transforms}

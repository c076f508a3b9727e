"""OME-Zarr metadata of a store with a pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbdask.store import schema

VERSION = "0.5"


def root_metadata(panels: int, size: float) -> dict[str, Any]:
    """Return the metadata of the root: the image, which is level 0.

    OME-Zarr wants the axes to have the names of the arrays' dimensions, and those of the levels
    are others; so the levels of each kind are an image of their own.

    Parameters
    ----------
    panels : int
    size : float
        Pixel size of the image [m].

    Returns
    -------
    dict
        The value of the attribute ``ome``.
    """
    axes = (schema.SLOW, schema.FAST)
    every = axes if panels == 1 else (schema.PANEL, *axes)
    return ome_image("image", every, {0: schema.IMAGE}, size, {})


def ome_image(
    name: str, axes: Sequence[str], paths: Mapping[int, str], size: float, what: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of one multiscale image.

    Parameters
    ----------
    name : str
    axes : sequence of str
        Two, or three where the first is that of panels.  Panels may have any pitches, so theirs
        are pixels of the panel, not metres.
    paths : mapping
        Level -> its array.
    size : float
        Pixel size of the image [m].
    what : mapping
        Further fields.
    """
    several = len(axes) > 2
    unit: dict[str, str] = {} if several else {"unit": "meter"}
    named: list[dict[str, str]] = [{"name": axis, "type": "space", **unit} for axis in axes[-2:]]
    if several:
        named.insert(0, {"name": axes[0], "type": "channel"})
    datasets = [
        _dataset(path, level, 1.0 if several else size, several) for level, path in paths.items()
    ]
    image = {"name": name, **what, "axes": named, "datasets": datasets}
    return {"version": VERSION, "multiscales": [image]}


def _dataset(path: str, level: int, size: float, several: bool) -> dict[str, Any]:
    """Return a level with its scale and the place of its first pixel's centre.

    Places count from the centre of the image's first pixel.
    """
    scale, shift = size * 2**level, size * (2**level - 1) / 2
    first = ([1.0], [0.0]) if several else ([], [])
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*first[0], scale, scale]}]
    if level:
        transforms.append({"type": "translation", "translation": [*first[1], shift, shift]})
    return {"path": path, "coordinateTransformations": transforms}

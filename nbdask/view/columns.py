"""What the viewer's page shows, as Bokeh's sources of data take it."""

from __future__ import annotations

from typing import Any

from nbdask.view.scene import Scene, Window


def columns(window: Window) -> dict[str, list[Any]]:
    """Return a window as Bokeh takes it; a whole number is the centre of a pixel."""
    region = window.region
    return {
        "image": [window.values],
        "x": [region.fast0 - 0.5],
        "y": [region.slow0 - 0.5],
        "dw": [region.shape[1]],
        "dh": [region.shape[0]],
        "factor": [window.factor],
    }


def marked(scene: Scene) -> dict[str, list[float]]:
    """Return the edges of damaged tiles."""
    tiles = [scene.levels.grid[index] for index in scene.damage.tiles]
    return {
        "left": [tile.fast0 - 0.5 for tile in tiles],
        "right": [tile.fast1 - 0.5 for tile in tiles],
        "top": [tile.slow0 - 0.5 for tile in tiles],
        "bottom": [tile.slow1 - 0.5 for tile in tiles],
    }


def ring_columns(rings: list[Any]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return lines and names of rings; a ring is its resolution, its lines, the name's place."""
    lines = [line for _, found, _ in rings for line in found]
    return (
        {"xs": [line[:, 1] for line in lines], "ys": [line[:, 0] for line in lines]},
        {
            "x": [float(at[1]) for _, _, at in rings],
            "y": [float(at[0]) for _, _, at in rings],
            "text": [f"{d * 1e10:.3g} Å" for d, _, _ in rings],
        },
    )

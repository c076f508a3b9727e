"""Stores of discontinued kernels: which kernel finishes them, and how close it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbdask.kernels.registry import BACKENDS

#: Replacements of discontinued kernels.
_SUCCESSOR = "cpu"
#: Most that the two differ, by precision, as a share of a tile's brightest pixel.
_BOUNDS = {"float64": 2e-7, "mixed": 1e-5}


def backend_of(attributes: Mapping[str, Any]) -> str:
    """Return the backend that computes today what a store's root or plan has on record."""
    return _SUCCESSOR if is_replaced(attributes) else str(attributes.get("backend"))


def is_replaced(attributes: Mapping[str, Any]) -> bool:
    """Whether the kernel on record is discontinued, so that bits may differ from those of today."""
    return attributes.get("backend") not in BACKENDS


def bound_of(attributes: Mapping[str, Any]) -> float:
    """Return how far a tile that is computed again may be off, as a share of its maximum."""
    return _BOUNDS.get(attributes["precision"], 0.0) if is_replaced(attributes) else 0.0


def note_of(attributes: Mapping[str, Any], version: str) -> tuple[str, ...]:
    """Return what goes on record where another kernel adds tiles to a store.

    Parameters
    ----------
    attributes : mapping
        Of the root.
    version : str
        Of the kernel that adds them.

    Returns
    -------
    tuple of str
        Empty if the kernel still exists.
    """
    if not is_replaced(attributes):
        return ()
    return (
        f"begun with the kernel {attributes['backend']} and continued with"
        f" {backend_of(attributes)}, version {version}: tiles of the two agree within"
        f" {bound_of(attributes):.0e} of a tile's maximum, not in every bit",
    )

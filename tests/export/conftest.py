"""A store that the tests of exported files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.experiment import Scan
from nbdask.export import picture as picture_module
from nbdask.units import from_degrees
from tests.export.stores import experiment_of, picture_of, store_of


@pytest.fixture
def image() -> np.ndarray:
    """More than one tile, chunk and band, and no multiple of them."""
    return picture_of((150, 230))


@pytest.fixture
def store(tmp_path: Path, image: np.ndarray) -> Path:
    """A complete store with that image."""
    scan = Scan(phi0=from_degrees(12.5), osc=from_degrees(0.1), count=3)
    return store_of(tmp_path / "a.zarr", experiment_of(*image.shape, scan=scan), image)


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows, so that what is carried from one to the next is tested."""
    monkeypatch.setattr(picture_module, "BAND_BYTES", 1)
    monkeypatch.setattr(picture_module, "PIECE_BYTES", 230 * 4 * 7)

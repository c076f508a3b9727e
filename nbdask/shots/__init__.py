"""Data sets: what varies from shot to shot of a series of images.

Formulas: specification, shots (S-SHOT).
"""

from nbdask.shots.distributions import Distribution, Steps
from nbdask.shots.orientations import Grid, Orientations
from nbdask.shots.series import Series
from nbdask.shots.spectra import MeasuredSpectra, SaseSpectra
from nbdask.shots.tables import Table

__all__ = [
    "Distribution", "Grid", "MeasuredSpectra", "Orientations", "SaseSpectra", "Series", "Steps",
    "Table",
]  # fmt: skip

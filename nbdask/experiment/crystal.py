"""The crystal: cell, orientation, size, shape and mosaicity."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.diffuse import Diffuse
from nbdask.experiment.mosaic import Mosaic

SHAPES = ("square", "round", "gauss", "tophat", "spherical")
CENTRINGS = ("P", "A", "B", "C", "I", "F", "R")
#: The kernels count cells in 32 bits.
MOST_CELLS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Crystal:
    """One crystal, made of identical mosaic domains.

    Parameters
    ----------
    cell : tuple of 6 floats or None
        a, b, c [m] and alpha, beta, gamma [rad].  Default orientation: a* along x, b* in the
        x-y plane.
    matrix : tuple of 9 floats or None
        A MOSFLM orientation matrix as in its file, row by row: rows x, y, z, columns a*, b*, c*,
        in units of 1/wavelength (dimensionless).  With ``cell`` too, the matrix gives the
        orientation, the cell the lengths and the volume.
    misset : tuple of 3 floats, ``"random"`` or None
        Rotations [rad] of the reciprocal axes about lab x, then y, then z (right-handed).
    misset_seed : int or None
        Seed of a random misset.
    matrix_file : str or None
        Where ``matrix`` was read from, for the record.
    n_cells : tuple of 3 ints
        Unit cells along a, b, c.
    cells_matrix : tuple of 9 floats or None
        N of a gauss crystal, row by row, instead of ``n_cells``: its lattice factor is
        det(N) exp(-|N (h - h0)|^2 / 0.63 fudge).  ``n_cells`` then holds the lengths of its
        columns, rounded up.
    size : tuple of 3 floats
        Sample dimensions [m]; one above 0 sets the number of cells along a, b or c.
    shape : str
        ``"square"``, ``"round"``, ``"gauss"``, ``"tophat"``, or ``"spherical"``: Gaussian spots of
        equal width in all directions of reciprocal space, about the nodes that ``centring`` leaves.
    centring : str
        Of the cell, for spherical spots: P, A, B, C, I, F, or R (obverse, hexagonal axes).
    fudge : float
        Factor, at least 0, on the squared radius of round, gauss and tophat spots.
    mosaic_spread : float or None
        Mosaic spread [rad]; None: not given.
    mosaic_domains : int or None
        Number of mosaic domains; None: 10 with a spread, 1 without.
    mosaic_seed : int
        Seed of the mosaic domains' rotations.
    mosaic : Mosaic
        How the domains are oriented, beyond nanoBragg's cap.
    diffuse : Diffuse or None
        Diffuse scattering around reflections.
    """

    cell: tuple[float, ...] | None = None
    matrix: tuple[float, ...] | None = None
    misset: tuple[float, ...] | str | None = None
    misset_seed: int | None = None
    matrix_file: str | None = None
    n_cells: tuple[int, ...] = (1, 1, 1)
    cells_matrix: tuple[float, ...] | None = None
    size: tuple[float, ...] = (0.0, 0.0, 0.0)
    shape: str = "square"
    centring: str = "P"
    fudge: float = 1.0
    mosaic_spread: float | None = None
    mosaic_domains: int | None = None
    mosaic_seed: int = 12345678
    mosaic: Mosaic = field(default_factory=Mosaic)
    diffuse: Diffuse | None = None

    __repr__ = checks.brief

    @classmethod
    def from_cell(
        cls,
        a: float,
        b: float | None = None,
        c: float | None = None,
        alpha: float = 90.0,
        beta: float = 90.0,
        gamma: float = 90.0,
        **fields: Any,
    ) -> Crystal:
        """Return a crystal whose cell is given in Angstrom and degrees.

        Parameters
        ----------
        a, b, c : float
            Lengths [Angstrom]; ``b`` and ``c`` are ``a`` unless given.
        alpha, beta, gamma : float
            Angles [degrees].
        **fields
            The other fields, in their own units: see the class.
        """
        given = [a if length is None else length for length in (a, b, c)] + [alpha, beta, gamma]
        values = [checks.number("crystal.cell", x) for x in given]
        # No cell is as small, or as flat.
        if any(0.0 < x < 1e-3 for x in values[:3]) or any(0.0 < x < math.pi for x in values[3:]):
            raise FieldError("crystal.cell", tuple(given), "in Angstrom and degrees")
        cell = (*map(units.from_angstrom, values[:3]), *map(units.from_degrees, values[3:]))
        return cls(cell=cell, **fields)

    def __post_init__(self) -> None:
        """Check every field and that the cell is possible."""
        if self.cell is None and self.matrix is None:
            raise FieldError("crystal.cell", None, "given, or else crystal.matrix")
        if self.cell is not None:
            checks.assign(self, cell=_checked_cell(self.cell))
        if self.matrix is not None:
            checks.assign(self, matrix=_checked_matrix(self.matrix))
        _check_misset(self)
        checks.assign(
            self,
            n_cells=tuple(
                checks.integer("crystal.n_cells", n, low=1, high=MOST_CELLS)
                for n in checks.vector("crystal.n_cells", self.n_cells)
            ),
            size=checks.vector("crystal.size", self.size),
            fudge=_checked_fudge(self.fudge),
            matrix_file=checks.optional(checks.path, "crystal.matrix_file", self.matrix_file),
            mosaic_spread=checks.optional(
                checks.spread, "crystal.mosaic_spread", self.mosaic_spread
            ),
            mosaic_seed=checks.integer("crystal.mosaic_seed", self.mosaic_seed),
        )
        checks.one_of("crystal.shape", self.shape, SHAPES)
        if not (self.diffuse is None or isinstance(self.diffuse, Diffuse)):
            raise FieldError("crystal.diffuse", self.diffuse, "a Diffuse")
        checks.one_of("crystal.centring", self.centring, CENTRINGS)
        if self.shape == "spherical" and self.fudge == 0.0:
            raise FieldError("crystal.fudge", self.fudge, "above 0 with spherical spots")
        if self.cells_matrix is not None:
            _check_cells_matrix(self)
        if self.mosaic_domains is not None:
            domains = checks.integer("crystal.mosaic_domains", self.mosaic_domains, low=1)
            checks.assign(self, mosaic_domains=domains)
        _check_mosaic(self)


def _check_mosaic(crystal: Crystal) -> None:
    mosaic = crystal.mosaic
    if not isinstance(mosaic, Mosaic):
        raise FieldError("crystal.mosaic", mosaic, "a Mosaic")
    spread, count = crystal.mosaic_spread, crystal.mosaic_domains
    if mosaic.widths is not None and spread is not None:
        raise FieldError("crystal.mosaic_spread", spread, "left out beside three widths")
    if mosaic.domains and (spread is not None or count is not None):
        given = f"{spread} rad, {count} domains"
        raise FieldError("crystal.mosaic_spread", given, "left out where domains are listed")
    if mosaic.tolerance is not None and count is not None:
        raise FieldError("crystal.mosaic_domains", count, "left out beside a tolerance")


def _checked_cell(cell: object) -> tuple[float, ...]:
    values = checks.vector("crystal.cell", cell, length=6)
    allowed = "three lengths above 0 and three angles between 0 and 180 degrees"
    if any(x <= 0.0 for x in values[:3]) or any(not 0.0 < x < math.pi for x in values[3:]):
        allowed += checks.radians_hint(values[3:])
        raise FieldError("crystal.cell", values, allowed)
    for length in values[:3]:
        checks.size("crystal.cell", length)
    checks.tell("crystal.cell", values[:3], 1e-3, ("metres", "Angstrom", units.angstrom))
    alpha, beta, gamma = values[3:]
    half = (alpha + beta + gamma) / 2
    # Each of the four must be positive, or no triangle of directions has these angles.
    terms = (half, half - alpha, half - beta, half - gamma)
    if any(math.sin(t) <= 1e-9 for t in terms):
        raise FieldError(
            "crystal.cell",
            values,
            "a possible cell: each angle below the sum of the other two, all three below 360 deg",
        )
    return values


def _checked_matrix(matrix: object) -> tuple[float, ...]:
    m = checks.vector("crystal.matrix", matrix, length=9)
    if not checks.LEAST <= max(abs(x) for x in m) <= checks.GREATEST:
        raise FieldError("crystal.matrix", m, f"numbers between {checks.LEAST:g} and 1e+30 in size")
    scale = math.sqrt(sum(x * x for x in m)) ** 3
    if abs(_determinant(m)) <= 1e-12 * scale:
        raise FieldError("crystal.matrix", m, "nine numbers with a determinant that is not 0")
    return m


def _checked_fudge(fudge: object) -> float:
    value = checks.not_negative("crystal.fudge", fudge)
    # Far below, the shape of a round crystal is the difference of two numbers that are equal.
    if value != 0.0 and not 1e-12 <= value <= 1e12:
        raise FieldError("crystal.fudge", fudge, "0, or between 1e-12 and 1e+12")
    return value


def _determinant(m: tuple[float, ...]) -> float:
    return (
        m[0] * (m[4] * m[8] - m[5] * m[7])
        - m[1] * (m[3] * m[8] - m[5] * m[6])
        + m[2] * (m[3] * m[7] - m[4] * m[6])
    )


def _check_cells_matrix(crystal: Crystal) -> None:
    name = "crystal.cells_matrix"
    matrix = checks.vector(name, crystal.cells_matrix, length=9)
    if crystal.shape != "gauss" or any(crystal.size):
        raise FieldError(name, matrix, 'given only with shape "gauss" and without crystal.size')
    if _determinant(matrix) <= 0.0:
        raise FieldError(name, matrix, "nine numbers with a determinant above 0")
    lengths = [math.hypot(*matrix[i::3]) for i in range(3)]
    if max(lengths) > MOST_CELLS:
        raise FieldError(name, matrix, f"columns of a length of at most {MOST_CELLS}")
    columns = tuple(math.ceil(length) for length in lengths)
    if crystal.n_cells not in ((1, 1, 1), columns):
        raise FieldError("crystal.n_cells", crystal.n_cells, f"left out with {name}")
    checks.assign(crystal, cells_matrix=matrix, n_cells=columns)


def _check_misset(crystal: Crystal) -> None:
    misset = crystal.misset
    if isinstance(misset, str):
        checks.one_of("crystal.misset", misset, ("random",))
        if crystal.misset_seed is None:
            raise FieldError("crystal.misset_seed", None, "given with a random misset")
    elif misset is not None:
        angles = checks.vector("crystal.misset", misset)
        checks.assign(crystal, misset=checks.angles("crystal.misset", angles))
    if crystal.misset_seed is not None:
        seed = checks.integer("crystal.misset_seed", crystal.misset_seed)
        checks.assign(crystal, misset_seed=seed)

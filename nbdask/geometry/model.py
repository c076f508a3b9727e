"""The model: flat arrays and numbers that every kernel reads, computed once per run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nbdask.background.layer import Layer
from nbdask.inputs.shadow import ShadowFile

Array = NDArray[np.float64]

#: Codes of the crystal shapes.
SQUARE, ROUND, GAUSS, TOPHAT, SPHERICAL = range(5)
SHAPE_CODES = {
    "square": SQUARE,
    "round": ROUND,
    "gauss": GAUSS,
    "tophat": TOPHAT,
    "spherical": SPHERICAL,
}


class PixelMask(Protocol):
    """Which pixels are evaluated."""

    def read(self, slow0: int, slow1: int, fast0: int, fast1: int) -> NDArray[np.bool_]:
        """Return a rectangle, half-open: (n_slow, n_fast) bool, True where one is evaluated."""


@dataclass(frozen=True, slots=True, eq=False)
class PanelFrame:
    """One panel as kernels see it; fields as those of the same names in :class:`Model`."""

    name: str
    n_slow: int
    n_fast: int
    fast: Array
    slow: Array
    normal: Array
    origin: Array
    pitch_fast: float
    pitch_slow: float
    area: float
    distance: float
    close_distance: float
    layer_step: float
    mu: float
    thickness: float
    mask: PixelMask | None


class Share(NamedTuple):
    """One of several crystals: its own model, and the factor of its sum in that of all."""

    factor: float
    model: Model


@dataclass(frozen=True, slots=True, eq=False)
class BeamStop:
    """A disc across the beam, seen as its shadow at the detector.

    Attributes
    ----------
    radius, distance : float
        Of the shadow [m]; its distance along the beam [m].
    centre : (3,) float64 array
        From the sample [m].
    """

    radius: float
    distance: float
    centre: Array


@dataclass(frozen=True, slots=True, eq=False)
class DiffuseForms:
    """Diffuse scattering around reflections.

    Attributes
    ----------
    forms : (n, 12) float64 array
        Of each rotation of the Laue group: the quadratic form of indices that widens a halo, and
        the one that gives the strength of the motion; each xx, yy, zz, 2 xy, 2 xz, 2 yz.
    stencil : int
        Halos of reciprocal cells up to this far along h, k and l reach a point.
    factor : float
    """

    forms: Array
    stencil: int
    factor: float


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How many photons a pixel may lack.

    Attributes
    ----------
    photons : float or None
        None: a thousandth of the root of the background, or 1e-4.
    share : float
        Of a crystal among several.
    water : float
        Photons of the uniform background per steradian, without polarization.
    """

    photons: float | None
    share: float = 1.0
    water: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """What the kernels evaluate.  Arrays are C-contiguous float64; lengths in metres.

    Attributes
    ----------
    n_slow, n_fast : int
        Pixels of the detector; of several panels those of the box around all.
    fast, slow, normal, origin, beam : (3,) arrays
        Unit vectors of the detector as it stands, outer corner of the first pixel [m], and the
        beam's direction.  Of several panels, here and below, those of the first: see :meth:`at`.
    pitch_fast, pitch_slow, distance, close_distance : float
        [m]
    area : float
        Of a pixel [m^2].
    curved, point_pixel : bool
    oversample : int
        Sub-pixels along each pixel edge.
    layers : int
        Sensor layers; ``layer_step`` [m] apart; ``mu`` [1/m]; ``thickness`` [m], 0: not modelled.
    incident : (n_sources, 3) array
        Unit vectors in which the photons travel.
    wavelength, weight : (n_sources,) arrays
        [m] and dimensionless (all 1 unless weights are applied).
    polar_e, polar_b : (n_sources, 3) arrays
        Directions of the electric and magnetic field of each source.
    kahn : float
        Kahn factor; ``polarized`` False: the factor is 1 everywhere.
    dmin : float
        Finest resolution [m]; 0: none.
    n_phi, n_domains : int
        Rotation steps and mosaic domains.
    axes : (n_phi * n_domains, 3, 3) array
        Real-space cell vectors [m] for each phi step (outer) and domain (inner):
        ``axes[o, i]`` is a, b or c.
    domain_weight : (n_domains,) array
        Relative number of cells of each domain; 1 everywhere but for listed ones.
    first_axes : (n_domains, 3, 3) array or None
        C semantics only: the cell vectors that the first evaluation of the image uses at its
        first phi step; None where it needs no exception.
    star : (3, 3) array
        Unrotated reciprocal vectors a*, b*, c* [1/Angstrom] (gauss and tophat shapes).
    n_cells : (3,) array
        Cells along a, b, c.
    cells_matrix : (3, 3) array or None
        N of a gauss crystal whose cells are given by a matrix.
    nodes : (3, 3) array or None
        Of spherical spots: columns h, k, l of a short basis of the indices that a centring allows.
    shape : int
        SQUARE, ROUND, GAUSS, TOPHAT or SPHERICAL.
    fudge : float
    f_grid : (n_h, n_k, n_l) array
        Amplitudes; shape (0, 0, 0) without a list.
    f_more : (n_tables - 1, n_h, n_k, n_l) array
        Amplitudes at further energies of a spectrum.
    f_table : (n_sources,) int64 array
        Number of each source's table: 0 ``f_grid``, i ``f_more[i - 1]``.
    f_min : (3,) int64 array
        h, k, l of ``f_grid[0, 0, 0]``.
    default_F : float
        Amplitude outside the grid.
    interpolate : bool
        Tricubic interpolation.
    interp_low, interp_high : (3,) arrays
        Inclusive bounds of fractional h, k, l inside which interpolation is done; elsewhere
        ``default_F`` is used and the evaluation counted.
    background : float
        What the sum of a pixel starts from (water).
    scale : float
        r_e^2 * fluence / number of steps: [photons] per unit of the sum.
    each_thick, each_polar, each_omega : bool
        Whether that factor is applied to every term instead of once per pixel.
    running_product : bool
        C semantics with any of these: the running sum is multiplied after each added term.
    roi : tuple of 4 ints
        slow_min, slow_max, fast_min, fast_max, inclusive, clipped to the detector.
    mask : PixelMask or None
        Pixels that are not evaluated.
    refuse_outside : bool
        C semantics: an interpolation outside the grid ends the run with an explanation.
    notes : tuple of str
        What the user should be told about choices made here.
    lattices : tuple of Share
        Of several crystals: each of them, the first too, whose fields this model has.
    panels : tuple of PanelFrame
        Where there are several.
    amorphous : tuple of Layer
        Amorphous materials in the beam.
    beamstop : BeamStop or None
    diffuse : DiffuseForms or None
        Scattering around reflections.
    shadow : ShadowFile or None
        Share of the photons that reaches each pixel.
    cutoff : Cutoff or None
        Terms that may be left out.
    """

    n_slow: int
    n_fast: int
    fast: Array
    slow: Array
    normal: Array
    origin: Array
    beam: Array
    pitch_fast: float
    pitch_slow: float
    area: float
    distance: float
    close_distance: float
    curved: bool
    point_pixel: bool
    oversample: int
    layers: int
    layer_step: float
    mu: float
    thickness: float
    incident: Array
    wavelength: Array
    weight: Array
    polar_e: Array
    polar_b: Array
    kahn: float
    polarized: bool
    dmin: float
    n_phi: int
    n_domains: int
    axes: Array
    domain_weight: Array
    first_axes: Array | None
    star: Array
    n_cells: Array
    cells_matrix: Array | None
    nodes: Array | None
    shape: int
    fudge: float
    f_grid: Array
    f_more: Array
    f_table: NDArray[np.int64]
    f_min: NDArray[np.int64]
    default_F: float
    interpolate: bool
    interp_low: Array
    interp_high: Array
    background: float
    scale: float
    each_thick: bool
    each_polar: bool
    each_omega: bool
    running_product: bool
    roi: tuple[int, int, int, int]
    mask: PixelMask | None
    refuse_outside: bool
    notes: tuple[str, ...] = ()
    panels: tuple[PanelFrame, ...] = ()
    lattices: tuple[Share, ...] = ()
    amorphous: tuple[Layer, ...] = ()
    beamstop: BeamStop | None = None
    shadow: ShadowFile | None = None
    diffuse: DiffuseForms | None = None
    cutoff: Cutoff | None = None

    @property
    def is_finished_later(self) -> bool:
        """Whether more is done to pixels than kernels do: background, shadows."""
        return bool(self.amorphous) or self.beamstop is not None or self.shadow is not None

    def at(self, panel: int) -> Model:
        """Return the model of one panel alone: its frame, its pixels, its mask.

        Of one panel that is the model itself; else the same object at every call, which shares all
        tables with this one.
        """
        if not self.panels:
            return self
        views = _views.setdefault(self, {})
        if panel not in views:
            frame = self.panels[panel]
            values = {item.name: getattr(frame, item.name) for item in fields(frame)[1:]}
            roi = (0, frame.n_slow - 1, 0, frame.n_fast - 1)
            views.setdefault(panel, replace(self, **values, roi=roi, panels=()))
        return views[panel]

    @property
    def n_panels(self) -> int:
        """Number of panels."""
        return max(1, len(self.panels))

    @property
    def all_pixels(self) -> bool:
        """Whether every pixel of the box is evaluated."""
        whole = (0, self.n_slow - 1, 0, self.n_fast - 1)
        frames = self.panels or (self,)
        sizes = {(frame.n_slow, frame.n_fast) for frame in frames}
        return self.roi == whole and len(sizes) == 1 and all(f.mask is None for f in frames)

    @property
    def evaluated(self) -> int:
        """Pixels in the regions of interest of all panels."""
        if self.panels:
            return sum(frame.n_slow * frame.n_fast for frame in self.panels)
        slow0, slow1, fast0, fast1 = self.roi
        return (slow1 - slow0 + 1) * (fast1 - fast0 + 1)

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return int(self.wavelength.shape[0])

    @property
    def has_weights(self) -> bool:
        """Whether domains have weights of their own."""
        return bool((self.domain_weight != 1.0).any())

    @property
    def n_tables(self) -> int:
        """Number of tables of amplitudes."""
        return 1 + len(self.f_more)

    def grid_of(self, source: int) -> Array:
        """Return the table of amplitudes of one source."""
        number = int(self.f_table[source])
        return self.f_grid if number == 0 else self.f_more[number - 1]

    @property
    def n_inner(self) -> int:
        """Steps of one sub-pixel and layer: sources x phi steps x domains."""
        return self.n_sources * self.n_phi * self.n_domains

    @property
    def n_steps(self) -> int:
        """Steps (evaluations) of one pixel, of all crystals."""
        if self.lattices:
            return sum(share.model.n_steps for share in self.lattices)
        return self.layers * self.oversample**2 * self.n_inner

    @property
    def n_cells_total(self) -> float:
        """Cells of the crystal: Na * Nb * Nc, or the matrix' determinant."""
        if self.cells_matrix is not None:
            return float(np.linalg.det(self.cells_matrix))
        return float(self.n_cells[0] * self.n_cells[1] * self.n_cells[2])

    @property
    def spot_form(self) -> Array:
        """M of gauss and tophat spots, (3, 3): their rho^2 is |M (dh, dk, dl)|^2.

        Columns a*, b*, c* [1/Angstrom] times the number of cells, or the matrix of cells; of
        spherical spots the basis of nodes times the edge of a cube as large as the crystal.
        """
        if self.nodes is not None:
            edge = np.cbrt(self.n_cells_total / abs(np.linalg.det(self.star)))
            return np.asarray(edge * (self.star.T @ self.nodes))
        if self.cells_matrix is not None:
            return self.cells_matrix
        return self.star.T * self.n_cells_total


#: The models of single panels, for as long as the whole one lives.
_views: WeakKeyDictionary[Model, dict[int, Model]] = WeakKeyDictionary()

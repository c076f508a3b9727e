"""What tasks of a gradient share, and one tile of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError, FieldError, InputError, shown
from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import Basis, basis_of
from nbdask.gradients.beside import add_beside
from nbdask.gradients.card import CardSlopes
from nbdask.gradients.compiled import CpuSlopes
from nbdask.gradients.pack import fits
from nbdask.gradients.parameters import Parameter, parameters_of
from nbdask.gradients.planes import ReferenceSlopes, SlopeKernel, tile_planes
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.interface import Mask
from nbdask.kernels.registry import get_kernel
from nbdask.native.library import VARIABLE, available
from nbdask.plan.tiles import Tile, TileGrid

#: Kernels that have derivatives, and one for tests.
BACKENDS = ("cpu", "cuda", "numpy")
_HIDDEN = ("cuda-host",)
#: Bytes of a tile's planes, where no tile is given.
_TILE_BYTES = 32 << 20
_MOST_EDGE = 512


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """The shared part of a gradient.  Picklable.

    Attributes
    ----------
    model : Model
    basis : Basis
    grid : TileGrid
    backend : str
    precision : str
    """

    model: Model
    basis: Basis
    grid: TileGrid
    backend: str
    precision: str = "float64"

    def kernel(self) -> SlopeKernel:
        """Return this process's kernel."""
        return slope_kernel(self.backend, self.precision)

    @property
    def summed(self) -> CpuSlopes | CardSlopes | None:
        """The kernel, where it sums up pixels without holding planes."""
        return None if self.model.lattices else self.pulling

    @property
    def pulling(self) -> CpuSlopes | CardSlopes | None:
        """The same for sums in which several crystals add up: those of an adjoint."""
        kernel, model = self.kernel(), self.model
        alone = model.first_axes is None and not model.is_finished_later
        return kernel if alone and isinstance(kernel, (CpuSlopes, CardSlopes)) else None


def slope_kernel(backend: str, precision: str = "float64") -> SlopeKernel:
    """Return the kernel of a name in :data:`BACKENDS`."""
    if backend == "numpy":
        return ReferenceSlopes()
    if backend == "cpu":
        return cpu_slopes(os.environ.get(VARIABLE), precision)
    return card_slopes(backend)


@cache
def cpu_slopes(level: str | None, precision: str) -> CpuSlopes:
    """Return the compiled kernel, found once for each level that is asked for."""
    return CpuSlopes(precision=precision)


@cache
def card_slopes(backend: str) -> CardSlopes:
    """Return the kernel of this process's GPU.

    Raises
    ------
    BackendError
        No usable GPU.
    """
    kernel = get_kernel(backend, "float64")
    assert isinstance(kernel, CudaKernel)
    return CardSlopes(kernel)


def choose_backend(backend: str | None, model: Model, basis: Basis) -> str:
    """Return the kernel that is asked for, or the best one here.

    A curved detector is left to NumPy, and a GPU is used where it is asked for.

    Raises
    ------
    BackendError
        One that has no derivatives.
    """
    if backend in (None, "auto"):
        return "cpu" if available() and fits(model, basis) else "numpy"
    if backend not in (*BACKENDS, *_HIDDEN):
        raise BackendError(f"--backend = {backend!r}: must be one of auto, {', '.join(BACKENDS)}")
    if backend != "numpy" and not fits(model, basis):
        raise BackendError(
            f"--backend = {backend!r}: gradients of a curved detector are computed by numpy alone"
        )
    assert backend is not None
    if backend not in ("cpu", "numpy"):
        # Where there is no GPU this says so before anything is computed.
        card_slopes(backend)
    return backend


def prepare_gradient(
    experiment: Experiment,
    parameters: str | Parameter | Sequence[str | Parameter],
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    precision: str = "float64",
) -> tuple[Work, tuple[Parameter, ...]]:
    """Do everything that comes before the first tile.

    Parameters
    ----------
    experiment : Experiment
    parameters : str, Parameter or sequence of them
        See :func:`~.parameters.parameters_of`.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` (a GPU), ``"numpy"`` or None: compiled loops where they are there.
    tile : int or tuple of int, optional
        Pixels of a tile (slow, fast).
    precision : str
        ``"float64"`` or ``"mixed"``; see :class:`~.compiled.CpuSlopes`.

    Raises
    ------
    NbdaskError
        A parameter that cannot be refined, or an experiment that cannot be computed.
    """
    check_experiment(experiment)
    chosen = parameters_of(parameters)
    model = build_model(experiment)
    basis = basis_of(experiment, model, chosen)
    edges = _tile(experiment.shape, tile, len(chosen))
    grid = TileGrid(experiment.shape, edges, experiment.n_panels)
    backend = choose_backend(backend, model, basis)
    check_precision(precision, backend)
    return Work(model, basis, grid, backend, precision), chosen


def check_experiment(given: object) -> None:
    """Refuse what is no experiment.

    Raises
    ------
    InputError
    """
    if not isinstance(given, Experiment):
        raise InputError(
            f"experiment = {shown(given)}: must be an nbdask.Experiment, such as"
            " nbdask.from_args(argv) or nbdask.from_toml(path)"
        )


def check_precision(precision: str, backend: str) -> None:
    """Refuse a precision that a kernel does not have.

    Raises
    ------
    BackendError
    """
    allowed = ("float64", "mixed") if backend == "cpu" else ("float64",)
    if precision not in allowed:
        raise BackendError(
            f"--precision = {precision!r}: gradients with --backend {backend} are computed in"
            f" {' or '.join(allowed)}"
        )


def _tile(
    shape: tuple[int, int], tile: int | tuple[int, int] | None, parameters: int
) -> tuple[int, int]:
    if tile is None:
        most = math.isqrt(_TILE_BYTES // (8 * (1 + parameters)))
        tile = max(32, min(most // 32 * 32, _MOST_EDGE))
    edges = tuple(tile) if isinstance(tile, Iterable) else (tile, tile)
    if len(edges) != 2 or not all(map(_is_count, edges)):
        raise FieldError("--tile", tile, "one or two whole numbers of at least 1")
    return (min(int(edges[0]), shape[0]), min(int(edges[1]), shape[1]))


def _is_count(number: Any) -> bool:
    """Whether it is a whole number of at least 1, of Python or NumPy."""
    whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    return whole and number >= 1


def image_of(
    experiment: Experiment,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
) -> Array:
    """Return the image in float64, tile after tile: (slow, fast), or (panel, slow, fast)."""
    model = build_model(experiment)
    basis = basis_of(experiment, model, ())
    grid = TileGrid(experiment.shape, _tile(experiment.shape, tile, 0), experiment.n_panels)
    work = Work(model, basis, grid, choose_backend(backend, model, basis))
    image: Array = np.empty((grid.panels, *grid.shape))
    for part in grid:
        place = (part.panel, slice(part.slow0, part.slow1), slice(part.fast0, part.fast1))
        image[place] = planes_of_tile(work, part)[0]
    return image.reshape(grid.image_shape)


def region_of(model: Model, tile: Tile) -> tuple[Tile, Mask | None] | None:
    """Return what is evaluated of a tile, and its mask (None: all of it); None: nothing."""
    model = model.at(tile.panel)
    part = tile.intersect(Tile.within(model.roi))
    if part is None:
        return None
    mask = None if model.mask is None else model.mask.read(*part.bounds)
    if mask is None or mask.all():
        return part, None
    return (part, mask) if mask.any() else None


def planes_of_tile(work: Work, tile: Tile) -> Array:
    """Return photons and derivatives of a tile, 0 where nothing is evaluated.

    Returns
    -------
    (1 + parameters, n_slow, n_fast) float64 array
    """
    found = region_of(work.model, tile)
    if found is None:
        return np.zeros((1 + len(work.basis.slopes), *tile.shape))
    part, mask = found
    planes = tile_planes(work.kernel(), work.model, work.basis, part, mask)
    if work.model.is_finished_later:
        slopes = work.basis.at(work.model, tile.panel).slopes
        planes = add_beside(work.model, slopes, part, mask, planes)
    if part == tile:
        return planes
    result: NDArray[np.float64] = np.zeros((len(planes), *tile.shape))
    slow, fast = part.slow0 - tile.slow0, part.fast0 - tile.fast0
    result[:, slow : slow + part.shape[0], fast : fast + part.shape[1]] = planes
    return result

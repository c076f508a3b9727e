"""The photons of an image by reflection, block of pixels by block of pixels.

Blocks are the same whatever tiles the image has, and are merged in their order, so that the bits of
the sums depend on neither tiles nor workers.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array, Model
from nbdask.kernels.interface import Mask
from nbdask.native.library import available
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.truth import compiled, reference, sums
from nbdask.truth.factors import photons_per_unit

#: Pixels of a block, (slow, fast): as many as the reference kernel evaluates at once.
BLOCK = (64, 512)
#: Blocks that are merged at once.
_MERGED = 64
#: sums_of() of an implementation.
SumsOf = Callable[[Model, Tile, Mask | None, Array, Array], Array]


def reflection_sums(
    model: Model, phi: list[Array], sums_of: SumsOf | None = None, threads: int | None = None
) -> list[list[Array]]:
    """Return the sums by reflection of each panel and crystal.

    Parameters
    ----------
    model : Model
    phi : list of (n_phi,) float64 arrays
        Spindle angles [rad] of the rotation steps of each crystal.
    sums_of : callable, optional
        Of :mod:`.compiled` or :mod:`.reference`; None: the former where there is a library.
    threads : int, optional
        None: as many as there are processors.

    Returns
    -------
    list of list of (n, COLUMNS) float64 array
        By panel, then by crystal; as of :func:`~.sums.merged`.

    Raises
    ------
    InputError
        C's running product, or indices beyond 2^16.
    """
    check(model)
    chosen = sums_of or (compiled.sums_of if available() else reference.sums_of)
    count = threads or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(count) as pool:
        return [_of_panel(model, panel, phi, chosen, pool) for panel in range(model.n_panels)]


def check(model: Model) -> None:
    """Refuse what cannot be told apart.

    Raises
    ------
    InputError
    """
    if model.running_product:
        raise _running()
    for one in crystals(model):
        reach = float(np.linalg.norm(one.axes, axis=2).max() * 2.0 / one.wavelength.min())
        if reach >= sums.MOST_INDEX - 1:
            raise InputError(
                f"truth of reflections: indices up to {reach:.3g} are possible: must be below"
                f" {sums.MOST_INDEX} (a smaller cell, or a longer wavelength)"
            )


def check_semantics(experiment: Experiment) -> None:
    """Refuse what :func:`check` does, as far as it shows before a model is built.

    Raises
    ------
    InputError
    """
    s = experiment.sampling
    if experiment.semantics == "c" and (
        s.oversample_thick or s.oversample_polar or s.oversample_omega
    ):
        raise _running()


def _running() -> InputError:
    return InputError(
        "truth of reflections: with --semantics c and -oversample_thick, _polar or _omega every"
        " term is multiplied by the factors of later ones: use --semantics spec"
    )


def crystals(model: Model) -> list[Model]:
    """Return the model of each crystal."""
    return [share.model for share in model.lattices] or [model]


def _of_panel(
    model: Model, panel: int, phi: list[Array], sums_of: SumsOf, pool: ThreadPoolExecutor
) -> list[Array]:
    """Return the sums of each crystal on one panel."""
    models = crystals(model)
    angles = [np.repeat(p, one.n_domains) for p, one in zip(phi, models, strict=True)]

    def of_block(tile: Tile) -> list[Array]:
        """Return the sums of each crystal in one block."""
        mask = _mask(model, tile)
        if mask is not None and not mask.any():
            return [np.zeros((0, sums.COLUMNS)) for _ in models]
        factor = photons_per_unit(model, tile, mask)
        shares = [share.factor for share in model.lattices] or [1.0]
        return [
            sums_of(one.at(panel), tile, mask, share * factor, angle)
            for one, share, angle in zip(models, shares, angles, strict=True)
        ]

    total = [np.zeros((0, sums.COLUMNS)) for _ in models]
    blocks = _blocks(model, panel)
    while some := list(itertools.islice(blocks, _MERGED)):
        found = list(pool.map(of_block, some))
        total = [
            sums.merged([before, *(one[number] for one in found)])
            for number, before in enumerate(total)
        ]
    return total


def _blocks(model: Model, panel: int) -> Iterator[Tile]:
    """Yield the blocks of a panel, cut to the region of interest."""
    one = model.at(panel)
    region = Tile.within(one.roi)
    for tile in TileGrid((one.n_slow, one.n_fast), BLOCK):
        part = tile.intersect(region)
        if part is not None:
            yield part._replace(panel=panel)


def _mask(model: Model, tile: Tile) -> Mask | None:
    """Return which pixels of a block are evaluated; None: all."""
    mask = model.at(tile.panel).mask
    if mask is None:
        return None
    found = mask.read(*tile.bounds)
    return None if found.all() else found

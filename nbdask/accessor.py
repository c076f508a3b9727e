"""``.nbdask`` on xarray objects: resolution, q, Miller indices, profile and rings of an image.

Registered by :func:`nbdask.open` and :func:`nbdask.image`, or by ``import nbdask.accessor``.
Coordinates are lazy: they are evaluated chunk by chunk, and only for the pixels that the array
still holds after a selection.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import dask.array as da
import numpy as np
import xarray
from dask.array.core import normalize_chunks
from dask.base import compute
from numpy.typing import NDArray
from xarray.backends import BackendEntrypoint

from nbdask.errors import FieldError, InputError
from nbdask.experiment import Experiment, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.geometry.panel_frames import panel_number
from nbdask.gradients.lazy import gradient
from nbdask.gradients.parameters import Parameter
from nbdask.physics.position import plane_coordinates, rays_at
from nbdask.physics.scattering import miller_index, scattering_vector
from nbdask.shots.chosen import chosen_shot
from nbdask.store.open import open_store

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_ANGSTROM = 1e10
#: Pixels along an edge of the chunks of coordinates of an unchunked array.
_CHUNK = 1024
_NO_PANEL = ".nbdask: the coordinate panel is gone: keep it on the image"


@xarray.register_dataset_accessor("nbdask")  # type: ignore[no-untyped-call]
@xarray.register_dataarray_accessor("nbdask")  # type: ignore[no-untyped-call]
class NbdaskAccessor:
    """What nbdask knows of an image beyond its pixels.

    Parameters
    ----------
    held : xarray.DataArray or xarray.Dataset
        An image with the dimensions slow and fast, or a store that holds one; opened or made by
        nbdask, whole or a selection of rows and columns.

    Raises
    ------
    InputError
        On use: the object has no experiment, or no pixels.
    """

    def __init__(self, held: xarray.DataArray | xarray.Dataset) -> None:
        self._held = held

    @property
    def image(self) -> xarray.DataArray:
        """The image itself [photons]."""
        held = self._held
        image = held["image"] if isinstance(held, xarray.Dataset) and "image" in held else held
        if not isinstance(image, xarray.DataArray) or set(image.dims) != {"slow", "fast"}:
            if isinstance(image, xarray.DataArray) and "shot" in image.dims:
                raise InputError(
                    f".nbdask of an image of {image.sizes['shot']} shots: choose one of them first,"
                    " such as image.isel(shot=0).nbdask"
                )
            if isinstance(image, xarray.DataArray) and "panel" in image.dims:
                raise InputError(
                    f".nbdask of an image of {image.sizes['panel']} panels: choose one of them"
                    " first, such as image.isel(panel=0).nbdask"
                )
            raise InputError(
                f".nbdask of an array with the dimensions {tuple(image.dims)}: must be an image"
                " with slow and fast; select single rows as slices, such as image[5:6, :]"
            )
        return image

    @property
    def experiment(self) -> Experiment:
        """The experiment that the image comes from; of a series that of the image's shot."""
        image = self.image
        for attributes in (self._held.attrs, image.attrs):
            if "experiment" in attributes:
                common = Experiment.from_dict(_parsed(attributes["experiment"]))
                if "series" not in attributes:
                    return common
                return _of_shot(common, _parsed(attributes["series"]), image)
        raise InputError(
            ".nbdask needs the attribute 'experiment': open the store with nbdask.open, use"
            " nbdask.image, or call .nbdask on the whole dataset"
        )

    def resolution(self) -> xarray.DataArray:
        """Return d = wavelength / (2 sin theta) at the pixels' centres.

        Returns
        -------
        xarray.DataArray
            (slow, fast) float64 [Angstrom], lazy; infinite in the direct beam.  Of the first
            source, as are the others.
        """
        return self._lazy(_resolution, "resolution", "Angstrom", "resolution d")

    def q(self) -> xarray.DataArray:
        """Return q = 2 pi / d at the pixels' centres, (slow, fast) float64 [1/Angstrom], lazy."""
        return self._lazy(_q, "q", "1/Angstrom", "scattering vector q = 2 pi / d")

    def two_theta(self) -> xarray.DataArray:
        """Return the scattering angle 2 theta, (slow, fast) float64 [degree], lazy."""
        return self._lazy(_two_theta, "two_theta", "degree", "scattering angle 2 theta")

    def miller_index(self, phi_step: int = 0, domain: int = 0, source: int = 0) -> xarray.DataArray:
        """Return fractional Miller indices at the pixels' centres.

        Parameters
        ----------
        phi_step, domain, source : int
            Which rotation step, mosaic domain and source: 0 is the first of each.

        Returns
        -------
        xarray.DataArray
            (index, slow, fast) float64, lazy, with the coordinate index = h, k, l.

        Raises
        ------
        FieldError
            An unknown step, domain or source.
        """
        model = self._model()
        for name, value, count in (
            ("phi_step", phi_step, model.n_phi),
            ("domain", domain, model.n_domains),
            ("source", source, model.n_sources),
        ):
            if not 0 <= value < count:
                raise FieldError(name, value, f"0 to {count - 1}")
        axes = model.axes[phi_step * model.n_domains + domain]
        planes = [
            self._lazy(_Miller(axes[i], source), "miller_index", "1", "Miller index")
            for i in range(3)
        ]
        return xarray.concat(planes, xarray.Variable("index", ["h", "k", "l"]))

    def with_coordinates(self) -> xarray.DataArray:
        """Return the image with resolution, q and two_theta as lazy coordinates."""
        image = self.image
        extra = (self.resolution(), self.q(), self.two_theta())
        return image.assign_coords({str(c.name): (c.dims, c.data, c.attrs) for c in extra})

    def gradient(
        self, parameters: str | Parameter | Sequence[str | Parameter], **options: Any
    ) -> xarray.DataArray:
        """Return the derivatives of the image; see :func:`nbdask.gradient`.

        Parameters
        ----------
        parameters : str, Parameter or sequence of them
        **options
            Further arguments of :func:`nbdask.gradient`.

        Returns
        -------
        xarray.DataArray
            (parameter, slow, fast) float64, lazy, of the pixels that the array still holds; of its
            panel, and of its shot of a series.
        """
        image = self.image
        found = gradient(self.experiment, parameters, **options)["gradient"]
        if "panel" in found.dims:
            if "panel" not in image.coords:
                raise InputError(_NO_PANEL)
            found = found.sel(panel=str(image.coords["panel"].values))
        return found.sel(slow=image["slow"], fast=image["fast"])

    def radial_profile(self, bins: int = 200) -> xarray.Dataset:
        """Return the mean of the image in rings of equal width in q.

        Parameters
        ----------
        bins : int

        Returns
        -------
        xarray.Dataset
            Along ``q`` [1/Angstrom, the middle of each ring]: ``mean`` [photons] (NaN where the
            ring has no pixel), ``pixels`` their number, ``resolution`` [Angstrom].  Computed chunk
            by chunk; pixels that are NaN (not computed yet) do not count.

        Raises
        ------
        FieldError
            ``bins`` is not a whole number of at least 1.
        """
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise FieldError("bins", bins, "a whole number of at least 1")
        image = self.image.transpose("slow", "fast")
        q = self.q().data
        low, high = compute(q.min(), q.max())
        edges = np.linspace(low, np.nextafter(high, math.inf), bins + 1)
        pixels = image.chunk(dict(zip(("slow", "fast"), q.chunks, strict=True))).data
        sums = da.map_blocks(
            _ring_sums,
            pixels,
            q,
            edges=edges,
            dtype=np.float64,
            new_axis=[2, 3],
            chunks=(*((1,) * n for n in q.numblocks), (2,), (bins,)),
            meta=np.empty((0,) * 4),
        )
        total, count = sums.sum(axis=(0, 1)).compute()
        middle = 0.5 * (edges[1:] + edges[:-1])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, d = total / count, 2.0 * math.pi / middle
        return xarray.Dataset(
            {
                "mean": ("q", mean, {"units": "photon"}),
                "pixels": ("q", count.astype(np.int64)),
                "resolution": ("q", d, {"units": "Angstrom"}),
            },
            coords={"q": ("q", middle, {"units": "1/Angstrom"})},
        )

    def plot(self, ax: Any = None, *, log: bool = True, size: int = 1000, **options: Any) -> Any:
        """Draw the image as the detector is seen: first row on top, pixels as wide as high.

        Parameters
        ----------
        ax : matplotlib axes, optional
        log : bool
            Whether the scale of the colours is logarithmic.
        size : int
            Longest side of what is drawn; of larger images a pixel is the brightest of a block.
        **options
            As :meth:`xarray.DataArray.plot.imshow` takes them; ``vmin`` and ``vmax`` for instance.

        Returns
        -------
        matplotlib image
        """
        from matplotlib.colors import LogNorm

        image = self.image
        block = max(1, math.ceil(max(image.shape) / size))
        if block > 1:
            image = image.coarsen(slow=block, fast=block, boundary="pad").max()  # type: ignore[attr-defined, unused-ignore]
        image = image.compute()
        bright = image.values[np.isfinite(image.values) & (image.values > 0.0)]
        if log and bright.size and "norm" not in options:
            high = float(options.pop("vmax", np.percentile(bright, 99.9)))
            low = float(options.pop("vmin", high / 1e4))
            options["norm"] = LogNorm(low, high, clip=True)
        drawn = image.plot.imshow(x="fast", y="slow", ax=ax, yincrease=False, **options)
        drawn.axes.set_aspect("equal")
        return drawn

    def rings(self, resolutions: Sequence[float], points: int = 721) -> dict[float, Array]:
        """Return rings of equal resolution as lines on the detector.

        Parameters
        ----------
        resolutions : sequence of float
            d [Angstrom].
        points : int
            Points of each line.

        Returns
        -------
        dict of float to (points, 2) float64 array
            Slow and fast pixel coordinates (0 is the centre of the first pixel); NaN where the
            ring does not meet the detector's plane.

        Raises
        ------
        FieldError
            Not a sequence of numbers, a resolution not above half the wavelength, or a curved
            detector.
        """
        try:
            wanted = [float(d) for d in resolutions]
        except (TypeError, ValueError):
            allowed = "a list of numbers in Angstrom, such as [3.0, 2.0]"
            raise FieldError("resolutions", resolutions, allowed) from None
        model = self._model()
        if model.curved:
            raise FieldError(
                "resolutions",
                wanted,
                "drawn as contours of .nbdask.resolution() on a curved detector",
            )
        return {d: _ring(model, d / _ANGSTROM, points) for d in wanted}

    def _model(self) -> Model:
        """Return the model of the geometry, made once for each experiment."""
        experiment, image = self.experiment, self.image
        model = _geometry_of(json.dumps(experiment.to_dict(), sort_keys=True))
        if not model.panels:
            return model
        if "panel" not in image.coords:
            raise InputError(_NO_PANEL)
        return model.at(panel_number(experiment.detector, str(image.coords["panel"].values)))

    def _lazy(
        self, formula: Callable[[Model, Indices, Indices], Array], name: str, units: str, long: str
    ) -> xarray.DataArray:
        """Return a formula of rows and columns as a lazy array like the image."""
        image = self.image.transpose("slow", "fast")
        chunks = image.chunks or normalize_chunks((_CHUNK, _CHUNK), image.shape)
        rows, columns = (_indices(image, axis) for axis in ("slow", "fast"))
        data = da.map_blocks(
            formula,
            self._model(),
            da.from_array(rows[:, None], chunks=(chunks[0], 1)),
            da.from_array(columns[None, :], chunks=(1, chunks[1])),
            dtype=np.float64,
            chunks=chunks,
            meta=np.empty((0, 0)),
        )
        coords = {axis: image[axis] for axis in ("slow", "fast") if axis in image.coords}
        attrs = {"units": units, "long_name": long}
        return xarray.DataArray(data, coords, ("slow", "fast"), name, attrs)


def _parsed(held: Any) -> Any:
    """Return an attribute that may be JSON."""
    return json.loads(held) if isinstance(held, str) else held


def _of_shot(common: Experiment, series: Any, image: xarray.DataArray) -> Experiment:
    """Return the experiment of the shot that an image of a series is."""
    if "shot" not in image.coords:
        raise InputError(".nbdask: the coordinate shot is gone: keep it on the image")
    single = {str(name): held for name, held in image.coords.items() if held.ndim == 0}
    values = {name: float(held) for name, held in single.items() if "." in name}
    try:
        return chosen_shot(common, series, int(single["shot"]), values)
    except FieldError as error:
        raise InputError(f".nbdask of a shot: {error}") from error


def _indices(image: xarray.DataArray, axis: str) -> NDArray[np.int64]:
    """Return the detector indices of an image's rows or columns."""
    if axis in image.coords:
        return np.asarray(image[axis].values, dtype=np.int64)
    return np.arange(image.sizes[axis], dtype=np.int64)


@lru_cache(maxsize=8)
def _geometry_of(experiment: str) -> Model:
    """Return the model of an experiment's geometry; no amplitude list or mask is read."""
    whole = Experiment.from_dict(json.loads(experiment))
    sampling = dataclasses.replace(
        whole.sampling, mask=None, mask_sha256=None, interpolate=False, oversample=1
    )
    bare = whole.singles[0].replace(structure=StructureFactors(default_F=1.0), sampling=sampling)
    return build_model(bare)


def _q(model: Model, slow: Indices, fast: Indices) -> Array:
    """Return 2 pi |q| [1/Angstrom]; rows (n, 1) and columns (1, m) of detector indices."""
    ray = rays_at(model, slow[:, 0], fast[0])
    vector = scattering_vector(model, 0, ray)
    length: Array = np.sqrt(vector.x**2 + vector.y**2 + vector.z**2)
    return 2.0 * math.pi / _ANGSTROM * length


def _resolution(model: Model, slow: Indices, fast: Indices) -> Array:
    """Return d [Angstrom]."""
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 * math.pi / _q(model, slow, fast))


def _two_theta(model: Model, slow: Indices, fast: Indices) -> Array:
    """Return 2 theta [degree]: sin theta = wavelength |q| / 2."""
    half = _q(model, slow, fast) * float(model.wavelength[0]) * _ANGSTROM / (4.0 * math.pi)
    return np.asarray(np.degrees(2.0 * np.arcsin(np.clip(half, 0.0, 1.0))))


@dataclasses.dataclass(frozen=True)
class _Miller:
    """One fractional Miller index: the product of a cell vector and q."""

    axis: Array
    source: int

    def __call__(self, model: Model, slow: Indices, fast: Indices) -> Array:
        """Return the index at rows (n, 1) and columns (1, m)."""
        ray = rays_at(model, slow[:, 0], fast[0])
        return miller_index(self.axis, scattering_vector(model, self.source, ray))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return what tells one index from another."""
        return ("nbdask-miller", self.axis.tobytes(), self.source)


def _ring_sums(pixels: Array, q: Array, edges: Array) -> Array:
    """Return sum and number of the pixels of one chunk by ring, (1, 1, 2, bins)."""
    bins = len(edges) - 1
    valid = ~np.isnan(pixels)
    bin_of = np.clip(np.searchsorted(edges, q[valid], side="right") - 1, 0, bins - 1)
    total = np.bincount(bin_of, weights=pixels[valid].astype(np.float64), minlength=bins)
    count = np.bincount(bin_of, minlength=bins).astype(np.float64)
    return np.asarray(np.stack([total, count])[None, None])


def _ring(model: Model, d: float, points: int) -> Array:
    """Return the ring of resolution d [m]: the cone of half angle 2 theta cut by the detector."""
    wavelength = float(model.wavelength[0])
    if not math.isfinite(d) or d <= wavelength / 2.0:
        least = wavelength / 2.0 * _ANGSTROM
        raise FieldError("resolutions", d * _ANGSTROM, f"above {least:.6g} Angstrom, wavelength/2")
    angle = 2.0 * math.asin(wavelength / (2.0 * d))
    beam = model.incident[0]
    least_along = np.eye(3)[int(np.argmin(np.abs(beam)))]
    across = np.cross(beam, least_along)
    across /= np.linalg.norm(across)
    turn = np.linspace(0.0, 2.0 * math.pi, points)[:, None]
    around = np.cos(turn) * across + np.sin(turn) * np.cross(beam, across)
    direction = math.cos(angle) * beam + math.sin(angle) * around
    towards = direction @ model.normal
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (model.origin @ model.normal) / towards
    reach = np.where(reach > 0.0, reach, np.nan)
    point = reach[:, None] * direction - model.origin
    line: Array = np.stack(plane_coordinates(model, point), axis=1)
    return line


class NbdaskBackend(BackendEntrypoint):  # type: ignore[misc, unused-ignore]
    """Opens stores of nbdask."""

    description = "Open simulated images (.zarr stores of nbdask)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "check")

    def open_dataset(  # type: ignore[override, unused-ignore]
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        check: bool = False,
    ) -> xarray.Dataset:
        """Open a store, as :func:`nbdask.open` does.

        Parameters
        ----------
        filename_or_obj : path or address
        drop_variables : str or iterable of str, optional
            Left out; ``"tiles"`` for instance.
        check : bool
            Compare tiles with their checksums when their pixels are computed.
        """
        left = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return open_store(filename_or_obj, check=check).drop_vars(left, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Leave stores to the zarr engine unless this one is named."""
        return False

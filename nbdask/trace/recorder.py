"""Turns what the reference kernel shows of one pixel into entries of a trace.

Values that the kernel computes are taken from it as they are.  What lies inside its formulas (the
three factors of a square crystal, the neighbours of an interpolation) comes from the functions
that these formulas are made of.
"""

from __future__ import annotations

import numpy as np

from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, TOPHAT, Array, Model
from nbdask.geometry.vectors import cross, dot
from nbdask.kernels.interface import Partial
from nbdask.kernels.reference import Bool, Term
from nbdask.physics.diffuse import diffuse_term
from nbdask.physics.factors import (
    capture_fraction,
    polarization_factor,
    scattering_cosine,
    solid_angle,
)
from nbdask.physics.lattice import grating_factors, sphere_argument, spot_radius_squared
from nbdask.physics.position import Ray, sub_pixel_positions
from nbdask.physics.scattering import Scattering, whole_indices
from nbdask.physics.structure_factor import interpolates, neighbours
from nbdask.plan.tiles import Tile
from nbdask.trace.entries import Entry, LoopIndex, Selection, Value
from nbdask.trace.frame import numbers

#: Sums after sub-pixels that are kept however few evaluations are.
SUMS = 16


class Recorder:
    """Watches the reference kernel evaluate one pixel.

    Parameters
    ----------
    model : Model
    pixel : Tile
        One pixel.
    phi : list of tuples
        Nominal angle and angle used of every phi step [rad].
    chosen : Selection
    most : int
        Evaluations that are recorded at most; the last of the pixel is kept too.
    squares : bool
        Also record F_latt^2 and F_cell^2, for kernels that compute nothing else.
    """

    def __init__(
        self,
        model: Model,
        pixel: Tile,
        phi: list[Value],
        chosen: Selection,
        most: int,
        squares: bool,
    ) -> None:
        self.model, self.pixel, self.phi = model, pixel, phi
        self.chosen, self.most, self.squares = chosen, most, squares
        self.entries: list[Entry] = []
        self.recorded = 0
        self.before = Partial(np.zeros((1, 1)), np.ones((1, 1)), 0)
        self.last = LoopIndex()
        self.last_term: tuple[LoopIndex, Ray, tuple[Scattering, Bool], Term, Value] | None = None
        self._sub = LoopIndex()
        self._source = LoopIndex()
        self._ray: Ray | None = None
        self._scattering: tuple[Scattering, Bool] | None = None
        self._sum: Value = (float(model.background),)
        self._made: set[LoopIndex] = set()
        self._boundaries: list[Entry] = []

    # What the kernel calls.

    def sub_pixel(self, layer: int, sub: int, ray: Ray) -> None:
        """Note the rays of a sub-pixel, and the sum of the one before."""
        loop_index = LoopIndex(layer, sub)
        if loop_index != self._sub:
            self._close()
            self._sub, self._ray = loop_index, ray

    def source(self, source: int, q: Scattering, counted: Bool, factor: Array | None) -> None:
        """Note a source's scattering vector."""
        self._source = self._sub._replace(source=source)
        self._scattering = (q, counted)
        if not counted.any() and self._source in self.chosen and self.recorded < self.most:
            # The source is skipped, which is worth recording.
            self._upper(True)

    def term(self, term: Term) -> None:
        """Note an evaluation."""
        model = self.model
        total = term.total + term.gain * self.before.total
        gain = term.gain * self.before.gain if self.before.gain is not None else term.gain
        self._sum = numbers(total + gain * model.background)
        phi, domain = divmod(term.orientation, model.n_domains)
        loop_index = self._source._replace(phi=phi, domain=domain)
        assert self._ray is not None
        assert self._scattering is not None
        if self._scattering[1].any():
            self.last = loop_index
            self.last_term = (loop_index, self._ray, self._scattering, term, self._sum)
        if loop_index in self.chosen and self.recorded < self.most and loop_index not in self._made:
            self.recorded += 1
            self._made.add(loop_index)
            self._upper(True)
            self._evaluation(loop_index, term, self._sum, True)

    def finish(self, capture: Array, polar: Array, omega: Array, image: Array) -> None:
        """Note the factors of the pixel and its photons."""
        whole = LoopIndex()
        steps = self.model.n_steps // self.model.layers
        self._add("I", whole, self._sum)
        self._add("I/steps", whole, (float(self._sum[0]) / steps,))
        self._add("pixel_capture", whole, numbers(capture))
        self._add("pixel_polarization", whole, numbers(polar))
        self._add("pixel_solid_angle", whole, numbers(omega))
        self._add("pixel_float64", whole, numbers(image))

    # What the trace calls.

    def close(self) -> None:
        """Note the end of the last sub-pixel; keep the last evaluation for comparisons."""
        self._close()
        end = (self._ray, self._sub, self._source, self._scattering)
        if self.last_term is not None and self.last not in self._made:
            loop_index, ray, scattering, term, value = self.last_term
            self._ray, self._scattering = ray, scattering
            self._sub, self._source = LoopIndex(*loop_index[:2]), LoopIndex(*loop_index[:3])
            self._upper(False)
            self._evaluation(loop_index, term, value, False)
        self._ray, self._sub, self._source, self._scattering = end
        self._upper(False)
        self.entries += self._boundaries

    # Entries.

    def _add(self, name: str, loop_index: LoopIndex, value: Value, shown: bool = True) -> None:
        self.entries.append(Entry(name, loop_index, value, shown=shown))

    def _close(self) -> None:
        if self._sub.layer >= 0:
            shown = self._sub in self.chosen
            if shown and len(self._boundaries) < max(self.most, SUMS):
                self._boundaries.append(Entry("sum_sub_pixel", self._sub, self._sum))

    def _upper(self, shown: bool) -> None:
        """Add what belongs to the current sub-pixel and source, where it is not there yet."""
        if self._sub not in self._made:
            self._made.add(self._sub)
            self._sub_pixel_values(self._sub, shown)
        if self._source not in self._made:
            self._made.add(self._source)
            self._source_values(self._source, shown)

    def _sub_pixel_values(self, loop_index: LoopIndex, shown: bool) -> None:
        model, ray = self.model, self._ray
        assert ray is not None
        slow, fast = divmod(loop_index.sub, model.oversample)
        position = sub_pixel_positions(model, self.pixel, loop_index.layer, slow, fast)
        values: dict[str, Value] = {
            "position": numbers(np.array(position)),
            "R": numbers(ray.path),
            "d": numbers(np.array([ray.x, ray.y, ray.z])),
            "obliquity": numbers(model.close_distance / ray.path),
            "solid_angle": numbers(solid_angle(model, ray)),
            "capture": numbers(capture_fraction(model, loop_index.layer, ray)),
        }
        self._add_all(loop_index, values, shown)

    def _source_values(self, loop_index: LoopIndex, shown: bool) -> None:
        model, ray, source = self.model, self._ray, loop_index.source
        assert ray is not None
        assert self._scattering is not None
        q, counted = self._scattering
        length = np.sqrt(q.x * q.x + q.y * q.y + q.z * q.z)
        values: dict[str, Value] = {
            "incident": numbers(model.incident[source]),
            "wavelength": (float(model.wavelength[source]),),
            "weight": (float(model.weight[source]),),
            **({"amplitude_table": (int(model.f_table[source]),)} if model.n_tables > 1 else {}),
            "q": numbers(np.array(q)),
            "sin_theta/lambda": numbers(0.5 * length),
            "passes_dmin": (int(counted.all()),),
            "cos_2theta": numbers(scattering_cosine(model, source, ray)),
            "polarization": numbers(polarization_factor(model, source, ray)),
        }
        self._add_all(loop_index, values, shown)

    def _evaluation(self, loop_index: LoopIndex, term: Term, running: Value, shown: bool) -> None:
        h, k, el = term.indices
        a, b, c = term.axes
        volume = dot(a, cross(b, c))
        stars = (cross(b, c) / volume, cross(c, a) / volume, cross(a, b) / volume)
        weight = (float(self.model.domain_weight[max(loop_index.domain, 0)]),)
        values: dict[str, Value] = {
            "phi": self.phi[loop_index.phi],
            **{f"rotated_{n}": numbers(v) for n, v in zip("abc", term.axes, strict=True)},
            **{f"rotated_{n}*": numbers(v) for n, v in zip("abc", stars, strict=True)},
            **({"domain_weight": weight} if self.model.has_weights else {}),
            "hkl": numbers(np.array(term.indices)),
            "hkl_nearest": tuple(int(x) for x in numbers(self._whole(h, k, el))),
            **self._shape_values(h, k, el),
            "F_latt": numbers(term.lattice),
        }
        if self.squares:
            values["F_latt^2"] = numbers(term.lattice * term.lattice)
        values |= self._amplitude_values(loop_index.source, h, k, el)
        values["F_cell"] = numbers(term.amplitude)
        if self.squares:
            values["F_cell^2"] = numbers(term.amplitude * term.amplitude)
        if self.model.diffuse is not None:
            values["diffuse"] = numbers(diffuse_term(self.model, h, k, el, loop_index.source))
        values["counted"] = (int(term.counted.all()),)
        values["term"] = numbers(term.term)
        values["sum"] = running
        self._add_all(loop_index, values, shown)

    def _whole(self, h: Array, k: Array, el: Array) -> Array:
        return np.array(whole_indices(self.model, h, k, el))

    def _shape_values(self, h: Array, k: Array, el: Array) -> dict[str, Value]:
        shape = self.model.shape
        if shape == SQUARE:
            return {"F_latt_abc": numbers(np.array(grating_factors(self.model, h, k, el)))}
        if shape == ROUND:
            return {"x_round": numbers(sphere_argument(self.model, h, k, el))}
        assert shape in (GAUSS, TOPHAT, SPHERICAL)
        return {"rho^2": numbers(spot_radius_squared(self.model, h, k, el))}

    def _amplitude_values(self, source: int, h: Array, k: Array, el: Array) -> dict[str, Value]:
        """Return where F_cell is from, and the neighbours of an interpolation."""
        model = self.model
        if model.f_grid.size == 0:
            return {"F_cell_from": ("default_F, no list",)}
        if not model.interpolate:
            cell = self._whole(h, k, el).reshape(3) - model.f_min
            inside = bool(((cell >= 0) & (cell < model.f_grid.shape)).all())
            return {"F_cell_from": ("list" if inside else "default_F, outside the list",)}
        if not interpolates(model, h, k, el).all():
            return {"F_cell_from": ("default_F, neighbours outside the list",)}
        first = [int(neighbours(model, i, x)[0][0, 0]) for i, x in enumerate((h, k, el))]
        block = model.grid_of(source)[tuple(slice(i, i + 4) for i in first)]
        return {
            "F_cell_from": ("interpolation",),
            "neighbours_at": tuple(
                i + int(least) for i, least in zip(first, model.f_min, strict=True)
            ),
            "neighbours": numbers(block),
        }

    def _add_all(self, loop_index: LoopIndex, values: dict[str, Value], shown: bool) -> None:
        for name, value in values.items():
            self._add(name, loop_index, value, shown)

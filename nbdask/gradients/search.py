"""Levenberg-Marquardt steps on the normal equations of one image or of many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import dask.array as da
import numpy as np

from nbdask.errors import FieldError, InputError
from nbdask.experiment import Experiment
from nbdask.experiment.checks import integer, positive
from nbdask.geometry.model import Array
from nbdask.gradients import strengths
from nbdask.gradients.arrow import Arrow, Step
from nbdask.gradients.blurred import blurred_equations
from nbdask.gradients.bounds import Bounds, check_starts, checked_bounds, room_of, with_own, within
from nbdask.gradients.change import stepped
from nbdask.gradients.columns import Columns, Indices
from nbdask.gradients.normal import Errors, NormalEquations, equations_of
from nbdask.gradients.saved import Standing, StateFile, restored, values_of
from nbdask.gradients.work import prepare_gradient
from nbdask.plan.machine import available_cores
from nbdask.shots import Series

_log = logging.getLogger("nbdask.gradients")

#: What a step must promise to lower the loss by, of each shot and each amplitude: far below what
#: chance does.
_ENOUGH = 1e-4
_MOST_DAMPING = 1e12
#: How much more than that may be promised beside a jump of the image: a tenth of a standard
#: deviation; and what keeps such a step finite where parameters cannot be told apart.
_NEAR, _HARDLY = 100.0, 1e-9
#: Widest blur [pixel].
_MOST_BLUR = 100
#: How well the loss of a state must be met again.
_SAME_LOSS = 1e-6
_CONVERGED = "converged"


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One image of a joint fit.

    Parameters
    ----------
    experiment : Experiment
        Where to start.
    data : ([panel,] slow, fast) array
        Photons; NaN where there are none.
    mask : ([panel,] slow, fast) bool array, optional
        True where a pixel counts.
    background, readout
        As for :func:`nbdask.normal_equations`.
    number : int, optional
        Of the shot in its series, by which messages and tables call it.
    """

    experiment: Experiment
    data: Any
    mask: Any = None
    background: float = 0.0
    readout: float = 0.0
    number: int | None = None


def shots_of(
    series: Series,
    data: Any,
    numbers: Sequence[int] | None = None,
    *,
    mask: Any = None,
    background: float = 0.0,
    readout: float = 0.0,
) -> list[Shot]:
    """Return the shots of a series, each where the series has it.

    Parameters
    ----------
    series : Series
    data : (shot, [panel,] slow, fast) array
        Photons of all its shots.
    numbers : sequence of int, optional
        Shots that are taken; None: all.
    mask, background, readout
        As for :class:`Shot`; of all shots.

    Raises
    ------
    InputError
        Not an image for each shot.
    """
    held = getattr(data, "data", data) if hasattr(data, "dims") else data
    if getattr(held, "shape", (0,))[0] != series.n_shots:
        given = getattr(held, "shape", type(held).__name__)
        raise InputError(
            f"data of {given}: must be an array of the {series.n_shots} images of the series"
        )
    if not isinstance(held, (np.ndarray, da.Array)):
        held = da.from_array(held)
    chosen = range(series.n_shots) if numbers is None else numbers
    return [Shot(series.shot(n), held[n], mask, background, readout, number=n) for n in chosen]


def labels_of(shots: Sequence[Shot]) -> list[int]:
    """Return what shots are called: their numbers in a series, or places in the list."""
    return [place if shot.number is None else shot.number for place, shot in enumerate(shots)]


@dataclass(frozen=True, slots=True)
class How:
    """How a fit is done.

    Parameters
    ----------
    robust : float or None
        See :class:`~.normal.Errors`.
    bounds : mapping
        Field -> least and greatest value.
    blur : tuple of float
        Images are blurred by these before they are fitted as they are [pixel].
    iterations : int
        Most steps of each of these fits.
    backend, tile
        As for :func:`nbdask.gradient`.
    """

    robust: float | None = None
    bounds: Bounds = field(default_factory=dict)
    blur: tuple[float, ...] = ()
    iterations: int = 50
    backend: str | None = None
    tile: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check what was given."""
        integer("--iterations", self.iterations, low=0)
        object.__setattr__(self, "bounds", checked_bounds(self.bounds))


def checked_blurs(given: Any) -> tuple[float, ...]:
    """Return blurs [pixel] from one number or several.

    Raises
    ------
    FieldError
    """
    try:
        found = tuple(given) if isinstance(given, Iterable) else (given,)
        if all(positive("--blur", blur) <= _MOST_BLUR for blur in found):
            return tuple(map(float, found))
    except FieldError:
        pass
    raise FieldError("--blur", given, f"numbers of pixels above 0, at most {_MOST_BLUR}")


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Experiments of all shots, and how well they agree with their data."""

    experiments: list[Experiment]
    equations: list[NormalEquations]

    @property
    def loss(self) -> float:
        """Of all shots."""
        return sum(found.loss for found in self.equations)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a search found."""

    point: Point
    standing: Standing
    converged: bool
    message: str


class Search:
    """One fit.

    Parameters
    ----------
    shots : sequence of Shot
    columns : Columns
    how : How
    amplitudes : bool
        Whether the amplitudes, which all shots have in common, are fitted too.
    state : StateFile, optional
        Is written after each step.
    report : callable, optional
        Is told a line after each step.
    """

    def __init__(
        self,
        shots: Sequence[Shot],
        columns: Columns,
        how: How,
        amplitudes: bool = False,
        state: StateFile | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.shots, self.columns, self.how = shots, columns, how
        self.amplitudes, self.state = amplitudes, state
        self.bounds = with_own(how.bounds, columns.parameters)
        self.report = report or (lambda text: None)
        self.labels = labels_of(shots)
        self.errors = [Errors(s.background, s.readout, how.robust) for s in shots]

    def run(self, experiments: list[Experiment], *, resume: bool = False) -> Outcome:
        """Go downhill, stage by stage, until a step promises nothing more.

        Parameters
        ----------
        experiments : list of Experiment
            Where the shots start; their whole numbers are given.
        resume : bool
            Go on from the state's file.
        """
        standing = Standing(moved=[[0.0] * len(self.columns.parameters) for _ in self.shots])
        if resume and self.state is not None:
            standing = self.state.read()
            experiments = self._restored(experiments, standing)
        check_starts(self.how.bounds, self.columns.parameters, experiments)
        stages = (*self.how.blur, 0.0)
        for stage in range(standing.stage, len(stages)):
            if stage > standing.stage:
                standing = Standing(stage, moved=standing.moved)
            outcome = self._stage(experiments, standing, stages[stage])
            standing, experiments = outcome.standing, outcome.point.experiments
        return outcome

    def _restored(self, experiments: list[Experiment], standing: Standing) -> list[Experiment]:
        pairs = zip(experiments, standing.values, strict=True)
        found = [restored(experiment, values) for experiment, values in pairs]
        if standing.amplitudes is None:
            return found
        hkl, _ = strengths.strengths_of(found[0])
        first = strengths.with_strengths(found[0], hkl, np.array(standing.amplitudes))
        return [e.replace(structure=first.structure) for e in found]

    def _stage(self, experiments: list[Experiment], standing: Standing, blur: float) -> Outcome:
        """Fit images that are all blurred alike."""
        now = self._at(experiments, blur)
        self._check(now.equations)
        if standing.losses:
            _check_same(now.loss, standing.losses[-1])
        else:
            standing = replace(standing, losses=(now.loss,))
        enough = _ENOUGH * len(self.shots)
        if self.amplitudes:
            enough += _ENOUGH * len(experiments[0].structure.reflections)
        converged, message = False, None
        while len(standing.losses) <= self.how.iterations:
            gained = 0.0
            if self.amplitudes and not blur:
                # First: a turn would take the place of what amplitudes explain.
                now, gained = self._strengthen(now)
            step = self._step(now, standing.damping)
            wanted = step.promised >= enough
            after = self._try(now.experiments, step, blur) if wanted else None
            if wanted and (after is None or not after.loss < now.loss):
                standing = replace(standing, damping=standing.damping * 10.0)
                if standing.damping > _MOST_DAMPING:
                    converged = self._is_near(now, enough)
                    break
                continue
            promised = step.promised + gained
            if after is not None:
                now, standing = after, self._moved(standing, step)
            if promised < enough:
                # A step that is short for its damping alone promises little too.
                converged = standing.damping <= 1.0 or self._is_near(now, enough)
                break
            standing = self._took(now, standing, promised, blur)
        else:
            message = f"stopped after {self.how.iterations} steps"
        if self.state is not None:
            self.state.write(self._kept(now, standing))
        message = message or (_CONVERGED if converged else "no step lowers the loss any more")
        return Outcome(now, standing, converged, message)

    def _step(self, now: Point, damping: float) -> Step:
        room = room_of(self.bounds, self.columns, now.experiments)
        return Arrow.of(self.columns, now.equations).step(damping, room)

    def _is_near(self, now: Point, enough: float) -> bool:
        """Whether the loss is at its least but for a jump that no step leads across."""
        return self._step(now, _HARDLY).promised < _NEAR * enough

    def _check(self, equations: list[NormalEquations]) -> None:
        """Refuse shots without pixels, and parameters on which no pixel depends."""
        weights: dict[str, float] = {}
        for number, part, found in zip(self.labels, self.columns.parts, equations, strict=True):
            of = f" of shot {number}" if len(self.shots) > 1 else ""
            if not found.pixels:
                allowed = "an image with numbers where it is computed"
                raise FieldError("data" + of, "no pixel that counts", allowed)
            if not np.isfinite(found.loss + found.chi2):
                raise FieldError("data" + of, "too large", "photons whose squares are numbers")
            diagonal = np.diag(found.hessian)
            for place in part.own:
                weights[found.names[place] + of] = diagonal[place]
            for place, column in zip(part.common, part.column, strict=True):
                name = self.columns.names[column]
                weights[name] = weights.get(name, 0.0) + diagonal[place]
        for name, weight in weights.items():
            if weight <= 0.0:
                raise FieldError("parameter", name, "one on which some pixel depends")

    def _took(self, now: Point, standing: Standing, promised: float, blur: float) -> Standing:
        """Take note of a step."""
        standing = replace(standing, losses=(*standing.losses, now.loss))
        if self.state is not None:
            self.state.write(self._kept(now, standing))
        begin = f"blur {blur:g}, " if blur else ""
        text = f"{begin}step {len(standing.losses) - 1}: loss {now.loss:.6g}"
        _log.info(text)
        self.report(f"{text}, a drop of {promised:.3g} was predicted")
        return standing

    def _moved(self, standing: Standing, step: Step) -> Standing:
        changes = (self.columns.at(i, own, step.common) for i, own in enumerate(step.own))
        moved = [
            [a + b for a, b in zip(before, change, strict=True)]
            for before, change in zip(standing.moved, changes, strict=True)
        ]
        return replace(standing, moved=moved, damping=max(standing.damping / 10.0, 1e-12))

    def _kept(self, now: Point, standing: Standing) -> Standing:
        """Return what goes into the file."""
        values = [values_of(e, self.columns.parameters) for e in now.experiments]
        held = None
        if self.amplitudes:
            held = strengths.strengths_of(now.experiments[0])[1].tolist()
        return replace(standing, values=values, amplitudes=held)

    def _at(self, experiments: list[Experiment], blur: float) -> Point:
        """Compare all shots with their data."""

        def one(index: int) -> NormalEquations:
            """Compare one shot with its data."""
            shot, how, chosen = self.shots[index], self.how, self.columns.parameters
            work, _ = prepare_gradient(experiments[index], chosen, how.backend, how.tile)
            errors = self.errors[index]
            if blur:
                return blurred_equations(work, chosen, shot.data, shot.mask, errors, blur)
            return equations_of(work, chosen, shot.data, shot.mask, errors)

        return Point(experiments, self._each(one))

    def _each(self, one: Callable[[int], Any]) -> list[Any]:
        """Return what a function gives for each shot; a wrong one names its shot."""
        if len(self.shots) == 1:
            return [one(0)]

        def named(index: int) -> Any:
            try:
                return one(index)
            except InputError as error:
                raise InputError(f"shot {self.labels[index]}: {error}") from error

        # Of a small image all is one task, so shots are what runs at once.
        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(named, range(len(self.shots))))

    def _try(self, experiments: list[Experiment], step: Step, blur: float) -> Point | None:
        """Return where a step leads; None: to no experiment."""
        try:
            there = []
            for index, experiment in enumerate(experiments):
                change = self.columns.at(index, step.own[index], step.common)
                moved = stepped(experiment, self.columns.parameters, change)
                there.append(within(moved, self.bounds))
            found = self._at(there, blur)
        except InputError:
            return None
        return found if np.isfinite(found.loss) else None

    def _strengthen(self, now: Point) -> tuple[Point, float]:
        """Take a step of the amplitudes, shorter where it does not lower the loss."""
        hkl, values = strengths.strengths_of(now.experiments[0])
        residual, model = self.pulls(now.experiments, hkl)
        for part in (1.0, 0.5, 0.25, 0.125):
            changed = strengths.stepped_strengths(values, residual, model, part)
            first = strengths.with_strengths(now.experiments[0], hkl, changed)
            after = self._at([e.replace(structure=first.structure) for e in now.experiments], 0.0)
            if after.loss < now.loss:
                return after, strengths.promised_by(values, residual, changed)
        return now, 0.0

    def pulls(self, experiments: list[Experiment], hkl: Indices) -> tuple[Array, Array]:
        """Return the two sums of all shots that steps of amplitudes need, (n,) each."""

        def one(index: int) -> Array:
            """Return the sums of one shot."""
            shot, options = self.shots[index], {"backend": self.how.backend, "tile": self.how.tile}
            found = strengths.pulls_of(
                experiments[index],
                self.columns.parameters[0],
                shot.data,
                shot.mask,
                self.errors[index],
                options,
            )
            low = [int(found.model[axis][0]) for axis in "hkl"]
            place = tuple((hkl - low).T)
            return np.array([found.residual.values[place], found.model.values[place]])

        total = sum(self._each(one), np.zeros((2, len(hkl))))
        return total[0], total[1]


def _check_same(loss: float, recorded: float) -> None:
    """Refuse to go on with other data."""
    if not abs(loss - recorded) <= _SAME_LOSS * abs(recorded):
        raise InputError(
            f"--resume: the loss is {loss:.9g}, on record {recorded:.9g}: give the same data, mask"
            " and kernel as before"
        )

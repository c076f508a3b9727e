"""``fit()`` and ``fit_joint()``: numbers of one experiment, or of many, refined against images."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray

from nbdask.errors import InputError, in_python, shown
from nbdask.experiment import Experiment
from nbdask.gradients import strengths
from nbdask.gradients.arrow import Arrow
from nbdask.gradients.asked import shown_value
from nbdask.gradients.change import frozen
from nbdask.gradients.columns import Columns, Names, columns_of
from nbdask.gradients.found import FitResult, JointResult, common_of, end_of
from nbdask.gradients.saved import StateFile
from nbdask.gradients.search import How, Outcome, Search, Shot, checked_blurs, shots_of
from nbdask.gradients.work import check_experiment
from nbdask.shots import Series

_Path = str | os.PathLike[str]


@in_python
def fit(
    experiment: Experiment,
    data: Any,
    parameters: Names,
    *,
    background: float = 0.0,
    readout: float = 0.0,
    mask: Any = None,
    robust: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    blur: float | Sequence[float] = (),
    iterations: int = 50,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    state: _Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] | None = None,
) -> FitResult:
    """Refine numbers of an experiment so that its image becomes that of the data.

    Levenberg-Marquardt steps on the normal equations: only sums leave a tile.  Whole numbers
    (sub-pixels, cells) stay as they are at the start.  No capture range is promised: spots must
    overlap with those of the data, if need be after blurring.

    Parameters
    ----------
    experiment : Experiment
        Where to start.
    data : ([panel,] slow, fast) array
        Photons; NaN where there are none.
    parameters : str, Parameter or sequence of them
        Such as ``"crystal.turn,crystal.cell"``; not ``crystal.n_cells``, which are whole.
    background, readout, robust, mask
        As for :func:`nbdask.normal_equations`.
    bounds : mapping of str to (float, float), optional
        Least and greatest value of fields that are fitted, also of those that are tied; turns and
        shifts have no value.  What is at a bound stays there while it would go beyond.
    blur : float or sequence of float
        Data and model are first fitted blurred by these standard deviations [pixel], such as
        ``(4, 2)``, one after another, and then as they are.
    iterations : int
        Most steps, of each blur.
    backend, tile
        As for :func:`nbdask.gradient`.
    state : path, optional
        File that is written after every step, so that a fit that was stopped can go on.
    resume : bool
        Go on from that file: with the steps that the fit would have taken.
    overwrite : bool
        Replace that file.
    report : callable, optional
        Is told a line after every step.

    Returns
    -------
    FitResult

    Raises
    ------
    NbdaskError
        A parameter that cannot be refined, or that no pixel depends on; a state of another fit.
    """
    how = How(robust, bounds or {}, checked_blurs(blur), iterations, backend, tile)
    shot = Shot(experiment, data, mask, background, readout)
    columns = columns_of(1, parameters, (), {})
    found = _fitted([shot], columns, how, False, (state, resume, overwrite), report)
    return found.shots[0]


@in_python
def fit_joint(
    shots: Sequence[Shot | tuple[Experiment, Any]] | Series,
    each: Names = (),
    shared: Names = (),
    *,
    data: Any = None,
    groups: Mapping[str, Sequence[Hashable]] | None = None,
    amplitudes: bool = False,
    robust: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    blur: float | Sequence[float] = (),
    iterations: int = 50,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    state: _Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] | None = None,
) -> JointResult:
    """Refine many images at once: numbers of their own, and numbers that they have in common.

    The normal equations have the shape of an arrow: each shot's own block is eliminated by itself,
    so time and memory grow with the number of shots alone.

    Parameters
    ----------
    shots : sequence of Shot or (Experiment, data), or Series
        Where each starts, and its image; :class:`nbdask.Shot` also holds a mask, a background and
        a readout noise.  Those of a store: :func:`nbdask.read_shots`.
    each : names
        Parameters of which every shot has its own, such as ``"crystal.turn,beam.fluence"``.
    shared : names
        Parameters that all have in common, such as ``"detector.distance,detector.rotx"``; they
        change by the same amount in all.
    data : (shot, [panel,] slow, fast) array, optional
        With a series: the images of all its shots, each of which starts where the series has it.
    groups : mapping of str to sequence, optional
        Names -> a label for each shot: shots of one label have the parameter in common.
    amplitudes : bool
        Also refine the structure factor amplitudes of the list, which all have in common.  They
        must be looked up (``-nointerpolate``); give no scale of all shots beside them.
    robust, bounds, blur, iterations, backend, tile, state, resume, overwrite, report
        As for :func:`nbdask.fit`.

    Returns
    -------
    JointResult

    Raises
    ------
    NbdaskError
        As for :func:`nbdask.fit`; the message names the shot.
    """
    if isinstance(shots, Series):
        shots = shots_of(shots, data)
    elif data is not None:
        raise InputError("data: given with a series alone; a shot holds its own")
    if not isinstance(shots, Iterable) or not (listed := list(map(_shot, shots))):
        raise InputError(f"shots = {shown(shots)}: must be at least one (experiment, data)")
    how = How(robust, bounds or {}, checked_blurs(blur), iterations, backend, tile)
    columns = columns_of(len(listed), each, shared, groups or {})
    kept = (state, resume, overwrite)
    return _fitted(listed, columns, how, amplitudes, kept, report)


def _shot(given: Any) -> Shot:
    if isinstance(given, Shot):
        return given
    try:
        experiment, data = given
    except (TypeError, ValueError):
        experiment = data = None
    if not isinstance(experiment, Experiment):
        raise InputError("shots: each must be an nbdask.Shot or a pair of experiment and data")
    return Shot(experiment, data)


def _state(
    path: _Path | None, shots: Sequence[Shot], columns: Columns, how: How, amplitudes: bool
) -> StateFile | None:
    """Return the file of a fit's state, and what the fit is of."""
    if path is None:
        return None
    settings = [how.robust, sorted(how.bounds.items()), how.blur, amplitudes]
    about = {
        "experiments": [shot.experiment.fingerprint() for shot in shots],
        "parameters": [[p.name, sorted(p.fields.items())] for p in columns.parameters],
        "groups": [columns.names, [part.column.tolist() for part in columns.parts]],
        "settings": settings,
        "errors": [[shot.background, shot.readout] for shot in shots],
    }
    return StateFile(path, about)


def _fitted(
    shots: Sequence[Shot],
    columns: Columns,
    how: How,
    amplitudes: bool,
    kept: tuple[_Path | None, bool, bool],
    report: Callable[[str], None] | None,
) -> JointResult:
    """Do the work of both; ``kept`` is state, resume and overwrite."""
    path, resume, overwrite = kept
    for shot in shots:
        check_experiment(shot.experiment)
    state = _state(path, shots, columns, how, amplitudes)
    if state is not None:
        state.check(resume=resume, overwrite=overwrite)
    elif resume:
        raise InputError("--resume: needs --state FILE, the state to go on from")
    experiments = [frozen(shot.experiment) for shot in shots]
    if amplitudes:
        experiments = strengths.shared_structure(experiments)
    search = Search(shots, columns, how, amplitudes, state, report)
    return _result(search, experiments, search.run(experiments, resume=resume))


def _result(search: Search, start: Sequence[Experiment], outcome: Outcome) -> JointResult:
    """Put together what a search found."""
    columns, point = search.columns, outcome.point
    arrow = Arrow.of(columns, point.equations)
    found = []
    for number, covariance in enumerate(arrow.covariances(columns)):
        moved, chosen = outcome.standing.moved[number], columns.parameters
        end = point.experiments[number]
        found.append(
            FitResult(
                end,
                chosen,
                np.array([shown_value(start[number], p) for p in chosen]),
                np.array([end_of(end, p, by) for p, by in zip(chosen, moved, strict=True)]),
                covariance,
                point.equations[number],
                outcome.standing.losses,
                outcome.converged,
                outcome.message,
                search.shots[number],
            )
        )
    shots = tuple(found)
    units, before, after = common_of(columns, shots)
    amplitudes = _amplitudes(search, point.experiments) if search.amplitudes else (None, None)
    return JointResult(
        shots,
        columns.names,
        tuple(units),
        before,
        after,
        arrow.covariance(),
        amplitudes[0],
        amplitudes[1],
        outcome.standing.losses,
        outcome.converged,
        outcome.message,
    )


def _amplitudes(
    search: Search, experiments: list[Experiment]
) -> tuple[xarray.DataArray, xarray.DataArray]:
    """Return the amplitudes and their standard deviations."""
    hkl, values = strengths.strengths_of(experiments[0])
    _, model = search.pulls(experiments, hkl)
    sigma = strengths.sigma_of(values, model)
    return strengths.as_grid(hkl, values), strengths.as_grid(hkl, sigma)

"""``render()``: an image as a function in PyTorch, with the exact derivatives of nbdask.

Needs PyTorch (``pip install nbdask[torch]``); everything is computed on the processor, in float64.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.adjoint import adjoint
from nbdask.gradients.change import turned, with_values
from nbdask.gradients.parameters import known
from nbdask.gradients.work import image_of

_TURNS = tuple(f"crystal.turn.{axis}" for axis in "xyz")


def render(
    experiment: Experiment,
    parameters: Mapping[str, torch.Tensor],
    amplitudes: torch.Tensor | None = None,
    *,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
) -> torch.Tensor:
    """Return the image of an experiment as a tensor that can be differentiated once.

    Parameters
    ----------
    experiment : Experiment
        What is simulated, but for what follows.  Whole numbers that it leaves open are chosen at
        each call: give ``sampling.oversample`` and the numbers of cells.
    parameters : mapping of str to Tensor
        Name of a field (``nbdask parameters``) -> its value, a tensor of one number, in SI units.
        ``crystal.turn.x``, ``.y``, ``.z`` are the components of axis times angle [rad].
    amplitudes : (n,) Tensor, optional
        Amplitudes of ``experiment.structure.reflections``, in their order [electrons].
    backend, tile
        As for :func:`nbdask.gradient`.

    Returns
    -------
    Tensor
        (slow, fast) float64 [photons].

    Raises
    ------
    FieldError
        An unknown name, a value that is refused, amplitudes without reflections.
    """
    for name in parameters:
        known(name)
    if amplitudes is not None:
        _check_reflections(experiment, amplitudes)
    options = {"backend": backend, "tile": tile}
    names = tuple(parameters)
    image: torch.Tensor = _Render.apply(
        experiment, names, options, amplitudes, *(parameters[name] for name in names)
    )
    return image


def _check_reflections(experiment: Experiment, amplitudes: torch.Tensor) -> None:
    rows = experiment.structure.reflections
    indices = {row[:3] for row in rows}
    if not rows or tuple(amplitudes.shape) != (len(rows),) or len(indices) != len(rows):
        raise FieldError(
            "amplitudes",
            tuple(amplitudes.shape),
            f"one number for each of the {len(rows)} different structure.reflections",
        )


class _Render(torch.autograd.Function):  # type: ignore[misc]
    """One image; its backward pass is one adjoint."""

    @staticmethod
    def forward(
        ctx: Any,
        experiment: Experiment,
        names: tuple[str, ...],
        options: dict[str, Any],
        amplitudes: torch.Tensor | None,
        *values: torch.Tensor,
    ) -> torch.Tensor:
        """Return the image."""
        given = {name: float(value.detach()) for name, value in zip(names, values, strict=True)}
        turn = np.array([given.pop(name, 0.0) for name in _TURNS])
        there = with_values(experiment, given)
        if turn.any():
            there = turned(there, turn)
        if amplitudes is not None:
            there = _with_amplitudes(there, amplitudes.detach().numpy())
        ctx.there, ctx.names, ctx.options, ctx.turn = there, names, options, turn
        ctx.amplitudes = amplitudes
        ctx.kinds = [(value.dtype, value.shape) for value in values]
        return torch.from_numpy(image_of(there, **options))

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        """Return the derivatives by all values and amplitudes."""
        wanted = ctx.amplitudes is not None and ctx.needs_input_grad[3]
        names = [name for name in ctx.names if name not in _TURNS]
        is_turned = len(names) < len(ctx.names)
        names += _TURNS if is_turned else ()
        found = adjoint(
            ctx.there, cotangent.numpy(), names or "beam.fluence", amplitudes=wanted, **ctx.options
        )
        values = dict(found.values)
        if is_turned:
            turns = turn_jacobian(ctx.turn).T @ [values[name] for name in _TURNS]
            values |= dict(zip(_TURNS, turns, strict=True))
        by_value = [
            torch.full(shape, float(values[name]), dtype=kind)
            for name, (kind, shape) in zip(ctx.names, ctx.kinds, strict=True)
        ]
        by_amplitude = None
        if wanted:
            assert found.amplitudes is not None
            low = [int(found.amplitudes[axis][0]) for axis in "hkl"]
            rows = np.array([row[:3] for row in ctx.there.structure.reflections]) - low
            picked = found.amplitudes.values[tuple(rows.T)]
            by_amplitude = torch.from_numpy(picked).to(ctx.amplitudes.dtype)
        return (None, None, None, by_amplitude, *by_value)


def _with_amplitudes(experiment: Experiment, amplitudes: Array) -> Experiment:
    rows = experiment.structure.reflections
    changed = tuple((*row[:3], float(f)) for row, f in zip(rows, amplitudes, strict=True))
    return experiment.replace(
        structure=dataclasses.replace(experiment.structure, reflections=changed)
    )


def turn_jacobian(turn: Array) -> Array:
    """Return what small turns after a turn are by changes of it.

    Parameters
    ----------
    turn : (3,) float64 array
        Axis times angle [rad].

    Returns
    -------
    (3, 3) float64 array
        The identity where nothing is turned.
    """
    angle = math.sqrt(float(turn @ turn))
    if angle < 1e-8:
        return np.eye(3)
    x, y, z = turn
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    half = math.sin(0.5 * angle) / angle
    result: Array = (
        np.eye(3)
        + 2.0 * half * half * cross
        + (angle - math.sin(angle)) / angle**3 * (cross @ cross)
    )
    return result

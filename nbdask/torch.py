"""``render()``: an image as a function in PyTorch, with the exact derivatives of nbdask.

Needs PyTorch (``pip install "nbdask[torch]"``); everything is computed on the processor, in
float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nbdask.experiment import Experiment
from nbdask.gradients.rendered import Rendering


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
        ``crystal.turn.x``, ``.y``, ``.z`` are the components of axis times angle [rad], as are
        ``detector.turn`` and ``panel.NAME.turn``, which come before ``.shift`` [m].
    amplitudes : (n,) Tensor, optional
        Amplitudes of ``experiment.structure.reflections``, in their order [electrons].
    backend, tile
        As for :func:`nbdask.gradient`.

    Returns
    -------
    Tensor
        (slow, fast) float64 [photons]; of several panels (panel, slow, fast).

    Raises
    ------
    FieldError
        An unknown name, a value that is refused, amplitudes without reflections.
    """
    shape = None if amplitudes is None else tuple(amplitudes.shape)
    rendering = Rendering(experiment, tuple(parameters), shape, backend, tile)
    image: torch.Tensor = _Render.apply(rendering, amplitudes, *parameters.values())
    return image


class _Render(torch.autograd.Function):  # type: ignore[misc]
    """One image; its backward pass is one adjoint."""

    @staticmethod
    def forward(
        ctx: Any, rendering: Rendering, amplitudes: torch.Tensor | None, *values: torch.Tensor
    ) -> torch.Tensor:
        """Return the image."""
        given = None if amplitudes is None else amplitudes.detach().numpy()
        ctx.place = rendering.at([float(value.detach()) for value in values], given)
        ctx.amplitudes = amplitudes
        ctx.kinds = [(value.dtype, value.shape) for value in values]
        return torch.from_numpy(ctx.place.image())

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        """Return the derivatives by all values and amplitudes."""
        wanted = ctx.amplitudes is not None and ctx.needs_input_grad[1]
        values, picked = ctx.place.pull(cotangent.numpy(), wanted)
        by_value = [
            torch.full(shape, value, dtype=kind)
            for value, (kind, shape) in zip(values.tolist(), ctx.kinds, strict=True)
        ]
        by_amplitude = None if picked is None else torch.from_numpy(picked).to(ctx.amplitudes.dtype)
        return (None, by_amplitude, *by_value)

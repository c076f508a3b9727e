"""``render()``: an image as a function in JAX, with the exact derivatives of nbdask.

Needs JAX (``pip install "nbdask[jax]"``) with 64-bit numbers; everything is computed by nbdask on
the processor, in calls that leave compiled programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.rendered import Rendering

_Residual = tuple[jax.Array, jax.Array]


def render(
    experiment: Experiment,
    parameters: Mapping[str, Any],
    amplitudes: Any = None,
    *,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
) -> jax.Array:
    """Return the image of an experiment as an array that can be differentiated once, in reverse.

    It may be used within ``jax.jit``, ``jax.grad`` and ``jax.vmap`` (one image after another).

    Parameters
    ----------
    experiment : Experiment
        What is simulated, but for what follows.  Whole numbers that it leaves open are chosen at
        each call: give ``sampling.oversample`` and the numbers of cells.
    parameters : mapping of str to array
        Name of a field (``nbdask parameters``) -> its value, one number, in SI units.
        ``crystal.turn.x``, ``.y``, ``.z`` are the components of axis times angle [rad], as are
        ``detector.turn`` and ``panel.NAME.turn``, which come before ``.shift`` [m].
    amplitudes : (n,) array, optional
        Amplitudes of ``experiment.structure.reflections``, in their order [electrons].
    backend, tile
        As for :func:`nbdask.gradient`.

    Returns
    -------
    jax.Array
        (slow, fast) float64 [photons]; of several panels (panel, slow, fast).

    Raises
    ------
    NbdaskError
        An unknown name, amplitudes without reflections, numbers of 32 bits.  A value that is
        refused is an error of JAX that tells why.
    """
    if not jax.config.jax_enable_x64:
        raise InputError(
            "nbdask.jax computes with 64-bit numbers: call jax.config.update('jax_enable_x64',"
            " True) first"
        )
    shape = None if amplitudes is None else tuple(jnp.shape(amplitudes))
    rendering = Rendering(experiment, tuple(parameters), shape, backend, tile)
    values = [jnp.asarray(value, jnp.float64).reshape(()) for value in parameters.values()]
    stacked = jnp.stack(values) if values else jnp.zeros(0)
    given = jnp.zeros(0) if amplitudes is None else jnp.asarray(amplitudes, jnp.float64)
    return _image(rendering, stacked, given)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _image(rendering: Rendering, values: jax.Array, amplitudes: jax.Array) -> jax.Array:
    """Return one image."""
    told = jax.ShapeDtypeStruct(rendering.shape, jnp.float64)
    image: jax.Array = jax.pure_callback(
        partial(_computed, rendering), told, values, amplitudes, vmap_method="sequential"
    )
    return image


def _forward(
    rendering: Rendering, values: jax.Array, amplitudes: jax.Array
) -> tuple[jax.Array, _Residual]:
    return _image(rendering, values, amplitudes), (values, amplitudes)


def _backward(rendering: Rendering, held: _Residual, cotangent: jax.Array) -> _Residual:
    """Return the derivatives by values and amplitudes: one adjoint."""
    told = tuple(jax.ShapeDtypeStruct(one.shape, jnp.float64) for one in held)
    found: _Residual = jax.pure_callback(
        partial(_pulled, rendering), told, *held, cotangent, vmap_method="sequential"
    )
    return found


_image.defvjp(_forward, _backward)


def _computed(rendering: Rendering, values: Any, amplitudes: Any) -> Array:
    """Return the image, outside of JAX."""
    given = None if rendering.amplitudes is None else np.asarray(amplitudes)
    return rendering.at(np.asarray(values), given).image()


def _pulled(
    rendering: Rendering, values: Any, amplitudes: Any, cotangent: Any
) -> tuple[Array, Array]:
    """Return the derivatives, outside of JAX."""
    wanted = rendering.amplitudes is not None
    place = rendering.at(np.asarray(values), np.asarray(amplitudes) if wanted else None)
    by_value, by_amplitude = place.pull(np.asarray(cotangent), wanted)
    return by_value, np.zeros(0) if by_amplitude is None else by_amplitude

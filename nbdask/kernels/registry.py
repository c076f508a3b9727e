"""Kernels by name, imported when asked for."""

from __future__ import annotations

import importlib
from threading import Lock

from nbdask.errors import BackendError
from nbdask.kernels.interface import Kernel

PRECISIONS = ("float64", "mixed", "pairs", "auto")

#: Name -> module, class, packages it needs, how to get them.
_KERNELS = {
    "numpy": ("nbdask.kernels.reference", "ReferenceKernel", (), ""),
    "numba": ("nbdask.kernels.numba_kernel", "NumbaKernel", ("numba", "llvmlite"), "numba"),
    "cuda": ("nbdask.kernels.cuda_cupy", "CardKernel", (), ""),
    # The kernel of the card compiled for this machine's processor: for tests.
    "cuda-host": ("nbdask.kernels.cuda_host", "CudaHostKernel", (), ""),
}
#: Name -> precisions that it can compute in; "auto" is the first, except on a card.
_ABLE = {
    "numpy": ("float64",),
    "numba": ("float64", "mixed"),
    "cuda": ("float64", "mixed", "pairs", "auto"),
    "cuda-host": ("float64", "mixed", "pairs", "auto"),
}
NAMES = ("auto", "numba", "cuda", "numpy")

_made: dict[tuple[str, str], Kernel] = {}
_lock = Lock()


def choose_backend(name: str | None, cluster: str = "threads") -> tuple[str, str | None]:
    """Return the backend that is meant, and what the user should be told of the choice.

    Parameters
    ----------
    name : str or None
        None: ``"cuda"`` on the cluster of that name, else ``"numba"``.  ``"auto"``: ``"cuda"``
        where this process can use a card, else ``"numba"``; the only case of falling back.
    cluster : str
        Kind of cluster.

    Returns
    -------
    name : str
    note : str or None
    """
    if name is None:
        return ("cuda" if cluster == "cuda" else "numba"), None
    if name != "auto":
        return name, None
    from nbdask.kernels.cuda_device import unusable

    reason = unusable()
    if reason is None:
        return "cuda", None
    return "numba", f"--backend auto uses numba: {reason}"


def get_kernel(name: str = "numba", precision: str = "float64") -> Kernel:
    """Return the kernel of this process for a name and a precision.

    Parameters
    ----------
    name : str
        ``"numpy"``, ``"numba"``, ``"cuda"``, or ``"auto"`` (cuda where a card can be used, else
        numba).
    precision : str
        ``"float64"``; ``"mixed"`` (not numpy); ``"pairs"`` (cuda only); ``"auto"``: on a card what
        its float64 rate suggests, elsewhere float64.

    Returns
    -------
    Kernel
        The same object for the same arguments.

    Raises
    ------
    BackendError
        An unknown name or precision, or a package that is not installed.
    """
    if precision not in PRECISIONS:
        raise BackendError(f"--precision = {precision!r}: must be one of {', '.join(PRECISIONS)}")
    if name not in (*NAMES, *_KERNELS):
        raise BackendError(f"--backend = {name!r}: must be one of {', '.join(NAMES)}")
    name = choose_backend(name)[0]
    if precision == "auto" and "auto" not in _ABLE[name]:
        precision = "float64"
    if precision not in _ABLE[name]:
        able = " or ".join(other for other in ("numba", "cuda") if precision in _ABLE[other])
        raise BackendError(
            f"--backend {name} computes in {' and '.join(_ABLE[name])} only: --precision"
            f" {precision} needs --backend {able}"
        )
    with _lock:
        if (name, precision) not in _made:
            _made[name, precision] = _make(name, precision)
        return _made[name, precision]


def _make(name: str, precision: str) -> Kernel:
    module, attribute, packages, install = _KERNELS[name]
    try:
        kernel = getattr(importlib.import_module(module), attribute)
        made: Kernel = kernel() if name == "numpy" else kernel(precision=precision)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in packages:
            raise
        raise BackendError(
            f"--backend {name} needs the package {error.name}, which is not installed:"
            f" pip install {install}, or use --backend numpy (slow)"
        ) from error
    return made

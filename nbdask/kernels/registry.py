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
    # The kernel of the card compiled for this machine's processor: for tests, and not in NAMES.
    "cuda-host": ("nbdask.kernels.cuda_host", "CudaHostKernel", (), ""),
}
#: Names that later versions may fill.
_PLANNED = ("cuda",)
NAMES = ("auto", "numba", "numpy")

_made: dict[tuple[str, str], Kernel] = {}
_lock = Lock()


def get_kernel(name: str = "auto", precision: str = "float64") -> Kernel:
    """Return the kernel of this process for a name and a precision.

    Parameters
    ----------
    name : str
        ``"numpy"``, ``"numba"`` or ``"auto"`` (the fastest one there is: numba).
    precision : str
        ``"float64"`` or ``"mixed"`` (numba only).

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
    if name in _PLANNED:
        raise BackendError(f"--backend {name} is not available in this version: use numba or numpy")
    if name not in NAMES and name not in _KERNELS:
        raise BackendError(f"--backend = {name!r}: must be one of {', '.join(NAMES)}")
    name = "numba" if name == "auto" else name
    if precision == "auto" and name in ("numba", "numpy"):
        precision = "float64"
    if precision == "pairs" and name in ("numba", "numpy"):
        raise BackendError(
            f"--precision pairs is for cards with slow float64: --backend {name} has float64 and"
            " mixed"
        )
    if name == "numpy" and precision != "float64":
        raise BackendError(
            f"--backend numpy computes in float64 only: --precision {precision} needs numba"
        )
    with _lock:
        if (name, precision) not in _made:
            _made[name, precision] = _make(name, precision)
        return _made[name, precision]


def _make(name: str, precision: str) -> Kernel:
    module, attribute, packages, install = _KERNELS[name]
    try:
        kernel = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in packages:
            raise
        raise BackendError(
            f"--backend {name} needs the package {error.name}, which is not installed:"
            f" pip install {install}, or use --backend numpy (slow)"
        ) from error
    made: Kernel = kernel() if name == "numpy" else kernel(precision=precision)
    return made

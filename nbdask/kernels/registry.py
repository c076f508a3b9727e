"""Kernels by name: what there is, in which precisions, at what cost; imported when asked for."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from nbdask.errors import BackendError
from nbdask.kernels.cuda_costs import USUAL, gpu_costs
from nbdask.kernels.cuda_device import unusable
from nbdask.kernels.cuda_facts import GpuFacts
from nbdask.kernels.interface import Kernel
from nbdask.native.library import check_choice, missing_note
from nbdask.plan.cost import AMPLITUDES

_log = logging.getLogger("nbdask.kernels")

#: What ``--precision`` takes -> what it is, for help texts.
PRECISIONS = {
    "float64": "exact",
    "mixed": "lattice factors in single precision (worst deviation 1e-5)",
    "pairs": "the same bound, for GPUs that are slow in double precision",
    "auto": "pairs on these, else float64",
}

#: Nanoseconds of one thread per evaluation by precision and shape, for one amplitude everywhere, a
#: list, and tricubic interpolation; and per pixel once (finish, check, write).  Measured on
#: processors with 512 bit vectors at about 2.9 GHz; ``nbdask calibrate`` replaces them.
_CPU_COSTS = {
    "float64": {
        "square": (2.4, 3.7, 25.0),
        "round": (3.2, 4.5, 26.0),
        "gauss": (2.4, 3.8, 25.0),
        "tophat": (1.6, 3.0, 24.0),
        "spherical": (5.9, 8.7, 29.0),
        "pixel": (18.0,),
    },
    "mixed": {
        "square": (1.5, 1.9, 25.0),
        "round": (2.0, 2.6, 26.0),
        "gauss": (1.2, 1.8, 24.0),
        "tophat": (0.9, 1.5, 24.0),
        "spherical": (5.9, 8.7, 29.0),
        "pixel": (18.0,),
    },
}
_NUMPY_COSTS = {
    "float64": {
        "square": (150.0, 200.0, 3000.0),
        "round": (180.0, 230.0, 3000.0),
        "gauss": (180.0, 230.0, 3000.0),
        "tophat": (180.0, 230.0, 3000.0),
        "spherical": (900.0, 1700.0, 3600.0),
        "pixel": (80.0,),
    }
}


@dataclass(frozen=True, slots=True)
class Backend:
    """A kernel that may be asked for.

    Parameters
    ----------
    name : str
    implementation : str
        ``module:class``.
    precisions : tuple of str
        Those that it computes in; the first is the default.
    text : str
        What it is, for help texts.
    costs : mapping
        Nanoseconds as above; empty: as the processor's.
    hidden : bool
        For tests only.
    facts : callable or None
        Makes, of a precision, what a plan needs where the kernel itself cannot be made.
    same_bits : tuple of str
        Precisions in which it gives the same bits on every machine.
    """

    name: str
    implementation: str
    precisions: tuple[str, ...]
    text: str
    costs: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    hidden: bool = False
    facts: Callable[[str], GpuFacts] | None = None
    same_bits: tuple[str, ...] = ()


_GPU = ("float64", "mixed", "pairs", "auto")
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "cpu",
            "nbdask.kernels.cpu:CpuKernel",
            ("float64", "mixed"),
            "compiled loops on the processor",
            _CPU_COSTS,
            same_bits=("float64",),
        ),
        Backend(
            "cuda",
            "nbdask.kernels.cuda_cupy:GpuKernel",
            _GPU,
            "an NVIDIA GPU",
            # Of a whole H100, estimated from the compiled code; a GPU of this machine has its own.
            gpu_costs(*USUAL),
            facts=GpuFacts,
            same_bits=("float64",),
        ),
        Backend(
            "numpy",
            "nbdask.kernels.reference:ReferenceKernel",
            ("float64",),
            "the readable reference, slow",
            _NUMPY_COSTS,
        ),
        Backend(
            "cuda-host",
            "nbdask.kernels.cuda_host:CudaHostKernel",
            _GPU,
            "the GPU's kernel compiled for this machine's processor",
            hidden=True,
        ),
    )
}
#: Kernels other than the readable reference.
COMPILED = tuple(name for name, b in BACKENDS.items() if name != "numpy" and not b.hidden)
_AUTO = "cuda where a GPU can be used, else cpu"
#: What ``--backend`` takes.
NAMES = ("auto", *(name for name, backend in BACKENDS.items() if not backend.hidden))
#: What ``--backend`` and ``--precision`` mean, for help texts.
BACKEND_HELP = "; ".join(
    [f"{b.name}: {b.text}" for b in BACKENDS.values() if not b.hidden] + [f"auto: {_AUTO}"]
)
PRECISION_HELP = "; ".join(f"{name}: {text}" for name, text in PRECISIONS.items())

_made: dict[tuple[str, str], Kernel] = {}
_lock = Lock()


def default_costs() -> dict[str, float]:
    """Return nanoseconds by ``backend/precision/shape/amplitudes``, for the planner."""
    found = {}
    for name, backend in BACKENDS.items():
        for precision, rows in (backend.costs or _CPU_COSTS).items():
            for row, values in rows.items():
                kinds = [row] if len(values) == 1 else [f"{row}/{kind}" for kind in AMPLITUDES]
                for kind, value in zip(kinds, values, strict=True):
                    found[f"{name}/{precision}/{kind}"] = value
    return found


def choose_backend(name: str | None, cluster: str = "threads") -> tuple[str, str | None]:
    """Return the backend that is meant, and what the user should be told of the choice.

    Parameters
    ----------
    name : str or None
        None: ``"cuda"`` on the cluster of that name, else ``"cpu"``, or ``"numpy"`` where nbdask
        was installed without compiled loops.  ``"auto"``: ``"cuda"`` where this process can use a
        GPU, else as for None.
    cluster : str
        Kind of cluster.

    Returns
    -------
    name : str
    note : str or None
    """
    if name is None and cluster == "cuda":
        return "cuda", None
    if name not in (None, "auto"):
        return name, None
    missing = missing_note()
    check_choice()
    processor = "cpu" if missing is None else "numpy"
    if name is None:
        return processor, missing

    reason = unusable()
    if reason is None:
        return "cuda", None
    return processor, f"--backend auto uses {processor}: {reason}" + (
        f"; {missing}" if missing else ""
    )


def has_same_bits(name: str, precision: str) -> bool:
    """Return whether a kernel gives the same bits on processors or GPUs of every kind."""
    return precision in BACKENDS[name].same_bits


def check_same_bits(name: str, precision: str) -> None:
    """Refuse a kernel whose last bits depend on the machine.

    Raises
    ------
    BackendError
    """
    if not has_same_bits(name, precision):
        raise BackendError(
            f"--same-bits: with --backend {name} --precision {precision} the last bits depend on"
            " the kind of processor or GPU: must be cpu or cuda with --precision float64"
        )


def get_kernel(name: str | None = None, precision: str = "float64") -> Kernel:
    """Return the kernel of this process for a name and a precision.

    Parameters
    ----------
    name : str or None
        A name of :data:`BACKENDS`, or as for :func:`choose_backend`.
    precision : str
        ``"float64"``; ``"mixed"`` (not numpy); ``"pairs"`` (cuda only); ``"auto"``: on a GPU what
        its float64 rate suggests, elsewhere float64.

    Returns
    -------
    Kernel
        The same object for the same arguments.

    Raises
    ------
    BackendError
        An unknown name or precision, or something that is not installed.
    """
    backend, precision = _checked(name, precision)
    with _lock:
        if (backend.name, precision) not in _made:
            module, _, kernel = backend.implementation.partition(":")
            made = getattr(importlib.import_module(module), kernel)
            _made[backend.name, precision] = made(precision)
            _log.info("kernel %s, %s, from %s", backend.name, precision, module)
        return _made[backend.name, precision]


def kernel_facts(name: str | None, precision: str, here: bool = True) -> Kernel | GpuFacts:
    """Return what a plan needs to know of a kernel: name, precision, version, bytes and costs.

    Parameters
    ----------
    name, precision : str
        As for :func:`get_kernel`.
    here : bool
        Whether this machine will compute; if not, it need not have what the kernel needs.

    Raises
    ------
    BackendError
        As for :func:`get_kernel`.
    """
    backend, precision = _checked(name, precision)
    if here or backend.facts is None:
        return get_kernel(backend.name, precision)
    return backend.facts(precision)


def _checked(name: str | None, precision: str) -> tuple[Backend, str]:
    """Return the backend that is meant and its precision."""
    if precision not in PRECISIONS:
        raise BackendError(f"--precision = {precision!r}: must be one of {', '.join(PRECISIONS)}")
    if name is not None and name not in (*NAMES, *BACKENDS):
        raise BackendError(f"--backend = {name!r}: must be one of {', '.join(NAMES)}")
    backend = BACKENDS[choose_backend(name)[0]]
    if precision == "auto" and "auto" not in backend.precisions:
        precision = "float64"
    if precision not in backend.precisions:
        able = " or ".join(
            other.name
            for other in BACKENDS.values()
            if precision in other.precisions and not other.hidden
        )
        raise BackendError(
            f"--backend {backend.name} computes in {' and '.join(backend.precisions)} only:"
            f" --precision {precision} needs --backend {able}"
        )
    return backend, precision

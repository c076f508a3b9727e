"""Whether a GPU can be used, and if not, what is missing.  Imports CuPy only when asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from nbdask.errors import BackendError

#: Oldest compute capability that the compiler of CUDA 13 makes code for (Turing).
OLDEST = 75
#: Float64 multiply-adds that a multiprocessor starts in a cycle, by compute capability (V100, A100,
#: H100, B200); all others start 2, which is 1/32 or 1/64 of their float32 rate.  CUDA C++
#: Programming Guide, table "Throughput of Native Arithmetic Instructions".
FLOAT64_UNITS = {60: 32, 70: 32, 80: 32, 90: 64, 100: 64}
FEW_UNITS = 2
_INSTALL = (
    'pip install "nbdask[gpu]" (for a driver of CUDA 13; cupy-cuda12x and nvidia-cuda-nvrtc-cu12'
    " for one of CUDA 12)"
)


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU.

    Attributes
    ----------
    name : str
        Its name.
    capability : int
        Compute capability, 90 for 9.0.
    memory : int
        Bytes.
    """

    name: str
    capability: int
    memory: int

    @property
    def float64_units(self) -> int:
        """Float64 multiply-adds that a multiprocessor starts in a cycle."""
        return FLOAT64_UNITS.get(self.capability, FEW_UNITS)

    @property
    def slow_float64(self) -> bool:
        """Whether its float64 rate is a small part of its float32 rate."""
        return self.float64_units == FEW_UNITS


def load_cupy() -> Any:
    """Return CuPy, once it is certain that it can reach a GPU.

    Raises
    ------
    BackendError
        CuPy, the driver or a GPU is missing or too old; one line that says what to do.
    """
    try:
        import cupy
    except ImportError as error:
        if getattr(error, "name", None) not in (None, "cupy"):
            raise
        reason = "which is not installed" if find_spec("cupy") is None else f"({error})"
        raise BackendError(f"--backend cuda needs CuPy, {reason}: {_INSTALL}") from error
    runtime = cupy.cuda.runtime
    try:
        driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    except runtime.CUDARuntimeError as error:
        raise BackendError(f"--backend cuda: the CUDA runtime does not answer: {error}") from error
    if driver == 0:
        raise BackendError(
            "--backend cuda: no NVIDIA driver is loaded on this machine (nvidia-smi lists GPUs"
            " where there is one); run on a machine with a GPU, or use --backend cpu"
        )
    if driver // 1000 < needed // 1000:
        raise BackendError(
            f"--backend cuda: the driver is of CUDA {_version(driver)}, but CuPy is built for CUDA"
            f" {_version(needed)}: update the driver, or pip install cupy-cuda{driver // 1000}x in"
            " place of the CuPy that is installed"
        )
    if _count(cupy) == 0:
        raise BackendError(f"--backend cuda: no GPU can be used here{_hidden()}")
    return cupy


def this_device() -> Device:
    """Return the GPU that this process computes on (the first that it sees).

    Raises
    ------
    BackendError
        No usable GPU.
    """
    cupy = load_cupy()
    facts = cupy.cuda.runtime.getDeviceProperties(0)
    device = Device(
        facts["name"].decode(), 10 * facts["major"] + facts["minor"], int(facts["totalGlobalMem"])
    )
    if device.capability < OLDEST:
        raise BackendError(
            f"--backend cuda: the GPU {device.name} has compute capability"
            f" {device.capability / 10:.1f}: {OLDEST / 10:.1f} or newer is needed; use"
            " --backend cpu"
        )
    return device


def unusable() -> str | None:
    """Return why no GPU can be used by this process; None: one can."""
    try:
        this_device()
    except BackendError as error:
        return str(error).removeprefix("--backend cuda").lstrip(": ")
    return None


def visible_devices() -> tuple[str, ...]:
    """Return the names by which CUDA_VISIBLE_DEVICES gives each GPU to a process.

    Returns
    -------
    tuple of str
        The entries of this process's CUDA_VISIBLE_DEVICES, else ``"0"``, ``"1"``, ...

    Raises
    ------
    BackendError
        No usable GPU.
    """
    count = _count(load_cupy())
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(n) for n in range(count)] if given is None else given.split(",")
    return tuple(name.strip() for name in names[:count])


def _count(cupy: Any) -> int:
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _hidden() -> str:
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return " (nvidia-smi lists the GPUs that the driver sees); use --backend cpu"
    return f": CUDA_VISIBLE_DEVICES = {given!r} leaves none; change it, or use --backend cpu"


def to_device(array: NDArray[Any]) -> Any:
    """Return a copy of an array in the GPU's memory, a ``cupy.ndarray``.

    Raises
    ------
    BackendError
        No usable GPU.
    """
    return load_cupy().asarray(array)

"""Whether there is a GPU, and the one line that says what is missing."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from nbdask.errors import BackendError
from nbdask.kernels import cuda_device
from nbdask.kernels.cuda_device import Device, this_device, unusable, visible_devices
from nbdask.kernels.registry import choose_backend, get_kernel


class RuntimeFault(RuntimeError):
    """What CuPy raises when the CUDA runtime fails."""


def stand_in(driver=13000, needed=13000, devices=((9, 0),), fault=False) -> SimpleNamespace:
    """Return as much of CuPy as asks for driver and GPUs."""

    def count() -> int:
        if fault:
            raise RuntimeFault("cudaErrorInsufficientDriver")
        return len(devices)

    def properties(number: int) -> dict:
        major, minor = devices[number]
        return {"name": b"GPU", "major": major, "minor": minor, "totalGlobalMem": 8 << 30}

    runtime = SimpleNamespace(
        CUDARuntimeError=RuntimeFault,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: needed,
        getDeviceCount=count,
        getDeviceProperties=properties,
    )
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("cupy", "text"),
    [
        (stand_in(driver=0), "no NVIDIA driver is loaded"),
        (stand_in(driver=12040), r"driver is of CUDA 12\.4.*CUDA 13\.0.*cupy-cuda12x"),
        (stand_in(devices=()), "no GPU can be used here"),
        (stand_in(fault=True), "no GPU can be used here"),
        (stand_in(devices=((6, 1),)), r"compute capability 6\.1: 7\.5 or newer"),
    ],
)
def test_what_is_missing_is_said_in_one_line(monkeypatch, cupy, text) -> None:
    """Driver, its version, the GPU, its age; each with what to do."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(BackendError, match=text) as caught:
        this_device()
    assert "\n" not in str(caught.value)
    reason = unusable()
    assert reason is not None
    assert not reason.startswith("--backend")


def test_cupy_that_is_not_installed(monkeypatch) -> None:
    """The command that installs it is named."""
    real = builtins.__import__

    def without(name, *rest):
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'", name="cupy")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r'needs CuPy.*pip install "nbdask\[gpu\]"'):
        this_device()


def test_a_gpu_that_can_be_used(monkeypatch) -> None:
    """Name, compute capability, memory, and whether float64 is slow on it."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(devices=((8, 9), (9, 0))))
    assert this_device() == Device("GPU", 89, 8 << 30)
    assert this_device().slow_float64
    assert not Device("H100", 90, 0).slow_float64
    assert unusable() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ("0", "1")), ("3,GPU-1a", ("3", "GPU-1a")), ("5, 2, 7", ("5", "2"))],
)
def test_names_of_the_visible_gpus(monkeypatch, given, expected) -> None:
    """As CUDA_VISIBLE_DEVICES names them, not more than the driver finds."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(devices=((9, 0), (9, 0))))
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_devices() == expected


def test_hidden_gpus_are_named_in_the_message(monkeypatch) -> None:
    """A CUDA_VISIBLE_DEVICES that hides all GPUs is shown."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(devices=()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BackendError, match="CUDA_VISIBLE_DEVICES = '' leaves none"):
        visible_devices()


def test_auto_falls_back_and_says_so(monkeypatch) -> None:
    """Only auto falls back; the note tells why, and cuda by name is an error."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(driver=0))
    name, note = choose_backend("auto")
    assert name == "cpu"
    assert note is not None
    assert "no NVIDIA driver" in note
    assert get_kernel("auto").name == "cpu"
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        get_kernel("cuda")


def test_auto_takes_a_gpu(monkeypatch) -> None:
    """Where a GPU can be used there is nothing to tell."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in())
    assert choose_backend("auto") == ("cuda", None)


def test_default_backend_follows_the_cluster() -> None:
    """The compiled loops, except where the workers are one per GPU; a name given is kept."""
    assert choose_backend(None) == ("cpu", None)
    assert choose_backend(None, "cuda") == ("cuda", None)
    assert choose_backend("numpy", "cuda") == ("numpy", None)


@pytest.mark.parametrize(
    ("backend", "precision", "text"),
    [
        ("numpy", "mixed", "needs --backend cpu or cuda"),
        ("cpu", "pairs", "needs --backend cuda"),
        ("cpu", "half", "must be one of float64, mixed, pairs, auto"),
        ("gpu", "float64", "must be one of auto, cpu, cuda, numpy"),
    ],
)
def test_what_a_backend_cannot_do(backend, precision, text) -> None:
    """The message names the backend that can."""
    with pytest.raises(BackendError, match=text):
        get_kernel(backend, precision)


def test_auto_precision_without_a_gpu_is_float64() -> None:
    """CPUs compute float64 at full rate."""
    assert get_kernel("cpu", "auto").precision == "float64"


@pytest.mark.skipif(cuda_device.unusable() is None, reason="there is a GPU")
def test_this_machine_without_a_gpu(tmp_path) -> None:
    """The command ends with code 2 and one line, and writes nothing."""
    from nbdask.cli.main import main

    argv = "simulate -cell 70 80 90 90 90 90 -default_F 1 -N 3 -detpixels 16 --backend cuda"
    out = tmp_path / "run.zarr"
    assert main([*argv.split(), "--out", str(out)]) == 2
    assert not out.exists()

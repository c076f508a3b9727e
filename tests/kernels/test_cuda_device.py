"""Whether there is a card, and the one line that says what is missing."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from nbdask.errors import BackendError
from nbdask.kernels import cuda_device
from nbdask.kernels.cuda_device import Card, this_card, unusable, visible_cards
from nbdask.kernels.registry import choose_backend, get_kernel


class RuntimeFault(RuntimeError):
    """What CuPy raises when the CUDA runtime fails."""


def stand_in(driver=13000, needed=13000, cards=((9, 0),), fault=False) -> SimpleNamespace:
    """Return as much of CuPy as asks for driver and cards."""

    def count() -> int:
        if fault:
            raise RuntimeFault("cudaErrorInsufficientDriver")
        return len(cards)

    def properties(number: int) -> dict:
        major, minor = cards[number]
        return {"name": b"Card", "major": major, "minor": minor, "totalGlobalMem": 8 << 30}

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
        (stand_in(cards=()), "no card can be used here"),
        (stand_in(fault=True), "no card can be used here"),
        (stand_in(cards=((6, 1),)), r"compute capability 6\.1: 7\.5 or newer"),
    ],
)
def test_what_is_missing_is_said_in_one_line(monkeypatch, cupy, text) -> None:
    """Driver, its version, the card, its age; each with what to do."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(BackendError, match=text) as caught:
        this_card()
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
        this_card()


def test_a_card_that_can_be_used(monkeypatch) -> None:
    """Name, compute capability, memory, and whether float64 is slow on it."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(cards=((8, 9), (9, 0))))
    assert this_card() == Card("Card", 89, 8 << 30)
    assert this_card().slow_float64
    assert not Card("H100", 90, 0).slow_float64
    assert unusable() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ("0", "1")), ("3,GPU-1a", ("3", "GPU-1a")), ("5, 2, 7", ("5", "2"))],
)
def test_names_of_the_visible_cards(monkeypatch, given, expected) -> None:
    """As CUDA_VISIBLE_DEVICES names them, not more than the driver finds."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(cards=((9, 0), (9, 0))))
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_cards() == expected


def test_hidden_cards_are_named_in_the_message(monkeypatch) -> None:
    """A CUDA_VISIBLE_DEVICES that hides all cards is shown."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in(cards=()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BackendError, match="CUDA_VISIBLE_DEVICES = '' leaves none"):
        visible_cards()


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


def test_auto_takes_a_card(monkeypatch) -> None:
    """Where a card can be used there is nothing to tell."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in())
    assert choose_backend("auto") == ("cuda", None)


def test_default_backend_follows_the_cluster() -> None:
    """The compiled loops, except where the workers are one per card; a name given is kept."""
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


def test_auto_precision_without_a_card_is_float64() -> None:
    """CPUs compute float64 at full rate."""
    assert get_kernel("cpu", "auto").precision == "float64"


@pytest.mark.skipif(cuda_device.unusable() is None, reason="there is a card")
def test_this_machine_without_a_card(tmp_path) -> None:
    """The command ends with code 2 and one line, and writes nothing."""
    from nbdask.cli.main import main

    words = "simulate -cell 70 80 90 90 90 90 -default_F 1 -N 3 -detpixels 16 --backend cuda"
    out = tmp_path / "run.zarr"
    assert main([*words.split(), "--out", str(out)]) == 2
    assert not out.exists()

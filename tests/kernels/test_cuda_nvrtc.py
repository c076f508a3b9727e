"""NVIDIA's compiler: what it is asked for, for GPUs old and new; no GPU is needed."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest

from nbdask.errors import BackendError
from nbdask.kernels import cuda_nvrtc
from nbdask.kernels.cuda_nvrtc import code_path, compiled_file, target_of
from nbdask.kernels.cuda_pack import gpu_pack
from tests.kernels.features import model_of


class NVRTCError(RuntimeError):
    """What the compiler raises."""


class Compiler(SimpleNamespace):
    """A stand-in that knows some GPUs and notes what it is asked for."""

    NVRTCError = NVRTCError

    def __init__(self, known=(75, 90, 120)) -> None:
        super().__init__(asked=[], known=known)

    def getVersion(self):
        return (13, 0)

    def getSupportedArchs(self):
        return self.known

    def createProgram(self, text, *rest):
        return "program"

    def compileProgram(self, program, options):
        self.asked.append(options[0])

    def getCUBIN(self, program):
        return b"machine code"

    def getPTX(self, program):
        return b"text"

    def destroyProgram(self, program):
        pass


@pytest.fixture
def program():
    """The program of a usual model."""
    return gpu_pack(model_of("list"), "float64").program


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of compiled programs of its own."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("capability", "target", "ending"),
    [(90, "sm_90", "cubin"), (121, "compute_120", "ptx"), (89, "compute_75", "ptx")],
)
def test_gpus_that_it_does_not_know_get_ptx(monkeypatch, program, capability, target, ending):
    """Of the newest GPU before them, which their driver compiles; it is kept as well."""
    compiler = Compiler()
    monkeypatch.setattr(cuda_nvrtc, "_nvrtc", lambda: compiler)
    assert target_of(capability) == target
    path = compiled_file(program, capability)
    assert path == code_path(program, capability)
    assert path.suffix == f".{ending}"
    assert path.read_bytes() in (b"machine code\0", b"text\0")
    assert compiled_file(program, capability) == path
    assert compiler.asked == [f"--gpu-architecture={target}"]


def test_gpus_that_are_too_old_are_refused(monkeypatch):
    """With the oldest that it knows."""
    monkeypatch.setattr(cuda_nvrtc, "_nvrtc", lambda: Compiler())
    with pytest.raises(BackendError, match=r"7\.5 and newer, the GPU has 7\.0"):
        target_of(70)


@pytest.mark.parametrize(
    ("release", "package"),
    [(13020, r"nvidia-cuda-nvrtc==13\.\*"), (12090, r"nvidia-cuda-nvrtc-cu12==12\.\*")],
)
def test_a_missing_compiler_is_named_with_its_package(monkeypatch, release, package):
    """CuPy is there and its compiler is not: the very package, of CuPy's release of CUDA."""

    def missing():
        raise RuntimeError("libnvrtc.so cannot be found\nsearched in many places")

    cuda = SimpleNamespace(
        nvrtc=SimpleNamespace(getVersion=missing),
        runtime=SimpleNamespace(runtimeGetVersion=lambda: release),
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    with pytest.raises(BackendError, match=rf'NVRTC.*pip install "{package}"') as caught:
        cuda_nvrtc._nvrtc()
    assert "\n" not in str(caught.value)


def _why_not() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        cuda_nvrtc._nvrtc()
    except BackendError as error:
        return str(error)
    return None


@pytest.mark.long
@pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))
def test_the_real_compiler_gives_both_kinds(program):
    """Machine code for a GPU that it knows, PTX of its newest for one that is still to come."""
    assert compiled_file(program, 90).read_bytes().startswith(b"\x7fELF")
    path = compiled_file(program, 999)
    assert path.suffix == ".ptx"
    text = path.read_bytes()
    assert text.endswith(b"\0")
    assert b".entry nb_sum(" in text
    known = [int(n) for n in cuda_nvrtc._nvrtc().getSupportedArchs()]
    assert f".target sm_{max(known)}".encode() in text

"""The CUDA kernels compiled for GPUs, with NVIDIA's compiler and without a GPU."""

from __future__ import annotations

import importlib.util
import re
import struct

import pytest

from benchmarks import gpu_peak
from benchmarks.gpu_compile import (
    ARCHITECTURES,
    VERSIONS,
    compile_program,
    entries,
    float64_operations,
    inner_loop,
    ptx_lines,
    quick,
)
from nbdask.kernels.cuda_nvrtc import code_of, target_of
from nbdask.kernels.cuda_pack import BLOCKS, THREADS


def _missing_compiler() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except (ImportError, OSError, RuntimeError) as error:
        return f"NVIDIA's run-time compiler cannot be loaded: {error}"
    return None


pytestmark = pytest.mark.long

MISSING = _missing_compiler()
compiled = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
#: Float64 operations per evaluation that a version may take at most (a multiprocessor starts 64
#: a cycle): 60 per cent of an H100's peak at 1.5e11 evaluations per second is 68.
BUDGET = {
    "square, few cells, odd, list": 55,
    "square, few cells, default_F": 58,
    "square, up to 10 cells, list": 67,
    "square, any cells, list": 81,
    "round, list": 56,
    "gauss, list": 42,
    "tophat, list": 28,
    "mixed: square, list": 16,
    "mixed: gauss, list": 16,
    "pairs: square, list": 0,
    "pairs: gauss, list": 0,
}
#: Bytes of local memory that quotients as IEEE has them cost, outside of the innermost loop.
SPILLED = {"square, list, factors of each term": 12}
#: Fused multiply-adds that the text of an evaluation has.
FUSED = {
    "square, few cells, odd, list": 6 + 3 * 7 + 3 * 2 + 1,
    "gauss, list": 6 + 5 + 11 + 1,
    "tophat, list": 6 + 5 + 1,
}
#: Compiled for every architecture; the others for one.
MAIN = ("square, few cells, odd, list", "mixed: square, list", "square, list, running product")
TARGETS = [
    (name, arch) for name in VERSIONS for arch in (ARCHITECTURES if name in MAIN else ("90",))
]


@compiled
@pytest.mark.parametrize(("name", "arch"), TARGETS)
def test_registers_leave_room_for_two_blocks_and_nothing_is_spilled(name: str, arch: str) -> None:
    """No local memory: no spills, no indexed arrays, no library trigonometry."""
    code, log = compile_program(VERSIONS[name], f"sm_{arch}")
    found = entries(log)
    assert set(found) == {"nb_sum", "nb_finish"}
    for entry in found.values():
        assert 0 < entry.registers <= 65536 // (THREADS * BLOCKS)
        assert entry.spilled + entry.stack <= SPILLED.get(name, 0)
        assert entry.shared <= 8192
    # A complete ELF file: its table of program headers stands at its end.
    (start,), (count,) = struct.unpack_from("<Q", code, 32), struct.unpack_from("<H", code, 56)
    assert code.startswith(b"\x7fELF")
    assert len(code) == start + 56 * count


@compiled
@pytest.mark.parametrize("name", VERSIONS)
def test_no_slow_paths(name: str) -> None:
    """Neither calls nor local memory, nor sines of the library."""
    ptx = compile_program(VERSIONS[name], "compute_90")[0].decode()
    assert "ld.global.nc.f64" in ptx  # orientations, amplitudes and sources by the read-only path
    for pattern in (r"\.local\b", r"\bcall", r"sin\.", r"cos\."):
        assert re.search(pattern, ptx) is None, pattern


@compiled
@pytest.mark.parametrize("name", VERSIONS)
def test_quotients_of_the_innermost_loop(name: str) -> None:
    """One of each evaluation where the lattice factor has one, none with the quick ones."""
    program = VERSIONS[name]
    wanted = name.startswith(("square, any", "square, list", "round"))
    for chosen, expected in ((program, program.pixels if wanted else 0), (quick(program), 0)):
        ptx = compile_program(chosen, "compute_90")[0].decode()
        loop = inner_loop(ptx_lines(ptx, "nb_sum"), r"(fma|mul)\S*\.f(64|32)")
        assert loop["div.rn.f64"] == expected
        assert loop["sqrt.rn.f64"] == (expected if name == "round, list" else 0)


@compiled
@pytest.mark.parametrize("name", BUDGET)
def test_float64_operations_of_an_evaluation(name: str) -> None:
    """As many as the page about the GPU says, and no more."""
    assert float64_operations(VERSIONS[name]) <= BUDGET[name]


@compiled
@pytest.mark.parametrize("name", FUSED)
def test_multiply_adds_are_those_of_the_text(name: str) -> None:
    """The compiler neither makes nor loses one: the bits are those of a processor."""
    program = VERSIONS[name]
    ptx = compile_program(program, "compute_90")[0].decode()
    loop = inner_loop(ptx_lines(ptx, "nb_sum"), r"(fma|mul)\S*\.f64")
    assert loop["fma.rn.f64"] == FUSED[name] * program.pixels


def test_the_loop_that_does_the_work_is_found() -> None:
    """The innermost one with most of the wanted instructions."""
    outer, inner, other = "$L1", "$L2", "$L3"
    lines = [
        (outer, ""),
        (inner, ""),
        (None, "fma.rn.f64 %fd1, %fd2, %fd3, %fd1;"),
        (None, "@%p1 bra $L2;"),
        (other, ""),
        (None, "fma.rn.f64 %fd1, %fd2, %fd3, %fd1;"),
        (None, "mul.f64 %fd1, %fd2, %fd3;"),
        (None, "@%p2 bra $L3;"),
        (None, "bra.uni $L1;"),
    ]
    assert inner_loop(lines, "fma|mul") == {"fma.rn.f64": 1, "mul.f64": 1, "bra": 1}


@compiled
@pytest.mark.parametrize("capability", [75, 90])
def test_loops_of_the_units_compile(capability: int) -> None:
    """Those that measure what a GPU does at most; matrices from compute capability 8.0 on."""
    for use_quick in (False, True):
        program = gpu_peak.program(use_quick, matrices=capability >= 80)
        code = code_of(program, target_of(capability))
        for name in program.entries:
            assert f".text.{name}".encode() in code

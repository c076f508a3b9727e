"""Compile the CUDA kernels for several GPUs, without one, and write what the compiler says.

    python -m benchmarks.gpu_compile [--arch 75,80,90] [--quick] [--markdown FILE]

It needs CuPy and NVIDIA's run-time compiler (packages cupy-cuda13x and nvidia-cuda-nvrtc), no GPU
and no driver.  For each version of the loops: registers, spilled bytes, shared memory; and, from
the compiled code of the innermost loop, instructions per evaluation.  The machine's own
instructions are counted where the disassembler is installed (package nvidia-cuda-nvdisasm).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sysconfig
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbdask.kernels.cuda_launch import Program
from nbdask.kernels.cuda_nvrtc import OPTIONS
from nbdask.kernels.cuda_pack import program_of
from nbdask.kernels.params import CODES

ARCHITECTURES = ("75", "80", "90")


def _version(lattice: str, amplitude: str, factors: str, degree: int, pairs: int) -> Program:
    values = {"lattice": CODES[lattice], "amplitude": CODES[amplitude], "factors": CODES[factors]}
    return program_of(values | {"degree": degree, "pairs": pairs, "weighted": 0, "laue": 0})


VERSIONS = {
    "square, few cells, odd, list": _version("FEW_ODD", "NEAREST", "ONCE", 2, 0),
    "square, few cells, default_F": _version("FEW", "CONSTANT", "ONCE", 2, 0),
    "square, up to 10 cells, list": _version("FEW", "NEAREST", "ONCE", 4, 0),
    "square, any cells, list": _version("GRATING", "NEAREST", "ONCE", 0, 0),
    "square, list, factors of each term": _version("GRATING", "NEAREST", "EACH", 0, 0),
    "square, list, running product": _version("GRATING", "NEAREST", "PRODUCTS", 0, 0),
    "square, few cells, tricubic": _version("FEW_ODD", "TRICUBIC", "ONCE", 2, 0),
    "round, list": _version("SPHERE", "NEAREST", "ONCE", 0, 0),
    "gauss, list": _version("GAUSS", "NEAREST", "ONCE", 0, 0),
    "tophat, list": _version("TOPHAT", "NEAREST", "ONCE", 0, 0),
    "mixed: square, list": _version("CARD_GRATING", "NEAREST", "ONCE", 0, 0),
    "mixed: gauss, list": _version("CARD_GAUSS", "NEAREST", "ONCE", 0, 0),
    "pairs: square, list": _version("CARD_GRATING", "NEAREST", "ONCE", 0, 1),
    "pairs: gauss, list": _version("CARD_GAUSS", "NEAREST", "ONCE", 0, 1),
}
#: The same with quotients from the GPU's first guess.
QUICK = (("NB_QUICK_DIVISION", 1),)
#: Names of the machine's instructions that go to the float64 units.
FLOAT64 = ("DFMA", "DMUL", "DADD", "DSETP")
_NVRTC_ERROR = "NVRTC refuses the kernels:\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the compiler says of one entry.

    Parameters
    ----------
    registers, spilled, stack, shared : int
        Registers of a thread; bytes of local memory that spills and arrays take; bytes of shared
        memory of a block.
    """

    registers: int
    spilled: int
    stack: int
    shared: int


@lru_cache(maxsize=64)
def compile_program(program: Program, target: str) -> tuple[bytes, str]:
    """Compile with NVRTC, which asks for neither GPU nor driver.

    Parameters
    ----------
    program : Program
    target : str
        ``"sm_90"`` for machine code, ``"compute_90"`` for PTX.

    Returns
    -------
    code : bytes
    log : str
    """
    from cupy.cuda import nvrtc

    made = nvrtc.createProgram(program.text, "card.cu", (), ())
    options = [f"-arch={target}", *OPTIONS, *(f"-D{n}={v}" for n, v in program.defines)]
    machine = target.startswith("sm_")
    try:
        nvrtc.compileProgram(made, [*options, "--ptxas-options=-v"] if machine else options)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(_NVRTC_ERROR + nvrtc.getProgramLog(made)) from error
    # CuPy takes the last byte for the end of a text.
    code = nvrtc.getCUBIN(made) + b"\0" if machine else nvrtc.getPTX(made)
    return code, nvrtc.getProgramLog(made)


def entries(log: str) -> dict[str, Entry]:
    """Return what the compiler's log says of each entry."""
    found = {}
    for part in log.split("Compiling entry function")[1:]:
        name = re.search(r"'(\w+)'", part)
        assert name is not None
        number = {
            key: int(match[1]) if (match := re.search(pattern, part)) else 0
            for key, pattern in (
                ("registers", r"Used (\d+) registers"),
                ("spilled", r"(\d+) bytes spill stores"),
                ("stack", r"(\d+) bytes stack frame"),
                ("shared", r"(\d+) bytes smem"),
            )
        }
        found[name[1]] = Entry(**number)
    return found


def inner_loop(lines: list[tuple[str | None, str]], wanted: str) -> Counter[str]:
    """Return how often each instruction stands in the innermost loop that does most of the work.

    Parameters
    ----------
    lines : list of (label or None, instruction)
    wanted : str
        Pattern of the instructions that count as work.
    """
    labels = {label: i for i, (label, _) in enumerate(lines) if label is not None}
    loops = []
    for end, (_, text) in enumerate(lines):
        target = re.search(r"\bbra\b.*?([$.]L\w+)", text, re.IGNORECASE)
        start = labels.get(target[1], end + 1) if target else end + 1
        if start <= end:
            loops.append((start, end))
    inner = [
        (start, end)
        for start, end in loops
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops)
    ]
    counts = [
        Counter(_operation(text) for _, text in lines[start : end + 1] if text)
        for start, end in inner
    ]
    return max(counts, key=lambda k: sum(n for name, n in k.items() if re.match(wanted, name)))


def _operation(text: str) -> str:
    """Return an instruction's name without predicate and operands."""
    return re.sub(r"^@!?%?\w+\s+", "", text).split()[0]


def ptx_lines(ptx: str, entry: str) -> list[tuple[str | None, str]]:
    """Return labels and instructions of one entry in PTX."""
    body = ptx[ptx.index(f".entry {entry}(") :]
    body = body[: body.index("\n}")]
    result: list[tuple[str | None, str]] = []
    for line in body.splitlines():
        text = line.strip()
        label = re.match(r"(\$L\w+):", text)
        if label:
            result.append((label[1], ""))
        elif text.endswith(";") and not text.startswith("."):
            result.append((None, text))
    return result


def float64_operations(program: Program, arch: str = "90") -> float:
    """Return the float64 additions, multiplications and comparisons per evaluation, from PTX."""
    ptx, _ = compile_program(program, f"compute_{arch}")
    pattern = r"(fma|mul|add|sub|setp)\S*\.f64"
    loop = inner_loop(ptx_lines(ptx.decode(), "nb_sum"), r"(fma|mul)\S*\.f(64|32)")
    return sum(n for name, n in loop.items() if re.match(pattern, name)) / program.pixels


@lru_cache(maxsize=1)
def disassembler() -> Path | None:
    """Return NVIDIA's disassembler where its package is installed."""
    folder = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    return next(iter(sorted(folder.glob("*/bin/nvdisasm"))), None)


def machine_operations(cubin: bytes, pixels: int) -> dict[str, float] | None:
    """Return the machine's instructions per evaluation, by name; None without a disassembler."""
    tool = disassembler()
    if tool is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(cubin)
        done = subprocess.run([tool, "-c", path], capture_output=True, text=True, check=True)
    text = done.stdout[done.stdout.index(".text.nb_sum:") :]
    lines: list[tuple[str | None, str]] = []
    for line in re.split(r"\n\s*\.section", text)[0].splitlines():
        label = re.match(r"(\.L_x_\d+):", line.strip())
        code = re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;", line)
        if label:
            lines.append((label[1], ""))
        elif code:
            lines.append((None, code[1]))
    found: Counter[str] = Counter()
    for name, count in inner_loop(lines, "DFMA|FFMA").items():
        found[name.split(".")[0]] += count
    return {name: count / pixels for name, count in found.most_common()}


def quick(program: Program) -> Program:
    """Return a program whose quotients may differ from a processor's in the last bit."""
    return program._replace(defines=program.defines + QUICK)


def row(name: str, program: Program, arch: str) -> str:
    """Compile one version for one GPU; return its row of the table."""
    cubin, log = compile_program(program, f"sm_{arch}")
    found = entries(log)
    total = found["nb_sum"]
    spilled = max(entry.spilled + entry.stack for entry in found.values())
    machine = machine_operations(cubin, program.pixels)
    counts = ["", ""]
    if machine is not None:
        wide = sum(machine.get(operation, 0.0) for operation in FLOAT64)
        counts = [f"{wide:g}", f"{sum(machine.values()):g}"]
    cells = [
        name,
        f"sm_{arch}",
        str(total.registers),
        str(found["nb_finish"].registers),
        str(spilled),
        str(total.shared),
        str(program.pixels),
        *counts,
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Compile every version for every architecture and print or write the table."""
    parser = argparse.ArgumentParser(description="Compile the CUDA kernels without a GPU.")
    parser.add_argument("--arch", default=",".join(ARCHITECTURES), help="such as 75,80,90")
    parser.add_argument("--quick", action="store_true", help="with NB_QUICK_DIVISION as well")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    from cupy.cuda import nvrtc

    major, minor = nvrtc.getVersion()
    lines = [
        f"NVRTC {major}.{minor}, no GPU. Registers of a thread; spilled: bytes of local memory;"
        " float64 and all: the machine's instructions in the innermost loop, per evaluation.",
        "",
        "| version | GPU | registers | of finish | spilled | shared | pixels | float64 | all |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arch in options.arch.split(","):
        for name, program in VERSIONS.items():
            lines.append(row(name, program, arch))
            print(lines[-1], flush=True)
            if options.quick:
                lines.append(row(f"{name}, quick division", quick(program), arch))
                print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

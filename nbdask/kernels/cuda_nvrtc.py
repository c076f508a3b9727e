"""CUDA text -> machine code of a GPU, by NVRTC through CuPy; no GPU is needed for it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nbdask.errors import BackendError
from nbdask.files import whole_file
from nbdask.kernels.cache import program_folder
from nbdask.kernels.cuda_launch import Program

#: Multiply-adds are fused where the text says so, and nowhere else: a GPU gets a processor's bits.
OPTIONS = ("--std=c++17", "-lineinfo", "--fmad=false")


def target_of(capability: int) -> str:
    """Return what the compiler is asked for: machine code, or PTX for GPUs newer than it.

    Parameters
    ----------
    capability : int
        Such as 90 for compute capability 9.0.

    Returns
    -------
    str
        ``"sm_90"``, or ``"compute_90"`` of the newest one that it knows: the driver makes
        machine code of that.

    Raises
    ------
    BackendError
        The GPU is older than all that the compiler knows.
    """
    known = [int(number) for number in _nvrtc().getSupportedArchs()]
    if capability in known:
        return f"sm_{capability}"
    older = [number for number in known if number < capability]
    if not older:
        raise BackendError(
            f"--backend cuda: this NVRTC compiles for compute capability {min(known) / 10:.1f} and"
            f" newer, the GPU has {capability / 10:.1f}: use --backend cpu"
        )
    return f"compute_{max(older)}"


def code_of(program: Program, target: str) -> bytes:
    """Compile for one kind of GPU.

    Parameters
    ----------
    program : Program
    target : str
        As from :func:`target_of`.

    Returns
    -------
    bytes
        The machine code (cubin), or PTX.

    Raises
    ------
    BackendError
        CuPy or NVRTC is missing, or the text does not compile; the first message of the compiler.
    """
    nvrtc = _nvrtc()
    handle = nvrtc.createProgram(program.text, "card.cu", (), ())
    try:
        nvrtc.compileProgram(handle, _options(program, target))
        code = nvrtc.getCUBIN(handle) if _is_machine_code(target) else nvrtc.getPTX(handle)
    except nvrtc.NVRTCError as error:
        lines = [line for line in nvrtc.getProgramLog(handle).splitlines() if "error" in line]
        raise BackendError(
            f"--backend cuda: the kernels cannot be compiled for {target}:"
            f" {(lines or [str(error)])[0]}"
        ) from error
    finally:
        nvrtc.destroyProgram(handle)
    # CuPy takes the code's last byte, a zero, for the end of a text and leaves it out; a file
    # without it is not a complete ELF file, and PTX is read to a zero.
    return bytes(code) + b"\0"


def code_path(program: Program, capability: int) -> Path:
    """Return where the compiled program is kept on disk, whether or not it is there yet."""
    digest = hashlib.sha256()
    target = target_of(capability)
    version = ".".join(map(str, _nvrtc().getVersion()))
    for part in (program.text, *_options(program, target), version):
        digest.update(part.encode() + b"\0")
    ending = "cubin" if _is_machine_code(target) else "ptx"
    return program_folder() / f"{digest.hexdigest()[:24]}.{ending}"


def compiled_file(program: Program, capability: int) -> Path:
    """Return the file with the compiled program, made if need be.

    Many processes may share the folder: the file appears under its name when it is whole.

    Raises
    ------
    BackendError
        As for :func:`code_of`.
    """
    path = code_path(program, capability)
    if not path.exists():
        with whole_file(path) as fresh:
            fresh.write_bytes(code_of(program, target_of(capability)))
    return path


def _is_machine_code(target: str) -> bool:
    return target.startswith("sm_")


def _options(program: Program, target: str) -> tuple[str, ...]:
    macros = tuple(f"-D{name}={value}" for name, value in program.defines)
    return (f"--gpu-architecture={target}", *OPTIONS, *macros)


def _nvrtc() -> Any:
    try:
        from cupy.cuda import nvrtc, runtime
    except ImportError as error:
        raise BackendError(
            f'--backend cuda needs CuPy ({error}): pip install "nbdask[gpu]" (driver of CUDA 13)'
        ) from error
    try:
        nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        release = int(runtime.runtimeGetVersion()) // 1000
        package = "nvidia-cuda-nvrtc" if release >= 13 else f"nvidia-cuda-nvrtc-cu{release}"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendError(
            "--backend cuda needs NVIDIA's compiler NVRTC, which CuPy does not include"
            f' ({reason}): pip install "{package}=={release}.*"'
        ) from error
    return nvrtc

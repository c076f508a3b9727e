"""CUDA text -> machine code of a card, by NVRTC through CuPy; no card is needed for it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from nbdask.errors import BackendError
from nbdask.kernels.cache import program_folder
from nbdask.kernels.cuda_launch import Program

#: Multiply-adds are fused where the text says so, and nowhere else: a card gets a processor's bits.
OPTIONS = ("--std=c++17", "-lineinfo", "--fmad=false")


def cubin_of(program: Program, capability: int) -> bytes:
    """Compile for one compute capability.

    Parameters
    ----------
    program : Program
    capability : int
        Such as 90 for compute capability 9.0.

    Returns
    -------
    bytes
        The machine code (cubin).

    Raises
    ------
    BackendError
        CuPy or NVRTC is missing, or the text does not compile; the first message of the compiler.
    """
    nvrtc = _nvrtc()
    handle = nvrtc.createProgram(program.text, "card.cu", (), ())
    try:
        nvrtc.compileProgram(handle, _options(program, capability))
        code = nvrtc.getCUBIN(handle)
    except nvrtc.NVRTCError as error:
        lines = [line for line in nvrtc.getProgramLog(handle).splitlines() if "error" in line]
        raise BackendError(
            f"--backend cuda: the kernels cannot be compiled for compute capability"
            f" {capability / 10:.1f}: {(lines or [str(error)])[0]}"
        ) from error
    finally:
        nvrtc.destroyProgram(handle)
    # CuPy takes the code's last byte, a zero, for the end of a text and leaves it out; a file
    # without it is no complete ELF file.
    return bytes(code) + b"\0"


def cubin_path(program: Program, capability: int) -> Path:
    """Return where the compiled program is kept on disk, whether or not it is there yet."""
    digest = hashlib.sha256()
    version = ".".join(map(str, _nvrtc().getVersion()))
    for part in (program.text, *_options(program, capability), version):
        digest.update(part.encode() + b"\0")
    return program_folder() / f"{digest.hexdigest()[:24]}.cubin"


def compiled_file(program: Program, capability: int) -> Path:
    """Return the file with the compiled program, made if need be.

    Many processes may share the folder: the file appears under its name when it is whole.

    Raises
    ------
    BackendError
        As for :func:`cubin_of`.
    """
    path = cubin_path(program, capability)
    if not path.exists():
        code = cubin_of(program, capability)
        descriptor, fresh = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(code)
        os.replace(fresh, path)
    return path


def _options(program: Program, capability: int) -> tuple[str, ...]:
    macros = tuple(f"-D{name}={value}" for name, value in program.defines)
    return (f"--gpu-architecture=sm_{capability}", *OPTIONS, *macros)


def _nvrtc() -> Any:
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendError(
            "--backend cuda needs CuPy and the compiler NVRTC, which cannot be loaded"
            f' ({error}): pip install "nbdask[gpu]" (driver of CUDA 13)'
        ) from error
    return nvrtc

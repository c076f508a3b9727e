"""The formulas of the headers, compiled for the tests alone."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nbdask.kernels.params import PARAMS
from nbdask.native.sources import SOURCES
from tests.helpers import ROOT

if not (ROOT / "nbdask" / "native" / "sources.py").is_file():
    pytest.skip("no sources beside the tests", allow_module_level=True)
import hatch_build

TEXT = Path(__file__).parent / "formulas.cpp"
COMPILER = shlex.split(os.environ.get("CXX") or "g++")
needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None, reason=f"{COMPILER[0]} is not on the path"
)


class Formulas:
    """The functions of ``formulas.cpp``.

    Parameters
    ----------
    folder : Path
        Where to compile them.
    """

    def __init__(self, folder: Path) -> None:
        names = "".join(f"NB_FIELD({name})\n" for name in PARAMS.names or ())
        (folder / "fields.inc").write_text(names)
        made = folder / "formulas.so"
        places = (f"-I{SOURCES}", f"-I{folder}")
        subprocess.run(
            [*COMPILER, *hatch_build.FLAGS, "-fvisibility=default", *places, "-shared", TEXT,
             "-o", made, "-lm"], check=True,
        )  # fmt: skip
        self.library = ctypes.CDLL(str(made))

    def __getattr__(self, name):
        """Return a function of an array."""
        function = getattr(self.library, f"map_{name}")

        def mapped(values):
            given = np.ascontiguousarray(values, dtype=np.float64)
            found = np.empty_like(given)
            function(
                ctypes.c_long(given.size),
                ctypes.c_void_p(given.ctypes.data),
                ctypes.c_void_p(found.ctypes.data),
            )
            return found

        return mapped

    def number(self, name, *arguments):
        """Return the value of a function of numbers; whole ones are passed as int."""
        function = getattr(self.library, f"of_{name}")
        function.restype = ctypes.c_double
        kinds = {int: ctypes.c_int, float: ctypes.c_double}
        return function(*(kinds[type(value)](value) for value in arguments))

    def layout(self, field):
        """Return where a field of the structure is, by its number; below 0: the whole's size."""
        self.library.of_layout.restype = ctypes.c_longlong
        return self.library.of_layout(field)

    def fill(self, name, *arguments, count=1):
        """Return what a function writes; its inputs are numbers and arrays of float64."""
        found = np.empty(count)
        given, keep = [], []
        for value in (*arguments, found):
            if isinstance(value, np.ndarray):
                keep.append(np.ascontiguousarray(value))
                given.append(ctypes.c_void_p(keep[-1].ctypes.data))
            else:
                given.append(ctypes.c_double(value))
        getattr(self.library, f"of_{name}")(*given)
        return keep[-1]

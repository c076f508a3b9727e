"""What is fed: parsers of files, of words and of configuration, and readers of stores.

A target takes bytes; it may do nothing or raise an error that nbdask means (``NbdaskError``, an
error of usage of the command line).  Anything else is a find.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np

import nbdask
from nbdask.cli.argv import split_argv
from nbdask.cli.numbers import whole
from nbdask.cluster.options import memory_of, seconds_of
from nbdask.derive.gains import Gain
from nbdask.derive.pipeline import Pipeline
from nbdask.errors import NbdaskError
from nbdask.experiment import Experiment
from nbdask.flags import from_toml, parse_args
from nbdask.geometry.build import build_model
from nbdask.inputs import amplitudes
from nbdask.inputs.amplitudes import AmplitudeGrid
from nbdask.inputs.domains import read_domains
from nbdask.inputs.fdump import read_fdump, write_fdump
from nbdask.inputs.hkl import read_hkl
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.smv import open_mask, read_header
from nbdask.inputs.sourcefile import read_sources
from nbdask.inputs.spectrumfile import read_spectrum
from nbdask.inputs.toml import read_toml
from nbdask.plan.cost import load_costs
from nbdask.plan.memory import parse_bytes
from nbdask.plan.plan import parse_tile
from nbdask.store.open import read_summary
from nbdask.store.reader import StoreReader
from nbdask.trace.clog import read_log
from tests.fuzz.mutate import mutated
from tests.pictured import make

#: What nbdask means.
EXPECTED = (NbdaskError, click.UsageError)
_CELL = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 16"


@dataclass(frozen=True)
class Target:
    """One thing that is fed.

    Parameters
    ----------
    name : str
    draw : callable
        Chance -> an input.
    run : callable
        Takes it.
    """

    name: str
    draw: Callable[[Random], bytes]
    run: Callable[[bytes], object]

    def feed(self, data: bytes) -> bool:
        """Feed one input; return whether it was accepted.  Any other error is a find."""
        try:
            self.run(data)
        except EXPECTED:
            return False
        return True


def _smv(kind: str = "unsigned_short") -> bytes:
    head = (
        f"{{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE={kind};\nSIZE1=4;\n"
        "SIZE2=4;\nPIXEL_SIZE=0.1;\nDISTANCE=100;\nWAVELENGTH=1;\nBEAM_CENTER_X=0.2;\nORGX=2;\n"
        "PHI=1;\nOSC_RANGE=1;\nTWOTHETA=0;\n}\f"
    )
    return head.encode().ljust(512) + bytes(range(32))


def _npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


_TOML = f"""semantics = "c"
[crystal]
cell = [1e-8, 1e-8, 1e-8, 1.5, 1.5, 1.5]
n_cells = [5, 5, 5]
misset = [0.1, 0.2, 0.3]
shape = "gauss"
fudge = 1.0
mosaic_spread = 0.01
mosaic_domains = 3
[structure]
reflections = [[0, 0, 0, 1.5], [1, 0, 0, 2]]
default_F = 1.0
[beam]
wavelength = 1e-10
polarized = true
[frame]
convention = "CUSTOM"
beam = [1, 0, 0]
[detector]
pixels_fast = 8
pixels_slow = 8
distance = 0.1
thickness = 1e-4
[sources]
horizontal = {{ range = 0.01, count = 2 }}
points = [{{ x = 1.0, y = 0.0, z = 0.0, weight = 1.0 }}]
[scan]
osc = 0.1
count = 2
[sampling]
oversample = 1
roi = [0, 3, 0, 3]
---
[nanobragg]
flags = "{_CELL}"
semantics = "spec"
pix0 = [0.1, 0.0, 0.0]
---
[crystal]
matrix_file = "a.mat"
[structure]
path = "a.hkl"
format = "hkl"
[detector]
pixels_fast = 4
pixels_slow = 4
[sources]
file = "a.txt"
[sampling]
mask = "a.img"
"""
_PIPELINE = """seed = 1
frame = 2
[[steps]]
step = "poisson"
[[steps]]
step = "gaussian_psf"
fwhm = 1.5
[[steps]]
step = "gain"
factor = 2.0
map = "map.npy"
[[steps]]
step = "readout"
sigma = 3.0
[[steps]]
step = "saturation"
maximum = 65535
"""
_LOG = """TRACE_C: pixel 3 3
TRACE_C: omega_pixel 1.0e-06
TRACE_C: F_latt = 12.5
TRACE_C: hkl_frac 1.5 -2.5 3.5
---
incident fluence: 1.26e+29 photons/m^2
distance=0.1 detsize=0.1x0.1  pixel=0.0001 meters (16x16 pixels)
   3    3 : stol = 0.01 or 0.02
at 0.1 0.2 0.3
hkl= 1.100000 2.200000 3.300000  hkl0= 1 2 3
 F_cell=100  F_latt=12.5  I = 1.5
I/steps = 1.5
polar = 0.9
omega = 1e-06
capfrac = 1
pixel value = 3.5
"""
_FLAGS = f"""{_CELL} -lambda 1 -distance 100 -pixel 0.1 -oversample 1 -phi 1 -osc 2 -phisteps 3
---
{_CELL} -mosaic 1 -mosaic_dom 3 -hdivrange 1 -hdivsteps 2 -dispersion 1 -dispsteps 2 -misset 1 2 3
---
{_CELL} -beam_vector 1 0 0 -fdet_vector 0 0 1 -twotheta 5 -pivot sample -roi 0 3 0 3 -Xbeam 1
---
-mat a.mat -hkl a.hkl -sourcefile a.txt -mask a.img -img a.img -N 3 -water 10 -xtal_size 0.01
---
{_CELL} -detector_abs 100 -detector_thick 450 -detector_thicksteps 3 -curved_det -misset rand
"""
_VALUES = "512,256\n1.5 GiB\n1-12:00:00\n90min\n4e9\n16\n800M\n0.08mm\n-7"


def _seeds(text: str) -> list[bytes]:
    return [part.strip().encode() for part in text.split("---\n")]


def targets(folder: Path) -> dict[str, Target]:
    """Return all targets; they work in a folder, which is the working directory.

    Parameters
    ----------
    folder : Path
        Empty.
    """
    # A few words ask for the largest grid, which is 4 GiB; that limit is tested elsewhere.
    amplitudes.MAX_VALUES = 1 << 22
    given = {
        "a.mat": b"0.01 0 0\n0 0.02 0\n0 0 0.03\n",
        "a.hkl": b"0 0 0 1.0\n1 0 0 2.0 # twice\n-1 2 3 4.5 extra\n",
        "a.txt": b"-10 0 0 1 1e-10\n-10, 0.1; 0 0.5\n",
        "a.img": _smv(),
        "map.npy": _npy(np.ones((4, 4))),
    }
    for name, data in given.items():
        (folder / name).write_bytes(data)
    write_fdump(folder / "dump", AmplitudeGrid(np.ones((2, 2, 2)), (0, 0, 0)))
    maps = [_npy(np.ones((4, 4), dtype=kind)) for kind in ("f4", "f8", "i2")]
    files: dict[str, tuple[list[bytes], Callable[[Path], object]]] = {
        "hkl": ([given["a.hkl"]], lambda path: read_hkl(path, 1.0)),
        "fdump": ([(folder / "dump").read_bytes()], read_fdump),
        "matrix": ([given["a.mat"]], read_matrix),
        "sources": ([given["a.txt"]], read_sources),
        "domains": ([b"1 0 0 0 1\n.9,0 .1 0;2\n", b"0 0 1 2 # z\n0 0 0 0\n"], read_domains),
        "spectrum": ([b"# eV\n9500 1\n9501.5, 2\n", b"A;w\n1.3;1e3\n1.31;0\n"], read_spectrum),
        "header": ([_smv()], _header),
        "mask": ([_smv(), _smv("float")], lambda path: open_mask(path).read(0, 1, 0, 1)),
        "toml": (_seeds(_TOML), lambda path: _model(from_toml(path))),
        "pipeline": (
            [_PIPELINE.encode()],
            lambda path: Pipeline.from_dict(read_toml(path, "a pipeline")).to_dict(),
        ),
        "map": (maps, lambda path: Gain(map=str(path)).check((4, 4), (0, 0))),
        "log": (_seeds(_LOG), lambda path: read_log(str(path), 3, 3)),
        "costs": (
            [b'{"format": 1, "machines": {"x": {"nanoseconds": {"cpu/a": 1.5}}}}'],
            lambda path: load_costs({}, path),
        ),
    }
    found = {
        name: _file_target(name, folder / f"in.{name}", *parts) for name, parts in files.items()
    }
    for name, seeds, run in (
        ("flags", _seeds(_FLAGS), _flags),
        ("values", _VALUES.encode().split(b"\n"), _values),
    ):
        found[name] = Target(name, lambda chance, s=seeds: mutated(chance, s), run)  # type: ignore[misc]
    found["store"] = _store_target(folder)
    return found


def _file_target(
    name: str, path: Path, seeds: list[bytes], read: Callable[[Path], object]
) -> Target:
    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return Target(name, lambda chance: mutated(chance, seeds), run)


def _header(path: Path) -> None:
    header = read_header(path)
    for key in ("DISTANCE", "PHI", "WAVELENGTH", "NONE"):
        header.value(key)


def _model(given: Experiment) -> None:
    """Build the model of an experiment whose tables are small."""
    Experiment.from_dict(given.to_dict())
    given.fingerprint()
    counts = [given.scan.count, given.crystal.mosaic_domains, given.detector.thick_steps]
    spreads = (given.sources.horizontal, given.sources.vertical, given.sources.dispersion)
    fine = [s.range / s.step for s in spreads if s.range and s.step]
    fine += [given.scan.osc / given.scan.step] if given.scan.osc and given.scan.step else []
    if max([*(n or 1 for n in counts), *(s.count or 1 for s in spreads), *fine]) <= 50:
        build_model(given)


def _flags(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _model(parse_args(text.split(" ")).experiment)


def _values(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for read in (parse_tile, parse_bytes, memory_of, seconds_of, whole):
        with suppress(*EXPECTED):
            read(text)  # type: ignore[operator]
    split_argv([text, f"--{text}"], [])


def _store_target(folder: Path) -> Target:
    """Stores of which one file is another one; the first byte says which."""
    whole_store, store = folder / "whole.zarr", folder / "run.zarr"
    make(whole_store, tile=16, shape=(24, 16))
    names = sorted(p.relative_to(whole_store) for p in whole_store.rglob("*") if p.is_file())
    # The texts hold nearly all that is believed.
    texts = [number for number, name in enumerate(names) if name.suffix == ".json"]
    shutil.copytree(whole_store, store)

    def draw(chance: Random) -> bytes:
        number = chance.choice(texts if chance.random() < 0.8 else range(len(names)))
        return bytes([number]) + mutated(chance, [(whole_store / names[number]).read_bytes()])

    def run(data: bytes) -> None:
        name = names[data[0] % len(names)]
        (store / name).write_bytes(data[1:])
        try:
            read_summary(store)
            reader = StoreReader(store)
            reader.done()
            list(reader.summaries())
            Experiment.from_dict(reader.attributes["experiment"])
            nbdask.open(store)
            nbdask.verify(store)
        finally:
            shutil.copyfile(whole_store / name, store / name)

    # Modules that are imported when they are needed do not count as time of an input.
    run(bytes(1) + (whole_store / names[0]).read_bytes())
    return Target("store", draw, run)

"""Input files that flags name: read or checked, with their checksums."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nbdask.amplitudes.request import Request
from nbdask.errors import FlagError, counted
from nbdask.experiment.beam import Beam
from nbdask.experiment.sources import SourcePoint
from nbdask.flags.builder import Builder
from nbdask.flags.headers import apply_header
from nbdask.flags.parse import Given
from nbdask.flags.ways import check_image, check_list, check_matrix
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.smv import SmvHeader, open_mask, read_header
from nbdask.inputs.sourcefile import SourceRow, comment_lines, read_sources
from nbdask.units import from_angstrom, to_angstrom

_GRID = (
    "sources.horizontal.range", "sources.horizontal.step", "sources.horizontal.count",
    "sources.vertical.range", "sources.vertical.step", "sources.vertical.count",
    "sources.dispersion.range", "sources.dispersion.count",
)  # fmt: skip


class InputFiles:
    """The input files of one argument list.

    Parameters
    ----------
    base_dir : Path or None
        Folder that relative paths start from; None: the working directory.
    """

    def __init__(self, base_dir: Path | None) -> None:
        self.base = Path.cwd() if base_dir is None else base_dir
        self.used: list[str] = []

    def use(self, name: str) -> str:
        """Return the absolute path of an input file and remember it."""
        path = os.path.abspath(self.base / name)
        if path not in self.used:
            self.used.append(path)
        return path


def read_headers(builder: Builder, files: InputFiles, given: list[Given]) -> list[SmvHeader]:
    """Apply the headers of the last -mask, then of the last -img; return those that were read."""
    read = []
    for target in ("files.mask", "files.img"):
        named = [item for item in given if target in item.flag.targets]
        if not named:
            continue
        path = files.use(str(named[-1].values[0]))
        if target == "files.mask":
            open_mask(path)
            builder.set("sampling.mask", path, named[-1].text)
            builder.set("sampling.mask_sha256", sha256_of(path), named[-1].text)
        else:
            check_image(named[-1].text, path)
            builder.set("detector.header_file", path, named[-1].text)
        read.append(read_header(path))
        apply_header(builder, read[-1], is_mask=target == "files.mask")
    return read


def read_files(
    builder: Builder, files: InputFiles, *, source_weights: str, amplitudes: Request | None
) -> None:
    """Read or check what -mat, -hkl, -dump, -sourcefile, --model and --reflections name."""
    matrix = builder.get("files.matrix")
    if matrix is not None:
        path = files.use(matrix)
        origin = builder.origins["files.matrix"]
        check_matrix(origin, path)
        builder.set("crystal.matrix", read_matrix(path), origin)
        builder.set("crystal.matrix_file", path, origin)
    if amplitudes is not None and amplitudes.given():
        _calculated(builder, files, amplitudes)
    else:
        _structure(builder, files)
    _sources(builder, files, source_weights)


def _structure(builder: Builder, files: InputFiles) -> None:
    hkl, dump = builder.get("files.hkl"), builder.get("files.dump")
    if hkl is not None and dump is not None:
        builder.note(
            f"{builder.origins['files.dump']}: not written, and not read since -hkl is given"
        )
    if hkl is None and dump is None:
        stray = files.base / "Fdump.bin"
        advice = "Fdump.bin is never read unasked: give -dump Fdump.bin to use it"
        if not builder.get("structure.default_F"):
            raise FlagError(
                "no structure factors: give --model FILE (PDB, mmCIF), --reflections FILE (MTZ,"
                " mmCIF), -hkl file, -dump file or -default_F number that is not 0"
                f" ({advice})"
            )
        if stray.exists():
            builder.note(f"{stray.name} in {files.base}: not read, unlike in nanoBragg ({advice})")
        return
    source, kind = ("files.hkl", "hkl") if hkl is not None else ("files.dump", "fdump")
    path = files.use(builder.get(source))
    origin = builder.origins[source]
    if kind == "hkl":
        check_list(origin, path)
    builder.set("structure.path", path, origin)
    builder.set("structure.format", kind, origin)
    builder.set("structure.sha256", sha256_of(path), origin)


def _calculated(builder: Builder, files: InputFiles, amplitudes: Request) -> None:
    """Take amplitudes, and the cell where none is given, from a model or a reflection file."""
    from nbdask.amplitudes.settle import settle

    for field in ("files.hkl", "files.dump"):
        if builder.get(field) is not None:
            raise FlagError(f"{builder.origins[field]}: leave out beside {amplitudes.given()[0]}")
    spectrum = builder.get("sources.spectrum")
    waves = () if spectrum is None else spectrum.wavelengths
    origin = "--model" if amplitudes.reflections is None else "--reflections"
    settled = settle(
        amplitudes,
        wavelength=builder.get("beam.wavelength", Beam().wavelength),
        cell=_given_cell(builder),
        d_min=builder.get("sampling.dmin") or _reached(builder, amplitudes, waves),
        spectrum=waves,
        use=files.use,
    )
    structure = settled.structure
    for name in ("path", "format", "sha256", "recipe"):
        builder.set(f"structure.{name}", getattr(structure, name), f"{origin} {structure.path}")
    if builder.get("crystal.cell") is None:
        builder.set("crystal.cell", settled.cell, origin)
    if builder.get("crystal.shape") == "spherical" and builder.get("crystal.centring") is None:
        centring = settled.symmetry.group.centring_type()
        builder.set("crystal.centring", centring, origin)
        builder.note(f"--shape spherical: centring {centring}, that of {structure.path}")
    for note in settled.notes:
        builder.note(note)


def _reached(builder: Builder, amplitudes: Request, waves: Sequence[float]) -> float | None:
    """Return the finest spacing [m] that a geometry file's panels reach, where a model needs one.

    Rounded down to 0.01 Angstrom.
    """
    widest = builder.get("files.widest")
    if amplitudes.model is None or amplitudes.dmin is not None or not widest:
        return None
    wave = min(waves or (builder.get("beam.wavelength", Beam().wavelength),))
    spacing = math.floor(100.0 * to_angstrom(wave) / (2.0 * widest)) / 100.0
    if spacing <= 0.0:
        return None
    path = builder.get("detector.geometry_file")
    builder.note(f"--dmin {spacing:g}: not given, taken as far as the panels of {path} reach")
    return from_angstrom(spacing)


def _given_cell(builder: Builder) -> tuple[float, ...] | None:
    """Return the user's cell [m, rad]: that of -cell, else that of the orientation matrix."""
    cell, matrix = builder.get("crystal.cell"), builder.get("crystal.matrix")
    if cell is not None or matrix is None:
        return None if cell is None else tuple(cell)
    # Columns a*, b*, c* in units of 1/wavelength: the rows of the inverse are a, b, c.
    star = np.array(matrix).reshape(3, 3) / builder.get("beam.wavelength", Beam().wavelength)
    if abs(np.linalg.det(star)) == 0.0:
        return None
    axes = np.linalg.inv(star)
    lengths = np.linalg.norm(axes, axis=1)
    cosines = (axes @ axes.T) / np.outer(lengths, lengths)
    angles = np.arccos(np.clip([cosines[1, 2], cosines[0, 2], cosines[0, 1]], -1.0, 1.0))
    return (*lengths.tolist(), *angles.tolist())


def _sources(builder: Builder, files: InputFiles, weights: str) -> None:
    name = builder.get("files.sources")
    if name is None:
        return
    origin = builder.origins["files.sources"]
    path = files.use(name)
    rows = read_sources(path)
    _doubtful_sources(builder, origin, path, rows)
    builder.set("sources.points", tuple(SourcePoint(*row) for row in rows), origin)
    builder.set("sources.file", path, origin)
    unused = [builder.origins[field] for field in _GRID if builder.get(field) is not None]
    for text in dict.fromkeys(unused):
        builder.note(f"{text}: has no effect, {origin} replaces the generated grid of sources")
    given = {1.0 if row[3] is None else row[3] for row in rows}
    if weights == "ignore" and len(given) > 1:
        builder.note(
            f"{origin}: its weights are ignored, as in nanoBragg; --source-weights apply"
            " honours them"
        )


def _doubtful_sources(
    builder: Builder, origin: str, path: str, rows: tuple[SourceRow, ...]
) -> None:
    """Note a list that is read in another way than its writer may have meant."""
    if all(y is not None and z is None for _, y, z, _, _ in rows):
        builder.note(
            f"{origin}: its two columns are read as x and y of sources, as in nanoBragg; for a"
            " spectrum write x y z weight wavelength[m] in each line, x y z being upstream of the"
            " sample, such as -10 0 0 for MOSFLM, and give --source-weights apply"
        )
    comments = comment_lines(path)
    if comments:
        builder.note(
            f"{origin}: # begins a comment here, but nanoBragg reads"
            f" {counted(comments, 'line')} with one as"
            " further numbers or sources (at 0 0 0): delete the comments before you compare images"
        )

"""Input files of a C run: links, and small files that are written for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from nbdask.errors import InputFileError
from nbdask.experiment import Experiment, SourcePoint
from nbdask.geometry.conventions import directions
from nbdask.geometry.vectors import array, unit
from nbdask.inputs.hkl import is_bare, read_rows
from nbdask.inputs.smv import open_mask
from nbdask.plan.tiles import Tile

_HEADER_BYTES = 512


def place_inputs(experiment: Experiment, folder: Path, region: Tile | None = None) -> Experiment:
    """Put every input file of an experiment into a folder, under short names.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
        Empty, and the working directory of the run.
    region : Tile, optional
        Rectangle of the mask that is needed; None: all of it.

    Returns
    -------
    Experiment
        The same with relative paths, ready for :func:`nbdask.flags.to_args`.

    Raises
    ------
    InputFileError
        An input file is gone.
    """
    structure, crystal, sources = experiment.structure, experiment.crystal, experiment.sources
    if structure.reflections:
        _write_list(structure.reflections, folder)
        structure = replace(structure, reflections=(), path="amplitudes.hkl")
    elif structure.recipe is not None:
        from nbdask.amplitudes.make import made

        table = made(structure).table
        pairs = zip(table.hkl.tolist(), table.F.tolist(), strict=True)
        _write_list(((*hkl, f) for hkl, f in pairs), folder)
        structure = replace(structure, path="amplitudes.hkl", format="hkl", recipe=None)
    elif structure.path is not None:
        # Not the name that C itself writes to.
        name = "amplitudes.hkl" if structure.format == "hkl" else "amplitudes.bin"
        link(structure.path, folder / name)
        if structure.format == "hkl" and not is_bare(structure.path):
            # C would end its reading at a further column or a comment, and say nothing.
            (folder / name).unlink()
            _write_list(read_rows(structure.path).tolist(), folder)
        structure = replace(structure, path=name)
    if crystal.matrix is not None:
        rows = (crystal.matrix[i : i + 3] for i in (0, 3, 6))
        text = "".join(" ".join(repr(x) for x in row) + "\n" for row in rows)
        (folder / "orientation.mat").write_text(text)
        crystal = replace(crystal, matrix_file="orientation.mat")
    if sources.points:
        (folder / "sources.txt").write_text(_source_lines(experiment))
        sources = replace(sources, file="sources.txt")
    sampling = experiment.sampling
    if sampling.mask is not None:
        _write_mask(sampling.mask, folder / "mask.img", region)
        sampling = replace(sampling, mask="mask.img")
    return experiment.replace(
        structure=structure, crystal=crystal, sources=sources, sampling=sampling
    )


def _write_list(reflections: Iterable[Sequence[float]], folder: Path) -> None:
    """Write h, k, l and F of reflections for C, F with all digits."""
    lines = (f"{int(h)} {int(k)} {int(el)} {float(f)!r}\n" for h, k, el, f in reflections)
    (folder / "amplitudes.hkl").write_text("".join(lines))


def link(source: str | Path, target: Path) -> None:
    """Make a file known under another name.

    Raises
    ------
    InputFileError
        It is gone.
    """
    if not os.path.isfile(source):
        raise InputFileError(f"{source}: the file is no longer there: C cannot be run without it")
    target.symlink_to(os.path.abspath(source))


def _source_lines(experiment: Experiment) -> str:
    """Return the list of sources with every column filled in, as C does for missing ones."""
    x, y, z = (-10.0 * float(v) for v in unit(array(directions(experiment.frame).beam)))

    def line(point: SourcePoint) -> str:
        """Return x, y, z, weight and wavelength [m] of one source."""
        values = (
            x if point.x is None else point.x,
            y if point.y is None else point.y,
            z if point.z is None else point.z,
            1.0 if point.weight is None else point.weight,
            experiment.beam.wavelength if point.wavelength is None else point.wavelength,
        )
        return " ".join(repr(value) for value in values) + "\n"

    return "".join(line(point) for point in experiment.sources.points)


def _write_mask(source: str, target: Path, region: Tile | None) -> None:
    """Write a mask, or a part of it, with nothing but its size in the header.

    C takes distance, beam centre and more from the header of a mask, and these could not be
    unset by a flag.
    """
    mask = open_mask(source)
    part = region or Tile(0, mask.n_slow, 0, mask.n_fast)
    n_slow, n_fast = part.shape
    header = (
        f"{{\nHEADER_BYTES={_HEADER_BYTES:5d};\nDIM=2;\nBYTE_ORDER=little_endian;\n"
        f"TYPE=unsigned_short;\nSIZE1={n_fast};\nSIZE2={n_slow};\n}}\f"
    )
    with open(target, "wb") as handle:
        handle.write(header.encode().ljust(_HEADER_BYTES))
        for slow in range(part.slow0, part.slow1):
            row = mask.read(slow, slow + 1, part.fast0, part.fast1)
            handle.write(row.astype("<u2").tobytes())

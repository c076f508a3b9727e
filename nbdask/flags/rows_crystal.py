"""Flags of the crystal, its structure factors and its rotation."""

from __future__ import annotations

from nbdask.flags.row import Flag

_XYZ = ("x", "y", "z")


def _cells(letter: str, index: int) -> Flag:
    name = f"-N{letter}"
    return Flag(
        (name,),
        f"unit cells along {letter}",
        values=("n",),
        kind="whole",
        stems=(name,),
        targets=(f"crystal.n_cells.{index}",),
        low=1,
        default="1",
        note="takes numbers below 1 as 1",
    )


def _size(names: tuple[str, ...], stems: tuple[str, ...], index: int, axis: str) -> Flag:
    return Flag(
        names,
        f"crystal size along {axis}; above 0 it sets the number of unit cells",
        values=("size",),
        unit="mm",
        stems=stems,
        targets=(f"crystal.size.{index}",),
        convert="mm",
        default="from the number of cells",
    )


CRYSTAL = (
    Flag(
        ("-mat", "-matrix"),
        "MOSFLM orientation matrix: nine numbers, rows x y z, columns a* b* c*, times wavelength",
        values=("file",),
        kind="file",
        stems=("-mat",),
        targets=("files.matrix",),
    ),
    Flag(
        ("-cell",),
        "unit cell; b and c default to a, the angles to 90; with -mat it gives the lengths only",
        values=("a", "b", "c", "alpha", "beta", "gamma"),
        unit="Angstrom, degrees",
        stems=("-cell",),
        targets=("crystal.cell",),
        optional=5,
        special="cell",
        note="stops at the first value that begins with '-'",
    ),
    Flag(
        ("-misset",),
        "'random', or rotations of the crystal about the lab's x, y and z axes",
        values=("rx|random", "ry", "rz"),
        unit="degrees",
        stems=("-misset",),
        targets=("crystal.misset",),
        special="misset",
        default="none",
    ),
    Flag(
        ("-misset_seed",),
        "seed of -misset random",
        values=("seed",),
        kind="whole",
        stems=("-misset_seed",),
        targets=("crystal.misset_seed",),
        special="misset_seed",
        default="from the clock",
        note="also reads it as -misset when three or more words follow",
    ),
    _cells("a", 0),
    _cells("b", 1),
    _cells("c", 2),
    Flag(
        ("-N",),
        "unit cells along a, b and c",
        values=("n",),
        kind="whole",
        targets=("crystal.n_cells.0", "crystal.n_cells.1", "crystal.n_cells.2"),
        low=1,
        default="1",
        note="takes numbers below 1 as 1",
    ),
    Flag(
        ("-samplesize", "-sample_size", "-xtalsize", "-xtal_size"),
        "crystal size along a, b and c; above 0 it sets the number of unit cells",
        values=("size",),
        unit="mm",
        stems=("-samplesize", "-sample_size", "-xtalsize", "-xtal_size"),
        targets=("crystal.size.0", "crystal.size.1", "crystal.size.2"),
        convert="mm",
        default="from the number of cells",
    ),
    _size(
        ("-sample_thick", "-sample_x", "-xtal_thick", "-xtal_x"),
        ("-sample_thick", "-sample_x", "-xtal_thick", "-xtal_x"),
        0,
        "a",
    ),
    _size(
        ("-sample_width", "-sample_y", "-width", "-xtal_width", "-xtal_y"),
        ("-sample_width", "-sample_y", "-width", "-xtal_width", "-xtal_y"),
        1,
        "b",
    ),
    _size(
        ("-sample_height", "-sample_z", "-height", "-xtal_height", "-xtal_z"),
        ("-sample_heigh", "-sample_z", "-heigh", "-xtal_heigh", "-xtal_z"),
        2,
        "c",
    ),
    Flag(
        ("-square_xtal",),
        "parallelepiped crystal",
        stems=("-square_xtal",),
        sets=(("crystal.shape", "square"),),
        default="this shape",
    ),
    Flag(
        ("-round_xtal",),
        "ellipsoidal crystal",
        stems=("-round_xtal",),
        sets=(("crystal.shape", "round"),),
    ),
    Flag(
        ("-gauss_xtal",),
        "Gaussian spots, nothing between them",
        stems=("-gauss_xtal",),
        sets=(("crystal.shape", "gauss"),),
    ),
    Flag(
        ("-tophat_spots", "-binary_spots"),
        "spots that are full inside their half width and zero outside",
        stems=("-tophat_spots", "-binary_spots"),
        sets=(("crystal.shape", "tophat"),),
    ),
    Flag(
        ("-fudge",),
        "factor on the squared radius of round, gauss and tophat spots",
        values=("factor",),
        stems=("-fudge",),
        targets=("crystal.fudge",),
        default="1",
    ),
    Flag(
        ("-mosaic", "-mosaici", "-mosaic_spr", "-mosaic_spread"),
        "isotropic mosaic spread",
        values=("spread",),
        unit="degrees",
        stems=("-mosaici", "-mosaic_spr"),
        targets=("crystal.mosaic_spread",),
        convert="degrees",
        unset="negative",
        default="none",
    ),
    Flag(
        ("-mosaic_dom", "-mosaic_domains"),
        "number of mosaic domains",
        values=("n",),
        kind="whole",
        stems=("-mosaic_dom",),
        targets=("crystal.mosaic_domains",),
        unset="below 1",
        default="10 with a mosaic spread, else 1",
    ),
    Flag(
        ("-mosaic_seed",),
        "seed of the mosaic domains' rotations",
        values=("seed",),
        kind="whole",
        stems=("-mosaic_seed",),
        targets=("crystal.mosaic_seed",),
        default="12345678",
    ),
    Flag(
        ("-density", "-sample_den"),
        "density of the sample",
        values=("density",),
        unit="g/cm^3",
        stems=("-density", "-sample_den"),
        unused=True,
    ),
    Flag(
        ("-MW", "-molec"),
        "molecular weight",
        values=("weight",),
        unit="g/mol",
        stems=("-molec",),
        unused=True,
    ),
)

STRUCTURE = (
    Flag(
        ("-hkl",),
        "amplitudes of the P1 cell, one reflection a line: h k l F; further columns are ignored",
        values=("file",),
        kind="file",
        stems=("-hkl",),
        targets=("files.hkl",),
    ),
    Flag(
        ("-dump", "-dumpfile"),
        "amplitudes from nanoBragg's binary dump (Fdump.bin), when there is no -hkl",
        values=("file",),
        kind="file",
        stems=("-dump",),
        targets=("files.dump",),
        note="writes it when -hkl is given, and without -hkl reads a left-over Fdump.bin unasked",
    ),
    Flag(
        ("-default_F",),
        "amplitude of every reflection that no list holds",
        values=("F",),
        unit="electrons",
        stems=("-default_F",),
        targets=("structure.default_F",),
        default="0",
    ),
    Flag(
        ("-interpolate",),
        "tricubic interpolation of amplitudes between Bragg peaks",
        stems=("-interpolate",),
        sets=(("sampling.interpolate", True),),
        default="when the crystal has two cells or fewer along an axis",
    ),
    Flag(
        ("-nointerpolate",),
        "amplitude of the nearest Bragg peak",
        stems=("-nointerpolate",),
        sets=(("sampling.interpolate", False),),
    ),
    *(
        Flag(
            (name,),
            f"amorphous structure factors against {what}",
            values=("file",),
            kind="word",
            unused=True,
        )
        for name, what in (
            ("-stol", "sin(theta)/lambda"),
            ("-4stol", "4 sin(theta)/lambda"),
            ("-Q", "Q = 4 pi sin(theta)/lambda"),
        )
    ),
    Flag(
        ("-stolout",),
        "file for amorphous structure factors",
        values=("file",),
        kind="word",
        stems=("-stolout",),
        targets=("outputs.stolout",),
        unused=True,
    ),
)

SCAN = (
    Flag(
        ("-phi",),
        "start angle of the rotation about the spindle",
        values=("angle",),
        unit="degrees",
        targets=("scan.phi0",),
        convert="degrees",
        default="0",
    ),
    Flag(
        ("-osc",),
        "rotation range",
        values=("range",),
        unit="degrees",
        stems=("-osc",),
        targets=("scan.osc",),
        convert="degrees",
        unset="negative",
        default="none, or what step and count ask for",
    ),
    Flag(
        ("-phistep",),
        "rotation step",
        values=("step",),
        unit="degrees",
        targets=("scan.step",),
        convert="degrees",
        unset="negative",
        default="range / count",
    ),
    Flag(
        ("-phisteps",),
        "number of rotation steps",
        values=("n",),
        kind="whole",
        stems=("-phisteps",),
        targets=("scan.count",),
        convert="phisteps",
        unset="negative",
        default="1, or 2 with -osc alone",
        note="takes 0 as 1",
    ),
    Flag(
        ("-spindle_axis",),
        "rotation axis; selects the CUSTOM convention",
        values=_XYZ,
        stems=("-spindle_axis",),
        targets=("frame.spindle",),
        sets=(("frame.convention", "CUSTOM"),),
        default="the convention's",
    ),
)

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
        targets=(f"crystal.n_cells.{index}",),
        low=1,
        default="1",
        back="always",
    )


def _size(names: tuple[str, ...], index: int, axis: str, stems: tuple[str, ...] = ()) -> Flag:
    return Flag(
        names,
        f"crystal size along {axis}; above 0 it sets the number of unit cells",
        values=("size",),
        unit="mm",
        stems=stems,
        targets=(f"crystal.size.{index}",),
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
        reads="crystal.matrix_file",
    ),
    Flag(
        ("-cell",),
        "unit cell; b and c default to a, the angles to 90; with -mat it gives the lengths only",
        values=("a", "b", "c", "alpha", "beta", "gamma"),
        unit="Angstrom, degrees",
        targets=("crystal.cell",),
        optional=5,
        special="cell",
        note="stops at the first value that begins with '-'",
        back="cell",
    ),
    Flag(
        ("-misset",),
        "'random', or rotations of the crystal about the lab's x, y and z axes",
        values=("rx|random", "ry", "rz"),
        unit="degrees",
        targets=("crystal.misset",),
        special="misset",
        default="none",
        back="misset",
    ),
    Flag(
        ("-misset_seed",),
        "seed of -misset random",
        values=("seed",),
        kind="whole",
        targets=("crystal.misset_seed",),
        special="misset_seed",
        default="from the clock",
        note="also reads it as -misset when three or more arguments follow",
        back="never",
    ),
    _cells("a", 0),
    _cells("b", 1),
    _cells("c", 2),
    Flag(
        ("-N",),
        "unit cells along a, b and c",
        exact=True,
        values=("n",),
        kind="whole",
        targets=("crystal.n_cells.0", "crystal.n_cells.1", "crystal.n_cells.2"),
        low=1,
        default="1",
    ),
    Flag(
        ("-samplesize", "-sample_size", "-xtalsize", "-xtal_size"),
        "crystal size along a, b and c; above 0 it sets the number of unit cells",
        values=("size",),
        unit="mm",
        targets=("crystal.size.0", "crystal.size.1", "crystal.size.2"),
        default="from the number of cells",
    ),
    _size(("-sample_thick", "-sample_x", "-xtal_thick", "-xtal_x"), 0, "a"),
    _size(("-sample_width", "-sample_y", "-width", "-xtal_width", "-xtal_y"), 1, "b"),
    _size(
        ("-sample_height", "-sample_z", "-height", "-xtal_height", "-xtal_z"),
        2,
        "c",
        stems=("-sample_heigh", "-sample_z", "-heigh", "-xtal_heigh", "-xtal_z"),
    ),
    Flag(
        ("-square_xtal",),
        "parallelepiped crystal",
        sets=(("crystal.shape", "square"),),
        default="this shape",
    ),
    Flag(("-round_xtal",), "ellipsoidal crystal", sets=(("crystal.shape", "round"),)),
    Flag(
        ("-gauss_xtal",), "Gaussian spots, nothing between them", sets=(("crystal.shape", "gauss"),)
    ),
    Flag(
        ("-tophat_spots", "-binary_spots"),
        "spots that are full inside their half width and zero outside",
        sets=(("crystal.shape", "tophat"),),
    ),
    Flag(
        ("-fudge",),
        "factor on the squared radius of round, gauss and tophat spots",
        values=("factor",),
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
        targets=("crystal.mosaic_seed",),
        default="12345678",
        back="always",
    ),
    Flag(
        ("-density", "-sample_den"),
        "density of the sample",
        values=("density",),
        unit="g/cm^3",
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
        targets=("files.hkl",),
        back="amplitudes",
    ),
    Flag(
        ("-dump", "-dumpfile"),
        "amplitudes from nanoBragg's binary dump (Fdump.bin), when there is no -hkl",
        values=("file",),
        kind="file",
        stems=("-dump",),
        targets=("files.dump",),
        note="writes it when -hkl is given, and without -hkl reads a left-over Fdump.bin unasked",
        back="amplitudes",
    ),
    Flag(
        ("-default_F",),
        "amplitude of every reflection that no list holds",
        values=("F",),
        unit="electrons",
        targets=("structure.default_F",),
        default="0",
    ),
    Flag(
        ("-interpolate",),
        "tricubic interpolation of amplitudes between Bragg peaks",
        sets=(("sampling.interpolate", True),),
        default="when the crystal has two cells or fewer along an axis",
    ),
    Flag(
        ("-nointerpolate",),
        "amplitude of the nearest Bragg peak",
        sets=(("sampling.interpolate", False),),
    ),
    *(
        Flag(
            (name,),
            f"amorphous structure factors against {what}",
            exact=True,
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
        targets=("outputs.stolout",),
        unused=True,
    ),
)

SCAN = (
    Flag(
        ("-phi",),
        "start angle of the rotation about the spindle",
        exact=True,
        values=("angle",),
        unit="degrees",
        targets=("scan.phi0",),
        default="0",
    ),
    Flag(
        ("-osc",),
        "rotation range",
        values=("range",),
        unit="degrees",
        targets=("scan.osc",),
        unset="negative",
        default="none, or what step and count ask for",
    ),
    Flag(
        ("-phistep",),
        "rotation step",
        exact=True,
        values=("step",),
        unit="degrees",
        targets=("scan.step",),
        unset="negative",
        default="range / count",
    ),
    Flag(
        ("-phisteps",),
        "number of rotation steps",
        values=("n",),
        kind="whole",
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
        targets=("frame.spindle",),
        sets=(("frame.convention", "CUSTOM"),),
        default="the convention's",
    ),
)

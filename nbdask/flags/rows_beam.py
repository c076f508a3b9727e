"""Flags of the beam, its sources and the sampling."""

from __future__ import annotations

from nbdask.flags.row import Flag

_DIRECTIONS = {"h": "horizontal", "v": "vertical"}


def _range(letter: str) -> Flag:
    name = f"-{letter}divrange"
    return Flag(
        (name,),
        f"{_DIRECTIONS[letter]} beam divergence",
        values=("range",),
        unit="mrad",
        targets=(f"sources.{_DIRECTIONS[letter]}.range",),
        unset="negative",
        default="none",
    )


def _step(letter: str) -> Flag:
    return Flag(
        (f"-{letter}divstep",),
        f"step of the {_DIRECTIONS[letter]} divergence",
        exact=True,
        values=("step",),
        unit="mrad",
        targets=(f"sources.{_DIRECTIONS[letter]}.step",),
        unset="negative",
        default="from range and count",
    )


def _count(letter: str) -> Flag:
    name = f"-{letter}divsteps"
    return Flag(
        (name,),
        f"sources across the {_DIRECTIONS[letter]} divergence",
        values=("n",),
        kind="whole",
        targets=(f"sources.{_DIRECTIONS[letter]}.count",),
        unset="below 1",
        default="2 with a range",
    )


def _each(what: str, help_text: str) -> Flag:
    name = f"-oversample_{what}"
    return Flag(
        (name,),
        help_text,
        sets=((f"sampling.oversample_{what}", True),),
        note="multiplies the running sum instead (--semantics c)",
    )


BEAM = (
    Flag(
        ("-lambda", "-wave"),
        "wavelength",
        values=("wavelength",),
        unit="Angstrom",
        targets=("beam.wavelength",),
        default="1",
        back="always",
    ),
    Flag(
        ("-energy",),
        "photon energy, instead of -lambda",
        values=("energy",),
        unit="eV",
        targets=("beam.wavelength",),
        back="never",
    ),
    Flag(
        ("-fluence",),
        "incident photons per area",
        values=("fluence",),
        unit="photons/m^2",
        targets=("beam.fluence",),
        default="1.259e29",
    ),
    Flag(
        ("-flux",),
        "photons per second; with -exposure and -beamsize it gives the fluence",
        values=("flux",),
        unit="photons/s",
        targets=("beam.flux",),
        default="0: -fluence counts",
    ),
    Flag(
        ("-exposure",),
        "exposure time",
        values=("time",),
        unit="s",
        targets=("beam.exposure",),
        default="1",
    ),
    Flag(
        ("-beamsize",),
        "edge of the square beam; it also clips the crystal's size along b and c",
        values=("size",),
        unit="mm",
        targets=("beam.beamsize",),
        default="0.1",
    ),
    Flag(
        ("-polar",),
        "Kahn factor of the polarization, -1 to 1",
        exact=True,
        values=("factor",),
        targets=("beam.polarization",),
        sets=(("beam.polarized", True),),
        default="0",
    ),
    Flag(
        ("-nopolar",),
        "no polarization factor, until a later -polar",
        sets=(("beam.polarized", False),),
    ),
    Flag(
        ("-water",),
        "edge of a cube of water around the crystal",
        values=("size",),
        unit="um",
        targets=("background.water",),
        convert="microns_water",
        default="0",
    ),
)

SOURCES = (
    Flag(
        ("-sourcefile",),
        "list of sources, one a line: x y z weight wavelength[m]; replaces the generated grid",
        values=("file",),
        kind="file",
        targets=("files.sources",),
        note="reads the weights and ignores them; --source-weights apply honours them",
        back="sources",
    ),
    Flag(
        ("-divergence",),
        "horizontal and vertical beam divergence",
        values=("range",),
        unit="mrad",
        targets=("sources.horizontal.range", "sources.vertical.range"),
        unset="negative",
        default="none",
    ),
    _range("h"),
    _range("v"),
    _step("h"),
    _step("v"),
    Flag(
        ("-divsteps",),
        "sources across the horizontal and the vertical divergence",
        values=("n",),
        kind="whole",
        targets=("sources.horizontal.count", "sources.vertical.count"),
        unset="below 1",
        default="2 with a range",
    ),
    _count("h"),
    _count("v"),
    Flag(
        ("-round_div",),
        "cut the divergence grid to an ellipse",
        sets=(("sources.round", True),),
        default="on",
    ),
    Flag(
        ("-square_div",),
        "keep the corners of the divergence grid",
        sets=(("sources.round", False),),
    ),
    Flag(
        ("-dispersion",),
        "spectral width, delta-lambda / lambda",
        values=("width",),
        unit="percent",
        targets=("sources.dispersion.range",),
        unset="negative",
        default="0",
        back="dispersion",
    ),
    Flag(
        ("-dispsteps",),
        "wavelengths across the spectral width",
        values=("n",),
        kind="whole",
        targets=("sources.dispersion.count",),
        unset="below 1",
        default="2 with a width",
    ),
    Flag(("-coherent",), "coherent addition", unused=True),
)

SAMPLING = (
    Flag(
        ("-oversample",),
        "sub-pixels along each edge of a pixel",
        values=("n",),
        kind="whole",
        targets=("sampling.oversample",),
        unset="below 1",
        default="what the crystal's size asks for",
    ),
    _each("thick", "capture fraction of every sub-pixel and layer, not once per pixel"),
    _each("polar", "polarization factor of every sub-pixel and source, not once per pixel"),
    _each("omega", "solid angle of every sub-pixel, not once per pixel"),
    Flag(
        ("-dmin",),
        "finest resolution; terms beyond it are skipped",
        values=("d",),
        unit="Angstrom",
        targets=("sampling.dmin",),
        convert="angstrom_product",
        default="0: none",
    ),
    Flag(
        ("-roi",),
        "region of interest, inclusive, x along fast, y along slow; negative: to the edge",
        values=("xmin", "xmax", "ymin", "ymax"),
        kind="whole",
        unit="pixels from 0",
        targets=("sampling.roi",),
        special="roi",
        default="everything",
        back="roi",
    ),
)

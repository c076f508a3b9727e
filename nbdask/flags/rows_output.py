"""Flags of what is written and printed."""

from __future__ import annotations

from nbdask.flags.row import Flag


def _file(name: str, help_text: str, sets: tuple[tuple[str, object], ...] = ()) -> Flag:
    names = (f"-{name}file", f"-{name}image")
    return Flag(
        names,
        help_text,
        values=("file",),
        kind="file",
        targets=(f"outputs.{name}file",),
        sets=sets,
        default="not written",
    )


OUTPUT = (
    _file("float", "image as little-endian float32, slow-major, no header"),
    _file("int", "image as SMV, scaled, without noise"),
    _file("pgm", "image as 8-bit greymap", (("outputs.nopgm", False),)),
    _file("noise", "image as SMV with photon noise", (("outputs.nonoise", False),)),
    Flag(
        ("-nonoise",),
        "no image with noise, until a later -noisefile",
        sets=(("outputs.nonoise", True),),
    ),
    Flag(
        ("-nopgm",),
        "no greymap, until a later -pgmfile or -pgmscale",
        sets=(("outputs.nopgm", True),),
    ),
    Flag(
        ("-scale",),
        "factor of the SMV image; 0 or below: automatic",
        values=("factor",),
        targets=("outputs.scale",),
        default="automatic",
    ),
    Flag(
        ("-pgmscale",),
        "factor of the greymap; 0 or below: automatic",
        values=("factor",),
        targets=("outputs.pgmscale",),
        sets=(("outputs.nopgm", False),),
        default="automatic",
    ),
    Flag(
        ("-adc",),
        "offset that is added to integer images",
        values=("offset",),
        targets=("outputs.adc",),
        default="40",
    ),
    Flag(
        ("-seed",),
        "seed of the photon noise of -noisefile; --noise takes --seed",
        values=("seed",),
        kind="whole",
        targets=("outputs.seed",),
        default="from the clock",
    ),
    Flag(("-printout",), "print pixel values", sets=(("outputs.printout", True),)),
    Flag(
        ("-printout_pixel",),
        "print the value of one pixel only, given along fast and slow",
        values=("fast", "slow"),
        kind="whole",
        targets=("outputs.printout_pixel",),
        sets=(("outputs.printout", True),),
    ),
    Flag(("-progress",), "show progress", sets=(("outputs.progress", True),), default="on"),
    Flag(("-noprogress",), "show no progress", sets=(("outputs.progress", False),)),
)

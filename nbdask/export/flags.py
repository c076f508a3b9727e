"""The files that nanoBragg's own output flags name, made from a finished run's store."""

from __future__ import annotations

from pathlib import Path

from nbdask.export.flagfile import FlagFile
from nbdask.export.floatfile import FloatFile
from nbdask.export.options import Options
from nbdask.export.pgm import write_pgm
from nbdask.export.picture import Picture
from nbdask.export.smv import check_seed, write_noise, write_smv
from nbdask.flags import Outputs


def flag_files(outputs: Outputs) -> list[FlagFile]:
    """Return the files that a nanoBragg argument list asks for, in C's order.

    Only files that are named are written; C's own default names (floatimage.bin, intimage.img,
    image.pgm, noiseimage.img) are not.

    Raises
    ------
    InputError
        A seed that nanoBragg's noise does not allow.
    """
    o = outputs
    files: list[FlagFile] = []
    if o.floatfile is not None:
        files.append(FloatFile(o.floatfile))
    if o.intfile is not None:
        files.append(FlagFile("-intfile", o.intfile, write_smv, Options(o.scale, o.adc)))
    if o.pgmfile is not None and not o.nopgm:

        def write(picture: Picture, path: Path, options: Options) -> list[str]:
            return write_pgm(picture, path, options, smv_scale=o.scale)

        files.append(FlagFile("-pgmfile", o.pgmfile, write, Options(o.pgmscale)))
    if o.noisefile is not None and not o.nonoise:
        check_seed(o.seed)
        options = Options(adc=o.adc, seed=o.seed)
        files.append(FlagFile("-noisefile", o.noisefile, write_noise, options))
    return files

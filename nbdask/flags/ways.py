"""The way that there is, where a flag of nanoBragg is asked for what another option does."""

from __future__ import annotations

from pathlib import Path

from nbdask.errors import FlagError
from nbdask.inputs.text import to_number

#: What other programs call it -> what does it here.
WAYS = {
    **dict.fromkeys(
        ("-geom", "-geometry", "-g", "-expt"),
        "--geometry FILE takes a detector from a geometry file",
    ),
    **dict.fromkeys(
        ("-frames", "-nframes", "-images", "-n_images"),
        "--scan 0:10:1 makes an image for each degree from 0 to 10, --shots N as many stills, in"
        " one store",
    ),
    "-mtz": "--reflections FILE takes amplitudes from an MTZ file",
    "-pdb": "--model FILE --dmin D computes amplitudes of an atomic model",
    "-cif": "--model FILE --dmin D computes amplitudes of atoms, --reflections FILE reads them",
    **dict.fromkeys(("-o", "-out", "-output"), "--out PATH names the store to write"),
}
_MODEL = "--model {} --dmin D computes amplitudes of its atoms"
#: Ending -> what takes such a file instead of -hkl.
_LISTS = {
    ".mtz": "--reflections {} takes amplitudes from it",
    ".pdb": _MODEL,
    ".ent": _MODEL,
    ".cif": _MODEL + ", --reflections {} reads its reflections",
    ".mmcif": _MODEL + ", --reflections {} reads its reflections",
}
_GEOMETRY = "--geometry {} takes its detector"
_NO_HEADER = (
    "-img reads the header of an SMV image alone, such as nbdask export STORE image_1.img writes;"
    " --geometry takes .expt, .geom and NXmx files"
)
#: Ending -> what takes such a file instead of -img.
_IMAGES = {
    **dict.fromkeys((".h5", ".hdf5", ".nxs", ".expt", ".json", ".geom"), _GEOMETRY),
    **dict.fromkeys((".cbf", ".tif", ".tiff", ".cxi", ".pgm", ".bin", ".float"), _NO_HEADER),
}

#: Ending -> what takes such a file instead of -mat.
_MATRICES = dict.fromkeys(
    (".expt", ".json"),
    "--geometry {} --geometry-use detector,crystal takes cell and orientation from it",
)


def check_list(flag: str, path: str) -> None:
    """Refuse a file that -hkl does not read and another option does.

    Raises
    ------
    FlagError
    """
    way = _LISTS.get(Path(path).suffix.lower())
    if way is not None and Path(path).is_file() and not _begins_with_number(path):
        raise FlagError(
            f"{flag}: must be a list, one reflection a line: h k l F; {_said(way, path)}"
        )


def check_image(flag: str, path: str) -> None:
    """Refuse a file that -img does not read and another option does.

    Raises
    ------
    FlagError
    """
    way = _IMAGES.get(Path(path).suffix.lower())
    if way is not None and Path(path).is_file() and _beginning(path)[:1] != b"{":
        raise FlagError(f"{flag}: must be an SMV image; {_said(way, path)}")


def check_matrix(flag: str, path: str) -> None:
    """Refuse a file that -mat does not read and another option does.

    Raises
    ------
    FlagError
    """
    way = _MATRICES.get(Path(path).suffix.lower())
    if way is not None and Path(path).is_file() and not _begins_with_number(path):
        raise FlagError(f"{flag}: must be a matrix of MOSFLM, nine numbers; {_said(way, path)}")


def stray_way(arg: str) -> str | None:
    """Return what takes a file that no flag stands before, by its ending; None: nothing known."""
    suffix = Path(arg).suffix.lower()
    way = _LISTS.get(suffix)
    if way is None and _IMAGES.get(suffix) == _GEOMETRY:
        way = _GEOMETRY
    return None if way is None else _said(way, arg)


def _said(way: str, path: str) -> str:
    return way.replace("{}", Path(path).name)


def _begins_with_number(path: str) -> bool:
    words = _beginning(path).split()
    return bool(words) and to_number(words[0].decode("latin-1")) is not None


def _beginning(path: str) -> bytes:
    """Return the first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(256)

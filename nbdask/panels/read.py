"""``read_geometry``: finds the format of a file and reads it."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

from nbdask.errors import InputError, in_python
from nbdask.inputs.text import check_regular, problem
from nbdask.panels.crystfel import read_crystfel
from nbdask.panels.dxtbx import read_dxtbx
from nbdask.panels.given import Given
from nbdask.panels.material import with_absorption
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.nxmx import read_nxmx
from nbdask.panels.quantities import LONGEST, WAVELENGTHS_TEXT, believed, of_energy
from nbdask.panels.vectors import vector
from nbdask.panels.xds import is_xparm, read_xds_inp, read_xparm

_log = logging.getLogger("nbdask.panels")

#: What the file may be, for messages.
WHAT = "a detector geometry: dxtbx .expt or .json, CrystFEL .geom, NeXus NXmx, XDS.INP or XPARM.XDS"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_READERS = {
    "dxtbx": read_dxtbx,
    "crystfel": read_crystfel,
    "nxmx": read_nxmx,
    "xds.inp": read_xds_inp,
    "xparm": read_xparm,
}


@in_python
def read_geometry(
    path: str | Path,
    *,
    wavelength: float | None = None,
    energy: float | None = None,
    clen: float | None = None,
    distance_shift: float = 0.0,
    shot: int = 0,
) -> Instrument:
    """Read a detector as a geometry file describes it.

    Parameters
    ----------
    path : str or Path
        dxtbx ``.expt`` or ``.json``, CrystFEL ``.geom``, NeXus NXmx (images are not read),
        XDS.INP, XPARM.XDS or GXPARM.XDS; the content decides, not the name.
    wavelength : float, optional
        [m], where the file gives none.
    energy : float, optional
        Photon energy [eV], instead of ``wavelength``.
    clen : float, optional
        CrystFEL's camera length [m], where the file gives a place in the data for it.
    distance_shift : float
        Moves all panels along +z [m].
    shot : int
        Which experiment of an ``.expt``, or frame of an NXmx file, from 0.

    Returns
    -------
    Instrument
        In the common frame: z along the beam, y up; metres.

    Raises
    ------
    InputError
        The file is missing or malformed, or an argument contradicts it.
    """
    path = Path(path)
    _log.info("geometry of %s", path)
    if wavelength is not None and energy is not None:
        raise InputError("--wavelength and --energy: both given: must be one of them")
    if energy is not None:
        if not (math.isfinite(energy) and energy > 0.0):
            raise InputError(f"--energy {energy!r} eV: must be greater than 0")
        wavelength = of_energy(energy)
    if wavelength is not None and not believed(wavelength):
        name = "--wavelength" if energy is None else "--energy"
        raise InputError(f"{name}: {wavelength * 1e10:g} A: must be {WAVELENGTHS_TEXT}")
    for name, value in (("--clen", clen), ("--distance-shift", distance_shift)):
        if value is not None and not abs(value) < LONGEST:
            raise InputError(f"{name} {value!r} m: must be less than {LONGEST:g} m")
    given = Given(path, wavelength, clen, shot)
    try:
        found = _READERS[_format_of(path)](given)
    except InputError as error:
        raise given.of_file(error) from None
    if distance_shift:
        found = replace(found, panels=tuple(_moved(p, distance_shift) for p in found.panels))
        given.taken.append(f"all panels moved by {distance_shift * 1000.0:.10g} mm along z")
    panels = tuple(with_absorption(panel, found.beam.wavelength) for panel in found.panels)
    if panels != found.panels:
        given.notes.append(f"absorption of the sensor ({panels[0].material}) from tables")
    return replace(found, panels=panels, taken=tuple(given.taken), notes=tuple(given.notes))


def _moved(panel: Panel, shift: float) -> Panel:
    x, y, z = panel.origin
    return replace(panel, origin=vector((x, y, z + shift)))


def _format_of(path: Path) -> str:
    """Return the reader for a file, from its content."""
    check_regular(path, WHAT)
    try:
        with open(path, "rb") as handle:
            head = handle.read(1 << 16)
    except OSError as error:
        raise problem(path, None, (error.strerror or str(error)).lower(), WHAT) from None
    if head.startswith(_HDF5):
        return "nxmx"
    if b"\0" in head:
        raise problem(path, None, "holds bytes that are no text", WHAT)
    text = head.decode("utf-8", "replace").lstrip("\ufeff").lstrip()
    if not text:
        raise problem(path, None, "is empty", WHAT)
    if text[0] in "{[":
        return "dxtbx"
    if is_xparm(text):
        return "xparm"
    if path.suffix.lower() == ".inp":
        return "xds.inp"
    lines = [line.split("!")[0].split(";")[0] for line in text.splitlines()]
    slashes = any("/" in line.split("=")[0] for line in lines if "=" in line)
    # One key of XDS has a slash too: REFLECTIONS/CORRECTION_FACTOR.
    if path.suffix == ".geom" or (slashes and "ORGX" not in text):
        return "crystfel"
    if any("=" in line for line in lines):
        return "xds.inp" if _shouts(lines) else "crystfel"
    raise problem(path, None, "no format that is known", WHAT)


def _shouts(lines: list[str]) -> bool:
    """Whether the keys are XDS's, in capitals."""
    keys = [line.split("=")[0].split()[-1:] for line in lines if "=" in line]
    words = [key[0] for key in keys if key]
    return sum(word.upper() == word for word in words) * 2 > len(words)

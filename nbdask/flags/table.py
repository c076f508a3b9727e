"""The table of nanoBragg's flags: it drives parsing, the help text and the documentation page."""

from __future__ import annotations

import dataclasses

from nbdask.flags.row import Flag
from nbdask.flags.rows_beam import BEAM, SAMPLING, SOURCES
from nbdask.flags.rows_crystal import CRYSTAL, SCAN, STRUCTURE
from nbdask.flags.rows_detector import CONVENTION, DETECTOR
from nbdask.flags.rows_output import OUTPUT

_GROUPS = {
    "Crystal": CRYSTAL,
    "Structure factors": STRUCTURE,
    "Rotation": SCAN,
    "Beam": BEAM,
    "Sources": SOURCES,
    "Convention": CONVENTION,
    "Detector": DETECTOR,
    "Sampling": SAMPLING,
    "Output": OUTPUT,
}
#: Conversions of flags that name none, by their unit.
_BY_UNIT = {
    "Angstrom": "angstrom",
    "degrees": "degrees",
    "eV": "ev",
    "mm": "mm",
    "mrad": "mrad",
    "percent": "percent",
    "um": "um",
}


def _whole(row: Flag, group: str) -> Flag:
    """Return a row with what it leaves to the table."""
    stems = () if row.exact else row.stems or row.names
    convert = row.convert or _BY_UNIT.get(row.unit, "plain")
    return dataclasses.replace(row, group=group, stems=stems, convert=convert)


#: Every flag, in the order of the help text.
TABLE: tuple[Flag, ...] = tuple(_whole(row, group) for group in _GROUPS for row in _GROUPS[group])
#: Headings, in order.
GROUPS: tuple[str, ...] = tuple(_GROUPS)
#: Exact spelling -> flag.
BY_NAME: dict[str, Flag] = {name: flag for flag in TABLE for name in flag.names}
#: Stem -> flag, longest stem first.
STEMS: tuple[tuple[str, Flag], ...] = tuple(
    sorted(
        ((stem, flag) for flag in TABLE for stem in flag.stems),
        key=lambda pair: (-len(pair[0]), pair[0]),
    )
)

"""Experiments from nanoBragg's flags and from TOML files, and back.

One table of flags: parsing, help, documentation and the way back follow from it.
"""

from nbdask.flags.argv import to_args
from nbdask.flags.assemble import from_args, in_flags, parse_args
from nbdask.flags.geometry_request import GeometryRequest
from nbdask.flags.own import Own
from nbdask.flags.page import flag_values, flags_page, help_text
from nbdask.flags.parsed import Outputs, Parsed
from nbdask.flags.toml import from_toml, to_toml

__all__ = [
    "GeometryRequest", "Outputs", "Own", "Parsed", "flag_values", "flags_page", "from_args",
    "from_toml", "help_text", "in_flags", "parse_args", "to_args", "to_toml",
]  # fmt: skip

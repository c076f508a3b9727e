"""nanoBragg's flags: one table, from which parsing, help and documentation follow."""

from nbdask.experiment.flags.assemble import flag_of_field, parse_args
from nbdask.experiment.flags.page import flags_page, help_text
from nbdask.experiment.flags.parsed import Outputs, Parsed
from nbdask.experiment.flags.words import to_args

__all__ = [
    "Outputs",
    "Parsed",
    "flag_of_field",
    "flags_page",
    "help_text",
    "parse_args",
    "to_args",
]

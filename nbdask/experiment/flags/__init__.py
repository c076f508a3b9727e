"""nanoBragg's flags: one table, from which parsing, help and documentation follow."""

from nbdask.experiment.flags.assemble import parse_args
from nbdask.experiment.flags.page import flags_page, help_text
from nbdask.experiment.flags.parsed import Outputs, Parsed

__all__ = ["Outputs", "Parsed", "flags_page", "help_text", "parse_args"]

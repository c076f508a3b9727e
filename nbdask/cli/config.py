"""``--config FILE``."""

from __future__ import annotations

import warnings

from nbdask.cli.running import say_notes
from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import Experiment
from nbdask.flags import from_toml


def experiment_of(path: str) -> Experiment:
    """Return the experiment of a TOML file; a field that is refused is named as the file has it.

    Raises
    ------
    InputFileError
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            experiment = from_toml(path)
        except FieldError as error:
            raise InputFileError(f"{path}: {error}") from None
    say_notes([f"{path}: {warning.message}" for warning in told])
    return experiment

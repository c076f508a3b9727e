"""``--config FILE``."""

from __future__ import annotations

from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import Experiment
from nbdask.flags import from_toml


def experiment_of(path: str) -> Experiment:
    """Return the experiment of a TOML file; a field that is refused is named as the file has it.

    Raises
    ------
    InputFileError
    """
    try:
        return from_toml(path)
    except FieldError as error:
        raise InputFileError(f"{path}: {error}") from None

"""One shot of a series of which only the dict form is at hand, such as in an image's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.shots.apply import with_values
from nbdask.shots.series import KINDS
from nbdask.shots.tables import Table
from nbdask.shots.variation import Variation


def chosen_shot(
    common: Experiment, data: Mapping[str, Any], shot: int, values: Mapping[str, float]
) -> Experiment:
    """Return the experiment of a shot.

    Parameters
    ----------
    common : Experiment
        What all shots have in common.
    data : mapping
        :meth:`Series.to_dict`; its experiment does not count.
    shot : int
    values : mapping of str to float
        Dotted field -> value of the shot [SI], for fields of tables that the dict form names by
        checksum.

    Raises
    ------
    FieldError
        A value of such a table is not given, or the spectrum of the shot is in one.
    """
    seed, found = int(data["seed"]), dict[str, float]()
    variations: list[Variation] = []
    for item in data["variations"]:
        if "sha256" in item and item["kind"] == Table.kind:
            missing = [name for name in item["columns"] if name not in values]
            if missing:
                raise FieldError(missing[0], "no coordinate of the image", "kept with its shot")
            found |= {name: values[name] for name in item["columns"]}
        elif "sha256" in item:
            text = "few enough to be in the store's attributes: nbdask.image(series.shot(n)) has it"
            raise FieldError("sources.spectrum", "one of a table of spectra", text)
        else:
            variation = KINDS[item["kind"]].from_dict(item, {})
            variations.append(variation)
            columns = variation.values(seed, np.array([shot], dtype=np.int64))
            found |= {name: float(column[0]) for name, column in columns.items()}
    experiment = with_values(common, found)
    for variation in variations:
        experiment = variation.change(experiment, seed, shot)
    return experiment

"""Root attributes: everything that is needed to recompute any tile, and what it ran on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nbdask.experiment import Experiment
from nbdask.inputs.checksum import sha256_of
from nbdask.native import library
from nbdask.plan.machine import cpu_name
from nbdask.plan.plan import Plan
from nbdask.shots import Series
from nbdask.statistics import Statistics
from nbdask.store import schema
from nbdask.version import __version__, commit

#: The root's attribute of a series: its dict form without what is common, the ``experiment``.
SERIES = "series"
_LIBRARIES = ("numpy", "dask", "distributed", "zarr", "numcodecs", "gemmi")


def opening(command: Sequence[str] | None) -> dict[str, Any]:
    """Return the attributes with which every store begins.

    Parameters
    ----------
    command : sequence of str or None
        The command line, if it was one.

    Returns
    -------
    dict
        JSON-able.
    """
    return {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "status": schema.RUNNING,
        "nbdask_version": __version__,
        "git_commit": git_commit(),
        "command": None if command is None else shlex.join(command),
    }


def fingerprint_of(work: Experiment | Series, noise: Mapping[str, Any] | None) -> str:
    """Return the fingerprint of what is simulated, with the noise that is added at once."""
    found = work.fingerprint()
    if noise is None:
        return found
    text = f"{found} {json.dumps(noise, sort_keys=True)}"
    return hashlib.sha256(text.encode()).hexdigest()


def start_attributes(
    work: Experiment | Series,
    plan: Plan,
    command: Sequence[str] | None,
    cluster: str,
    noise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the attributes, JSON-able, of a store whose run begins now.

    Parameters
    ----------
    work : Experiment or Series
    plan : Plan
    command : sequence of str or None
        The command line.
    cluster : str
        Kind of cluster.
    noise : mapping, optional
        What is done to the pixels before they are written.
    """
    experiment = work.experiment if isinstance(work, Series) else work
    return {
        **opening(command),
        "experiment": experiment.to_dict(),
        **({SERIES: _series(work)} if isinstance(work, Series) else {}),
        **({} if noise is None else {"noise": dict(noise)}),
        "fingerprint": fingerprint_of(work, noise),
        "inputs": input_files(experiment),
        "seeds": {
            "misset": experiment.crystal.misset_seed,
            "mosaic": experiment.crystal.mosaic_seed,
        },
        "semantics": experiment.semantics,
        "backend": plan.backend,
        "precision": plan.precision,
        "kernel_version": plan.kernel_version,
        "plan": plan.to_dict(),
        **beginning(cluster),
    }


def _series(series: Series) -> dict[str, Any]:
    return {name: value for name, value in series.to_dict().items() if name != "experiment"}


def beginning(cluster: str) -> dict[str, Any]:
    """Return the attributes of a run that begins now: where it runs, and what its end fills in."""
    return {
        "cluster": cluster,
        "versions": versions(),
        "host": platform.node(),
        "cpu": cpu_name(),
        "started": now(),
        "ended": None,
        "notes": [],
        "statistics": None,
    }


def end_attributes(statistics: Statistics) -> dict[str, Any]:
    """Return the attributes that change when a run is complete."""
    return {
        "status": schema.COMPLETE,
        "ended": now(),
        "versions": versions(),
        # JSON has no NaN: a statistic of an image with NaN pixels is null.
        "statistics": {k: v if v == v else None for k, v in statistics.to_dict().items()},
    }


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def input_files(experiment: Experiment) -> list[dict[str, str]]:
    """Return role, path and SHA-256 of every file that the experiment was made from.

    Checksums that the experiment holds are taken from it; files that are only on record (their
    content is in the experiment) are left out where they are no longer there.
    """
    structure, sampling = experiment.structure, experiment.sampling
    recipe, spectrum = structure.recipe, experiment.sources.spectrum
    files = [
        ("structure factors", structure.path, structure.sha256, True),
        *([("model", recipe.model, recipe.model_sha256, True)] if recipe is not None else []),
        ("mask", sampling.mask, sampling.mask_sha256, True),
        ("orientation matrix", experiment.crystal.matrix_file, None, False),
        ("mosaic domains", experiment.crystal.mosaic.file, None, False),
        ("sources", experiment.sources.file, None, False),
        ("spectrum", spectrum.origin if spectrum is not None else None, None, False),
        ("image header", experiment.detector.header_file, None, False),
        ("geometry", experiment.detector.geometry_file, None, False),
        ("shadow", experiment.background.shadow, experiment.background.shadow_sha256, True),
        *(
            ("background", material.path, material.sha256, True)
            for material in experiment.background.materials
        ),
    ]
    for other in experiment.singles[1:]:
        more = input_files(other)
        files += [(x["role"], x["path"], x["sha256"], True) for x in more]
    result = []
    for role, path, checksum, needed in files:
        if path is None or not (needed or os.path.isfile(path)):
            continue
        entry = {"role": role, "path": path, "sha256": checksum or sha256_of(path)}
        if entry not in result:
            result.append(entry)
    return result


def versions() -> dict[str, str]:
    """Return the versions of Python and of loaded libraries, and of our own level and compiler."""
    result = {"python": platform.python_version()}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            result[name] = str(version)
    if library.available():
        result |= {"native": library.level(), "compiler": library.recipe()}
    return result


def git_commit() -> str | None:
    """Return the commit of the package: that of its source tree, or that it was built from."""
    return commit()

"""Whether an unfinished store can be finished by this run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbdask.errors import StoreError
from nbdask.store.earlier import backend_of, is_replaced

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader

#: Entries of the recorded plan that must be the same, or the bits could differ.
_SAME_PLAN = (
    "shape", "tile", "steps", "steps_per_task", "backend", "precision", "kernel_version", "planes",
    "gradient",
)  # fmt: skip


def check_same(reader: StoreReader, attributes: Mapping[str, Any], doing: str = "--resume") -> None:
    """Make sure that a run would write exactly the pixels that a store was started with.

    Parameters
    ----------
    reader : StoreReader
        The unfinished store.
    attributes : mapping
        What :func:`~.provenance.start_attributes` gives for this run.
    doing : str
        What the user asked for, to begin the message with.

    Raises
    ------
    StoreError
        With every difference as ``name: stored -> now``.
    """
    stored = reader.attributes
    differences = list(_changed_plan(stored["plan"], attributes["plan"]))
    if stored["fingerprint"] != attributes["fingerprint"]:
        found = changes(_work(stored), _work(attributes))
        differences += found or ["fingerprint of the experiment"]
    differences += _changed_files(stored["inputs"], attributes["inputs"])
    refuse(reader, differences, doing)


def _work(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a root holds of what is simulated."""
    beside = {name: attributes[name] for name in ("series", "noise") if name in attributes}
    return {**attributes["experiment"], **beside}


def refuse(reader: StoreReader, differences: Sequence[str], doing: str) -> None:
    """Raise an error that names the first differences, where there are any."""
    if differences:
        again = "another store" if doing.startswith("--shard") else "--overwrite to start again"
        raise StoreError(
            f"{doing}: {reader.path} was started with other settings (stored -> now):"
            f" {'; '.join(differences[:8])}. Use the same command, or {again}"
        )


def _changed_plan(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of the plan differs; a discontinued kernel is the one in its place."""
    if is_replaced(then):
        same = {"backend": backend_of(then), "kernel_version": now["kernel_version"]}
        then = {**then, **same}
    for name in _SAME_PLAN:
        if then.get(name) != now.get(name):
            old, new = (_named(name, plan.get(name)) for plan in (then, now))
            yield f"{name}: {old} -> {new}"


def _named(name: str, value: Any) -> str:
    """Return an entry of a plan as text; derivatives by the names of their parameters."""
    if name != "gradient" or not value:
        return _short(value)
    return ",".join(_tied(slope) for slope in value)


def _tied(slope: Mapping[str, Any]) -> str:
    """Return the name of a parameter, with its fields where it has others than its name says."""
    if slope["fields"] == {slope["name"]: 1.0}:
        return str(slope["name"])
    return f"{slope['name']}=" + "+".join(f"{x:g}*{name}" for name, x in slope["fields"].items())


def _changed_files(then: list[dict[str, str]], now: list[dict[str, str]]) -> list[str]:
    """Return input files whose content differs, also those without a checksum in the experiment."""
    known = {item["role"]: item["sha256"] for item in then}
    return [
        f"{item['role']} {item['path']}: sha256 {_short(known.get(item['role'], 'none'))[:14]}..."
        f" -> {_short(item['sha256'])[:14]}..."
        for item in now
        if known.get(item["role"]) != item["sha256"]
    ]


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between nested dicts, each as ``name: stored -> now``."""
    old, new = dict(_entries(then, "")), dict(_entries(now, ""))
    return [
        f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in sorted({**old, **new})
        if old.get(name) != new.get(name)
    ]


def _entries(data: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of every entry; dicts in lists are numbered."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _entries(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        for number, value in enumerate(data, 1):
            yield from _entries(value, f"{prefix} {number}")
    else:
        # Through JSON and back, since a store's numbers and lists went that way.
        yield prefix, json.loads(json.dumps(data))


def _short(value: object) -> str:
    text = "default" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."

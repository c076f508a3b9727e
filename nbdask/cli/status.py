"""``nbdask status``: how far a store is, and what computes the rest."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.tables import show

if TYPE_CHECKING:
    from nbdask.fill.standing import Standing


@click.command(name="status", cls=GroupedCommand)
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store: str, as_json: bool) -> int:
    """Say how many tiles of STORE are done, which shards are missing, and how to go on.

    The exit code is 0 where the store is complete, else 1.
    """
    from nbdask.shards import status

    found = status(store)
    tell(store, found, as_json)
    return exit_code(found)


def tell(store: str, found: Standing, as_json: bool) -> None:
    """Print how far a store is."""
    if not as_json:
        show("\n".join(lines(store, found)))
        return
    groups = {name: getattr(found, name) for name in ("complete", "begun", "missing")}
    shards = None if found.shards is None else {"count": found.shards, **groups}
    text = {
        "store": store,
        "status": found.status,
        "tiles": {"done": found.done, "total": found.total},
        "shards": shards,
        "commands": commands(store, found),
    }
    click.echo(json.dumps(text, indent=2))


def exit_code(found: Standing) -> int:
    """Return 0 for a complete store, else 1."""
    return 0 if found.status == "complete" and found.done == found.total else 1


def lines(store: str, found: Standing) -> list[str]:
    """Return what is told of a store."""
    what = [f"{store}: {found.status}, {found.done} of {found.total} tiles done"]
    if found.shards is not None:
        what.append(
            f"shards    {len(found.complete)} of {found.shards} complete, {len(found.begun)} begun,"
            f" {len(found.missing)} missing"
        )
        for name in ("begun", "missing"):
            numbers = getattr(found, name)
            if numbers:
                what.append(f"{name:9s} {ranges(numbers)}")
    if exit_code(found):
        heads = ["to go on", "or"]
        what += [f"{a:9s} {text}" for a, text in zip(heads, commands(store, found), strict=False)]
    return what


def commands(store: str, found: Standing) -> list[str]:
    """Return the command lines that compute or close what is missing, each of which is enough."""
    if exit_code(found) == 0:
        return []
    if found.done == found.total:
        return [shlex.join(["nbdask", "finish", store])]
    if found.command is None:
        return []
    rest = [word for word in shlex.split(found.command) if word.partition("=")[0] != "--resume"]
    whole = shlex.join([*rest, "--resume"])
    if found.shards is None:
        return [whole]
    return [f"{shlex.join(rest)} --shard NUMBER/{found.shards}", whole]


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as sbatch's --array takes them: ``"1,4-8"``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)

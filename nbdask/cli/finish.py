"""``nbdask finish``: a store that shards have filled is closed."""

from __future__ import annotations

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.status import exit_code, tell


@click.command(name="finish", cls=GroupedCommand)
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as status does.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, as_json: bool, quiet: bool) -> int:
    """Close STORE, whose tiles shards have computed: records, statistics, status, and the truth.

    The last shard does this by itself. The exit code is 1 where tiles are missing.
    """
    from nbdask.shards import finish

    found = finish(store)
    if not quiet or exit_code(found):
        tell(store, found, as_json)
    return exit_code(found)

"""``nbdask view``: a store in the browser."""

from __future__ import annotations

import webbrowser

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Whole
from nbdask.cli.running import say
from nbdask.cli.startup import import_zarr


@click.command(name="view", cls=GroupedCommand)
@click.argument("store")
@click.argument("others", metavar="[STORE]...", nargs=-1)
@click.option(
    "--port", type=Whole(1, 65535), help="Port of the page [default: 5006, or a free one]."
)
@click.option("--no-browser", is_flag=True, help="Only print the address of the page.")
def command(store: str, others: tuple[str, ...], port: int | None, no_browser: bool) -> None:
    """Look at STORE in the browser, finished or while its run goes on; Ctrl-C ends it.

    Several stores of equal size are shown one after another, side by side, or as a difference.
    The page is served to this machine alone and loads nothing from elsewhere.
    """
    import_zarr()
    from nbdask.view.server import serve

    def ready(address: str) -> None:
        """Print the address, and open it."""
        click.echo(address)
        say("Ctrl-C ends the viewer")
        if not no_browser:
            webbrowser.open(address)

    serve(store, *others, port=port, ready=ready)
    say("viewer ended")

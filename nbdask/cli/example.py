"""``nbdask example``: a bundled crystal, simulated and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.options import run_options
from nbdask.cli.progress import ProgressLine
from nbdask.cli.running import run_keywords, say_result
from nbdask.files import check_target
from nbdask.fill.target import Target
from nbdask.flags import parse_args
from nbdask.store.address import place_of


@click.command(name="example", cls=GroupedCommand)
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the crystals.")
@click.option(
    "--out",
    default="nbdask-example",
    show_default=True,
    metavar="FOLDER",
    help="Where amplitude list, command line, store and picture go.",
)
@click.option("--png", metavar="FILE", help="The picture [default: NAME.png in the folder].")
@click.option("--overwrite", is_flag=True, help="Replace the store of an earlier run.")
@run_options
def command(name: str | None, listing: bool, out: str, png: str | None, **options: Any) -> None:
    """Simulate the bundled crystal NAME and draw its image."""
    from nbdask.example import write
    from nbdask.run import simulate
    from nbdask.view.picture import preview
    from nbdask.view.style import Style

    if listing:
        click.echo("\n".join(write.crystals()))
        return

    chosen = name or write.DEFAULT
    folder = Path(out)
    store = folder / f"{chosen}.zarr"
    drawn = Path(png) if png else store.with_suffix(".png")
    # Its own folder may be yet to be made.
    if drawn.parent != folder or folder.is_dir():
        check_target(drawn, "--png" if png else "--out", click.UsageError, overwrite=True)
    if drawn.suffix.lower() != ".png":
        raise click.UsageError(f"--png {png}: the name must end in .png")
    _check(write.example_argv(chosen, out), store, options)
    argv = write.write_example(chosen, out)
    parsed = parse_args(argv)
    result = simulate(
        parsed.experiment,
        store,
        **run_keywords(options),
        overwrite=options["overwrite"],
        command=["nbdask", "simulate", *argv],
        listeners=[ProgressLine(options["quiet"])],
        notes=parsed.notes,
        progress=False,
    )
    # Each of the 512 pixels is two of the picture wide: none looks wider than its neighbours.
    preview(result.path, drawn, style=Style(rings=True, size=1024), overwrite=True)
    if not options["quiet"]:
        say_result(result)
        click.echo(f"{drawn}: the picture; {folder / 'command.txt'}: the command line")


def _check(argv: list[str], store: Path, options: dict[str, Any]) -> None:
    """Refuse what the run would refuse, before its amplitude list is written."""
    from nbdask.prepare import Settings, prepare

    like = parse_args(["-default_F", "1", *argv[2:]])
    prepare(like.experiment, Settings(**run_keywords(options)))
    if store.parent.exists():
        Target(place_of(store), options["overwrite"]).check()

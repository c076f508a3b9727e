"""``nbdask fit``: numbers of an experiment refined against an image."""

from __future__ import annotations

import json
from typing import Any

import click
import numpy as np

from nbdask.cli.argv import ARGV, FlagCommand
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.options import experiment_options, parse_flags
from nbdask.cli.outputs import check_distinct, inputs_of
from nbdask.cli.running import say, say_notes
from nbdask.errors import InputError, InputFileError
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.flags import from_toml, to_toml

_EPILOG = """\b
Example: nbdask fit noisy.zarr --refine crystal.turn,crystal.cell --out found.toml
Example: nbdask fit data.npy -mat A.mat -hkl P1.hkl -N 20 --refine crystal.turn"""


class _FitCommand(FlagCommand):
    """DATA first, then nanoBragg flags."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show what comes where."""
        return ["DATA [NANOBRAGG FLAGS] [OPTIONS]"]


@click.command(name="fit", cls=_FitCommand, epilog=_EPILOG)
@click.option("--refine", metavar="NAMES", help="Parameters: names that nbdask parameters lists.")
@click.option(
    "--config", metavar="FILE", help="TOML file of the experiment to start from, instead of flags."
)
@click.option(
    "--background-photons",
    type=Number(0.0),
    default=0.0,
    help="Photons per pixel that the model does not hold.",
)
@click.option("--readout", type=Number(0.0), default=0.0, help="Readout noise [photons].")
@click.option(
    "--robust", type=Number(0.1), help="Huber loss: residuals beyond so many sigma count linearly."
)
@click.option("--iterations", type=Whole(min=1), default=50, show_default=True, help="Most steps.")
@click.option("--out", metavar="FILE", help="Write the refined experiment as TOML.")
@click.option("--json", "json_file", metavar="FILE", help="Write values, covariance, losses.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--quiet", is_flag=True, help="Print the table alone.")
@click.option(
    "--semantics", type=click.Choice(["spec", "c"]), help="spec [default] or c, as for simulate."
)
@experiment_options("With nanoBragg flags: ")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Refine numbers of an experiment so that its image becomes that of DATA.

    DATA is a store or a .npy file of photons, NaN where there are none.  Without flags and
    --config the store's own experiment is what the fit starts from.  The exit code is 1 where the
    fit did not converge.
    """
    from nbdask.gradients.fit import fit

    argv = list(ctx.meta[ARGV])
    if not argv or argv[0].startswith("-"):
        raise click.UsageError("DATA is missing: name a store or a .npy file first")
    if options["refine"] is None:
        raise click.UsageError("--refine is missing: such as --refine crystal.turn,crystal.cell")
    path, flags = argv[0], argv[1:]
    experiment, notes = _experiment(path, flags, options)
    targets = {"--out": options["out"], "--json": options["json_file"]}
    check_distinct(targets, (path, options["config"], *inputs_of(experiment)))
    for flag, target in targets.items():
        if target is not None:
            check_target(target, flag, InputError, overwrite=options["overwrite"])
    say_notes(notes)
    result = fit(
        experiment,
        _data(path),
        options["refine"],
        background=options["background_photons"],
        readout=options["readout"],
        robust=options["robust"],
        iterations=options["iterations"],
        report=None if options["quiet"] else say,
    )
    click.echo(result.table())
    if options["out"] is not None:
        _write(options["out"], "--out", to_toml(result.experiment))
    if options["json_file"] is not None:
        _write(options["json_file"], "--json", json.dumps(result.to_dict(), indent=1) + "\n")
    return 0 if result.converged else 1


def _write(path: str, flag: str, text: str) -> None:
    with whole_file(path, flag, InputError) as fresh:
        fresh.write_bytes(text.encode())


def _experiment(
    path: str, flags: list[str], options: dict[str, Any]
) -> tuple[Experiment, tuple[str, ...]]:
    """Return where the fit starts, and notes."""
    if options["config"] is not None:
        if flags:
            raise click.UsageError(f"--config describes the whole experiment: leave out {flags[0]}")
        return from_toml(options["config"]), ()
    if flags:
        parsed = parse_flags(flags, options)
        return parsed.experiment, parsed.notes
    if path.endswith(".npy"):
        raise click.UsageError(f"{path} holds no experiment: give nanoBragg flags or --config")
    from nbdask.store.reader import StoreReader

    return StoreReader(path).experiment, ()


def _data(path: str) -> Any:
    """Return the photons of a store, lazy, or of a file."""
    if path.endswith(".npy"):
        try:
            with np.errstate(over="ignore"):  # a size beyond all files is refused below
                found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputFileError(f"{path}: not a readable .npy file ({error})") from error
        if not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found):
            raise InputFileError(f"{path}: holds {found.dtype}: must be real numbers, photons")
        return found
    from nbdask.store.open import open_store

    return open_store(path)["image"]

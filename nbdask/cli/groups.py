"""The groups of options by which every command's ``--help`` is arranged: one table for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from nbdask.cli import logs

#: Group -> names of its options, as functions get them.  What stands in none is the command's own.
GROUPS: dict[str, tuple[str, ...]] = {
    "Input": ("config", "model", "reflections", "dmin", "geometry", "ignore_unknown"),
    "Amplitudes": (
        "energy", "fprime", "solvent", "column", "fill", "space_group", "method",
    ),
    "Geometry": (
        "clen", "distance_shift", "geometry_mask", "geometry_use", "geometry_shot",
        "pix0_vector_mm",
    ),
    "Output": (
        "out", "output", "png", "json_file", "html_file", "map_file", "overwrite", "resume",
        "pyramid", "shard", "noise", "planes", "gradient", "truth", "durability",
    ),
    "Experiment": (
        "semantics", "source_weights", "spectrum", "spectrum_seed", "background", "beamstop",
        "shadow", "diffuse_gamma", "diffuse_sigma", "diffuse_stencil", "diffuse_laue",
        "diffuse_scale", "mosaic_model", "domains", "cells_matrix", "shape", "centring", "b_factor",
        "scale", "crystals", "mosaic", "cutoff",
    ),
    "Series": ("shots", "orientations", "scan", "cells", "vary", "spectra", "shot_seed"),
    "Noise": (
        "seed", "frame", "flicker", "pixel_flicker", "no_poisson", "noise_rng", "psf_gauss",
        "psf_fibre", "psf_radius", "calibration", "calibration_seed", "gain", "gain_map", "readout",
        "offset", "integers", "saturation", "pipeline", "keep_float",
    ),
    "Computing": (
        "backend", "precision", "tile", "steps_per_task", "memory_limit", "same_bits",
        "compression", "dtype",
    ),
    "Cluster": (
        "cluster", "profile", "workers", "threads", "memory", "walltime", "queue", "account",
        "job_extra", "adapt", "processes", "wait",
    ),
    "Looking": ("dry_run", "as_json", "log", "quiet", "verbose", "log_file"),
}  # fmt: skip
#: What ``--help-GROUP`` says of the groups that may be left out of ``--help``.
ABOUT = {
    "Amplitudes": "How amplitudes follow from a model or reflections.",
    "Geometry": "What is taken of a geometry file, and where the detector is.",
    "Experiment": "What nanoBragg's flags cannot say of beam, crystal and sample.",
    "Series": "Many images in one run, and what varies between them.",
    "Noise": "Photon noise and detector effects.",
    "Cluster": "Where tasks run.",
}
#: Groups that a command's help leaves to ``--help-GROUP``, unless the command says otherwise.
BEHIND = ("Amplitudes", "Geometry", "Experiment", "Series", "Noise", "Cluster")
#: A group of no more options than this is always shown.
_FEW = 3
#: The nanoBragg flags that a first simulation needs.
FIRST = (
    "-mat", "-cell", "-hkl", "-default_F", "-N", "-lambda", "-distance", "-detpixels", "-pixel",
)  # fmt: skip
#: Those of nbdask's own that stand among them instead of in their group, behind ``-hkl``.
FIRST_OWN = (
    ("--model FILE", "amplitudes of atoms (PDB, mmCIF), to --dmin"),
    ("--reflections FILE", "amplitudes of a file: MTZ, mmCIF, SHELX"),
)
#: Beginning of the keys of ``click.Context.meta`` for what is said, and where.
_META = "nbdask.log."
_HYPHEN = "\u2011"


class Formatter(click.HelpFormatter):
    """Writes help in which no option is broken at its hyphens."""

    def write(self, string: str) -> None:
        """Write a text with plain hyphens."""
        super().write(string.replace(_HYPHEN, "-"))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms and what they mean; lines break at blanks alone."""
        kept = [(term, text.replace("-", _HYPHEN)) for term, text in rows]
        super().write_dl(kept, col_max, col_spacing)


class GroupContext(click.Context):
    """A context whose help does not break options."""

    formatter_class = Formatter


class GroupedCommand(click.Command):
    """A command whose help stands in groups.

    Parameters
    ----------
    behind : tuple of str
        Groups that ``--help`` only names, and ``--help-GROUP`` shows.
    own : tuple of str
        Options that mean something of their own here, and stand in no group.
    first : bool
        Whether the help begins with what a first simulation needs.
    """

    context_class = GroupContext
    #: Whether nanoBragg's flags may be given.
    takes_flags = False

    def __init__(
        self,
        *args: Any,
        behind: Sequence[str] = BEHIND,
        own: Sequence[str] = (),
        first: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.params += _log_options({param.name for param in self.params})
        self._first, self._own = first, own
        self._left = [name for name in behind if len(self.grouped().get(name, ())) > _FEW]

    def invoke(self, ctx: click.Context) -> Any:
        """Run, with the loggers as they were asked for."""
        quiet = bool(ctx.params.get("quiet") or ctx.meta.get(_META + "quiet"))
        logs.begin(ctx.meta.get(_META + "verbose", 0), ctx.meta.get(_META + "log_file"), quiet)
        return super().invoke(ctx)

    def grouped(self) -> dict[str, list[click.Option]]:
        """Return the options by group; the command's own under ``"Options"``, first."""
        found: dict[str, list[click.Option]] = {"Options": []}
        for param in self.params:
            if isinstance(param, click.Option):
                title = "Options" if param.name in self._own else _group_of(param.name)
                found.setdefault(title, []).append(param)
        return {title: found[title] for title in ("Options", *GROUPS) if found.get(title)}

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options, and those that show a part of the help."""
        return [*super().get_params(ctx), *self.part_options()]

    def part_options(self) -> list[click.Option]:
        """Return ``--help-GROUP`` for each group that is left out, and ``--help-all``."""
        if not self._left:
            return []
        parts = {f"--help-{title.lower()}": [title] for title in self._left}
        parts["--help-all"] = list(self.grouped())
        return [self._part_option(flag, titles) for flag, titles in parts.items()]

    def _part_option(self, flag: str, titles: list[str]) -> click.Option:
        def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
            """Print the groups, and end."""
            if value:
                formatter = ctx.make_formatter()
                self.format_usage(ctx, formatter)
                for title in titles:
                    self._write(ctx, formatter, title)
                click.echo(formatter.getvalue().rstrip("\n"))
                ctx.exit()

        text = ABOUT.get(titles[0], "") if len(titles) == 1 else "Everything."
        names = ", ".join(param.opts[0] for t in titles for param in self.grouped()[t])
        return click.Option(
            [flag], is_flag=True, expose_value=False, is_eager=True, callback=show,
            help=f"{text}  {names}" if len(titles) == 1 else text,
        )  # fmt: skip

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups, and which of them are left out."""
        shown: tuple[str, ...] = ()
        if self._first:
            self._write_first(formatter)
            shown = tuple(usage.split()[0] for usage, _ in FIRST_OWN)
        for title in self.grouped():
            if title not in self._left:
                self._write(ctx, formatter, title, shown)
        rest: list[click.Parameter] = [*self.part_options()]
        helping = self.get_help_option(ctx)
        if helping is not None:
            rest.append(helping)
        with formatter.section("More help" if self._left else "Help"):
            formatter.write_dl(_records(rest, ctx))

    def _write(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
        title: str,
        without: Sequence[str] = (),
    ) -> None:
        """Write a group but for options that were shown already."""
        options = [param for param in self.grouped()[title] if param.opts[0] not in without]
        with formatter.section(title):
            formatter.write_dl(_records(options, ctx))

    def _write_first(self, formatter: click.HelpFormatter) -> None:
        """Write what a first simulation needs: nanoBragg's flags, and where the image goes."""
        from nbdask.flags.page import first_lines

        behind = FIRST.index("-hkl") + 1
        lines = [*first_lines(FIRST[:behind]), *FIRST_OWN, *first_lines(FIRST[behind:])]
        with formatter.section("First needed"):
            formatter.write_dl([*lines, ("--out run.zarr", "the zarr store to write")])


def _log_options(known: set[str | None]) -> list[click.Option]:
    """Return the options that every command has, but for --quiet where it has its own."""
    shared: list[tuple[list[str], dict[str, Any]]] = [
        (["--quiet"], {"is_flag": True, "help": "Print no notes, only what is asked for."}),
        (
            ["-v", "--verbose"],
            {"count": True, "help": "Say each step on standard error; -vv: every detail, timed."},
        ),
        (["--log-file"], {"metavar": "FILE", "help": "Append every detail to this file."}),
    ]
    made = [
        click.Option(names, expose_value=False, callback=_keep, **more) for names, more in shared
    ]
    return [option for option in made if option.name not in known]


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta[f"{_META}{param.name}"] = value


def _group_of(name: str | None) -> str:
    return next((title for title, names in GROUPS.items() if name in names), "Options")


def _records(params: Sequence[click.Parameter], ctx: click.Context) -> list[tuple[str, str]]:
    found = [param.get_help_record(ctx) for param in params]
    return [record for record in found if record is not None]

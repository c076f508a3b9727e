"""Pages of the web site that follow from the program: its commands, its Python interface.

mkdocs calls the functions ``on_...`` (``hooks`` in mkdocs.yml).
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from typing import Any

import click

import nbdask
from nbdask.cli.catalogue import commands, groups_of
from nbdask.cli.main import SUBCOMMANDS
from nbdask.cli.manual import EXIT_CODES

#: Page of the Python reference -> title, and the names or modules on it.
PYTHON = {
    "experiment": (
        "Experiments",
        (
            "Experiment", "Crystal", "StructureFactors", "Beam", "Detector", "DetectorPanel",
            "LabFrame", "Scan", "Sampling", "Sources", "SourcePoint", "Spread", "Background",
            "Material", "Diffuse", "from_args", "to_args", "from_toml", "to_toml", "read_geometry",
            "units", "NbdaskError",
        ),
    ),
    "images": (
        "Images and stores",
        (
            "image", "plan", "simulate", "SimulationResult", "open", "verify", "repair", "compare",
            "accessor.NbdaskAccessor",
        ),
    ),
    "series": (
        "Series and truth",
        (
            "Series", "series", "shots.Orientations", "shots.Grid", "shots.Distribution",
            "shots.Steps", "shots.Table", "shots.MeasuredSpectra", "shots.SaseSpectra",
            "ground_truth", "Truth",
        ),
    ),
    "output": (
        "Noise, files, pictures",
        ("noise", "derive.*", "assemble", "export", "preview", "view"),
    ),
    "gradients": (
        "Gradients and fits",
        (
            "gradient", "adjoint", "normal_equations", "NormalEquations", "Parameter", "Shot",
            "fit", "FitResult", "fit_joint", "JointResult", "read_shots", "torch", "jax",
        ),
    ),
}  # fmt: skip


def on_config(config: Any) -> Any:
    """Name the version on every page."""
    config.copyright = f"nbdask {nbdask.__version__}"
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for path, text in pages():
        files.append(File.generated(config, f"docs/reference/{path}", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Keep what may be left out, such as [beta], from being taken for a link."""
    if page.file.src_uri == "docs/flags.md":
        return re.sub(r"\[(\w+)\](?!\()", r"\\[\1\\]", markdown)
    return markdown


def pages() -> Iterator[tuple[str, str]]:
    """Yield path, below docs/reference, and text of each page."""
    yield "commands.md", commands_page()
    for name in PYTHON:
        yield f"python-{name}.md", python_page(name)


def commands_page() -> str:
    """Return all commands with their options, from the tables that make the help."""
    lines = [
        "# Commands",
        "",
        "`nbdask COMMAND --help` shows the same, `nbdask manual` all of it as a manual page."
        " Commands whose first line has NANOBRAGG FLAGS take [these](../flags.md) too.",
    ]
    lines += _lengths()
    for name, text, command in commands(SUBCOMMANDS):
        lines += _command(name, text, command)
    lines += ["", "## Exit codes", "", "| code | means |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*lines, "", "[More](../exit-codes.md).", ""])


def _lengths() -> list[str]:
    """Return the table of how long the help of each command is, and of its groups."""
    lines = [
        "",
        "## Length of the help",
        "",
        "Groups in brackets are left to `--help-GROUP`.",
        "",
        "| command | lines of `--help` | groups |",
        "|---|---|---|",
    ]
    for name, _, command in commands(SUBCOMMANDS):
        text = command.get_help(_context(name, command))
        groups = [
            title if f"\n{title}:\n" in text else f"({title})" for title in groups_of(command)
        ]
        lines.append(f"| `{name}` | {len(text.splitlines())} | {', '.join(groups)} |")
    return lines


def _context(name: str, command: click.Command) -> click.Context:
    # click keeps a command's help option: it has to be the one of the command line.
    names = ["--help", "-h"]
    return click.Context(command, info_name=f"nbdask {name}", help_option_names=names)


def _command(name: str, text: str, command: click.Command) -> list[str]:
    """Return a command's section."""
    context = _context(name, command)
    usage = " ".join(command.collect_usage_pieces(context))
    said = inspect.cleandoc(command.help or text)
    lines = ["", f"## nbdask {name}", "", "```text", f"nbdask {name} {usage}", "```", ""]
    lines += [_plain(paragraph) for paragraph in re.split(r"(\n\s*\n)", said)]
    for group, options in groups_of(command).items():
        records = [option.get_help_record(context) for option in options]
        rows = [f"| `{r[0].replace('|', chr(92) + '|')}` | {_cell(r[1])} |" for r in records if r]
        lines += ["", f"**{group}**", "", "| option | does |", "|---|---|", *rows]
    return lines


def _plain(text: str) -> str:
    """Return a paragraph of help; what is set out in lines stays so."""
    if text.startswith("\b"):
        return f"```text\n{text.lstrip(chr(8)).strip(chr(10))}\n```"
    return _marked(text) if text.strip() else ""


def _cell(text: str) -> str:
    return _marked(" ".join(text.split())).replace("|", "\\|")


def _marked(text: str) -> str:
    """Return a text in which no character means anything to Markdown."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", text)


def python_page(page: str) -> str:
    """Return a page of the Python reference, which mkdocstrings fills."""
    title, names = PYTHON[page]
    lines = [f"# {title}", ""]
    for name in itertools.chain.from_iterable(map(_expanded, names)):
        lines += [f"## nbdask.{name}", "", f"::: {home(name)}", ""]
    return "\n".join(lines)


def _expanded(name: str) -> list[str]:
    """Return the names for which ``folder.*`` stands, or the name itself."""
    folder, star, _ = name.partition(".*")
    if not star:
        return [name]
    return [f"{folder}.{each}" for each in importlib.import_module(f"nbdask.{folder}").__all__]


def home(name: str) -> str:
    """Return where a public name is defined or imported from; nothing is loaded for it."""
    if name in ("export", "plan"):  # folders of the package that are functions too
        return {"export": "nbdask.export.formats.export", "plan": "nbdask.lazy.plan"}[name]
    return ".".join(nbdask._HOMES.get(name, ("nbdask", name)))

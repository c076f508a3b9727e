"""What README and docs show really runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import nbdask
from nbdask.cli.main import SUBCOMMANDS
from tests.helpers import STRICT

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [ROOT / "deploy" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a page in one language."""
    return [code for name, code in BLOCK.findall(page.read_text()) if name == language]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.parent == ROOT else [pytest.mark.long], id=page.name)
        for page in PAGES
        if blocks(page, "python") and page.parent.name != "tutorials"
    ],
)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    """All Python of a page, as one script, without a warning."""
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_links_lead_somewhere(page: Path) -> None:
    """Files that a page links to exist."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_commands_and_options_exist(page: Path) -> None:
    """Every `nbdask` command line of a page names a subcommand and options that there are."""
    from importlib import import_module

    wrong = []
    for code in blocks(page, ""):
        for line in code.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                if not command.strip().startswith("nbdask "):
                    continue
                words = shlex.split(command)
                if words[1] not in SUBCOMMANDS:
                    wrong.append(command)
                    continue
                known = {
                    option
                    for param in import_module(f"nbdask.cli.{words[1]}").command.params
                    for option in param.opts
                }
                own = words[2 : words.index("--")] if "--" in words else words[2:]
                wrong += [w for w in own if w.startswith("--") and w not in known]
    assert wrong == []


#: The lists of files to touch: where names without a folder may lie.
LISTS = {
    ROOT / "CONTRIBUTING.md": tuple(
        f"nbdask/{name}" for name in ("experiment", "export", "cluster", "inputs", "physics")
    ),
    ROOT / "docs" / "kernels.md": ("nbdask/geometry", "nbdask/kernels"),
}


@pytest.mark.parametrize("page", LISTS, ids=lambda p: p.name)
def test_lists_name_files_that_exist(page: Path) -> None:
    """Whoever follows a how-to finds every file and folder that it names."""
    listed = page.read_text().split("## How to add")[-1].split("## A new crystal shape")[-1]
    listed = listed.split("\n## ")[0]
    named = re.findall(r"`([\w./]+(?:\.(?:py|h|cpp|md|toml)|/))`", listed)
    assert len(named) > 10
    folders = ("", "nbdask/cli", "nbdask/native/src", "nbdask/flags", *LISTS[page])
    # The package need not lie in this checkout.
    roots = (ROOT, Path(nbdask.__file__).parents[1])
    places = [root / folder for root in roots for folder in folders]
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert missing == []

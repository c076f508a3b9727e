"""What README and docs show really runs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest
import yaml  # type: ignore[import-untyped]

import nbdask
import nbdask.derive
from nbdask import shots
from nbdask.cli.catalogue import commands, options
from nbdask.cli.main import SUBCOMMANDS
from tests.helpers import STRICT
from tests.test_tutorials import script, type_in

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [ROOT / "deploy" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
#: Pages that are typed in as they stand: shell and Python, in order, in one folder.
TYPED = [*sorted((ROOT / "docs" / "coming-from").glob("*.md")), ROOT / "docs" / "how-long.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A block that needs PyTorch, which a test may have to do without.
_TORCH = re.compile(r"^(?:import|from) torch\b", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a page in one language."""
    return blocks_of(page.read_text(), language)


def blocks_of(text: str, language: str = "") -> list[str]:
    """Code blocks of a text in one language."""
    return [code for name, code in BLOCK.findall(text) if name == language]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.parent == ROOT else [pytest.mark.long], id=page.name)
        for page in PAGES
        if blocks(page, "python") and page.parent.name != "tutorials" and page not in TYPED
    ],
)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    """All Python of a page, as one script, without a warning; where there is PyTorch, its too."""
    torch = importlib.util.find_spec("torch") is not None
    script = "\n".join(code for code in blocks(page, "python") if torch or not _TORCH.search(code))
    if not entry_points(group="xarray.backends", name="nbdask"):  # a checkout, not installed
        engine = "__import__('nbdask.accessor').accessor.NbdaskBackend"
        script = script.replace('engine="nbdask"', f"engine={engine}")
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


@pytest.mark.long
@pytest.mark.parametrize("page", TYPED, ids=lambda p: p.name)
def test_page_can_be_typed_in(page: Path, tmp_path: Path) -> None:
    """Every shell and Python block runs; the blocks of other programs are left out."""
    type_in(script(os.path.relpath(page, ROOT / "docs" / "tutorials")), tmp_path)


@pytest.mark.long
def test_truth_is_found_again(tmp_path: Path) -> None:
    """Spots integrated by hand hold the photons that the truth tells, to counting noise."""
    printed = type_in(script("index-and-compare.md", STEPS="2"), tmp_path).splitlines()[-1]
    found = re.fullmatch(r"(\d+) spots, (\S+) of their photons, (\S+) times .*", printed)
    assert found is not None
    spots, share, spread = map(float, found.groups())
    assert spots > 20
    assert share == pytest.approx(1.0, abs=0.05)
    assert spread < 3.0


@pytest.mark.long
def test_use_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    """README's commands, after its example, make the picture that it shows."""
    text = (ROOT / "README.md").read_text()
    example = blocks_of(text.partition("## First picture")[2])[0].rpartition("&& ")[2]
    use = blocks_of(text.partition("## Use")[2])[0]
    script = f'nbdask() {{ "{sys.executable}" -m nbdask "$@"; }}\nset -e\n{example}{use}'
    script = script.replace("\npython -c", f'\n"{sys.executable}" -c')
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert (tmp_path / "run.png").stat().st_size > 10_000


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


def test_every_variable_is_on_the_page() -> None:
    """docs/environment.md names what the package reads, and nothing of ours besides."""
    package = Path(nbdask.__file__).parent
    sources = "\n".join(
        path.read_text() for path in [*package.rglob("*.py"), ROOT / "hatch_build.py"]
    )
    used = set(re.findall(r"\"(NBDASK_[A-Z_]+|NB_C_BIN|XDG_[A-Z_]+|AWS_[A-Z_]+)\"", sources))
    page = (ROOT / "docs" / "environment.md").read_text()
    named = set(re.findall(r"`((?:NBDASK|NB|XDG|AWS)_[A-Z_]+)`", page))
    others = {"AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    assert used - named <= others | {name for name in used if name.startswith("AWS_ENDPOINT")}
    assert {name for name in named if not name.startswith("AWS")} <= used


def nav_of(entry: object) -> list[str]:
    """Return the pages of a part of the site's navigation, in order."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in nav_of(part)]


def site() -> ModuleType:
    """Return the script that makes pages of the web site."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_navigation_has_every_page_once() -> None:
    """Those that are written, and those that are made; docs/index.md has the written ones too."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    pages = nav_of(config["nav"])
    assert len(pages) == len(set(pages))
    written = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    made = {f"docs/reference/{path}" for path, _ in site().pages()}
    assert written | made == {page for page in pages if page.startswith("docs/")}
    assert [page for page in pages if not ((ROOT / page).exists() or page in made)] == []
    index = (ROOT / "docs" / "index.md").read_text()
    listed = re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", index, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {f"docs/{page}" for page in listed if not page.startswith("..")} == written - {
        "docs/index.md"
    }


def test_reference_has_every_command_and_option() -> None:
    """As the help has them."""
    page = site().commands_page()
    for name, _, command in commands(SUBCOMMANDS):
        part = page.partition(f"## nbdask {name}\n")[2].partition("\n## ")[0]
        known = [word.names[0] for word in options(command)]
        known = [name for name in known if not name.startswith("--help")]
        assert [option for option in known if f"| `{option}" not in part] == []


def test_reference_tells_the_length_of_every_help() -> None:
    """Lines of --help and groups, those that are left to a word of their own in brackets."""
    rows = re.findall(r"^\| `([a-z]+)` \| ([0-9]+) \| (.*) \|$", site().commands_page(), re.M)
    assert [name for name, _, _ in rows] == list(SUBCOMMANDS)
    told = {name: (int(lines), groups) for name, lines, groups in rows}
    assert told["simulate"][0] > told["view"][0] > 10
    assert "(Noise)" in told["simulate"][1]
    assert "Looking" in told["info"][1]


def test_reference_has_every_public_name_once() -> None:
    """Of nbdask, and of its folders for shots and noise."""
    made = dict(site().pages())
    named = [
        name
        for path, text in made.items()
        if path.startswith("python-")
        for name in re.findall(r"^## nbdask\.(\S+)", text, re.MULTILINE)
    ]
    assert len(named) == len(set(named))
    assert set(nbdask.__all__) - {"__version__"} <= set(named)
    assert {f"derive.{name}" for name in nbdask.derive.__all__} <= set(named)
    assert {f"shots.{name}" for name in shots.__all__} - {"shots.Series"} <= set(named)


@pytest.mark.long
def test_site_is_built() -> None:
    """Every link leads somewhere, every docstring can be read."""
    for package in ("material", "mike", "mkdocs", "mkdocstrings"):
        pytest.importorskip(package)
    if not (ROOT / ".git").exists():
        pytest.skip("the pages are those that git knows")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(ROOT / ".ci" / "docs")],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (
        "nbdask.Crystal"
        in (ROOT / "build/site/docs/reference/python-experiment/index.html").read_text()
    )

"""The version of a build: with git, from an archive, with neither."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbdask import version as version_module
from nbdask.version import __version__, commit

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "hatch_version.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="no sources beside the tests")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git on the path")


def build(folder: Path) -> dict[str, Any]:
    """What the build finds out in a folder."""
    shutil.copy(SCRIPT, folder)
    return runpy.run_path(str(folder / SCRIPT.name))


def git(folder: Path, *words: str) -> str:
    """Run git, with an author of its own."""
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(folder), *author, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@needs_git
def test_versions_grow_with_each_commit(tmp_path: Path) -> None:
    """Their number and the commit; changes that are not committed are said."""
    git(tmp_path, "init", "-q")
    seen = []
    for number in (1, 2):
        (tmp_path / "a.txt").write_text(str(number))
        git(tmp_path, "add", "a.txt")
        git(tmp_path, "commit", "-q", "-m", "x")
        version, commit = build(tmp_path)["version_and_commit"]()
        assert commit == git(tmp_path, "rev-parse", "HEAD")
        assert version == f"0.1.0.dev{number}+g{commit[:7]}"
        seen.append(version)
    (tmp_path / "a.txt").write_text("changed")
    assert build(tmp_path)["version"]() == seen[-1] + ".changed"
    # A repository around an unpacked archive is none of ours.
    (tmp_path / "unpacked").mkdir()
    assert build(tmp_path / "unpacked")["version_and_commit"]() == ("0.1.0", None)


def test_archives_keep_their_commit(tmp_path: Path) -> None:
    """An sdist by the module that it carries, that of git archive by the hash filled in."""
    assert build(tmp_path)["version_and_commit"]() == ("0.1.0", None)
    (tmp_path / ".git_archival.txt").write_text("$Format:%H$\n")
    assert build(tmp_path)["version_and_commit"]() == ("0.1.0", None)
    (tmp_path / ".git_archival.txt").write_text("ab" * 20 + "\n")
    found = build(tmp_path)
    assert found["version_and_commit"]() == ("0.1.0.dev0+gabababa", "ab" * 20)
    (tmp_path / "nbdask").mkdir()
    kept = tmp_path / "nbdask" / "_build.py"
    kept.write_text(found["module_text"]().replace("dev0", "dev57"))
    assert build(tmp_path)["version_and_commit"]() == ("0.1.0.dev57+gabababa", "ab" * 20)


def test_the_command_says_version_and_commit() -> None:
    """Those of the build, or of the source tree."""
    done = subprocess.run(
        [sys.executable, "-m", "nbdask", "--version"], capture_output=True, text=True, check=True
    )
    told = f", commit {commit()}" if commit() else ""
    assert done.stdout == f"nbdask, version {__version__}{told}\n"
    assert re.match(r"0\.1\.0(\.dev\d+\+g[0-9a-f]{7})?", __version__)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("further", [False, True])
def test_the_commit_of_a_source_tree(
    packed: bool, further: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a clone, and of a further working tree of it; on a branch, packed or not, or on none."""
    tree, number = tmp_path / "tree", "ab" * 20
    (tree / "nbdask").mkdir(parents=True)
    common = tree / ".git"
    git = tmp_path / "repository" / "worktrees" / "tree" if further else common
    git.mkdir(parents=True)
    if further:
        common.write_text(f"gitdir: {git}\n")
        (git / "commondir").write_text("../..\n")
        common = tmp_path / "repository"
    monkeypatch.setattr(version_module, "COMMIT", None)
    monkeypatch.setattr(version_module, "__file__", str(tree / "nbdask" / "version.py"))
    assert commit() is None
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    if packed:
        (common / "packed-refs").write_text(f"# pack\n{number} refs/heads/main\n")
    else:
        (common / "refs" / "heads").mkdir(parents=True)
        (common / "refs" / "heads" / "main").write_text(number + "\n")
    assert commit() == number
    (git / "HEAD").write_text("cd" * 20 + "\n")
    assert commit() == "cd" * 20

"""What is printed cannot steer a terminal, and closed streams harm nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbdask.cli.crash import EXIT_CODE, report_crash
from nbdask.cli.streams import escaped, one_line

NBDASK = [sys.executable, "-m", "nbdask"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u03bb\t\n", "plain \u00e9 \u03bb\t\n"),
        ("\x1b[2J\r\x07", "\\x1b[2J\\r\\x07"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    """Those of terminals and of the direction of writing; letters stay."""
    assert escaped(text) == shown


def test_a_line_stays_one() -> None:
    """A newline in an attribute does not begin a line of its own."""
    assert one_line("a\nstatus complete") == "a\\nstatus complete"


def test_names_of_files_are_escaped(tmp_path: Path) -> None:
    """In errors, on either stream."""
    done = subprocess.run([*NBDASK, "info", "\x1b[2Jx"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert b"\\x1b[2Jx" in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """The command does its work; no file is opened in the place of a stream and written to."""
    script = f'exec "$@" {closed}'
    done = subprocess.run(["sh", "-c", script, "sh", *NBDASK, "flags"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_of_ours_is_one_line_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file holds the traceback and is this user's alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(LookupError) as caught:
        raise LookupError("first\nsecond")
    assert report_crash(caught.value, ["nbdask", "info"]) == EXIT_CODE == 70
    said = capsys.readouterr().err
    (path,) = tmp_path.iterdir()
    assert said == (
        "nbdask: error: an error of nbdask itself (LookupError: first second); please report it"
        f" with the file {path}\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in path.read_text()


def test_the_command_ends_so(tmp_path: Path) -> None:
    """Whatever is raised where nobody expects it."""
    script = (
        "import nbdask.cli.main as main\n"
        "def broken(*args, **keywords): raise KeyError('oops')\n"
        "main.main = broken\nmain.entry()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == EXIT_CODE
    assert done.stderr.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_without_words_in_a_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is reported all the same."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    here, reports = tmp_path / "here", tmp_path / "reports"
    here.mkdir()
    reports.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(reports))
    monkeypatch.chdir(here)
    here.rmdir()
    assert report_crash(Mute(), ["nbdask"]) == EXIT_CODE
    (path,) = reports.iterdir()
    assert f"please report it with the file {path}" in capsys.readouterr().err
    assert "a folder that is gone" in path.read_text()

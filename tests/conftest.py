"""What every test shares: markers that need something of the machine skip with a reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import leaks, s3server

# The same examples in every run: what passes once does not fail by chance.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.load_profile("steady")

# The tests start hundreds of processes: without this each would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell that runs the tests in the background makes them, and all that they start, deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _missing_gpu() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device: {error}"
    return None if count > 0 else "no CUDA device"


def _missing_slurm() -> str | None:
    return None if shutil.which("sbatch") else "sbatch is not on the path"


def _missing_c_binary() -> str | None:
    name = os.environ.get("NB_C_BIN")
    if not name:
        return "NB_C_BIN does not name a nanoBragg program"
    return None if os.access(name, os.X_OK) else f"NB_C_BIN = {name}: not an executable file"


def chromium() -> str | None:
    """Return the path of the Chromium program, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def _missing_browser() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return None if chromium() else "chromium is not on the path"


def golden_folder() -> Path | None:
    """Return the folder of the full set of reference images, or None.

    ``NBDASK_GOLDEN`` names it; without the variable, a folder ``shared/golden`` beside the
    checkout is taken.
    """
    named = os.environ.get("NBDASK_GOLDEN")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "golden"
    return folder if (folder / "cases.json").is_file() else None


def _missing_golden() -> str | None:
    return None if golden_folder() else "NBDASK_GOLDEN does not name the reference images"


NEEDS = {
    "gpu": _missing_gpu,
    "s3": s3server.missing,
    "slurm": _missing_slurm,
    "c_binary": _missing_c_binary,
    "shared": _missing_golden,
    "browser": _missing_browser,
}


#: Files that come first: those whose tests mostly wait for others (daemons, time-outs), or that are
#: long, so that none of them is what all else has to wait for at the end.
FIRST = (
    "test_slurm",
    "test_links",
    "test_running",
    "test_kills",
    "test_s3",
    "test_mpi",
    "test_tutorials",
    "test_golden",
)


def _place(item: pytest.Item) -> int:
    """Return where an item's file stands among those that come first."""
    name = item.path.stem
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _is_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("long", "gpu"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the long suite."""
    parser.addoption(
        "--all",
        action="store_true",
        help="run the long suite too: every kernel, a GPU, Slurm, MPI, an S3 server, a browser,"
        " cut links, many kills",
    )


def pytest_xdist_auto_num_workers() -> int:
    """Return the processes of ``-n auto``: one per core, with 1 GiB of memory for each."""
    from nbdask.plan.machine import available_cores, total_memory

    return max(1, min(available_cores(), total_memory() >> 30, 8))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long suite out; put slow files first; skip what needs what this machine lacks."""
    if not config.getoption("--all"):
        long = [item for item in items if _is_long(item)]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not _is_long(item)]
    items.sort(key=_place)
    reasons: dict[str, str | None] = {}
    for item in items:
        for name, missing in NEEDS.items():
            if item.get_closest_marker(name) is None:
                continue
            if name not in reasons:
                reasons[name] = missing()
            reason = reasons[name]
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say that there is more."""
    if not config.getoption("--all"):
        terminalreporter.write_line("This was the quick suite; --all runs the long one too.")


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give temporary files a folder of this run's own, so that one left behind is seen.

    Its name is short, as the names of sockets have to be.
    """
    tmp_path_factory.getbasetemp()  # pytest's own folder stays where it is
    with (
        tempfile.TemporaryDirectory(prefix="nbt", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o711)  # a daemon that runs as another user has files in it
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(scope="module", autouse=True)
def module_leaves_nothing(temporary_folder: None) -> Iterator[None]:
    """Fail where the fixtures of a module leave processes, threads or files behind."""
    watch = leaks.Watch(keep=False)
    yield
    left = watch.left()
    leaks.owned_by_module.clear()
    assert not left, "left behind by the module: " + "; ".join(left)


@pytest.fixture(autouse=True)
def test_leaves_nothing(
    module_leaves_nothing: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fail a test that leaves processes, threads or files behind."""
    watch = leaks.Watch(request.node.nodeid)
    yield
    left = watch.left()
    assert not left, "left behind: " + "; ".join(left)


@pytest.fixture
def golden() -> Path:
    """Folder of the full set of reference images (for tests marked ``shared``)."""
    folder = golden_folder()
    assert folder is not None, "mark the test with pytest.mark.shared"
    return folder

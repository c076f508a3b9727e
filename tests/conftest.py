"""What every test shares: markers that need something of the machine skip with a reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests import s3server

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first; skip, with the reason, tests that need what this machine lacks."""
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


@pytest.fixture
def golden() -> Path:
    """Folder of the full set of reference images (for tests marked ``shared``)."""
    folder = golden_folder()
    assert folder is not None, "mark the test with pytest.mark.shared"
    return folder

"""DIALS, where it is installed, and nbdask in its Python."""

from __future__ import annotations

import os

import pytest

from tests.dials.program import Dials, find_dials
from tests.helpers import ROOT

#: Folder with zarr and what else nbdask needs in the Python of DIALS; such as .ci/dials makes.
PACKAGES = "NBDASK_DIALS_PACKAGES"


@pytest.fixture(scope="session")
def dials() -> Dials:
    """DIALS."""
    found = find_dials()
    if found is None:
        pytest.skip("DIALS is not installed (dials.version is not on the path)")
    return found


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH with which the Python of DIALS finds nbdask and its Format class."""
    packages = os.environ.get(PACKAGES)
    if packages is None:
        pytest.skip(f"{PACKAGES} does not name a folder of packages for the Python of DIALS")
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "nbdask-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbdask\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[dxtbx.format]\nFormatNbdask:Format = nbdask.export.dxtbx_format:FormatNbdask\n"
    )
    return os.pathsep.join([str(folder), str(ROOT), packages])

"""Files in which anything may be anything else give a sound detector, or an error of one line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbdask.errors import NbdaskError
from nbdask.panels.read import read_geometry
from tests.panels.samples import GEOM, XDS, XPARM_NEW, XPARM_OLD, expt, write_expt, write_nexus

EXAMPLES = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "1e400",
        "nan",
        "x",
        "/a/b",
        "1 2 3",
        "=",
        ";",
        "[",
        "{}",
        "null",
        "99999999999",
    ]
)


def try_to_read(path: Path) -> None:
    """Either a sound detector or one line."""
    try:
        found = read_geometry(path)
    except NbdaskError as error:
        lines = str(error).count("\n") + 1
    else:
        lines = 1
        for part in found.panels:
            assert np.all(np.isfinite(part.corners()))
            assert part.distance > 0.0
    assert lines == 1


@EXAMPLES
@given(which=st.sampled_from([GEOM, XDS, XPARM_OLD, XPARM_NEW.format(count=0)]), data=st.data())
def test_text_with_words_exchanged(tmp_path: Path, which: str, data: st.DataObject) -> None:
    """Any word of a text format may be anything."""
    words = which.split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(WORDS | st.text(max_size=5))
    path = tmp_path / "fuzz"
    path.write_text(" ".join(words), encoding="utf-8", errors="replace")
    try_to_read(path)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=4),
    st.dictionaries(st.text(max_size=3), PLAIN, max_size=2),
)


@EXAMPLES
@given(data=st.data())
def test_lists_with_values_exchanged(tmp_path: Path, data: st.DataObject) -> None:
    """Any value of an experiment list may be anything."""
    whole = copy.deepcopy(expt())
    at: Any = whole
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(at[key], dict | list) and at[key]) or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    try_to_read(write_expt(tmp_path / "fuzz.expt", whole))


@EXAMPLES
@given(data=st.data())
def test_nexus_with_fields_exchanged(tmp_path: Path, data: st.DataObject) -> None:
    """Any field or attribute of an NXmx file may be anything."""
    path = write_nexus(tmp_path / "fuzz.nxs")
    values = st.sampled_from(
        [0, -1, 1e300, float("nan"), "x", ".", "/entry", b"\xff", [1.0, 2.0], [], np.zeros((2, 2))]
    )
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = data.draw(st.sampled_from(sorted(names)))
        held = list(file[name].attrs)
        if held and data.draw(st.booleans()):
            file[name].attrs[data.draw(st.sampled_from(held))] = data.draw(values)
        else:
            del file[name]
            if data.draw(st.booleans()):
                file[name] = data.draw(values)
    try_to_read(path)

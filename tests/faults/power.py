"""A disk that forgets: what a power cut leaves of a folder, at any moment of a run.

The recorder stands between the program and the system.  A file's content is on the disk as it was
when it was last synced, a folder's names as they were when the folder was; all else may be there
or not.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Number of a file or folder -> names in it -> their numbers.
Names = dict[int, dict[str, int]]
_CALLS = ("replace", "rename", "link", "unlink", "mkdir", "fsync")


@dataclass(frozen=True)
class Moment:
    """What there is just after a call.

    Attributes
    ----------
    call : str
    names, synced : Names
        Of all folders: as a program sees them, and as they are on the disk.
    content : dict
        Number of a file -> bytes that are on the disk.
    """

    call: str
    names: Names
    synced: Names
    content: dict[int, bytes]


class Recorder:
    """Notes what each call leaves of a folder.

    Attributes
    ----------
    moments : list of Moment
    """

    def __init__(self, folder: Path, side: Path) -> None:
        self.folder, self.moments = folder, list[Moment]()
        self.root = folder.stat().st_ino
        #: A second name for each synced file, so that its number is not given to another.
        self.side = side
        self._synced: Names = {self.root: {}}
        self._content: dict[int, bytes] = {}
        self._lock = threading.RLock()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Stand between the program and the system."""
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, self._noted(name, getattr(os, name)))
            yield

    def _noted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*words: Any, **options: Any) -> Any:
            with self._lock:
                result = call(*words, **options)
                if name == "fsync":
                    self._sync(words[0])
                self.moments.append(
                    Moment(name, self._now(), dict(self._synced), dict(self._content))
                )
            return result

        return noted

    def _sync(self, handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        number = os.fstat(handle).st_ino
        if path.is_dir():
            self._synced[number] = _listed(path)
            return
        with open(path, "rb") as file:
            self._content[number] = file.read()
        if not (self.side / str(number)).exists():
            # Not through the patched call, which would note it.
            _LINK(path, self.side / str(number))

    def _now(self) -> Names:
        return {os.stat(here).st_ino: _listed(Path(here)) for here, _, _ in os.walk(self.folder)}


_LINK = os.link


def _listed(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}


def files(moment: Moment, root: int, names: Callable[[int], dict[str, int]]) -> dict[str, int]:
    """Return the path and number of every file, where folders hold what ``names`` says."""
    found: dict[str, int] = {}

    def walk(number: int, path: str) -> None:
        for name, inner in names(number).items():
            if inner in moment.names or inner in moment.synced:
                walk(inner, f"{path}{name}/")
            else:
                found[path + name] = inner

    walk(root, "")
    return found


def on_disk(moment: Moment, root: int) -> dict[str, bytes]:
    """Return the files that are on the disk for sure, with their content."""
    listed = files(moment, root, lambda number: moment.synced.get(number, {}))
    return {path: moment.content.get(number, b"") for path, number in listed.items()}


def restore(moment: Moment, root: int, folder: Path, seed: int | None) -> None:
    """Write what a power cut leaves.

    Parameters
    ----------
    moment : Moment
    root : int
        Number of the folder that was recorded.
    folder : Path
        Where to write.
    seed : int or None
        None: nothing that was not synced is there; else folders have, at random, their last
        synced names or the last of all.
    """
    draw = random.Random(seed)

    def names(number: int) -> dict[str, int]:
        if seed is not None and draw.random() < 0.7:
            return moment.names.get(number, {})
        return moment.synced.get(number, {})

    for path, number in files(moment, root, names).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(moment.content.get(number, b""))

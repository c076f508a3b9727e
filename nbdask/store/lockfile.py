"""The lock of a store in a folder, as a file beside it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbdask.files import Writer, sync
from nbdask.store.place import Seen, foreign

#: Longest text of a lock [bytes]; its file is opened without following links or waiting for pipes.
_LONGEST = 1 << 16
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class LocalLockFile:
    """A lock as a file, made with O_EXCL, which NFS and parallel file systems honour too."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def create(self, text: bytes) -> bool:
        """Write the file if there is none."""
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o644)
        except FileExistsError:
            return False
        try:
            with open(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            sync(self.path.parent)
        except OSError:
            # On a full disk: an empty lock would keep everybody out.
            self.delete()
            raise
        return True

    def read(self) -> Seen | None:
        """Return text and time stamp of the file; the stamp is compared, never interpreted.

        Raises
        ------
        StoreError
            A link, or no regular file.
        """
        try:
            handle = os.open(self.path, os.O_RDONLY | _PLAIN)
        except FileNotFoundError:
            return None
        except OSError as error:
            if self.path.is_symlink():
                raise foreign(self.name) from error
            raise
        try:
            found = os.fstat(handle)
            if self.path.is_symlink() or not stat.S_ISREG(found.st_mode):
                raise foreign(self.name)
            return Seen(os.read(handle, _LONGEST), str(found.st_mtime_ns))
        finally:
            os.close(handle)

    def renew(self, text: bytes) -> None:
        """Set the time stamp anew."""
        os.utime(self.path, follow_symlinks=os.utime not in os.supports_follow_symlinks)

    def replace(self, old: Seen, text: bytes) -> bool:
        """Put another file in its place if it is still the old one; of many who try, one succeeds.

        Only who holds the system's lock on a file beside it looks and writes.  That file may go
        once the text is another: who comes later sees that.
        """
        from filelock import FileLock, Timeout

        guard = self.path.with_name(f"{self.path.name}.guard")
        if guard.is_symlink():
            raise foreign(str(guard))
        try:
            with FileLock(guard, timeout=0):
                try:
                    return self._put(old, text)
                finally:
                    with suppress(OSError):
                        guard.unlink()
        except Timeout:
            return False

    def _put(self, old: Seen, text: bytes) -> bool:
        seen = self.read()
        if seen is None:
            return self.create(text)
        if seen.text != old.text:
            return False
        Writer(self.path.parent, durable=True).put(self.path.name, text)
        return True

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

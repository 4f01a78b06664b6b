"""Files that one process at a time may use."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calais.win.codes import Code
from calais.win.errors import AccessDenied, SharingViolation, WinError

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.02

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """A lock that lives in a file beside the thing it protects; a process that dies gives it back.

    Args:
        path: the file; it is made when it is missing, mode 0600, and never deleted.
        what: what it protects, for the error.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what
        self._descriptor = -1

    def take(self, timeout_s: float) -> None:
        """Wait for the lock.

        Raises:
            SharingViolation: another process kept it longer than ``timeout_s`` seconds.
            AccessDenied: the file may not be opened.
        """
        descriptor = self._open()
        deadline, pause = time.monotonic() + timeout_s, FIRST_PAUSE_S
        while True:
            try:
                _lock(descriptor)
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise SharingViolation(detail=f"{self._what} is in use; gave up after {timeout_s:.1f} s") from None
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self._descriptor = descriptor
                return

    def give(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _unlock(descriptor)
            os.close(descriptor)

    def read(self) -> bytes:
        """What the holder before us left in the file; for the holder."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, 256)

    def write(self, note: bytes) -> None:
        """Leave a note for the next holder."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.truncate(self._descriptor, 0)
        os.write(self._descriptor, note)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except PermissionError as error:
            detail = f"{self._what}: {self.path} may not be opened"
            raise AccessDenied(detail=detail, next_step="set CALAIS_HOME to a place that you may write") from error
        except OSError as error:
            raise WinError.of(Code.SCARD_F_INTERNAL_ERROR, f"{self._what}: {error}") from error

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock for the length of the ``with`` block."""
        self.take(timeout_s)
        try:
            yield
        finally:
            self.give()

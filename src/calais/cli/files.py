"""Files that a command reads and writes: whole or not at all, and ``-`` for the standard streams."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

STANDARD = Path("-")


def write_whole(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write ``data`` beside ``path`` and put it in its place: a full disk leaves what was there.

    Args:
        path: the file; ``-`` is the standard output; a device or pipe is written to as it is.
        data: the content.
        private: only this user may read it.

    Raises:
        OSError: nothing was changed.
    """
    if path == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    handle, beside = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, 0o600 if private else 0o666 & ~_umask())  # noqa: PTH101 - mkstemp gives a string
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """The bytes of ``path``; ``-`` is the standard input."""
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    with path.open("rb") as stream:
        yield stream

"""Files of certificates: by path, or one that the program has open.

Sources: CertOpenStore (CERT_STORE_PROV_FILE, CERT_STORE_PROV_FILENAME); CertSaveStore.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from calais.store.formats import pkcs7, serialized, sniffing
from calais.store.formats.items import Item
from calais.store.formats.sniffing import Contents, Format
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, BadParameter, WinError
from calais.win.flags import (
    CERT_FILE_STORE_COMMIT_ENABLE_FLAG,
    CERT_STORE_CREATE_NEW_FLAG,
    CERT_STORE_OPEN_EXISTING_FLAG,
    CERT_STORE_READONLY_FLAG,
)

PKCS7_SUFFIXES = (".p7b", ".p7c", ".spc")
_PIECE = 1 << 20
_BOTH = CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_CREATE_NEW_FLAG
_CODES = {
    errno.ENOENT: Code.ERROR_FILE_NOT_FOUND,
    errno.ENOTDIR: Code.ERROR_PATH_NOT_FOUND,
    errno.EEXIST: Code.ERROR_FILE_EXISTS,
    errno.EACCES: Code.E_ACCESSDENIED,
    errno.EPERM: Code.E_ACCESSDENIED,
    errno.EROFS: Code.E_ACCESSDENIED,
    errno.EISDIR: Code.E_ACCESSDENIED,
    errno.ENAMETOOLONG: Code.ERROR_INVALID_NAME,
    errno.ENOSPC: Code.ERROR_DISK_FULL,
    errno.EDQUOT: Code.ERROR_DISK_FULL,
    None: Code.E_ACCESSDENIED,  # a file object that cannot do what is asked of it
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """What the operating system says of a file, as ``WinError``."""
    try:
        yield
    except OSError as error:
        code = _CODES.get(error.errno, Code.ERROR_IO_DEVICE)
        raise WinError.of(code, f"{what}: {error.strerror or error}.") from error
    except ValueError as error:
        raise WinError.of(Code.ERROR_INVALID_HANDLE, f"{what}: {error}.") from error


def check_flags(flags: int) -> None:
    """Flags that contradict each other.

    Raises:
        BadParameter: E_INVALIDARG.
    """
    if flags & _BOTH == _BOTH:
        raise BadParameter(Code.E_INVALIDARG, "A file cannot have to be there and not to be there.")
    if flags & CERT_FILE_STORE_COMMIT_ENABLE_FLAG and flags & CERT_STORE_READONLY_FLAG:
        raise BadParameter(Code.E_INVALIDARG, "What is read only is not written.")


# --- open files -------------------------------------------------------------------------------------------------------


class OpenFile:
    """A binary file object of the program: a serialized store, or empty. It stays open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self) -> list[Item]:
        """See ``sources.Keeper``; from the beginning, wherever the program left it."""
        with translated("The file cannot be read"):
            self._file.seek(0)
            data = _read_all(self._file, serialized.MAX_BYTES)
        return serialized.unpack_store(data) if data else []

    def write(self, items: Iterable[Item]) -> None:
        """See ``sources.Keeper``."""
        data = serialized.pack_store(items)
        with translated("The file cannot be written"):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(data)
            self._file.flush()

    def mark(self) -> Hashable:
        """See ``sources.Keeper``."""
        with suppress(OSError, ValueError, AttributeError):
            facts = os.fstat(self._file.fileno())
            return facts.st_mtime_ns, facts.st_size
        return None  # only the program itself can reach it


def write_to(file: Any, data: bytes) -> None:  # noqa: ANN401 - whatever the program takes for a file
    """Write all of ``data`` where the file object stands.

    Raises:
        BadParameter: ERROR_INVALID_HANDLE, no file object.
        WinError: what the operating system says.
    """
    write = getattr(file, "write", None)
    if write is None:
        raise BadParameter(Code.ERROR_INVALID_HANDLE, "An open binary file is needed.")
    with translated("The file cannot be written"):
        try:
            write(data)
            file.flush()
        except TypeError as error:
            raise BadParameter(Code.ERROR_INVALID_HANDLE, "The file is open for text.") from error


# --- files by path ----------------------------------------------------------------------------------------------------


class NamedFile:
    """A file that a store is written to; it keeps the format it had."""

    def __init__(self, path: Path, flags: int) -> None:
        self._path = path
        contents = open_contents(path, flags)
        if contents.format in (Format.CERTIFICATE, Format.CRL):
            detail = f"{path} holds {contents.format.value}; a store cannot be written in its place."
            raise AccessDenied(Code.E_ACCESSDENIED, detail)
        by_name = contents.format is Format.EMPTY and path.suffix.lower() in PKCS7_SUFFIXES
        self._is_pkcs7 = contents.format is Format.PKCS7 or by_name

    def read(self) -> list[Item]:
        """See ``sources.Keeper``."""
        return sniffing.sniff(read_path(self._path)).items

    def write(self, items: Iterable[Item]) -> None:
        """See ``sources.Keeper``; whoever reads it at that moment finds the old or the new."""
        pack = pkcs7.build_certificates if self._is_pkcs7 else serialized.pack_store
        write_path(self._path, pack(items))

    def mark(self) -> Hashable:
        """See ``sources.Keeper``."""
        return mark_of(self._path)


def mark_of(path: Path) -> Hashable:
    """Something that differs when the file was changed or replaced; ``None`` when it is not there."""
    with translated(f"{path} cannot be read"):
        try:
            facts = path.stat()
        except FileNotFoundError:
            return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def open_contents(path: Path, flags: int) -> Contents:
    """What is in the file; one that is not there is made where it can be written later.

    Raises:
        WinError: ERROR_FILE_EXISTS, ERROR_FILE_NOT_FOUND as ``flags`` say; what the operating system says; what
            ``sniffing.sniff`` says.
    """
    if flags & CERT_STORE_CREATE_NEW_FLAG:
        _make(path, os.O_EXCL)
    elif not flags & CERT_STORE_OPEN_EXISTING_FLAG and not path.exists():
        if not flags & CERT_FILE_STORE_COMMIT_ENABLE_FLAG:
            return Contents(Format.EMPTY, [])
        _make(path)
    return sniffing.sniff(read_path(path))


def _make(path: Path, more: int = 0) -> None:
    with translated(f"{path} cannot be made"):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | more, 0o666))


def path_of(value: object) -> Path:
    """The path that a program names.

    Raises:
        WinError: ERROR_PATH_NOT_FOUND, none; ERROR_INVALID_NAME.
        BadParameter: E_INVALIDARG, something else.
    """
    if value is None or value == "":
        raise WinError.of(Code.ERROR_PATH_NOT_FOUND, "The path is missing.")
    if not isinstance(value, (str, os.PathLike)):
        raise BadParameter(Code.E_INVALIDARG, f"A path is str or PathLike, not {type(value).__name__}.")
    path = os.fsdecode(value)
    if "\0" in path:
        raise WinError.of(Code.ERROR_INVALID_NAME, "A path has no NUL inside.")
    return Path(path)


def read_path(path: Path) -> bytes:
    """What is in a regular file, as far as a store of certificates can be long.

    Raises:
        WinError: what the operating system says; E_ACCESSDENIED, it is something else.
        BadData: ERROR_INVALID_DATA, it is too long.
    """
    with translated(f"{path} cannot be read"):
        if not stat.S_ISREG(path.stat().st_mode):
            raise AccessDenied(Code.E_ACCESSDENIED, f"{path} is no file.")
        with path.open("rb") as file:
            data = _read_all(file, sniffing.MAX_BYTES)
    if len(data) > sniffing.MAX_BYTES:
        raise BadData(Code.ERROR_INVALID_DATA, f"{path} is too large for certificates.")
    return data


def _read_all(file: BinaryIO, limit: int) -> bytes:
    """All there is, at most one byte more than ``limit``, without room made for what may not come."""
    pieces = []
    while limit >= 0 and (piece := file.read(min(_PIECE, limit + 1))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def write_path(path: Path, data: bytes, *, new_mode: int | None = None) -> None:
    """Put ``data`` there in one step, in place of what was; the mode of the file stays.

    Args:
        path: the file.
        data: all that is to be in it.
        new_mode: of a file that is made; by default as the user's mask wants it.

    Raises:
        WinError: what the operating system says; nothing changed.
    """
    target = path.resolve()
    with translated(f"{path} cannot be written"):
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        made = 0o666 & ~_umask() if new_mode is None else new_mode
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else made
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    """Asking for the mask means setting it; the kernel also tells."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    return 0o022


def delete_path(path: Path) -> None:
    """Take the file away.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND; what the operating system says.
    """
    with translated(f"{path} cannot be deleted"):
        path.unlink()

"""The master file: which directories and files a GIDS card has, and which data object of which EF holds each.

Byte 01, then records of 28 bytes: directory (9 bytes, NUL-padded), file (9; none = the record is the directory's own),
two zero bytes, tag of the data object and identifier of the EF, both 32-bit little-endian. The EF is the access
condition: all files in A010 are for everyone to read and for the user to write.

Source: Microsoft, "Windows inbox smart card minidriver" (contents of DF1F in A000 on a new card).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from calais.cards.gids import spec
from calais.minidriver.files import FileAccess
from calais.win.codes import Code
from calais.win.errors import BadData, WinError

_RECORD = struct.Struct(f"<{spec.MASTER_NAME_SIZE}s{spec.MASTER_NAME_SIZE}s2xII")
_ACCESS_OF_EF: dict[int, FileAccess] = {
    spec.FID_EVERYONE_READ_USER_WRITE: FileAccess.EVERYONE_READ_USER_WRITE,
    spec.FID_USER_WRITE_EXECUTE: FileAccess.USER_WRITE_EXECUTE,
    spec.FID_EVERYONE_READ_ADMIN_WRITE: FileAccess.EVERYONE_READ_ADMIN_WRITE,
    spec.FID_USER_READ_WRITE: FileAccess.USER_READ_WRITE,
    spec.FID_ADMIN_READ_WRITE: FileAccess.ADMIN_READ_WRITE,
}
_EF_OF_ACCESS = {access: ef for ef, access in _ACCESS_OF_EF.items()}
USER_CREATE_DELETE, ADMIN_CREATE_DELETE = 1, 2  # CARD_DIRECTORY_ACCESS_CONDITION
EF_OF_DIRECTORY_ACCESS = {
    USER_CREATE_DELETE: spec.FID_USER_CREATE_DELETE_DIR,
    ADMIN_CREATE_DELETE: spec.FID_EVERYONE_READ_ADMIN_WRITE,
}

# With its eighth bit the second byte of a tag says that a third follows (X.690, 8.1.2.4): DF80 is no tag.
TAG_FILE_LAST = min(spec.TAG_FILE_LAST, 0xDF7F)

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One record: ``directory`` and ``name`` as stored (``""`` = root; no name = a directory), data object ``tag``,
    file identifier ``ef``.
    """

    directory: str
    name: str
    tag: int
    ef: int

    @property
    def place(self) -> Place:
        """Where the content is: EF and tag."""
        return self.ef, self.tag

    @property
    def access(self) -> FileAccess:
        """The file's access condition; UNKNOWN for an EF of somebody else's making."""
        return _ACCESS_OF_EF.get(self.ef, FileAccess.UNKNOWN)

    def is_called(self, directory: str, name: str) -> bool:
        """Whether these are its names, whatever the case."""
        return (self.directory.lower(), self.name.lower()) == (directory.lower(), name.lower())


def parse(data: bytes) -> tuple[Entry, ...]:
    """The records, in order.

    Raises:
        BadData: another version, a piece of a record, a name that is not ASCII.
    """
    if data[:1] != bytes((spec.MASTER_VERSION,)):
        raise BadData(detail="the master file is of no version known here", index=0)
    whole, rest = divmod(len(data) - 1, spec.MASTER_RECORD_SIZE)
    if rest:
        raise BadData(detail=f"the master file ends with {rest} bytes of a record", index=len(data) - rest)
    starts = range(1, 1 + whole * spec.MASTER_RECORD_SIZE, spec.MASTER_RECORD_SIZE)
    return tuple(_parse_record(data, at) for at in starts)


def _parse_record(data: bytes, at: int) -> Entry:
    directory, name, tag, ef = _RECORD.unpack_from(data, at)
    return Entry(_name(directory, at), _name(name, at + spec.MASTER_NAME_SIZE), tag, ef)


def _name(field: bytes, at: int) -> str:
    name = field.split(b"\0", 1)[0]
    if not name.isascii():
        raise BadData(detail="the master file has a name that is not ASCII", index=at)
    return name.decode("ascii")


def build(entries: Iterable[Entry]) -> bytes:
    """The master file of ``entries``; names are those of the card's files, checked by the caller."""
    records = (
        _RECORD.pack(entry.directory.encode("ascii"), entry.name.encode("ascii"), entry.tag, entry.ef)
        for entry in entries
    )
    return bytes((spec.MASTER_VERSION,)) + b"".join(records)


def find(entries: Iterable[Entry], directory: str, name: str) -> Entry | None:
    """The record of a file, or with name ``""`` of a directory; the first one, should there be two."""
    return next((entry for entry in entries if entry.is_called(directory, name)), None)


def has_directory(entries: Iterable[Entry], directory: str) -> bool:
    """Whether there is such a directory; the root always is."""
    return not directory or find(entries, directory, "") is not None


def files_in(entries: Iterable[Entry], directory: str) -> list[Entry]:
    """The files of a directory, in order of creation."""
    return [entry for entry in entries if entry.name and entry.directory.lower() == directory.lower()]


def place_for(entries: Iterable[Entry], access: FileAccess) -> Place:
    """Where a new file with this access condition goes: the first data object of its EF that no record names.

    Raises:
        WinError: SCARD_E_WRITE_TOO_MANY, none is left.
    """
    ef = _EF_OF_ACCESS[access]
    taken = {entry.tag for entry in entries if entry.ef == ef} | {tag for place, tag in _RESERVED if place == ef}
    for tag in range(spec.TAG_FILE_FIRST, TAG_FILE_LAST + 1):
        if tag not in taken:
            return ef, tag
    raise WinError(Code.SCARD_E_WRITE_TOO_MANY, "the card has no room for another file")


_RESERVED = (spec.CARD_ID, spec.CARD_APPLICATIONS, spec.CARD_CACHE, spec.CONTAINER_MAP)

"""The stores of a machine: one serialized store in a file for each, under a folder that everybody may read.

Who may write there is the file system's answer. A change is decided on what the file holds at that moment, under a
lock, and the file is replaced in one step. Source: "System Store Locations" in Microsoft's documentation.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from calais.store import files, filing
from calais.store.api import Backing, Database, Reading, Row, Settings, Writing
from calais.store.formats import serialized
from calais.store.formats.items import KINDS, Item
from calais.store.machine import ReadOnlyDatabase
from calais.store.memory import MemoryBacking, MemoryDatabase
from calais.win.flags import PropId

SUFFIX = ".sst"
NAME_SUFFIX = ".name"
LOCK = ".lock"
_ALL = serialized.MAX_ELEMENTS + 1
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644
_LONGEST = 200


def machine_database(folder: Path) -> Database:
    """The stores under ``folder``; for reading only, when this user may not write there."""
    database = FolderDatabase(folder)
    return database if _may_write(folder) else ReadOnlyDatabase(database)


def _may_write(folder: Path) -> bool:
    """Whether ``folder``, or the nearest of its parents that exists, takes new files."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    effective = os.access in os.supports_effective_ids
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=effective)


class FolderBacking:
    """The place of one store in a ``FolderDatabase``."""

    def __init__(self, database: FolderDatabase, location: int, name: str) -> None:
        self._database = database
        self._location = location
        self._name = name
        self._memory = database.memory.backing(location, name)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """See ``api.Backing``."""
        with self._database.memory.lock:
            self._refresh()
            with self._memory.reading() as look:
                yield look

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See ``api.Backing``."""
        with self._database.memory.lock, self._database.locked():
            path = self._refresh() or self._database.new_path(self._location, self._name)
            with self._memory.writing() as look:
                before = look.change()
                yield look
                if look.change() != before:
                    files.write_path(path, serialized.pack_store(_items(look)), new_mode=_FILE_MODE)
            self._database.marks[path] = files.mark_of(path)

    def _refresh(self) -> Path | None:
        """What others wrote, here too; the file, if there is one."""
        path = self._database.path(self._location, self._name)
        mark = None if path is None else files.mark_of(path)
        if path is None or mark is None:
            _become(self._memory, [])
            return None
        if self._database.marks.get(path) != mark:
            _become(self._memory, serialized.unpack_store(files.read_path(path)))
            self._database.marks[path] = mark
        return path


def _items(look: Reading) -> list[Item]:
    """Everything, in the order added."""
    rows = [row for kind in KINDS for row in reversed(look.rows(None, _ALL, kind=kind))]
    return [Item(row.kind, row.encoded, row.properties) for row in rows]


def _become(memory: MemoryBacking, items: list[Item]) -> None:
    """Make the rows those of ``items``; what is the same stays, with its place."""
    with memory.writing() as look:
        present = {_identity(row): row for kind in KINDS for row in look.rows(None, _ALL, kind=kind)}
        wanted = {_identity(item): item for item in items}
        for kind, identity in present.keys() - wanted.keys():
            look.remove(identity, kind)
        for key, item in wanted.items():
            row = present.get(key)
            if row is None or (row.encoded, _filed(row)) != (item.encoded, _filed(item)):
                look.put(item.encoded, item.properties, item.kind)


def _identity(item: Item | Row) -> tuple[int, bytes]:
    return item.kind, filing.identity(item.encoded, item.properties)


def _filed(item: Item | Row) -> dict[int, bytes]:
    """The properties as a database keeps them: with the identity."""
    return {**item.properties, PropId.SHA1_HASH: _identity(item)[1]}


class FolderDatabase:
    """Stores in files ``<folder>/<location>/<name>.sst``. Usable from several threads and by several processes.

    Args:
        folder: made, readable by everybody, by the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.memory = MemoryDatabase()
        self.marks: dict[Path, Hashable] = {}
        self._folder = folder

    def backing(self, location: int, name: str) -> Backing:
        """See ``api.Database``."""
        return FolderBacking(self, int(location), name)

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        found = self._folder.joinpath(str(int(location))).glob(f"*{SUFFIX}")
        return sorted(map(_name_of, found), key=str.casefold)

    def path(self, location: int, name: str) -> Path | None:
        """The file of this store, if there is one; names compare without case."""
        folded = name.casefold()
        known = next((each for each in self.names(location) if each.casefold() == folded), None)
        return None if known is None else self._path(location, known)

    def new_path(self, location: int, name: str) -> Path:
        """Where the file of a new store is made."""
        path = self._path(location, name)
        _make_folder(path.parent)
        if _name_of(path) != name:
            files.write_path(path.with_suffix(NAME_SUFFIX), name.encode("utf-8", "surrogatepass"), new_mode=_FILE_MODE)
        return path

    def _path(self, location: int, name: str) -> Path:
        """A name longer than a file's may be stands in a file beside it."""
        text = quote(name, safe=" ", errors="surrogatepass")
        if len(text) > _LONGEST:
            text = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / str(int(location)) / (text + SUFFIX)

    def create(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        with self.memory.lock, self.locked():
            if self.path(location, name) is not None:
                return False
            files.write_path(self.new_path(location, name), serialized.pack_store([]), new_mode=_FILE_MODE)
            return True

    def drop(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        with self.memory.lock, self.locked():
            path = self.path(location, name)
            if path is None:
                return False
            files.delete_path(path)
            path.with_suffix(NAME_SUFFIX).unlink(missing_ok=True)
            self.marks.pop(path, None)
            self.memory.drop(location, name)
            return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile."""
        _make_folder(self._folder)
        with files.translated(f"{self._folder} cannot be written"):
            handle = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)

    def settings(self, location: int = 1) -> Settings:
        """See ``api.Database``: a machine keeps none here, only those of this process."""
        return self.memory.settings(location)

    def close(self) -> None:
        """See ``api.Database``."""


def _make_folder(folder: Path) -> None:
    """Make a folder that everybody may read, whatever the mask of who makes it."""
    with files.translated(f"{folder} cannot be made"):
        if not folder.is_dir():
            _make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            folder.chmod(_FOLDER_MODE)


def _name_of(path: Path) -> str:
    """The name of the store in a file."""
    beside = path.with_suffix(NAME_SUFFIX)
    return (
        beside.read_bytes().decode("utf-8", "surrogatepass")
        if beside.exists()
        else unquote(path.stem, errors="surrogatepass")
    )


def _lock(handle: int) -> None:
    """Wait for the lock of the file; closing it gives the lock back."""
    with suppress(ImportError):  # where there is no such lock, replacing in one step has to do
        import fcntl  # noqa: PLC0415 - not everywhere

        fcntl.flock(handle, fcntl.LOCK_EX)

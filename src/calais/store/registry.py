r"""Stores as the registry holds them: under a key, one value for each element.

``Certificates\<SHA-1, 40 hex digits>``, ``CRLs\…`` and ``CTLs\…`` hold serialized elements. A program's own mapping
stands for an open key; ``SystemStoreKey`` shows a system store as such a key.
Sources: CertOpenStore (CERT_STORE_PROV_REG, CERT_STORE_PROV_SYSTEM_REGISTRY); "System Store Locations".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from typing import Final

from calais.store import filing
from calais.store.api import CERTIFICATE, CRL, CTL, Backing, Index, Lookup, Row, insist
from calais.store.formats import serialized
from calais.store.formats.items import KINDS, Item
from calais.win.errors import WinError
from calais.win.flags import PropId

Key = MutableMapping[str, bytes]
PAGE: Final = 256
_FOLDERS: Final = {CERTIFICATE: "Certificates", CRL: "CRLs", CTL: "CTLs"}
_KINDS: Final = {folder.casefold(): kind for kind, folder in _FOLDERS.items()}


def name_of(item: Item) -> str:
    """Where an element is kept."""
    return f"{_FOLDERS[item.kind]}\\{filing.identity(item.encoded, item.properties).hex().upper()}"


def kind_of(name: object) -> int | None:
    """The kind of element that a value of this name holds; ``None``: it is none of ours."""
    if not isinstance(name, str):
        return None
    folder, backslash, _ = name.partition("\\")
    return _KINDS.get(folder.casefold()) if backslash else None


def _bytes(value: object) -> bytes | None:
    """A value of the registry; ``None`` for what is none."""
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else None


def read_value(name: str, value: object) -> Item | None:
    """The element in a value, with property 3 as it identifies it; ``None``: nobody can read it.

    A stored hash is believed, whatever the name says.
    """
    kind = kind_of(name)
    data = _bytes(value)
    if kind is None or data is None:
        return None
    try:
        item = serialized.unpack_element(data)
    except WinError:
        return None
    item.properties.setdefault(PropId.SHA1_HASH, filing.identity(item.encoded, item.properties))
    return item if item.kind == kind else None


class RegistryKey:
    """A mapping that a store is read from and written to. What nobody can read in it stays as it is."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._names: dict[str, list[str]] = {}

    def read(self) -> list[Item]:
        """See ``sources.Keeper``."""
        self._names = {}
        found: dict[str, Item] = {}
        for name, value in list(self._key.items()):
            item = read_value(name, value)
            if item is not None:
                self._names.setdefault(name_of(item), []).append(name)
                found[name_of(item)] = item
        return list(found.values())

    def write(self, items: Iterable[Item]) -> None:
        """See ``sources.Keeper``: of several equal ones the last is kept."""
        wanted = {name_of(item): serialized.pack_element(item) for item in items}
        for known, names in self._names.items():
            for name in names:
                if known not in wanted or name != known:
                    self._key.pop(name, None)
        for name, blob in wanted.items():
            if self._key.get(name) != blob:
                self._key[name] = blob
        self._names = {name: [name] for name in wanted}

    def mark(self) -> Hashable:
        """See ``sources.Keeper``."""
        return tuple((name, _bytes(value)) for name, value in list(self._key.items()))


def delete_entries(key: Key) -> None:
    """Take the elements out of a key that stays."""
    for name in [name for name in key if kind_of(name) is not None]:
        del key[name]


class SystemStoreKey(MutableMapping[str, bytes]):
    """A system store as the registry shows it. Every change is one transaction.

    A value that nobody can read leaves no trace: no store would show it.

    Args:
        backing: the place of the store.
    """

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def __getitem__(self, name: str) -> bytes:
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        return serialized.pack_element(_item(row))

    def __setitem__(self, name: str, value: bytes) -> None:
        item = read_value(name, value)
        if item is not None:
            insist(lambda: self._put(item))

    def _put(self, item: Item) -> None:
        with self._backing.writing() as look:
            look.put(item.encoded, item.properties, item.kind)

    def __delitem__(self, name: str) -> None:
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        insist(lambda: self._remove(row))

    def _remove(self, row: Row) -> None:
        with self._backing.writing() as look:
            look.remove(filing.identity(row.encoded, row.properties), row.kind)

    def __iter__(self) -> Iterator[str]:
        return iter([name_of(_item(row)) for kind in KINDS for row in self._rows(kind)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _row(self, name: object) -> Row | None:
        kind = kind_of(name)
        if kind is None or not isinstance(name, str):
            return None
        try:
            identity = bytes.fromhex(name.partition("\\")[2])
        except ValueError:
            return None
        with self._backing.reading() as look:
            rows = look.rows(None, 1, Lookup(Index.SHA1, filing.digest(identity)), kind)
        return rows[0] if rows else None

    def _rows(self, kind: int) -> list[Row]:
        """All of one kind, in the order they were added."""
        found: list[Row] = []
        with self._backing.reading() as look:
            while page := look.rows(found[-1].key if found else None, PAGE, kind=kind):
                found += page
        return found[::-1]


def _item(row: Row) -> Item:
    return Item(row.kind, row.encoded, row.properties)

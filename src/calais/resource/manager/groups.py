"""Reader groups and aliases: other names for readers, and names for several of them.

They are one record in the settings of the user, kind "readers". Every reader is in SCard$DefaultReaders unless it was
taken out of it.
Source: Microsoft, SCardIntroduceReader, SCardIntroduceReaderGroup, SCardAddReaderToGroup and their opposites.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from calais.store.api import Settings
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, ReaderUnavailable, WinError
from calais.win.flags import SCARD_ALL_READERS, SCARD_DEFAULT_READERS, SCARD_LOCAL_READERS, SCARD_SYSTEM_READERS

KIND, RECORD = "readers", "groups"
RESERVED = frozenset(
    str(each).casefold()
    for each in (SCARD_ALL_READERS, SCARD_DEFAULT_READERS, SCARD_LOCAL_READERS, SCARD_SYSTEM_READERS)
)
_ALL, _DEFAULT = SCARD_ALL_READERS.casefold(), SCARD_DEFAULT_READERS.casefold()


def same(one: str, other: str) -> bool:
    """Whether two names are the same."""
    return one.casefold() == other.casefold()


@dataclass(slots=True)
class _Book:
    """What is kept: readers by alias, members by group, and who was taken out of SCard$DefaultReaders."""

    aliases: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)

    def mentions(self, reader: str) -> bool:
        """Whether anything is kept about this name."""
        names = [*self.aliases, *self.out, *(name for members in self.groups.values() for name in members)]
        return any(same(name, reader) for name in names)

    def forget(self, reader: str) -> None:
        """Keep nothing about this name."""
        self.aliases = {name: device for name, device in self.aliases.items() if not same(name, reader)}
        self.out = _without(self.out, reader)
        for group in list(self.groups):
            self.leave(group, reader)

    def group(self, wanted: str) -> str | None:
        """The spelling of a group that exists."""
        return next((name for name in self.groups if same(name, wanted)), None)

    def join(self, group: str, reader: str) -> None:
        """Add a member."""
        members = self.groups.setdefault(self.group(group) or group, [])
        if not any(same(name, reader) for name in members):
            members.append(reader)

    def leave(self, group: str, reader: str) -> None:
        """Remove a member; with the last one, the group."""
        known = self.group(group)
        if known is not None:
            self.groups[known] = _without(self.groups[known], reader)
            if not self.groups[known]:
                del self.groups[known]


def _without(names: Sequence[str], name: str) -> list[str]:
    return [each for each in names if not same(each, name)]


class Groups:
    """The groups and aliases of one user.

    Args:
        settings: where they are kept.
        present: the names of the real readers that are there.
    """

    def __init__(self, settings: Callable[[], Settings], present: Callable[[], list[str]]) -> None:
        self._settings = settings
        self._present = present
        self._mutex = threading.RLock()
        self._arrived: list[str] = []

    # --- looking

    def resolve(self, name: str) -> tuple[str, str] | None:
        """The spelling of a known reader or alias, and the reader that it stands for; ``None`` = unknown."""
        for reader in self._present():
            if same(reader, name):
                return reader, reader
        for alias, device in self._load().aliases.items():
            if same(alias, name):
                return alias, device
        return None

    def list_readers(self, groups: Sequence[str] | None = None) -> list[str]:
        """The present readers, and aliases of present readers, in order of arrival.

        Args:
            groups: of these groups only; ``None`` = all.
        """
        with self._mutex:
            book = self._load()
            names = self._arrivals(book)
        if groups is None:
            return names
        wanted = {group.casefold() for group in groups}
        return [name for name in names if any(self._is_member(book, name, group) for group in wanted)]

    def _arrivals(self, book: _Book) -> list[str]:
        present = self._present()
        there = {reader.casefold() for reader in present}
        names = [*present, *(alias for alias, device in book.aliases.items() if device.casefold() in there)]
        known = [name for name in self._arrived if name in names]
        self._arrived = [*known, *(name for name in names if name not in known)]
        return list(self._arrived)

    @staticmethod
    def _is_member(book: _Book, reader: str, group: str) -> bool:
        if group == _ALL:
            return True
        if group == _DEFAULT:
            return not any(same(name, reader) for name in book.out)
        return any(same(name, reader) for name in book.groups.get(book.group(group) or "", ()))

    def list_groups(self) -> list[str]:
        """SCard$DefaultReaders, then the groups with a reader, sorted."""
        with self._mutex:
            book = self._load()
            there = {name.casefold() for name in self._arrivals(book)}
        used = [name for name, members in book.groups.items() if any(each.casefold() in there for each in members)]
        own = [name for name in used if name.casefold() not in RESERVED]
        return [str(SCARD_DEFAULT_READERS), *sorted(own, key=str.casefold)]

    # --- changing

    def introduce(self, alias: str, device: str) -> None:
        """Make an alias (SCardIntroduceReader).

        Raises:
            WinError: SCARD_E_DUPLICATE_READER, SCARD_E_UNKNOWN_READER.
        """
        with self._mutex:
            self.list_readers()
            if self.resolve(alias) is not None:
                raise WinError.of(Code.SCARD_E_DUPLICATE_READER, f"there is a reader {alias!r}")
            reader = self._known(device)[1]
            book = self._load()
            book.forget(alias)
            book.aliases[alias] = reader
            self._save(book)
            self._arrivals(book)

    def forget(self, reader: str) -> None:
        """Forget an alias (SCardForgetReader).

        Raises:
            BadParameter: a real reader that is there.
            ReaderUnavailable: SCARD_E_UNKNOWN_READER.
        """
        with self._mutex:
            if any(same(name, reader) for name in self._present()):
                raise BadParameter(detail=f"{reader!r} is a reader that is there, and no alias")
            book = self._load()
            if not book.mentions(reader):
                raise _unknown(reader)
            book.forget(reader)
            self._save(book)

    def check_group(self, group: str) -> None:
        """A group that users may make.

        Raises:
            BadParameter: one of the four that always exist.
        """
        if group.casefold() in RESERVED:
            raise BadParameter(detail=f"{group} always exists")

    def forget_group(self, group: str) -> None:
        """Drop its memberships (SCardForgetReaderGroup); raises as ``check_group``."""
        self.check_group(group)
        with self._mutex:
            book = self._load()
            if (known := book.group(group)) is not None:
                del book.groups[known]
                self._save(book)

    def add(self, reader: str, group: str) -> None:
        """Add a member (SCardAddReaderToGroup).

        Raises:
            ReaderUnavailable: SCARD_E_UNKNOWN_READER.
        """
        with self._mutex:
            name = self._known(reader)[0]
            book = self._load()
            if group.casefold() == _DEFAULT:
                book.out = _without(book.out, name)
            elif group.casefold() != _ALL:
                book.join(group, name)
            self._save(book)

    def remove(self, reader: str, group: str) -> None:
        """Remove a member (SCardRemoveReaderFromGroup); raises as ``add``."""
        with self._mutex:
            name = self._known(reader)[0]
            book = self._load()
            if group.casefold() == _DEFAULT:
                book.out = [*_without(book.out, name), name]
            else:
                book.leave(group, name)
            self._save(book)

    def _known(self, name: str) -> tuple[str, str]:
        found = self.resolve(name)
        if found is None:
            raise _unknown(name)
        return found

    # --- keeping

    def _load(self) -> _Book:
        raw = self._settings().get(KIND, RECORD)
        if raw is None:
            return _Book()
        try:
            return _Book(**json.loads(raw))
        except (ValueError, TypeError) as error:
            raise BadData(detail="the record of reader groups is damaged") from error

    def _save(self, book: _Book) -> None:
        record = {"aliases": book.aliases, "groups": book.groups, "out": book.out}
        self._settings().put(KIND, RECORD, json.dumps(record).encode())


def _unknown(name: str) -> ReaderUnavailable:
    return ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, f"there is no reader {name!r}")

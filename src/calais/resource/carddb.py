"""The card database: which card an ATR stands for, and which providers and driver it uses.

Entries are kept in the settings of the user, kind "card", one record each, in the order in which they were introduced.
Two entries are always there and have no ATR: the cards of the class driver, which are found by their application.

Source: Microsoft, "Smart card discovery process", SCardIntroduceCardType, SCardSetCardTypeProviderName.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from calais.cards.modules import CLASS_CARDS, CLASS_MODULE
from calais.iso7816.atr import Atr
from calais.store.api import Settings
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, BadParameter, NotFound, WinError
from calais.win.flags import (
    SCARD_PROVIDER_CARD_MODULE,
    SCARD_PROVIDER_CSP,
    SCARD_PROVIDER_KSP,
    SCARD_PROVIDER_PRIMARY,
)
from calais.win.structs import AtrMask

KIND = "card"
FIRST_VENDOR_ID = 0x80000000
BASE_CSP = "Microsoft Base Smart Card Crypto Provider"
CARD_KSP = "Microsoft Smart Card Key Storage Provider"
GUID_BYTES = 16
_GUID = re.compile(r"\{([0-9a-fA-F]{8})-([0-9a-fA-F]{4})-([0-9a-fA-F]{4})-([0-9a-fA-F]{4})-([0-9a-fA-F]{12})\}")


@dataclass(frozen=True, slots=True)
class CardEntry:
    """One card type.

    Attributes:
        name: what it is called; compared without case.
        atr: masked ATR, ``b""`` = found by name only.
        mask: as long as ``atr``.
        interfaces: GUIDs of 16 bytes, as introduced.
        providers: texts by provider id (SCARD_PROVIDER_*; PRIMARY as GUID text).
        built_in: it cannot be changed or deleted.
    """

    name: str
    atr: bytes = b""
    mask: bytes = b""
    interfaces: tuple[bytes, ...] = ()
    providers: dict[int, str] = field(default_factory=dict)
    built_in: bool = False

    def matches(self, atr: bytes) -> bool:
        """Whether a card with this ATR is one of these."""
        return bool(self.atr) and AtrMask(self.atr, self.mask).matches(atr)

    @property
    def module(self) -> str | None:
        """The module text, which selects the driver."""
        return self.providers.get(SCARD_PROVIDER_CARD_MODULE)

    def provider(self, number: int) -> str:
        """The text of a provider.

        Raises:
            NotFound: ERROR_FILE_NOT_FOUND, the card has none.
        """
        if number not in self.providers:
            raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"the card {self.name!r} has no provider {number:#x}")
        return self.providers[number]


def _class_entry(name: str) -> CardEntry:
    providers = {SCARD_PROVIDER_CSP: BASE_CSP, SCARD_PROVIDER_KSP: CARD_KSP, SCARD_PROVIDER_CARD_MODULE: CLASS_MODULE}
    return CardEntry(name, providers=providers, built_in=True)


CLASS_ENTRIES = tuple(map(_class_entry, CLASS_CARDS))


# --- values ----------------------------------------------------------------------------------------------------------


def guid_text(guid: bytes) -> str:
    """``"{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}"`` of 16 bytes in Windows' layout, upper-case."""
    first, second, third = (int.from_bytes(guid[a:b], "little") for a, b in ((0, 4), (4, 6), (6, 8)))
    return f"{{{first:08X}-{second:04X}-{third:04X}-{guid[8:10].hex()}-{guid[10:].hex()}}}".upper()


def guid_bytes(text: str) -> bytes:
    """The 16 bytes of such a text.

    Raises:
        BadParameter: it is none.
    """
    found = _GUID.fullmatch(text)
    if found is None:
        raise BadParameter(detail=f"{text!r} is no GUID")
    parts = [bytes.fromhex(part) for part in found.groups()]
    return parts[0][::-1] + parts[1][::-1] + parts[2][::-1] + parts[3] + parts[4]


def check_atr(atr: bytes, mask: bytes | None = None) -> None:
    """The ATR is one. Where a mask leaves bytes out, its check byte need not be right.

    Raises:
        BadParameter: it does not parse, or the mask has another length.
    """
    if mask is not None and len(mask) != len(atr):
        raise BadParameter(detail=f"the ATR has {len(atr)} bytes, its mask {len(mask)}")
    try:
        Atr.decode(atr)
    except BadData as error:
        if mask is None or mask == b"\xff" * len(mask) or not _would_parse(atr):
            raise BadParameter(detail=error.detail) from error


def _would_parse(atr: bytes) -> bool:
    """Whether it would parse with the right check byte."""
    check = 0
    for byte in atr[1:-1]:
        check ^= byte
    try:
        Atr.decode(atr[:-1] + bytes([check]))
    except BadData:
        return False
    return True


def masked(atr: bytes, mask: bytes) -> bytes:
    """``atr & mask``, byte by byte."""
    return bytes(a & m for a, m in zip(atr, mask, strict=True))


# --- the database ----------------------------------------------------------------------------------------------------


class EntriesNote:
    """A file beside the store that is there once the card database has entries: most users have none, and to open the
    store takes longer than to identify a card.

    Args:
        path: the file.
        is_open: whether the store is open anyway; then the note does not matter.
    """

    def __init__(self, path: Path, is_open: Callable[[], bool]) -> None:
        self._path = path
        self._is_open = is_open

    @property
    def says_none(self) -> bool:
        """Whether the store need not be opened to know that there are no entries."""
        return not self._is_open() and not self._path.exists()

    def take(self) -> None:
        """There are entries, or will be."""
        with suppress(OSError):  # a store on a full or read-only disk: the entries count once it is open
            if not self._path.exists():
                self._path.touch(mode=0o600)


class CardDatabase:
    """The card types of one user.

    Args:
        settings: where they are kept.
        note: tells without them whether there are any.
    """

    def __init__(self, settings: Callable[[], Settings], note: EntriesNote | None = None) -> None:
        self._settings = settings
        self._note = note
        self._mutex = threading.Lock()

    def entries(self) -> list[CardEntry]:
        """All entries: those of the class driver, then as they were introduced."""
        kept = self._settings().items(KIND)
        if kept and self._note is not None:
            self._note.take()
        return [*CLASS_ENTRIES, *map(_decode, kept.values())]

    @property
    def is_known_to_be_empty(self) -> bool:
        """Whether there is none but the class driver's, and that is known without opening a database."""
        return self._note is not None and self._note.says_none

    def matching(self, atr: bytes) -> list[CardEntry]:
        """The entries with this ATR, first introduced first."""
        return [entry for entry in self.entries() if entry.matches(atr)]

    def supporting(self, interfaces: Sequence[bytes]) -> list[CardEntry]:
        """The entries that have all of these interfaces."""
        return [entry for entry in self.entries() if set(interfaces) <= set(entry.interfaces)]

    def entry(self, name: str) -> CardEntry:
        """The entry of this name.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD.
        """
        found = self._find(name)
        if found is None:
            known = ", ".join(entry.name for entry in self.entries())
            raise WinError(Code.SCARD_E_UNKNOWN_CARD, f"there is no card {name!r}", next_step=f"there are: {known}")
        return found

    def _find(self, name: str) -> CardEntry | None:
        return next((entry for entry in self.entries() if entry.name.casefold() == name.casefold()), None)

    def module_of(self, name: str) -> str | None:
        """The module text of a card; ``None`` = no such card, or it has none."""
        found = self._find(name)
        return found.module if found else None

    def introduce(self, entry: CardEntry) -> None:
        """Add an entry; its ATR is kept masked.

        Raises:
            BadParameter: as ``check_atr``.
            WinError: ERROR_ALREADY_EXISTS.
        """
        if entry.atr or entry.mask:
            check_atr(entry.atr, entry.mask)
        with self._mutex:
            if self._find(entry.name) is not None:
                raise WinError.of(Code.ERROR_ALREADY_EXISTS, f"there is a card {entry.name!r}")
            self._save(replace(entry, atr=masked(entry.atr, entry.mask)))

    def forget(self, name: str) -> None:
        """Remove an entry.

        Raises:
            AccessDenied: ERROR_ACCESS_DENIED, it is always there.
            WinError: SCARD_E_UNKNOWN_CARD.
        """
        with self._mutex:
            entry = self._own(name)
            self._settings().delete(KIND, entry.name.casefold())

    def set_provider(self, name: str, number: int, text: str) -> None:
        """Set the text of a provider; errors as ``forget``, and BadParameter for a primary one that is no GUID."""
        if number == SCARD_PROVIDER_PRIMARY:
            text = guid_text(guid_bytes(text))
        with self._mutex:
            entry = self._own(name)
            self._save(replace(entry, providers={**entry.providers, number: text}))

    def _own(self, name: str) -> CardEntry:
        entry = self.entry(name)
        if entry.built_in:
            raise AccessDenied(Code.ERROR_ACCESS_DENIED, f"the card {entry.name!r} is always there")
        return entry

    def _save(self, entry: CardEntry) -> None:
        if self._note is not None:
            self._note.take()
        self._settings().put(KIND, entry.name.casefold(), _encode(entry))


def _encode(entry: CardEntry) -> bytes:
    record = {
        "name": entry.name,
        "atr": entry.atr.hex(),
        "mask": entry.mask.hex(),
        "interfaces": [each.hex() for each in entry.interfaces],
        "providers": {f"{number:08X}": text for number, text in entry.providers.items()},
    }
    return json.dumps(record).encode()


def _decode(raw: bytes) -> CardEntry:
    """The entry of a record.

    Raises:
        BadData: it is damaged.
    """
    try:
        record = json.loads(raw)
        return CardEntry(
            str(record["name"]),
            bytes.fromhex(record["atr"]),
            bytes.fromhex(record["mask"]),
            tuple(bytes.fromhex(each) for each in record["interfaces"]),
            {int(number, 16): str(text) for number, text in record["providers"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(detail=f"a record of the card database is damaged: {error}") from error

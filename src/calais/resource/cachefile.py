"""Saved memories of cards: one file for each card, which only this user's processes can have written.

A file is the line ``calais-cache 1``, 32 bytes HMAC-SHA-256, and JSON. The MAC is over the line, the file's name, and the
JSON, with the random key of this user and directory in ``cache.key`` (32 bytes, mode 0600). A file that another user
wrote, of another version, cut short, or changed, is not used, and a note says so. Files come by an atomic rename, so
any number of processes may save at once; the last one wins, and nothing that is read is half of each.

What is in them is public: objects that a card gives to everybody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calais.minidriver.memo import KeptCard, KeptObject

HEADER = b"calais-cache 1\n"
KEY_FILE, SUFFIX = "cache.key", ".memory"
KEY_SIZE = MAC_SIZE = 32
MAX_FILE = 16 << 20  # bytes; the limits of the cache are far below
NAME_DIGITS = 32
ATR_DIGITS = 16
NOTES_MAX = 50


class CacheFolder:
    """The saved memories of one user.

    Args:
        path: the directory; made, mode 0700, when something is saved.

    ``notes``: what was wrong with files that were not used. ``stuck``: those that could not be deleted, and why. Nothing
    here raises for what it finds there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.stuck: list[str] = []
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return f"<CacheFolder {str(self.path)!r}>"

    # --- reading ---

    def load(self, driver: str, mark: bytes, atr: bytes) -> KeptCard | None:
        """The saved memory of a card, ``None`` = there is none that can be used."""
        key = self._existing_key()
        if key is None:
            return None
        card = self._read(self.path / _file_name(key, driver, mark, atr), key)
        return card if card is not None and (card.driver, card.mark, card.atr) == (driver, mark, atr) else None

    def load_all(self) -> list[KeptCard]:
        """All saved memories that can be used, the oldest first."""
        key = self._existing_key()
        if key is None:
            return []
        found = [self._read(path, key) for path in self._files()]
        return [card for card in found if card is not None]

    def drivers_of(self, atr: bytes) -> set[str]:
        """The drivers of saved memories of cards with this ATR."""
        key = self._existing_key()
        if key is None:
            return set()
        start = _atr_name(key, atr)
        return {path.name.split("-")[1] for path in self._files() if path.name.startswith(start)}

    def _read(self, path: Path, key: bytes) -> KeptCard | None:
        try:
            raw = _owned_bytes(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(path, error.strerror or str(error))
            return None
        if not raw.startswith(HEADER):
            self._note(path, "it is of another version, or no saved memory at all")
            return None
        told, body = raw[len(HEADER) : len(HEADER) + MAC_SIZE], raw[len(HEADER) + MAC_SIZE :]
        if not hmac.compare_digest(told, _mac(key, path.name, body)):
            self._note(path, "it was not written by this user's programs, or was changed or cut short")
            return None
        try:
            return _decode(body)
        except (ValueError, KeyError, TypeError):
            self._note(path, "it cannot be read")
            return None

    def _note(self, path: Path, why: str) -> None:
        what = {KEY_FILE: "the key of the saved memories", self.path.name: "the folder of the saved memories"}
        note = f"{what.get(path.name, 'the saved memory')} {path.name} is not used: {why}"
        if note not in self.notes and len(self.notes) < NOTES_MAX:
            self.notes.append(note)

    def _files(self) -> list[Path]:
        """The files of saved memories, the oldest first."""
        with suppress(OSError):
            return [path for _, path in sorted(_times(self.path.glob(f"*{SUFFIX}")))]
        return []

    # --- writing ---

    def save(self, card: KeptCard) -> bool:
        """Save the memory of one card; whether that worked."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = self._existing_key() or self._new_key()
            name = _file_name(key, card.driver, card.mark, card.atr)
            body = _encode(card)
            _replace(self.path / name, HEADER + _mac(key, name, body) + body)
        except OSError as error:
            self._note(self.path, f"it cannot be written: {error.strerror or error}")
            return False
        return True

    def prune(self, cards: int, size: int) -> None:
        """Delete the oldest files, until there are no more than ``cards`` with no more than ``size`` bytes."""
        kept = total = 0
        for path in reversed(self._files()):
            with suppress(OSError):
                total += path.stat().st_size
                kept += 1
                if kept > cards or total > size * 2:  # base64 and names need room, too
                    path.unlink()

    def remove(self, driver: str, mark: bytes, atr: bytes) -> None:
        """Delete the saved memory of a card."""
        key = self._existing_key()
        if key is not None:
            self._delete(self.path / _file_name(key, driver, mark, atr))

    def clear(self) -> None:
        """Delete all saved memories, usable or not."""
        for path in self._files():
            self._delete(path)

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self.stuck.append(f"{path}: {error.strerror or error}")

    # --- the key ---

    def _existing_key(self) -> bytes | None:
        if self._key is None:
            path = self.path / KEY_FILE
            try:
                raw = _owned_bytes(path, private=True)
            except FileNotFoundError:
                return None
            except OSError as error:
                self._note(path, error.strerror or str(error))
                return None
            if len(raw) != KEY_SIZE:
                self._note(path, "the key is damaged")
                return None
            self._key = raw
        return self._key

    def _new_key(self) -> bytes:
        """Make the key; when another process has made one meanwhile, that one. One that cannot be used is replaced."""
        path = self.path / KEY_FILE
        _create(path, secrets.token_bytes(KEY_SIZE))
        made = self._existing_key()
        if made is None:
            _replace(path, secrets.token_bytes(KEY_SIZE))
            made = self._existing_key()
        if made is None:
            raise PermissionError(0, "the key of the saved memories cannot be used")
        return made


# --- names and bytes ---


def _mac(key: bytes, name: str, body: bytes) -> bytes:
    return hmac.digest(key, HEADER + name.encode() + b"\0" + body, hashlib.sha256)


def _atr_name(key: bytes, atr: bytes) -> str:
    return hmac.digest(key, b"atr" + atr, hashlib.sha256).hex()[:ATR_DIGITS] + "-"


def _file_name(key: bytes, driver: str, mark: bytes, atr: bytes) -> str:
    """The file of a card: it tells nothing about the card to others."""
    digits = hmac.digest(key, b"card" + driver.encode() + b"\0" + mark, hashlib.sha256).hex()[:NAME_DIGITS]
    return f"{_atr_name(key, atr)}{driver}-{digits}{SUFFIX}"


def _encode(card: KeptCard) -> bytes:
    return json.dumps(asdict(card), default=lambda value: base64.b64encode(value).decode()).encode()


def _decode(body: bytes) -> KeptCard:
    """The memory in a file whose MAC is right."""
    told: dict[str, Any] = json.loads(body)
    objects = tuple(
        KeptObject(
            str(item["name"]),
            None if item["content"] is None else base64.b64decode(item["content"]),
            int(item["length"]),
            base64.b64decode(item["counters"]),
            float(item["read_at"]),
            int(item["hits"]),
        )
        for item in told["objects"]
    )
    mark, card_id, atr = (base64.b64decode(told[name]) for name in ("mark", "card_id", "atr"))
    return KeptCard(str(told["driver"]), mark, card_id, str(told["label"]), atr, objects, bool(told["trusted"]))


# --- files ---


def _owned_bytes(path: Path, *, private: bool = False) -> bytes:
    """The content of a file of this user.

    Raises:
        OSError: it is another user's, no plain file, too long, or, with ``private``, open to others.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_FILE:
            raise PermissionError(0, "it is no plain file, or too long")
        if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to another user")
        if private and os.name == "posix" and facts.st_mode & 0o077:
            raise PermissionError(0, "others may read it")
        return stream.read()


def _times(paths: Iterator[Path]) -> Iterator[tuple[int, Path]]:
    for path in paths:
        with suppress(OSError):
            yield path.stat().st_mtime_ns, path


def _written(path: Path, content: bytes) -> Path:
    """A new private file beside ``path`` with ``content``."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _replace(path: Path, content: bytes) -> None:
    beside = _written(path, content)
    try:
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _create(path: Path, content: bytes) -> None:
    """Make ``path`` with ``content``, whole, unless it is there."""
    beside = _written(path, content)
    try:
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)

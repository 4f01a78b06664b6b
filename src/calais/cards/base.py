"""What every virtual card is made of: a memory that commits all or nothing, an applet, and the card around it.

Nothing here knows a command. Power may fail at any commit: a memory calls its ``cut`` hook at each instant where
that matters, and a test raises ``PowerLoss`` from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from calais.win.codes import Code
from calais.win.errors import BadData, CardRemoved, WinError

FILE_FORMAT = "calais.card"
FILE_VERSION = 1
FILE_MAX = 8 * 1024 * 1024
_NAME = re.compile(r"[a-z-]+(/[0-9A-F]{2,10})?")

T = TypeVar("T")
Cut = Callable[[int], None]


class PowerLoss(CardRemoved):
    """The card lost its power; until the next power-up it is silent."""


class MemoryFailure(WinError):
    """The memory could not be written; nothing of the change is there."""

    default_code = Code.SCARD_E_WRITE_TOO_MANY


class Memory(Protocol):
    """Named records of bytes that survive power loss.

    Names are lower-case words, optionally with a hexadecimal number: ``"pin"``, ``"object/5FC102"``.
    """

    def read(self) -> dict[str, bytes]:
        """All records, as last committed; empty for a new memory.

        Raises:
            BadData: what is stored is damaged; ``index`` says where.
        """

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Write ``changes`` (``None`` deletes), all or nothing, durably.

        Raises:
            MemoryFailure: nothing was written.
            PowerLoss: raised by the ``cut`` hook; either all or nothing was written.
        """


class _Cuttable:
    """Counts the instants at which power may fail and tells the hook."""

    def __init__(self, cut: Cut | None) -> None:
        self.cut = cut
        self.instants = 0

    def _instant(self) -> None:
        self.instants += 1
        if self.cut is not None:
            self.cut(self.instants)


class BytesMemory(_Cuttable):
    """A memory that lives as long as the object.

    Args:
        records: what is in it from the beginning.
        cut: called with a rising number just before and just after each commit takes effect.
    """

    def __init__(self, records: Mapping[str, bytes] | None = None, *, cut: Cut | None = None) -> None:
        super().__init__(cut)
        self._records = dict(records or {})

    def read(self) -> dict[str, bytes]:
        """All records, copied."""
        return dict(self._records)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Apply ``changes`` in one step."""
        self._instant()
        self._records = _merged(self._records, changes)
        self._instant()


class FileMemory(_Cuttable):
    """A memory in one file, replaced whole at each commit: written beside, synced, renamed, directory synced.

    The file is JSON: ``format``, ``version``, ``records`` (name → hexadecimal) and ``check``, the SHA-256 of the
    records; mode 0600, because it holds private keys. One process at a time may use it; the owner sees to that.

    Args:
        path: the file; it appears with the first commit.
        cut: called with a rising number before the new file is written, before it replaces the old one, and after.
    """

    def __init__(self, path: Path, *, cut: Cut | None = None) -> None:
        super().__init__(cut)
        self.path = Path(path)
        self._hex: dict[str, str] | None = None

    def read(self) -> dict[str, bytes]:
        """All records of the file as it is now; empty when there is no file.

        Raises:
            BadData: not such a file, or damaged.
            MemoryFailure: it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                raw = file.read(FILE_MAX + 1)
        except FileNotFoundError:
            raw = b""
        except OSError as error:
            raise MemoryFailure(detail=f"card file {self.path.name} cannot be read: {error.strerror}") from error
        records = parse_file(raw) if raw else {}
        self._hex = {name: value.hex() for name, value in records.items()}
        return records

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Replace the file.

        Raises:
            MemoryFailure: disk full, no permission …; the old file is untouched.
        """
        if self._hex is None:
            self.read()
        new = _merged(self._hex or {}, {n: None if v is None else v.hex() for n, v in changes.items()})
        self._instant()
        try:
            self._replace(build_file(new))
        except OSError as error:
            raise MemoryFailure(detail=f"card file {self.path.name} cannot be written: {error.strerror}") from error
        self._hex = new
        self._instant()

    def _replace(self, content: bytes) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._instant()
        beside.replace(self.path)
        _sync_directory(self.path.parent)


def _merged(old: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    new = dict(old)
    for name, value in changes.items():
        if value is None:
            new.pop(name, None)
        else:
            new[name] = value
    return new


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there; the rename is journalled by the file system
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(records: Mapping[str, str]) -> str:
    lines = "".join(f"{name}={records[name]}\n" for name in sorted(records))
    return hashlib.sha256(lines.encode()).hexdigest()


def build_file(records: Mapping[str, str]) -> bytes:
    """The content of a card file for ``records`` (name → lower-case hexadecimal)."""
    content = {"format": FILE_FORMAT, "version": FILE_VERSION, "records": records, "check": _check(records)}
    return json.dumps(content, indent=1).encode() + b"\n"


def parse_file(raw: bytes) -> dict[str, bytes]:
    """The records in the content of a card file.

    Raises:
        BadData: not JSON, another format or version, unknown or missing members, a damaged record; ``index`` is the
            byte offset in ``raw`` where it can be told.
    """
    content = _parse_json(raw)
    if not isinstance(content, dict) or set(content) != {"format", "version", "records", "check"}:
        raise BadData(detail="this file is not a card: format, version, records and check are due", index=0)
    if (content["format"], content["version"]) != (FILE_FORMAT, FILE_VERSION):
        raise BadData(detail=f"card file of format {content['format']!r}, version {content['version']!r}", index=0)
    records = content["records"]
    if not isinstance(records, dict):
        raise BadData(detail="the records of the card file are not an object", index=raw.find(b'"records"'))
    parsed = {name: _parse_record(raw, name, value) for name, value in records.items()}
    if content["check"] != _check(records):
        raise BadData(detail="the card file is damaged: its check sum does not match", index=raw.find(b'"check"'))
    return parsed


def _parse_json(raw: bytes) -> object:
    if len(raw) > FILE_MAX:
        raise BadData(detail=f"card file of more than {FILE_MAX} bytes", index=FILE_MAX)
    try:
        return json.loads(raw.decode("ascii"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise BadData(detail="the card file is not ASCII text", index=error.start) from error
    except json.JSONDecodeError as error:
        raise BadData(detail=f"the card file is not JSON: {error.msg}", index=error.pos) from error
    except RecursionError as error:
        raise BadData(detail="the card file is nested too deeply", index=0) from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise BadData(detail="the card file has a member twice")
    return result


def _parse_record(raw: bytes, name: str, value: object) -> bytes:
    where = raw.find(f'"{name}"'.encode())
    if not _NAME.fullmatch(name):
        raise BadData(detail="the card file has a record with an impossible name", index=where)
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9a-f]{2})*", value):
        raise BadData(detail=f"record {name} of the card file is not hexadecimal", index=where)
    return bytes.fromhex(value)


class Applet(Protocol):
    """The card side of an application, as a function of its memory: command APDU in, response APDU out."""

    @property
    def atr(self) -> bytes:
        """Answer to reset."""

    def process(self, apdu: bytes) -> bytes:
        """Answer one command APDU with data and status word; never raises for a bad command.

        Raises:
            PowerLoss: the power was cut in the middle.
        """

    def reset(self) -> None:
        """Warm reset: forget what is volatile."""

    def power_cycle(self) -> None:
        """Cold reset: forget what is volatile and read the memory again."""


@dataclass(slots=True)
class Traffic:
    """What a card has seen, from the card's side: ``bytes_in`` are command bytes, ``bytes_out`` response bytes."""

    exchanges: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def clear(self) -> None:
        """Start again at zero."""
        self.exchanges = self.bytes_in = self.bytes_out = 0


class VirtualCard:
    """A card without a reader: an applet, counted.

    ``counter`` may be cleared by anyone; ``exchanges_total`` and ``resets`` only rise, so that a transport can tell
    whether somebody else has used the card.
    """

    def __init__(self, applet: Applet) -> None:
        self.applet = applet
        self.counter = Traffic()
        self.exchanges_total = 0
        self.resets = 0

    @property
    def atr(self) -> bytes:
        """Answer to reset."""
        return self.applet.atr

    def process(self, apdu: bytes) -> bytes:
        """One exchange: the response data and status word to ``apdu``.

        Raises:
            PowerLoss: the power was cut; only ``power_cycle`` helps.
        """
        self.exchanges_total += 1
        answer = self.applet.process(apdu)
        counter = self.counter
        counter.exchanges += 1
        counter.bytes_in += len(apdu)
        counter.bytes_out += len(answer)
        return answer

    def reset(self) -> None:
        """Warm reset."""
        self.resets += 1
        self.applet.reset()

    def power_cycle(self) -> None:
        """Take the power away and give it back; the memory is read again.

        Raises:
            BadData: the memory is damaged.
        """
        self.resets += 1
        self.applet.power_cycle()

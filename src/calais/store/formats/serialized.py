"""Serialized elements and stores: the records in which Windows keeps certificates in files and in the registry.

A record is ``{u32 id, u32 1, u32 size, data}``, little-endian. An element is the records of its properties, in
rising order, then that of the certificate (32), CRL (33) or CTL (34). A store is ``00000000 "CERT"``, its elements
and a record of zeros. Sources: CertSerializeCertificateStoreElement, CertAddSerializedElementToStore, CertSaveStore.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from calais.store import properties
from calais.store.formats.items import KINDS, Item, exactly
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, WinError
from calais.win.flags import CERT_LAST_USER_PROP_ID

MAGIC = bytes(4) + b"CERT"
_RECORD = Struct("<III")
END = bytes(_RECORD.size)
_ENCODING = 1
MAX_ELEMENTS = 1 << 16
MAX_BYTES = 1 << 26  # of a store that is read at once


class _Record(NamedTuple):
    number: int
    data: bytes
    end: int


# --- writing ----------------------------------------------------------------------------------------------------------


def pack_element(item: Item) -> bytes:
    """One element; properties that nobody may keep (handles) are left out."""
    kept = sorted(properties.storable(item.properties))
    records = [_record(each, item.properties[each]) for each in kept]
    return b"".join((*records, _record(item.kind, item.encoded)))


def pack_store(items: Iterable[Item]) -> bytes:
    """A whole store: certificates, then CRLs, then CTLs, each in the order given."""
    ordered = sorted(items, key=lambda item: item.kind)
    return b"".join((MAGIC, *map(pack_element, ordered), END))


def _record(number: int, data: bytes) -> bytes:
    return _RECORD.pack(number, _ENCODING, len(data)) + data


# --- reading ----------------------------------------------------------------------------------------------------------


def unpack_element(data: bytes) -> Item:
    """The element at the start of ``data``; what follows its certificate, CRL or CTL is not looked at.

    Properties after the certificate do not count, nor do those that a file may not hold.

    Raises:
        WinError: ERROR_END_OF_MEDIA, there is nothing; ERROR_FILE_NOT_FOUND, an encoding that nobody knows.
        BadParameter: E_INVALIDARG, a record is cut off, empty, or not what it should be, or nothing but properties.
        BadData: CRYPT_E_ASN1_*, the certificate or CRL cannot be read.
    """
    if not data:
        raise WinError(Code.ERROR_END_OF_MEDIA, "The serialized element is empty.")
    return _element(data, 0)[0]


def _element(data: bytes, start: int) -> tuple[Item, int]:
    """The element at ``start``, and the offset after it."""
    found: dict[int, bytes] = {}
    record = _read(data, start)
    while record.number not in KINDS:
        if not record.number:
            raise BadParameter(Code.E_INVALIDARG, "The element ends before its certificate.")
        if record.number <= CERT_LAST_USER_PROP_ID:
            found[record.number] = record.data
        record = _read(data, record.end)
    _check_size(record)
    return Item(record.number, record.data, {each: found[each] for each in properties.storable(found)}), record.end


def _check_size(record: _Record) -> None:
    """A record holds one certificate, CRL or CTL, neither less nor more."""
    try:
        fits = bool(record.data) and len(exactly(record.number, record.data)) == len(record.data)
    except BadData as error:
        if error.code != Code.CRYPT_E_ASN1_EOD:
            raise
        fits = False
    if not fits:
        raise BadParameter(Code.E_INVALIDARG, "The size of the record is not that of its contents.")


def _read(data: bytes, start: int) -> _Record:
    body = start + _RECORD.size
    if body > len(data):
        raise BadParameter(Code.E_INVALIDARG, "The data is over where a record should begin.")
    number, encoding, size = _RECORD.unpack_from(data, start)
    if size > len(data) - body:
        raise BadParameter(Code.E_INVALIDARG, f"A record of {size} bytes runs past the end of the data.")
    if number and encoding != _ENCODING:
        raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"Nobody knows how to read encoding 0x{encoding:X}.")
    return _Record(number, data[body : body + size], body + size)


def is_store(data: bytes) -> bool:
    """Whether ``data`` begins as a serialized store."""
    return data[: len(MAGIC)] == MAGIC


def unpack_store(data: bytes) -> list[Item]:
    """The elements of a serialized store, in order. A missing record of zeros at the end is tolerated.

    Raises:
        BadData: ERROR_INVALID_DATA, no serialized store, cut off inside a record, or larger than anybody needs;
            CRYPT_E_ASN1_*, a certificate or CRL in it cannot be read.
    """
    if not is_store(data):
        raise BadData(Code.ERROR_INVALID_DATA, "This is no serialized store.", index=0)
    items: list[Item] = []
    at = len(MAGIC)
    while at < len(data) and data[at : at + 4] != END[:4]:
        if len(items) == MAX_ELEMENTS or len(data) > MAX_BYTES:
            raise BadData(Code.ERROR_INVALID_DATA, "The serialized store is too large.", index=at)
        try:
            item, at = _element(data, at)
        except (BadParameter, NotFound) as error:
            raise BadData(Code.ERROR_INVALID_DATA, error.detail, index=at) from error
        items.append(item)
    return items

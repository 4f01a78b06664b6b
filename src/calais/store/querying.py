"""What a file or a piece of data is, of all that holds certificates.

Each format is tried in turn, and in it each kind of content that is expected; what is damaged is not that content.

Source: CryptQueryObject (wincrypt.h); RFC 2986, 4 (PKCS #10); RFC 2315, 7 and 14 (PKCS #7).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from calais.store import arguments, certificate, crl, der, files
from calais.store.api import CERTIFICATE, CRL
from calais.store.coding import binary
from calais.store.formats import ber, pkcs7, pkcs12, serialized, sniffing
from calais.store.formats.items import Item
from calais.store.model import CERTIFICATES, CRLS, Context, Kind
from calais.store.stores import Store
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags import QueryContent, QueryFormat

X509: Final = flags.X509_ASN_ENCODING
BOTH: Final = flags.X509_ASN_ENCODING | flags.PKCS_7_ASN_ENCODING
_HEX_ANY: Final = 8
_HEX_PREFIX: Final = "{ASN}"
_MESSAGE_TYPES: Final = "1.2.840.113549.1.7."
_SIGNED: Final = "1.2.840.113549.1.7.2"
_EXPLICIT_0: Final = 0xA0


class QueryObject(NamedTuple):
    """What CryptQueryObject found: CERT_QUERY_CONTENT_*, CERT_QUERY_FORMAT_*; ``message`` is always ``None``."""

    encoding_type: int
    content_type: int
    format_type: int
    store: Store | None
    message: None
    context: Context | None


@dataclass(frozen=True, slots=True)
class _Row:
    """One kind of content.

    ``read`` gives what is in the data, or raises ``WinError`` when the data is something else; ``has_context``:
    whether the first is given out; ``has_store``: whether all are, in a store.
    """

    content: QueryContent
    read: Callable[[bytes], list[Item]]
    encoding: int = X509
    has_context: bool = False
    has_store: bool = True


def query(object_type: int, given: object, contents: int, formats: int) -> QueryObject:
    """CryptQueryObject.

    Args:
        object_type: CERT_QUERY_OBJECT_FILE, a path, or CERT_QUERY_OBJECT_BLOB, bytes.
        given: the path, or the bytes.
        contents: CERT_QUERY_CONTENT_FLAG_*, what may be found.
        formats: CERT_QUERY_FORMAT_FLAG_*, in which forms.

    Raises:
        BadParameter: E_INVALIDARG, nothing given, or nothing expected.
        WinError: CRYPT_E_NO_MATCH, it is nothing of that; ERROR_FILE_NOT_FOUND, and what the operating system says.
    """
    data = _data(object_type, given, arguments.number(contents) & flags.CERT_QUERY_CONTENT_FLAG_ALL, formats)
    for form, blocks in _forms(data, formats):
        for row in _ROWS:
            found = _items(row, blocks) if contents & 1 << row.content else None
            if found is not None:
                return _result(row, form, found)
    raise WinError.of(Code.CRYPT_E_NO_MATCH, "This is nothing of what is expected.")


def _data(object_type: int, given: object, contents: int, formats: int) -> bytes:
    formats = arguments.number(formats)
    if not contents or not formats & flags.CERT_QUERY_FORMAT_FLAG_ALL:
        raise BadParameter(Code.E_INVALIDARG, "Nothing is expected.")
    if object_type == flags.CERT_QUERY_OBJECT_FILE and isinstance(given, str | os.PathLike) and str(given):
        return files.read_path(files.path_of(given))
    if object_type == flags.CERT_QUERY_OBJECT_BLOB and isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    raise BadParameter(Code.E_INVALIDARG, "There is no such object to look at.")


def _forms(data: bytes, formats: int) -> Iterator[tuple[QueryFormat, Sequence[bytes]]]:
    """What the data is in each format; of text with several blocks, all of them."""
    if formats & flags.CERT_QUERY_FORMAT_FLAG_BINARY:
        yield QueryFormat.BINARY, [data]
    if formats & flags.CERT_QUERY_FORMAT_FLAG_BASE64_ENCODED:
        yield QueryFormat.BASE64_ENCODED, sniffing.blocks(data)
    if formats & flags.CERT_QUERY_FORMAT_FLAG_ASN_ASCII_HEX_ENCODED:
        yield QueryFormat.ASN_ASCII_HEX_ENCODED, _hex(data)


def _hex(data: bytes) -> list[bytes]:
    """Digits after the prefix that wincrypt.h names for this format; digits alone are taken too."""
    text = sniffing.text_of(data)
    try:
        return [] if text is None else [binary.from_text(text.lstrip().removeprefix(_HEX_PREFIX), _HEX_ANY).binary]
    except WinError:
        return []


def _items(row: _Row, blocks: Sequence[bytes]) -> list[Item] | None:
    """What is in the blocks, if the first is of this kind; ``None`` otherwise. Blocks of other kinds are passed over."""
    found: list[Item] = []
    for number, block in enumerate(blocks):
        try:
            found += row.read(block)
        except WinError:
            if not number:
                return None
    return found if blocks else None


def _result(row: _Row, form: QueryFormat, items: list[Item]) -> QueryObject:
    store = Store() if row.has_store else None
    context: Context | None = None
    for item in items if store is not None else ():
        added = _put(store, item)
        if added is not None and row.has_context and context is None:
            context = added
        elif added is not None:
            added.free()
    return QueryObject(row.encoding, row.content, form, store, None, context)


_KINDS: Final[dict[int, Kind[Context]]] = {CERTIFICATE: CERTIFICATES, CRL: CRLS}  # type: ignore[dict-item]


def _put(store: Store | None, item: Item) -> Context | None:
    """Into the store; of one that is there already the first counts."""
    kind = _KINDS.get(item.kind)
    if store is None or kind is None:
        return None
    return store.put(kind, item.encoded, item.properties, flags.CERT_STORE_ADD_USE_EXISTING)


# --- kinds of content -------------------------------------------------------------------------------------------------


def _certificate(data: bytes) -> list[Item]:
    return [Item(CERTIFICATE, certificate.parse(data).encoded, {})]


def _crl(data: bytes) -> list[Item]:
    return [Item(CRL, crl.parse(data).encoded, {})]


def _element(kind: int) -> Callable[[bytes], list[Item]]:
    def read(data: bytes) -> list[Item]:
        item = serialized.unpack_element(data)
        if item.kind != kind:
            raise _another()
        return [item]

    return read


def _another() -> BadData:
    return BadData(Code.CRYPT_E_ASN1_BADTAG, "This is something else.")


def _signed(data: bytes) -> list[Item]:
    """SignedData; a PFX without integrity looks like one without anything in it."""
    if pkcs12.is_pfx(data):
        raise _another()
    return pkcs7.parse_certificates(data)


def _unsigned(data: bytes) -> list[Item]:
    """A message of another type: content type, and content where there is some."""
    parts = list(ber.children(ber.read_sequence(data, "a PKCS #7 message")))
    if not 1 <= len(parts) <= 2 or parts[0].tag != der.OID or parts[-1].tag not in (der.OID, _EXPLICIT_0):
        raise _another()
    kind = der.oid_text(parts[0].content)
    if not kind.startswith(_MESSAGE_TYPES) or kind == _SIGNED:
        raise _another()
    return []


def _request(data: bytes) -> list[Item]:
    """CertificationRequest: what is signed, algorithm, signature."""
    parts = der.expect(der.read(data), der.SEQUENCE, "a request").children()
    if [part.tag for part in parts] != [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
        raise _another()
    inside = [part.tag for part in parts[0].children()]
    if inside[:3] != [der.INTEGER, der.SEQUENCE, der.SEQUENCE] or inside[3:] not in ([], [_EXPLICIT_0]):
        raise _another()
    return []


def _pfx(data: bytes) -> list[Item]:
    if not pkcs12.is_pfx(data):
        raise _another()
    return []


_ROWS: Final = (
    _Row(QueryContent.CERT, _certificate, has_context=True),
    _Row(QueryContent.CRL, _crl, has_context=True),
    _Row(QueryContent.SERIALIZED_STORE, serialized.unpack_store),
    _Row(QueryContent.SERIALIZED_CERT, _element(CERTIFICATE), has_context=True),
    _Row(QueryContent.SERIALIZED_CRL, _element(CRL), has_context=True),
    _Row(QueryContent.PKCS7_SIGNED, _signed, BOTH),
    _Row(QueryContent.PKCS7_UNSIGNED, _unsigned, BOTH),
    _Row(QueryContent.PKCS10, _request, has_store=False),
    _Row(QueryContent.PFX, _pfx, BOTH, has_store=False),
)

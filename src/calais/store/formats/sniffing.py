"""Finding out what a file of certificates is: binary, or base64 in ASCII or UTF-16LE.

Sources: CertOpenStore (CERT_STORE_PROV_FILENAME); CryptQueryObject; RFC 7468.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from calais.store import certificate, crl
from calais.store.api import CERTIFICATE, CRL
from calais.store.formats import pkcs7, serialized
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.errors import BadData, WinError

MAX_BYTES = 1 << 27  # text is larger than what it stands for
_BOUNDARY = re.compile(r"-----(BEGIN|END) [^\r\n-]{0,64}-----")


class Format(Enum):
    """What a file is."""

    EMPTY = "nothing"
    STORE = "a serialized store"
    PKCS7 = "a PKCS #7 message"
    CERTIFICATE = "one certificate"
    CRL = "one CRL"


class Contents(NamedTuple):
    """What was found in a file."""

    format: Format
    items: list[Item]


def sniff(data: bytes) -> Contents:
    """Read ``data`` as what it is: a serialized store, a PKCS #7 message, a certificate or a CRL; each also as text.

    Of several PEM blocks all are read.

    Raises:
        BadData: ERROR_INVALID_DATA, CRYPT_E_ASN1_*, what it begins as is damaged.
        WinError: CRYPT_E_NO_MATCH, nobody knows what it is.
    """
    if not data:
        return Contents(Format.EMPTY, [])
    if len(data) > MAX_BYTES:
        raise BadData(Code.ERROR_INVALID_DATA, "The file is too large for certificates.", index=MAX_BYTES)
    found = _binary(data)
    if found is not None:
        return found
    parts = [_binary(block) for block in blocks(data)]
    if not parts or None in parts:
        raise WinError(Code.CRYPT_E_NO_MATCH, "This is no store, certificate, CRL or PKCS #7 message.")
    known = [part for part in parts if part is not None]
    return Contents(known[0].format, [item for part in known for item in part.items])


def _binary(data: bytes) -> Contents | None:
    """``None``: it is nothing binary that is known here."""
    if serialized.is_store(data):
        return Contents(Format.STORE, serialized.unpack_store(data))
    if data[:1] != b"\x30":
        return None
    try:
        return Contents(Format.PKCS7, pkcs7.parse_certificates(data))
    except BadData as error:
        if error.code not in (Code.CRYPT_E_ASN1_BADTAG, Code.CRYPT_E_INVALID_MSG_TYPE):
            raise
    return _single(data)


def _single(data: bytes) -> Contents | None:
    try:
        return Contents(Format.CERTIFICATE, [Item(CERTIFICATE, certificate.parse(data).encoded, {})])
    except BadData:
        pass
    try:
        return Contents(Format.CRL, [Item(CRL, crl.parse(data).encoded, {})])
    except BadData:
        return None


# --- text -------------------------------------------------------------------------------------------------------------


def blocks(data: bytes) -> list[bytes]:
    """The bytes that text stands for: one for each pair of BEGIN and END lines, else the whole as base64."""
    text = text_of(data)
    if text is None:
        return []
    marks = list(_BOUNDARY.finditer(text))
    if not marks:
        return _decoded([text])
    return _decoded(_between(text, marks))


def _between(text: str, marks: list[re.Match[str]]) -> Iterator[str]:
    for first, second in pairwise(marks):
        if (first[1], second[1]) == ("BEGIN", "END"):
            yield text[first.end() : second.start()]


def _decoded(texts: Iterator[str] | list[str]) -> list[bytes]:
    try:
        return [base64.b64decode("".join(text.split()), validate=True) for text in texts]
    except (binascii.Error, ValueError):
        return []


def text_of(data: bytes) -> str | None:
    """ASCII, or UTF-16LE with or without its mark; ``None`` for bytes that are no text."""
    wide = data[:2] == b"\xff\xfe" or data[1:2] == b"\0"
    try:
        return data.decode("utf-16-le" if wide else "utf-8-sig").lstrip("\ufeff").rstrip("\0")
    except UnicodeDecodeError:
        return None

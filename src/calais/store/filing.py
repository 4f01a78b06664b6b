"""What a database files a certificate under, so that both kinds of database agree on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from calais.store import certificate, der, properties
from calais.store.api import CERTIFICATE, CRL, Index
from calais.store.certificate import Outline
from calais.win.errors import BadData
from calais.win.flags import PropId

DIGEST_SIZE = 16


def identity(encoded: bytes, stored: Mapping[int, bytes]) -> bytes:
    """What makes two certificates the same one: property 3 if stored, else the SHA-1 of the bytes."""
    return stored.get(PropId.SHA1_HASH) or hashlib.sha1(encoded, usedforsecurity=False).digest()


def digest(value: bytes) -> bytes:
    """A short stand-in for a value of any length, to be looked up by; a hit is compared in full afterwards."""
    return hashlib.sha256(value).digest()[:DIGEST_SIZE]


def filed(digest_of_value: bytes, kind: int) -> bytes:
    """A digest as a database keeps it: no two kinds share one, so that one index serves them all."""
    return digest_of_value if kind == CERTIFICATE else digest(kind.to_bytes(4, "big") + digest_of_value)


def digests(encoded: bytes, stored: Mapping[int, bytes], kind: int = CERTIFICATE) -> dict[Index, bytes]:
    """The digest of every index; where there is no such value, of nothing."""
    values = dict.fromkeys(Index, b"")
    if kind == CERTIFICATE:
        values |= _of_certificate(encoded, stored)
    elif kind == CRL:
        values[Index.ISSUER] = _issuer_of_crl(encoded)
    values[Index.SHA1] = identity(encoded, stored)
    return {index: digest(value) for index, value in values.items()}


def _of_certificate(encoded: bytes, stored: Mapping[int, bytes]) -> dict[Index, bytes]:
    outline = certificate.parse(encoded)
    return {
        Index.SUBJECT: outline.subject,
        Index.ISSUER: outline.issuer,
        Index.ISSUER_SERIAL: issuer_and_serial(outline.issuer, outline.serial),
        Index.KEY_IDENTIFIER: _kept(PropId.KEY_IDENTIFIER, outline, stored),
        Index.PUBLIC_KEY: _kept(PropId.SUBJECT_PUBLIC_KEY_MD5_HASH, outline, stored),
    }


def _issuer_of_crl(encoded: bytes) -> bytes:
    """The issuer's name, DER; nothing where the outline is none (RFC 5280, 5.1: after version and algorithm)."""
    try:
        fields = der.read(encoded).children()[0].children()
        return fields[1 + (fields[0].tag == der.INTEGER)].encoded
    except (BadData, IndexError):
        return b""


def issuer_and_serial(issuer: bytes, serial: int) -> bytes:
    """The serial in its shortest form before the name, so that no two pairs look alike."""
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    return len(number).to_bytes(4, "big") + number + issuer


def _kept(prop_id: int, outline: Outline, stored: Mapping[int, bytes]) -> bytes:
    """A computed property: the stored one if there is one."""
    if prop_id in stored:
        return stored[prop_id]
    compute = properties.rule(prop_id).compute
    try:
        return bytes(compute(outline)) if compute else b""
    except BadData:
        return b""

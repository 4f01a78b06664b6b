"""Several keys in one PFX: ``cryptography`` writes a PFX for each, and their safes are put into one.

Source: RFC 7292, 4 (contents), 4 and appendix B (integrity by password: the key of the HMAC).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from calais.store import der
from calais.store.formats import ber
from calais.win.codes import Code
from calais.win.der import build, encode_oid
from calais.win.errors import BadData
from calais.win.flags.oids import HashOid, MessageOid

ROUNDS: Final = 2048  # the password is guarded by the encryption of the safes, not by this
SALT_BYTES: Final = 8
DIGEST: Final = "sha256"
_BLOCK: Final = 64  # bytes, of SHA-256
_ID_MAC_KEY: Final = 3
_EXPLICIT_0: Final = 0xA0
_VERSION: Final = build(der.INTEGER, b"\x03")


def join(files: Sequence[bytes], password: str | None) -> bytes:
    """One PFX with the safes of all ``files``, each a PFX under the same password."""
    safes = b"".join(authenticated_safe(each).content for each in files)
    content = build(der.SEQUENCE, safes)
    return build(der.SEQUENCE, _VERSION, _data(content), _mac_data(content, password or ""))


def authenticated_safe(data: bytes) -> der.Node:
    """The AuthenticatedSafe in a PFX, a SEQUENCE OF ContentInfo.

    Raises:
        BadData: CRYPT_E_ASN1_*, it is no PFX, or protected by a signature.
    """
    outer = ber.read_sequence(data, "a PFX")
    parts = list(ber.children(outer))
    if not 2 <= len(parts) <= 3 or parts[0].tag != der.INTEGER or parts[0].content != b"\x03":
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no PFX.", index=0)
    inside = octets_of_data(der.expect(parts[1], der.SEQUENCE, "the content of a PFX"))
    if inside is None:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no PFX that a password protects.", index=parts[1].start)
    return ber.read_sequence(inside, "the safe of a PFX")


def octets_of_data(info: der.Node) -> bytes | None:
    """The octets in a ContentInfo of type data; ``None``: it is of another type.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT, it has another form.
    """
    parts = list(ber.children(info))
    if len(parts) != 2 or parts[0].tag != der.OID or parts[1].tag != _EXPLICIT_0:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "A content of the PFX has another form.", index=info.start)
    if der.oid_text(parts[0].content) != MessageOid.RSA_DATA:
        return None
    held = next(ber.children(parts[1]), None)
    if held is None or held.tag & ~ber.CONSTRUCTED != der.OCTET_STRING:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "A content of the PFX is no string of octets.", index=info.start)
    return ber.octets(held)


def _data(content: bytes) -> bytes:
    return build(
        der.SEQUENCE,
        build(der.OID, encode_oid(MessageOid.RSA_DATA)),
        build(_EXPLICIT_0, build(der.OCTET_STRING, content)),
    )


def _mac_data(content: bytes, password: str) -> bytes:
    salt = secrets.token_bytes(SALT_BYTES)
    code = hmac.digest(_mac_key(password, salt), content, DIGEST)
    algorithm = build(der.SEQUENCE, build(der.OID, encode_oid(HashOid.SHA256)), build(0x05))
    info = build(der.SEQUENCE, algorithm, build(der.OCTET_STRING, code))
    rounds = build(der.INTEGER, ROUNDS.to_bytes(2, "big"))
    return build(der.SEQUENCE, info, build(der.OCTET_STRING, salt), rounds)


def _mac_key(password: str, salt: bytes) -> bytes:
    """RFC 7292, B.2, for a key as long as the hash: its loop over blocks of output runs once."""
    text = (password + "\0").encode("utf-16-be")
    state = bytes((_ID_MAC_KEY,)) * _BLOCK + _stretched(salt) + _stretched(text)
    for _ in range(ROUNDS):
        state = hashlib.new(DIGEST, state).digest()
    return state


def _stretched(value: bytes) -> bytes:
    size = _BLOCK * -(-len(value) // _BLOCK)
    return (value * (size // len(value) + 1))[:size]

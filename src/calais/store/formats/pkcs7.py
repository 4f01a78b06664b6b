"""PKCS #7 as a bag of certificates: SignedData without content and signers.

Any SignedData is read, in BER too; its signatures are not looked at. Sources: RFC 2315, 9; RFC 5652, 5.1, 10.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from calais.store import certificate, crl, der
from calais.store.api import CERTIFICATE, CRL
from calais.store.formats import ber
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.der import build, encode_oid
from calais.win.errors import BadData

OID_DATA = "1.2.840.113549.1.7.1"
OID_SIGNED_DATA = "1.2.840.113549.1.7.2"
MAX_BYTES = 1 << 24
MAX_ITEMS = 1 << 16
MAX_PARTS = 16
_CERTIFICATES = 0xA0  # [0] IMPLICIT
_CRLS = 0xA1  # [1] IMPLICIT
_EXPLICIT_0 = 0xA0


def build_certificates(items: Iterable[Item]) -> bytes:
    """A ContentInfo with the certificates and CRLs of ``items``, in the order of DER sets; properties are lost."""
    listed = list(items)
    signed = build(
        der.SEQUENCE,
        build(der.INTEGER, b"\x01"),
        build(der.SET),
        build(der.SEQUENCE, build(der.OID, encode_oid(OID_DATA))),
        *_choice(_CERTIFICATES, [item.encoded for item in listed if item.kind == CERTIFICATE]),
        *_choice(_CRLS, [item.encoded for item in listed if item.kind == CRL]),
        build(der.SET),
    )
    return build(der.SEQUENCE, build(der.OID, encode_oid(OID_SIGNED_DATA)), build(_EXPLICIT_0, signed))


def _choice(tag: int, members: list[bytes]) -> list[bytes]:
    return [build(tag, *sorted(members))] if members else []  # X.690, 11.6


def parse_certificates(data: bytes) -> list[Item]:
    """The certificates, then the CRLs, of a ContentInfo with SignedData, or of a bare SignedData.

    Raises:
        BadData: CRYPT_E_INVALID_MSG_TYPE, another content type; CRYPT_E_ASN1_BADTAG, neither; other CRYPT_E_ASN1_*,
            it is cut off, nested too deep, too large, or a certificate in it cannot be read.
    """
    if len(data) > MAX_BYTES:
        raise BadData(Code.CRYPT_E_ASN1_LARGE, "The message is too large.", index=MAX_BYTES)
    members = list(_members(_signed_data(data)))
    if len(members) > MAX_ITEMS:
        raise BadData(Code.CRYPT_E_ASN1_LARGE, "The message has too many certificates.")
    return members


def _signed_data(data: bytes) -> der.Node:
    """The SignedData: it begins with a number, a ContentInfo with an object identifier."""
    outer = ber.read_sequence(data, "a PKCS #7 message")
    first = next(ber.children(outer), None)
    if first is not None and first.tag == der.INTEGER:
        return outer
    if first is None or first.tag != der.OID:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no PKCS #7 message.", index=outer.start)
    if der.oid_text(first.content) != OID_SIGNED_DATA:
        detail = f"The message is of type {der.oid_text(first.content)}, not SignedData."
        raise BadData(Code.CRYPT_E_INVALID_MSG_TYPE, detail, index=first.start)
    wrapped = der.expect(ber.read(data, first.end, outer.end), _EXPLICIT_0, "the content")
    return der.expect(ber.read(data, wrapped.body, wrapped.end), der.SEQUENCE, "the SignedData")


def _members(signed: der.Node) -> Iterator[Item]:
    """What the optional sets hold. Attribute certificates and other revocation information are passed over.

    Wine leaves the set of digest algorithms out where it is empty.
    """
    parts = [part for part in _at_most(ber.children(signed), MAX_PARTS) if part.tag != der.SET]
    tags = [part.tag for part in parts]
    if tags[:2] != [der.INTEGER, der.SEQUENCE] or not {_CERTIFICATES, _CRLS}.issuperset(tags[2:]):
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no SignedData.", index=signed.start)
    for part in parts[2:]:
        for node in _at_most(ber.children(part), MAX_ITEMS):
            if node.tag == der.SEQUENCE:
                yield _item(CERTIFICATE if part.tag == _CERTIFICATES else CRL, node)


def _item(kind: int, node: der.Node) -> Item:
    encoded = node.source[node.start : ber.after(node)]
    parse = certificate.parse if kind == CERTIFICATE else crl.parse
    return Item(kind, parse(encoded).encoded, {})


def _at_most(nodes: Iterator[der.Node], limit: int) -> Iterator[der.Node]:
    for count, node in enumerate(nodes):
        if count == limit:
            raise BadData(Code.CRYPT_E_ASN1_LARGE, "The message has too many parts.", index=node.start)
        yield node

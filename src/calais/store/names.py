"""Distinguished names: DER ↔ attributes, and as text.

Names are read leniently: a string that is not what its tag says is shown with replacement characters.
Sources: X.501, 9; RFC 5280, 4.1.2.4; CertNameToStr (keys, separators, quoting); wincrypt.h (CERT_RDN_*).
"""

from __future__ import annotations

from typing import Final

from calais.store import der
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CertRdnAttr

Rdn = tuple[CertRdnAttr, ...]

# ASN.1 tag -> CERT_RDN_* and codec. The T61 strings that occur are Latin-1.
_STRINGS: Final = {
    0x04: (2, ""),
    0x0C: (13, "utf-8"),
    0x12: (3, "latin-1"),
    0x13: (4, "latin-1"),
    0x14: (5, "latin-1"),
    0x15: (6, "latin-1"),
    0x16: (7, "latin-1"),
    0x19: (8, "latin-1"),
    0x1A: (9, "latin-1"),
    0x1B: (10, "latin-1"),
    0x1C: (11, "utf-32-be"),
    0x1E: (12, "utf-16-be"),
}
_ENCODED_BLOB: Final = 1

# Windows' keys of CERT_X500_NAME_STR.
KEYS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "S",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "T",
    "2.5.4.13": "Description",
    "2.5.4.17": "PostalCode",
    "2.5.4.20": "Phone",
    "2.5.4.42": "G",
    "2.5.4.43": "I",
    "2.5.4.46": "dnQualifier",
    "1.2.840.113549.1.9.1": "E",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
_QUOTED = set(',+="<>#;\r\n')


def parse(name: bytes) -> tuple[Rdn, ...]:
    """The relative names of a DER name, in encoded order.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG, it is no name.
    """
    try:
        sequence = der.expect(der.read(name), der.SEQUENCE, "a name")
        return tuple(_rdn(node) for node in sequence.children())
    except BadData as error:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, error.detail, index=error.index) from error


def _rdn(node: der.Node) -> Rdn:
    return tuple(_attribute(each) for each in der.expect(node, der.SET, "a relative name").children())


def _attribute(node: der.Node) -> CertRdnAttr:
    parts = der.expect(node, der.SEQUENCE, "an attribute").children()
    if len(parts) < 2:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "An attribute has no value.", index=node.start)
    oid = der.oid_text(der.expect(parts[0], der.OID, "an attribute's OID").content)
    value_type, codec = _STRINGS.get(parts[1].tag, (_ENCODED_BLOB, ""))
    if not codec:
        return CertRdnAttr(oid, value_type, parts[1].content if value_type != _ENCODED_BLOB else parts[1].encoded)
    return CertRdnAttr(oid, value_type, parts[1].content.decode(codec, "replace"))


def string_value(encoded: bytes) -> str:
    """The text of the DER of any string type; ``""`` for anything else."""
    try:
        node = der.read(encoded)
    except BadData:
        return ""
    codec = _STRINGS.get(node.tag, (0, ""))[1]
    return node.content.decode(codec, "replace") if codec else ""


def attributes(name: bytes) -> list[CertRdnAttr]:
    """All attributes of a name in encoded order; none when it is no name."""
    try:
        return [attribute for rdn in parse(name) for attribute in rdn]
    except BadData:
        return []


def value_text(attribute: CertRdnAttr) -> str:
    """An attribute's value as text; octets as ``#`` and hex digits."""
    return attribute.value if isinstance(attribute.value, str) else "#" + attribute.value.hex().upper()


def values_text(name: bytes) -> str:
    """The values joined by ``", "`` in encoded order, without keys: what a search by text looks into."""
    return ", ".join(value_text(attribute) for attribute in attributes(name))


def x500_text(name: bytes) -> str:
    """CERT_X500_NAME_STR: ``"C=US, O=Test, CN=Alice"`` in encoded order; ``""`` when it is no name."""
    try:
        return ", ".join(" + ".join(_keyed(attribute) for attribute in rdn) for rdn in parse(name))
    except BadData:
        return ""


def _keyed(attribute: CertRdnAttr) -> str:
    key = KEYS.get(attribute.oid, attribute.oid or "?")
    return f"{key}={quoted_text(attribute)}"


def quoted_text(attribute: CertRdnAttr) -> str:
    """As ``value_text``; in quotation marks where the text would be read otherwise."""
    text = value_text(attribute)
    if isinstance(attribute.value, str) and (not text or text != text.strip() or _QUOTED & set(text)):
        return '"' + text.replace('"', '""') + '"'
    return text


def shown(text: str) -> str:
    r"""``text`` for a terminal: what could move the cursor, hide or reverse text becomes ``\x1b`` and the like."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def matches(name: bytes, wanted: tuple[CertRdnAttr, ...], *, ignore_case: bool = False) -> bool:
    """Whether each of ``wanted`` is an attribute of ``name``; value type 0 means any. None wanted: ``True``."""
    present = attributes(name)
    return all(any(_same(each, attribute, ignore_case=ignore_case) for each in present) for attribute in wanted)


def _same(present: CertRdnAttr, wanted: CertRdnAttr, *, ignore_case: bool) -> bool:
    if present.oid != wanted.oid or wanted.value_type not in (0, present.value_type):
        return False
    if isinstance(present.value, str) and isinstance(wanted.value, str) and ignore_case:
        return present.value.casefold() == wanted.value.casefold()
    return present.value == wanted.value

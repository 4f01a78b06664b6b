"""PKCS #12 files (PFX): certificates and private keys under a password.

``cryptography`` opens and writes them. Before that, whoever made the file is not let to choose how long that takes.
Of several keys it finds one; the others are taken out of their bags one by one.

Source: RFC 7292, 4; RFC 8018, A.2 (iteration counts); PFXImportCertStore (wincrypt.h).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from calais.store import der, pfxmaking
from calais.store.api import CERTIFICATE
from calais.store.formats import ber
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.der import build, encode_oid
from calais.win.errors import BadData, WinError
from calais.win.flags import PropId
from calais.win.flags.oids import MessageOid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, PKCS12KeyAndCertificates

OID_DATA = "1.2.840.113549.1.7.1"
OID_KEY_BAG = "1.2.840.113549.1.12.10.1.1"
OID_SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2"
MAX_BYTES = 1 << 24
MAX_ITERATIONS = 1 << 22
MAX_COUNT_BYTES = 8
MAX_NODES = 1 << 15
MAX_DEPTH = 24
MAX_KEYS = 64
_EXPLICIT_0 = 0xA0
_VERSION = b"\x03"
_BMP_STRING = 0x1E


@dataclass(frozen=True, slots=True)
class PfxKey:
    """A private key; ``provider``: the name of the CSP it was in, "" where the file does not say."""

    key: PrivateKeyTypes = field(repr=False)
    provider: str = ""

    @property
    def public_der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return _public_der(self.key)


@dataclass(frozen=True, slots=True)
class Opened:
    """What was in a PFX: certificates, that of the key first, with their friendly names; and the keys."""

    items: tuple[Item, ...]
    keys: tuple[PfxKey, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate that goes into a PFX, its friendly name ("" = none), and its key if that goes, too."""

    encoded: bytes
    name: str = ""
    key: PrivateKeyTypes | None = field(default=None, repr=False)


def parse_certificates(data: bytes, password: str | None = None) -> list[Item]:
    """The certificates in a PFX, that of the key first; keys stay in it.

    Args:
        data: the PFX.
        password: ``None`` or ``""`` = none, or an empty one.

    Raises:
        BadData: CRYPT_E_ASN1_*, it is no PFX, or one that is made to keep its reader busy.
        WinError: ERROR_INVALID_PASSWORD.
    """
    check_outline(data)
    return [Item(item.kind, item.encoded, {}) for item in _items(_load(data, password)[0])]


def open_pfx(data: bytes, password: str | None, *, with_keys: bool = True) -> Opened:
    """Certificates, with property 11 where they have a friendly name, and keys. Errors as ``parse_certificates``."""
    check_outline(data)
    safe = pfxmaking.authenticated_safe(data)
    opened, secret = _load(data, password)
    return Opened(_items(opened), tuple(_keys(safe, opened.key, secret)) if with_keys else ())


def _load(data: bytes, password: str | None) -> tuple[PKCS12KeyAndCertificates, bytes | None]:
    """The opened file, and the password that opened it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - few need it
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    for secret in _secrets(password):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # others write BER; who reads it cannot change that
                return pkcs12.load_pkcs12(data, secret), secret
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise WinError.of(Code.ERROR_INVALID_PASSWORD, "The PFX does not open with this password.")


def _secrets(password: str | None) -> tuple[bytes | None, ...]:
    """What to try; text that nobody can write opens nothing."""
    if not password:
        return (None, b"")
    try:
        return (password.encode(),)
    except UnicodeEncodeError:
        return ()


def _items(opened: PKCS12KeyAndCertificates) -> tuple[Item, ...]:
    found = [each for each in (opened.cert, *opened.additional_certs) if each is not None]
    return tuple(Item(CERTIFICATE, _der(each), _properties(each)) for each in found)


def _der(certificate: PKCS12Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.certificate.public_bytes(Encoding.DER)


def _properties(certificate: PKCS12Certificate) -> dict[int, bytes]:
    """Property 11, where there is a friendly name."""
    name = (certificate.friendly_name or b"").decode("utf-8", "replace").partition("\0")[0]
    return {PropId.FRIENDLY_NAME: (name + "\0").encode("utf-16-le")} if name else {}


# --- keys -------------------------------------------------------------------------------------------------------------


def _keys(safe: der.Node, first: PrivateKeyTypes | None, secret: bytes | None) -> Iterator[PfxKey]:
    """The keys in bags that are not hidden in an encrypted safe, then the one that was found anyway; each once."""
    seen = set()
    for bag in _key_bags(safe):
        key = _key_in(bag, secret)
        if key is not None and _public_der(key) not in seen:
            seen.add(_public_der(key))
            yield PfxKey(key, _provider_of(bag))
    if first is not None and _public_der(first) not in seen:
        yield PfxKey(first)


def _public_der(key: PrivateKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_bags(safe: der.Node) -> list[list[der.Node]]:
    """The parts of each SafeBag that holds a key: OID, value, attributes."""
    bags = []
    for info in ber.children(safe):
        inside = pfxmaking.octets_of_data(der.expect(info, der.SEQUENCE, "a content"))
        if inside is None:
            continue
        for bag in ber.children(ber.read_sequence(inside, "a safe")):
            parts = list(ber.children(bag))
            if len(parts) > 1 and der.oid_text(parts[0].content) in (OID_KEY_BAG, OID_SHROUDED_KEY_BAG):
                bags.append(parts)
    if len(bags) > MAX_KEYS:
        raise _too_much("keys")
    return bags


def _key_in(bag: list[der.Node], secret: bytes | None) -> PrivateKeyTypes | None:
    """The key in a bag; ``None``: one that cannot be read."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    is_shrouded = der.oid_text(bag[0].content) == OID_SHROUDED_KEY_BAG
    try:
        return load_der_private_key(bag[1].content, (secret or b"") if is_shrouded else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _provider_of(bag: list[der.Node]) -> str:
    """The name of the CSP among the attributes of a bag."""
    for attribute in (each for part in bag[2:] for each in ber.children(part)):
        parts = list(ber.children(attribute))
        if len(parts) == 2 and der.oid_text(parts[0].content) == MessageOid.PKCS_12_KEY_PROVIDER_NAME_ATTR:
            value = next(ber.children(parts[1]), None)
            if value is not None and value.tag == _BMP_STRING:
                return value.content.decode("utf-16-be", "replace").rstrip("\0")
    return ""


# --- writing ----------------------------------------------------------------------------------------------------------


def build_certificates(items: Iterable[Item], password: str | None) -> bytes:
    """A PFX with the certificates of ``items``; without certificates, a legal PFX of nothing.

    Args:
        items: what to put in; CRLs are left out.
        password: protects it; ``None`` or ``""`` = nothing does.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG, a certificate is too odd for this format.
    """
    return build_pfx([Entry(item.encoded) for item in items if item.kind == CERTIFICATE], password)


def build_pfx(entries: Sequence[Entry], password: str | None) -> bytes:
    """A PFX with certificates and keys; arguments and errors as ``build_certificates``."""
    if not entries:
        return _empty()
    alone = [each for each in entries if each.key is None]
    keyed = [each for each in entries if each.key is not None]
    if not keyed:
        return _written(alone, None, password)
    files = [_written([keyed[0], *alone], keyed[0].key, password)]
    files += [_written([each], each.key, password) for each in keyed[1:]]
    return files[0] if len(files) == 1 else pfxmaking.join(files, password)


def _written(entries: list[Entry], key: PrivateKeyTypes | None, password: str | None) -> bytes:
    """A PFX by ``cryptography``: with a key, the first certificate is that of the key."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    way: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        way = serialization.BestAvailableEncryption(_utf8(password))
    try:
        parsed = [(x509.load_der_x509_certificate(each.encoded), _utf8(each.name) or None) for each in entries]
        own = parsed.pop(0) if key is not None else (None, None)
        others = [pkcs12.PKCS12Certificate(*each) for each in parsed]
        return pkcs12.serialize_key_and_certificates(own[1], key, own[0], others or None, way)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "A certificate does not fit into a PFX.") from error


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, "This is no text that can be written.") from error


def _empty() -> bytes:
    """An authenticated safe of no contents, unprotected."""
    nothing = build(_EXPLICIT_0, build(der.OCTET_STRING, build(der.SEQUENCE)))
    content = build(der.SEQUENCE, build(der.OID, encode_oid(OID_DATA)), nothing)
    return build(der.SEQUENCE, build(der.INTEGER, _VERSION), content)


# --- what cryptography is not asked to find out -----------------------------------------------------------------------


def is_pfx(data: bytes) -> bool:
    """Whether ``data`` is a PFX that a password protects, by its outline."""
    try:
        pfxmaking.authenticated_safe(data)
    except BadData:
        return False
    return True


def check_outline(data: bytes) -> None:
    """That ``data`` begins as a PFX, and asks for no key derivation that takes minutes.

    Raises:
        BadData: CRYPT_E_ASN1_EOD, …_CORRUPT, …_BADTAG, it is none; CRYPT_E_ASN1_LARGE, too much of something.
    """
    if len(data) > MAX_BYTES:
        raise _too_much("bytes")
    outer = ber.read_sequence(data, "a PFX")
    first = next(ber.children(outer), None)
    if first is None or first.tag != der.INTEGER or first.content != _VERSION:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no PFX.", index=0)
    total = 0
    for count, inside in enumerate(_families(outer)):
        if count > MAX_NODES:
            raise _too_much("parts")
        for salt, number in pairwise(inside):
            if (salt.tag, number.tag) == (der.OCTET_STRING, der.INTEGER):
                total += _rounds(number)
        if total > MAX_ITERATIONS:
            raise _too_much("iterations")


def _rounds(number: der.Node) -> int:
    """What follows a salt is how often to derive; one of many bytes is too much as soon as it is read."""
    return int.from_bytes(number.content[:MAX_COUNT_BYTES], "big")


def _too_much(what: str) -> BadData:
    return BadData(Code.CRYPT_E_ASN1_LARGE, f"The PFX has too many {what}.")


def _families(outer: der.Node) -> Iterator[list[der.Node]]:
    """What is in each value, in octet strings too where it looks like a value, at every level."""
    waiting = [(outer, 0, False)]
    while waiting:
        node, depth, guessed = waiting.pop()
        guessed = guessed or node.tag == der.OCTET_STRING
        inside = _guessed(node) if guessed else _inside(node)
        yield inside
        if depth > MAX_DEPTH:
            raise _too_much("levels")
        waiting += [(child, depth + 1, guessed) for child in inside]


def _inside(node: der.Node) -> list[der.Node]:
    return list(ber.children(node)) if node.tag & ber.CONSTRUCTED else []


def _guessed(node: der.Node) -> list[der.Node]:
    """As ``_inside``, as far as it goes: random octets, salts and ciphertext, look like values now and then."""
    found: list[der.Node] = []
    with suppress(BadData):
        if node.tag & ber.CONSTRUCTED:
            found.extend(ber.children(node))
        elif node.tag == der.OCTET_STRING and node.source[node.body : node.body + 1] == bytes((der.SEQUENCE,)):
            found.append(der.read(node.source, node.body, node.end))
    return found

"""The outline of a certificate, read leniently, and what Windows computes from it.

A store keeps what it is given. Whatever has the outline of a Certificate, or of a bare TBSCertificate, is one:
empty algorithms, empty keys, odd serial numbers, years before 1970 and unknown extensions are no reason to
refuse, and the bytes are kept as they came. The strict parser of ``cryptography`` is for using a key.
Source: RFC 5280, 4.1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from calais.store import der
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CertExtension, CertInfo, CertPublicKeyInfo, CryptAlgorithmIdentifier

OID_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
OID_AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
OID_ENHANCED_KEY_USAGE = "2.5.29.37"
OID_RSA = "1.2.840.113549.1.1.1"
OID_RSA_PSS = "1.2.840.113549.1.1.10"
OID_EC = "1.2.840.10045.2.1"

_VERSION = 0xA0  # [0] EXPLICIT
_ISSUER_ID = (0x81, 0xA1)  # [1] IMPLICIT BIT STRING
_SUBJECT_ID = (0x82, 0xA2)  # [2] IMPLICIT BIT STRING
_EXTENSIONS = 0xA3  # [3] EXPLICIT

# Signature algorithm -> family and digest, CNG's names. Sources: RFC 3279, 4055, 5758.
SIGNATURE_ALGORITHMS = {
    "1.2.840.113549.1.1.4": ("RSA", "MD5"),
    "1.2.840.113549.1.1.5": ("RSA", "SHA1"),
    "1.3.14.3.2.29": ("RSA", "SHA1"),
    "1.2.840.113549.1.1.11": ("RSA", "SHA256"),
    "1.2.840.113549.1.1.12": ("RSA", "SHA384"),
    "1.2.840.113549.1.1.13": ("RSA", "SHA512"),
    "1.2.840.10040.4.3": ("DSA", "SHA1"),
    "1.2.840.10045.4.1": ("ECDSA", "SHA1"),
    "1.2.840.10045.4.3.2": ("ECDSA", "SHA256"),
    "1.2.840.10045.4.3.3": ("ECDSA", "SHA384"),
    "1.2.840.10045.4.3.4": ("ECDSA", "SHA512"),
    "1.3.101.112": ("EdDSA", "SHA512"),  # RFC 8410
}
_DIGESTS = {
    "1.3.14.3.2.26": "SHA1",
    "2.16.840.1.101.3.4.2.1": "SHA256",
    "2.16.840.1.101.3.4.2.2": "SHA384",
    "2.16.840.1.101.3.4.2.3": "SHA512",
}
_CURVE_BITS = {"1.2.840.10045.3.1.7": 256, "1.3.132.0.34": 384, "1.3.132.0.35": 521}
_EDWARDS_BITS = {"1.3.101.110": 256, "1.3.101.112": 256}  # X25519, Ed25519: RFC 8410, 3
_KEY_FAMILIES = {
    "1.3.101.110": "ECDH",
    "1.3.101.112": "EdDSA",
    OID_RSA: "RSA",
    OID_RSA_PSS: "RSA",
    OID_EC: "ECDSA",
    "1.2.840.10040.4.1": "DSA",
}


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the parts of a certificate are.

    Args:
        encoded: the certificate, without what followed it.
        tbs: the part that is signed; the whole for a bare TBSCertificate.
        signature: value of the signature, ``None`` for a bare TBSCertificate.
        fields: the members of ``tbs`` from the serial number on.
        version: as encoded, 0 = v1, 2 = v3.
    """

    encoded: bytes
    tbs: der.Node
    signature: bytes | None
    fields: tuple[der.Node, ...]
    version: int

    @property
    def serial(self) -> int:
        """The serial number, signed, of any length."""
        return int.from_bytes(self.fields[0].content, "big", signed=True)

    @property
    def issuer(self) -> bytes:
        """DER name."""
        return self.fields[2].encoded

    @property
    def subject(self) -> bytes:
        """DER name."""
        return self.fields[4].encoded

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo as it stands."""
        return self.fields[5].encoded

    @cached_property
    def info(self) -> CertInfo:
        """All that the certificate says."""
        not_before, not_after = self.fields[3].children()[:2]
        return CertInfo(
            serial=self.serial,
            version=self.version,
            signature_algorithm=_algorithm(self.fields[1]),
            issuer=self.issuer,
            subject=self.subject,
            not_before=der.time_value(not_before),
            not_after=der.time_value(not_after),
            public_key=self.public_key,
            extensions=self.extensions,
        )

    @cached_property
    def extensions(self) -> tuple[CertExtension, ...]:
        """All of them, in order."""
        return _extensions(self.fields[6:])

    @cached_property
    def public_key(self) -> CertPublicKeyInfo:
        """Algorithm and key bits."""
        algorithm, bits = self.fields[5].children()[:2]
        named = _algorithm(algorithm)
        return CertPublicKeyInfo(named.oid, named.parameters, der.bit_string(bits))

    def extension(self, oid: str) -> bytes | None:
        """The value of the first extension of this kind, or ``None``."""
        return next((item.value for item in self.extensions if item.oid == oid), None)


def parse(data: bytes) -> Outline:
    """Find the outline of a certificate at the start of ``data``; bytes after it are dropped.

    Raises:
        BadData: CRYPT_E_ASN1_EOD for empty or cut-off input, CRYPT_E_ASN1_BADTAG when it is no SEQUENCE,
            CRYPT_E_ASN1_CORRUPT when the SEQUENCE holds something else; ``index`` is the place.
    """
    outer = der.read(data)
    if outer.tag != der.SEQUENCE:
        detail = f"A certificate is a SEQUENCE (0x30); this data begins with 0x{outer.tag:02X}."
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, detail, index=0)
    encoded = data[: outer.end]
    parts = der.read(encoded).children()
    if parts and parts[0].tag != der.SEQUENCE:
        return _outline(encoded, der.read(encoded), None)
    if len(parts) < 3:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The data ends before the signature.", index=outer.body)
    _algorithm(der.expect(parts[1], der.SEQUENCE, "the signature algorithm"))
    der.expect(parts[2], der.BIT_STRING, "the signature")
    return _outline(encoded, parts[0], der.bit_string(parts[2]))


def _outline(encoded: bytes, tbs: der.Node, signature: bytes | None) -> Outline:
    """The outline around ``tbs``, each mandatory member checked for being there."""
    members = tbs.children()
    version = 0
    if members and members[0].tag == _VERSION:
        version = int.from_bytes(der.read(encoded, members[0].body, members[0].end).content[-4:], "big")
        del members[0]
    names = ("the serial number", "the algorithm", "the issuer", "the validity", "the subject", "the public key")
    if len(members) < len(names):
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, f"{names[len(members)].capitalize()} is missing.", index=tbs.end)
    for at, name in enumerate(names):
        der.expect(members[at], der.INTEGER if at == 0 else der.SEQUENCE, name)
    outline = Outline(encoded, tbs, signature, tuple(members), version)
    _check_inside(outline)
    return outline


def _check_inside(outline: Outline) -> None:
    """The outline goes one level deeper than its members: read it once, so that reading it later cannot fail."""
    times = outline.fields[3].children()
    key = outline.fields[5].children()
    if len(times) < 2 or any(node.tag not in (der.UTC_TIME, der.GENERALIZED_TIME) for node in times[:2]):
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The validity is not two times.", index=outline.fields[3].start)
    if len(key) < 2 or key[0].tag != der.SEQUENCE or key[1].tag != der.BIT_STRING:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The public key has another form.", index=outline.fields[5].start)
    _algorithm(key[0])
    _algorithm(outline.fields[1])
    _ = outline.extensions  # kept from now on


def _algorithm(node: der.Node) -> CryptAlgorithmIdentifier:
    """AlgorithmIdentifier: OID (possibly empty) and what follows it."""
    if node.body == node.end:
        return CryptAlgorithmIdentifier("")
    oid = der.expect(der.read(node.source, node.body, node.end), der.OID, "an algorithm's OID")
    return CryptAlgorithmIdentifier(der.oid_text(oid.content), node.source[oid.end : node.end])


def _extensions(members: tuple[der.Node, ...]) -> tuple[CertExtension, ...]:
    """The extensions among the last members of a TBSCertificate."""
    found = next((node for node in members if node.tag == _EXTENSIONS), None)
    if found is None or found.body == found.end:
        return ()
    listed = der.expect(der.read(found.source, found.body, found.end), der.SEQUENCE, "the extensions")
    return tuple(read_extension(node) for node in listed.children())


def read_extension(node: der.Node) -> CertExtension:
    """One extension: OID, whether critical, value."""
    parts = der.expect(node, der.SEQUENCE, "an extension").children()
    if len(parts) < 2 or parts[0].tag != der.OID or parts[-1].tag != der.OCTET_STRING:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "An extension has another form.", index=node.start)
    critical = parts[1].tag == der.BOOLEAN and any(parts[1].content)
    return CertExtension(der.oid_text(parts[0].content), critical, parts[-1].content)


# --- computed values --------------------------------------------------------------------------------------------------


def signature_digest(outline: Outline) -> tuple[str, str]:
    """Family and digest of the signature algorithm in CNG's names, e.g. ``("RSA", "SHA256")``.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG for a bare TBSCertificate; CRYPT_E_UNKNOWN_ALGO.
    """
    if outline.signature is None:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This certificate carries no signature.")
    algorithm = _algorithm(der.read(outline.encoded).children()[1])
    if algorithm.oid == OID_RSA_PSS:
        return "RSA", _pss_digest(algorithm.parameters)
    try:
        return SIGNATURE_ALGORITHMS[algorithm.oid]
    except KeyError:
        detail = f"The signature algorithm {algorithm.oid or '(none)'} has no known digest."
        raise BadData(Code.CRYPT_E_UNKNOWN_ALGO, detail) from None


def _pss_digest(parameters: bytes) -> str:
    """The digest in RSASSA-PSS-params; SHA-1 is the default. Source: RFC 4055, 3.1."""
    for node in der.read(parameters).children() if parameters else ():
        if node.tag == 0xA0:
            oid = _algorithm(der.read(parameters, node.body, node.end)).oid
            if oid not in _DIGESTS:
                raise BadData(Code.CRYPT_E_UNKNOWN_ALGO, f"The digest {oid or '(none)'} is not known.")
            return _DIGESTS[oid]
    return "SHA1"


def signature_hash(outline: Outline) -> bytes:
    """Digest of the signed part under the signature's own digest.

    Raises:
        BadData: as ``signature_digest``.
    """
    digest = signature_digest(outline)[1]
    return hashlib.new(digest.lower(), outline.tbs.encoded, usedforsecurity=False).digest()


def key_identifier(outline: Outline) -> bytes:
    """Content of the subject key identifier extension, else SHA-1 of the DER public key.

    Raises:
        BadData: ERROR_INVALID_DATA, the extension or the key bits cannot be read.
    """
    value = outline.extension(OID_SUBJECT_KEY_IDENTIFIER)
    if value is not None:
        return _inner(value)
    key_bits(outline.public_key)
    return hashlib.sha1(outline.public_key_der, usedforsecurity=False).digest()


def _inner(value: bytes) -> bytes:
    """The content of the one TLV in an extension's value."""
    try:
        return der.read(value).content
    except BadData as error:
        raise BadData(Code.ERROR_INVALID_DATA, error.detail, index=error.index) from error


def authority_key_identifier(outline: Outline) -> bytes | None:
    """The key identifier ([0]) of the authority key identifier extension, if there is one."""
    value = outline.extension(OID_AUTHORITY_KEY_IDENTIFIER)
    if value is None:
        return None
    try:
        return next((node.content for node in der.read(value).children() if node.tag == 0x80), None)
    except BadData:
        return None


def key_family(key: CertPublicKeyInfo) -> str:
    """CNG's name of the key's algorithm; an unknown OID is read as RSA."""
    return _KEY_FAMILIES.get(key.algorithm, "RSA")


def key_bits(key: CertPublicKeyInfo) -> int:
    """Length of the key in bits.

    Raises:
        BadData: ERROR_INVALID_DATA, the key bits are empty or cannot be decoded.
    """
    try:
        if key.algorithm == OID_EC:
            return _ec_bits(key)
        if key.algorithm in _EDWARDS_BITS and key.public_key:
            return _EDWARDS_BITS[key.algorithm]
        number = der.read(key.public_key)
        if key_family(key) == "RSA":
            number = der.expect(number, der.SEQUENCE, "an RSA key").children()[0]
        return int.from_bytes(der.expect(number, der.INTEGER, "a number").content, "big").bit_length()
    except (BadData, IndexError) as error:
        raise BadData(Code.ERROR_INVALID_DATA, "The public key cannot be decoded.") from error


def _ec_bits(key: CertPublicKeyInfo) -> int:
    """Bits of the curve; of an unknown one, those of a coordinate."""
    if not key.public_key:
        raise BadData(Code.ERROR_INVALID_DATA, "The public key is empty.")
    curve = der.oid_text(der.read(key.parameters).content) if key.parameters else ""
    return _CURVE_BITS.get(curve, (len(key.public_key) - 1) * 4)

"""Signature algorithms of certificates, and whether a signature is what it should be. Pure.

Source: RFC 3279, 2.2; RFC 4055, 2.1, 3.1 and 5 (RSA, PSS); RFC 5758, 3.2 (ECDSA); RFC 5272, C.1 (no signature);
CryptSignCertificate, CryptVerifyCertificateSignatureEx (wincrypt.h).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from calais.store import certificate, der
from calais.win.codes import Code
from calais.win.der import build
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags.oids import HashOid, SignatureOid
from calais.win.structs import CertPublicKeyInfo, CertSignedContent, CryptAlgorithmIdentifier

RSA, PSS, ECDSA, EDDSA, BARE = "RSA", "PSS", "ECDSA", "EdDSA", ""
NULL: Final = build(0x05)
MGF1_OID: Final = HashOid.RSA_MGF1
MAX_SALT_BYTES: Final = 1024

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "md5": hashes.MD5(),  # noqa: S303 - old certificates are verified, too
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGESTS: Final[dict[str, str]] = {
    HashOid.RSA_MD5: "md5",
    HashOid.SHA1: "sha1",
    HashOid.SHA256: "sha256",
    HashOid.SHA384: "sha384",
    HashOid.SHA512: "sha512",
}
# What is put in place of a signature: the digest alone. Without signature it is SHA-1.
_BARE: Final[dict[str, str]] = {**_DIGESTS, SignatureOid.PKIX_NO_SIGNATURE: "sha1"}
_DEFAULTS: Final[dict[tuple[str, str], str]] = {
    (RSA, "sha1"): SignatureOid.RSA_SHA1RSA,
    (RSA, "sha256"): SignatureOid.RSA_SHA256RSA,
    (ECDSA, "sha256"): SignatureOid.ECDSA_SHA256,
}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How something is signed.

    ``family``: RSA (PKCS#1 v1.5), PSS, ECDSA, EdDSA, or BARE, the digest alone; ``digest``: name in ``hashlib``;
    ``salt``: bytes, of PSS.
    """

    family: str
    digest: str
    salt: int = 0

    def hash(self, data: bytes) -> bytes:
        """Digest of ``data``."""
        return hashlib.new(self.digest, data, usedforsecurity=False).digest()


def identifier(algorithm: object) -> CryptAlgorithmIdentifier:
    """An algorithm, however it was given: a structure, or an OID alone.

    Raises:
        BadParameter: E_INVALIDARG, neither.
    """
    if isinstance(algorithm, str):
        return CryptAlgorithmIdentifier(str(algorithm))
    if isinstance(algorithm, CryptAlgorithmIdentifier):
        return algorithm
    raise BadParameter(Code.E_INVALIDARG, "an algorithm is an OID, or a CryptAlgorithmIdentifier")


def scheme_of(algorithm: CryptAlgorithmIdentifier) -> Scheme:
    """What a signature algorithm means.

    Raises:
        WinError: NTE_BAD_ALGID, none, unknown, or with parameters that nobody has.
    """
    oid = str(algorithm.oid)
    if oid in _BARE:
        return Scheme(BARE, _BARE[oid])
    if oid == SignatureOid.RSA_SSA_PSS:
        return _pss(algorithm.parameters)
    family, digest = certificate.SIGNATURE_ALGORITHMS.get(oid, ("", ""))
    if family not in (RSA, ECDSA, EDDSA):
        raise _bad_algorithm(f"{oid!r} is no signature algorithm that is offered")
    return Scheme(family, digest.lower())


def _bad_algorithm(detail: str) -> WinError:
    return WinError.of(Code.NTE_BAD_ALGID, detail)


def _pss(parameters: bytes) -> Scheme:
    """RSASSA-PSS-params; what is missing is SHA-1 with a salt of 20 bytes."""
    try:
        parts = {node.tag: der.read(node.source, node.body, node.end) for node in _members(parameters)}
        digest = _hash_in(parts.get(0xA0))
        mask = _mask_in(parts.get(0xA1))
        salt = int.from_bytes(parts[0xA2].content, "big", signed=True) if 0xA2 in parts else 20
    except BadData as error:
        raise _bad_algorithm("the parameters of RSASSA-PSS cannot be read") from error
    if mask != digest or not 0 <= salt <= MAX_SALT_BYTES:
        raise _bad_algorithm("RSASSA-PSS with two different hashes, or a salt of such a length, is not offered")
    return Scheme(PSS, digest, salt)


def _members(parameters: bytes) -> list[der.Node]:
    return der.read(parameters).children() if parameters else []


def _hash_in(node: der.Node | None) -> str:
    """The hash in an AlgorithmIdentifier."""
    if node is None:
        return "sha1"
    parts = node.children()
    oid = der.oid_text(der.expect(parts[0], der.OID, "a hash").content) if parts else ""
    if oid not in _DIGESTS:
        raise _bad_algorithm(f"{oid!r} is no hash that is offered")
    return _DIGESTS[oid]


def _mask_in(node: der.Node | None) -> str:
    if node is None:
        return "sha1"
    parts = node.children()
    if len(parts) != 2 or der.oid_text(parts[0].content) != MGF1_OID:
        raise _bad_algorithm("RSASSA-PSS without MGF1 is not offered")
    return _hash_in(parts[1])


def default_algorithm(key: CertPublicKeyInfo, digest: str = "sha256") -> CryptAlgorithmIdentifier:
    """The algorithm by which a key signs certificates when nobody says how.

    Raises:
        WinError: NTE_BAD_ALGID, keys of this kind sign none.
    """
    oid = _DEFAULTS.get((certificate.key_family(key), digest))
    if oid is None or key.algorithm not in (certificate.OID_RSA, certificate.OID_EC):
        raise _bad_algorithm(f"there is no usual signature algorithm for keys of kind {key.algorithm}")
    return complete(CryptAlgorithmIdentifier(str(oid)))


def complete(algorithm: CryptAlgorithmIdentifier) -> CryptAlgorithmIdentifier:
    """The algorithm as certificates name it: RSA, and no signature at all, have the parameter NULL (RFC 4055, 5)."""
    if algorithm.parameters or scheme_of(algorithm).family not in (RSA, BARE):
        return algorithm
    return CryptAlgorithmIdentifier(algorithm.oid, NULL)


# --- verifying --------------------------------------------------------------------------------------------------------


def check(content: CertSignedContent, key: CertPublicKeyInfo) -> None:
    """Raise unless ``content``, whose signature is in the order of X.509, is signed by ``key``.

    Raises:
        WinError: NTE_BAD_SIGNATURE; NTE_BAD_ALGID.
        BadData: CRYPT_E_ASN1_*, the key cannot be read.
    """
    scheme = scheme_of(content.algorithm)
    if scheme.family == BARE:
        raise _bad_algorithm("this is not signed by any key")
    public_key = load_key(key)
    verify = _VERIFIERS[scheme.family]
    try:
        verify(public_key, content.signature, content.to_be_signed, scheme)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as error:
        raise bad_signature() from error


def check_unsigned(content: CertSignedContent) -> None:
    """Raise unless ``content`` says that it carries no signature, and carries none, or the digest in its place.

    Raises:
        BadParameter: E_INVALIDARG, it is signed, or says so.
        WinError: NTE_BAD_SIGNATURE, it carries something else.
    """
    if content.algorithm.oid != SignatureOid.PKIX_NO_SIGNATURE:
        raise BadParameter(Code.E_INVALIDARG, "whose signature it is must be said")
    digest = scheme_of(content.algorithm).hash(content.to_be_signed)
    if content.signature not in (b"", digest, digest[::-1]):
        raise bad_signature()


def bad_signature() -> WinError:
    """The error for a signature that is another's, or of something else."""
    return WinError.of(Code.NTE_BAD_SIGNATURE, "the signature is not of this content by this key")


def load_key(key: CertPublicKeyInfo) -> PublicKeyTypes:
    """The key itself.

    Raises:
        BadData: CRYPT_E_ASN1_EOD, it is empty; CRYPT_E_ASN1_BADTAG, it cannot be read.
        WinError: NTE_BAD_ALGID, a kind of key that is not known.
    """
    if not key.public_key:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "the key has no bits")
    try:
        return load_der_public_key(key.to_der())
    except UnsupportedAlgorithm as error:
        raise _bad_algorithm(f"keys of kind {key.algorithm} are not known here") from error
    except (ValueError, TypeError) as error:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "the key cannot be read") from error


def _check_rsa(key: PublicKeyTypes, signature: bytes, data: bytes, scheme: Scheme) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature
    key.verify(signature, data, padding.PKCS1v15(), _HASHES[scheme.digest])


def _check_pss(key: PublicKeyTypes, signature: bytes, data: bytes, scheme: Scheme) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature
    algorithm = _HASHES[scheme.digest]
    key.verify(signature, data, padding.PSS(padding.MGF1(algorithm), scheme.salt), algorithm)


def _check_ecdsa(key: PublicKeyTypes, signature: bytes, data: bytes, scheme: Scheme) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidSignature
    key.verify(signature, data, ec.ECDSA(_HASHES[scheme.digest]))


def _check_eddsa(key: PublicKeyTypes, signature: bytes, data: bytes, scheme: Scheme) -> None:  # noqa: ARG001
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidSignature
    key.verify(signature, data)


_VERIFIERS: Final = {RSA: _check_rsa, PSS: _check_pss, ECDSA: _check_ecdsa, EDDSA: _check_eddsa}

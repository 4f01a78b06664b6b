"""Public keys out of handles, and signatures of certificates: one body for HCRYPTPROV and NCRYPT keys.

A handle is an open provider with a key spec, or an open CNG key. Signing goes through the functions of its own world, so
that their PIN rules and their algorithms hold.

Source: CryptExportPublicKeyInfoEx, CryptImportPublicKeyInfoEx, CryptSignCertificate, CryptSignAndEncodeCertificate
(wincrypt.h); RFC 5280, 4.1.1.3; RFC 3279, 2.2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.provider.csp.calls import hashes, transport
from calais.provider.csp.calls.keys import slot
from calais.provider.csp.context import ADVAPI32, CspContext, CspKey
from calais.provider.ksp import using
from calais.provider.ksp.handles import NCryptKey
from calais.store import certificate, signatures, verifying
from calais.store import der as lenient
from calais.store.coding import structures
from calais.store.signatures import Scheme
from calais.win import der, flags
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.structs import (
    CertInfo,
    CertPublicKeyInfo,
    CertSignedContent,
    CryptAlgorithmIdentifier,
    Pkcs1PaddingInfo,
    PssPaddingInfo,
)

X500_RSA: Final = "2.5.8.1.1"
_RSA_KEYS: Final = (certificate.OID_RSA, X500_RSA)
_RSA_BLOB, _SIGNED, _INFO, _ECC = 19, 1, 2, 47
_SIGNED_STRUCTURES: Final = (2, 3, 4)  # X509_CERT_TO_BE_SIGNED, …_CRL_TO_BE_SIGNED, …_CERT_REQUEST_TO_BE_SIGNED
_ALG_IDS: Final = {
    "md5": flags.CALG_MD5,
    "sha1": flags.CALG_SHA1,
    "sha256": flags.CALG_SHA_256,
    "sha384": flags.CALG_SHA_384,
    "sha512": flags.CALG_SHA_512,
}
_RSA_ALG_IDS: Final = (flags.CALG_RSA_KEYX, flags.CALG_RSA_SIGN)


class SigningKey(Protocol):
    """A key behind a handle. Signatures are big-endian, of ECDSA r‖s."""

    def public_key(self) -> PublicKeyTypes:
        """The public half.

        Raises:
            WinError: NTE_NO_KEY, there is none; what the card says.
        """

    def sign(self, data: bytes, scheme: Scheme) -> bytes:
        """The signature of ``data``, with the PIN where one is wanted.

        Raises:
            WinError: NTE_BAD_ALGID, not by this key; NTE_NO_KEY; what the card says.
        """


@dataclass(frozen=True, slots=True)
class CspSigningKey:
    """A slot of an open provider."""

    context: CspContext
    key_spec: int

    def public_key(self) -> PublicKeyTypes:
        """See ``SigningKey``."""
        with self.context.guard():
            return slot(self.context, self.key_spec).public_key

    def sign(self, data: bytes, scheme: Scheme) -> bytes:
        """See ``SigningKey``: as CryptSignHash, but in the other byte order."""
        if scheme.family != signatures.RSA:
            raise _not_by_this_key("CryptoAPI signs with RSA and PKCS#1 v1.5 only")
        self.public_key()
        with hashes.create(ADVAPI32, self.context, _ALG_IDS[scheme.digest], None, 0) as made:
            hashes.hash_data(ADVAPI32, self.context, made, data, 0)
            return hashes.sign(ADVAPI32, self.context, made, self.key_spec, None, 0)[::-1]


@dataclass(frozen=True, slots=True)
class CngSigningKey:
    """An open CNG key."""

    key: NCryptKey

    def public_key(self) -> PublicKeyTypes:
        """See ``SigningKey``."""
        return self.key.material.public_key

    def sign(self, data: bytes, scheme: Scheme) -> bytes:
        """See ``SigningKey``."""
        way = _CNG_WAYS.get(scheme.family)
        if way is None or way.is_rsa != self.key.algorithm.is_rsa:
            raise _not_by_this_key(f"a key of {self.key.algorithm.name} makes no such signatures")
        return using.sign_hash(self.key, way.info(scheme), scheme.hash(data), way.flags)


@dataclass(frozen=True, slots=True)
class _Way:
    """How NCryptSignHash is told a scheme."""

    is_rsa: bool
    flags: int
    info: Callable[[Scheme], object]


def _pkcs1(scheme: Scheme) -> Pkcs1PaddingInfo:
    return Pkcs1PaddingInfo(scheme.digest.upper())


def _pss(scheme: Scheme) -> PssPaddingInfo:
    return PssPaddingInfo(scheme.digest.upper(), scheme.salt)


_CNG_WAYS: Final = {
    signatures.RSA: _Way(is_rsa=True, flags=flags.NCRYPT_PAD_PKCS1_FLAG, info=_pkcs1),
    signatures.PSS: _Way(is_rsa=True, flags=flags.NCRYPT_PAD_PSS_FLAG, info=_pss),
    signatures.ECDSA: _Way(is_rsa=False, flags=0, info=lambda _: None),
}


def _not_by_this_key(detail: str) -> WinError:
    return WinError.of(Code.NTE_BAD_ALGID, detail)


# --- handles ----------------------------------------------------------------------------------------------------------


def check_handle(handle: object) -> None:
    """Raise for what is neither NULL nor an open handle.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER.
    """
    if handle is not None and not (isinstance(handle, CspContext | NCryptKey) and handle.is_open):
        raise _no_handle()


def _no_handle() -> BadParameter:
    return BadParameter(Code.ERROR_INVALID_PARAMETER, "this is neither an open provider nor an open CNG key")


def key_behind(handle: object, key_spec: int) -> SigningKey:
    """The key behind a handle; of a CNG key the key spec says nothing.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER, no open handle.
    """
    check_handle(handle)
    if isinstance(handle, NCryptKey):
        return CngSigningKey(handle)
    if isinstance(handle, CspContext):
        return CspSigningKey(handle, key_spec)
    raise _no_handle()


def info_of(public_key: PublicKeyTypes) -> CertPublicKeyInfo:
    """A public key as certificates have it."""
    return CertPublicKeyInfo.from_der(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


# --- export and import ------------------------------------------------------------------------------------------------


def export_public_key(handle: object, key_spec: int, encoding: int, oid: str | None = None) -> CertPublicKeyInfo:
    """CryptExportPublicKeyInfoEx.

    Args:
        handle: a provider, or a CNG key.
        key_spec: AT_*; of a CNG key 0 or CERT_NCRYPT_KEY_SPEC.
        encoding: X509_ASN_ENCODING.
        oid: the algorithm to name, instead of the key's own.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no handle, or a key spec that does not go with it; ERROR_FILE_NOT_FOUND no
            encoding; NTE_BAD_KEY no key spec; NTE_NO_KEY an empty slot; what the card says.
    """
    key = key_behind(handle, key_spec)
    if isinstance(key, CngSigningKey) and key_spec not in (0, flags.CERT_NCRYPT_KEY_SPEC):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "a CNG key has no key spec of CryptoAPI")
    _check_encoding(encoding)
    if not isinstance(oid, str | None):
        raise BadParameter(Code.E_INVALIDARG, "an algorithm is named by its OID")
    der.encode_oid(oid or "")
    info = info_of(key.public_key())
    return replace(info, algorithm=str(oid)) if oid else info


def _check_encoding(encoding: object) -> None:
    if not isinstance(encoding, int) or not encoding & flags.X509_ASN_ENCODING:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, "nothing is known of this encoding")


def import_public_key(handle: object, encoding: int, info: object, alg_id: int = 0) -> CspKey:
    """CryptImportPublicKeyInfoEx: RSA keys, for exchange unless ``alg_id`` says something else.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no provider; ERROR_FILE_NOT_FOUND no encoding, or another kind of key;
            NTE_BAD_ALGID no ALG_ID of RSA.
        BadData: CRYPT_E_ASN1_*, the key cannot be read.
    """
    if handle is not None and not (isinstance(handle, CspContext) and handle.is_open):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "this is no open provider")
    _check_encoding(encoding)
    key = verifying.public_key_of(info)
    if key.algorithm not in _RSA_KEYS:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, f"CryptoAPI has no keys of kind {key.algorithm}")
    if alg_id not in (0, *_RSA_ALG_IDS):
        raise _not_by_this_key(f"ALG_ID 0x{alg_id:X} is none of RSA")
    if handle is None:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "a provider is needed")
    blob = structures.decode(encoding, _RSA_BLOB, key.public_key)
    if not isinstance(blob, bytes):
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "this is no RSA key")
    at = len(_HEADER)
    wanted = (alg_id or flags.CALG_RSA_KEYX).to_bytes(4, "little")
    return transport.import_key(ADVAPI32, handle, blob[:at] + wanted + blob[at + 4 :], None, 0)


_HEADER: Final = bytes((flags.PUBLICKEYBLOB, flags.CUR_BLOB_VERSION, 0, 0))  # before the ALG_ID


# --- signing ----------------------------------------------------------------------------------------------------------


def sign_certificate(handle: object, key_spec: int, data: object, algorithm: object) -> bytes:
    """CryptSignCertificate: RSA little-endian, whatever the key is; ECDSA r‖s; by a hash alone, its digest.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no handle; NTE_BAD_ALGID; NTE_NO_KEY; what the card says.
        BadParameter: E_INVALIDARG, no bytes.
    """
    check_handle(handle)
    scheme = signatures.scheme_of(signatures.identifier(algorithm))
    made = _signature(handle, key_spec, _bytes(data), scheme)
    return made[::-1] if scheme.family in (signatures.RSA, signatures.PSS) else made


def _signature(handle: object, key_spec: int, data: bytes, scheme: Scheme) -> bytes:
    """Big-endian, ECDSA r‖s; what is not signed needs no key."""
    if scheme.family == signatures.BARE:
        return scheme.hash(data)
    return key_behind(handle, key_spec).sign(data, scheme)


def _bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise BadParameter(Code.E_INVALIDARG, "what is to be signed is bytes")
    return bytes(data)


def sign_and_encode(
    handle: object, key_spec: int, encoding: int, structure: object, value: object, algorithm: object
) -> bytes:
    """CryptSignAndEncodeCertificate: the part to be signed, algorithm and signature, as X.509 wants them.

    Args:
        handle: a provider or CNG key; ``None`` where nothing is signed.
        key_spec: AT_*.
        encoding: X509_ASN_ENCODING.
        structure: X509_CERT_TO_BE_SIGNED, X509_CERT_CRL_TO_BE_SIGNED or X509_CERT_REQUEST_TO_BE_SIGNED.
        value: DER of that, or of a certificate its ``CertInfo``.
        algorithm: how.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no encoding, or another structure; as ``sign_certificate``.
        BadData: CRYPT_E_ASN1_*, the DER is no SEQUENCE.
    """
    check_handle(handle)
    _check_encoding(encoding)
    if structure not in _SIGNED_STRUCTURES:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, f"nothing that is signed is known as structure {structure!r}")
    by = signatures.identifier(algorithm)
    scheme = signatures.scheme_of(by)
    part, by = _to_be_signed(structure, value, by)
    return _assembled(part, by, _signature(handle, key_spec, part, scheme))


def signed_by(key: SigningKey, part: bytes, by: CryptAlgorithmIdentifier) -> bytes:
    """``part`` with its algorithm and signature (DER). Errors as ``SigningKey.sign``."""
    scheme = signatures.scheme_of(by)
    made = scheme.hash(part) if scheme.family == signatures.BARE else key.sign(part, scheme)
    return _assembled(part, by, made)


def _assembled(part: bytes, by: CryptAlgorithmIdentifier, signature: bytes) -> bytes:
    if signatures.scheme_of(by).family == signatures.ECDSA:
        signature = ecdsa_der(signature)
    content = CertSignedContent(part, by, signature)
    return structures.encode(flags.X509_ASN_ENCODING, _SIGNED, content, structures.NO_SIGNATURE_BYTE_REVERSAL)


def _to_be_signed(
    structure: object, value: object, by: CryptAlgorithmIdentifier
) -> tuple[bytes, CryptAlgorithmIdentifier]:
    """The DER, and the algorithm as it is named beside it: as in it, else complete."""
    if isinstance(value, CertInfo) and structure == _INFO:
        named = value.signature_algorithm or signatures.complete(by)
        value = structures.encode(flags.X509_ASN_ENCODING, _INFO, replace(value, signature_algorithm=named))
    part = _bytes(value)
    node = lenient.read(part)
    if node.tag != lenient.SEQUENCE or node.end != len(part):
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "what is to be signed is one SEQUENCE", index=0)
    return part, _named_inside(node, by) or signatures.complete(by)


def _named_inside(node: lenient.Node, by: CryptAlgorithmIdentifier) -> CryptAlgorithmIdentifier | None:
    """The same algorithm as a certificate or CRL names it in the signed part; both must agree to the byte."""
    oid = der.build(der.TAG_OID, der.encode_oid(by.oid))
    for child in node.children()[:3]:
        inside = child.content
        if child.tag == lenient.SEQUENCE and inside.startswith(oid) and not by.parameters:
            return CryptAlgorithmIdentifier(by.oid, inside[len(oid) :])
    return None


def ecdsa_der(signature: bytes) -> bytes:
    """r‖s as Ecdsa-Sig-Value (RFC 3279, 2.2.3)."""
    half = len(signature) // 2
    numbers = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return structures.encode(flags.X509_ASN_ENCODING, _ECC, numbers)

"""Signing, verifying and decrypting files with keys of any home, as other programs expect the results.

*raw* is what ``openssl dgst -sign`` makes: the bare signature, PKCS#1 v1.5 or PSS (salt as long as the hash) for RSA,
DER for ECDSA. *cms* is a detached SignedData in DER, with the certificate in it, which ``openssl cms -verify`` takes.

Source: RFC 8017, 8 and 9 (RSA); FIPS 186-5, 6 (ECDSA); RFC 5652, 5 and 6 (CMS).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from calais.apps.certificates import load_certificate
from calais.apps.cms import HASHES, parse_signed, verify
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, Unsupported, WinError

CHUNK = 1 << 20
HASH_NAMES = ("sha256", "sha384", "sha512", "sha1")
PADDING_NAMES = ("pkcs1", "pss")
DECRYPTION_PADDING_NAMES = ("pkcs1", "oaep")


def digest_file(stream: BinaryIO, hash_name: str) -> bytes:
    """The hash of all that is left in ``stream``."""
    state = hashlib.new(hash_name, usedforsecurity=False)
    while chunk := stream.read(CHUNK):
        state.update(chunk)
    return state.digest()


def _rsa_padding(name: str, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    return padding.PSS(padding.MGF1(digest), digest.digest_size) if name == "pss" else padding.PKCS1v15()


def sign_raw(key: PrivateKeyTypes, stream: BinaryIO, hash_name: str, padding_name: str = "pkcs1") -> bytes:
    """The bare signature of all that is left in ``stream``.

    Raises:
        Unsupported: a kind of key that does not sign.
        WinError: whatever the key raises.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(stream.read())
    digest = HASHES[hash_name]
    value = digest_file(stream, hash_name)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(value, _rsa_padding(padding_name, digest), Prehashed(digest))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(value, ec.ECDSA(Prehashed(digest)))
    raise Unsupported(detail="this kind of key does not sign")


def sign_cms(
    key: PrivateKeyTypes, certificate: bytes, stream: BinaryIO, hash_name: str, padding_name: str = "pkcs1"
) -> bytes:
    """A detached SignedData over all that is left in ``stream``, DER.

    Raises:
        Unsupported: a kind of key or hash that CMS signatures are not made with here.
        WinError: whatever the key raises.
    """
    digest = HASHES[hash_name]
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or isinstance(digest, hashes.SHA1):
        raise Unsupported(detail="CMS signatures are made with RSA or EC keys and SHA-2 only")
    how = padding.PSS(padding.MGF1(digest), digest.digest_size) if padding_name == "pss" else None
    builder = pkcs7.PKCS7SignatureBuilder().set_data(stream.read())
    builder = builder.add_signer(
        load_certificate(certificate), key, digest, rsa_padding=how if isinstance(key, rsa.RSAPrivateKey) else None
    )
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])


def verify_raw(
    key: PublicKeyTypes, stream: BinaryIO, signature: bytes, hash_name: str, padding_name: str = "pkcs1"
) -> None:
    """Check the bare signature of all that is left in ``stream``.

    Raises:
        WinError: NTE_BAD_SIGNATURE.
        Unsupported: a kind of key that does not sign.
    """
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, stream.read())
            return
        digest = HASHES[hash_name]
        value = digest_file(stream, hash_name)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, value, _rsa_padding(padding_name, digest), Prehashed(digest))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, value, ec.ECDSA(Prehashed(digest)))
        else:
            raise Unsupported(detail="this kind of key does not sign")
    except InvalidSignature as error:
        raise WinError(Code.NTE_BAD_SIGNATURE, "the signature is not valid for this file and certificate") from error


def verify_cms(certificate: bytes, stream: BinaryIO, signature: bytes) -> None:
    """Check a detached SignedData with ``certificate``.

    Raises:
        WinError: NTE_BAD_SIGNATURE.
        BadData: it is no SignedData.
    """
    verify(parse_signed(signature), stream.read(), certificate)


def certificate_in(signature: bytes) -> bytes | None:
    """The signer's certificate that a CMS signature brings, or ``None``."""
    try:
        return parse_signed(signature).certificate
    except BadData:
        return None


def verify_file(certificate: bytes, stream: BinaryIO, signature: bytes, hash_name: str, padding_name: str) -> None:
    """Check a signature of either kind; hash and padding count for a bare one.

    Raises:
        WinError: NTE_BAD_SIGNATURE.
        BadData: the certificate cannot be read.
        Unsupported: its key does not sign.
    """
    try:
        parse_signed(signature)
    except BadData:
        verify_raw(load_certificate(certificate).public_key(), stream, signature, hash_name, padding_name)
        return
    verify_cms(certificate, stream, signature)


def decrypt_raw(key: PrivateKeyTypes, ciphertext: bytes, padding_name: str, hash_name: str) -> bytes:
    """Decrypt one RSA block.

    Raises:
        BadParameter: not an RSA key, or the ciphertext is not as long as its modulus.
        WinError: whatever the key raises.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadParameter(detail="only RSA keys decrypt; keys on curves agree on secrets")
    digest = HASHES[hash_name]
    how = padding.OAEP(padding.MGF1(digest), digest, None) if padding_name == "oaep" else padding.PKCS1v15()
    return key.decrypt(ciphertext, how)


def decrypt_cms(key: PrivateKeyTypes, certificate: bytes, message: bytes) -> bytes:
    """Decrypt a CMS EnvelopedData (DER or PEM) that was made for ``certificate``.

    Raises:
        BadData: it is none, or it was not made for this certificate.
        WinError: whatever the key raises.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadParameter(detail="only RSA keys decrypt enveloped files here")
    decrypt = pkcs7.pkcs7_decrypt_pem if message.startswith(b"-----") else pkcs7.pkcs7_decrypt_der
    try:
        return decrypt(message, load_certificate(certificate), key, [])
    except (ValueError, TypeError) as error:
        raise BadData(detail="the file is no CMS EnvelopedData for this certificate") from error


def load_certificate_file(path: Path) -> bytes:
    """The first certificate in a PEM or DER file, as DER.

    Raises:
        BadData: there is none.
    """
    data = path.read_bytes()
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)[0].public_bytes(Encoding.DER)
    except (ValueError, IndexError) as error:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, f"{path} holds no certificate") from error
    load_certificate(data)
    return data

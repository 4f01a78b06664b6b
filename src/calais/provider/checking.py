"""Whether a signature is what it should be, by the public key. Pure.

Source: RFC 8017, 8.1.2 and 8.2.2; FIPS 186-5, 6.4.2 (the leftmost bits of a digest that is too long).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from calais.minidriver.padding import Pkcs1, Pss, SigningPadding

HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - TLS 1.0 certificates of old cards
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def is_signature(public_key: PublicKeyTypes, signature: bytes, data: bytes, how: SigningPadding) -> bool:
    """Whether ``signature``, as ``Minidriver.sign`` returns it, signs ``data`` padded as ``how`` says."""
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            return _check_rsa(public_key, signature, data, how)
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            _check_ec(public_key, signature, data)
        elif isinstance(public_key, ed25519.Ed25519PublicKey):
            public_key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _check_rsa(public_key: rsa.RSAPublicKey, signature: bytes, data: bytes, how: SigningPadding) -> bool:
    if isinstance(how, Pkcs1) and how.hash:
        public_key.verify(signature, data, padding.PKCS1v15(), Prehashed(HASHES[how.hash]))
        return True
    if isinstance(how, Pss):
        algorithm = HASHES[how.hash]
        public_key.verify(signature, data, padding.PSS(padding.MGF1(algorithm), how.salt_length), Prehashed(algorithm))
        return True
    if isinstance(how, Pkcs1):
        return public_key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == data
    numbers = public_key.public_numbers()
    return pow(int.from_bytes(signature, "big"), numbers.e, numbers.n) == int.from_bytes(data, "big")


def _check_ec(public_key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    width = (public_key.curve.key_size + 7) // 8
    if len(signature) != 2 * width:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    digest = data or b"\0"
    # SHAKE256 stands for "a digest of this length": the library wants a hash, and of it takes the length only
    public_key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHAKE256(len(digest)))))

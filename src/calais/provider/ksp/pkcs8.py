"""PKCS#8: private keys as PrivateKeyInfo, plain or encrypted with a password.

What an EC key is for is not part of PKCS#8. Windows says it in the attribute key usage (2.5.29.15), and so do we: digital
signature for ECDSA, key agreement for ECDH; a key without it is taken for ECDSA.

Source: RFC 5958 (PKCS#8), RFC 8018 (PBES2, PBKDF2), RFC 7292, appendix C (pbeWithSHAAnd3-KeyTripleDES-CBC); ncrypt.h
(NCRYPTBUFFER_PKCS_*).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from asn1crypto import algos, core, keys, pkcs12
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import pkcs12 as pfx

from calais.provider.ksp.errors import bad_parameter, not_supported
from calais.win.blobs import PrivateKey, Scheme
from calais.win.codes import Code
from calais.win.der import build as build_der
from calais.win.der import encode_oid
from calais.win.errors import BadData, WinError

KEY_USAGE = "2.5.29.15"
# X.509 KeyUsage, a BIT STRING: bit 0 digitalSignature, bit 4 keyAgreement.
_USAGES: Mapping[Scheme, bytes] = {"ECDSA": bytes.fromhex("03020780"), "ECDH": bytes.fromhex("03020308")}
ROUNDS = 600_000  # of PBKDF2 with SHA-256
OLD_ROUNDS = 2048  # of the KDF of PKCS#12
MOST_ROUNDS = 10_000_000  # a blob that wants more is no blob but an attack
KEY_BYTES, BLOCK_BYTES, SALT_BYTES = 32, 16, 16
# What asn1crypto and cryptography raise for bytes that are not what they claim.
_NOT_ASN1 = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


# --- export ----------------------------------------------------------------------------------------------------------


def build(key: PrivateKey, scheme: Scheme) -> bytes:
    """PrivateKeyInfo (DER); that of an EC key says what it is for."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, rsa.RSAPrivateKey):
        return der
    # put together by hand: asn1crypto would write the private number anew, without its leading zeros
    usage = build_der(0x30, build_der(0x06, encode_oid(KEY_USAGE)), build_der(0x31, _USAGES[scheme]))
    return build_der(0x30, core.Sequence.load(der).contents, build_der(0xA0, usage))


def encrypt(key: PrivateKey, scheme: Scheme, password: bytes, oid: str | None) -> bytes:
    """EncryptedPrivateKeyInfo (DER).

    Args:
        key: the key.
        scheme: what an EC key is for.
        password: UTF-8.
        oid: of the encryption: PBES2, AES-256-CBC, or pbeWithSHAAnd3-KeyTripleDES-CBC; ``None`` = PBES2.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, another one.
    """
    method = _METHODS.get(oid)
    if method is None:
        raise not_supported(f"encryption of keys by {oid!r} is not offered")
    return method(key, scheme, password)


def _by_pbes2(key: PrivateKey, scheme: Scheme, password: bytes) -> bytes:
    salt, vector = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(BLOCK_BYTES)
    padder = padding.PKCS7(8 * BLOCK_BYTES).padder()
    cipher = _aes(password, salt, ROUNDS, vector).encryptor()
    sealed = cipher.update(padder.update(build(key, scheme)) + padder.finalize()) + cipher.finalize()
    kdf = {"salt": algos.Pbkdf2Salt(name="specified", value=salt), "iteration_count": ROUNDS}
    kdf["prf"] = {"algorithm": "sha256", "parameters": core.Null()}
    parameters = {
        "key_derivation_func": {"algorithm": "pbkdf2", "parameters": kdf},
        "encryption_scheme": {"algorithm": "aes256_cbc", "parameters": vector},
    }
    algorithm = {"algorithm": "pbes2", "parameters": parameters}
    return bytes(keys.EncryptedPrivateKeyInfo({"encryption_algorithm": algorithm, "encrypted_data": sealed}).dump())


def _aes(password: bytes, salt: bytes, rounds: int, vector: bytes) -> Cipher[modes.CBC]:
    key = hashlib.pbkdf2_hmac("sha256", password, salt, rounds, KEY_BYTES)
    return Cipher(algorithms.AES(key), modes.CBC(vector))


def _by_triple_des(key: PrivateKey, _: Scheme, password: bytes) -> bytes:
    """As in a PKCS#12 file, from which it is taken; it has no attributes."""
    how = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(OLD_ROUNDS).hmac_hash(hashes.SHA256())
    sealed = how.key_cert_algorithm(pfx.PBES.PBESv1SHA1And3KeyTripleDESCBC).build(password)
    file = pkcs12.Pfx.load(pfx.serialize_key_and_certificates(None, key, None, None, sealed))
    for safe in file.authenticated_safe:
        for bag in pkcs12.SafeContents.load(safe["content"].native):
            if bag["bag_id"].native == "pkcs8_shrouded_key_bag":
                return bytes(bag["bag_value"].untag().dump())
    raise WinError.of(Code.NTE_FAIL, "the library made a PKCS#12 file without a key")


_METHODS: Mapping[str | None, Callable[[PrivateKey, Scheme, bytes], bytes]] = {
    None: _by_pbes2,
    "1.2.840.113549.1.5.13": _by_pbes2,
    "2.16.840.1.101.3.4.1.42": _by_pbes2,
    "1.2.840.113549.1.12.1.3": _by_triple_des,
}


# --- import ----------------------------------------------------------------------------------------------------------


def parse(data: bytes, password: bytes | None = None) -> tuple[PrivateKey, Scheme]:
    """The key in a PrivateKeyInfo or EncryptedPrivateKeyInfo, and what an EC key is for.

    Raises:
        BadParameter: ``NTE_INVALID_PARAMETER``, it is encrypted, and there is no password.
        BadData: neither of them.
        WinError: ``NTE_INCORRECT_PASSWORD``.
        Unsupported: ``NTE_NOT_SUPPORTED``, a kind of key that CNG does not have.
    """
    if not _is_encrypted(data):
        return _loaded(data, None), _scheme(data)
    if password is None:
        raise bad_parameter("this key is encrypted; NCRYPTBUFFER_PKCS_SECRET is missing")
    _check_rounds(data)
    opened = _opened(data, password)
    if opened is not None:
        return _loaded(opened, None), _scheme(opened)
    try:
        return _loaded(data, password), "ECDSA"
    except BadData as error:
        raise WinError.of(Code.NTE_INCORRECT_PASSWORD, "the password is not that of this key") from error


def _is_encrypted(data: bytes) -> bool:
    """EncryptedPrivateKeyInfo begins with a SEQUENCE, PrivateKeyInfo with an INTEGER."""
    try:
        first = core.Sequence.load(data)[0]
    except _NOT_ASN1 as error:
        raise BadData(Code.NTE_BAD_DATA, "this is no PKCS#8 key") from error
    return isinstance(first, core.Sequence)


def _loaded(data: bytes, password: bytes | None) -> PrivateKey:
    try:
        key = serialization.load_der_private_key(data, password)
    except (UnsupportedAlgorithm, *_NOT_ASN1) as error:
        raise BadData(Code.NTE_BAD_DATA, "this is no PKCS#8 key") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise not_supported(f"CNG has no keys of the kind {type(key).__name__}")
    return key


def _scheme(data: bytes) -> Scheme:
    try:
        attributes: Any = keys.PrivateKeyInfo.load(data)["attributes"]
        usages = [
            attribute["values"][0].dump()
            for attribute in attributes or ()
            if attribute["type"].dotted == KEY_USAGE and len(attribute["values"])
        ]
    except _NOT_ASN1:
        return "ECDSA"
    return "ECDH" if any(_agrees(usage) for usage in usages) else "ECDSA"


def _agrees(usage: bytes) -> bool:
    """Whether a key usage (a BIT STRING) has keyAgreement (08), and not digitalSignature (80)."""
    return len(usage) > 3 and usage[3] & 0x88 == 0x08


def _parameters(data: bytes) -> Any:  # noqa: ANN401 - asn1crypto has no types
    """Those of the encryption; ``None`` when they are unreadable."""
    try:
        return keys.EncryptedPrivateKeyInfo.load(data, strict=True)["encryption_algorithm"].native
    except _NOT_ASN1:
        return None


def _check_rounds(data: bytes) -> None:
    found = _parameters(data)
    if found is None or not isinstance(found.get("parameters"), dict):
        raise BadData(Code.NTE_BAD_DATA, "the encryption of this key is not known")
    inner = found["parameters"].get("key_derivation_func", {}).get("parameters") or {}
    rounds = [
        place.get(name, 0) for place in (found["parameters"], inner) for name in ("iterations", "iteration_count")
    ]
    if any(not isinstance(count, int) or not 0 <= count <= MOST_ROUNDS for count in rounds):
        raise BadData(Code.NTE_BAD_DATA, "a key that takes so many rounds to open")


def _opened(data: bytes, password: bytes) -> bytes | None:
    """PrivateKeyInfo, where it was encrypted as ``_by_pbes2`` does; ``None`` otherwise, and for a wrong password."""
    info = keys.EncryptedPrivateKeyInfo.load(data)
    algorithm = info["encryption_algorithm"].native
    if algorithm["algorithm"] != "pbes2":
        return None
    kdf, scheme = (algorithm["parameters"][part] for part in ("key_derivation_func", "encryption_scheme"))
    if scheme["algorithm"] != "aes256_cbc" or kdf["algorithm"] != "pbkdf2":
        return None
    how = kdf["parameters"]
    if how["prf"]["algorithm"] != "sha256" or not isinstance(how["salt"], bytes):
        return None
    try:
        cipher = _aes(password, how["salt"], how["iteration_count"], scheme["parameters"]).decryptor()
        unpadder = padding.PKCS7(8 * BLOCK_BYTES).unpadder()
        plain = cipher.update(info["encrypted_data"].native) + cipher.finalize()
        return unpadder.update(plain) + unpadder.finalize()
    except _NOT_ASN1:
        return None

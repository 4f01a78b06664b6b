"""How CARD_SIGNING_INFO and CARD_RSA_DECRYPT_INFO name a padding; and key specs and keys that go together. Pure.

Source: Microsoft's smart card minidriver specification v7.07, ``CardSignData``, ``CardRSADecrypt``; wincrypt.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.minidriver.containers import AT_SIGNATURE
from calais.minidriver.derivation import hash_name
from calais.minidriver.padding import DecryptionPadding, Oaep, Pkcs1, Pss, Raw, SigningPadding, digest_size
from calais.win import blobs, flags
from calais.win.errors import BadData, BadParameter, Unsupported
from calais.win.structs import CardRsaDecryptInfo, CardSigningInfo, OaepPaddingInfo, Pkcs1PaddingInfo, PssPaddingInfo

SSL3_BYTES = 36  # MD5 and SHA-1, one after the other
_HASH_OF_ALG = {
    flags.CALG_MD5: "md5",
    flags.CALG_SHA1: "sha1",
    flags.CALG_SHA_256: "sha256",
    flags.CALG_SHA_384: "sha384",
    flags.CALG_SHA_512: "sha512",
}
_ECDSA_OF_CURVE = {
    "secp256r1": flags.AT_ECDSA_P256,
    "secp384r1": flags.AT_ECDSA_P384,
    "secp521r1": flags.AT_ECDSA_P521,
}
_ECDH_OF_CURVE = {
    "secp256r1": flags.AT_ECDHE_P256,
    "secp384r1": flags.AT_ECDHE_P384,
    "secp521r1": flags.AT_ECDHE_P521,
}


# --- paddings --------------------------------------------------------------------------------------------------------


def signing_padding(info: CardSigningInfo) -> SigningPadding:
    """How ``info`` wants its data padded; for EC keys there is nothing to pad.

    Raises:
        BadParameter: padding type and information do not go together, or the data has not the length of its hash.
        Unsupported: a hash that is not known.
    """
    if info.key_spec > AT_SIGNATURE:
        return Raw()
    if not info.signing_flags & flags.CARD_PADDING_INFO_PRESENT:
        return _by_alg_id(info)
    if info.version < flags.CARD_SIGNING_INFO_CURRENT_VERSION:
        raise BadParameter(detail="CARD_SIGNING_INFO of version 1 has no padding information")
    choose = _SIGNING.get(info.padding_type)
    if choose is None:
        raise BadParameter(detail=f"there is no padding type {info.padding_type} for signatures")
    return choose(info)


def _by_alg_id(info: CardSigningInfo) -> SigningPadding:
    if info.hash_alg == flags.CALG_SSL3_SHAMD5 and len(info.data) != SSL3_BYTES:
        raise BadParameter(detail=f"MD5 and SHA-1 have {SSL3_BYTES} bytes, not {len(info.data)}")
    if info.hash_alg in (0, flags.CALG_SSL3_SHAMD5):
        return Pkcs1()
    name = _HASH_OF_ALG.get(info.hash_alg)
    if name is None:
        raise Unsupported(detail=f"hash ALG_ID 0x{info.hash_alg:X} is not known here")
    return Pkcs1(_fitting(name, info.data))


def _fitting(name: str, digest: bytes) -> str:
    if len(digest) != digest_size(name):
        raise BadParameter(detail=f"a {name} digest has {digest_size(name)} bytes, not {len(digest)}")
    return name


def _raw(_: CardSigningInfo) -> SigningPadding:
    return Raw()


def _pkcs1(info: CardSigningInfo) -> SigningPadding:
    if not isinstance(info.padding_info, Pkcs1PaddingInfo):
        raise BadParameter(detail="CARD_PADDING_PKCS1 wants a Pkcs1PaddingInfo")
    algorithm = info.padding_info.algorithm
    return Pkcs1(None if algorithm is None else _fitting(hash_name(algorithm), info.data))


def _pss(info: CardSigningInfo) -> SigningPadding:
    if not isinstance(info.padding_info, PssPaddingInfo) or info.padding_info.salt < 0:
        raise BadParameter(detail="CARD_PADDING_PSS wants a PssPaddingInfo")
    return Pss(_fitting(hash_name(info.padding_info.algorithm), info.data), info.padding_info.salt)


_SIGNING: Mapping[int, Callable[[CardSigningInfo], SigningPadding]] = {
    flags.CARD_PADDING_NONE: _raw,
    flags.CARD_PADDING_PKCS1: _pkcs1,
    flags.CARD_PADDING_PSS: _pss,
}


def decryption_padding(info: CardRsaDecryptInfo) -> DecryptionPadding:
    """What is to be removed from the decrypted block; nothing in a structure of version 1.

    Raises:
        BadParameter: padding type and information do not go together.
        Unsupported: a hash that is not known.
    """
    if info.version < flags.CARD_RSA_KEY_DECRYPT_INFO_CURRENT_VERSION or info.padding_type == flags.CARD_PADDING_NONE:
        return Raw()
    if info.padding_type == flags.CARD_PADDING_PKCS1:
        return Pkcs1()
    if info.padding_type != flags.CARD_PADDING_OAEP or not isinstance(info.padding_info, OaepPaddingInfo):
        raise BadParameter(detail="padding type and padding information do not go together")
    name = hash_name(info.padding_info.algorithm)
    return Oaep(name, name, info.padding_info.label)


# --- keys and key specs ----------------------------------------------------------------------------------------------


def is_of_spec(key: PublicKeyTypes, kind: int, key_spec: int) -> bool:
    """Whether the key of a container of ``kind`` (AT_KEYEXCHANGE or AT_SIGNATURE) is one of ``key_spec``.

    A key for exchange may sign, so it has both EC key specs; a key for signatures has the one for ECDSA.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return key_spec == kind
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    ecdsa, ecdh = _ECDSA_OF_CURVE.get(key.curve.name), _ECDH_OF_CURVE.get(key.curve.name)
    return key_spec == ecdsa or (key_spec == ecdh and kind != AT_SIGNATURE)


def signature_size(key: PublicKeyTypes) -> int:
    """Length of a signature in bytes: the modulus; r and s, each as long as the field.

    Raises:
        Unsupported: neither RSA nor EC.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return (key.key_size + 7) // 8
    if isinstance(key, ec.EllipticCurvePublicKey):
        return 2 * ((key.key_size + 7) // 8)
    raise Unsupported(detail=f"Windows has no signatures of {type(key).__name__}")


def imported_key(key_spec: int, blob: bytes) -> PrivateKeyTypes:
    """The private key in ``blob``: PRIVATEKEYBLOB for RSA, BCRYPT_ECCKEY_BLOB for EC.

    Raises:
        BadParameter: none of them, or not one for ``key_spec``.
    """
    try:
        if key_spec <= AT_SIGNATURE:
            rsa_key, alg_id = blobs.parse_capi_private(blob)
            wanted = flags.CALG_RSA_SIGN if key_spec == AT_SIGNATURE else flags.CALG_RSA_KEYX
            return _matching(rsa_key, alg_id == wanted)
        key, scheme = blobs.parse_ecc_private(blob)
    except BadData as error:
        raise BadParameter(detail="not a private key blob of this kind") from error
    table = _ECDSA_OF_CURVE if scheme == "ECDSA" else _ECDH_OF_CURVE
    return _matching(key, table.get(key.curve.name) == key_spec)


def _matching(key: PrivateKeyTypes, fits: bool) -> PrivateKeyTypes:  # noqa: FBT001 - a verdict
    if not fits:
        raise BadParameter(detail="the key blob is not for this key spec")
    return key


def peer_point(blob: bytes) -> ec.EllipticCurvePublicKey:
    """The other side's public key in a BCRYPT_ECCKEY_BLOB for ECDH.

    Raises:
        BadParameter: not such a blob, a point off the curve, or a key for signatures.
    """
    try:
        key, scheme = blobs.parse_ecc_public(blob)
    except BadData as error:
        raise BadParameter(detail="the other side's key is no public ECDH key blob") from error
    if scheme != "ECDH":
        raise BadParameter(detail="the other side's key is one for signatures")
    return key

"""GIDS keys and ``cryptography`` keys: algorithm identifiers, public key templates, import data, signature forms.

Source: Generic Identity Device Specification, cryptographic mechanism identifiers; ISO/IEC 7816-8 (7F49); RFC 8017,
A.1.2 (RSAPrivateKey); RFC 5915 (ECPrivateKey); RFC 3279, 2.2.3 (ECDSA-Sig-Value).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from calais.cards.gids import spec
from calais.cards.gids.spec import Algorithm, KeyType
from calais.iso7816 import tlv
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.win.errors import BadData, BadParameter, Unsupported

_CURVE_OF: dict[int, ec.EllipticCurve] = {
    Algorithm.P256: ec.SECP256R1(),
    Algorithm.P384: ec.SECP384R1(),
    Algorithm.P521: ec.SECP521R1(),
}
_ALGORITHM_OF_CURVE = {curve.name: Algorithm(algorithm) for algorithm, curve in _CURVE_OF.items()}
_ALGORITHM_OF_RSA = {bits: Algorithm(algorithm) for algorithm, bits in spec.RSA_BITS.items()}
BITS_OF: dict[int, int] = {**spec.RSA_BITS, **spec.EC_BITS}
NAME_OF: dict[int, str] = {
    **dict.fromkeys(spec.RSA_BITS, "RSA"),
    Algorithm.P256: "P-256",
    Algorithm.P384: "P-384",
    Algorithm.P521: "P-521",
}
ALGORITHM_OF_BITS = {bits: Algorithm(algorithm) for algorithm, bits in BITS_OF.items()}
KEY_SPECS = range(1, 9)
ECDSA_SPECS = {3: Algorithm.P256, 4: Algorithm.P384, 5: Algorithm.P521}  # AT_ECDSA_P256 …
ECDH_SPECS = {6: Algorithm.P256, 7: Algorithm.P384, 8: Algorithm.P521}  # AT_ECDHE_P256 …
EXPONENT_BITS_MAX = 64
_INTEGER, _OCTET_STRING, _SEQUENCE, _OBJECT_ID, _CURVE_PARAMETERS = 0x02, 0x04, 0x30, 0x06, 0xA0
_CURVE_ID = {
    Algorithm.P256: bytes.fromhex("2A8648CE3D030107"),
    Algorithm.P384: bytes.fromhex("2B81040022"),
    Algorithm.P521: bytes.fromhex("2B81040023"),
}


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What using a key takes: its reference ``kid``, ``algorithm``, ``key_spec`` (1 or 2) and public key."""

    kid: int
    algorithm: Algorithm
    key_spec: int
    public_key: PublicKeyTypes

    @property
    def size(self) -> int:
        """Length of modulus or field in bytes."""
        return (BITS_OF[self.algorithm] + 7) // 8

    @property
    def is_rsa(self) -> bool:
        """Whether it is an RSA key."""
        return self.algorithm in spec.RSA_BITS


def slot_of(key_spec: int) -> int:
    """The place in a container for keys of ``key_spec`` 1…8: AT_KEYEXCHANGE or AT_SIGNATURE.

    Raises:
        BadParameter: not a key spec.
    """
    if key_spec not in KEY_SPECS:
        raise BadParameter(detail=f"a key spec is 1 to 8, not {key_spec}")
    return AT_SIGNATURE if key_spec == AT_SIGNATURE or key_spec in ECDSA_SPECS else AT_KEYEXCHANGE


def algorithm_of(key: PublicKeyTypes | PrivateKeyTypes) -> Algorithm:
    """The algorithm identifier of ``key``.

    Raises:
        Unsupported: GIDS has no such keys.
    """
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey) and key.key_size in _ALGORITHM_OF_RSA:
        return _ALGORITHM_OF_RSA[key.key_size]
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        found = _ALGORITHM_OF_CURVE.get(key.curve.name)
        if found is not None:
            return found
    size = getattr(key, "key_size", "")
    raise Unsupported(detail=f"a GIDS card has no such keys: {type(key).__name__} {size}".rstrip())


def algorithm_for(key_spec: int, size_bits: int) -> Algorithm:
    """The algorithm that a key spec and a size ask for; EC key specs say the size themselves.

    Raises:
        BadParameter: not a key spec, GIDS has no keys of this size, or the key spec says another one.
    """
    slot_of(key_spec)
    named = ECDSA_SPECS.get(key_spec) or ECDH_SPECS.get(key_spec)
    if named is not None:
        if size_bits not in (0, BITS_OF[named]):
            raise BadParameter(detail=f"key spec {key_spec} means {BITS_OF[named]} bits, not {size_bits}")
        return named
    choice = ALGORITHM_OF_BITS.get(size_bits)
    if choice is None:
        raise BadParameter(detail=f"GIDS cards have no keys of {size_bits} bits")
    return choice


def parse_public_key(template: bytes) -> PublicKeyTypes:
    """The public key in the content of a 7F49 template: 81 modulus, 82 exponent; or 86 point.

    Raises:
        BadData: members are missing, or they make no key that a GIDS card can have.
    """
    items = list(tlv.parse(template))
    point = tlv.find(items, spec.TAG_EC_POINT)
    try:
        return _rsa_key(items) if point is None else _ec_key(point.value)
    except ValueError as error:
        raise BadData(detail="the card gives a public key that is none") from error


def _rsa_key(items: list[tlv.Tlv]) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(tlv.require(items, spec.TAG_RSA_MODULUS).value, "big")
    exponent = int.from_bytes(tlv.require(items, spec.TAG_RSA_EXPONENT).value, "big")
    if modulus.bit_length() not in _ALGORITHM_OF_RSA or exponent.bit_length() > EXPONENT_BITS_MAX:
        raise BadData(detail=f"the card gives an RSA key of {modulus.bit_length()} bits")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ec_key(point: bytes) -> ec.EllipticCurvePublicKey:
    for curve in _CURVE_OF.values():
        if len(point) == 1 + 2 * ((curve.key_size + 7) // 8):
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    raise BadData(detail=f"a point of {len(point)} bytes is on no curve that GIDS has")


def import_value(key: PrivateKeyTypes) -> tuple[KeyType, bytes]:
    """What the put key command takes for ``key``: type of key, and the DER that goes into tag 87.

    Raises:
        Unsupported: GIDS has no such keys.
    """
    algorithm = algorithm_of(key)
    if isinstance(key, rsa.RSAPrivateKey):
        traditional = serialization.PrivateFormat.TraditionalOpenSSL  # RSAPrivateKey of RFC 8017
        return KeyType.RSA, key.private_bytes(serialization.Encoding.DER, traditional, serialization.NoEncryption())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return KeyType.EC, _ec_private(key, algorithm)
    raise Unsupported(detail=f"a GIDS card has no such keys: {type(key).__name__}")


def _ec_private(key: ec.EllipticCurvePrivateKey, algorithm: Algorithm) -> bytes:
    value = key.private_numbers().private_value.to_bytes((BITS_OF[algorithm] + 7) // 8, "big")
    curve = tlv.build(_CURVE_PARAMETERS, tlv.build(_OBJECT_ID, _CURVE_ID[algorithm]))
    return tlv.build(_SEQUENCE, tlv.build(_INTEGER, b"\1"), tlv.build(_OCTET_STRING, value), curve)


def raw_signature(answer: bytes, size: int) -> bytes:
    """r‖s of ``2 * size`` bytes from the card's ECDSA signature, which comes so or as DER.

    Raises:
        BadData: it is neither.
    """
    if len(answer) == 2 * size:
        return answer
    try:
        r, s = decode_dss_signature(answer)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except (ValueError, OverflowError) as error:
        raise BadData(detail="the card's answer is not an ECDSA signature", index=0) from error

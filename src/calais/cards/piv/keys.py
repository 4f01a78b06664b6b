"""PIV keys and ``cryptography`` keys: algorithm identifiers, public key templates, import data, signature forms.

Source: SP 800-73-4 part 2, 3.3.1 (table 11: public keys); SP 800-78-4 (algorithms); SEC 1 v2, 2.3.3 (points);
X.690 (DER of ECDSA signatures, RFC 3279, 2.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.piv import spec
from calais.cards.piv.spec import Algorithm
from calais.iso7816 import tlv
from calais.minidriver.memo import Evidence
from calais.win.errors import BadData, BadParameter, Unsupported

_CURVE_OF: dict[int, ec.EllipticCurve] = {Algorithm.P256: ec.SECP256R1(), Algorithm.P384: ec.SECP384R1()}
_ALGORITHM_OF_CURVE = {curve.name: algorithm for algorithm, curve in _CURVE_OF.items()}
NAME_OF: dict[int, str] = {
    **dict.fromkeys(spec.RSA_BITS, "RSA"),
    Algorithm.P256: "P-256",
    Algorithm.P384: "P-384",
    Algorithm.ED25519: "Ed25519",
    Algorithm.X25519: "X25519",
}
BITS_OF: dict[int, int] = {
    **spec.RSA_BITS,
    Algorithm.P256: 256,
    Algorithm.P384: 384,
    Algorithm.ED25519: 256,
    Algorithm.X25519: 256,
}
EXPONENT_BITS_MAX = 64


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What using a key takes: ``algorithm`` identifier, ``size`` of modulus or field in bytes, the public key, and when
    it was learnt. ``from_card``: the card itself gave the key, so that it counts more than a certificate's.
    """

    algorithm: int
    size: int
    public_key: PublicKeyTypes
    seen: Evidence
    from_card: bool = False

    @property
    def is_rsa(self) -> bool:
        """Whether it is an RSA key."""
        return self.algorithm in spec.RSA_BITS


def algorithm_of(key: PublicKeyTypes | PrivateKeyTypes) -> Algorithm:
    """The algorithm identifier of ``key``.

    Raises:
        Unsupported: no PIV card has such keys.
    """
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey) and key.key_size in spec.RSA_OF_BITS:
        return spec.RSA_OF_BITS[key.key_size]
    if (
        isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey)
        and key.curve.name in _ALGORITHM_OF_CURVE
    ):
        return Algorithm(_ALGORITHM_OF_CURVE[key.curve.name])
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return Algorithm.ED25519
    if isinstance(key, x25519.X25519PublicKey | x25519.X25519PrivateKey):
        return Algorithm.X25519
    size = getattr(key, "key_size", "")
    raise Unsupported(detail=f"a PIV card has no such keys: {type(key).__name__} {size}".rstrip())


def facts_of(key: PublicKeyTypes, seen: Evidence, *, from_card: bool = False) -> KeyFacts:
    """What using the private key of ``key`` takes.

    Raises:
        Unsupported: no PIV card has such keys.
    """
    algorithm = algorithm_of(key)
    return KeyFacts(algorithm, BITS_OF[algorithm] // 8, key, seen, from_card)


def certificate_key(der: bytes) -> PublicKeyTypes:
    """The public key of the certificate ``der``.

    Raises:
        BadData: it is not a certificate, or its key is malformed.
        Unsupported: a key of an unknown kind.
    """
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm as error:
        raise Unsupported(detail="the certificate has a key of an unknown kind") from error
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise BadData(detail="the certificate cannot be read", index=0) from error
    return key


def parse_public_key(algorithm: int, template: bytes) -> PublicKeyTypes:
    """The public key of ``algorithm`` in the content of a 7F49 template: 81 modulus, 82 exponent; or 86 point.

    Raises:
        BadData: a member is missing, or it is no such key.
        Unsupported: unknown algorithm.
    """
    items = list(tlv.parse(template))
    try:
        if algorithm in spec.RSA_BITS:
            return _rsa_key(items, spec.RSA_BITS[algorithm])
        point = tlv.require(items, spec.TAG_EC_POINT).value
        if algorithm in _CURVE_OF:
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE_OF[algorithm], point)
        if algorithm == Algorithm.ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(point)
        if algorithm == Algorithm.X25519:
            return x25519.X25519PublicKey.from_public_bytes(point)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadData(detail="the card gives a public key that is none") from error
    raise Unsupported(detail=f"algorithm {algorithm:02X} is not known here")


def _rsa_key(items: list[tlv.Tlv], bits: int) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(tlv.require(items, spec.TAG_RSA_MODULUS).value, "big")
    exponent = int.from_bytes(tlv.require(items, spec.TAG_RSA_EXPONENT).value, "big")
    if modulus.bit_length() != bits or exponent.bit_length() > EXPONENT_BITS_MAX:
        raise BadData(detail=f"the card gives an RSA key of {modulus.bit_length()} bits where {bits} are due")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def import_parts(key: PrivateKeyTypes) -> list[tuple[int, bytes]]:
    """``key`` in the parts that the import command takes, by tag.

    Raises:
        Unsupported: no PIV card has such keys.
    """
    algorithm = algorithm_of(key)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers, size = key.private_numbers(), BITS_OF[algorithm] // 16
        values = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
        return [(spec.TAG_IMPORT_P + n, value.to_bytes(size, "big")) for n, value in enumerate(values)]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        value = key.private_numbers().private_value.to_bytes(spec.EC_FIELD_BYTES[algorithm], "big")
        return [(spec.TAG_IMPORT_EC, value)]
    tag = spec.TAG_IMPORT_ED25519 if algorithm == Algorithm.ED25519 else spec.TAG_IMPORT_X25519
    return [(tag, _raw_private(key))]


def _raw_private(key: PrivateKeyTypes) -> bytes:
    form = serialization.PrivateFormat.Raw
    return key.private_bytes(serialization.Encoding.Raw, form, serialization.NoEncryption())


def raw_signature(der: bytes, size: int) -> bytes:
    """r‖s of ``2 * size`` bytes from the DER signature of a card.

    Raises:
        BadData: it is none.
    """
    # 30 L 02 l r 02 l s, all lengths short: a field of up to 48 bytes makes at most 104.
    end = len(der)
    if 8 <= end < 0x82 and der[0] == 0x30 and der[1] == end - 2 and der[2] == 2:
        middle = 4 + der[3]
        if middle + 2 < end and der[middle] == 2 and middle + 2 + der[middle + 1] == end:
            return _fixed(der[4:middle], size) + _fixed(der[middle + 2 :], size)
    raise BadData(detail="the card's answer is not an ECDSA signature", index=0)


def _fixed(number: bytes, size: int) -> bytes:
    if len(number) > size:
        number = number.lstrip(b"\0")
    if not number or len(number) > size:
        raise BadData(detail="a number of the card's ECDSA signature has the wrong length")
    return number.rjust(size, b"\0")


def algorithm_for(key_spec: int, size_bits: int) -> Algorithm:
    """The algorithm that a key spec (AT_…) and a size ask for; EC key specs say the size themselves.

    Raises:
        BadParameter: no PIV card has keys of this size, or the key spec says another one.
        Unsupported: P-521.
    """
    curve_bits = {3: 256, 4: 384, 6: 256, 7: 384}.get(key_spec)
    if key_spec in (5, 8):
        raise Unsupported(detail="PIV cards have no P-521 keys")
    bits = curve_bits or size_bits
    if curve_bits and size_bits not in (0, curve_bits):
        raise BadParameter(detail=f"key spec {key_spec} means {curve_bits} bits, not {size_bits}")
    choice = {256: Algorithm.P256, 384: Algorithm.P384, **spec.RSA_OF_BITS}.get(bits)
    if choice is None:
        raise BadParameter(detail=f"PIV cards have no keys of {bits} bits")
    return choice

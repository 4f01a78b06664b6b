"""Private keys as the virtual GIDS card holds them: how they come in, what it computes with them, what it shows.

An EC signature is r‖s, each as long as the field; a shared secret is the x-coordinate. Source: Microsoft's Generic
Identity Device Specification v2.0 (RSA); RFC 8017 (paddings, RSAPrivateKey); RFC 5915 (ECPrivateKey).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from calais.cards.arithmetic import new_ec_key, rsa_operation, sign_payload, type_2_payload
from calais.cards.front import Random
from calais.cards.gids import spec
from calais.cards.gids.spec import Algorithm, KeyType, Mechanism
from calais.iso7816 import tlv
from calais.win.errors import BadData

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

PUBLIC_EXPONENT = 65537
CURVES: dict[int, ec.EllipticCurve] = {
    Algorithm.P256: ec.SECP256R1(),
    Algorithm.P384: ec.SECP384R1(),
    Algorithm.P521: ec.SECP521R1(),
}
_HASHES: dict[int, hashes.HashAlgorithm] = {
    Algorithm.P256: hashes.SHA256(),
    Algorithm.P384: hashes.SHA384(),
    Algorithm.P521: hashes.SHA512(),
}
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - GIDS has no other
_ECDH = ec.ECDH()
TAG_SEQUENCE, TAG_INTEGER, TAG_OCTET_STRING = 0x30, 0x02, 0x04
UNCOMPRESSED = b"\x04"


@dataclass(eq=False)
class CardKey:
    """One private key; record: algorithm, PKCS #8."""

    algorithm: int
    private: PrivateKey = field(repr=False)

    def encode(self) -> bytes:
        """The record."""
        der, pkcs8 = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
        return bytes((self.algorithm,)) + self.private.private_bytes(der, pkcs8, serialization.NoEncryption())

    @classmethod
    def decode(cls, raw: bytes, name: str) -> CardKey:
        """Parse the record called ``name``.

        Raises:
            BadData: not a private key, or not of the algorithm that the record says.
        """
        try:
            # The card checked the key when it came in; checking the primes again costs more than a signature.
            private = serialization.load_der_private_key(raw[1:], None, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError) as error:
            raise BadData(detail=f"record {name} holds no private key", index=1) from error
        if algorithm_of(private) != raw[0]:
            raise BadData(detail=f"record {name} holds a key of another algorithm", index=0)
        return cls(raw[0], private)  # type: ignore[arg-type]  # algorithm_of has told

    @cached_property
    def numbers(self) -> rsa.RSAPrivateNumbers:
        """The RSA numbers; extracting them is slow."""
        assert isinstance(self.private, rsa.RSAPrivateKey)  # noqa: S101 - callers ask for RSA keys only
        return self.private.private_numbers()

    def sign(self, mechanism: int, data: bytes, random: Random) -> bytes:
        """The signature of ``data``: a padded block or a hash (off card), or what goes into PKCS #1 padding.

        Raises:
            ValueError: ``data`` is no input for this key and mechanism.
        """
        private = self.private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            if mechanism != Mechanism.OFF_CARD or not data:
                raise ValueError("an EC key signs hashes")
            return sign_hash(private, self.algorithm, data)
        if mechanism == Mechanism.PKCS1_SIGN and data:
            return sign_payload(private, data)
        if mechanism == Mechanism.OFF_CARD:
            return rsa_operation(private, self.numbers, data, random)
        raise ValueError("no such mechanism")

    def decipher(self, mechanism: int, data: bytes, random: Random) -> bytes:
        """The plaintext of ``data``, a cryptogram of the modulus' size, with or without padding.

        Raises:
            ValueError: wrong size, bad padding, or not an RSA key.
        """
        if not isinstance(self.private, rsa.RSAPrivateKey):
            raise ValueError("an EC key does not decipher")  # noqa: TRY004 - as for every other wrong input
        if mechanism == Mechanism.OAEP:
            return self.private.decrypt(data, _OAEP)
        block = rsa_operation(self.private, self.numbers, data, random)
        if mechanism == Mechanism.RAW:
            return block
        if mechanism == Mechanism.PKCS1_DECIPHER:
            return type_2_payload(block)
        raise ValueError("no such mechanism")

    def agree(self, peer: bytes) -> bytes:
        """The shared secret with ``peer``, 04‖X‖Y on this key's curve.

        Raises:
            ValueError: not such a point, or not an EC key.
        """
        private = self.private
        if not isinstance(private, ec.EllipticCurvePrivateKey) or peer[:1] != UNCOMPRESSED:
            raise ValueError("an EC key and an uncompressed point are due")
        return private.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(private.curve, peer))


def sign_hash(private: ec.EllipticCurvePrivateKey, algorithm: int, digest: bytes) -> bytes:
    """ECDSA as r‖s; a hash longer than the field counts with its first bits (FIPS 186-5, 6.4.1)."""
    kind = _HASHES[algorithm]
    # The primitive wants a digest of its hash's size: zeros before a shorter one change no number.
    fitted = digest[: field_bytes(algorithm)].rjust(kind.digest_size, b"\0")[-kind.digest_size :]
    r, s = utils.decode_dss_signature(private.sign(fitted, ec.ECDSA(utils.Prehashed(kind))))
    return b"".join(number.to_bytes(field_bytes(algorithm), "big") for number in (r, s))


def field_bytes(algorithm: int) -> int:
    """Length of a coordinate."""
    return (spec.EC_BITS[algorithm] + 7) // 8


def algorithm_of(key: object) -> Algorithm | None:
    """The card's algorithm for a private or public key, ``None`` when it has none for it."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return next((Algorithm(number) for number, bits in spec.RSA_BITS.items() if bits == key.key_size), None)
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return next((Algorithm(number) for number, curve in CURVES.items() if curve.name == key.curve.name), None)
    return None


def generate(algorithm: int, random: Random) -> PrivateKey:
    """A new key pair; EC keys come from ``random``, RSA primes from the operating system.

    Raises:
        ValueError: no such algorithm.
    """
    if algorithm in spec.RSA_BITS:
        return rsa.generate_private_key(PUBLIC_EXPONENT, spec.RSA_BITS[algorithm])
    if algorithm in CURVES:
        return new_ec_key(CURVES[algorithm], random)
    raise ValueError("no such algorithm")


def build_public(key: PublicKey) -> bytes:
    """Template 7F49: 81 modulus and 82 exponent, or 86 point (ISO/IEC 7816-8)."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        modulus = tlv.build(spec.TAG_RSA_MODULUS, numbers.n.to_bytes(key.key_size // 8, "big"))
        return tlv.build(spec.TAG_PUBLIC_KEY, modulus, tlv.build(spec.TAG_RSA_EXPONENT, exponent))
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return tlv.build(spec.TAG_PUBLIC_KEY, tlv.build(spec.TAG_EC_POINT, point))


def key_from_import(key_type: int, algorithm: int, value: bytes) -> PrivateKey:
    """The key in tag 87 of a put key command: RSAPrivateKey or ECPrivateKey.

    Raises:
        ValueError, BadData: another type, members missing, or they make no key of this algorithm.
    """
    sequence = list(tlv.parse(tlv.parse_one(value, TAG_SEQUENCE).value))
    if key_type == KeyType.RSA and algorithm in spec.RSA_BITS:
        return _rsa_key(spec.RSA_BITS[algorithm], sequence)
    if key_type == KeyType.EC and algorithm in CURVES:
        return _ec_key(CURVES[algorithm], sequence)
    raise ValueError("the key is of another type than its file")


def _rsa_key(bits: int, sequence: list[tlv.Tlv]) -> PrivateKey:
    if [item.tag for item in sequence] != [TAG_INTEGER] * 9 or any(
        len(item.value) > bits // 8 + 1 for item in sequence
    ):
        raise ValueError("nine integers are due")
    # Hosts send numbers whose first bit is set without the zero byte before: none is negative.
    version, n, e, d, p, q, dmp1, dmq1, iqmp = (int.from_bytes(item.value, "big") for item in sequence)
    if version or n.bit_length() != bits:
        raise ValueError("version 0 and a modulus of the file's size are due")
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, rsa.RSAPublicNumbers(e, n)).private_key()


def _ec_key(curve: ec.EllipticCurve, sequence: list[tlv.Tlv]) -> PrivateKey:
    size = (curve.key_size + 7) // 8
    head = [(item.tag, item.value) for item in sequence[:2]]
    if len(head) != 2 or head[0] != (TAG_INTEGER, b"\1") or head[1][0] != TAG_OCTET_STRING or len(head[1][1]) != size:
        raise ValueError("version 1 and a private value of the field's size are due")
    return ec.derive_private_key(int.from_bytes(head[1][1], "big"), curve)

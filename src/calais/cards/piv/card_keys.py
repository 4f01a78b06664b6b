"""Private keys as the virtual PIV card holds them, and the raw operations it offers on them.

The card knows no padding: an RSA input is a number, an EC input a hash, as SP 800-73-4 part 2, 3.2.4 has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils, x25519

from calais.cards.arithmetic import new_ec_key, rsa_operation
from calais.cards.front import Random
from calais.cards.piv import spec
from calais.cards.piv.spec import Algorithm
from calais.iso7816 import tlv
from calais.win.errors import BadData

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey

PUBLIC_EXPONENT = 65537
HEADER_SIZE = 4
CURVES: dict[int, ec.EllipticCurve] = {Algorithm.P256: ec.SECP256R1(), Algorithm.P384: ec.SECP384R1()}
_ECDSA = {
    Algorithm.P256: ec.ECDSA(utils.Prehashed(hashes.SHA256())),
    Algorithm.P384: ec.ECDSA(utils.Prehashed(hashes.SHA384())),
}
_ECDH = ec.ECDH()


@dataclass(eq=False)
class CardKey:
    """One private key with its Yubico attributes; record: algorithm, PIN policy, touch policy, origin, PKCS #8."""

    algorithm: int
    pin: int
    touch: int
    origin: int
    private: PrivateKey = field(repr=False)

    def encode(self) -> bytes:
        """The record."""
        head = bytes((self.algorithm, self.pin, self.touch, self.origin))
        der, pkcs8 = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
        return head + self.private.private_bytes(der, pkcs8, serialization.NoEncryption())

    @classmethod
    def decode(cls, raw: bytes, name: str) -> CardKey:
        """Parse the record called ``name``.

        Raises:
            BadData: not a private key, or not of the algorithm that the record says.
        """
        try:
            # The card checked the key when it came in; checking the primes again costs more than a signature.
            private = serialization.load_der_private_key(raw[HEADER_SIZE:], None, unsafe_skip_rsa_key_validation=True)
            algorithm, pin, touch, origin = raw[:HEADER_SIZE]
        except (ValueError, TypeError) as error:
            raise BadData(detail=f"record {name} holds no private key", index=HEADER_SIZE) from error
        if algorithm_of(private) != algorithm:
            raise BadData(detail=f"record {name} holds a key of another algorithm", index=0)
        return cls(algorithm, pin, touch, origin, private)  # type: ignore[arg-type]  # algorithm_of has told

    @cached_property
    def numbers(self) -> rsa.RSAPrivateNumbers:
        """The RSA numbers; extracting them is slow."""
        assert isinstance(self.private, rsa.RSAPrivateKey)  # noqa: S101 - callers ask for RSA keys only
        return self.private.private_numbers()

    def public(self) -> PublicKey:
        """The public half."""
        return self.private.public_key()

    def sign(self, data: bytes, random: Random) -> bytes:
        """What the card answers to challenge ``data``.

        RSA: the private operation on a block of modulus size. EC: ECDSA in DER on a hash of at most field size.
        Ed25519: the 64-byte signature of the message ``data``.

        Raises:
            ValueError: ``data`` is no input for this key.
        """
        private = self.private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            size = spec.EC_FIELD_BYTES[self.algorithm]
            if not 0 < len(data) <= size:
                raise ValueError("a hash of at most the field's size is due")
            return private.sign(data.rjust(size, b"\0"), _ECDSA[Algorithm(self.algorithm)])
        if isinstance(private, rsa.RSAPrivateKey):
            return rsa_operation(private, self.numbers, data, random)
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(data)
        raise ValueError("this key does not sign")

    def agree(self, peer: bytes) -> bytes:
        """The shared secret (x-coordinate, field size) with ``peer``: 04‖X‖Y, or 32 bytes for X25519.

        Raises:
            ValueError: not a point on this key's curve, or a key that does not agree.
        """
        private = self.private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            if peer[:1] != b"\x04":
                raise ValueError("an uncompressed point is due")
            return private.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(private.curve, peer))
        if isinstance(private, x25519.X25519PrivateKey):
            return private.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
        raise ValueError("this key does not agree")


def algorithm_of(key: object) -> Algorithm | None:
    """PIV's algorithm identifier for a private or public key, ``None`` when PIV has none for it."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return spec.RSA_OF_BITS.get(key.key_size)
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return next((Algorithm(number) for number, curve in CURVES.items() if curve.name == key.curve.name), None)
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return Algorithm.ED25519
    if isinstance(key, x25519.X25519PrivateKey | x25519.X25519PublicKey):
        return Algorithm.X25519
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
    if algorithm == Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(random(32))
    if algorithm == Algorithm.X25519:
        return x25519.X25519PrivateKey.from_private_bytes(random(32))
    raise ValueError("no such algorithm")


def build_public(key: PublicKey) -> bytes:
    """The members of template 7F49: 81 modulus and 82 exponent, or 86 point (part 2, 3.3.2)."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        return tlv.build(spec.TAG_RSA_MODULUS, numbers.n.to_bytes(key.key_size // 8, "big")) + tlv.build(
            spec.TAG_RSA_EXPONENT, exponent
        )
    return tlv.build(spec.TAG_EC_POINT, _point(key))


def _point(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey) -> bytes:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return key.public_bytes_raw()


def key_from_import(algorithm: int, members: dict[int, bytes]) -> PrivateKey:
    """The key in the members of the import command: 01 p, 02 q, 03 dP, 04 dQ, 05 qInv; or 06, 07, 08 (Yubico).

    Raises:
        ValueError: members are missing, of the wrong size, or do not make a key.
    """
    if algorithm in spec.RSA_BITS:
        return _rsa_from_import(spec.RSA_BITS[algorithm], members)
    tag, size = _IMPORT_TAGS[algorithm], spec.EC_FIELD_BYTES[algorithm]
    value = members.get(tag, b"")
    if set(members) != {tag} or len(value) != size:
        raise ValueError("one private value of the field's size is due")
    if algorithm == Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(value)
    if algorithm == Algorithm.X25519:
        return x25519.X25519PrivateKey.from_private_bytes(value)
    return ec.derive_private_key(int.from_bytes(value, "big"), CURVES[algorithm])


_IMPORT_TAGS: dict[int, int] = {
    Algorithm.P256: spec.TAG_IMPORT_EC,
    Algorithm.P384: spec.TAG_IMPORT_EC,
    Algorithm.ED25519: spec.TAG_IMPORT_ED25519,
    Algorithm.X25519: spec.TAG_IMPORT_X25519,
}
_RSA_TAGS = (spec.TAG_IMPORT_P, spec.TAG_IMPORT_Q, spec.TAG_IMPORT_DP, spec.TAG_IMPORT_DQ, spec.TAG_IMPORT_QINV)


def _rsa_from_import(bits: int, members: dict[int, bytes]) -> PrivateKey:
    if set(members) != set(_RSA_TAGS) or any(len(value) > bits // 16 for value in members.values()):
        raise ValueError("five values of half the modulus' size are due")
    p, q, dmp1, dmq1, iqmp = (int.from_bytes(members[tag], "big") for tag in _RSA_TAGS)
    if min(p, q) <= 1 << 64 or (p * q).bit_length() != bits:
        raise ValueError("the primes do not make a modulus of the right size")
    d = pow(PUBLIC_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, public).private_key()

"""Keys that live on a card, as ``cryptography`` private keys: builders and protocols take them like any other.

A key holds no secret, only the way to its container. Everything that would need the secret itself is refused.

Source: RFC 8017 (RSA), FIPS 186-5 (ECDSA), SP 800-56A revision 3 (ECDH).
"""

from __future__ import annotations

import hashlib
from typing import NoReturn, Protocol, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.minidriver.padding import DIGEST_SIZES, DecryptionPadding, Oaep, Pkcs1, Pss, Raw, SigningPadding
from calais.win.errors import BadParameter, Unsupported

RAW = Raw()
_PKCS1 = {name: Pkcs1(name) for name in DIGEST_SIZES}
Buffer = bytes | bytearray | memoryview


class KeyContainer(Protocol):
    """The container as its key needs it."""

    def sign(self, data: bytes, how: SigningPadding) -> bytes:
        """The signature of ``data`` (see ``Minidriver.sign``)."""

    def decrypt(self, data: bytes, how: DecryptionPadding) -> bytes:
        """The message in ``data`` (see ``Minidriver.decrypt``)."""

    def agree(self, peer_public: bytes) -> bytes:
        """The raw shared secret (see ``Minidriver.agree``)."""


def key_for(container: KeyContainer, public_key: PublicKeyTypes) -> CardRsaKey | CardEcKey | CardEd25519Key:
    """The private key of ``container``, whose public half is ``public_key``.

    Raises:
        Unsupported: a kind of key that has no private key class here.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return CardRsaKey(container, public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return CardEcKey(container, public_key)
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return CardEd25519Key(container, public_key)
    raise Unsupported(detail=f"keys of the kind {type(public_key).__name__} cannot be used through a card")


class _OnCard:
    """What all keys on cards share: they are copied by reference, and their secret cannot be had."""

    container: KeyContainer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self.container!r}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Refused.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(
            detail="the private key is on a card and cannot leave it",
            next_step="use sign, decrypt or exchange of this key, or its public_key()",
        )

    private_bytes_raw = private_numbers = private_bytes


class CardRsaKey(_OnCard, rsa.RSAPrivateKey):
    """An RSA key on a card.

    Args:
        container: where it is.
        public_key: its public half.
    """

    def __init__(self, container: KeyContainer, public_key: rsa.RSAPublicKey) -> None:
        self.container = container
        self._public_key = public_key

    @property
    def key_size(self) -> int:
        """Length of the modulus, in bits."""
        return self._public_key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public_key

    def sign(
        self, data: bytes, padding: AsymmetricPadding, algorithm: Prehashed | hashes.HashAlgorithm | NoDigestInfo
    ) -> bytes:
        """Sign ``data`` on the card: PKCS#1 v1.5 or PSS, big-endian as everywhere but in CryptoAPI.

        Raises:
            BadParameter: data, padding and algorithm do not go together.
            Unsupported: a padding or hash that is not offered.
            SilentContext, Cancelled, WrongPin, PinBlocked: the PIN.
            CardRemoved, CardReset, NoCard: the card.
        """
        if isinstance(algorithm, NoDigestInfo):
            return self.container.sign(data, _undigested(padding))
        digest, algorithm = _digest(data, algorithm)
        return self.container.sign(digest, _signing_padding(padding, algorithm, self._public_key))

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """Decrypt on the card: PKCS#1 v1.5 or OAEP.

        Raises:
            BadParameter: the ciphertext is not as long as the modulus.
            Unsupported: a padding or hash that is not offered.
            WinError: ``SCARD_F_INTERNAL_ERROR`` when the padding inside is wrong, whatever is wrong with it; and as
                ``sign``.
        """
        if len(ciphertext) != (self.key_size + 7) // 8:
            raise BadParameter(detail=f"{len(ciphertext)} bytes of ciphertext for a key of {self.key_size} bits")
        return self.container.decrypt(ciphertext, _decryption_padding(padding))


class CardEcKey(_OnCard, ec.EllipticCurvePrivateKey):
    """A key on an elliptic curve, on a card.

    Args:
        container: where it is.
        public_key: its public half.
    """

    def __init__(self, container: KeyContainer, public_key: ec.EllipticCurvePublicKey) -> None:
        self.container = container
        self._public_key = public_key
        self._width = (public_key.curve.key_size + 7) // 8

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Length of the field, in bits."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign ``data`` on the card: ECDSA, as DER.

        Raises:
            Unsupported: another algorithm, or a deterministic signature, which no card promises; and as
                ``CardRsaKey.sign``.
        """
        if not isinstance(signature_algorithm, ec.ECDSA) or signature_algorithm.deterministic_signing:
            raise Unsupported(detail="a card makes ordinary ECDSA signatures only")
        digest, _ = _digest(data, signature_algorithm.algorithm)
        raw, width = self.container.sign(digest, RAW), self._width
        return encode_dss_signature(int.from_bytes(raw[:width], "big"), int.from_bytes(raw[width:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """The ECDH secret with ``peer_public_key``: the x coordinate, as long as the field.

        Raises:
            BadParameter: the peer's key is on another curve; and as ``CardRsaKey.sign``.
        """
        if not isinstance(algorithm, ec.ECDH):
            raise Unsupported(detail="a card makes plain ECDH secrets only")
        if peer_public_key.curve.name != self.curve.name:
            raise BadParameter(detail=f"a key on {peer_public_key.curve.name} for a key on {self.curve.name}")
        return self.container.agree(peer_public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


class CardEd25519Key(_OnCard, ed25519.Ed25519PrivateKey):
    """An Ed25519 key on a card.

    Args:
        container: where it is.
        public_key: its public half.
    """

    def __init__(self, container: KeyContainer, public_key: ed25519.Ed25519PublicKey) -> None:
        self.container = container
        self._public_key = public_key

    def public_key(self) -> ed25519.Ed25519PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: Buffer) -> bytes:
        """Sign ``data`` on the card; 64 bytes. Errors as ``CardRsaKey.sign``."""
        return self.container.sign(bytes(data), RAW)


def _digest(data: Buffer, algorithm: Prehashed | hashes.HashAlgorithm) -> tuple[bytes, hashes.HashAlgorithm]:
    """The digest of ``data``, which is the digest already when ``algorithm`` says so, and the hash."""
    if isinstance(algorithm, Prehashed):
        known: hashes.HashAlgorithm = algorithm._algorithm  # noqa: SLF001 - it has no public name
        if len(data) != known.digest_size:
            raise BadParameter(detail=f"a {known.name} digest has {known.digest_size} bytes, not {len(data)}")
        return bytes(data), known
    if not isinstance(algorithm, hashes.HashAlgorithm):
        raise BadParameter(detail="a hash algorithm is due")
    if algorithm.name in DIGEST_SIZES:
        return hashlib.new(algorithm.name, data, usedforsecurity=False).digest(), algorithm
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize(), algorithm


def _undigested(how: AsymmetricPadding) -> SigningPadding:
    if not isinstance(how, padding.PKCS1v15):
        raise Unsupported(detail="data without a DigestInfo goes with PKCS#1 v1.5 only")
    return Pkcs1(None)


def _signing_padding(
    how: AsymmetricPadding, algorithm: hashes.HashAlgorithm, public_key: rsa.RSAPublicKey
) -> SigningPadding:
    if isinstance(how, padding.PKCS1v15):
        return _PKCS1.get(algorithm.name) or Pkcs1(algorithm.name)
    if isinstance(how, padding.PSS):
        mask = _mask_hash(how.mgf)
        if mask.name != algorithm.name:
            raise Unsupported(detail=f"PSS with {algorithm.name} and a mask by {mask.name}; they must be the same")
        return Pss(algorithm.name, _salt_length(how, algorithm, public_key.key_size))
    raise Unsupported(detail=f"signatures with the padding {how.name} are not offered")


def _mask_hash(mgf: object) -> hashes.HashAlgorithm:
    if not isinstance(mgf, padding.MGF1):
        raise Unsupported(detail="a mask generation function other than MGF1")
    return mgf._algorithm  # noqa: SLF001 - it has no public name


def _salt_length(how: padding.PSS, algorithm: hashes.HashAlgorithm, key_size: int) -> int:
    """Salt length in bytes; the rules of ``cryptography``: AUTO is for verifying only."""
    wanted = how._salt_length  # noqa: SLF001 - it has no public name
    most = (key_size - 1 + 7) // 8 - algorithm.digest_size - 2
    if wanted is padding.PSS.MAX_LENGTH:
        return max(0, most)
    if wanted is padding.PSS.DIGEST_LENGTH:
        return algorithm.digest_size
    if not isinstance(wanted, int):
        raise BadParameter(detail="the PSS salt length AUTO is for verifying; signing needs a length")
    if wanted > most:
        raise BadParameter(detail=f"a PSS salt of {wanted} bytes does not fit; at most {most} do")
    return wanted


def _decryption_padding(how: AsymmetricPadding) -> DecryptionPadding:
    if isinstance(how, padding.PKCS1v15):
        return Pkcs1()
    if isinstance(how, padding.OAEP):
        return Oaep(how.algorithm.name, _mask_hash(how.mgf).name, how._label or b"")  # noqa: SLF001
    raise Unsupported(detail=f"decryption with the padding {how.name} is not offered")

"""RSA keys of a context that are in a container on a card.

The card works on whole numbers, big-endian; the little-endian forms of CryptoAPI are made by its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from calais.minidriver.padding import DecryptionPadding, Pkcs1
from calais.minidriver.pins import Role
from calais.provider import containeradmin
from calais.provider.container import Container
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, NotFound, WinError
from calais.win.flags.cardmod import AuthenticationPin, EmptyPinType, PinCacheNormal
from calais.win.structs import PinCachePolicy, PinInfo

# What a card's answer to a block that it cannot decrypt is called by minidrivers.
_UNDECIPHERABLE = (Code.SCARD_F_INTERNAL_ERROR, Code.SCARD_E_INSUFFICIENT_BUFFER)


class CardRsaKey:
    """One RSA key in a container (see ``context.RsaKey``).

    Args:
        where: gives the container, as it is now.
        public_key: its public half.
    """

    on_card = True
    can_use_private = True
    exportable = False

    def __init__(self, where: Callable[[], Container], public_key: rsa.RSAPublicKey, key_spec: int) -> None:
        self._where = where
        self.public_key = public_key
        self.key_spec = key_spec

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.public_key.key_size} bits>"

    @property
    def container(self) -> Container:
        """Where it is.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, the container has been deleted.
        """
        return self._where()

    def sign(self, digest: bytes, hash_name: str | None) -> bytes:
        """PKCS#1 v1.5, big-endian; as many exchanges as ``Container.sign``.

        Raises:
            WinError: ``NTE_BAD_LEN``, the digest does not fit the modulus; ``NTE_BAD_KEYSET``, the container is gone;
                as ``PinBroker.perform``.
        """
        if len(digest) > self.public_key.key_size // 8 - 11:
            raise WinError.of(Code.NTE_BAD_LEN, "the hash does not fit the modulus of the key")
        with gone_is_bad_keyset(self.container):
            return self.container.sign(digest, Pkcs1(hash_name))

    def decrypt(self, block: bytes, how: DecryptionPadding) -> bytes:
        """The message in ``block``, big-endian, as long as the modulus.

        Raises:
            WinError: ``NTE_BAD_DATA``, badly padded; otherwise as ``sign``.
        """
        if int.from_bytes(block, "big") >= self.public_key.public_numbers().n:
            raise WinError.of(Code.NTE_BAD_DATA, "the block is not below the modulus of the key")
        with gone_is_bad_keyset(self.container):
            try:
                return self.container.decrypt(block, how)
            except WinError as error:
                if error.code not in _UNDECIPHERABLE:
                    raise
                raise WinError.of(Code.NTE_BAD_DATA, "the block is not padded as it should be") from error

    def private_key(self) -> rsa.RSAPrivateKey | None:
        """``None``: it never leaves the card."""
        return None

    # --- KP_CERTIFICATE, KP_PIN_* ---

    @property
    def certificate(self) -> bytes:
        """The certificate beside the key (DER).

        Raises:
            NotFound: ``SCARD_E_NO_SUCH_CERTIFICATE``.
            BadData: there is one, and it cannot be read.
        """
        with gone_is_bad_keyset(self.container):
            der = self.container.certificate
        if der is None:
            raise NotFound(Code.SCARD_E_NO_SUCH_CERTIFICATE, f"{self.container.name} has no certificate")
        return der

    def set_certificate(self, der: bytes | None) -> None:
        """Write the certificate, or delete it (``None``).

        Raises:
            WinError: ``CRYPT_E_BAD_ENCODE``, no certificate; ``NTE_BAD_PUBLIC_KEY``, it is of another key;
                ``SCARD_E_READ_ONLY_CARD``; as ``PinBroker.perform``.
        """
        if der is None:
            containeradmin.delete_certificate(self.container)
            return
        if _public_key_in(der) != self.public_key:
            raise WinError.of(Code.NTE_BAD_PUBLIC_KEY, "the certificate is of another key")
        containeradmin.write_certificate(self.container, der)

    @property
    def pin_id(self) -> int:
        """The PIN that the key wants, 0 = none."""
        return self.container.pin_id

    @property
    def pin_info(self) -> PinInfo:
        """What the card says about that PIN; of a key that wants none, that there is nothing to enter."""
        pin_id = self.container.pin_id
        if pin_id == Role.EVERYONE:
            return PinInfo(EmptyPinType, AuthenticationPin, 0, 0, PinCachePolicy(PinCacheNormal))
        return self.container.card.run(lambda driver: driver.pin_info(pin_id))


class PublicCardKey(CardRsaKey):
    """A key on a card that a context with CRYPT_VERIFYCONTEXT sees: its public half and its certificate."""

    def sign(self, digest: bytes, hash_name: str | None) -> bytes:  # noqa: ARG002
        """Raise ``NTE_PERM``."""
        raise public_only()

    def decrypt(self, block: bytes, how: DecryptionPadding) -> bytes:  # noqa: ARG002
        """Raise ``NTE_PERM``."""
        raise public_only()

    def set_certificate(self, der: bytes | None) -> None:  # noqa: ARG002
        """Raise ``NTE_PERM``."""
        raise public_only()


def public_only() -> AccessDenied:
    """The error for the use of a private key in a context that is for public data."""
    detail = "the context was acquired with CRYPT_VERIFYCONTEXT"
    return AccessDenied(Code.NTE_PERM, detail, next_step="acquire it without that flag")


def _public_key_in(der: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm:
        return None
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise BadData(Code.CRYPT_E_BAD_ENCODE, "this is no certificate (DER)") from error


@contextmanager
def gone_is_bad_keyset(container: Container) -> Iterator[None]:
    """Say that ``container`` is gone with the code of providers."""
    try:
        yield
    except NotFound as error:
        if error.code != Code.SCARD_E_NO_KEY_CONTAINER:
            raise
        raise NotFound(Code.NTE_BAD_KEYSET, f"container {container.name} is not on the card any more") from error

"""The two slots of a context whose container is on a card.

Cards of this project have one key in a container, for exchange or for signatures; the other slot is empty.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa

from calais.minidriver.api import Minidriver
from calais.provider import containeradmin
from calais.provider.caller import Caller
from calais.provider.container import Container
from calais.provider.csp.cardkeys import CardRsaKey, PublicCardKey, gone_is_bad_keyset, public_only
from calais.provider.csp.providers import RsaSizes
from calais.win.codes import Code
from calais.win.errors import NotFound, WinError
from calais.win.flags import CRYPT_ARCHIVABLE, CRYPT_EXPORTABLE


class CardSlots:
    """The slots of a container on a card (see ``context.KeySlots``).

    Args:
        container: the container.
        sizes: lengths that the provider makes, where it restricts its cards; ``None`` = whatever the card has.
        bound: whether the policies on import bind the provider.
    """

    on_card = True

    def __init__(self, container: Container, *, sizes: RsaSizes | None = None, bound: bool = True) -> None:
        self.container = container
        self.follow: Callable[[Container], None] = lambda _: None
        self._sizes = sizes
        self._bound = bound
        self._changes = container.card.container_changes
        self._gone = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.container!r}>"

    def get(self, key_spec: int) -> CardRsaKey | None:
        """The key in a slot, or ``None``.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, the container has been deleted.
            WinError: the card's answers.
        """
        container = self.current()
        if container.key_spec != key_spec:
            return None
        public_key = self._public_key(container)
        return self._key(container, public_key) if isinstance(public_key, rsa.RSAPublicKey) else None

    def generate(self, key_spec: int, bits: int, flags: int) -> CardRsaKey:
        """Make a key on the card, in place of the one that is there.

        Raises:
            WinError: ``NTE_BAD_FLAGS``, it would have to be exportable; ``NTE_BAD_LEN``; as ``containeradmin``.
        """
        self._check_flags(flags)
        if self._sizes is not None:
            bits = self._sizes.bits(bits, 0)
        before = self.current()
        changes = self._changes
        return self._adopt(containeradmin.generate(before, key_spec, bits), changes)

    def import_private(self, key: rsa.RSAPrivateKey, key_spec: int, flags: int) -> CardRsaKey:
        """Put a key into the container. Errors as ``generate``, and ``NTE_PERM`` by policy."""
        self._check_flags(flags)
        before = self.current()
        changes = self._changes
        return self._adopt(containeradmin.import_key(before, key, key_spec, bound=self._bound), changes)

    def seen_by(self, caller: Caller) -> None:
        """From now on this is who wants the keys."""
        old = self.container
        self._replace(Container(old.card.seen_by(caller), old.entry, always=old.always))

    def _check_flags(self, flags: int) -> None:
        if flags & (CRYPT_EXPORTABLE | CRYPT_ARCHIVABLE):
            raise WinError.of(Code.NTE_BAD_FLAGS, "a key on a card cannot be exported")

    def _key(self, container: Container, public_key: rsa.RSAPublicKey) -> CardRsaKey:
        return CardRsaKey(self.current, public_key, container.key_spec)

    # --- the container as it is now ---

    def current(self) -> Container:
        """The container, looked at again when something on the card was changed through this process.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, it has been deleted.
        """
        changes = self.container.card.container_changes
        if changes != self._changes or self._gone:
            self._gone = True
            self._look_again()
            self._changes, self._gone = changes, False
        return self.container

    def _look_again(self) -> None:
        old = self.container
        with gone_is_bad_keyset(old):
            entry = old.card.run(lambda driver: containeradmin.entry_of(driver, old))
        self._replace(Container(old.card, entry, always=old.always))

    def _public_key(self, container: Container) -> object:
        try:
            return container.key.public_key()
        except NotFound:
            with gone_is_bad_keyset(container):
                container.card.run(lambda driver: _require(driver, container))
            return None

    def _adopt(self, container: Container, changes: int) -> CardRsaKey:
        """Go on with ``container``; whoever else has changed the card since ``changes`` makes us look again."""
        self._replace(container)
        self._changes = changes + 1
        public_key = container.key.public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise WinError.of(Code.NTE_BAD_KEY, "the card has made a key of another kind")
        return self._key(container, public_key)

    def _replace(self, container: Container) -> None:
        self.container = container
        self.follow(container)


def _require(driver: Minidriver, container: Container) -> None:
    """Raise ``SCARD_E_NO_KEY_CONTAINER`` unless the container is there."""
    containeradmin.entry_of(driver, container)


class PublicCardSlots(CardSlots):
    """The slots as a context with CRYPT_VERIFYCONTEXT sees them: public keys and certificates."""

    def generate(self, key_spec: int, bits: int, flags: int) -> CardRsaKey:  # noqa: ARG002
        """Raise ``NTE_PERM``."""
        raise public_only()

    def import_private(self, key: rsa.RSAPrivateKey, key_spec: int, flags: int) -> CardRsaKey:  # noqa: ARG002
        """Raise ``NTE_PERM``."""
        raise public_only()

    def _key(self, container: Container, public_key: rsa.RSAPublicKey) -> CardRsaKey:
        return PublicCardKey(self.current, public_key, container.key_spec)

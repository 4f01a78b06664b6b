"""Containers: a card's keys by name, and their use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.memo import Evidence
from calais.minidriver.padding import DecryptionPadding, SigningPadding
from calais.provider.broker import PinUse
from calais.provider.caller import Caller
from calais.provider.checking import is_signature
from calais.provider.keys import CardEcKey, CardEd25519Key, CardRsaKey, key_for
from calais.win.codes import Code
from calais.win.errors import NotFound, WinError

if TYPE_CHECKING:
    from calais.provider.card import Card

T = TypeVar("T")
Key = CardRsaKey | CardEcKey | CardEd25519Key


class Container:
    """One key container of a card.

    Args:
        card: the card.
        entry: what the card says about the container.
        always: its PIN counts for one use only.
    """

    def __init__(self, card: Card, entry: ContainerEntry, *, always: bool) -> None:
        self.card = card
        self.entry = entry
        self.always = always
        self._key: Key | None = None
        self._proved: Evidence | None = None
        self._placed: Evidence | None = None
        self._uses: dict[str, PinUse] = {}
        self._check = card.policy.verify_signatures

    def __repr__(self) -> str:
        return f"<Container {self.name} on {self.card.label!r}>"

    def seen_by(self, caller: Caller) -> Container:
        """This container for ``caller``; what is remembered of the card is shared."""
        return Container(self.card.seen_by(caller), self.entry, always=self.always)

    @property
    def index(self) -> int:
        """Its number, 0…255."""
        return self.entry.index

    @property
    def name(self) -> str:
        """Its name, at most 39 characters."""
        return self.entry.name

    @property
    def key_spec(self) -> int:
        """AT_KEYEXCHANGE 1 or AT_SIGNATURE 2."""
        return self.entry.key_spec

    @property
    def pin_id(self) -> int:
        """The PIN its key wants, 0 = none."""
        return self.entry.pin_id

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.entry.label

    @property
    def is_default(self) -> bool:
        """Whether it is the default container of the card."""
        return self.entry.is_default

    @property
    def certificate(self) -> bytes | None:
        """Its certificate as the card has it now (DER), or ``None``; looked at itself, not believed by a list.

        Raises:
            BadData: there is one, and it cannot be read.
        """

        def job(driver: Minidriver) -> bytes | None:
            driver.confirm_certificate(self.index)
            return driver.certificate(self.index)

        return self.card.run(job)

    @property
    def public_key(self) -> PublicKeyTypes:
        """The public key as the card has it now; looked at itself, not believed by a list.

        Raises:
            NotFound: the container is empty.
            BadData: its certificate cannot be read.
        """

        def job(driver: Minidriver) -> PublicKeyTypes:
            driver.confirm_key(self.index)
            return driver.public_key(self.index)

        return self.card.run(job)

    @property
    def key(self) -> Key:
        """The private key; the same object each time.

        Raises:
            Unsupported: a kind of key that cannot be used here; and as ``public_key``.
        """
        if self._key is None:
            self._key = key_for(self, self.public_key)
        return self._key

    def sign(self, data: bytes, how: SigningPadding) -> bytes:
        """Sign ``data`` (see ``Minidriver.sign``) with the PIN if it is wanted; the signature is checked by policy.

        Raises:
            WinError: ``NTE_BAD_SIGNATURE``, the signature is not of this container's public key; and as
                ``PinBroker.perform``.
        """
        index, key_spec, check = self.entry.index, self.entry.key_spec, self._check

        def operation(driver: Minidriver) -> tuple[bytes, Evidence | None]:
            signature = driver.sign(index, key_spec, data, how)
            proved, tx = self._proved, driver.tx
            if check == "fresh" and proved and proved.connection is tx.channel and proved.epoch == tx.epoch:
                return signature, None
            return signature, Evidence.of(tx)

        signature, seen = self._use("sign", operation)
        if seen is not None and check != "never":
            self._verify(signature, data, how)
            self._proved = seen
        return signature

    def decrypt(self, data: bytes, how: DecryptionPadding) -> bytes:
        """Decrypt ``data`` (see ``Minidriver.decrypt``), with the PIN if it is wanted."""
        index, key_spec = self.entry.index, self.entry.key_spec
        return self._use(
            "decrypt", lambda d: self._privately(d, lambda driver: driver.decrypt(index, key_spec, data, how))
        )

    def agree(self, peer_public: bytes) -> bytes:
        """The raw secret with ``peer_public`` (see ``Minidriver.agree``), with the PIN if it is wanted."""
        index = self.entry.index
        return self._use(
            "agree on a key", lambda d: self._privately(d, lambda driver: driver.agree(index, peer_public))
        )

    def _use(self, verb: str, operation: Callable[[Minidriver], T]) -> T:
        use = self._uses.get(verb)
        if use is None:
            entry = self.entry
            use = PinUse(entry.pin_id, self.always, entry.name, f"{verb} with {entry.label or entry.name}")
            self._uses[verb] = use
        if not use.pin_id:
            return self.card.run(operation)
        return self.card.broker.perform(self.card, use, operation)

    def _verify(self, signature: bytes, data: bytes, how: SigningPadding) -> None:
        """Raise unless the signature is of the key we know, or of the one that is there when we look again."""
        known = self.key.public_key()
        if is_signature(known, signature, data, how):
            return
        found = self._learn_anew()
        if found != known and is_signature(found, signature, data, how):
            return
        reason = "the key does not belong to the container's certificate"
        if found != known:
            reason = "another program has replaced the key, and the signature is of neither; open the container again"
        raise WinError.of(Code.NTE_BAD_SIGNATURE, f"the card's signature is wrong: {reason} ({self.name})")

    def _learn_anew(self) -> PublicKeyTypes:
        """The public key, read from the card whatever is remembered of it; the private key is that of it from now on.

        Raises:
            NotFound: ``SCARD_E_NO_KEY_CONTAINER``, another container has its place.
        """

        def job(driver: Minidriver) -> PublicKeyTypes:
            driver.doubt(self.index)
            self._require_place(driver)
            return driver.public_key(self.index)

        found = self.card.run(job)
        self._key = None
        return found

    def _require_place(self, driver: Minidriver) -> None:
        """Raise when another container has the place of this one; a fixed place that shows nothing is no other's."""
        try:
            now = driver.container(self.index).name
        except NotFound:
            if not driver.has_fixed_places:
                raise
            return
        if self.card.identity.has_stable_names and now.casefold() != self.name.casefold():
            detail = f"container {self.name} is not on the card any more: {now} has its place"
            raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, detail, next_step="open the container that is wanted")

    def _privately(self, driver: Minidriver, operation: Callable[[Minidriver], T]) -> T:
        """``operation``, whose result nobody can check, unless another container has come to this place."""
        now = Evidence.of(driver.tx)
        if self._placed is None or not self._placed.holds(now):
            self._require_place(driver)
            self._placed = now
        return operation(driver)


class Containers(Sequence[Container]):
    """The containers of a card, as of one enumeration."""

    def __init__(self, containers: list[Container]) -> None:
        self._containers = containers

    def __repr__(self) -> str:
        return f"<Containers {[container.name for container in self._containers]}>"

    def __len__(self) -> int:
        return len(self._containers)

    def __iter__(self) -> Iterator[Container]:
        return iter(self._containers)

    @overload
    def __getitem__(self, at: int) -> Container: ...
    @overload
    def __getitem__(self, at: slice) -> list[Container]: ...
    def __getitem__(self, at: int | slice) -> Container | list[Container]:
        return self._containers[at]

    @property
    def default(self) -> Container:
        """The default container.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, there is none.
        """
        for container in self._containers:
            if container.is_default:
                return container
        raise NotFound(Code.NTE_BAD_KEYSET, "the card has no default container")

    def by_name(self, name: str) -> Container:
        """The container called ``name``, whatever the case.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, there is none.
        """
        wanted = name.casefold()
        for container in self._containers:
            if container.name.casefold() == wanted:
                return container
        raise NotFound(Code.NTE_BAD_KEYSET, f"the card has no container {name!r}")

    def find(self, text: str | int) -> Container:
        """The container that a person means: by name, by the card's own name of the key (``"9A"``), or by index.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, there is none; the next step lists them.
        """
        wanted = str(text).strip().casefold()
        for container in self._containers:
            if wanted in (container.name.casefold(), container.entry.reference.casefold()):
                return container
        for container in self._containers:
            if wanted == str(container.index):
                return container
        known = ", ".join(container.entry.reference or container.name for container in self._containers) or "none"
        raise NotFound(Code.NTE_BAD_KEYSET, f"the card has no container {text!r}", next_step=f"there are: {known}")

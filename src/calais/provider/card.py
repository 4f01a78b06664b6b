"""``Card``: one card for as long as anybody cares, in whatever reader it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.minidriver.api import CardIdentity, Minidriver
from calais.minidriver.memo import CacheMode, Evidence
from calais.minidriver.pins import Pin, PinStatus, Role
from calais.provider.broker import PinBroker, PinUse, is_always
from calais.provider.cache import Explanation, explain, mode_of
from calais.provider.caller import Caller
from calais.provider.container import Container, Containers
from calais.provider.policy import Policy
from calais.resource.readers import Reader
from calais.win.errors import CardRemoved, NoCard, ReaderUnavailable
from calais.win.structs import PinInfo

T = TypeVar("T")
PUK_ID = 3  # the PIN that only unblocks


class Right(Protocol):
    """The right to change a card: the administrator's or the user's."""

    def run(self, job: Callable[[Minidriver], T]) -> T:
        """Run ``job`` in one transaction, with whom the card wants authenticated."""


class Finder(Protocol):
    """Finds a card again after it has been moved."""

    def __call__(self, card_id: bytes, *, besides: Reader) -> Reader | None:
        """The reader that holds this card now, other than ``besides``."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a card needs besides its reader: who handles PINs, the policy, and how to find the card again."""

    broker: PinBroker
    policy: Policy
    find: Finder


class _OtherCard(CardRemoved):
    """The reader holds another card now."""


class Card:
    """One card; a removed one that is put back, in any reader, works again.

    Args:
        reader: where it is now.
        desk: what it needs besides.
        identity: who it is.
        name: name of its kind.
        atr: its answer to reset.
    """

    def __init__(self, reader: Reader, desk: Desk, identity: CardIdentity, name: str, atr: bytes) -> None:
        self.identity = identity
        self.name = name
        self.atr = atr
        self.broker = desk.broker
        self.policy = desk.policy
        self._desk = desk
        self._reader = reader
        self._known: Minidriver | None = None
        self._containers: Containers | None = None

    @classmethod
    def open(cls, reader: Reader, desk: Desk) -> Card:
        """The card in ``reader``.

        Raises:
            NoCard: there is none.
            WinError: ``SCARD_E_UNKNOWN_CARD``, no driver knows it; and what the card does.
        """
        identity, name, atr = reader.run(lambda d: (d.identity(), d.card_name, d.tx.channel.transport.atr))
        return cls(reader, desk, identity, name, atr)

    def __repr__(self) -> str:
        return f"<Card {self.label!r} in {self.reader_name!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def reader(self) -> str:
        """Name of the reader it was last in."""
        return self._reader.name

    reader_name = reader

    @property
    def card_id(self) -> bytes:
        """The card's id, 16 bytes."""
        return self.identity.card_id

    @property
    def label(self) -> str:
        """What a person calls the card."""
        return self.identity.label

    # --- using it ---

    def run(self, job: Callable[[Minidriver], T]) -> T:
        """Run ``job`` in a transaction of this card.

        Raises:
            CardRemoved: the card is in no reader; once it is put back, the same object works again.
            CardReset, SharingViolation, WinError: as ``Reader.run``.
        """

        def guarded(driver: Minidriver) -> T:
            if driver is not self._known:
                self._recognise(driver)
            return job(driver)

        try:
            return self._reader.run(guarded)
        except (NoCard, ReaderUnavailable, _OtherCard) as error:
            self._reader = self._elsewhere(error)
        return self._reader.run(guarded)

    def _recognise(self, driver: Minidriver) -> None:
        """Make sure of the card: it cannot have been exchanged since it was last proved on this connection."""
        memo = driver.memo
        proved = memo.identified is not None and memo.identified.same_insertion(Evidence.of(driver.tx))
        if proved and memo.identity is not None and memo.identity.card_id == self.identity.card_id:
            self._known = driver
            return
        if driver.identity().card_id != self.identity.card_id:
            raise _OtherCard(detail=f"another card is in {self.reader} now", next_step="put the first one back")
        self._known = driver

    def _elsewhere(self, error: NoCard | ReaderUnavailable | CardRemoved) -> Reader:
        found = self._desk.find(self.card_id, besides=self._reader)
        if found is None:
            raise CardRemoved(detail=f"{self.label} is not in {self.reader}", next_step="insert the card") from error
        return found

    def release(self) -> None:
        """End the transaction if it is held: a verified PIN counts no more."""
        self._reader.release()

    # --- containers ---

    @property
    def containers(self) -> Containers:
        """The containers; enumerated anew each time, unless that would give them new names."""
        if self._containers is None or self.identity.has_stable_names:
            self.refresh()
        return self._containers or Containers([])

    def refresh(self, *, probe_keys: bool = False) -> Containers:
        """Enumerate the containers anew; cards without stable names give new ones.

        A card with fixed places that shows none is asked for keys that have no certificate.

        Args:
            probe_keys: also look for keys that have no certificate; costs exchanges.
        """

        def job(driver: Minidriver) -> list[Container]:
            found = driver.containers(probe_keys=probe_keys)
            if not found and not probe_keys and driver.has_fixed_places:
                found = driver.containers(probe_keys=True)
            policies = {entry.pin_id: driver.pin_info(entry.pin_id) for entry in found if entry.pin_id != Role.EVERYONE}
            return [Container(self, entry, always=_always(policies.get(entry.pin_id))) for entry in found]

        self._containers = Containers(self.run(job))
        return self._containers

    @property
    def container_changes(self) -> int:
        """A number that changes with every change to keys and containers that is made through this process."""
        return self._reader.memo.container_changes

    def container(self, name: str) -> Container:
        """The container called ``name``, by whatever name an enumeration of this insertion has given it.

        Raises:
            NotFound: there is none.
        """

        def job(driver: Minidriver) -> Container:
            entry = driver.container(driver.index_of(name))
            info = driver.pin_info(entry.pin_id) if entry.pin_id != Role.EVERYONE else None
            return Container(self, entry, always=_always(info))

        return self.run(job)

    def seen_by(self, caller: Caller) -> Card:
        """This card for ``caller``; what is remembered of the card is shared."""
        desk = replace(self._desk, broker=self.broker.seen_by(caller))
        return Card(self._reader, desk, self.identity, self.name, self.atr)

    # --- what is remembered ---

    def evidence(self) -> list[Explanation]:
        """What is remembered of the card, and why each of it is believed; no exchange for a card that was not moved."""
        return [explain(item) for item in self.run(lambda driver: driver.cached())]

    @property
    def cache_mode(self) -> CacheMode:
        """How far what is remembered of the card reaches."""
        values = self.policy.values()
        return self.run(lambda driver: mode_of(values, driver))

    @property
    def counters_trusted(self) -> bool:
        """Whether the card's freshness counters were never caught lying."""
        return self.run(lambda driver: driver.counters_trusted)

    # --- PINs ---

    def pin_status(self, pin_id: int = Role.USER) -> PinStatus:
        """Whether a PIN is verified and how many tries are left; uses up no try."""
        return self.run(lambda driver: driver.pin_status(pin_id))

    def verify_pin(self, pin: Pin | str | bytes, pin_id: int = Role.USER) -> None:
        """Present a PIN, which has just been given, once; it is remembered if it is right and may be.

        Raises:
            WrongPin: with the tries that are left.
            PinBlocked: none are left.
            WinError: ``SCARD_E_INVALID_CHV``, an impossible length; no try is used.
        """
        self.broker.verify(self, pin_id, _pin(pin))

    def change_pin(self, old: Pin | str | bytes, new: Pin | str | bytes, pin_id: int = Role.USER) -> None:
        """Replace a PIN. Errors as ``verify_pin``."""
        old, new = _pin(old), _pin(new)
        self._replace_pin(lambda driver: driver.change_pin(pin_id, old, new))

    def unblock_pin(
        self, puk: Pin | str | bytes, new: Pin | str | bytes, pin_id: int = Role.USER, auth_id: int = PUK_ID
    ) -> None:
        """Set a new PIN by the PUK. Errors as ``verify_pin``, and speak of the PUK."""
        auth, fresh = _pin(puk), _pin(new)
        self._replace_pin(lambda driver: driver.unblock_pin(pin_id, auth_id, auth, fresh))

    def _replace_pin(self, operation: Callable[[Minidriver], None]) -> None:
        self.broker.cache.forget_card(self.card_id)
        self.run(operation)

    # --- administration ---

    def admin(self, key: bytes) -> Admin:
        """What the holder of the administrator's key may do; the key is tried with the first thing done."""
        return Admin(self, key)

    def holder(self, purpose: str) -> Holder:
        """What the user may do to the card with the PIN; ``purpose`` is what a person is told the PIN is for."""
        return Holder(self, purpose)


class Admin:
    """Changes to a card that want the administrator's key (PIV: the management key).

    Args:
        card: the card.
        key: the key; 24 bytes for 3DES; 16, 24 or 32 for AES.
    """

    def __init__(self, card: Card, key: bytes) -> None:
        self.card = card
        self._key = key

    def __repr__(self) -> str:
        return f"<Admin of {self.card!r}>"

    def run(self, job: Callable[[Minidriver], T]) -> T:
        """Run ``job`` with the administrator authenticated, in one transaction."""

        def authenticated(driver: Minidriver) -> T:
            driver.authenticate_admin(self._key)
            return job(driver)

        return self.card.run(authenticated)

    def generate(self, index: int, key_spec: int, size_bits: int = 0) -> PublicKeyTypes:
        """Make a key in container ``index`` on the card (see ``Minidriver.create_container``)."""
        return self.run(lambda driver: driver.create_container(index, key_spec, size_bits))

    def import_key(self, index: int, key_spec: int, key: PrivateKeyTypes) -> PublicKeyTypes:
        """Put ``key`` into container ``index`` (see ``Minidriver.create_container``)."""
        return self.run(lambda driver: driver.create_container(index, key_spec, key=key))

    def put_certificate(self, index: int, der: bytes, *, compress: bool | None = None) -> None:
        """Write the certificate of container ``index``; ``compress`` ``None`` = when it does not fit otherwise."""
        self.run(lambda driver: driver.write_certificate(index, der, compress=compress))

    def delete_certificate(self, index: int) -> None:
        """Delete the certificate of container ``index``, not its key."""
        self.run(lambda driver: driver.delete_certificate(index))

    def delete_key(self, index: int) -> None:
        """Delete the key of container ``index``, not its certificate."""
        self.run(lambda driver: driver.delete_container(index))

    def change_key(self, new: bytes) -> None:
        """Replace the administrator's key."""
        self.run(lambda driver: driver.change_admin_key(new))
        self._key = new


class Holder:
    """Changes to a card that the user may make; the PIN is asked for when the card wants it.

    Args:
        card: the card.
        purpose: in words, ``"make a key"``.
    """

    def __init__(self, card: Card, purpose: str) -> None:
        self.card = card
        self._use = PinUse(Role.USER, always=False, container="", purpose=purpose)

    def __repr__(self) -> str:
        return f"<Holder of {self.card!r}>"

    def run(self, job: Callable[[Minidriver], T]) -> T:
        """Run ``job``, again from its beginning once the PIN is there; errors as ``PinBroker.perform``."""
        return self.card.broker.perform(self.card, self._use, job)


def _pin(value: Pin | str | bytes) -> Pin:
    return value if isinstance(value, Pin) else Pin(value)


def _always(info: PinInfo | None) -> bool:
    return info is not None and is_always(info.cache_policy.policy)

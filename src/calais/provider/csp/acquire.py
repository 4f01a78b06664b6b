r"""CryptAcquireContext for the providers whose containers are on cards.

What ``dwFlags`` asks for is one of five things: to open a container, to see public data, to make a container, to delete
one, or to open the default one if there is one. Each is a row of ``_WAYS``.

Source: CryptAcquireContext (wincrypt.h); Microsoft, "Smart Card Architecture", Base CSP context flags.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

from calais.minidriver.memo import MAX_NAMES
from calais.minidriver.pins import Role
from calais.provider import containeradmin
from calais.provider.caller import Caller, Face
from calais.provider.card import Card
from calais.provider.choosing import Choosing, Lease
from calais.provider.container import Container, Key
from calais.provider.csp.cardkeys import public_only
from calais.provider.csp.cardslots import CardSlots, PublicCardSlots
from calais.provider.csp.context import CspContext, Guard, KeySlots
from calais.provider.csp.lasterror import LastErrors
from calais.provider.csp.memorykeys import MemorySlots
from calais.provider.csp.providers import Provider
from calais.provider.names import ContainerName, parse_container
from calais.provider.policy import Policy
from calais.resource.slots import ReaderStatus
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import (
    CRYPT_DEFAULT_CONTAINER_OPTIONAL,
    CRYPT_DELETEKEYSET,
    CRYPT_MACHINE_KEYSET,
    CRYPT_NEWKEYSET,
    CRYPT_SILENT,
    CRYPT_VERIFYCONTEXT,
)

COMMON = CRYPT_SILENT | CRYPT_MACHINE_KEYSET


class Host(Protocol):
    """What a provider needs of the system (``calais.system.System``)."""

    @property
    def choosing(self) -> Choosing:
        """Finds cards and containers."""

    @property
    def policy(self) -> Policy:
        """The values in force."""

    @property
    def last_errors(self) -> LastErrors:
        """Why calls of the Personal CSP failed."""

    def readers(self) -> list[ReaderStatus]:
        """All readers and what is in them."""


Resolve = Callable[[Host, str, Caller], Container]


def plain_name(host: Host, text: str, caller: Caller) -> Container:
    """The RSA container that ``text`` means, by the four levels."""
    return host.choosing.container(parse_container(text), caller, is_rsa)


@dataclass(frozen=True, slots=True)
class Habits:
    """In what a provider differs from the Base CSP when contexts are acquired.

    ``parse``: takes names apart; ``modes``: what can be asked for; ``resolve``: what names mean; ``unnamed``: opens a context without a name, ``None``
    = as any other; ``guard``: entered around every call of a context; ``bound``: whether the import policies bind it;
    ``forgets``: whether CRYPT_MACHINE_KEYSET makes it believe nothing that is remembered of cards.
    """

    parse: Callable[[str], ContainerName] = parse_container
    modes: int = CRYPT_NEWKEYSET | CRYPT_DELETEKEYSET | CRYPT_DEFAULT_CONTAINER_OPTIONAL
    resolve: Resolve = plain_name
    unnamed: Callable[[Order], CspContext] | None = None
    guard: Callable[[Host], Guard] = lambda _: nullcontext
    bound: bool = True
    forgets: bool = True


@dataclass(frozen=True)
class Order:
    """One call of CryptAcquireContext, its flags checked."""

    host: Host
    provider: Provider
    habits: Habits
    text: str
    flags: int
    caller: Caller

    @property
    def name(self) -> ContainerName:
        """Reader and container that are named.

        Raises:
            WinError: ``NTE_BAD_KEYSET_PARAM``.
        """
        return self.habits.parse(self.text)

    @property
    def mode(self) -> int:
        """The flag that says what is asked for, 0 = to open."""
        return self.flags & ~COMMON


class CardContext(CspContext):
    """HCRYPTPROV of a provider with cards.

    Args:
        order: the call that made it.
        slots: its keys.
        card: the card that was chosen, if one was.
        container: the container on it, if there is one.
        leases: given back when it is closed.

    ``host``: the system; ``look_for_card``: makes a context choose its card that could not do so before.
    """

    def __init__(
        self,
        order: Order,
        slots: KeySlots,
        *,
        card: Card | None = None,
        container: Container | None = None,
        leases: Leases | None = None,
    ) -> None:
        self.order = order
        self.host = order.host
        self.leases = leases or Leases()
        super().__init__(
            order.provider,
            slots,
            flags=order.flags,
            caller=order.caller,
            card=card,
            container=container,
            guard=order.habits.guard(order.host),
            on_close=self.leases.close,
        )
        self.look_for_card: Callable[[], object] = lambda: None
        if isinstance(slots, CardSlots):
            slots.follow = self.follow

    def follow(self, container: Container) -> None:
        """The container has changed."""
        self.container, self.card = container, container.card

    @property
    def pin_id(self) -> int:
        """The PIN that PP_KEYEXCHANGE_PIN and PP_SIGNATURE_PIN mean."""
        if self.order.mode or self.container is None:
            return Role.USER
        return self.container.pin_id or Role.USER

    @property
    def key(self) -> Key:
        """The private key in its container, as an object of ``cryptography``.

        Raises:
            BadParameter: ``ERROR_INVALID_PARAMETER``, the context is closed.
            AccessDenied: ``NTE_PERM``, it is for public data.
            NotFound: ``NTE_NO_KEY``, it has no container.
            WinError: as ``Container.key``.
        """
        if not self.is_open:
            raise BadParameter(Code.ERROR_INVALID_PARAMETER, "this handle is closed")
        if self.is_public:
            raise public_only()
        if self.container is None:
            self.look_for_card()
        if self.container is None:
            raise NotFound(Code.NTE_NO_KEY, "the context has no container")
        return self.container.key

    def require_card(self) -> Card:
        """The card.

        Raises:
            WinError: ``SCARD_E_NO_SMARTCARD``, none has been chosen.
        """
        if self.card is None:
            raise WinError.of(Code.SCARD_E_NO_SMARTCARD, "the context has no card")
        return self.card

    def change_caller(self, *, window: int | None = None, text: str | None = None) -> None:
        """Change what prompts are told; what is ``None`` stays."""
        super().change_caller(window=window, text=text)
        if self.card is not None:
            self.card = self.card.seen_by(self.caller)


class Leases:
    """The names that a context has told (see ``choosing.NameLeases``)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._most = MAX_NAMES
        self.held: list[Lease] = []

    def hold(self, lease: Lease) -> None:
        """Take on a name; of very many the oldest is given back, as the card's memory gives it up, too."""
        if lease.is_live:
            with self._lock:
                self.held.append(lease)
        self._keep(self._most)

    def close(self) -> None:
        """Give them back, and every one that is told from now on."""
        self._most = 0
        self._keep(0)

    def _keep(self, most: int) -> None:
        with self._lock:
            over = max(len(self.held) - most, 0)
            surplus, self.held = self.held[:over], self.held[over:]
        for lease in surplus:
            lease.close()


def acquire(
    host: Host, provider: Provider, habits: Habits, text: str | None, flags: int, window: int | None = None
) -> CspContext | None:
    """A context on cards; ``None`` with CRYPT_DELETEKEYSET.

    Args:
        host: the system.
        provider: its row.
        habits: in what it differs from the Base CSP.
        text: the container, on any of the four levels.
        flags: CRYPT_VERIFYCONTEXT …
        window: over which prompts appear.

    Raises:
        WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_KEYSET_PARAM``, ``NTE_BAD_KEYSET``, ``NTE_EXISTS``,
            ``NTE_TOKEN_KEYSET_STORAGE_FULL``, ``SCARD_E_READ_ONLY_CARD``, ``NTE_SILENT_CONTEXT``; as ``Choosing``.
    """
    flags = check_flags(flags, habits.modes)
    caller = Caller(Face.CRYPTOAPI, silent=bool(flags & CRYPT_SILENT), window=window)
    order = Order(host, provider, habits, text or "", flags, caller)
    with habits.guard(host)():
        return _WAYS[order.mode](order)


def check_flags(flags: int, modes: int) -> int:
    """``flags``, without one that has no effect.

    Raises:
        BadParameter: ``NTE_BAD_FLAGS``, unknown bits, or bits that do not go together.
    """
    chosen = flags & ~COMMON
    if chosen == CRYPT_VERIFYCONTEXT | (modes & CRYPT_DEFAULT_CONTAINER_OPTIONAL):
        chosen = CRYPT_VERIFYCONTEXT
    if chosen not in _WAYS or (chosen != CRYPT_VERIFYCONTEXT and chosen & ~modes):
        raise WinError.of(Code.NTE_BAD_FLAGS, f"flags 0x{flags:X} do not go together, or are unknown")
    return chosen | flags & COMMON


def is_rsa(container: Container) -> bool:
    """Whether CryptoAPI can use it: it has an RSA key, or none yet, or one that cannot be told."""
    return container.entry.algorithm in ("RSA", "")


# --- the five ways ---------------------------------------------------------------------------------------------------


def _look_anew(order: Order) -> None:
    if order.flags & CRYPT_MACHINE_KEYSET and order.habits.forgets:
        order.host.choosing.forget_data(order.name.reader, order.caller)


def _found(order: Order) -> Container:
    _look_anew(order)
    return order.habits.resolve(order.host, order.text, order.caller)


def open_container(order: Order) -> CspContext:
    """A context with the container that is named, else with the default one."""
    if not order.text and order.habits.unnamed is not None:
        return order.habits.unnamed(order)
    return with_container(order, _found(order))


def with_container(order: Order, container: Container) -> CardContext:
    """A context with ``container``."""
    kind = PublicCardSlots if order.mode == CRYPT_VERIFYCONTEXT else CardSlots
    sizes = order.provider.rsa if order.provider.rsa.default else None
    slots = kind(container, sizes=sizes, bound=order.habits.bound)
    leases = Leases()
    leases.hold(_lease(order, container))
    return CardContext(order, slots, card=container.card, container=container, leases=leases)


def _lease(order: Order, container: Container) -> Lease:
    names = order.host.choosing.names
    was_named = container.name.casefold() in order.text.casefold()
    return (names.join if was_named else names.issue)(container.card, container.name)


def without_container(order: Order, card: Card | None) -> CardContext:
    """A context whose keys are in memory."""
    slots = MemorySlots(order.provider.rsa, order.host.policy.default_key_length_bits)
    return CardContext(order, slots, card=card)


def _open_public(order: Order) -> CspContext:
    if not order.text:
        return without_container(order, None)
    if order.name.reader is not None and not order.name.container:
        return _open_optional(order)
    return with_container(order, _found(order))


def _open_optional(order: Order) -> CspContext:
    name = order.name
    if name.container:
        return open_container(order)
    _look_anew(order)
    card, container = order.host.choosing.default(name.reader, order.caller, is_rsa)
    return without_container(order, card) if container is None else with_container(order, container)


def _create(order: Order) -> CspContext:
    name = order.name
    _look_anew(order)
    card = order.host.choosing.room(name, order.caller)
    return with_container(order, containeradmin.create_container(card, name.container))


def _delete(order: Order) -> None:
    containeradmin.delete_container(_found(order))


_WAYS: dict[int, Callable[[Order], CspContext | None]] = {
    0: open_container,
    CRYPT_VERIFYCONTEXT: _open_public,
    CRYPT_NEWKEYSET: _create,
    CRYPT_DELETEKEYSET: _delete,
    CRYPT_DEFAULT_CONTAINER_OPTIONAL: _open_optional,
}
BASE_HABITS = Habits()

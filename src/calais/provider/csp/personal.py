r"""The Personal CSP: what its names mean, how it opens a context without a name, and how it tells of failures.

Names, besides those of the Base CSP: 40 hexadecimal digits are the SHA-1 of a certificate; a GUID may be in braces; and
``\\.\<reader>\<id>``, in decimal or as ``0x…``, is a key by its number on the card (PIV: 0x9A …; GIDS: its container's
index).

Source: Nexus, "Personal CSP" (exceptions from the CryptoAPI specification).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial

from calais.minidriver.api import Minidriver
from calais.provider import containeradmin
from calais.provider.caller import Caller
from calais.provider.card import Card
from calais.provider.choosing import Choosing
from calais.provider.container import Container
from calais.provider.csp.acquire import CardContext, Habits, Host, Order, is_rsa, with_container, without_container
from calais.provider.csp.cardkeys import CardRsaKey
from calais.provider.csp.cardslots import CardSlots
from calais.provider.csp.context import CspContext
from calais.provider.csp.paramrows import ProvRow
from calais.provider.csp.provparams import on_cards
from calais.provider.names import PREFIX, ContainerName, parse_container
from calais.resource.slots import ReaderStatus
from calais.transport.keypad import Keypad
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NoCard, NotFound, WinError

THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")
GUID = re.compile(r"\{([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\}")
KEY_ID = re.compile(r"0[xX]([0-9A-Fa-f]{1,8})|([0-9]{1,10})")


# --- names -----------------------------------------------------------------------------------------------------------


def parse(text: str) -> ContainerName:
    """Take a name apart; a thumbprint stays what it is.

    Raises:
        WinError: ``NTE_BAD_KEYSET_PARAM``.
    """
    if THUMBPRINT.fullmatch(text):
        return ContainerName(None, text)
    return parse_container(_without_braces(text))


def _without_braces(text: str) -> str:
    """``text``, its last part without the braces of a GUID."""
    start = text.rfind("\\") + 1 if text.startswith(PREFIX) else 0
    found = GUID.fullmatch(text, start)
    return text[:start] + found[1] if found else text


def resolve(host: Host, text: str, caller: Caller) -> Container:
    """The container that ``text`` means.

    Raises:
        NotFound: ``NTE_BAD_KEYSET``, it is nowhere.
        WinError: as ``Choosing.cards``.
    """
    if THUMBPRINT.fullmatch(text):
        return _of_certificate(host.choosing, text, caller)
    name = parse(text)
    number = _key_id(name.container) if name.reader is not None else None
    if number is not None:
        found = _of_key(host.choosing, name.reader or "", number, caller)
        if found is not None:
            return found
    return host.choosing.container(name, caller, is_rsa)


def _key_id(text: str) -> int | None:
    found = KEY_ID.fullmatch(text)
    if found is None:
        return None
    return int(found[1], 16) if found[1] else int(found[2])


def _of_key(choosing: Choosing, reader: str, number: int, caller: Caller) -> Container | None:
    """The container whose key has ``number`` on the card in ``reader``, with or without a certificate."""
    (card, *_) = choosing.cards(reader, caller)
    found = card.run(partial(_with_key, card, number))
    if found is None or not is_rsa(found):
        return None
    choosing.note(card)
    return found


def _with_key(card: Card, number: int, driver: Minidriver) -> Container | None:
    try:
        index = driver.place(f"{number:02X}") if driver.has_fixed_places else number
        return None if index is None else containeradmin.entered(card, driver, driver.container(index))
    except (BadParameter, NotFound):
        return None


def _of_certificate(choosing: Choosing, thumbprint: str, caller: Caller) -> Container:
    wanted = bytes.fromhex(thumbprint)
    for card in choosing.cards(None, caller):
        found = card.run(partial(_with_certificate, card, wanted))
        if found is not None:
            choosing.note(card)
            return found
    raise NotFound(Code.NTE_BAD_KEYSET, f"no inserted card has a certificate with SHA-1 {thumbprint}")


def _with_certificate(card: Card, wanted: bytes, driver: Minidriver) -> Container | None:
    for entry in driver.containers():
        try:
            der = driver.certificate(entry.index) if entry.has_certificate and entry.algorithm == "RSA" else None
        except (BadData, NotFound):
            continue
        if der is not None and hashlib.sha1(der, usedforsecurity=False).digest() == wanted:
            return containeradmin.entered(card, driver, entry)
    return None


# --- a context without a name ----------------------------------------------------------------------------------------


def open_unnamed(order: Order) -> CspContext:
    """The policy's container; else the first card's; else one that waits for a card; without a reader, one in memory.

    Raises:
        NotFound: ``NTE_BAD_KEYSET``, the first card has no default container, or the policy's is not there.
    """
    host = order.host
    wanted = host.policy.personal_default_container
    if wanted:
        return with_container(order, resolve(host, wanted, order.caller))
    statuses = host.readers()
    if not statuses:
        return without_container(order, None)
    if not any(status.present for status in statuses):
        return waiting(order, statuses[0].name)
    card = _first_card(order, statuses)
    return with_container(order, host.choosing.container(ContainerName(card.reader, ""), order.caller, is_rsa))


def _first_card(order: Order, statuses: list[ReaderStatus]) -> Card:
    """The card in the first reader that has one; cards that cannot be read are passed over, unless there is no other."""
    present = [status.name for status in statuses if status.present]
    problem: WinError | None = None
    for reader in present:
        try:
            return order.host.choosing.cards(reader, order.caller)[0]
        except WinError as error:
            problem = problem or error
    raise problem or NoCard()


class LateSlots:
    """The slots of a context whose card is not there yet: it is asked for when a key is wanted.

    Args:
        order: the call that made the context.
        reader: where the card is expected.
    """

    on_card = True

    def __init__(self, order: Order, reader: str) -> None:
        self.follow: Callable[[Container], None] = lambda _: None
        self._order = order
        self._caller = order.caller
        self._reader = reader
        self._slots: CardSlots | None = None

    def __repr__(self) -> str:
        return f"<LateSlots for {self._reader!r}>"

    def get(self, key_spec: int) -> CardRsaKey | None:
        """The key in a slot, or ``None``; a person may be asked for the card.

        Raises:
            NoCard: nobody may be asked. Cancelled: the person gave up. NotFound: ``NTE_BAD_KEYSET``.
        """
        return self.there().get(key_spec)

    def generate(self, key_spec: int, bits: int, flags: int) -> CardRsaKey:
        """See ``CardSlots.generate``, and as ``get``."""
        return self.there().generate(key_spec, bits, flags)

    def import_private(self, key: object, key_spec: int, flags: int) -> CardRsaKey:
        """See ``CardSlots.import_private``, and as ``get``."""
        return self.there().import_private(key, key_spec, flags)  # type: ignore[arg-type]

    def seen_by(self, caller: Caller) -> None:
        """From now on this is who wants the keys."""
        self._caller = caller
        if self._slots is not None:
            self._slots.seen_by(caller)

    def there(self) -> CardSlots:
        """The slots on the card, which a person may be asked for. Errors as ``get``."""
        if self._slots is None:
            choosing = self._order.host.choosing
            container = choosing.container(ContainerName(self._reader, ""), self._caller, is_rsa)
            self._slots = CardSlots(container, sizes=self._order.provider.rsa, bound=False)
            self._slots.follow = self.follow
            self.follow(container)
        return self._slots


def waiting(order: Order, reader: str) -> CardContext:
    """A context for the card that will be in ``reader``."""
    slots = LateSlots(order, reader)
    context = CardContext(order, slots)
    slots.follow = context.follow
    context.look_for_card = slots.there
    return context


# --- what it says of itself ------------------------------------------------------------------------------------------


def last_error(context: CspContext) -> int:
    """PP_NX_LAST_ERROR of this thread."""
    return on_cards(context).host.last_errors.value


def context_flags(context: CspContext) -> int:
    """PP_NX_CONTEXT_FLAGS: 0 when there is not even a reader for it."""
    mine = on_cards(context)
    if mine.card is None and not isinstance(mine.slots, LateSlots):
        return 0
    return flags.NX_FLAG_HW_TOKEN | flags.NX_FLAG_TOKEN_REMOVABLE | _present(mine)


def _present(context: CardContext) -> int:
    """NX_FLAG_TOKEN_PRESENT, and what can be said of the reader, when the card is there."""
    if context.card is None:
        return 0
    try:
        keypad = context.card.run(lambda driver: Keypad.of(driver.tx) is not None)
    except WinError:
        return 0
    return flags.NX_FLAG_TOKEN_PRESENT | (flags.NX_FLAG_HAS_PROTECTED_AUTH_PATH if keypad else 0)


GET = (
    ProvRow(flags.PP_NX_LAST_ERROR, "P", read=last_error, guarded=False),
    ProvRow(flags.PP_NX_CONTEXT_FLAGS, "P", read=context_flags),
)
HABITS = Habits(
    parse=parse,
    modes=flags.CRYPT_NEWKEYSET | flags.CRYPT_DELETEKEYSET,
    resolve=resolve,
    unnamed=open_unnamed,
    guard=lambda host: host.last_errors.guard,
    bound=False,
    forgets=False,
)

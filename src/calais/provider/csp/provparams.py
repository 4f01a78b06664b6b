"""Provider parameters that speak of cards, and of who is asked for them; the others are with the dispatcher.

Source: CryptGetProvParam, CryptSetProvParam (wincrypt.h); Microsoft, "Smart Card Architecture", Base CSP properties.
"""

from __future__ import annotations

from calais.minidriver.containers import AT_KEYEXCHANGE
from calais.minidriver.pins import Pin, Role, is_in_pin_set
from calais.provider import cardstores
from calais.provider.card import Card
from calais.provider.csp.acquire import CardContext, is_rsa
from calais.provider.csp.context import CspContext
from calais.provider.csp.paramrows import ProvRow
from calais.store.stores import Store
from calais.win import flags
from calais.win.errors import Unsupported
from calais.win.flags.cardmod import ChallengeResponsePinType

NO_INCREMENT = 64  # bits, without a card


def card_of(context: CspContext) -> Card:
    """The card of a context.

    Raises:
        WinError: ``SCARD_E_NO_SMARTCARD``, it has none.
    """
    return on_cards(context).require_card()


def on_cards(context: CspContext) -> CardContext:
    """``context``, which is of a provider with cards."""
    if not isinstance(context, CardContext):
        raise Unsupported(detail=f"{context.provider.name} has no cards")
    return context


# --- what is read ----------------------------------------------------------------------------------------------------


def _reader(context: CspContext) -> str:
    return card_of(context).reader


def _card_id(context: CspContext) -> bytes:
    return card_of(context).card_id


def _icon(context: CspContext) -> bytes:
    raise Unsupported(detail=f"there is no icon for {card_of(context).reader}")


def container_names(context: CspContext) -> list[str]:
    """Names of the RSA containers on the context's card; without a card, on all."""
    mine = on_cards(context)
    choosing = mine.host.choosing
    cards = [mine.card] if mine.card is not None else choosing.cards(None, mine.caller)
    found = [container for card in cards for container in choosing.listed(card, is_rsa)]
    for container in found:
        mine.leases.hold(choosing.names.issue(container.card, container.name))
    return [container.name for container in found]


def size_step(context: CspContext) -> int:
    """By how many bits the lengths of keys on the context's card differ."""
    card = on_cards(context).card
    if card is None:
        return NO_INCREMENT
    return card.run(lambda driver: driver.key_sizes(AT_KEYEXCHANGE).incremental_bit_len)


def _user_store(context: CspContext) -> Store:
    mine, card = on_cards(context), card_of(context)
    found = cardstores.certificates(card)
    for each in found:
        mine.leases.hold(mine.host.choosing.names.issue(card, each.entry.name))
    return cardstores.user_store(found)


def _root_store(context: CspContext) -> Store:
    return cardstores.root_store(card_of(context))


# --- what is set -----------------------------------------------------------------------------------------------------


def set_pin(context: CspContext, value: str | bytes | None) -> None:
    """Present the PIN of the context's container, and remember it as its cache policy allows; ``None`` forgets it."""
    mine = on_cards(context)
    if mine.card is None:
        mine.look_for_card()
    card = mine.require_card()
    card.broker.give(card, mine.pin_id, Pin(value or ""))


def _set_admin_pin(context: CspContext, value: str | None) -> None:
    card = card_of(context)
    if not card.run(lambda driver: is_in_pin_set(driver.pin_list(), Role.ADMIN)) or card.run(
        lambda driver: driver.pin_info(Role.ADMIN).pin_type == ChallengeResponsePinType
    ):
        raise Unsupported(detail=f"{card.label} has no administrator's PIN")
    card.broker.give(card, Role.ADMIN, Pin(value or ""))


def _set_session_pin(context: CspContext, value: bytes | str) -> None:
    card, pin_id = card_of(context), on_cards(context).pin_id
    if not card.run(lambda driver: is_in_pin_set(driver.session_pins, pin_id)):
        raise Unsupported(detail=f"{card.label} has no session PINs")
    card.broker.give_session_pin(card, pin_id, Pin(value))


def _set_root_store(context: CspContext, value: object) -> None:
    cardstores.set_root_store(card_of(context), value)


def _set_prompt_text(context: CspContext, value: str) -> None:
    context.change_caller(text=value)


def _set_insert_text(context: CspContext, value: str) -> None:
    on_cards(context).host.choosing.insert_text = value


# --- the rows --------------------------------------------------------------------------------------------------------

TEXT = (str,)
TEXT_OR_NONE = (str, type(None))
GET = (
    ProvRow(flags.PP_ENUMCONTAINERS, "BP", items=container_names, more_flags=flags.CRYPT_MACHINE_KEYSET),
    ProvRow(flags.PP_SIG_KEYSIZE_INC, "BP", read=size_step),
    ProvRow(flags.PP_KEYX_KEYSIZE_INC, "BP", read=size_step),
    ProvRow(flags.PP_SMARTCARD_READER, "BP", read=_reader),
    ProvRow(flags.PP_SMARTCARD_GUID, "BP", read=_card_id),
    ProvRow(flags.PP_SMARTCARD_READER_ICON, "B", read=_icon),
    ProvRow(flags.PP_USER_CERTSTORE, "B", read=_user_store),
    ProvRow(flags.PP_ROOT_CERTSTORE, "B", read=_root_store),
)
SET = (
    ProvRow(flags.PP_KEYEXCHANGE_PIN, "BP", write=set_pin, takes=TEXT_OR_NONE),
    ProvRow(flags.PP_SIGNATURE_PIN, "BP", write=set_pin, takes=TEXT_OR_NONE),
    ProvRow(flags.PP_ADMIN_PIN, "B", write=_set_admin_pin, takes=TEXT_OR_NONE),
    ProvRow(flags.PP_SECURE_KEYEXCHANGE_PIN, "B", write=_set_session_pin, takes=(bytes, str)),
    ProvRow(flags.PP_SECURE_SIGNATURE_PIN, "B", write=_set_session_pin, takes=(bytes, str)),
    ProvRow(flags.PP_ROOT_CERTSTORE, "B", write=_set_root_store, takes=(Store,)),
    ProvRow(flags.PP_PIN_PROMPT_STRING, "BP", write=_set_prompt_text, takes=TEXT),
    ProvRow(flags.PP_UI_PROMPT, "BP", write=_set_insert_text, takes=TEXT),
)

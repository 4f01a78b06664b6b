"""What properties of keys tell and change beyond the handle: lengths, certificates, PINs, neighbours on the card.

Each takes the key and whether nobody may be asked; ``None`` = there is no such value.

Source: Microsoft, "Key Storage Property Identifiers", "Smart Card Key Storage Provider Properties".
"""

# ruff: noqa: FBT001 - readers and writers of properties have one type

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from calais.minidriver.api import Minidriver
from calais.minidriver.pins import Pin, Role, is_in_pin_set
from calais.provider import containeradmin
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.ksp import errors
from calais.provider.ksp.cardkeys import is_ambiguous, keys_of
from calais.provider.ksp.handles import NCryptKey, NCryptProv, Place
from calais.provider.names import PREFIX
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import NCryptSupportedLengths, PinInfo


def _place(key: NCryptKey) -> Place:
    if key.place is None:
        raise errors.not_supported("this key is on no card")
    return key.place


def _card(key: NCryptKey, silent: bool) -> Card:
    return _place(key).card.seen_by(key.caller(silent=silent))


def _container(key: NCryptKey, silent: bool) -> Container | None:
    container = _place(key).container
    return container and container.seen_by(key.caller(silent=silent))


# --- names and lengths -----------------------------------------------------------------------------------------------


def unique_name(key: NCryptKey, _: bool) -> str | None:
    """The name, with its reader when another card has the same."""
    place = _place(key)
    if not place.name:
        return None
    return f"{PREFIX}{place.card.reader}\\{place.name}" if is_ambiguous(key.storage, place) else place.name


def planned_length(key: NCryptKey) -> int:
    """Bits of an unfinished key of which no length was said."""
    if key.place is not None and key.algorithm.is_rsa:
        return key.place.card.policy.default_key_length_bits
    return key.algorithm.lengths.default_length


def lengths(key: NCryptKey, silent: bool) -> NCryptSupportedLengths:
    """The lengths that such keys can have: on this card, or in memory."""
    if key.place is None:
        return key.algorithm.lengths
    spec = key.algorithm.card_spec or key.place.key_spec
    sizes = _card(key, silent).run(lambda driver: driver.key_sizes(spec))
    return NCryptSupportedLengths(
        sizes.minimum_bit_len, sizes.maximum_bit_len, sizes.incremental_bit_len, sizes.default_bit_len
    )


def block_length(key: NCryptKey, _: bool) -> int | None:
    """Bytes of an RSA block."""
    return ((key.length or planned_length(key)) + 7) // 8 if key.algorithm.is_rsa else None


def signature_length(key: NCryptKey, _: bool) -> int | None:
    """Bytes of a signature of a key that signs."""
    size = ((key.length or planned_length(key)) + 7) // 8
    if not key.algorithm.signs:
        return None
    return size if key.algorithm.is_rsa else 2 * size


def provider_handle(key: NCryptKey, _: bool) -> NCryptProv:
    """A new handle of the key's provider, which the caller frees."""
    return NCryptProv(key.storage)


# --- certificates ----------------------------------------------------------------------------------------------------


def certificate(key: NCryptKey, silent: bool) -> bytes | None:
    """The certificate of the slot; of a nameless key the one that was set."""
    if key.place is None:
        return key.settings.certificate
    container = _container(key, silent)
    if container is None:
        return None
    with errors.on_card():
        return container.certificate


def set_certificate(key: NCryptKey, der: bytes | None, silent: bool) -> None:
    """Write (``None``: delete) the certificate.

    Raises:
        BadParameter: ``NTE_INVALID_PARAMETER``, this is no certificate.
        WinError: ``NTE_BAD_PUBLIC_KEY``, it is one of another key; and as ``containeradmin.write_certificate``.
    """
    material = key.material
    if der is not None and _public_key(der) != material.public_key:
        raise WinError.of(Code.NTE_BAD_PUBLIC_KEY, "this is the certificate of another key")
    container = _container(key, silent) if key.place is not None else None
    if container is None:
        key.settings.certificate = der
        return
    with errors.on_card():
        if der is None:
            containeradmin.delete_certificate(container)
        else:
            containeradmin.write_certificate(container, der)


def _public_key(der: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise errors.bad_parameter("this is no certificate (DER)") from error


# --- PINs ------------------------------------------------------------------------------------------------------------


def pin_id(key: NCryptKey) -> int:
    """The PIN of the container; of one that is not there yet the user's."""
    container = _place(key).container
    return Role.USER if container is None else container.pin_id


def pin_info(key: NCryptKey, silent: bool) -> PinInfo | None:
    """What the card says about that PIN; a key that wants none has none."""
    wanted = pin_id(key)
    if wanted == Role.EVERYONE:
        return None
    return _card(key, silent).run(lambda driver: driver.pin_info(wanted))


def set_pin(key: NCryptKey, value: str | None, silent: bool) -> None:
    """Take a PIN: verified at once; on an unfinished key kept for finishing it. ``None`` forgets.

    Raises:
        WrongPin, PinBlocked, WinError: as ``PinBroker.give``.
    """
    pin = Pin(value) if value else None
    if key.draft is not None:
        key.settings.pin = pin
        return
    card = _card(key, silent)
    if pin_id(key) != Role.EVERYONE:
        card.broker.give(card, pin_id(key), pin)


def set_session_pin(key: NCryptKey, value: bytes | str, silent: bool) -> None:
    """Take a session PIN.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, the card has none.
        WrongPin, WinError: as ``PinBroker.give_session_pin``.
    """
    card, wanted = _card(key, silent), pin_id(key)

    def has_session_pins(driver: Minidriver) -> bool:
        return is_in_pin_set(driver.session_pins, wanted)

    if wanted == Role.EVERYONE or not card.run(has_session_pins):
        raise errors.not_supported(f"{card.label} has no session PINs")
    card.broker.give_session_pin(card, wanted, Pin(value))


# --- neighbours ------------------------------------------------------------------------------------------------------


def associated_ecdh_key(key: NCryptKey, silent: bool) -> str | None:
    """Name of the container with the card's ECDH key, for a key that signs ECDSA; one on the same curve goes first.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, any other key.
    """
    if key.algorithm.is_rsa or key.algorithm.agrees:
        raise errors.not_supported("only ECDSA keys have an associated ECDH key")
    found = [each for each in keys_of(_card(key, silent)) if each.algorithm.agrees]
    found.sort(key=lambda each: each.algorithm.curve != key.algorithm.curve)
    return found[0].container.name if found else None

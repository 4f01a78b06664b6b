"""Changing a PIV card, with the management key authenticated: keys and certificates.

Source: SP 800-73-4 part 2, 3.3 (PUT DATA, GENERATE); part 1, 3.3.3 (Key History); Yubico "PIV commands" (import,
delete).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.piv import edge, edge_yubico, keptmap, listing, pins, spec
from calais.cards.piv.keys import (
    BITS_OF,
    algorithm_for,
    algorithm_of,
    certificate_key,
    facts_of,
    import_parts,
    parse_public_key,
)
from calais.cards.piv.objects import CERTIFICATE_MAX_PLAIN, KeyHistory, build_certificate
from calais.cards.piv.spec import Algorithm
from calais.cards.piv.view import CardView
from calais.minidriver.api import check_index
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, CardRemoved, CardReset, Unsupported, WinError

_ECDH_SPECS = (6, 7, 8)


def writable_slot(view: CardView, index: int) -> spec.Slot:
    """The slot of container ``index``, when the card may be changed.

    Raises:
        Unsupported: policy makes the card read-only.
        BadParameter: outside 0…255.
        WinError: SCARD_E_WRITE_TOO_MANY, PIV has no slot for this index.
    """
    refuse_read_only(view)
    if check_index(index) >= len(spec.SLOTS):
        raise WinError(Code.SCARD_E_WRITE_TOO_MANY, f"PIV has {len(spec.SLOTS)} slots, none for container {index}")
    return listing.slot_at(index)


def refuse_read_only(view: CardView) -> None:
    """Raise ``Unsupported`` when policy makes the card read-only, or the card has no management key."""
    if not view.policy.write:
        raise Unsupported(detail="policy makes PIV cards read-only", next_step="set piv.write in the policy file")
    if not pins.is_managed(view):
        remedy = "ask the card's issuer: only who made the card can change it"
        raise Unsupported(detail="the card has no management key: nothing but its PINs can change", next_step=remedy)


def create_container(
    view: CardView, index: int, key_spec: int, size_bits: int, *, key: PrivateKeyTypes | None, pin_id: int
) -> PublicKeyTypes:
    """Generate or import the key of a slot; see ``Minidriver.create_container``."""
    slot = writable_slot(view, index)
    if pin_id in (Role.EVERYONE, Role.ADMIN):
        raise BadParameter(detail=f"PIN {pin_id} does not protect keys")
    pins.info(pin_id)
    algorithm = _wanted(slot, key_spec, size_bits, key)
    return generate_key(view, slot, algorithm) if key is None else import_key(view, slot, key)


def _wanted(slot: spec.Slot, key_spec: int, size_bits: int, key: PrivateKeyTypes | None) -> int:
    kind = listing.key_spec_of(slot)
    if key_spec in (AT_KEYEXCHANGE, AT_SIGNATURE) and key_spec != kind:
        raise BadParameter(detail=f"slot {slot.name} is not for keys of key spec {key_spec}")
    if key_spec in _ECDH_SPECS and kind == AT_SIGNATURE:
        raise BadParameter(detail=f"slot {slot.name} is for signatures, not for key agreement")
    if key is None:
        return algorithm_for(key_spec, size_bits)
    algorithm = algorithm_of(key)
    if key_spec > AT_SIGNATURE and algorithm_for(key_spec, 0) != algorithm:
        raise BadParameter(detail=f"the key is not of key spec {key_spec}")
    return algorithm


def generate_key(
    view: CardView, slot: spec.Slot, algorithm: int, *, pin_policy: int = 0, touch_policy: int = 0
) -> PublicKeyTypes:
    """Generate a key on the card; it is known to be there until somebody else may have touched the card.

    Args:
        view: the card.
        slot: where.
        algorithm: identifier, also of those that Windows has no name for (Ed25519, X25519).
        pin_policy: Yubico's; 0 = the slot's own rule.
        touch_policy: Yubico's; 0 = no touch.
    """
    refuse_read_only(view)
    with _without_certificate(view, slot):
        template = edge.generate(view.tx, slot.ref, algorithm, pin_policy, touch_policy)
    key = parse_public_key(algorithm, template)
    view.memo.keys[slot.ref] = facts_of(key, view.now, from_card=True)
    _note_key(view, slot, algorithm)
    return key


def _note_key(view: CardView, slot: spec.Slot, algorithm: int) -> None:
    if keptmap.applies(view):
        name, bits = listing.container_name(view, slot), BITS_OF[algorithm]
        keptmap.note_key(view, slot, name=name, key_spec=listing.key_spec_of(slot), size_bits=bits)


def import_key(
    view: CardView, slot: spec.Slot, key: PrivateKeyTypes, *, pin_policy: int = 0, touch_policy: int = 0
) -> PublicKeyTypes:
    """Write a private key onto the card (Yubico), arguments as in ``generate_key``."""
    refuse_read_only(view)
    algorithm, parts, public = algorithm_of(key), import_parts(key), key.public_key()
    with _without_certificate(view, slot, unless_of=public):
        edge_yubico.import_key(view.tx, algorithm, slot.ref, parts, pin_policy, touch_policy)
    view.memo.keys[slot.ref] = facts_of(public, view.now, from_card=True)
    _note_key(view, slot, algorithm)
    return public


@contextmanager
def _without_certificate(view: CardView, slot: spec.Slot, *, unless_of: PublicKeyTypes | None = None) -> Iterator[None]:
    """Take the certificate of ``slot`` away while its key is replaced: a card that is pulled out in the middle never
    has a certificate beside another key. One that is of the new key (``unless_of``) stays; so does any when the card
    refuses the new key.
    """
    certificate = view.certificate(slot)
    old = None if certificate is None else view.content(slot.certificate)
    if old is not None and not (certificate and unless_of and certificate.key == unless_of):
        keptmap.note_certificate(view, slot, None)
        view.write(slot.certificate, b"")
    else:
        old = None
    view.memo.keys.pop(slot.ref, None)
    try:
        yield
    except (CardRemoved, CardReset):
        raise
    except WinError:
        if old is not None and view.tx.open:
            view.write(slot.certificate, old)
        raise


def erase(view: CardView, index: int, *, key: bool, certificate: bool) -> None:
    """Delete key, certificate or both of a slot; of both the certificate goes first, so that it is never without key.

    Raises:
        Unsupported: the card cannot delete keys; then the certificate is still there.
    """
    slot = writable_slot(view, index)
    if key and certificate:
        with _without_certificate(view, slot):
            delete_container(view, index)
    elif key:
        delete_container(view, index)
    elif certificate:
        delete_certificate(view, index)


def delete_container(view: CardView, index: int) -> None:
    """Delete the key of a slot (Yubico); the certificate stays."""
    slot = writable_slot(view, index)
    view.memo.keys.pop(slot.ref, None)
    try:
        edge_yubico.delete_key(view.tx, slot.ref)
    except Unsupported as error:
        raise Unsupported(
            detail="the card cannot delete a key", next_step="delete its certificate, or generate another key over it"
        ) from error.__cause__
    keptmap.note_deletion(view, slot)


def write_certificate(view: CardView, index: int, der: bytes, *, compress: bool | None) -> None:
    """Write the certificate of a slot; see ``Minidriver.write_certificate``.

    Raises:
        BadParameter: not a certificate.
        NotAuthenticated: the management key was not presented.
        WinError: SCARD_E_WRITE_TOO_MANY, it does not fit.
    """
    slot = writable_slot(view, index)
    _check_certificate(der)
    if slot.retired:
        extend_key_history(view, slot)
    keptmap.note_certificate(view, slot, None)
    _put_certificate(view, slot, der, compress=compress)
    keptmap.note_certificate(view, slot, der)


def _put_certificate(view: CardView, slot: spec.Slot, der: bytes, *, compress: bool | None) -> None:
    if compress is None and len(der) <= CERTIFICATE_MAX_PLAIN:
        try:
            view.write(slot.certificate, build_certificate(der, compress=False))
            return
        except WinError as error:
            if error.code != Code.SCARD_E_WRITE_TOO_MANY:
                raise
    view.write(slot.certificate, build_certificate(der, compress=compress is not False))


def _check_certificate(der: bytes) -> None:
    try:
        certificate_key(der)
    except BadData as error:
        raise BadParameter(detail="not a certificate (DER)") from error
    except Unsupported:
        return  # a certificate all the same


def extend_key_history(view: CardView, slot: spec.Slot) -> None:
    """Name the slot in the Key History before its certificate is there: an empty slot costs one exchange, an unnamed
    certificate is never found.
    """
    history = view.key_history()
    needed = slot.ref - spec.REF_RETIRED_FIRST + 1
    if history.on_card < needed:
        off_card = min(history.off_card, spec.RETIRED_COUNT - needed)
        view.write(spec.TAG_KEY_HISTORY, KeyHistory(needed, off_card, history.url).build())


def delete_certificate(view: CardView, index: int) -> None:
    """Delete the certificate of a slot; the key stays."""
    slot = writable_slot(view, index)
    keptmap.note_certificate(view, slot, None)
    view.write(slot.certificate, b"")


ALGORITHM_NAMES: dict[str, Algorithm] = {
    "RSA1024": Algorithm.RSA_1024,
    "RSA2048": Algorithm.RSA_2048,
    "RSA3072": Algorithm.RSA_3072,
    "RSA4096": Algorithm.RSA_4096,
    "P256": Algorithm.P256,
    "P384": Algorithm.P384,
    "ED25519": Algorithm.ED25519,
    "X25519": Algorithm.X25519,
}

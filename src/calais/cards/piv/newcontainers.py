"""Containers of a PIV card that programs make and delete with the user's PIN.

A PIV card has fixed slots and names of its own for them. A new container takes the slot whose name it asks for, else
the first that is free: 9A, 9D, 82 to 95 for exchange keys, 9C for signature keys; 9E, whose key wants no PIN, only by
its name. A key for key agreement is not put into 9A, where it would be taken for one that signs. A slot whose key cannot
be excluded is not free (see ``vacancy``). A name that is not the slot's own is kept in the container map (see
``keptmap``), where the card takes one.

Changes want the management key, which programs do not have. Where the card keeps it for its user (Yubico: in the
Printed Information, read with the PIN), or says that it is still the one it was delivered with, it is used; any other
card is read-only for them. A key that might be wrong is never tried: some cards count.

Source: SP 800-73-4 part 1, table 4b; Yubico, ``ykpiv.h`` and "PIN-protected management key" (objects 5FFF00, 5FC109).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from calais.cards.piv import edge, edge_yubico, keptmap, listing, pins, spec, vacancy, writing
from calais.cards.piv.containermap import MapRecord
from calais.cards.piv.view import CardView
from calais.iso7816 import tlv
from calais.minidriver.administration import KeyOrder, KeyPurpose
from calais.minidriver.api import ContainerEntry
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import (
    AccessDenied,
    BadData,
    BadParameter,
    CardRemoved,
    CardReset,
    NotAuthenticated,
    NotFound,
    Unsupported,
    WinError,
    WrongPin,
)

_KEY_SPEC_OF = {KeyPurpose.EXCHANGE: AT_KEYEXCHANGE, KeyPurpose.SIGNATURE: AT_SIGNATURE}
TAG_ADMIN_DATA, TAG_ADMIN_FLAGS, FLAG_PROTECTED = 0x80, 0x81, 0x02  # in 5FFF00
TAG_PROTECTED_DATA, TAG_PROTECTED_KEY = 0x88, 0x89  # in 5FC109


# --- containers ------------------------------------------------------------------------------------------------------


def new_container(view: CardView, name: str | None) -> ContainerEntry:
    """A container without key; see ``Administration.new_container``.

    Where the card takes no container map, a container under the slot's own name is on the card once it has a key.
    """
    writing.refuse_read_only(view)
    if name is not None and not MapRecord(name, 0, 0, 0).has_usable_name:
        raise BadParameter(detail="a container name has 1 to 39 printable characters")
    taken = {entry.index: entry.name.casefold() for entry in listing.containers(view, probe_keys=True)}
    if name is not None and name.casefold() in taken.values():
        raise WinError.of(Code.NTE_EXISTS, f"the card has a container {name!r} already")
    own_slot = _own_slot(view, name)
    if own_slot is not None:
        _refuse_hidden_key(view, own_slot)
    slot = own_slot or next(_free_slots(view, AT_KEYEXCHANGE), None) or _full()
    own = listing.container_name(view, slot)
    made = own if name is None or name.casefold() == own.casefold() else name
    try:
        keptmap.note_container(view, slot, name=made, key_spec=listing.key_spec_of(slot))
    except (CardRemoved, CardReset, NotAuthenticated):
        raise
    except WinError as error:
        if made != own:
            raise _own_names_only(view) from error
    return listing.waiting(slot, made)


def _is_waiting(view: CardView, slot: spec.Slot) -> bool:
    """Whether, as far as is known, ``slot`` has neither key nor certificate."""
    try:
        entry = listing.container(view, listing.INDEX_OF[slot.ref])
    except NotFound:
        return True
    return not entry.algorithm and not entry.has_certificate


def _refuse_hidden_key(view: CardView, slot: spec.Slot) -> None:
    """Raise when the card may have a key in ``slot`` that it does not show: making one there would destroy it."""
    if not vacancy.is_vacant(view, slot):
        detail = f"slot {slot.name} has a key without certificate, or the card does not say that it has none"
        step = f"to make another key over it: calais key generate {slot.name}"
        raise WinError.of(Code.NTE_EXISTS, detail, next_step=step)


def _own_slot(view: CardView, name: str | None) -> spec.Slot | None:
    """The free slot that is called ``name`` by the card itself."""
    if name is None or not listing.has_stable_names(view):
        return None
    called = (slot for slot in spec.SLOTS if listing.container_name(view, slot).casefold() == name.casefold())
    return next(called, None)


def _free_slots(view: CardView, key_spec: int) -> Iterator[spec.Slot]:
    """The slots for ``key_spec`` that surely have neither key nor certificate nor record."""
    taken = {entry.index for entry in listing.containers(view, probe_keys=True)}
    for index, slot in enumerate(spec.SLOTS):
        fits = listing.key_spec_of(slot) == key_spec and slot.ref != spec.REF_CARD_AUTH
        if fits and index not in taken and view.certificate(slot) is None and vacancy.is_vacant(view, slot):
            yield slot


def _full() -> spec.Slot:
    raise WinError(Code.SCARD_E_WRITE_TOO_MANY, "every slot of the card that could take this key is in use")


def _own_names_only(view: CardView) -> WinError:
    free = ", ".join(listing.container_name(view, slot) for slot in islice(_free_slots(view, AT_KEYEXCHANGE), 3))
    detail = "the card gives its containers names of its own, and cannot keep this one"
    return WinError.of(Code.NTE_BAD_KEYSET_PARAM, detail, next_step=f"give no name, or one of: {free}")


def fitting(view: CardView, index: int, order: KeyOrder) -> int:
    """The index of a slot for the key of ``order``: ``index``, unless that container waits for a key in another slot.

    Raises:
        BadParameter: its key is there, and for the other purpose.
        WinError: SCARD_E_WRITE_TOO_MANY, no slot for such a key is free.
    """
    slot = writing.writable_slot(view, index)
    wanted = _KEY_SPEC_OF.get(order.purpose)
    if wanted is None:
        return index
    if wanted == listing.key_spec_of(slot) and not (_misleads(slot, order) and _is_waiting(view, slot)):
        if _is_waiting(view, slot):
            _refuse_hidden_key(view, slot)
        return index
    if view.certificate(slot) is not None or listing.ask_card(view, slot) is not None:
        raise BadParameter(detail="the purpose of a PIV key is that of its slot")
    other = next((free for free in _free_slots(view, wanted) if not _misleads(free, order)), None) or _full()
    keptmap.note_move(view, slot, other, wanted)
    return listing.INDEX_OF[other.ref]


def _misleads(slot: spec.Slot, order: KeyOrder) -> bool:
    """Whether the key of ``order`` would be taken for one of another use in ``slot``."""
    return order.is_agreement and slot.ref == spec.REF_PIV_AUTH


def remove_container(view: CardView, index: int) -> None:
    """Delete a container; see ``Administration.remove_container``."""
    slot = writing.writable_slot(view, index)
    if view.certificate(slot) is None and listing.ask_card(view, slot) is None:
        keptmap.note_deletion(view, slot)
    else:
        writing.erase(view, index, key=True, certificate=True)


# --- the management key ----------------------------------------------------------------------------------------------


def admits_user(view: CardView) -> bool:
    """See ``Administration.admits_user``."""
    authenticated = spec.REF_MANAGEMENT_KEY in view.tx.volatile.authenticated
    return authenticated or _is_kept_for_user(view) or _as_delivered(view) is not None


def admit_user(view: CardView) -> None:
    """See ``Administration.admit_user``; nothing is sent when the management key is authenticated already."""
    if spec.REF_MANAGEMENT_KEY in view.tx.volatile.authenticated:
        return
    if not pins.status(view, Role.USER).verified:
        raise NotAuthenticated(detail="the card wants the PIN")
    key = _kept_for_user(view) or _as_delivered(view)
    if key is None:
        raise _more_than_the_pin()
    try:
        pins.authenticate_admin(view, key)
    except WrongPin as error:
        raise _more_than_the_pin() from error


def _more_than_the_pin() -> AccessDenied:
    return AccessDenied(
        Code.SCARD_E_READ_ONLY_CARD,
        "the card can be changed with its management key only",
        next_step="See: calais key --help",
    )


def _is_kept_for_user(view: CardView) -> bool:
    """Whether the card's administration data say that the management key is in the Printed Information."""
    try:
        flags = _inside(view.content(spec.TAG_YUBICO_ADMIN_DATA), TAG_ADMIN_DATA, TAG_ADMIN_FLAGS)
    except BadData:
        return False
    return bool(flags and flags[0] & FLAG_PROTECTED)


def _kept_for_user(view: CardView) -> bytes | None:
    if not _is_kept_for_user(view):
        return None
    try:
        printed = edge.get_data(view.tx, spec.TAG_PRINTED_INFORMATION)  # a secret: nothing of it is remembered
        content = None if printed is None else tlv.parse_one(printed, spec.TAG_DATA).value
        return _inside(content, TAG_PROTECTED_DATA, TAG_PROTECTED_KEY)
    except (BadData, NotFound, Unsupported):
        return None


def _inside(content: bytes | None, outer: int, inner: int) -> bytes | None:
    for item in tlv.parse(content or b""):
        if item.tag == outer:
            return next((part.value for part in tlv.parse(item.value) if part.tag == inner), None)
    return None


def _as_delivered(view: CardView) -> bytes | None:
    """The well-known management key, when the card says that it has it."""
    try:
        told = edge_yubico.metadata(view.tx, spec.REF_MANAGEMENT_KEY)
    except (BadData, NotFound, Unsupported):
        return None
    return spec.DEFAULT_MANAGEMENT_KEY if any(told.get(spec.TAG_METADATA_IS_DEFAULT, b"")) else None

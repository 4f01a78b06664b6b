"""Using the container map of object 5FFF10: names for containers that Windows made, and records for those made here.

The map is looked at only on a card that is known to have one, so that it costs nothing elsewhere: a Yubico card tells
by its ATR, policy ``piv.container_map`` may say "always", and a card on which this program has written a map has one.

A record counts when its slot is one that PIV has, it is the first for that slot, its name can be a name and is nobody
else's, and the certificate it speaks of, if it speaks of one, is the one in the slot. Any other record is stale: it is
left alone and named by ``stale``, for it may be what another program is about to complete.

Source: Yubico, ``ykpiv.h``; container map of the minidriver specification v7.07, 4.4.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from calais.cards.piv import names, spec
from calais.cards.piv.containermap import (
    NO_FINGERPRINT,
    MapRecord,
    build_container_map,
    fingerprint,
    parse_container_map,
)
from calais.cards.piv.view import CardView
from calais.minidriver.pins import Role
from calais.win.errors import BadData

_ATR_MARKS = (b"Yubi",)  # historical bytes "YubikeyNEOr3", "Yubikey4", "YubiKey"
_NO_SLOT = "PIV has no such slot"


@dataclass(frozen=True, slots=True)
class StaleRecord:
    """A record that is not used: its key reference, its name, and why; ``record`` ``None`` = no record can be read."""

    ref: int
    name: str
    reason: str
    record: MapRecord | None = None


@dataclass(frozen=True, slots=True)
class KeptMap:
    """The map of a card: ``records`` as they stand there, those that count by key reference, and the others."""

    records: tuple[MapRecord, ...] = ()
    current: dict[int, MapRecord] = field(default_factory=dict)
    stale: tuple[StaleRecord, ...] = ()

    @property
    def default(self) -> int | None:
        """Key reference of the container that the map calls the default one."""
        return next((ref for ref, record in self.current.items() if record.is_default), None)


EMPTY = KeptMap()


def applies(view: CardView) -> bool:
    """Whether the card is known to have a container map; costs no exchange."""
    if view.policy.container_map != "auto":
        return view.policy.container_map == "always"
    known = view.memo.objects.get(spec.TAG_YUBICO_MSCMAP)
    atr = view.tx.channel.transport.atr
    return any(mark in atr for mark in _ATR_MARKS) or (known is not None and known.content is not None)


def read(view: CardView) -> KeptMap:
    """The card's map as it is now; an empty one where there is none, and one that cannot be read names nothing.

    One exchange where ``applies``, and the certificates of the slots that have records.
    """
    if not applies(view):
        return EMPTY
    try:
        records = _records(view)
    except BadData as problem:
        return KeptMap(stale=(StaleRecord(0, "", f"the map cannot be read: {problem.detail}"),))
    return _sorted(view, records)


def _records(view: CardView) -> tuple[MapRecord, ...]:
    content = view.content(spec.TAG_YUBICO_MSCMAP, whole=True)
    return () if content is None else tuple(parse_container_map(content))


def _sorted(view: CardView, records: tuple[MapRecord, ...]) -> KeptMap:
    current: dict[int, MapRecord] = {}
    stale: list[StaleRecord] = []
    for record in records:
        reason = _fault(view, record, current)
        if reason:
            stale.append(StaleRecord(record.slot, record.name, reason, record))
        elif record.is_valid:
            current[record.slot] = record
    return KeptMap(records, current, tuple(stale))


def _fault(view: CardView, record: MapRecord, before: dict[int, MapRecord]) -> str:
    """Why ``record`` does not count, ``""`` when it does or is free."""
    slot = spec.SLOT_OF_REF.get(record.slot)
    if not record.is_valid:
        return ""
    if slot is None:
        return _NO_SLOT
    if record.slot in before:
        return "another record is for the same slot"
    if not record.has_usable_name:
        return "its name cannot be a name"
    if record.name.casefold() in _taken(view, slot, before):
        return "another container has this name"
    return _certificate_fault(view, record, slot)


def _taken(view: CardView, slot: spec.Slot, before: dict[int, MapRecord]) -> set[str]:
    """Names of other containers: from records before this one, and those that the CHUID gives to other slots."""
    guid = view.chuid().usable_guid
    computed = {names.container_name(guid, other.certificate) for other in spec.SLOTS if other is not slot and guid}
    return {record.name.casefold() for record in before.values()} | computed


def _certificate_fault(view: CardView, record: MapRecord, slot: spec.Slot) -> str:
    if not record.names_certificate:
        return ""
    found = view.certificate(slot)
    if found is None:
        return "its certificate is gone"
    if found.der is not None and not record.is_of(found.der):
        return "it speaks of another certificate"
    return ""


# --- keeping it ------------------------------------------------------------------------------------------------------


def note_key(view: CardView, slot: spec.Slot, *, name: str, key_spec: int, size_bits: int) -> None:
    """A key was made in ``slot``: its record keeps its name, or gets ``name``; wants the management key."""
    kept = read(view)
    known = kept.current.get(slot.ref)
    pin_id = Role.EVERYONE if slot.pin == spec.PinPolicy.NEVER else Role.USER
    made = MapRecord(known.name if known else name, slot.ref, key_spec, size_bits, pin_id=int(pin_id))
    if known:
        made = replace(made, flags=known.flags, pin_id=known.pin_id, ecdh_container=known.ecdh_container)
    _store(view, kept, slot, made)


def note_container(view: CardView, slot: spec.Slot, *, name: str, key_spec: int) -> None:
    """A container called ``name`` waits for its key in ``slot``; wants the management key."""
    _store(view, read(view), slot, MapRecord(name, slot.ref, key_spec, 0))


def note_move(view: CardView, slot: spec.Slot, to: spec.Slot, key_spec: int) -> None:
    """The container that waits for its key in ``slot`` waits in ``to`` now; nothing when it has no record."""
    kept = read(view)
    known = kept.current.get(slot.ref)
    if known is not None:
        moved = replace(known, slot=to.ref, key_spec=key_spec)
        write(view, [moved if record is known else record for record in kept.records])


def note_certificate(view: CardView, slot: spec.Slot, der: bytes | None) -> None:
    """Have the record of ``slot``, if there is one, speak of the certificate ``der``; ``None`` = of no certificate.

    ``None`` before a certificate is changed, and the new one after it: the name holds wherever that is cut off.
    """
    kept = read(view)
    known = kept.current.get(slot.ref)
    if known is None:
        return
    made = replace(known, fingerprint=NO_FINGERPRINT if der is None else fingerprint(der))
    if made != known:
        _store(view, kept, slot, made)


def note_deletion(view: CardView, slot: spec.Slot) -> None:
    """The key of ``slot`` was deleted: so are its records."""
    kept = read(view)
    if any(record.slot == slot.ref for record in kept.records):
        _store(view, kept, slot, None)


def _store(view: CardView, kept: KeptMap, slot: spec.Slot, record: MapRecord | None) -> None:
    """Write the map with ``record`` in the place of those of ``slot``; the records of other slots stay as they are."""
    records: list[MapRecord] = []
    pending = record
    for old in kept.records:
        if old.slot != slot.ref:
            records.append(old)
        elif pending is not None:
            records.append(pending)
            pending = None
    write(view, [*records, pending] if pending is not None else records)


def remove(view: CardView, stale: Iterable[StaleRecord]) -> None:
    """Take ``stale`` records out of the map; wants the management key."""
    left = list(read(view).records)[::-1]  # of equal records the first one counts
    for each in stale:
        if each.record in left:
            left.remove(each.record)
    write(view, left[::-1])


def write(view: CardView, records: Iterable[MapRecord]) -> None:
    """Replace the map; without a record that stands for a container the object is deleted."""
    valid = [record for record in records if record.is_valid]
    view.write(spec.TAG_YUBICO_MSCMAP, build_container_map(valid))

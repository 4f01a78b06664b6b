"""The containers of a PIV card, and the keys in them.

A container exists where there is a certificate object, readable or not, and where the card itself told of a key: one
that this program generated or imported while nobody else touched the card, or one found by asking (``probe_keys``).
On a card with a container map (``keptmap``) also where the map speaks of a key that the card does not deny; the map's
names then go before those that are computed.

Source: SP 800-73-4 part 1, table 4b (key references); container map of the minidriver specification v7.07, 4.4.2.
"""

from __future__ import annotations

from dataclasses import replace

from calais.cards.piv import edge_yubico, keptmap, names, spec
from calais.cards.piv.containermap import MapRecord
from calais.cards.piv.keptmap import KeptMap, StaleRecord
from calais.cards.piv.keys import BITS_OF, NAME_OF, KeyFacts, facts_of, parse_public_key
from calais.cards.piv.pins import PIN_OF_POLICY
from calais.cards.piv.view import CardView, SlotCertificate
from calais.minidriver.api import CardIdentity, ContainerEntry, check_index
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.win.codes import Code
from calais.win.errors import BadData, NotFound, Unsupported

SIGNATURE_SLOTS = frozenset((spec.REF_SIGNATURE, spec.REF_CARD_AUTH))
INDEX_OF = {slot.ref: index for index, slot in enumerate(spec.SLOTS)}
_METADATA_ABSENT = "piv.no_metadata"
_ALGORITHM_OF_BITS = {256: "P-256", 384: "P-384"}
LABEL_DIGITS = 8


def key_spec_of(slot: spec.Slot) -> int:
    """AT_SIGNATURE for 9C and 9E, AT_KEYEXCHANGE for all others."""
    return AT_SIGNATURE if slot.ref in SIGNATURE_SLOTS else AT_KEYEXCHANGE


def slot_at(index: int) -> spec.Slot:
    """The slot with container ``index``.

    Raises:
        BadParameter: outside 0…255.
        NotFound: SCARD_E_NO_KEY_CONTAINER, PIV has no such slot.
    """
    if check_index(index) >= len(spec.SLOTS):
        raise _no_container(index)
    return spec.SLOTS[index]


def _no_container(index: int) -> NotFound:
    where = f"slot {spec.SLOTS[index].name}" if index < len(spec.SLOTS) else f"container {index}"
    return NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the card has no key in {where}")


# --- identity --------------------------------------------------------------------------------------------------------


def has_stable_names(view: CardView) -> bool:
    """Whether names come from the CHUID GUID."""
    return view.policy.container_names == "windows" and bool(view.chuid().usable_guid)


def identity(view: CardView) -> CardIdentity:
    """Who the card is; a card without CHUID is told by its ATR and its certificates, which then are read."""
    chuid = view.chuid()
    known = view.memo.identity
    if known is None:
        atr = view.tx.channel.transport.atr
        card_id = names.card_id(chuid, atr, lambda: _certificate_objects(view))
        digits = chuid.fasc_n_digits
        serial = str(digits) if digits is not None and digits.names_card else card_id.hex().upper()
        known = CardIdentity(card_id, serial, f"PIV {serial[-LABEL_DIGITS:]}", has_stable_names(view))
        view.memo.identity = known
    return known


def _certificate_objects(view: CardView) -> list[bytes]:
    return [view.object(slot.certificate).content or b"" for slot in view.slots()]


# --- keys ------------------------------------------------------------------------------------------------------------


def told_by_card(view: CardView, slot: spec.Slot) -> KeyFacts | None:
    """What the card itself told about the key of ``slot`` while nobody else touched it."""
    facts = view.memo.keys.get(slot.ref)
    return facts if isinstance(facts, KeyFacts) and facts.from_card and facts.seen.holds(view.now) else None


def facts(view: CardView, slot: spec.Slot, certificate: SlotCertificate | None) -> KeyFacts | None:
    """What is known about the key of ``slot`` from the card, or else from its certificate; remembered for its use."""
    known = told_by_card(view, slot)
    if known is not None:
        return known
    view.memo.keys.pop(slot.ref, None)
    if certificate is None or certificate.key is None:
        return None
    try:
        made = facts_of(certificate.key, view.now)
    except Unsupported:
        return None
    view.memo.keys[slot.ref] = made
    return made


def tells_of_keys(view: CardView) -> bool:
    """Whether the card may tell about its keys (Yubico): it has not refused to."""
    return not view.memo.facts.get(_METADATA_ABSENT)


def note_silence(view: CardView) -> None:
    """The card does not tell about its keys."""
    view.memo.facts[_METADATA_ABSENT] = True


def ask_card(view: CardView, slot: spec.Slot) -> KeyFacts | None:
    """Ask the card about the key of ``slot`` (Yubico); one exchange, none when this card is known not to tell."""
    if not tells_of_keys(view):
        return None
    try:
        told = edge_yubico.metadata(view.tx, slot.ref)
    except Unsupported:
        note_silence(view)
        return None
    except (NotFound, BadData):
        return None
    algorithm = int.from_bytes(told.get(spec.TAG_METADATA_ALGORITHM, b""), "big")
    try:
        key = parse_public_key(algorithm, told.get(spec.TAG_METADATA_PUBLIC_KEY, b""))
    except (Unsupported, BadData):
        return None
    made = facts_of(key, view.now, from_card=True)
    view.memo.keys[slot.ref] = made
    return made


def learn(view: CardView, index: int) -> KeyFacts:
    """What using the key of container ``index`` takes, from certificate or card.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
        BadData: there is a certificate that cannot be read, and the card does not tell.
        Unsupported: the certificate is for a key that no PIV card has, and the card does not tell.
    """
    slot = slot_at(index)
    known = told_by_card(view, slot)
    if known is not None:
        return known
    certificate = view.certificate(slot)
    found = facts(view, slot, certificate) or ask_card(view, slot)
    if found is not None:
        return found
    if certificate is not None and certificate.problem is not None:
        raise certificate.problem
    if certificate is not None:
        raise Unsupported(detail=f"the certificate in slot {slot.name} is for a key that no PIV card has")
    raise _no_container(index)


# --- containers ------------------------------------------------------------------------------------------------------


def containers(view: CardView, *, probe_keys: bool) -> list[ContainerEntry]:
    """All containers, in order of their index. Where names are volatile each call makes new ones."""
    view.prove_card()
    kept = keptmap.read(view)
    found: list[ContainerEntry] = []
    for slot in _looked_at(view, kept):
        entry = _found_in(view, slot, kept, probe_keys=probe_keys)
        if entry is not None:
            found.append(entry)
    default = kept.default if any(entry.reference == _name_of(kept.default) for entry in found) else None
    return [
        replace(entry, is_default=entry.reference == _name_of(default) if default else not number)
        for number, entry in enumerate(found)
    ]


def _name_of(ref: int | None) -> str:
    return "" if ref is None else f"{ref:02X}"


def _found_in(view: CardView, slot: spec.Slot, kept: KeptMap, *, probe_keys: bool) -> ContainerEntry | None:
    certificate, record = view.certificate(slot), kept.current.get(slot.ref)
    known = facts(view, slot, certificate)
    if known is None and (probe_keys or record) and (certificate is None or certificate.key is None):
        known = ask_card(view, slot)
    if known is None and certificate is None and not _believed(view, record):
        return None
    name = record.name if record else _new_name(view, slot)
    return _entry(slot, name, known or record, has_certificate=certificate is not None)


def _believed(view: CardView, record: MapRecord | None) -> bool:
    """Whether a container is taken to exist because the map says so: it waits for its key, or the card cannot tell."""
    return record is not None and (not record.key_size_bits or not tells_of_keys(view))


def _looked_at(view: CardView, kept: KeptMap) -> list[spec.Slot]:
    """The slots that policy, Key History and container map name, and those where the card itself told of a key."""
    named = set(view.slots())
    return [
        slot for slot in spec.SLOTS if slot in named or slot.ref in kept.current or told_by_card(view, slot) is not None
    ]


def stale_records(view: CardView) -> list[StaleRecord]:
    """The records of the card's container map that are not used, each with the reason."""
    if not keptmap.applies(view):
        return []
    there = {entry.index for entry in containers(view, probe_keys=False)}
    kept = keptmap.read(view)
    without_key = [
        StaleRecord(ref, record.name, "there is no key in its slot", record)
        for ref, record in kept.current.items()
        if INDEX_OF[ref] not in there
    ]
    return [*kept.stale, *without_key]


def _entry(
    slot: spec.Slot, name: str, known: KeyFacts | MapRecord | None, *, has_certificate: bool, is_default: bool = False
) -> ContainerEntry:
    size_bits, algorithm = _size_and_name(known)
    return ContainerEntry(
        index=INDEX_OF[slot.ref],
        name=name,
        key_spec=key_spec_of(slot),
        pin_id=int(PIN_OF_POLICY[slot.pin]),
        is_default=is_default,
        label=slot.label,
        size_bits=size_bits,
        algorithm=algorithm,
        reference=slot.name,
        has_certificate=has_certificate,
    )


def _size_and_name(known: KeyFacts | MapRecord | None) -> tuple[int, str]:
    """Size in bits and algorithm of a key; of one that only the map tells of, by its size."""
    if isinstance(known, MapRecord) and not known.key_size_bits:
        return 0, ""
    if isinstance(known, MapRecord):
        return known.key_size_bits, _ALGORITHM_OF_BITS.get(known.key_size_bits, "RSA")
    return (BITS_OF[known.algorithm], NAME_OF[known.algorithm]) if known else (0, "")


def waiting(slot: spec.Slot, name: str) -> ContainerEntry:
    """The entry of a container that has no key yet."""
    return _entry(slot, name, None, has_certificate=False)


def container_name(view: CardView, slot: spec.Slot) -> str:
    """A name for a new container in ``slot``: as Windows computes it, else one that nobody has seen."""
    if has_stable_names(view):
        return names.container_name(view.chuid().usable_guid, slot.certificate)
    return names.volatile_name(view.memo.random)


def _new_name(view: CardView, slot: spec.Slot) -> str:
    if has_stable_names(view):
        return names.container_name(view.chuid().usable_guid, slot.certificate)
    name = names.volatile_name(view.memo.random)
    view.memo.remember_name(name, INDEX_OF[slot.ref])
    return name


def container(view: CardView, index: int) -> ContainerEntry:
    """The container ``index``, under the name it has; not an enumeration, so a volatile name stays what it was."""
    slot = slot_at(index)
    view.prove_card()
    kept = keptmap.read(view)
    certificate, record = view.certificate(slot), kept.current.get(slot.ref)
    known = facts(view, slot, certificate)
    if known is None and certificate is None:
        known = ask_card(view, slot)
    if known is None and certificate is None and not _believed(view, record):
        raise _no_container(index)
    return _entry(
        slot,
        record.name if record else _present_name(view, slot),
        known or record,
        has_certificate=certificate is not None,
        is_default=_default_ref(view, slot, kept) == slot.ref,
    )


def _default_ref(view: CardView, slot: spec.Slot, kept: KeptMap) -> int:
    """Key reference of the default container: the map's, else the first there is; ``slot`` is known to have one."""
    looked_at = sorted(_looked_at(view, kept), key=lambda one: one.ref != kept.default)
    there = (
        one
        for one in looked_at
        if view.certificate(one) or told_by_card(view, one) or _believed(view, kept.current.get(one.ref))
    )
    return next(there, slot).ref


def _present_name(view: CardView, slot: spec.Slot) -> str:
    """The name that an enumeration last gave to the container of ``slot``; a new one when none did."""
    names_given = reversed(view.memo.names.items())
    return next((name for name, at in names_given if at == INDEX_OF[slot.ref]), None) or _new_name(view, slot)


def index_of_key_alone(view: CardView, name: str) -> int | None:
    """The index of the slot that is called ``name`` and has a key, though no certificate; ``None`` = there is none.

    A slot that the container map gives another name is not meant.
    """
    guid = view.chuid().usable_guid
    for slot in spec.SLOTS:
        if names.container_name(guid, slot.certificate) == name.casefold():
            listed = slot.ref in keptmap.read(view).current or view.certificate(slot) is not None
            return None if listed or ask_card(view, slot) is None else INDEX_OF[slot.ref]
    return None


def index_of_volatile(view: CardView, name: str) -> int:
    """The container that an enumeration of this insertion called ``name``.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER, no enumeration did; or the card has been re-inserted since.
    """
    view.prove_card()
    kept = next((r for r, record in keptmap.read(view).current.items() if record.name.casefold() == name.casefold()), 0)
    index = INDEX_OF[kept] if kept else view.memo.names.get(name.lower())
    if index is None:
        raise NotFound(
            Code.SCARD_E_NO_KEY_CONTAINER,
            f"the card has no container {name!r}; its names change at every enumeration",
            next_step="propagate the card's certificates anew: calais propagate",
        )
    return index

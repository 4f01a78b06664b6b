"""What a change that was cut off has left on a PIV card, and how it is put in order.

PIV writes one object or one key at a time, so a change of several is cut off between two of them. ``writing`` takes a
certificate away before its key is replaced and names a retired slot before it fills it; so a cut leaves a key that
waits for its certificate, and nothing worse. Other programs, and cards that were cut off in their hands, leave the rest
of what is named here.

Whether certificate and key belong together is told by the card (Yubico's metadata); one that does not tell is believed.

Source: SP 800-73-4 part 1, 3.3.3 (Key History); Yubico, "PIV commands" (metadata).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.cards.piv import edge_yubico, keptmap, listing, spec, writing
from calais.cards.piv.keptmap import StaleRecord
from calais.cards.piv.keys import parse_public_key
from calais.cards.piv.view import CardView
from calais.minidriver.orphans import Orphan, OrphanKind
from calais.win.errors import BadData, NotFound, Unsupported


def orphans(view: CardView) -> list[Orphan]:
    """See ``Bookkeeping.orphans``; two exchanges for each of the 24 slots."""
    view.prove_card()
    named = set(view.slots())
    found = [orphan for slot in spec.SLOTS for orphan in _of_slot(view, slot, is_named=slot in named)]
    return found + [_orphan(record) for record in listing.stale_records(view)]


def _of_slot(view: CardView, slot: spec.Slot, *, is_named: bool) -> Iterator[Orphan]:
    certificate, where = view.certificate(slot), slot.name
    index = listing.INDEX_OF[slot.ref]
    if certificate is not None and slot.retired and not is_named:
        text = f"the certificate in {where} is not in the Key History, so programs do not find it"
        yield Orphan(OrphanKind.CERTIFICATE_NOT_LISTED, index, where, text, "name it in the Key History")
    try:
        key = _key(view, slot)
    except Unsupported:
        return
    if certificate is None and key is not None:
        text = f"the key in {where} waits for its certificate"
        yield Orphan(OrphanKind.KEY_WITHOUT_CERTIFICATE, index, where, text)
    elif certificate is not None and key is None:
        text = f"the certificate in {where} has no key"
        yield Orphan(OrphanKind.CERTIFICATE_WITHOUT_KEY, index, where, text, "delete the certificate")
    elif certificate is not None and certificate.key is not None and certificate.key != key:
        text = f"the certificate in {where} is for another key than the one that is there"
        yield Orphan(OrphanKind.CERTIFICATE_OF_ANOTHER_KEY, index, where, text, "delete the certificate")


def _key(view: CardView, slot: spec.Slot) -> PublicKeyTypes | None:
    """The key of ``slot`` in the card's own words, ``None`` = there is none.

    Raises:
        Unsupported: the card does not tell.
    """
    try:
        told = edge_yubico.metadata(view.tx, slot.ref)
        algorithm = int.from_bytes(told.get(spec.TAG_METADATA_ALGORITHM, b""), "big")
        return parse_public_key(algorithm, told.get(spec.TAG_METADATA_PUBLIC_KEY, b""))
    except NotFound:
        return None
    except BadData as error:
        raise Unsupported(detail=f"the card does not tell its key in {slot.name}") from error


def _orphan(stale: StaleRecord) -> Orphan:
    where = f"{stale.ref:02X}" if stale.record else f"{spec.TAG_YUBICO_MSCMAP:X}"
    detail = (
        f"the container map names {stale.name!r} for slot {where}: {stale.reason}" if stale.record else stale.reason
    )
    index = listing.INDEX_OF.get(stale.ref, 0)
    return Orphan(OrphanKind.RECORDS_DIFFER, index, where, detail, "the record is removed")


def repair(view: CardView, *, remove: bool) -> list[Orphan]:
    """Mend what ``orphans`` finds, and return that; see ``Bookkeeping.repair``.

    With ``remove`` keys without certificate are deleted, for ever.
    """
    writing.refuse_read_only(view)
    found = orphans(view)
    for orphan in found:
        mend = _MENDERS.get(orphan.kind)
        if mend is not None:
            mend(view, spec.SLOTS[orphan.index])
        elif remove and orphan.kind is OrphanKind.KEY_WITHOUT_CERTIFICATE:
            writing.delete_container(view, orphan.index)
    stale = listing.stale_records(view)
    if stale:
        keptmap.remove(view, stale)
    return found


def _delete_certificate(view: CardView, slot: spec.Slot) -> None:
    writing.delete_certificate(view, listing.INDEX_OF[slot.ref])


_MENDERS: Mapping[OrphanKind, Callable[[CardView, spec.Slot], None]] = {
    OrphanKind.CERTIFICATE_NOT_LISTED: writing.extend_key_history,
    OrphanKind.CERTIFICATE_WITHOUT_KEY: _delete_certificate,
    OrphanKind.CERTIFICATE_OF_ANOTHER_KEY: _delete_certificate,
}

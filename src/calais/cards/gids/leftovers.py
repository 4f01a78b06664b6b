"""What a change that was cut off has left on a GIDS card, and how it is put in order.

A key that no container names gets a container, under a new name: nothing is lost, and a person may delete it. Only
``repair(remove=True)`` deletes keys. A certificate of a container that is gone, key and all, is deleted: its removal
had been cut off.

Source: the orders of ``bookkeeping`` and ``writing``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from calais.cards.gids import filesystem, keymap, listing, writing
from calais.cards.gids.bookkeeping import named_record, random_name, unname, wants_default, with_record, write_map
from calais.cards.gids.filesystem import refuse_read_only
from calais.cards.gids.keymap import KeyRecord
from calais.cards.gids.keys import BITS_OF
from calais.cards.gids.masterfile import Entry, files_in
from calais.cards.gids.view import CardView
from calais.minidriver import files
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE, FREE_RECORD
from calais.minidriver.orphans import Orphan, OrphanKind
from calais.win.errors import BadData, NotFound
from calais.win.structs import ContainerMapRecord


def survey(entries: Sequence[Entry], keys: Sequence[KeyRecord], records: Sequence[ContainerMapRecord]) -> list[Orphan]:
    """What does not go together in master file, key map and container map, in order of container index."""
    valid = {index for index, record in enumerate(records) if record.is_valid}
    used = {index for index, record in enumerate(keys) if record.used}
    found = [_key_alone(index) for index in sorted(used - valid)]
    found += [_container_alone(index, records[index]) for index in sorted(valid - used) if _has_size(records[index])]
    for entry in files_in(entries, files.DIRECTORY_BASE_CSP):
        named = files.index_of_certificate_file(entry.name)
        if named and named[1] not in valid | used and not _is_decimal(named[1], valid | used):
            found.append(_certificate_alone(named[1], entry.name))
    if len(keys) != len(records):
        text = f"the key map has {len(keys)} records, the container map {len(records)}"
        repaired_by = "give both the same length"
        found.append(Orphan(OrphanKind.RECORDS_DIFFER, min(len(keys), len(records)), "", text, repaired_by))
    return sorted(found, key=lambda orphan: orphan.index)


def _has_size(record: ContainerMapRecord) -> bool:
    return bool(record.sig_key_size_bits or record.key_exchange_key_size_bits)


def _where(index: int) -> str:
    return f"{keymap.kid_of(index):02X}"


def _key_alone(index: int) -> Orphan:
    text = f"key {_where(index)} belongs to no container"
    repaired_by = "make a container with a new name for it"
    return Orphan(OrphanKind.KEY_WITHOUT_CONTAINER, index, _where(index), text, repaired_by)


def _container_alone(index: int, record: ContainerMapRecord) -> Orphan:
    text = f"container {record.guid!r} has no key in the key map"
    repaired_by = "name its key in the key map, if the card has it"
    return Orphan(OrphanKind.CONTAINER_WITHOUT_KEY, index, _where(index), text, repaired_by)


def _certificate_alone(index: int, name: str) -> Orphan:
    text = f"certificate file {name!r} belongs to no container"
    return Orphan(OrphanKind.CERTIFICATE_WITHOUT_CONTAINER, index, name, text, "delete it")


def _is_decimal(index: int, existing: set[int]) -> bool:
    """Whether the two digits may be meant in decimal, and belong to a container then."""
    digits = f"{index:02X}"
    return digits.isdecimal() and int(digits) in existing


def orphans(view: CardView) -> list[Orphan]:
    """``survey`` of the card, and certificates that are for another key than their container's."""
    records = view.container_map()
    found = survey(view.master(), view.key_map(), records)
    for index, record in enumerate(records):
        if record.is_valid and _is_mismatched(view, index):
            text = f"the certificate of container {record.guid!r} is for another key"
            found.append(
                Orphan(OrphanKind.CERTIFICATE_OF_ANOTHER_KEY, index, _where(index), text, "delete the certificate")
            )
    return sorted(found, key=lambda orphan: orphan.index)


def _is_mismatched(view: CardView, index: int) -> bool:
    """Whether certificate and key are both there and can be read, and do not belong together."""
    try:
        der = listing.certificate(view, index)
        return der is not None and (
            x509.load_der_x509_certificate(der).public_key() != listing.learn(view, index).public_key
        )
    except (NotFound, BadData, ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        return False


def repair(view: CardView, *, remove: bool) -> list[Orphan]:
    """Mend what ``orphans`` finds, and return that; see ``Bookkeeping.repair``.

    With ``remove`` keys without container are deleted, and containers that have lost their key are given up with their
    certificates.
    """
    refuse_read_only(view)
    found = orphans(view)
    if any(orphan.repaired_by or remove for orphan in found):
        view.move_counters(containers=True, files=True)
    for orphan in found:
        mend = _MENDERS.get(orphan.kind)
        if mend is not None:
            mend(view, orphan.index, remove)
    _even_out(view)
    return found


def _mend_key(view: CardView, index: int, remove: bool) -> None:  # noqa: FBT001 - one of a table
    """Delete a key that no container names; or name its container. A key that is not there loses its record.

    The certificate of a key that is gone goes, too.
    """
    facts = None
    if remove:
        writing.delete_container(view, index)
    else:
        try:
            facts = listing.learn(view, index)
        except NotFound:
            writing.record_key(view, index, keymap.FREE)
    if facts is None:
        _mend_certificate(view, index, remove)
        return
    records = view.container_map()
    default = wants_default(records, index, None)
    record = named_record(random_name(view), facts.key_spec, BITS_OF[facts.algorithm], default)
    write_map(view, with_record(records, index, record))


def _mend_container(view: CardView, index: int, remove: bool) -> None:  # noqa: FBT001 - one of a table
    """A container whose key the key map does not name: name the key, if it is there."""
    record = listing.map_record(view, index)
    key_spec = listing.key_spec_of(record)
    try:
        facts = listing.learn(view, index)
    except NotFound:
        if remove:
            _give_up(view, index, key_spec)
        return
    writing.record_key(view, index, keymap.record_for(index, facts.algorithm, key_spec))


def _give_up(view: CardView, index: int, key_spec: int) -> None:
    certificate = listing.certificate_entry(view, index, key_spec)
    unname(view, index)
    if certificate is not None:
        filesystem.remove(view, certificate)


def _mend_certificate(view: CardView, index: int, remove: bool) -> None:  # noqa: ARG001, FBT001 - one of a table
    """Delete a certificate that nothing belongs to, or that is of another key."""
    for key_spec in (AT_KEYEXCHANGE, AT_SIGNATURE):
        entry = listing.certificate_entry(view, index, key_spec)
        if entry is not None:
            filesystem.remove(view, entry)


_MENDERS: Mapping[OrphanKind, Callable[[CardView, int, bool], None]] = {
    OrphanKind.KEY_WITHOUT_CONTAINER: _mend_key,
    OrphanKind.CONTAINER_WITHOUT_KEY: _mend_container,
    OrphanKind.CERTIFICATE_WITHOUT_CONTAINER: _mend_certificate,
    OrphanKind.CERTIFICATE_OF_ANOTHER_KEY: _mend_certificate,
}


def _even_out(view: CardView) -> None:
    """Give key map and container map the same length, which other programs insist on."""
    records, keys = view.container_map(), view.key_map()
    if len(keys) > len(records):
        write_map(view, [*records, *[FREE_RECORD] * (len(keys) - len(records))])
    elif len(records) > len(keys):
        writing.record_key(view, len(records) - 1, keymap.FREE)

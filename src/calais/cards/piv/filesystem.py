"""The logical files of a PIV card, made from its objects: every card looks the same from above.

``cardcf`` has no place on a PIV card. Its container and file counters are made from the heads of all objects that are
looked at, so that they change whenever one of them does, for every program and every process alike.

Source: minidriver specification v7.07, 4.3; SP 800-73-4 part 1, 3.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from calais.cards.piv import keptmap, listing, spec, writing
from calais.cards.piv.containermap import NO_FINGERPRINT, MapRecord, fingerprint
from calais.cards.piv.view import CardView
from calais.iso7816 import tlv
from calais.minidriver import files
from calais.minidriver.containers import AT_SIGNATURE, build_cmapfile, parse_cmapfile, records_of
from calais.minidriver.files import FileAccess
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated, NotFound, Unsupported, WinError
from calais.win.structs import ContainerMapRecord

ROOTS_PIECE = 2800  # bytes; what fits an object of every card that has them
CREATED = "piv.created_files"
ROOTS_TAGS = range(spec.TAG_YUBICO_MSROOTS_FIRST, spec.TAG_YUBICO_MSROOTS_LAST + 1)


def read(view: CardView, directory: str | None, name: str) -> bytes:
    """Content of a file; see ``Minidriver.read_file``."""
    where, what = files.check_directory(directory), files.check_name(name)
    content = _root_file(view, what) if not where else _base_csp_file(view, what)
    if content is None and where and _key_of(what) in _created(view):
        content = bytes(_created(view)[_key_of(what)])
    if content is None:
        raise _not_there(what)
    return content


def _key_of(name: str) -> str:
    """The name in the spelling that is listed."""
    found = files.index_of_certificate_file(name)
    return name if found is None else files.certificate_file(*found)


def _created(view: CardView) -> dict[str, int]:
    """Files that were created and not yet written, with their sizes: a PIV card has no empty certificates, so they are
    kept on the host, as long as the card stays in the reader.
    """
    kept = view.memo.facts.get(CREATED)
    if kept is None or not kept[0].same_insertion(view.now):
        kept = view.memo.facts[CREATED] = (view.now, {})
    files_made: dict[str, int] = kept[1]
    return files_made


def _not_there(name: str) -> NotFound:
    return NotFound(Code.SCARD_E_FILE_NOT_FOUND, f"the card has no file {name!r}")


def _root_file(view: CardView, name: str) -> bytes | None:
    if name == files.FILE_CARD_ID:
        return listing.identity(view).card_id
    if name == files.FILE_CACHE:
        return _freshness(view)
    if name == files.FILE_APPLICATIONS:
        return files.build_cardapps([files.DIRECTORY_BASE_CSP])
    return None


def _base_csp_file(view: CardView, name: str) -> bytes | None:
    if name == files.FILE_CONTAINER_MAP:
        return build_cmapfile(records_of(listing.containers(view, probe_keys=False)))
    if name == files.FILE_ROOTS:
        return roots(view)
    slot = _certificate_slot(name)
    certificate = None if slot is None else view.certificate(slot)
    if certificate is None:
        return None
    if certificate.der is None:
        raise certificate.problem or BadData(detail=f"file {name!r} cannot be read")
    return certificate.der


def _certificate_slot(name: str) -> spec.Slot | None:
    """The slot whose certificate file is ``name``; 9C and 9E have ``ksc`` files, all others ``kxc``."""
    found = files.index_of_certificate_file(name)
    if found is None or found[1] >= len(spec.SLOTS):
        return None
    slot = spec.SLOTS[found[1]]
    return slot if listing.key_spec_of(slot) == found[0] else None


def _freshness(view: CardView) -> bytes:
    view.prove_card()
    digest = hashlib.sha256()
    for slot in view.slots():
        item = view.object(slot.certificate)
        known = listing.told_by_card(view, slot)
        digest.update(item.length.to_bytes(8, "big") + item.head + bytes((known.algorithm if known else 0,)))
    if keptmap.applies(view):
        digest.update(view.object(spec.TAG_YUBICO_MSCMAP, whole=True).content or b"")
        digest.update(view.object(ROOTS_TAGS[0]).head)
    value = digest.digest()
    containers, changes = int.from_bytes(value[:2], "little"), int.from_bytes(value[2:4], "little")
    return files.build_cardcf(view.memo.pin_changes, containers, changes)


def roots(view: CardView) -> bytes | None:
    """``msroots`` as Yubico's minidriver keeps it: in pieces, in up to five objects of its own; ``None`` without."""
    if not view.policy.write:
        return None
    pieces: list[bytes] = []
    for tag in ROOTS_TAGS:
        content = view.content(tag)
        if content is None:
            return None
        piece = next(tlv.parse(content), None)
        if piece is None or piece.tag not in (spec.TAG_ROOTS_MORE, spec.TAG_ROOTS_END):
            raise BadData(detail=f"object {tag:X} is not a piece of msroots")
        pieces.append(piece.value)
        if piece.tag == spec.TAG_ROOTS_END:
            return b"".join(pieces)
    raise BadData(detail="msroots does not end in the last of its objects")


def enumerate_files(view: CardView, directory: str | None) -> list[str]:
    """Names of the files of a directory; see ``Minidriver.enum_files``."""
    if not files.check_directory(directory):
        return list(files.ROOT_FILES)
    view.prove_card()
    certificates = [
        files.certificate_file(listing.key_spec_of(slot), listing.INDEX_OF[slot.ref])
        for slot in view.slots()
        if view.certificate(slot) is not None
    ]
    there = [files.FILE_CONTAINER_MAP, *certificates] + ([files.FILE_ROOTS] if _has_roots(view) else [])
    return there + [name for name in _created(view) if name not in there]


def _has_roots(view: CardView) -> bool:
    return view.policy.write and view.object(spec.TAG_YUBICO_MSROOTS_FIRST).content is not None


def access(name: str) -> FileAccess:
    """Access condition of a file: ``cardid`` is the administrator's, all others are the user's."""
    is_card_id = name.lower() == files.FILE_CARD_ID
    return FileAccess.EVERYONE_READ_ADMIN_WRITE if is_card_id else FileAccess.EVERYONE_READ_USER_WRITE


def write(view: CardView, directory: str | None, name: str, data: bytes) -> None:
    """Replace a certificate file (the compressed form and plain DER are both taken), ``msroots``, or ``cmapfile`` on a
    card that has a place for container names.

    Raises:
        BadParameter: empty, no certificate, or no container map.
        NotFound: there is no such file.
        Unsupported: another file: a PIV card has no place for it.
    """
    if directory and files.check_name(name) == files.FILE_CONTAINER_MAP and keptmap.applies(view):
        files.check_directory(directory)
        _write_map(view, data)
        return
    slot, key = _file_to_change(view, directory, name), _key_of(files.check_name(name))
    if not data:
        raise BadParameter(detail="nothing to write")
    if key not in _created(view) and not _is_there(view, slot):
        raise _not_there(key)
    if slot is None:
        _write_roots(view, data)
    else:
        _write_certificate(view, slot, data)
    _created(view).pop(key, None)


def _write_map(view: CardView, data: bytes) -> None:
    """Keep the names of ``cmapfile`` in Yubico's container map; a record's place is the slot."""
    writing.refuse_read_only(view)
    try:
        records = parse_cmapfile(data)
    except BadData as error:
        raise BadParameter(detail=f"not a container map: {error.detail}", index=error.index) from error
    kept = keptmap.read(view)
    made = [_map_record(view, kept, index, record) for index, record in enumerate(records) if record.is_valid]
    if len({record.name.casefold() for record in made}) < len(made):
        raise BadParameter(detail="two containers of the map have one name")
    keptmap.write(view, made)


def _map_record(view: CardView, kept: keptmap.KeptMap, index: int, record: ContainerMapRecord) -> MapRecord:
    slot = writing.writable_slot(view, index)
    key_spec = listing.key_spec_of(slot)
    sizes = (record.sig_key_size_bits, record.key_exchange_key_size_bits)
    size, other = sizes if key_spec == AT_SIGNATURE else sizes[::-1]
    if other and not size:
        raise BadParameter(detail=f"slot {slot.name} is not for such keys", index=index)
    certificate, known = view.certificate(slot), kept.current.get(slot.ref)
    mark = fingerprint(certificate.der) if certificate and certificate.der else NO_FINGERPRINT
    made = MapRecord(record.guid, slot.ref, key_spec, size, record.flags, fingerprint=mark)
    if not made.has_usable_name:
        raise BadParameter(detail="the name of a container is 1 to 39 printable characters", index=index)
    return made if known is None else replace(made, pin_id=known.pin_id, ecdh_container=known.ecdh_container)


def _is_there(view: CardView, slot: spec.Slot | None) -> bool:
    """Whether the card has the certificate of ``slot``; without a slot, ``msroots``."""
    return _has_roots(view) if slot is None else view.certificate(slot) is not None


def _write_certificate(view: CardView, slot: spec.Slot, data: bytes) -> None:
    try:
        der = files.expand_certificate(data)
    except BadData as error:
        raise BadParameter(detail="neither a certificate nor a compressed one") from error
    writing.write_certificate(view, listing.INDEX_OF[slot.ref], der, compress=None)


def _write_roots(view: CardView, data: bytes) -> None:
    """In pieces. One piece replaces the old file at once; several cannot, so that the first is taken away before, and
    written at the end: a cut leaves no ``msroots``, and never pieces of two.
    """
    pieces = [data[at : at + ROOTS_PIECE] for at in range(0, len(data), ROOTS_PIECE)]
    if len(pieces) > len(ROOTS_TAGS):
        raise WinError(Code.SCARD_E_WRITE_TOO_MANY, f"msroots of {len(data)} bytes has no room on the card")
    if len(pieces) > 1 and view.object(ROOTS_TAGS[0]).content is not None:
        view.write(ROOTS_TAGS[0], b"")
    for number in reversed(range(len(pieces))):
        kind = spec.TAG_ROOTS_END if number == len(pieces) - 1 else spec.TAG_ROOTS_MORE
        view.write(ROOTS_TAGS[number], tlv.build(kind, pieces[number]))
    _clear_roots(view, len(pieces))


def _clear_roots(view: CardView, first: int) -> None:
    for tag in ROOTS_TAGS[first:]:
        if view.object(tag).content is not None:
            view.write(tag, b"")


def delete(view: CardView, directory: str | None, name: str) -> None:
    """Delete a certificate file or ``msroots``; ``NotFound`` and ``Unsupported`` as in ``write``."""
    slot = _file_to_change(view, directory, name)
    if _created(view).pop(_key_of(files.check_name(name)), None) is not None:
        return
    if not _is_there(view, slot):
        raise _not_there(name)
    if slot is None:
        _clear_roots(view, 0)
    else:
        writing.delete_certificate(view, listing.INDEX_OF[slot.ref])


def create(view: CardView, directory: str | None, name: str, size: int, condition: int) -> None:
    """Make a certificate file or ``msroots``; the card has it once it is written.

    Raises:
        NotFound: SCARD_E_DIR_NOT_FOUND.
        WinError: ERROR_FILE_EXISTS.
        NotAuthenticated: without the management key.
        Unsupported: another file, or another access condition than such a file has.
    """
    writing.refuse_read_only(view)
    where, what = files.check_directory(directory), files.check_name(name)
    if _key_of(what) in enumerate_files(view, directory):
        raise WinError(Code.ERROR_FILE_EXISTS, f"there is a file {what!r}")
    if not where or (what != files.FILE_ROOTS and _certificate_slot(what) is None) or condition != access(what):
        raise Unsupported(detail=f"a PIV card has no place for a file {what!r} with this access condition")
    _require_management_key(view)
    _created(view)[_key_of(what)] = size


def _require_management_key(view: CardView) -> None:
    if spec.REF_MANAGEMENT_KEY not in view.tx.volatile.authenticated:
        raise NotAuthenticated(detail="creating a file on a PIV card wants the management key first")


def create_directory(view: CardView, name: str) -> None:
    """There is ``mscp``, and no place for another.

    Raises:
        WinError: ERROR_FILE_EXISTS.
        Unsupported: another name.
    """
    writing.refuse_read_only(view)
    if files.check_name(name) == files.DIRECTORY_BASE_CSP:
        raise WinError(Code.ERROR_FILE_EXISTS, f"there is a directory {name!r}")
    raise Unsupported(detail="a PIV card has one directory and no place for another")


def delete_directory(view: CardView, name: str) -> None:
    """``mscp`` is never empty.

    Raises:
        NotFound: SCARD_E_DIR_NOT_FOUND.
        WinError: ERROR_DIR_NOT_EMPTY.
    """
    writing.refuse_read_only(view)
    files.check_directory(files.check_name(name))
    raise WinError(Code.ERROR_DIR_NOT_EMPTY, f"directory {name!r} has files in it")


def _file_to_change(view: CardView, directory: str | None, name: str) -> spec.Slot | None:
    """The slot of a certificate file that is there; ``None`` for ``msroots``."""
    writing.refuse_read_only(view)
    where, what = files.check_directory(directory), files.check_name(name)
    slot = _certificate_slot(what) if where else None
    is_roots = bool(where) and what == files.FILE_ROOTS
    if what in ((files.FILE_CONTAINER_MAP,) if where else files.ROOT_FILES):
        raise Unsupported(detail=f"file {what!r} of a PIV card is made from its objects and cannot be changed")
    if not is_roots and slot is None:
        raise _not_there(what)
    return slot

"""The logical files of a PIV card, made from its objects: every card looks the same from above.

``cardcf`` has no place on a PIV card. Its container and file counters are made from the heads of all objects that are
looked at, so that they change whenever one of them does, for every program and every process alike.

Source: minidriver specification v7.07, 4.3; SP 800-73-4 part 1, 3.
"""

from __future__ import annotations

import hashlib

from calais.cards.piv import listing, spec, writing
from calais.cards.piv.view import CardView
from calais.iso7816 import tlv
from calais.minidriver import files
from calais.minidriver.containers import build_cmapfile, records_of
from calais.minidriver.files import FileAccess
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported

TAG_ROOTS_MORE, TAG_ROOTS_LAST = 0x82, 0x83  # Yubico: a piece that another follows, and the last
ROOTS_TAGS = range(spec.TAG_YUBICO_MSROOTS_FIRST, spec.TAG_YUBICO_MSROOTS_LAST + 1)


def read(view: CardView, directory: str | None, name: str) -> bytes:
    """Content of a file; see ``Minidriver.read_file``."""
    where, what = files.check_directory(directory), files.check_name(name)
    content = _root_file(view, what) if not where else _base_csp_file(view, what)
    if content is None:
        raise _not_there(what)
    return content


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
        if piece is None or piece.tag not in (TAG_ROOTS_MORE, TAG_ROOTS_LAST):
            raise BadData(detail=f"object {tag:X} is not a piece of msroots")
        pieces.append(piece.value)
        if piece.tag == TAG_ROOTS_LAST:
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
    return [files.FILE_CONTAINER_MAP, *certificates] + ([files.FILE_ROOTS] if _has_roots(view) else [])


def _has_roots(view: CardView) -> bool:
    return view.policy.write and view.object(spec.TAG_YUBICO_MSROOTS_FIRST).content is not None


def access(name: str) -> FileAccess:
    """Access condition of a file: ``cardid`` is the administrator's, all others are the user's."""
    is_card_id = name.lower() == files.FILE_CARD_ID
    return FileAccess.EVERYONE_READ_ADMIN_WRITE if is_card_id else FileAccess.EVERYONE_READ_USER_WRITE


def write(view: CardView, directory: str | None, name: str, data: bytes) -> None:
    """Replace a certificate file; the compressed form and plain DER are both taken.

    Raises:
        BadParameter: empty or no certificate.
        NotFound: there is no such file.
        Unsupported: another file: a PIV card has no place for it.
    """
    slot = _file_to_change(view, directory, name)
    if not data:
        raise BadParameter(detail="nothing to write")
    try:
        der = files.expand_certificate(data)
    except BadData as error:
        raise BadParameter(detail="neither a certificate nor a compressed one") from error
    writing.write_certificate(view, listing.INDEX_OF[slot.ref], der, compress=None)


def delete(view: CardView, directory: str | None, name: str) -> None:
    """Delete a certificate file; ``NotFound`` and ``Unsupported`` as in ``write``."""
    slot = _file_to_change(view, directory, name)
    if view.certificate(slot) is None:
        raise _not_there(name)
    writing.delete_certificate(view, listing.INDEX_OF[slot.ref])


def _file_to_change(view: CardView, directory: str | None, name: str) -> spec.Slot:
    writing.refuse_read_only(view)
    where, what = files.check_directory(directory), files.check_name(name)
    slot = _certificate_slot(what) if where else None
    if slot is not None:
        return slot
    if what in (*files.ROOT_FILES, files.FILE_CONTAINER_MAP, files.FILE_ROOTS):
        raise Unsupported(detail=f"file {what!r} of a PIV card is made from its objects and cannot be changed")
    raise _not_there(what)

"""A look at the thing itself, where the counters say that it has not changed.

Windows believes the counters of ``cardcf``. A program that changes a file without moving them, and a second card with
the same ``cardid`` and the same counters, defeat that. So whoever asks for one certificate or key, and not for a list,
gets it looked at: its first 256 bytes and its length, one exchange in each epoch. When they are not the remembered
ones, the counters have been caught lying: all that was believed by them is forgotten, and they are not believed again.

A list believes the counters for what is there, but not for what is not: a key whose certificate is missing waits for one,
and who writes it from another machine may move no counter. So the master file is looked at once more before a list says
that a certificate is missing.

Source: Generic Identity Device Specification v2.0 (GET DATA); ISO/IEC 7816-4, 11.3.3.
"""

from __future__ import annotations

from calais.cards.gids import edge, listing, spec
from calais.cards.gids.freshness import Kind
from calais.cards.gids.masterfile import Place
from calais.cards.gids.view import CardView
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.minidriver.api import check_index
from calais.minidriver.memo import Basis
from calais.win.errors import BadData

_PRESENT = (SW.OK >> 8, SW.MORE_DATA >> 8)


def certificate(view: CardView, index: int) -> None:
    """Confirm the certificate of container ``index``, or that it has none: then by the master file."""
    entry = listing.certificate_entry(view, index, listing.key_spec_at(view, check_index(index)))
    _confirm(view, entry.place if entry else spec.MASTER_FILE, Kind.FILE)


def absences(view: CardView) -> None:
    """Before a list: if it would say that a key has no certificate, confirm the master file. One exchange, or none.

    Raises:
        BadData: the tables of the card are damaged.
    """
    records = enumerate(view.container_map())
    if any(each.is_valid and _lacks(view, index, listing.key_spec_of(each)) for index, each in records):
        _confirm(view, spec.MASTER_FILE, Kind.FILE)


def _lacks(view: CardView, index: int, key_spec: int) -> bool:
    return listing.certificate_entry(view, index, key_spec) is None


def tables(view: CardView) -> None:
    """Confirm what says which containers and files there are: the container map and the master file."""
    entry = view.cmap_entry()
    if entry is not None:
        _confirm(view, entry.place, Kind.CONTAINERS)
    _confirm(view, spec.MASTER_FILE, Kind.FILE)


def key(view: CardView, index: int) -> None:
    """Confirm the public key of container ``index``.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    _confirm(view, (spec.TAG_PUBLIC_KEY, listing.learn(view, index).kid), Kind.PUBLIC_KEY)


def suspect(view: CardView, index: int) -> None:
    """As ``key``, whatever policy says and however lately it was read: something has spoken against it."""
    _look(view, (spec.TAG_PUBLIC_KEY, listing.learn(view, index).kid), Kind.PUBLIC_KEY)


def _confirm(view: CardView, place: Place, kind: Kind) -> None:
    kept = view.remembered(place, kind)
    if kept is not None and kept.confirmed is not None and kept.confirmed.lasts(view.now):
        kept.confirmed = view.now
    elif view.policy.proof == "head":
        _look(view, place, kind)


def _look(view: CardView, place: Place, kind: Kind) -> None:
    kept = view.remembered(place, kind)
    if kept is None:
        return
    if _agrees(kept.content, _head(view, place)):
        kept.basis, kept.confirmed = Basis.HEAD, view.now
    else:
        view.distrust_counters()


def _agrees(content: bytes | None, found: tuple[bytes, int] | None) -> bool:
    if content is None or found is None:
        return content is None and found is None
    head, length = found
    return len(content) == length and content.startswith(head)


def _head(view: CardView, place: Place) -> tuple[bytes, int] | None:
    """The first bytes of the value at ``place``, and its length; ``None`` = there is none. One exchange."""
    edge.ensure_selected(view.tx)
    response = view.tx.send(_command(place), collect=False)
    if response.sw >> 8 not in _PRESENT:
        return None
    return _split(response.data, place[0] if place[0] == spec.TAG_PUBLIC_KEY else place[1])


def _split(data: bytes, tag: int) -> tuple[bytes, int]:
    """First bytes and length of the value of the data object that begins with ``data``; nothing when it is another."""
    encoded = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    if not data.startswith(encoded):
        return b"", 0
    try:
        length, at = tlv.read_length(data, len(encoded))
    except BadData:
        return b"", 0
    return data[at : at + length], length


def _command(place: Place) -> Command:
    if place[0] == spec.TAG_PUBLIC_KEY:
        return edge.public_key_command(place[1], edge.LE_SHORT)
    return edge.get_data_command(*place, edge.LE_SHORT)

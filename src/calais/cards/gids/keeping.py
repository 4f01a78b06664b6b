"""What is kept of a GIDS card from one insertion, or process, to the next: what everybody may read, with the counters
under which it was true.

Source: Microsoft's smart card minidriver specification v7.07, 4.4 (caching by ``cardid`` and ``cardcf``).
"""

from __future__ import annotations

import hashlib

from calais.cards.gids import keymap, masterfile, spec
from calais.cards.gids.freshness import Kept, counters_in
from calais.cards.gids.masterfile import Place
from calais.minidriver.memo import NEVER, Basis, CachedObject, CardMemo, Evidence, KeptCard, KeptObject
from calais.win.errors import BadData

KIND = "gids"
OBJECTS, DISTRUSTED, PINS_FACT = "gids.objects", "gids.distrusted", "gids.pins"
PUBLIC_EFS = frozenset((
    spec.FID_USER_CREATE_DELETE_DIR, spec.FID_EVERYONE_READ_USER_WRITE, spec.FID_EVERYONE_READ_ADMIN_WRITE,
))  # fmt: skip
_TABLES = {spec.MASTER_FILE: "master file", spec.KEY_MAP: "key map", spec.CARD_CACHE: "cardcf"}


def mark(atr: bytes, card_id: bytes | None) -> bytes:
    """What tells a card when it is identified: its ATR and its ``cardid``; ``b""`` = it has none, so nothing tells."""
    if card_id is None:
        return b""
    return hashlib.sha256(KIND.encode() + bytes((len(atr),)) + atr + card_id).digest()


def freeze(memo: CardMemo) -> KeptCard | None:
    """What may be kept of the card of ``memo``; ``None`` = it has no identity."""
    identity, known_by, facts = memo.identity, memo.mark, memo.facts
    if identity is None or not known_by:
        return None
    known: dict[Place, Kept] = facts.get(OBJECTS, {})
    objects = tuple(_frozen(place, item) for place, item in list(known.items()) if _is_kept(place, item))
    pins = facts.get(PINS_FACT)
    if pins is not None:
        objects += (KeptObject(PINS_FACT, bytes((pins,)), 1),)
    trusted = not facts.get(DISTRUSTED, False)
    kept = KeptCard(KIND, known_by, identity.card_id, identity.label, memo.atr, objects, trusted)
    return kept if memo.identity == identity and memo.mark == known_by else None  # its reader may be at work


def _is_kept(place: Place, item: Kept) -> bool:
    is_public = place[0] in PUBLIC_EFS or place[0] == spec.TAG_PUBLIC_KEY
    return is_public and place != spec.CARD_CACHE and item.counters is not None


def _frozen(place: Place, item: Kept) -> KeptObject:
    counters = item.counters.to_bytes() if item.counters else b""
    size = len(item.content or b"")
    return KeptObject(f"{place[0]:04X}/{place[1]:04X}", item.content, size, counters, item.read_at, item.hits)


def thaw(memo: CardMemo, kept: KeptCard | None) -> None:
    """Put what was kept into ``memo``; nothing of it holds before the counters have been asked for."""
    objects: dict[Place, Kept] = {}
    for item in kept.objects if kept else ():
        if item.name == PINS_FACT:
            memo.facts[PINS_FACT] = (item.content or b"\0")[0]
            continue
        counters = counters_in(item.counters)
        objects[_place(item.name)] = Kept(
            item.content, counters, NEVER, read_at=item.read_at, basis=Basis.RESTORED, hits=item.hits
        )
    memo.facts[OBJECTS] = objects
    if kept is not None and not kept.trusted:
        memo.facts[DISTRUSTED] = True


def _place(name: str) -> Place:
    ef, _, tag = name.partition("/")
    return int(ef, 16), int(tag, 16)


def drop(memo: CardMemo) -> None:
    """Forget all data; who the card is stays."""
    memo.facts[OBJECTS] = {}


def cached(memo: CardMemo, now: Evidence | None) -> list[CachedObject]:
    """What ``memo`` has, in the order in which it came."""
    known: dict[Place, Kept] = memo.facts.get(OBJECTS, {})
    master = known.get(spec.MASTER_FILE)
    names = _names(master.content if master else None)
    return [
        CachedObject(
            name_of(place, names),
            None if item.content is None else len(item.content),
            item.read_at,
            item.basis,
            item.hits,
            holds=now is not None and item.seen.holds(now),
        )
        for place, item in list(known.items())
    ]


def names_in(kept: KeptCard) -> dict[str, str]:
    """What the objects of ``kept`` are called, by their names there."""
    places = {item.name: _place(item.name) for item in kept.objects if item.name != PINS_FACT}
    master = next((item.content for item in kept.objects if places.get(item.name) == spec.MASTER_FILE), None)
    names = _names(master)
    return {name: name_of(place, names) for name, place in places.items()} | {PINS_FACT: "PINs that there are"}


def _names(master: bytes | None) -> dict[Place, str]:
    try:
        entries = masterfile.parse(master) if master else ()
    except BadData:
        return {}
    return {entry.place: f"{entry.directory}/{entry.name}".strip("/") for entry in entries}


def name_of(place: Place, files: dict[Place, str]) -> str:
    """What the object at ``place`` is called, when the master file calls its objects ``files``."""
    if place[0] == spec.TAG_PUBLIC_KEY:
        return f"public key {place[1]:02X} (container {place[1] - keymap.kid_of(0)})"
    return _TABLES.get(place) or files.get(place) or f"object {place[1]:X} of {place[0]:X}"

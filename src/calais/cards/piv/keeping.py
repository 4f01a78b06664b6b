"""What is kept of a PIV card from one insertion, or process, to the next: its public objects, each to be proved anew.

Source: SP 800-73-4 part 1, table 2 (access rules).
"""

from __future__ import annotations

import hashlib

from calais.cards.piv import spec
from calais.minidriver.memo import (
    HEAD_SIZE,
    NEVER,
    Basis,
    CachedObject,
    CardMemo,
    Evidence,
    KeptCard,
    KeptObject,
    Remembered,
)

KIND = "piv"
# What everybody may read and somebody asks for. The CHUID is looked at anyway, and Discovery in each insertion.
_NAMES: dict[int, str] = {
    spec.TAG_KEY_HISTORY: "Key History",
    spec.TAG_YUBICO_MSCMAP: "container map",
    **{slot.certificate: f"certificate {slot.name}" for slot in spec.SLOTS},
    **{tag: f"msroots {tag:X}" for tag in range(spec.TAG_YUBICO_MSROOTS_FIRST, spec.TAG_YUBICO_MSROOTS_LAST + 1)},
}


def mark(atr: bytes, head: bytes, length: int) -> bytes:
    """What tells a card when it is identified: its ATR, and first bytes and length of its CHUID."""
    parts = (KIND.encode(), atr, head[:HEAD_SIZE], length.to_bytes(8, "big"))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def freeze(memo: CardMemo) -> KeptCard | None:
    """What may be kept of the card of ``memo``; ``None`` = it is not known who it is."""
    identity, known_by = memo.identity, memo.mark
    if identity is None or not known_by:
        return None
    objects = tuple(
        KeptObject(f"{tag:06X}", item.content, item.length, read_at=item.read_at, hits=item.hits)
        for tag, item in list(memo.objects.items())
        if tag in _NAMES
    )
    kept = KeptCard(KIND, known_by, identity.card_id, identity.label, memo.atr, objects)
    return kept if memo.identity == identity and memo.mark == known_by else None  # its reader may be at work


def thaw(memo: CardMemo, kept: KeptCard | None) -> None:
    """Put what was kept into ``memo``; nothing of it holds before it has been proved."""
    for item in kept.objects if kept else ():
        head = (item.content or b"")[:HEAD_SIZE]
        memo.objects[int(item.name, 16)] = Remembered(
            item.content, head, item.length, NEVER, None, item.read_at, Basis.RESTORED, item.hits
        )


def drop(memo: CardMemo) -> None:
    """Forget all data; who the card is, and what the card itself told of its keys, stays."""
    chuid = memo.objects.get(spec.TAG_CHUID)
    memo.objects = {} if chuid is None else {spec.TAG_CHUID: chuid}
    memo.keys = {ref: facts for ref, facts in memo.keys.items() if getattr(facts, "from_card", False)}


def cached(memo: CardMemo, now: Evidence | None) -> list[CachedObject]:
    """What ``memo`` has, in the order in which it came."""
    return [
        CachedObject(
            name,
            None if item.content is None else item.length,
            item.read_at,
            item.basis,
            item.hits,
            holds=now is not None and item.seen.holds(now),
        )
        for tag, item in list(memo.objects.items())
        if (name := name_of(tag))
    ]


def name_of(tag: int | str) -> str:
    """What object ``tag`` is called."""
    number = int(tag, 16) if isinstance(tag, str) else tag
    return "CHUID" if number == spec.TAG_CHUID else _NAMES.get(number, f"object {number:X}")

"""When a remembered object of a GIDS card is true: decided by the counters in ``cardcf``, without reading the object.

Whoever writes to the card (this project, Windows, OpenSC) moves a counter with it: the containers' when a key or the
container map changes, the files' when a file does. The container map is a file as well, and not everybody moves both
counters for it, so it is believed only while neither has moved. Counters wrap; they are compared for equality.

=====================  ==========  =====
object                 containers  files
=====================  ==========  =====
files, master file                 x
container map, keys    x           x
public keys            x
=====================  ==========  =====

Source: Microsoft's smart card minidriver specification v7.07, 4.4 (card cache file).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from calais.minidriver.files import parse_cardcf
from calais.minidriver.memo import Basis, Evidence
from calais.win.errors import BadData
from calais.win.structs import CardCacheFile

Counters = CardCacheFile


def counters_in(cardcf: bytes | None) -> Counters | None:
    """The counters; ``None`` when the card has none or they cannot be read, and so prove nothing."""
    try:
        return parse_cardcf(cardcf or b"")
    except BadData:
        return None


def moved(counters: Counters, *, pins: bool = False, containers: bool = False, files: bool = False) -> Counters:
    """The counters after a change of the named kinds; whatever else the file holds stays as it is."""
    return replace(
        counters,
        pins_freshness=(counters.pins_freshness + pins) & 0xFF,
        containers_freshness=(counters.containers_freshness + containers) & 0xFFFF,
        files_freshness=(counters.files_freshness + files) & 0xFFFF,
    )


class Kind(Enum):
    """What an object is, and by that which counters speak of it."""

    FILE = auto()
    CONTAINERS = auto()
    PUBLIC_KEY = auto()


class Verdict(Enum):
    """What to do before a remembered object is used."""

    TRUE = auto()
    ASK = auto()  # for the counters
    READ = auto()


@dataclass(slots=True)
class Kept:
    """A remembered object.

    ``content``: its bytes, ``None`` = the card has none; ``counters``: those of the card when it was last true,
    ``None`` = not known; ``seen``: when that was; ``parsed``: what was made of ``content``; ``read_at``, ``basis`` and
    ``hits`` as in ``Remembered``; ``confirmed``: when it was last looked at itself, ``None`` = not in this insertion.
    """

    content: bytes | None
    counters: Counters | None
    seen: Evidence
    parsed: Any = None
    read_at: float = 0.0
    basis: Basis = Basis.READ
    hits: int = 0
    confirmed: Evidence | None = None


def agree(kind: Kind, then: Counters | None, now: Counters | None) -> bool:
    """Whether no counter that speaks of objects of this kind has moved."""
    if then is None or now is None:
        return False
    same_containers = then.containers_freshness == now.containers_freshness
    same_files = then.files_freshness == now.files_freshness
    if kind is Kind.FILE:
        return same_files
    if kind is Kind.PUBLIC_KEY:
        return same_containers
    return same_containers and same_files


def judge(kept: Kept | None, kind: Kind, now: Evidence, counters: Counters | None, *, asked: bool) -> Verdict:
    """What to do with ``kept``.

    Args:
        kept: the object; ``None`` = not remembered.
        kind: what it is.
        now: the present moment.
        counters: the card's counters.
        asked: whether ``counters`` are those of now.
    """
    if kept is None:
        return Verdict.READ
    if kept.seen.holds(now):
        return Verdict.TRUE
    if kept.counters is None:
        return Verdict.READ
    if not asked:
        return Verdict.ASK
    return Verdict.TRUE if agree(kind, kept.counters, counters) else Verdict.READ


def carried(kept: Kept, kind: Kind, before: Counters | None, after: Counters | None, now: Evidence) -> Kept | None:
    """``kept`` after this program itself moved the counters from ``before`` to ``after``; ``None`` = it was old."""
    if kept.seen.holds(now) or agree(kind, kept.counters, before):
        return replace(kept, counters=after, seen=now)
    return None
